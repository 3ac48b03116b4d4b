// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Which ring the events of a socket go to.
#pragma once

// All events of a socket go to one ring, which keeps their order. Both ends of a
// connection do, since who follows one has to find the other: the client's port chooses,
// which both know, even behind a translated service address, and in which the connections
// of one server differ. An MPTCP socket is accepted before it knows its peer, and without
// sequence numbers its ends are not looked for: there its name chooses.
//
// The choice is kept with the socket, which may forget the port before it ends
// (tcp_disconnect). Where nothing could be kept it is made anew.
static __always_inline u32 shard_of(struct sock *sk, const struct event *e)
{
	if (shards == 1)
		return 0;
	struct connection *c = find_connection(sk);
	if (c && c->shard)
		return c->shard - 1;
	u64 key = e->role == ROLE_CLIENT ? e->local_port : e->peer_port;
	if (READ(sk, sk_protocol) == IPPROTO_MPTCP)
		key = e->flow;
	// Multiplied by 2^64 / phi neighbours are far from each other (Knuth, The Art of
	// Computer Programming, 6.4): connect() takes every second port.
	u32 shard = (key * 0x9e3779b97f4a7c15 >> 32) * shards >> 32;
	if (c)
		c->shard = shard + 1;
	return shard;
}
