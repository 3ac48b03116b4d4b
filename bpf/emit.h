// SPDX-License-Identifier: MIT OR GPL-2.0-only
// From a backend to the ring. A backend is a header that hooks reads and writes
// after the fact and finds their socket, direction and length. For each it
// calls begin_data; if that wants the payload, finds it; then end_data.
#pragma once

// The reader is woken by the event with which another wakeup_bytes wait for it,
// not by all that follow until it runs: a wake-up costs as much as an event.
static __always_inline bool output(struct event *e, u64 size, bool wake)
{
	u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	if ((waiting ^ (waiting + size)) & -(u64)wakeup_bytes)
		wake = true;
	return !bpf_ringbuf_output(&events, e, size, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

// Whether the data of this socket is of interest. Before anything that costs.
static __always_inline bool observed(struct sock *sk)
{
	return is_tcp(sk) && current_tgid() != exclude_tgid;
}

// Begins an event in the program's slot; NULL if nobody wants it. The payload
// is wanted unless event.missing is set.
static __always_inline struct scratch *begin_data(enum slot slot, struct sock *sk, bool out,
						  u32 len_bytes)
{
	u64 flow = flow_of(sk);
	struct policy *policy = find_policy(flow);
	if (policy && tagged(policy->ignore, flow)) {
		count(LOSS_IGNORED);
		return NULL;
	}
	u32 key = slot;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &key);
	if (!s)
		return NULL;
	fill_socket(&s->event, sk, KIND_DATA, out ? FLAG_OUT : 0, len_bytes);
	if (policy && skipped(policy, &s->event))
		s->event.missing = MISSING_SKIPPED;
	return s;
}

// Copies the payload, if there is one, and sends the event off.
static __always_inline int end_data(enum slot slot, struct scratch *s, const struct payload *from)
{
	struct event *e = &s->event;
	bool new_process = fill_process(e);

	if (!e->missing)
		e->missing = from->missing;
	if (!e->missing) {
		u32 want = e->len_bytes;
		if (want > max_payload_bytes) {
			want = max_payload_bytes;
			e->missing = MISSING_LIMIT;
		}
		s->from = *from;
		enum missing missing = copy_payload(slot, want);
		if (missing)
			e->missing = missing;
	}
	u64 captured = e->captured_bytes;
	if (captured > PAYLOAD_BYTES) // never: for the verifier
		return 0;
	// A process may be gone in a moment, and with it what /proc tells of it:
	// user space has to see its first event at once.
	if (!output(e, sizeof(*e) + captured, new_process))
		count(LOSS_RING_FULL_DATA);
	return 0;
}

static __always_inline int emit_state(struct sock *sk, enum kind kind, u8 flags)
{
	struct event e;
	fill_socket(&e, sk, kind, flags, 0);
	if (!output(&e, sizeof(e), false))
		count(LOSS_RING_FULL_STATE);
	return 0;
}
