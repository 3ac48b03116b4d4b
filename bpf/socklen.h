// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Backend socklen: the tracepoints that sock_sendmsg() and sock_recvmsg() end
// with tell socket and length, the syscall that runs tells the payload.
// Needs kernel 6.3.
#pragma once

static __always_inline int socklen(enum slot slot, struct sock *sk, bool out, int ret, int flags)
{
	struct payload p = {};
	struct scratch *s = begin_data(slot, sk, out, ret);
	if (!s)
		return 0;
	if (flags & MSG_TRUNC) // the buffer holds what it held before
		p.missing = MISSING_DISCARDED;
	else if (!s->event.missing)
		find_payload(&p, sk, out);
	return end_data(slot, s, &p);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socklen_send, struct sock *sk, int ret)
{
	if (ret <= 0 || !observed(sk))
		return 0;
	return socklen(SLOT_SEND, sk, true, ret, 0);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socklen_recv, struct sock *sk, int ret, int flags)
{
	// With these the stream does not move.
	if (ret < 0 || flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) || !observed(sk))
		return 0;
	if (ret == 0)
		return ended_in(sk);
	return socklen(SLOT_RECV, sk, false, ret, flags);
}
