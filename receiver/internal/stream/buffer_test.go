package stream_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

func feed(b *stream.Buffer, data string, missing int64, at stream.Time) bool {
	lost := b.Feed(stream.Chunk{Data: []byte(data), Missing: missing, At: at}, nil)
	return lost
}

func TestBytesOfSeveralChunksAreOneStretch(t *testing.T) {
	var b stream.Buffer
	for i, s := range []string{"GET ", "/ HT", "TP/1.1"} {
		feed(&b, s, 0, stream.Time(i+1))
		b.Settle()
	}
	if got := string(b.Bytes()); got != "GET / HTTP/1.1" {
		t.Errorf("bytes = %q", got)
	}
	if b.Time() != 1 || b.Latest() != 3 {
		t.Errorf("time = %d, latest = %d, want 1 and 3", b.Time(), b.Latest())
	}
}

func TestSettledBytesSurviveTheReuseOfTheChunk(t *testing.T) {
	var b stream.Buffer
	chunk := []byte("abcdef")
	b.Feed(stream.Chunk{Data: chunk}, nil)
	b.Discard(2)
	b.Settle()
	copy(chunk, "XXXXXX")
	if got := string(b.Bytes()); got != "cdef" {
		t.Errorf("bytes = %q", got)
	}
}

func TestWhatStartsInTheLatestChunkHasItsTime(t *testing.T) {
	var b stream.Buffer
	feed(&b, "one tw", 0, 10)
	b.Discard(4)
	b.Settle()
	feed(&b, "o three", 0, 20)
	if b.Time() != 10 {
		t.Errorf("time of %q = %d, want 10", b.Bytes(), b.Time())
	}
	b.Discard(4)
	if b.Time() != 20 {
		t.Errorf("time of %q = %d, want 20", b.Bytes(), b.Time())
	}
}

func TestEveryByteHasTheTimeOfItsChunk(t *testing.T) {
	var b stream.Buffer
	for i, s := range []string{"a", "bcd", "ef", "ghi"} { // nothing is consumed meanwhile
		b.Feed(stream.Chunk{Data: []byte(s), At: stream.Time(i + 1), Ack: uint64(10 * i)}, nil)
		b.Settle()
	}
	for _, want := range []struct {
		next       string
		time, past stream.Time
		ack        uint64
		turned     bool
	}{
		{"abcdefghi", 1, 0, 0, false}, {"bcdefghi", 2, 1, 10, true}, {"cdefghi", 2, 2, 10, false},
		{"defghi", 2, 2, 10, false}, {"efghi", 3, 2, 20, true}, {"fghi", 3, 3, 20, false}, {"ghi", 4, 3, 30, true},
		{"hi", 4, 4, 30, false}, {"i", 4, 4, 30, false}, {"", 4, 4, 30, false},
	} {
		if string(b.Bytes()) != want.next || b.Time() != want.time || b.Past() != want.past || b.Ack() != want.ack || b.Turned() != want.turned {
			t.Errorf("%q: time %d, past %d, ack %d, turned %v, want %+v", b.Bytes(), b.Time(), b.Past(), b.Ack(), b.Turned(), want)
		}
		b.Discard(1)
	}
}

func TestTheFirstAndTheLastOfManyWaitingChunksKeepTheirTimes(t *testing.T) {
	var b stream.Buffer
	for i := range 100 {
		feed(&b, "x", 0, stream.Time(i+1))
		b.Settle()
	}
	if b.Time() != 1 {
		t.Errorf("time of the first = %d", b.Time())
	}
	if b.Discard(99); b.Time() != 100 || b.Past() >= 100 {
		t.Errorf("time of the last = %d, of the one before = %d", b.Time(), b.Past())
	}
	if b.Discard(1); b.Past() != 100 {
		t.Errorf("past = %d, want 100", b.Past())
	}
}

func TestBytesThatWereOwedHaveTheTimeTheyCameAt(t *testing.T) {
	var b stream.Buffer
	feed(&b, "ab", 0, 1)
	b.Discard(5)
	b.Settle()
	feed(&b, "cde", 0, 2)
	if b.Past() != 2 || b.Owed() != 0 {
		t.Errorf("past = %d, %d owed", b.Past(), b.Owed())
	}
	b.Settle()
	feed(&b, "f", 0, 3)
	if b.Past() != 2 || b.Time() != 3 {
		t.Errorf("past = %d, time = %d, want 2 and 3", b.Past(), b.Time())
	}
}

func TestDiscardRunsAheadOfArrival(t *testing.T) {
	var b stream.Buffer
	feed(&b, "head", 0, 1)
	b.Discard(4 + 100)
	if b.Owed() != 100 {
		t.Fatalf("owed = %d, want 100", b.Owed())
	}
	b.Settle()
	feed(&b, "0123456789", 80, 2) // 90 of them, most not captured
	if b.Owed() != 10 || b.Pos() != 94 || b.Truncated() {
		t.Errorf("owed = %d, pos = %d, truncated = %v", b.Owed(), b.Pos(), b.Truncated())
	}
	b.Settle()
	feed(&b, "0123456789next", 0, 3)
	if got := string(b.Bytes()); got != "next" || b.Owed() != 0 || b.Pos() != 104 {
		t.Errorf("bytes = %q, owed = %d, pos = %d", got, b.Owed(), b.Pos())
	}
}

