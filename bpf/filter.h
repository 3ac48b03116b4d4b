// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Which connections and processes are of interest: decided before anything is
// copied. What a connection is found to be is kept with it.
#pragma once

// The lists that user space can fill. An empty INCLUDE includes all.
enum filter : u16 {
	FILTER_LOCAL_INCLUDE,
	FILTER_LOCAL_EXCLUDE,
	FILTER_PEER_INCLUDE,
	FILTER_PEER_EXCLUDE,
	FILTER_PORT_INCLUDE,
	FILTER_PORT_EXCLUDE,
	FILTER_PROCESS,
};

// The lists that are not empty, bit by bit. A constant for the verifier: what is
// not used costs nothing.
volatile const u32 filters = 0;
#define FILTERS_OF_CONNECTIONS ((1 << FILTER_PROCESS) - 1)

// The port by which user space tests itself. 0: none.
volatile u32 self_test_port = 0;

// network of a list -> nothing. Written by user space before anything runs, who
// also sets the size.
struct network {
	u32 bits; // of what follows
	enum filter list;
	u16 v4; // IPv4 apart, so that ::/0 is that of IPv6
	u8 addr[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct network);
	__type(value, u8);
} networks SEC(".maps");

// list and port / 64 -> which of these 64 ports are in the list. Written by user
// space before anything runs.
#define PORT_WORDS (1 << 16 >> 6)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * PORT_WORDS); // those to include, those to exclude
	__type(key, u32);
	__type(value, u64);
} ports SEC(".maps");

// process -> that it is not wanted. Written by user space at the first data of
// a process; until then, and when it was pushed out, user space drops what comes.
// 16,384 for 1.5 MiB; user space makes it small where it is not used.
struct refusal {
	u64 start_ns;
	u32 execs; // event.execs
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16 << 10);
	__type(key, u32); // tgid
	__type(value, struct refusal);
} refusals SEC(".maps");

static __always_inline bool is_used(enum filter filter) { return filters & 1 << filter; }

static __always_inline bool is_in_network(enum filter filter, const u8 addr[16])
{
	const u32 *words = (const u32 *)addr;
	struct network key = {
		.bits = 8 * (sizeof(key) - sizeof(key.bits)),
		.list = filter,
		.v4 = !words[0] && !words[1] && words[2] == bpf_htonl(0xffff),
	};
	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&networks, &key);
}

static __always_inline bool is_port_in(u32 list, u16 port)
{
	u32 at = list * PORT_WORDS + (port >> 6);
	u64 *word = bpf_map_lookup_elem(&ports, &at);
	return word && *word >> (port & 63) & 1;
}

// Whether the server's port is in a list. Who is the server is guessed of
// connections older than capture, so any of the two ports may be its.
static __always_inline bool is_server_port_in(u32 list, const struct event *e)
{
	if (e->role == ROLE_SERVER)
		return is_port_in(list, e->local_port);
	return is_port_in(list, e->peer_port) ||
	       (!(e->flags & FLAG_OPENED) && is_port_in(list, e->local_port));
}

// Not inlined, because it is called from every program in several places.
static __noinline bool passes(const struct event *e)
{
	if (is_used(FILTER_LOCAL_INCLUDE) && !is_in_network(FILTER_LOCAL_INCLUDE, e->local_addr))
		return false;
	if (is_used(FILTER_LOCAL_EXCLUDE) && is_in_network(FILTER_LOCAL_EXCLUDE, e->local_addr))
		return false;
	if (is_used(FILTER_PEER_INCLUDE) && !is_in_network(FILTER_PEER_INCLUDE, e->peer_addr))
		return false;
	if (is_used(FILTER_PEER_EXCLUDE) && is_in_network(FILTER_PEER_EXCLUDE, e->peer_addr))
		return false;
	if (is_used(FILTER_PORT_INCLUDE) && !is_server_port_in(0, e))
		return false;
	if (is_used(FILTER_PORT_EXCLUDE) && is_server_port_in(1, e))
		return false;
	return true;
}

// Whether the connection that e tells of is wanted.
static __always_inline bool wanted(struct sock *sk, const struct event *e)
{
	if (!(filters & FILTERS_OF_CONNECTIONS))
		return true;
	// Of an accepted MPTCP connection the peer is not known when it opens.
	if (!e->peer_port || e->local_port == self_test_port || e->peer_port == self_test_port)
		return true;
	struct connection *c = connection_of(sk);
	if (c && c->verdict)
		return c->verdict == VERDICT_WANTED;
	bool pass = passes(e);
	if (c)
		c->verdict = pass ? VERDICT_WANTED : VERDICT_UNWANTED;
	return pass;
}

// Whether it is known that the process that runs is not wanted.
static __always_inline bool process_refused(void)
{
	if (!is_used(FILTER_PROCESS))
		return false;
	u32 tgid = current_tgid();
	struct refusal *r = bpf_map_lookup_elem(&refusals, &tgid);
	if (!r)
		return false;
	struct task_struct *leader = READ(current_task(), group_leader);
	return r->start_ns == READ(leader, start_boottime) && r->execs == (u16)READ(leader, self_exec_id);
}

// Whether it is known that nobody wants the data that this process moves over sk.
static __always_inline bool refused(struct sock *sk)
{
	if (filters & FILTERS_OF_CONNECTIONS) {
		struct connection *c = find_connection(sk);
		if (c && c->verdict == VERDICT_UNWANTED)
			return true;
	}
	return process_refused();
}
