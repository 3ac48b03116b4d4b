// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The seam: what kernel and user space share. The Go types are made from these
// (bpf2go -type), and the tokens that name losses and gaps to the user are the
// names below, in lower case and without their prefix.
#pragma once

enum kind : u8 {
	KIND_DATA,
	KIND_OPENED,
	KIND_ENDED,
	KIND_CLOSED,
};

// Which end of the connection the socket is.
enum role : u8 {
	ROLE_CLIENT,
	ROLE_SERVER,
};

enum flag : u8 {
	FLAG_OUT = 1 << 0,       // the observed end sent; else it received
	FLAG_RESET = 1 << 1,     // KIND_CLOSED: aborted, not ended
	FLAG_SEQUENCED = 1 << 2, // seq and ack are valid
	FLAG_OPENED = 1 << 3,    // role is known from the opening; else it is a guess
	FLAG_CONTINUED = 1 << 4, // of a read or write of which the event before told the beginning
	FLAG_TURNED = 1 << 5,    // KIND_DATA: begins a turn
	FLAG_FRAMED = 1 << 6,    // KIND_DATA: it is known where frames begin in it
};

// Why captured_bytes < len_bytes.
enum missing : u8 {
	MISSING_NONE,
	MISSING_LIMIT,       // longer than max_payload_bytes, or RECORDS of them
	MISSING_PRESSURE,    // not the first of a turn, or of a read or write, while the ring was half full
	MISSING_SKIPPED,     // user space does not want them
	MISSING_DISCARDED,   // read with MSG_TRUNC: never copied to the reader either
	MISSING_FAULT,       // the buffer was not in memory
	MISSING_MMSG,        // sendmmsg, recvmmsg: which of the messages is not known
	MISSING_SPLICE,      // sendfile, splice: they were never in user memory
	MISSING_ASYNC,       // moved outside a syscall: io_uring, or the kernel itself
	MISSING_COMPAT_TASK, // by a 32-bit task, whose syscalls are not decoded
	MISSING_SYSCALL,     // by a syscall on something else, or one that is not decoded
	MISSING_ENTRY,       // the call's beginning was not seen, and with it where its buffer is
	MISSING_TLS,         // encrypted by the kernel: what was moved is not what TCP carries
};

// One event, followed by captured_bytes of payload. A read or write is one, or
// several that follow each other: they differ in seq, in what of it they are,
// and in FLAG_CONTINUED.
struct event {
	u64 flow;     // socket cookie, or from its address (flow_of)
	u64 time_ns;  // CLOCK_BOOTTIME
	u64 start_ns; // KIND_DATA: CLOCK_BOOTTIME when the process started
	// TCP sequence numbers: of the first byte moved and not passed over, for other
	// kinds of the next one; and of the next byte of the other direction. FINs not counted.
	u32 seq;
	u32 ack;
	u32 len_bytes;     // moved
	u32 passed_bytes;  // KIND_DATA: passed over right before seq, of which no other event tells; not in len_bytes
	u32 tgid;          // KIND_DATA: process, by its number in the first pid namespace
	u8 local_addr[16]; // IPv4 as ::ffff:a.b.c.d
	u8 peer_addr[16];
	char comm[TASK_COMM_LEN]; // KIND_DATA: of the process's first thread
	u16 local_port;           // host byte order
	u16 peer_port;
	u16 captured_bytes;       // the first of those that moved, which follow
	u16 execs;                // KIND_DATA: tells apart the programs that the process has executed
	// Turns that began since the last event of the flow that reached the ring,
	// with that of this one: of the observed end, and of its peer. A turn is what
	// one of them says until the other does.
	u16 turns_out;
	u16 turns_in;
	enum kind kind;
	enum role role;
	enum missing missing;
	enum flag flags;
	u8 pad[4];
};
_Static_assert(sizeof(struct event) == 112, "no hidden padding, a multiple of 8");

// What user space asks for one flow, see maps.h. A word is a tag in the upper
// half, of the flow's bits that do not choose its slot (policy_tag), and a value
// in the lower half. One aligned word is read and written at once.
struct policy {
	u64 skip_out; // value: copy nothing of what is sent before this sequence number;
		      // with POLICY_FRAME: there a frame begins
	u64 skip_in;  // the same of what is received
	u64 records;  // value: events that each read or write may become; 0: report none of them;
		      // and times 256 which of openings tells what of its frames is skimmed, from 1 on;
		      // 0: nothing is
};
_Static_assert(sizeof(struct policy) == 24, "three words");

// How the connections of a protocol begin, and how the frames are laid out that
// all they say consists of, if it does. See framing.h.
#define FRAME_HEAD 16 // bytes, at the most
struct opening {
	u64 first;         // bytes of the client; 0: none
	u32 skim_from;     // least length of a frame, without its head, that is skimmed; 0: none is
	u32 skims;         // types that are, bit by bit
	u8 preface_bytes;  // of the client before its first frame
	u8 head_bytes;     // of a frame
	u8 length_at;      // of them, where the length of what follows them is, up to 7
	u8 length_bytes;   // up to 4, in network byte order
	u8 type_at;
	u8 kept_bytes;     // of a frame that is skimmed: how many are copied behind its head
	u8 pad[2];
};
_Static_assert(sizeof(struct opening) == 24, "no hidden padding");

// What became of events that never reached the ring.
enum loss {
	LOSS_RING_FULL_DATA,  // a read or write, while the ring was full
	LOSS_RING_FULL_STATE, // an opening, end or close, while the ring was full
	LOSS_RING_FULL_TURN,  // a turn of a client, with all that came after it, while the ring was full
	LOSS_IGNORED,         // a read or write of a flow that user space ignores
};
#define LOSSES (LOSS_IGNORED + 1)
