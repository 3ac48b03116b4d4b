// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What user space asked for a flow.
#pragma once

static __always_inline struct policy *find_policy(u64 flow)
{
	u32 slot = flow & ((1 << POLICY_BITS) - 1);
	return bpf_map_lookup_elem(&policies, &slot);
}

// The bits that do not choose the slot, the uppermost folded in. Never 0, which
// is in words that nobody wrote.
static __always_inline u32 policy_tag(u64 flow)
{
	return (flow >> POLICY_BITS ^ flow >> (64 - POLICY_BITS)) | 1u << 31;
}

static __always_inline bool tagged(u64 word, u64 flow)
{
	return word >> 32 == policy_tag(flow);
}

// How many events a read or write may become: the first bytes are enough if
// user space did not ask for more, or for none.
static __always_inline u32 records_of(const struct policy *p, u64 flow)
{
	u64 word = p->records;
	if (!tagged(word, flow))
		return 1;
	return (u32)word < RECORDS ? (u32)word : RECORDS;
}

// How many of the first bytes of e lie before what user space wants to see. A
// skip counts for 1 GiB at most, and is deleted by the first event behind it:
// left to stand it would come to life again when the sequence numbers have
// wrapped. User space may write a new one in between, which is then lost; so
// are other words of flows that share the slot. They are wishes.
static __always_inline u32 skipped(struct policy *p, const struct event *e)
{
	volatile u64 *skip = e->flags & FLAG_OUT ? &p->skip_out : &p->skip_in;
	u64 word = *skip;
	if (!tagged(word, e->flow) || !(e->flags & FLAG_SEQUENCED))
		return 0;
	if ((u32)word - (e->seq + e->len_bytes) < 1u << 30)
		return e->len_bytes;
	*skip = 0;
	u32 before = (u32)word - e->seq;
	return before < e->len_bytes ? before : 0;
}
