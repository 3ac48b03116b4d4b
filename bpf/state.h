// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Openings, ends and closes of connections. Often runs in a soft interrupt, so
// the process is whichever was there.
#pragma once

// A TCP connection that carries an MPTCP one, which is seen itself.
static __always_inline bool is_subflow(struct sock *sk)
{
	struct tcp_sock *tcp = tcp_of(sk);
	return tcp && bpf_core_field_exists(tcp->is_mptcp) && READ(tcp, is_mptcp);
}

// Runs in connect(2), so here the process is known. Who looks for the client of a
// connection must not find one that says nothing.
static __always_inline int connecting(struct sock *sk)
{
	bool hidden = current_tgid() == exclude_tgid || process_refused();
	struct connection *c = hidden ? connection_of(sk) : find_connection(sk);
	if (c)
		c->hidden = hidden;
	return 0;
}

static __always_inline int opened(struct sock *sk, enum role role)
{
	struct connection *c = connection_of(sk);
	if (c)
		*c = (struct connection){
			.role = role,
			.opened = true,
			.generation = bpf_get_prandom_u32(),
			.hidden = c->hidden,
			.shard = c->shard, // of a socket that connects again
		};
	struct tcp_sock *tcp = tcp_of(sk);
	if (c && tcp) {
		c->frames_out.next = next_out(tcp, c);
		c->frames_in.next = next_in(sk, tcp);
	}
	return emit_state(sk, KIND_OPENED, FLAG_OUT);
}

static __always_inline int ended_out(struct sock *sk)
{
	emit_state(sk, KIND_ENDED, FLAG_OUT);
	struct connection *c = connection_of(sk);
	if (c)
		c->fin_sent = true; // next comes tcp_send_fin()
	return 0;
}

// For a receive that returned 0: the end of the stream, unless nothing was
// asked for. Applications that see it again and again are told of once. The event
// is made in the slot of the program: on its stack there is no room beside what
// its copies call, which old kernels round up to 32 bytes each.
static __always_inline int ended_in(enum slot slot, struct sock *sk)
{
	if (!(READ(sk, sk_shutdown) & RCV_SHUTDOWN))
		return 0;
	struct connection *c = connection_of(sk);
	if (c && c->end_read)
		return 0;
	if (c)
		c->end_read = true;
	u32 key = slot;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &key);
	return s ? emit_state_in(&s->event, sk, KIND_ENDED, 0) : 0;
}

static __always_inline int closed(struct sock *sk, int from)
{
	// Left without a FIN of ours, or with an error (tcp_reset, tcp_write_err).
	bool no_fin = from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT;
	bool error = READ(sk, sk_err) != 0;
	enum flag flags = FLAG_OUT | (no_fin || error ? FLAG_RESET : 0);
	bool mptcp = READ(sk, sk_protocol) == IPPROTO_MPTCP;
	// While the application holds the socket it can read what came before.
	if (!SOCK_FLAG(sk, SOCK_DEAD) && !(no_fin && !error) && !mptcp) {
		struct connection *c = connection_of(sk);
		if (c) {
			c->closed = true;
			c->reset = flags & FLAG_RESET;
			return 0;
		}
	}
	emit_state(sk, KIND_CLOSED, flags);
	if (mptcp) // destroy does not see it
		forget_connection(sk);
	return 0;
}

// Runs before sk gets its new state.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int from, int to)
{
	if (!is_tcp(sk) || is_subflow(sk))
		return 0;
	switch (to) {
	case TCP_SYN_SENT:
		return connecting(sk);
	case TCP_ESTABLISHED:
		if (from == TCP_SYN_SENT)
			return opened(sk, ROLE_CLIENT);
		if (from == TCP_SYN_RECV || from == TCP_LISTEN) // the latter: mptcp_sk_clone_init()
			return opened(sk, ROLE_SERVER);
		break;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		if (from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT)
			return ended_out(sk);
		break;
	case TCP_CLOSE:
		if (from != TCP_SYN_SENT && from != TCP_SYN_RECV && from != TCP_LISTEN && from != TCP_CLOSE)
			return closed(sk, from);
	}
	return 0;
}

// The last that is seen of a socket.
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy, struct sock *sk)
{
	struct connection *c = find_connection(sk);
	if (c && c->closed)
		emit_state(sk, KIND_CLOSED, FLAG_OUT | (c->reset ? FLAG_RESET : 0));
	forget_connection(sk);
	return 0;
}