func TestPeekTellsShortFromLost(t *testing.T) {
	var b stream.Buffer
	feed(&b, "abc", 0, 1)
	if _, err := b.Peek(4); !errors.Is(err, stream.ErrShort) {
		t.Errorf("err = %v, want ErrShort", err)
	}
	b.Settle()
	feed(&b, "", 5, 2)
	if _, err := b.Peek(4); !errors.Is(err, stream.ErrHole) {
		t.Errorf("err = %v, want ErrHole", err)
	}
	p, err := b.Peek(3)
	if err != nil || string(p) != "abc" || cap(p) != 3 {
		t.Errorf("peek = %q (cap %d), %v", p, cap(p), err)
	}
}

func TestAHoleThatNobodyDiscardedStartsTheBufferOver(t *testing.T) {
	var b stream.Buffer
	feed(&b, "abc", 5, 1)
	b.Settle()
	if lost := feed(&b, "def", 0, 2); !lost {
		t.Error("not reported as lost")
	}
	if got := string(b.Bytes()); got != "def" || b.Pos() != 8 || b.Time() != 2 {
		t.Errorf("bytes = %q, pos = %d, time = %d", got, b.Pos(), b.Time())
	}
}

// The model is the plain stream: whatever the cuts and the discards, held
// bytes are those of the stream at Pos, and End is what was sent.
func TestBufferAgreesWithThePlainStream(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	sent := make([]byte, 1<<16)
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	for range 200 {
		var b stream.Buffer
		var pool stream.Pool
		for at := 0; at < len(sent); {
			n := min(1+r.IntN(3000), len(sent)-at)
			captured := n
			if r.IntN(8) == 0 {
				captured = r.IntN(n + 1)
			}
			chunk := bytes.Clone(sent[at : at+captured])
			b.Feed(stream.Chunk{Data: chunk, Missing: int64(n - captured)}, &pool)
			at += n
			for r.IntN(3) != 0 {
				b.Discard(int64(r.IntN(2000)))
			}
			held := b.Bytes()
			if want := sent[min(b.Pos(), uint64(at)):][:len(held)]; !bytes.Equal(held, want) {
				t.Fatalf("%d bytes held at %d differ from those sent", len(held), b.Pos())
			}
			if b.End() != uint64(at) {
				t.Fatalf("end = %d, want %d", b.End(), at)
			}
			if b.Owed() > 0 && len(held) > 0 {
				t.Fatalf("%d bytes are held while %d are owed", len(held), b.Owed())
			}
			b.Settle()
			clear(chunk)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	var b stream.Buffer
	var pool stream.Pool
	head, tail := bytes.Repeat([]byte("h"), 700), bytes.Repeat([]byte("t"), 300)
	n := testing.AllocsPerRun(1000, func() {
		b.Feed(stream.Chunk{Data: head}, &pool)
		b.Settle()
		b.Feed(stream.Chunk{Data: tail}, &pool)
		b.Discard(1000)
		b.Settle()
	})
	if n != 0 {
		t.Errorf("%v allocations for a message in two chunks", n)
	}
}

func BenchmarkFeed(b *testing.B) {
	chunk := bytes.Repeat([]byte("x"), 700)
	b.Run("whole", func(b *testing.B) {
		var buf stream.Buffer
		var pool stream.Pool
		for b.Loop() {
			buf.Feed(stream.Chunk{Data: chunk}, &pool)
			buf.Discard(700)
			buf.Settle()
		}
	})
	b.Run("split", func(b *testing.B) {
		var buf stream.Buffer
		var pool stream.Pool
		for b.Loop() {
			buf.Feed(stream.Chunk{Data: chunk[:500]}, &pool)
			buf.Settle()
			buf.Feed(stream.Chunk{Data: chunk[500:]}, &pool)
			buf.Discard(700)
			buf.Settle()
		}
	})
}

func TestSequenceNumbersGoOnWhereTCPsWrap(t *testing.T) {
	var b stream.Buffer
	if b.Sequence().Known {
		t.Error("known before anybody said it")
	}
	b.Anchor(1<<32 - 2)
	feed(&b, "abcd", 0, 1)
	b.Discard(3)
	if got, want := b.Sequence(), (stream.Sequence{Number: 1<<32 + 1, Known: true}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	b.Anchor(100) // of the next byte to arrive
	if got, want := b.Sequence(), (stream.Sequence{Number: 99, Known: true}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	b.Drift()
	if b.Sequence().Known {
		t.Error("still known")
	}
}
