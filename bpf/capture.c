//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The kernel side of perisco: copies and counts, knows no protocol.
#include "kernel.h"
#include <bpf/bpf_endian.h>

#include "event.h"
#include "config.h"
#include "maps.h"
#include "socket.h"
#include "shard.h"
#include "process.h"
#include "payload.h"
#include "framing.h"
#include "policy.h"
#include "filter.h"
#include "emit.h"
#include "state.h"
#include "listeners.h"
#include "syscall.h"
#include "socklen.h"
#include "call.h"
#include "fexit.h"
#include "kprobe.h"
#include "sysexit.h"

char _license[] SEC("license") = "Dual MIT/GPL"; // the kernel lets these call GPL-only helpers
