// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Backend socklen: the tracepoints that sock_sendmsg() and sock_recvmsg() end
// with tell socket and length, the syscall that runs tells the payload.
// Needs kernel 6.3.
#pragma once

// Finds what the syscall that task runs reads into or writes from sk.
static __always_inline void find_payload(struct payload *p, struct sock *sk, struct task_struct *task, bool out)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	u32 nr = SYSCALL_NR(regs);

	if (COMPAT(task)) {
		p->missing = MISSING_COMPAT_TASK;
	} else if (!SYSCALL_RUNS(regs) || nr == NR_io_uring_enter) {
		p->missing = MISSING_ASYNC;
	} else if (nr == NR_sendfile || nr == NR_splice) {
		p->missing = MISSING_SPLICE;
	} else {
		// A syscall on one file can move bytes of another file's socket
		// (network block devices and file systems).
		struct file *own = sk->sk_socket->file;
		if (!own || file_of(task, SYSCALL_ARG0(regs)) != own)
			p->missing = MISSING_SYSCALL;
		else
			find_buffer(p, nr, out, SYSCALL_ARG1(regs), SYSCALL_ARG2(regs));
	}
}

static __always_inline int socklen(enum slot slot, struct sock *sk, struct task_struct *task, bool out, int ret,
				   int flags)
{
	struct payload p = {};
	struct scratch *s = begin_data(slot, sk, out, ret);
	if (!s)
		return 0;
	if (flags & MSG_TRUNC) // the buffer holds what it held before
		p.missing = MISSING_DISCARDED;
	else if (!s->event.missing)
		find_payload(&p, sk, task, out);
	return end_data(slot, s, sk, task, &p);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socklen_send, struct sock *sk, int ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (ret <= 0 || !observed(sk, task))
		return 0;
	return socklen(SLOT_SEND, sk, task, true, ret, 0);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socklen_recv, struct sock *sk, int ret, int flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	// With these the stream does not move.
	if (ret < 0 || flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) || !observed(sk, task))
		return 0;
	if (ret == 0)
		return ended_in(SLOT_RECV, sk);
	return socklen(SLOT_RECV, sk, task, false, ret, flags);
}
