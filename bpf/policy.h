// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What user space asked for a flow.
#pragma once

static __always_inline struct policy *find_policy(u64 flow)
{
	u32 slot = flow & ((1 << POLICY_BITS) - 1);
	return bpf_map_lookup_elem(&policies, &slot);
}

static __always_inline bool tagged(u64 word, u64 flow)
{
	return word >> 32 == (u32)(flow >> POLICY_BITS) + 1;
}

static __always_inline void forget_policy(u64 flow)
{
	struct policy *p = find_policy(flow);
	if (p && tagged(p->ignore, flow))
		p->ignore = 0;
}

// Reports whether e lies wholly before what user space wants to see next. A
// skip counts for 1 GiB at most, and is deleted by the first event behind it:
// left to stand it would come to life again when the sequence numbers have
// wrapped. User space may write a new one in between, which is then lost; so
// are other words of flows that share the slot. They are wishes.
static __always_inline bool skipped(struct policy *p, const struct event *e)
{
	volatile u64 *skip = e->flags & FLAG_OUT ? &p->skip_out : &p->skip_in;
	u64 word = *skip;
	if (!tagged(word, e->flow) || !(e->flags & FLAG_SEQUENCED))
		return false;
	if ((u32)word - (e->seq + e->len_bytes) < 1u << 30)
		return true;
	*skip = 0;
	return false;
}
