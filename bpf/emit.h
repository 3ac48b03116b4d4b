// SPDX-License-Identifier: MIT OR GPL-2.0-only
// From a backend to the ring. A backend is a header that hooks reads and writes
// after the fact and finds their socket, direction and length. For each it
// calls begin_data; if that wants the payload, finds it; then end_data.
#pragma once

// The reader, if it sleeps, is woken by the event with which as many bytes wait as
// it asked for: a wake-up costs as much as ten events. wake: in any case.
static __always_inline bool output(u32 shard, struct event *e, u64 size, bool wake)
{
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	if (!ring) // never: there are as many as shards
		return false;
	volatile struct alarm *alarm = bpf_map_lookup_elem(&alarms, &shard);
	u64 at = alarm ? alarm->at_bytes : 0;
	if (size > max_payload_bytes) // it may not want what follows
		at /= 4;
	if (at && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + size >= at) {
		alarm->at_bytes = 0;
		wake = true;
	}
	return !bpf_ringbuf_output(ring, e, size, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

// Whether the ring is half full. What is left is for the first bytes of turns, and
// of reads and writes: those of all connections matter more than all of one's.
static __always_inline bool crowded(u32 shard)
{
	void *ring = bpf_map_lookup_elem(&rings, &shard);
	return ring && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
}

// What is copied nevertheless of a read or write that goes on with a long turn:
// enough to tell what it begins with. A body that comes at full speed would else
// fill the ring before user space can say that nobody wants it.
#define CROWDED_BYTES 256

// How much of a read or write is copied into one event.
static __always_inline u32 most_bytes(struct sock *sk, const struct event *e, u32 shard)
{
	if (e->flags & FLAG_TURNED || e->len_bytes <= CROWDED_BYTES || !crowded(shard))
		return max_payload_bytes;
	struct connection *c = find_connection(sk);
	return c && e->seq - c->turn_seq >= max_payload_bytes ? CROWDED_BYTES : max_payload_bytes;
}

// Whether the data that task, which runs, moves over this socket is of interest.
// Before anything that costs.
static __always_inline bool observed(struct sock *sk, struct task_struct *task)
{
	return is_tcp(sk) && READ(task, tgid) != exclude_tgid;
}

// Begins an event in the program's slot; NULL if nobody wants it. The payload
// is wanted unless event.missing is set.
static __always_inline struct scratch *begin_data(enum slot slot, struct sock *sk, bool out,
						  u32 len_bytes)
{
	if (refused(sk))
		return NULL;
	u64 flow = flow_of(sk);
	struct policy *policy = find_policy(flow);
	u32 records = policy ? records_of(policy, flow) : 1;
	if (!records) {
		count(LOSS_IGNORED);
		return NULL;
	}
	if (policy && quiet(sk, policy, flow, out, len_bytes))
		return NULL;
	u32 key = slot;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &key);
	if (!s)
		return NULL;
	fill_socket(&s->event, sk, KIND_DATA, out ? FLAG_OUT : 0, len_bytes);
	if (!wanted(sk, &s->event))
		return NULL;
	s->records = records;
	s->shard = shard_of(sk, &s->event);
	s->most_bytes = records == 1 ? most_bytes(sk, &s->event, s->shard) : max_payload_bytes;
	s->unwanted = s->walks = 0;
	s->frames.opening = 0;
	s->framed = s->opens = s->mute = false;
	bool frame = false;
	u32 unwanted = policy ? skipped(policy, &s->event, &frame) : 0;
	u32 passed = policy && records > 1 ? begin_frames(s, sk, skims(policy, flow), frame, unwanted) : 0;
	if (unwanted == len_bytes || passed == len_bytes)
		s->event.missing = MISSING_SKIPPED;
	else if (s->frames.opening)
		s->unwanted = passed;
	else if (unwanted >= max_payload_bytes) // else it is no less work
		s->unwanted = unwanted;
	return s;
}

// Sends the first len_bytes of the event off, unless there was no room before, and
// leaves one of what is behind the first done_bytes. Reports whether there is
// anything to do for it. Global as copy_payload is.
__noinline int emit_record(u32 slot, u32 len_bytes, u32 done_bytes, u32 missing, u32 wake)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return false;
	struct event *e = &s->event;
	u32 others = e->len_bytes - done_bytes;
	u64 captured = e->captured_bytes;
	if (captured > PAYLOAD_BYTES) // never: for the verifier
		return false;
	if (!s->mute) {
		e->len_bytes = len_bytes;
		e->missing = missing;
		if (output(s->shard, e, sizeof(*e) + captured, wake)) {
			e->turns_out = e->turns_in = 0;
			e->passed_bytes = 0;
			e->flags |= FLAG_CONTINUED;
		} else {
			count(LOSS_RING_FULL_DATA);
			s->mute = true;
		}
	}
	e->seq += done_bytes;
	e->len_bytes = others;
	e->captured_bytes = 0;
	if (done_bytes < len_bytes)
		s->mute = true;
	return others && (!s->mute || has_frames(s));
}

