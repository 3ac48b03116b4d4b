// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The bytes of a read or write, in the memory of the process that runs.
#pragma once

struct payload {
	const void *buffer;           // or, with segments
	const struct iovec *segments; // in user memory
	u64 count;                    // of segments
	enum missing missing;         // why neither is known
};

// Copies up to want bytes of a payload behind the event in scratch, and says
// why it stopped short. A global function of numbers: the verifier then looks
// at it once, not once for every way that leads here.
__noinline int copy_payload(u32 slot, u64 buffer, u64 segments, u64 count, u32 want)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return MISSING_FAULT;
	volatile u32 *captured = &s->event.captured_bytes; // from memory each time, see struct scratch
	s->segment.iov_base = (void *)buffer;
	s->segment.iov_len = segments ? 0 : want;
	s->next = 0;
	for (int step = 0; step < COPY_STEPS; step++) {
		u32 done = *captured;
		if (done >= want)
			return MISSING_NONE;
		if (!s->segment.iov_len) {
			if (s->next >= count)
				return MISSING_FAULT; // someone changed them meanwhile
			if (bpf_probe_read_user(&s->segment, sizeof(s->segment), (struct iovec *)segments + s->next))
				return MISSING_FAULT;
			s->next++;
		}
		u64 n = want - done;
		if (n > s->segment.iov_len)
			n = s->segment.iov_len;
		if (n > COPY_STEP)
			n = COPY_STEP;
		if (bpf_probe_read_user(s->payload + (done & (PAYLOAD_BYTES - 1)), n, s->segment.iov_base))
			return MISSING_FAULT;
		s->segment.iov_base += n;
		s->segment.iov_len -= n;
		*captured = done + n;
	}
	return *captured < want ? MISSING_SEGMENTS : MISSING_NONE;
}
