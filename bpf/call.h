// SPDX-License-Identifier: MIT OR GPL-2.0-only
// A call of tcp_sendmsg() or tcp_recvmsg(): where its bytes are is known when
// it begins, because it moves the iterator; how many, when it ends.
#pragma once

struct call {
	u64 socket; // its address
	struct payload payload;
	u32 flags; // MSG_*
	bool out;
	u8 pad[3];
};

// thread -> the call it is in. Written when the call begins, deleted when it
// ends. 8,192 threads can be in a read at once, for 1 MiB; of those pushed out
// the length is known, not the bytes. User space makes it small where it is
// not used.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8 << 10);
	__type(key, u64);
	__type(value, struct call);
} calls SEC(".maps");

// Finds what msg's iterator goes over: it is read by probing, since the
// verifier takes some of its unions for what they are not.
static __always_inline void find_segments(struct payload *p, struct msghdr *msg)
{
	struct iov_iter *iter = &msg->msg_iter;
	u64 offset = BPF_CORE_READ(iter, iov_offset);
	u32 type;

	if (bpf_core_field_exists(struct iov_iter, iter_type))
		type = BPF_CORE_READ(iter, iter_type);
	else
		type = BPF_CORE_READ((struct iov_iter___type *)iter, type) & ~1;
	if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	    type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		p->buffer = BPF_CORE_READ(iter, ubuf) + offset;
	} else if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC)) {
		if (bpf_core_field_exists(struct iov_iter, __iov))
			p->segments = BPF_CORE_READ(iter, __iov);
		else
			p->segments = BPF_CORE_READ((struct iov_iter___iov *)iter, iov);
		p->in_kernel = true;
		p->count = BPF_CORE_READ(iter, nr_segs);
		p->offset = offset;
	} else if (BPF_CORE_READ(msg, msg_flags) & MSG_SPLICE_PAGES) {
		p->missing = MISSING_SPLICE;
	} else {
		p->missing = MISSING_ASYNC; // the kernel's own buffers
	}
}

static __always_inline int begin_call(struct sock *sk, struct msghdr *msg, bool out, u32 flags)
{
	if (!observed(sk, current_task()))
		return 0;
	struct call call;
	__builtin_memset(&call, 0, sizeof(call)); // with the padding
	call.socket = address_of(sk);
	call.out = out;
	call.flags = flags;
	find_segments(&call.payload, msg);
	u64 thread = bpf_get_current_pid_tgid();
	bpf_map_update_elem(&calls, &thread, &call, 0);
	return 0;
}

// Takes the call that this thread is in; an empty one if its beginning was not
// seen, or the end of the one before.
static __always_inline bool take_call(struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct call *found = bpf_map_lookup_elem(&calls, &thread);
	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&calls, &thread);
	return true;
}

static __always_inline int end_call(enum slot slot, struct sock *sk, const struct payload *p, bool out,
				    int ret, u32 flags)
{
	struct task_struct *task = current_task();
	if (ret < 0 || !observed(sk, task))
		return 0;
	if (!out && flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) // the stream does not move
		return 0;
	if (ret == 0)
		return out ? 0 : ended_in(slot, sk);
	struct scratch *s = begin_data(slot, sk, out, ret);
	if (!s)
		return 0;
	if (!out && flags & MSG_TRUNC && !s->event.missing) // the buffer holds what it held before
		s->event.missing = MISSING_DISCARDED;
	return end_data(slot, s, sk, task, p);
}
