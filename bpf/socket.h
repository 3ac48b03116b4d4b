// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What an event says of its socket.
#pragma once

static __always_inline bool is_tcp(struct sock *sk)
{
	u16 family = READ(sk, __sk_common.skc_family);
	u16 protocol = READ(sk, sk_protocol);
	return (family == AF_INET || family == AF_INET6) &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

// The TCP socket that sk is, NULL if it is another one.
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	if (typed)
		return bpf_skc_to_tcp_sock(sk);
	return READ(sk, sk_protocol) == IPPROTO_TCP ? (struct tcp_sock *)sk : NULL;
}

// Names a connection: its cookie, unique while the machine is up. A socket
// accepted by MPTCP has the cookie of its listener, if that ever had one (ss
// gives it one). There, and where sockets have no type, the address, without the
// low bits, which are the same in all; and since the next connection often gets
// the address of the last, its generation in the upper bits, the same in all, too.
static __always_inline u64 flow_of(struct sock *sk)
{
	if (typed && sk->sk_protocol != IPPROTO_MPTCP) {
		u64 cookie = sk->__sk_common.skc_cookie.counter; // a load costs less than a call
		return cookie ?: bpf_get_socket_cookie(sk);      // which makes one
	}
	struct connection *c = find_connection(sk);
	return address_of(sk) >> 6 ^ (c ? (u64)c->generation << 48 : 0);
}

// The next byte that the application writes. write_seq counts the FIN, too.
static __always_inline u32 next_out(struct tcp_sock *tcp, const struct connection *c)
{
	return READ(tcp, write_seq) - (c && c->fin_sent);
}

#define SOCK_FLAG(sk, flag) \
	(READ(sk, __sk_common.skc_flags) >> bpf_core_enum_value(enum sock_flags, flag) & 1)

// The next byte that the application reads. tcp_recvmsg_locked() counts the
// FIN in copied_seq with the last bytes before it, if they came together;
// tcp_fin() has then set SOCK_DONE.
static __always_inline u32 next_in(struct sock *sk, struct tcp_sock *tcp)
{
	u32 copied = READ(tcp, copied_seq);
	return copied - (SOCK_FLAG(sk, SOCK_DONE) && copied == READ(tcp, rcv_nxt));
}

static __always_inline void fill_sequence(struct event *e, struct sock *sk, struct tcp_sock *tcp,
					  const struct connection *c)
{
	u32 out = next_out(tcp, c), in = next_in(sk, tcp);
	if (e->flags & FLAG_OUT) {
		e->seq = out - e->len_bytes;
		e->ack = in;
	} else {
		e->seq = in - e->len_bytes;
		e->ack = out;
	}
	e->flags |= FLAG_SEQUENCED;
}

static __always_inline void fill_v4(u8 addr[16], u32 v4)
{
	u32 *words = (u32 *)addr;
	words[2] = bpf_htonl(0xffff);
	words[3] = v4;
}

static __always_inline void fill_v6(u8 addr[16], const struct in6_addr *v6)
{
	u32 *words = (u32 *)addr;
	for (int i = 0; i < 4; i++)
		words[i] = READ(v6, in6_u.u6_addr32[i]);
}

// A connection that was open before us belongs to the server if its port is
// one that was listened on: wrong for a client that had bound such a port.
static __always_inline void fill_role(struct event *e, struct sock *sk, const struct connection *c)
{
	if (c && c->opened) {
		e->role = c->role;
		e->flags |= FLAG_OPENED;
		return;
	}
	// By probing: for each pointer read through one that it trusts, the verifier
	// of kernels from 6.3 on may search all their types, up to 1 ms.
	struct listener at = {
		.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
		.port = e->local_port,
	};
	e->role = bpf_map_lookup_elem(&listeners, &at) ? ROLE_SERVER : ROLE_CLIENT;
}

// Notes whose turn it is. Threads that read and write one socket at the same
// time can miscount.
static __always_inline void take_turn(struct connection *c, struct event *e)
{
	bool out = e->flags & FLAG_OUT;
	if (out ? c->talks_out : c->talks_in)
		return;
	e->flags |= FLAG_TURNED;
	c->talks_out = out;
	c->talks_in = !out;
	c->turn_seq = e->seq;
	if (out)
		c->turns_out++;
	else
		c->turns_in++;
}

// Takes the turns that no event told of. What does not fit is left for the next.
static __always_inline void fill_turns(struct event *e, struct connection *c)
{
	e->turns_out = c->turns_out < 0xffff ? c->turns_out : 0xffff;
	e->turns_in = c->turns_in < 0xffff ? c->turns_in : 0xffff;
	c->turns_out -= e->turns_out;
	c->turns_in -= e->turns_in;
}

// Gives back those of an event that found no room.
static __always_inline void turns_untold(struct connection *c, const struct event *e)
{
	c->turns_out += e->turns_out;
	c->turns_in += e->turns_in;
}

// Fills everything but the payload and the process. Every byte of e is set.
static __always_inline void fill_socket(struct event *e, struct sock *sk, enum kind kind, u8 flags,
					u32 len_bytes)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->flags = flags;
	e->len_bytes = len_bytes;
	e->flow = flow_of(sk);
	e->time_ns = bpf_ktime_get_boot_ns();
	e->peer_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	if (READ(sk, __sk_common.skc_family) == AF_INET) {
		fill_v4(e->local_addr, READ(sk, __sk_common.skc_rcv_saddr));
		fill_v4(e->peer_addr, READ(sk, __sk_common.skc_daddr));
	} else {
		fill_v6(e->local_addr, &sk->__sk_common.skc_v6_rcv_saddr);
		fill_v6(e->peer_addr, &sk->__sk_common.skc_v6_daddr);
	}
	struct connection *c = kind == KIND_DATA ? connection_of(sk) : find_connection(sk);
	// An MPTCP socket has no sequence numbers but those of its subflows; those
	// of kernel TLS count what it makes of the bytes; and tcp_disconnect()
	// begins new ones.
	struct tcp_sock *tcp = tcp_of(sk);
	if (tcp) {
		e->local_port = bpf_ntohs(READ(tcp, inet_conn.icsk_inet.inet_sport));
		if (READ(tcp, inet_conn.icsk_ulp_ops))
			e->missing = MISSING_TLS;
		else if (e->peer_port)
			fill_sequence(e, sk, tcp, c);
	} else {
		e->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	}
	fill_role(e, sk, c);
	if (c) {
		if (kind == KIND_DATA)
			take_turn(c, e);
		fill_turns(e, c);
	}
}
