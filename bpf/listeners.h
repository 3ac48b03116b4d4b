// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Finds the sockets that listen now, in every network namespace, of the
// processes that the reader's pid namespace shows. Reading it runs it.
#pragma once

SEC("iter/task_file")
int find_listeners(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	if (!file || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	// private_data has no type, so neither has what it leads to.
	struct socket *socket = file->private_data;
	struct sock *sk = BPF_CORE_READ(socket, sk);
	u16 protocol = BPF_CORE_READ(sk, sk_protocol);
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) ||
	    BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_LISTEN)
		return 0;
	struct listener at = {
		.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
	u8 here = 1;
	bpf_map_update_elem(&listeners, &at, &here, 0);
	return 0;
}
