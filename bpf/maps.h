// SPDX-License-Identifier: MIT OR GPL-2.0-only
#pragma once

// A step of a copy moves at most so many bytes: a fault costs no more than
// these, and so the buffer behind PAYLOAD_BYTES need not be longer.
#define COPY_STEP (4 << 10)
// Steps of one copy, each of which ends a segment or moves COPY_STEP. A response
// head and its body are 2 to 8 segments. Each step costs the verifier 300 to 450
// instructions; where the steps are too few it is resumed.
#define COPY_STEPS 8
// Events of one read or write of a flow that is copied whole: 1 MiB. The C core
// of gRPC was seen to read 960 KiB at once, Apache to write 160; most write 16
// to 64.
#define RECORDS 64
// Copies for one read or write: one ends with each record, one with what is passed
// over, and the steps of the others suffice for UIO_MAXIOV segments, 1024, and
// each COPY_STEP of the records.
#define COPIES (RECORDS + 1 + 1024 / COPY_STEPS + RECORDS * (PAYLOAD_BYTES / COPY_STEP) / COPY_STEPS + 1)

// Where the bytes of a read or write are, in the memory of the process that runs.
struct payload {
	const void *buffer;           // or, with segments
	const struct iovec *segments; // in user memory, unless in_kernel
	u64 count;                    // of segments
	u64 offset;                   // into the first of them
	enum missing missing;         // why neither is known
	bool in_kernel;
	u8 pad[6];
};

// Where the frames of one direction of a connection are.
struct frames {
	u32 next;   // sequence number at which the next one begins
	u32 from;   // before it: what is passed over from there on; next: nothing
	u8 opening; // which of openings tells what they look like, from 1 on; 0: it is not known where they are
	u8 have;    // bytes of head
	u8 pad[2];
	u32 told;   // up to which an event was made of what was moved; what is quiet has none
	u8 head[FRAME_HEAD]; // of the next one, if it was not moved at once
};

// One event under construction, and how far its copy has come: kept in a map
// because the verifier forgets what it knew of memory, and so need not look
// at every combination of earlier steps.
struct scratch {
	struct event event;
	u8 payload[PAYLOAD_BYTES + COPY_STEP];
	struct payload from;
	struct iovec segment; // rest of the segment being copied
	u64 next;             // index of the segment after it
	u32 unwanted;         // bytes to pass over before it is copied
	u32 records;          // that may still be made of it
	u32 most_bytes;       // copied into one
	u32 shard;
	struct frames frames;
	u32 walks; // of copy_frames()
	bool framed; // frames are to be kept
	bool opens;  // they were found by the opening, and are not sure
	bool mute;   // nothing more of it is sent off
};

// shard -> events on their way to user space, in one order for all CPUs. Written by
// all programs, read by capture. User space makes the rings, and says how many.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 64 << 10);
		});
} rings SEC(".maps");

// shard -> when its reader is to be woken. Written by user space through its mapping
// before the reader sleeps, and here when it is woken. As many as there are rings: 64 at
// the most, in one page.
struct alarm {
	u64 at_bytes; // that wait in the ring; 0: the reader is awake
	u64 pad[7];   // to a cache line: CPUs look at it with every event
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct alarm);
} alarms SEC(".maps");

