// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The payload of a read or write from the registers of the syscall that runs.
#pragma once

#if defined(__TARGET_ARCH_x86)
// arch/x86/entry/syscalls/syscall_64.tbl
enum {
	NR_read = 0,
	NR_write = 1,
	NR_readv = 19,
	NR_writev = 20,
	NR_sendfile = 40,
	NR_sendto = 44,
	NR_recvfrom = 45,
	NR_sendmsg = 46,
	NR_recvmsg = 47,
	NR_splice = 275,
	NR_recvmmsg = 299,
	NR_sendmmsg = 307,
	NR_preadv2 = 327,
	NR_pwritev2 = 328,
	NR_io_uring_enter = 426,
};
#define SYSCALL_NR(regs) regs->orig_ax
#define SYSCALL_ARG0(regs) regs->di
#define SYSCALL_ARG1(regs) regs->si
#define SYSCALL_ARG2(regs) regs->dx
// entry_SYSCALL_64 sets ax so, do_syscall_64() to the result at the end. Later
// work on the way to user space (io_uring) and io_uring's threads differ.
#define SYSCALL_RUNS(regs) ((s64)regs->ax == -ENOSYS)
#define COMPAT(task) (task->thread_info.status & 2) // TS_COMPAT
#elif defined(__TARGET_ARCH_arm64)
// include/uapi/asm-generic/unistd.h
enum {
	NR_read = 63,
	NR_write = 64,
	NR_readv = 65,
	NR_writev = 66,
	NR_sendfile = 71,
	NR_splice = 76,
	NR_sendto = 206,
	NR_recvfrom = 207,
	NR_sendmsg = 211,
	NR_recvmsg = 212,
	NR_recvmmsg = 243,
	NR_sendmmsg = 269,
	NR_preadv2 = 286,
	NR_pwritev2 = 287,
	NR_io_uring_enter = 426,
};
#define SYSCALL_NR(regs) regs->syscallno
#define SYSCALL_ARG0(regs) regs->orig_x0
#define SYSCALL_ARG1(regs) regs->regs[1]
#define SYSCALL_ARG2(regs) regs->regs[2]
// invoke_syscall() puts the result there at the end.
#define SYSCALL_RUNS(regs) (regs->regs[0] == regs->orig_x0)
#define COMPAT(task) (task->thread_info.flags & 1 << 22) // TIF_32BIT
#endif

// Whether fd is sk: a syscall on one file can move bytes of another file's
// socket (network block devices and file systems).
static __always_inline bool is_fd_of(struct task_struct *task, u32 fd, struct sock *sk)
{
	struct file *own = sk->sk_socket->file, *file = NULL;
	struct fdtable *fdt = task->files->fdt;
	if (!own || fd >= fdt->max_fds)
		return false;
	bpf_probe_read_kernel(&file, sizeof(file), fdt->fd + fd);
	return file == own;
}

// Finds what the running syscall reads into or writes from sk.
static __always_inline void find_payload(struct payload *p, struct sock *sk, bool out)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	struct user_msghdr message = {};

	if (COMPAT(task)) {
		p->missing = MISSING_COMPAT_TASK;
		return;
	}
	u32 nr = SYSCALL_NR(regs);
	if (!SYSCALL_RUNS(regs) || nr == NR_io_uring_enter) {
		p->missing = MISSING_ASYNC;
		return;
	}
	if (nr == NR_sendfile || nr == NR_splice) {
		p->missing = MISSING_SPLICE;
		return;
	}
	if (!is_fd_of(task, SYSCALL_ARG0(regs), sk)) {
		p->missing = MISSING_SYSCALL;
		return;
	}
	const void *arg = (void *)SYSCALL_ARG1(regs);
	if (nr == (out ? NR_write : NR_read) || nr == (out ? NR_sendto : NR_recvfrom)) {
		p->buffer = arg;
	} else if (nr == (out ? NR_writev : NR_readv) || nr == (out ? NR_pwritev2 : NR_preadv2)) {
		p->segments = arg;
		p->count = SYSCALL_ARG2(regs);
	} else if (nr == (out ? NR_sendmsg : NR_recvmsg)) {
		if (bpf_probe_read_user(&message, sizeof(message), arg))
			p->missing = MISSING_FAULT;
		p->segments = message.msg_iov;
		p->count = message.msg_iovlen;
	} else {
		p->missing = nr == (out ? NR_sendmmsg : NR_recvmmsg) ? MISSING_MMSG : MISSING_SYSCALL;
	}
}
