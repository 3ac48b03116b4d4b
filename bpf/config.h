// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Knobs that user space sets: constants before the program is loaded, the
// others at any time.
#pragma once

// Whether sockets and tasks come with a type that the verifier knows, and it
// lets helpers take them (kernel 5.13). Then a socket is named by its cookie
// and what is known of it kept with it; else by and under its address. A
// constant for the verifier, which never looks at the other half.
volatile const bool typed = true;

// Arguments of tcp_recvmsg(): 6, from kernel 5.19 on 5, from 7.1 on 4.
volatile const u32 recvmsg_args = 5;

// Most bytes copied of one read or write; 256 at the least, and no more than
// this default. With COPY_STEP behind them they must fit a per-CPU value,
// which is 32 KiB at the most (PCPU_MIN_UNIT_SIZE).
#define PAYLOAD_BYTES (16 << 10)
volatile const u32 max_payload_bytes = PAYLOAD_BYTES;

// How connections begin that are to be copied whole from the start, as if user
// space had asked for it: until it has seen them and can, much may have moved.
#define OPENINGS 4
volatile const struct opening openings[OPENINGS];

// How many rings events go to, each with a reader of its own: shard_of() chooses.
volatile const u32 shards = 1;

// Process whose data is not reported: user space itself, once it has learned
// its number in the first pid namespace. 0: none.
volatile u32 exclude_tgid = 0;
