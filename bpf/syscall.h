// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The socket and the payload of a read or write from the registers of a syscall.
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
#define SYSCALL_ARG3(regs) regs->r10
// entry_SYSCALL_64 sets ax so, do_syscall_64() to the result at the end. Later
// work on the way to user space (io_uring) and io_uring's threads differ.
#define SYSCALL_RUNS(regs) ((s64)regs->ax == -ENOSYS)
#define COMPAT(task) (READ(task, thread_info.status) & 2) // TS_COMPAT
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
#define SYSCALL_ARG3(regs) regs->regs[3]
// invoke_syscall() puts the result there at the end.
#define SYSCALL_RUNS(regs) (regs->regs[0] == regs->orig_x0)
#define COMPAT(task) (READ(task, thread_info.flags) & 1 << 22) // TIF_32BIT
#endif

static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct file *file = NULL;
	struct fdtable *fdt = READ(task, files, fdt);
	if (fd < READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), READ(fdt, fd) + fd);
	return file;
}

// What a syscall on a socket reads into or writes from. arg1 and arg2 are its
// second and third argument.
static __always_inline void find_buffer(struct payload *p, u32 nr, bool out, u64 arg1, u64 arg2)
{
	struct user_msghdr message = {};

	if (nr == (out ? NR_write : NR_read) || nr == (out ? NR_sendto : NR_recvfrom)) {
		p->buffer = (void *)arg1;
	} else if (nr == (out ? NR_writev : NR_readv) || nr == (out ? NR_pwritev2 : NR_preadv2)) {
		p->segments = (void *)arg1;
		p->count = arg2;
	} else if (nr == (out ? NR_sendmsg : NR_recvmsg)) {
		if (bpf_probe_read_user(&message, sizeof(message), (void *)arg1))
			p->missing = MISSING_FAULT;
		p->segments = message.msg_iov;
		p->count = message.msg_iovlen;
	} else if (nr == (out ? NR_sendmmsg : NR_recvmmsg)) {
		p->missing = MISSING_MMSG;
	} else if (nr == NR_sendfile || nr == NR_splice) {
		p->missing = MISSING_SPLICE;
	} else {
		p->missing = MISSING_SYSCALL;
	}
}
