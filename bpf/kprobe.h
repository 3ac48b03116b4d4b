// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Backend kprobe: the same by breakpoints, where there are no trampolines.
#pragma once

#if defined(__TARGET_ARCH_x86)
#define CALL_ARG0(ctx) ctx->di
#define CALL_ARG1(ctx) ctx->si
#define CALL_ARG3(ctx) ctx->cx
#define CALL_ARG4(ctx) ctx->r8
#define CALL_RESULT(ctx) ctx->ax
#elif defined(__TARGET_ARCH_arm64)
#define CALL_ARG0(ctx) ctx->regs[0]
#define CALL_ARG1(ctx) ctx->regs[1]
#define CALL_ARG3(ctx) ctx->regs[3]
#define CALL_ARG4(ctx) ctx->regs[4]
#define CALL_RESULT(ctx) ctx->regs[0]
#endif

// Only the beginning tells the socket.
static __always_inline int end_probed(enum slot slot, bool out, int ret)
{
	struct call call;
	if (!take_call(&call) || call.out != out)
		return 0;
	return end_call(slot, (struct sock *)call.socket, &call.payload, out, ret, call.flags);
}

SEC("kprobe/tcp_sendmsg")
int kprobe_send_begin(struct pt_regs *ctx)
{
	return begin_call((struct sock *)CALL_ARG0(ctx), (struct msghdr *)CALL_ARG1(ctx), true, 0);
}

SEC("kretprobe/tcp_sendmsg")
int kprobe_send(struct pt_regs *ctx)
{
	return end_probed(SLOT_SEND, true, CALL_RESULT(ctx));
}

SEC("kprobe/tcp_recvmsg")
int kprobe_recv_begin(struct pt_regs *ctx)
{
	u32 fourth = CALL_ARG3(ctx), fifth = CALL_ARG4(ctx);
	return begin_call((struct sock *)CALL_ARG0(ctx), (struct msghdr *)CALL_ARG1(ctx), false,
			  recvmsg_args == 6 ? fifth : fourth);
}

SEC("kretprobe/tcp_recvmsg")
int kprobe_recv(struct pt_regs *ctx)
{
	return end_probed(SLOT_RECV, false, CALL_RESULT(ctx));
}
