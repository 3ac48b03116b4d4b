// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What user space asked for a flow.
#pragma once

static __always_inline struct policy *find_policy(u64 flow)
{
	u32 slot = flow & ((1 << POLICY_BITS) - 1);
	return bpf_map_lookup_elem(&policies, &slot);
}

// A bit of a word that is none of its tag.
#define POLICY_FRAME (1ull << 62)

// The bits that do not choose the slot, the uppermost folded in. Never 0, which
// is in words that nobody wrote.
static __always_inline u32 policy_tag(u64 flow)
{
	return ((flow >> POLICY_BITS ^ flow >> (64 - POLICY_BITS)) & ~(u32)(POLICY_FRAME >> 32)) | 1u << 31;
}

static __always_inline bool tagged(u64 word, u64 flow)
{
	return (word & ~POLICY_FRAME) >> 32 == policy_tag(flow);
}

// How many events a read or write may become: the first bytes are enough if
// user space did not ask for more, or for none.
static __always_inline u32 records_of(const struct policy *p, u64 flow)
{
	u64 word = p->records;
	if (!tagged(word, flow))
		return 1;
	return (u8)word < RECORDS ? (u8)word : RECORDS;
}

// Which of openings tells what of its frames may be skimmed, from 1 on; 0: nothing may.
static __always_inline u8 skims(const struct policy *p, u64 flow)
{
	u64 word = p->records;
	return tagged(word, flow) ? word >> 8 : 0;
}

// A skip counts for so many bytes at most: sequence numbers can be compared.
#define SKIP_MOST (1u << 30)

// Of the reads and writes that are skipped whole one in so many nanoseconds, as a
// shift (134 ms), is reported: user space sees that they go on.
#define PROGRESS_SHIFT 27

static __always_inline volatile u64 *skip_of(struct policy *p, bool out)
{
	return out ? &p->skip_out : &p->skip_in;
}

// Whether nothing need be said of a read or write: all of it is skipped, or within a
// frame that is, and it tells neither when that ends nor of a turn.
static __always_inline bool quiet(struct sock *sk, struct policy *p, u64 flow, bool out, u32 len_bytes)
{
	u64 word = *skip_of(p, out);
	u8 opening = skims(p, flow);
	if (!tagged(word, flow) && !opening)
		return false;
	struct connection *c = find_connection(sk);
	struct tcp_sock *tcp = tcp_of(sk);
	if (!c || !(out ? c->talks_out : c->talks_in) || !tcp || READ(tcp, inet_conn.icsk_ulp_ops))
		return false;
	u32 end = out ? next_out(tcp, c) : next_in(sk, tcp);
	u32 ahead = (u32)word - end;
	bool skipped = tagged(word, flow) && ahead && ahead < SKIP_MOST;
	if (!skipped && !within(frames_of(c, out), opening, end - len_bytes, end))
		return false;
	u32 now = bpf_ktime_get_boot_ns() >> PROGRESS_SHIFT;
	u32 *told = out ? &c->progress_out : &c->progress_in;
	if (*told == now)
		return true;
	*told = now;
	return false;
}

// How many of the first bytes of e lie before what user space wants to see, and
// whether a frame begins there. A skip is deleted by the first event behind it: left
// to stand it would come to life again when the sequence numbers have wrapped. User
// space may write a new one in between, which is then lost; so are other words of
// flows that share the slot. They are wishes.
static __always_inline u32 skipped(struct policy *p, const struct event *e, bool *frame)
{
	volatile u64 *skip = skip_of(p, e->flags & FLAG_OUT);
	u64 word = *skip;
	if (!tagged(word, e->flow) || !(e->flags & FLAG_SEQUENCED))
		return 0;
	if ((u32)word - (e->seq + e->len_bytes) < SKIP_MOST)
		return e->len_bytes;
	*skip = 0;
	u32 before = (u32)word - e->seq;
	if (before >= e->len_bytes)
		return 0;
	*frame = word & POLICY_FRAME;
	return before;
}
