package protocoltest

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// Fuzz runs p on arbitrary events, beginning with the conversations in
// testdata/name. Whatever comes, every exchange that is opened ends, the parser
// keeps to its own bounds, and what it says is fit to be shown.
func Fuzz(f *testing.F, p protocol.Protocol, name string) {
	for _, file := range load(f, name) {
		script := encode(file.steps)
		if len(script) > 16<<10 {
			continue // the fuzzer would spend its time on making it smaller
		}
		f.Add(uint8(stream.Server), script)
		f.Add(uint8(stream.Client), script)
	}
	f.Fuzz(func(t *testing.T, flags uint8, script []byte) {
		state := 0
		if flags >= 4 {
			state = 1 << (flags >> 2 % 16)
		}
		r, err := playWithin(state, []protocol.Protocol{p}, decode(script), stream.Side(flags&1), flags&2 != 0)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.counted, "message_too_large=") {
			t.Errorf("the parser held more than the engine allows: %s", r.counted)
		}
		for i := range r.records {
			rec := &r.records[i]
			if rec.Outcome == exchange.Open || rec.Outcome >= exchange.Outcomes || rec.End < rec.Start {
				t.Errorf("%v, %d..%d", rec.Outcome, rec.Start, rec.End)
			}
			for _, c := range rec.summary {
				if unicode.IsControl(c) {
					t.Errorf("control character in %q", rec.summary)
				}
			}
			for k, v := range rec.attributes {
				if !utf8.ValidString(v) {
					t.Errorf("%s = %q", k, v)
				}
			}
		}
	})
}

// Of a step as bytes: what it is, in one; how many bytes are missing, in two;
// how many are not, in two; those.
const (
	fuzzSide = 1 << iota
	fuzzLost
	fuzzKind // and above
)

func encode(steps []step) (script []byte) {
	for _, s := range steps {
		data := s.data
		for first := true; first || len(data) > 0; first = false {
			n := min(len(data), 1<<16-1)
			missing := uint16(0)
			if n == len(data) {
				missing = uint16(min(s.missing, 1<<16-1))
			}
			script = append(script, byte(s.side)|byte(s.kind)*fuzzKind)
			script = binary.LittleEndian.AppendUint16(script, missing)
			script = binary.LittleEndian.AppendUint16(script, uint16(n))
			script = append(script, data[:n]...)
			data = data[n:]
		}
	}
	return script
}

func decode(script []byte) (steps []step) {
	for len(script) >= 5 && len(steps) < 1<<12 {
		op := script[0]
		s := step{
			side:    stream.Side(op & fuzzSide),
			lost:    op&fuzzLost != 0,
			kind:    min(kind(op/fuzzKind)%8, reset) % (reset + 1),
			missing: int64(binary.LittleEndian.Uint16(script[1:])),
			at:      time.Duration(len(steps)) * time.Microsecond,
		}
		n := min(int(binary.LittleEndian.Uint16(script[3:])), len(script)-5)
		s.data, script = script[5:5+n], script[5+n:]
		steps = append(steps, s)
	}
	return steps
}