// program (enum slot) -> its scratch. One for each program, because one can
// interrupt another; the same never does on one CPU (bpf_prog.active).
enum slot { SLOT_SEND, SLOT_RECV, SLOTS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

// socket -> what was seen of its connection. Written when it opens and ends, and
// by its data, read by every event of it, deleted by the kernel with the
// socket. As large as there are connections.
enum verdict : u8 {
	VERDICT_NONE,
	VERDICT_WANTED,
	VERDICT_UNWANTED,
};
struct connection {
	enum role role; // valid if opened
	bool opened;
	bool end_read; // by the application
	bool fin_sent; // counted in tcp_sock.write_seq
	bool closed;   // KIND_CLOSED is due when the socket goes
	bool reset;    // with FLAG_RESET
	enum verdict verdict; // of the filters
	bool hidden;   // opened by a process whose data is not reported
	u16 generation; // tells it from others at the same address (flow_of); 0 unless opened
	bool talks_out; // whose turn it is
	bool talks_in;
	u32 turn_seq;  // of its first byte
	u32 turns_out; // that no event told of yet, see struct event
	u32 turns_in;
	u32 progress_out; // when something that is skipped was last reported, see quiet()
	u32 progress_in;
	u32 shard; // from 1 on; 0: none was chosen yet
	struct frames frames_out; // while opening is 0, next is where the stream begins
	struct frames frames_in;
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

// address of a socket -> the same, where it has no type. Deleted when the
// socket goes. 32,768 are what a busy node has open, in 5 MiB; of those pushed
// out the role is a guess again. User space makes it small where it is not used.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32 << 10);
	__type(key, u64);
	__type(value, struct connection);
} connections_by_address SEC(".maps");

static __always_inline u64 address_of(struct sock *sk)
{
	u64 address = 0;
	bpf_probe_read_kernel(&address, sizeof(address), &sk); // copied, it is a number
	return address;
}

// What is known of a connection, NULL if nothing is.
static __always_inline struct connection *find_connection(struct sock *sk)
{
	if (typed)
		return bpf_sk_storage_get(&connections, sk, NULL, 0);
	u64 address = address_of(sk);
	return bpf_map_lookup_elem(&connections_by_address, &address);
}

static __always_inline struct connection *connection_of(struct sock *sk)
{
	if (typed)
		return bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	u64 address = address_of(sk);
	struct connection *c = bpf_map_lookup_elem(&connections_by_address, &address);
	if (c)
		return c;
	struct connection none = {};
	bpf_map_update_elem(&connections_by_address, &address, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&connections_by_address, &address);
}

static __always_inline void forget_connection(struct sock *sk)
{
	if (typed)
		return;
	u64 address = address_of(sk);
	bpf_map_delete_elem(&connections_by_address, &address);
}

// network namespace and port -> 1 where a socket listened when capture began.
// Written by the iterator, read for connections older than that, never
// deleted. A full node has some 100 pods with a few ports each; beyond 4,096
// a server end may be taken for a client's. 300 KiB.
struct listener {
	u32 netns; // inode number
	u32 port;  // host byte order
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 << 10);
	__type(key, struct listener);
	__type(value, u8);
} listeners SEC(".maps");

// low bits of a flow -> what user space asks for it. Written by user space
// through its mapping, and here for flows that begin as one of openings; skips
// that are over are deleted here. Nothing else is: a flow that meets another's
// words does not find its tag, and its first bytes are copied. Two busy flows in
// one slot cost CPU time, or, copied whole, what user space asks for late; with
// 65,536 slots that is one in 13 of 5,000 flows, for 1.5 MiB.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64 << 10);
	__type(key, u32);
	__type(value, struct policy);
} policies SEC(".maps");
#define POLICY_BITS 16

// low bits of a tgid -> which process was seen there last (process_word).
// Written with every first data of a process, never deleted. Two busy
// processes in one slot cost wake-ups, nothing else: with 16,384 slots one in
// 16 of 1,000 processes, for 128 KiB.
#define PROCESSES (16 << 10)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROCESSES);
	__type(key, u32);
	__type(value, u64);
} processes SEC(".maps");

// enum loss -> events, or turns, lost so. Counted up here, summed by user space.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSSES);
	__type(key, enum loss);
	__type(value, u64);
} losses SEC(".maps");

static __always_inline void count_many(enum loss why, u32 n)
{
	u64 *lost = bpf_map_lookup_elem(&losses, &why);
	if (lost)
		*lost += n;
}

static __always_inline void count(enum loss why)
{
	count_many(why, 1);
}