// Reports whether the payload begins as one of openings does, and if so asks for
// what follows.
static __always_inline bool opens_whole(struct scratch *s)
{
	if (s->event.captured_bytes < sizeof(openings[0].first))
		return false;
	u64 first = *(u64 *)s->payload;
	u8 found = 0;
	for (int i = 0; i < OPENINGS; i++)
		if (openings[i].first && openings[i].first == first)
			found = i + 1;
	struct policy *policy = found ? find_policy(s->event.flow) : NULL;
	if (!policy)
		return false;
	policy->records = (u64)policy_tag(s->event.flow) << 32 | found << 8 | RECORDS;
	s->records = RECORDS;
	open_frames(s, found);
	return true;
}

// Goes on to copy the payload of the event, sends off what that completes, and
// reports whether there is more to do. Global as copy_payload is.
__noinline int emit_next(u32 slot, u32 wake)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return false;
	struct event *e = &s->event;
	u32 left = e->len_bytes, len_bytes = left;
	u32 want = left < s->most_bytes ? left : s->most_bytes;
	if (++s->walks > FRAME_WALKS)
		s->frames.opening = 0;
	int missing = s->unwanted ? pass_unwanted(slot) : 0;
	if (!missing)
		missing = s->frames.opening ? copy_frames(slot, want) : copy_payload(slot, want);
	if (missing == COPY_AGAIN)
		return true;
	if (s->records == 1 && !(e->flags & FLAG_CONTINUED) && !e->passed_bytes && opens_whole(s))
		return true;
	if (missing == MISSING_SKIPPED) {
		len_bytes = s->frames.next - e->seq;
		if (len_bytes > left)
			len_bytes = left;
		if (len_bytes == e->captured_bytes)
			missing = MISSING_NONE;
	} else if (missing == MISSING_NONE && want < left) {
		if (s->records == 1)
			missing = want < max_payload_bytes ? MISSING_PRESSURE : MISSING_LIMIT;
		else if (crowded(s->shard))
			missing = MISSING_PRESSURE;
		else
			len_bytes = want;
		s->records--;
	}
	bool left_out = missing == MISSING_LIMIT || missing == MISSING_PRESSURE;
	return emit_record(slot, len_bytes, left_out && s->frames.opening ? want : len_bytes, missing, wake);
}

// Copies the payload of the event and sends it off, as one record or several.
// If the ring has no room for one, those behind it are left out, too: each but
// the first is of use behind the others only. Frames are followed nevertheless.
// Global as copy_payload is.
__noinline int emit_records(u32 slot, u32 new_process)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return 0;
	struct event *e = &s->event;
	// A process may be gone in a moment, and with it what /proc tells of it:
	// user space has to see its first event at once.
	bool wake = new_process;
	if (e->missing) {
		emit_record(slot, e->len_bytes, e->len_bytes, e->missing, wake);
		return 0;
	}
	e->passed_bytes += s->unwanted;
	e->seq += s->unwanted;
	e->len_bytes -= s->unwanted;
	for (int copies = 0; copies < COPIES + FRAME_WALKS; copies++)
		if (!emit_next(slot, wake))
			return 0;
	emit_record(slot, e->len_bytes, e->len_bytes, MISSING_FAULT, wake); // someone added segments meanwhile
	return 0;
}

// Copies the payload, if there is one, and sends the event off.
static __always_inline int end_data(enum slot slot, struct scratch *s, struct sock *sk, struct task_struct *task,
				    const struct payload *from)
{
	bool new_process = fill_process(&s->event, task);
	if (!s->event.missing)
		s->event.missing = from->missing;
	begin_copy(s, from);
	u32 seq = s->event.seq, end = seq + s->event.len_bytes, ack = s->event.ack;
	emit_records(slot, new_process);
	if (s->framed)
		keep_frames(s, sk, seq, end, ack);
	bool told = s->event.flags & FLAG_CONTINUED;
	struct connection *c = told ? NULL : find_connection(sk);
	if (c)
		turns_untold(c, &s->event);
	return 0;
}

// Sends off that a connection opens, ends or closes, with the event made in e.
static __always_inline int emit_state_in(struct event *e, struct sock *sk, enum kind kind, u8 flags)
{
	struct connection *c = find_connection(sk);
	if (c && c->hidden)
		return 0;
	fill_socket(e, sk, kind, flags, 0);
	if (!wanted(sk, e))
		return 0;
	if (output(shard_of(sk, e), e, sizeof(*e), false))
		return 0;
	count(LOSS_RING_FULL_STATE);
	if (c)
		turns_untold(c, e);
	if (c && c->opened && kind == KIND_CLOSED) // nobody will tell of them
		count_many(LOSS_RING_FULL_TURN, e->role == ROLE_CLIENT ? c->turns_out : c->turns_in);
	return 0;
}

static __always_inline int emit_state(struct sock *sk, enum kind kind, u8 flags)
{
	struct event e;
	return emit_state_in(&e, sk, kind, flags);
}
