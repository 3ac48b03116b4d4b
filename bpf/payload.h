// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The bytes of a read or write, in the memory of the process that runs.
#pragma once

// Begins to copy at the first byte.
static __always_inline void begin_copy(struct scratch *s, const struct payload *from)
{
	s->from = *from;
	s->segment.iov_base = from->buffer;
	s->segment.iov_len = from->segments ? 0 : s->event.len_bytes;
	s->next = 0;
}

// Reads the next segment.
static __always_inline bool next_segment(struct scratch *s)
{
	const struct iovec *at = s->from.segments + s->next;
	long err = s->from.in_kernel ? bpf_probe_read_kernel(&s->segment, sizeof(s->segment), at)
				     : bpf_probe_read_user(&s->segment, sizeof(s->segment), at);
	if (err)
		return false;
	u64 skip = s->next ? 0 : s->from.offset;
	if (skip > s->segment.iov_len)
		skip = s->segment.iov_len;
	s->segment.iov_base += skip;
	s->segment.iov_len -= skip;
	s->next++;
	return true;
}

// Says that COPY_STEPS were too few. Of enum missing is why there is no more.
#define COPY_AGAIN -1

// Goes on to pass over what is not wanted, and says why it stopped short.
__noinline int pass_unwanted(u32 slot)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return MISSING_FAULT;
	volatile u32 *unwanted = &s->unwanted;
	for (int step = 0; step < COPY_STEPS; step++) {
		u64 n = *unwanted;
		if (!n)
			return MISSING_NONE;
		if (!s->segment.iov_len && (s->next >= s->from.count || !next_segment(s)))
			return MISSING_FAULT;
		if (n > s->segment.iov_len)
			n = s->segment.iov_len;
		s->segment.iov_base += n;
		s->segment.iov_len -= n;
		*unwanted -= n;
	}
	return COPY_AGAIN;
}

// Goes on to copy what s->from has, until want bytes are behind the event, and
// says why it stopped short. A global function of numbers: the verifier then
// looks at it once, not once for every way that leads here.
__noinline int copy_payload(u32 slot, u32 want)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return MISSING_FAULT;
	volatile u16 *captured = &s->event.captured_bytes; // from memory each time, see struct scratch
	for (int step = 0; step < COPY_STEPS; step++) {
		u32 done = *captured;
		if (done >= want)
			return MISSING_NONE;
		if (!s->segment.iov_len) {
			if (s->next >= s->from.count) // someone changed them meanwhile
				return MISSING_FAULT;
			if (!next_segment(s))
				return MISSING_FAULT;
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
	return *captured < want ? COPY_AGAIN : MISSING_NONE;
}
