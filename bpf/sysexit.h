// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Backend sysexit: every syscall when it ends, by its registers. The last
// resort: it runs for those of the whole node, and io_uring passes it by. The
// socket is no longer held: threads that share one shift each other's sequence
// numbers, and when one closes it while another is in a call on it, the call is
// taken for one on the file that got the number. Kernel 7 can preempt programs
// on syscalls: while it does, those of others on the same CPU are left out, and
// counted as recursion.
#pragma once

// Messages of a sendmmsg or recvmmsg whose lengths are added up; more are a gap
// in the sequence numbers.
#define MMSG_STEPS 64

// struct mmsghdr of linux/socket.h
struct user_mmsghdr {
	u8 hdr[56];
	u32 len_bytes;
	u32 pad;
};

static __always_inline u32 mmsg_bytes(const struct user_mmsghdr *messages, u32 count)
{
	u32 sum = 0;
	for (u32 i = 0; i < MMSG_STEPS && i < count; i++) {
		u32 len_bytes = 0;
		bpf_probe_read_user(&len_bytes, sizeof(len_bytes), &messages[i].len_bytes);
		sum += len_bytes;
	}
	return sum;
}

// The TCP socket that fd is, NULL if it is something else.
static __always_inline struct sock *socket_of(struct task_struct *task, u32 fd)
{
	struct file *file = file_of(task, fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);
	return sk && observed(sk, task) ? sk : NULL;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sysexit, struct pt_regs *regs, long ret)
{
	u32 nr = SYSCALL_NR(regs);
	u32 flags = 0;
	bool out = false;

	if (ret < 0)
		return 0;
	switch (nr) {
	case NR_write:
	case NR_writev:
	case NR_pwritev2:
	case NR_sendto:
	case NR_sendmsg:
	case NR_sendmmsg:
	case NR_sendfile:
		out = true;
		break;
	case NR_recvfrom:
	case NR_recvmmsg:
		flags = SYSCALL_ARG3(regs);
		break;
	case NR_recvmsg:
		flags = SYSCALL_ARG2(regs);
		break;
	case NR_read:
	case NR_readv:
	case NR_preadv2:
	case NR_splice:
		break;
	default:
		return 0;
	}
	if (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) // the stream does not move
		return 0;
	struct task_struct *task = current_task();
	if (COMPAT(task)) // its numbers are others
		return 0;
	struct sock *sk = socket_of(task, SYSCALL_ARG0(regs));
	if (!sk && nr == NR_splice) {
		sk = socket_of(task, SYSCALL_ARG2(regs));
		out = true;
	}
	if (!sk)
		return 0;
	u64 arg1 = SYSCALL_ARG1(regs), arg2 = SYSCALL_ARG2(regs);
	u32 len_bytes = ret;
	if (nr == NR_sendmmsg || nr == NR_recvmmsg)
		len_bytes = mmsg_bytes((void *)arg1, ret);
	if (len_bytes == 0)
		return out ? 0 : ended_in(SLOT_SEND, sk);
	struct scratch *s = begin_data(SLOT_SEND, sk, out, len_bytes);
	if (!s)
		return 0;
	struct payload p = {};
	if (flags & MSG_TRUNC) // the buffer holds what it held before
		p.missing = MISSING_DISCARDED;
	else if (!s->event.missing)
		find_buffer(&p, nr, out, arg1, arg2);
	return end_data(SLOT_SEND, s, sk, task, &p);
}
