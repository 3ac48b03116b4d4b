// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Frames, on connections whose opening tells how they are laid out, or user space
// where one begins: where each ends is known by its head, so that what nobody wants
// of it is passed over without asking user space.
#pragma once

// Frames are looked for so many bytes behind where the next one begins: what has
// been copied of one that is skimmed was copied for nothing.
#define FRAME_CHUNK 1024
// Steps of copy_frames(), each of which copies a chunk or reads a head. Where they
// are too few it is resumed. Of a read or write with more than FRAME_WALKS frames
// that are skimmed, or 16,384 others, the rest is copied.
#define FRAME_STEPS 32
#define FRAME_WALKS 512

static __always_inline struct frames *frames_of(struct connection *c, bool out)
{
	return out ? &c->frames_out : &c->frames_in;
}

// How many bytes b lies behind a.
static __always_inline s32 behind(u32 b, u32 a)
{
	return b - a;
}

// Whether all from seq to end lies within what is passed over of a frame, and the frame
// goes on.
static __always_inline bool within(const struct frames *f, u8 opening, u32 seq, u32 end)
{
	return opening && f->opening == opening && behind(seq, f->from) >= 0 && behind(f->next, end) > 0;
}

// Where the next head goes on.
static __always_inline u32 head_at(const struct frames *f)
{
	return f->next + f->have;
}

// Whether another frame begins in what is left of the event.
static __always_inline bool has_frames(const struct scratch *s)
{
	const struct frames *f = &s->frames;
	return f->opening && behind(head_at(f), s->event.seq) < (s32)s->event.len_bytes;
}

// Finds where the frames of the event are, and says how many of its first bytes
// are to be passed over. Where nothing is skimmed they are forgotten; frame says
// that one begins behind the first unwanted bytes.
static __always_inline u32 begin_frames(struct scratch *s, struct sock *sk, u8 opening, bool frame, u32 unwanted)
{
	struct event *e = &s->event;
	struct frames *f = &s->frames;
	struct connection *c = find_connection(sk);
	if (!c)
		return 0;
	struct frames *known = frames_of(c, e->flags & FLAG_OUT);
	if (frame)
		*known = (struct frames){ .opening = opening, .next = e->seq + unwanted, .from = e->seq, .told = e->seq };
	*f = *known;
	s->framed = f->opening;
	s32 ahead = behind(head_at(f), e->seq);
	bool whole = e->flags & FLAG_SEQUENCED && ahead >= 0;
	if (f->opening && whole && behind(f->told, f->from) >= 0 && behind(e->seq, f->told) > 0)
		e->passed_bytes = e->seq - f->told;
	if (!opening || !whole || (f->have && ahead > 0))
		f->opening = 0; // something was missed
	if (!f->opening)
		return 0;
	e->flags |= FLAG_FRAMED;
	if (behind(f->from, e->seq) > 0)
		return 0;
	return (u32)ahead < e->len_bytes ? (u32)ahead : e->len_bytes;
}

// Begins to look for frames in an event that begins as one of openings does.
static __always_inline void open_frames(struct scratch *s, u8 opening)
{
	const volatile struct opening *o = &openings[(opening - 1) & (OPENINGS - 1)];
	if (!o->skim_from || !(s->event.flags & FLAG_SEQUENCED))
		return;
	s->framed = s->opens = true;
	s->event.flags |= FLAG_FRAMED;
	s->frames = (struct frames){ .opening = opening };
	s->frames.next = s->frames.from = s->event.seq + o->preface_bytes;
}

// Keeps where the frames of sk are, behind an event of seq to end.
static __always_inline void keep_frames(struct scratch *s, struct sock *sk, u32 seq, u32 end, u32 ack)
{
	struct frames *f = &s->frames;
	bool out = s->event.flags & FLAG_OUT;
	struct connection *c = find_connection(sk);
	if (!c)
		return;
	if (s->opens) { // only what a connection begins with is an opening
		if (!c->opened || (c->role == ROLE_CLIENT) != out || frames_of(c, out)->next != seq)
			return;
		// What the server has said before the client did is taken to be whole frames.
		*frames_of(c, !out) = (struct frames){ .opening = f->opening, .next = ack, .from = ack, .told = ack };
	}
	if (behind(head_at(f), end) < 0)
		f->opening = 0;
	f->told = end;
	*frames_of(c, out) = *f;
}

// Reads on in a head, of which so many bytes are at payload + at. Global as
// copy_payload is.
__noinline int read_head(u32 slot, u32 at, u32 there)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return 0;
	struct frames *f = &s->frames;
	const volatile struct opening *o = &openings[(f->opening - 1) & (OPENINGS - 1)];
	const u8 *from = s->payload + (at & (PAYLOAD_BYTES - 1));
	if (!f->have && there >= o->head_bytes) {
		((u64 *)f->head)[0] = ((u64 *)from)[0];
		((u64 *)f->head)[1] = ((u64 *)from)[1];
	} else {
		for (u32 i = 0; i < FRAME_HEAD; i++) {
			if (i >= there || f->have >= o->head_bytes)
				break;
			f->head[f->have++ & (FRAME_HEAD - 1)] = from[i];
		}
		if (f->have < o->head_bytes)
			return 0;
	}
	u32 length = bpf_ntohl(*(u32 *)(f->head + (o->length_at & 7))) >> (32 - 8 * o->length_bytes & 31);
	u32 type = f->head[o->type_at & (FRAME_HEAD - 1)];
	u32 body = f->next + o->head_bytes;
	f->have = 0;
	f->next = f->from = body + length;
	// No frame is skimmed whose end has been copied.
	if (length >= o->skim_from && type < 32 && o->skims >> type & 1 && !s->opens &&
	    behind(f->next, s->event.seq + s->event.captured_bytes) >= 0)
		f->from = body + o->kept_bytes;
	return 0;
}

// Does what copy_payload() does where frames are known. It stops at what is passed
// over of one, with MISSING_SKIPPED.
__noinline int copy_frames(u32 slot, u32 want)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
	if (!s)
		return MISSING_FAULT;
	volatile struct frames *f = &s->frames;
	volatile u16 *captured = &s->event.captured_bytes;
	u32 seq = s->event.seq;
	for (int step = 0; step < FRAME_STEPS; step++) {
		u32 done = *captured, next = f->next, from = f->from;
		bool skim = from != next && behind(from, seq) >= 0;
		u32 at = skim ? from - seq : next + f->have - seq;
		u32 to = skim ? at : at + FRAME_CHUNK;
		if (to > want)
			to = want;
		if (at >= done && done < to) {
			int missing = copy_payload(slot, to);
			if (missing)
				return missing;
		} else if (!skim && at < done) {
			read_head(slot, at, done - at);
		} else if (!skim || at > done) {
			return MISSING_NONE;
		} else {
			u32 rest = next - seq;
			if (rest > s->event.len_bytes)
				rest = s->event.len_bytes;
			s->unwanted = rest - done;
			*captured = at;
			return MISSING_SKIPPED;
		}
	}
	return COPY_AGAIN;
}
