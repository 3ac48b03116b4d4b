// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Backend fexit: trampolines around tcp_sendmsg() and tcp_recvmsg().
#pragma once

// An argument, or behind the last the result. In assembly, since the compiler
// would choose between two by computing an offset, which the verifier refuses.
#define CONTEXT(ctx, n)                                                            \
	({                                                                         \
		u64 word;                                                          \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(word) : "r"(ctx), "i"(8 * (n))); \
		word;                                                              \
	})

static __always_inline int end_traced(enum slot slot, struct sock *sk, bool out, int ret, u32 flags)
{
	struct call call;
	if (!take_call(&call) || call.socket != address_of(sk) || call.out != out) {
		__builtin_memset(&call, 0, sizeof(call));
		call.payload.missing = MISSING_ENTRY;
	}
	return end_call(slot, sk, &call.payload, out, ret, flags);
}

SEC("fentry/tcp_sendmsg")
int BPF_PROG(fexit_send_begin, struct sock *sk, struct msghdr *msg)
{
	return begin_call(sk, msg, true, 0);
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(fexit_send, struct sock *sk, struct msghdr *msg, size_t size, int ret)
{
	return end_traced(SLOT_SEND, sk, true, ret, 0);
}

SEC("fentry/tcp_recvmsg")
int BPF_PROG(fexit_recv_begin, struct sock *sk, struct msghdr *msg)
{
	return begin_call(sk, msg, false, 0);
}

SEC("fexit/tcp_recvmsg")
int fexit_recv(u64 *ctx)
{
	u32 flags;
	int ret;
	if (recvmsg_args == 6) { // the fourth is whether to block
		flags = CONTEXT(ctx, 4);
		ret = CONTEXT(ctx, 6);
	} else if (recvmsg_args == 5) {
		flags = CONTEXT(ctx, 3);
		ret = CONTEXT(ctx, 5);
	} else {
		flags = CONTEXT(ctx, 3);
		ret = CONTEXT(ctx, 4);
	}
	return end_traced(SLOT_RECV, (struct sock *)CONTEXT(ctx, 0), false, ret, flags);
}
