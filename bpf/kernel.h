// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What is read of the kernel: only the fields used, found by name when the
// program is loaded (CO-RE), so their order and offsets here mean nothing.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
typedef unsigned long size_t;

#define NULL ((void *)0)

// include/uapi/linux/bpf.h
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

// Numbers of the user-space ABI, the same on every architecture.
enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_TCP = 6,
	IPPROTO_MPTCP = 262,
	MSG_OOB = 0x1,
	MSG_PEEK = 0x2,
	MSG_TRUNC = 0x20,
	MSG_ERRQUEUE = 0x2000,
	S_IFMT = 0170000,
	S_IFSOCK = 0140000,
	ENOSYS = 38,
	TASK_COMM_LEN = 16,
};

// include/net/tcp_states.h; 1 to 11 are user-space ABI (BPF_TCP_*).
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

enum { RCV_SHUTDOWN = 1 }; // include/net/sock.h: bit of sock.sk_shutdown

enum { MSG_SPLICE_PAGES = 0x8000000 }; // include/linux/socket.h, from 6.5 on; before, nobody set that bit

// include/net/sock.h: bit numbers of sock_common.skc_flags, relocated
enum sock_flags { SOCK_DEAD, SOCK_DONE };

// include/linux/uio.h: numbers that changed, relocated
enum iter_type { ITER_IOVEC, ITER_UBUF };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		u32 u6_addr32[4];
	} in6_u;
};
struct ns_common {
	u32 inum;
};
struct net {
	struct ns_common ns;
};
typedef struct {
	struct net *net;
} possible_net_t;
typedef struct {
	s64 counter;
} atomic64_t;
struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport; // network byte order
	u16 skc_num;   // local port; 0 once it was given back
	u16 skc_family;
	volatile u8 skc_state;
	unsigned long skc_flags; // enum sock_flags
	atomic64_t skc_cookie;   // 0 before somebody asked for it
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};
struct socket;
struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	u8 sk_shutdown;
	int sk_err;
	struct socket *sk_socket;
};
struct inet_sock {
	u16 inet_sport; // local port, network byte order; outlives skc_num
};
struct inet_connection_sock {
	struct inet_sock icsk_inet;
	const void *icsk_ulp_ops; // of what lies between the application and TCP: kernel TLS
};
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 write_seq;  // next byte that the application writes
	u32 copied_seq; // next byte that the application reads
	u32 rcv_nxt;    // next byte that the peer sends
	bool is_mptcp;  // is a subflow; absent without CONFIG_MPTCP
};
struct iov_iter {
	u8 iter_type; // enum iter_type
	size_t iov_offset; // into the first segment
	unsigned long nr_segs;
	const struct iovec *__iov; // a copy in kernel memory
	const void *ubuf;          // the one segment of ITER_UBUF, in user memory; from 6.0 on
};
struct iov_iter___iov { // until 6.3
	const struct iovec *iov;
};
struct iov_iter___type { // until 5.13
	unsigned int type; // enum iter_type, and the direction in bit 0
};
struct msghdr {
	struct iov_iter msg_iter;
	unsigned int msg_flags;
};
struct inode {
	u16 i_mode;
};
struct file {
	struct inode *f_inode;
	void *private_data; // of a socket's file: its struct socket
};
struct socket {
	struct file *file; // NULL of sockets that the kernel made for itself
	struct sock *sk;
};
struct fdtable {
	u32 max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct thread_info {
	unsigned long flags; // arm64: TIF_*
	u32 status;          // x86: TS_*
};
struct task_struct {
	struct thread_info thread_info;
	struct files_struct *files;
	u32 tgid; // in the first pid namespace
	struct task_struct *group_leader;
	u64 start_boottime; // nanoseconds since boot
	u64 self_exec_id;   // programs executed, by its ancestors too
	char comm[TASK_COMM_LEN];
};
struct bpf_iter__task_file {
	struct file *file;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long orig_ax, ax, di, si, dx, r10; // of a syscall
	unsigned long cx, r8;                       // of a function
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
#endif

#pragma clang attribute pop

// User-space ABI of 64-bit tasks, not relocated: uapi/linux/uio.h, linux/socket.h
struct iovec {
	const void *iov_base;
	u64 iov_len;
};
struct user_msghdr {
	void *msg_name;
	int msg_namelen;
	const struct iovec *msg_iov;
	u64 msg_iovlen;
};

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

// Pointers that the kernel hands to a program (tp_btf, fentry, fexit), and what
// they lead to, are read by plain loads: the verifier knows their types, and
// the kernel catches faults. A dozen calls of BPF_CORE_READ took as long as all
// else. An address from elsewhere needs them: READ is for code that meets both.
#define READ(from, ...) (typed ? ___arrow(from, __VA_ARGS__) : BPF_CORE_READ(from, __VA_ARGS__))
