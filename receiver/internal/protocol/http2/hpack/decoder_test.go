package hpack_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	oracle "golang.org/x/net/http2/hpack"

	"github.com/perisco-io/perisco/receiver/internal/protocol/http2/hpack"
)

// decode reads a block; what is unknown has a question mark for a name.
func decode(t testing.TB, d *hpack.Decoder, block []byte) (fields []string) {
	t.Helper()
	for len(block) > 0 {
		var f hpack.Field
		n, err := d.Decode(block, &f)
		if err != nil {
			t.Fatalf("%x: %v", block, err)
		}
		block = block[n:]
		switch {
		case f.Unknown:
			fields = append(fields, "?")
		case f.Name != nil:
			fields = append(fields, fmt.Sprintf("%s: %s", f.Name, f.Value))
		}
	}
	return fields
}

// encoder makes blocks with x/net's encoder.
type encoder struct {
	*oracle.Encoder
	buf bytes.Buffer
}

func newEncoder() *encoder {
	e := new(encoder)
	e.Encoder = oracle.NewEncoder(&e.buf)
	return e
}

func (e *encoder) block(fields ...string) []byte {
	e.buf.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		_ = e.WriteField(oracle.HeaderField{Name: name, Value: value})
	}
	return bytes.Clone(e.buf.Bytes())
}

func TestStoriesOfOthersAreReadAsTheyWereWritten(t *testing.T) {
	root := os.Getenv("PERISCO_ORACLES")
	if root == "" {
		t.Skip("PERISCO_ORACLES is not set: no stories")
	}
	paths, _ := filepath.Glob(filepath.Join(root, "hpack", "*", "*.json"))
	if len(paths) == 0 {
		t.Fatal("no stories found")
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var story struct {
			Cases []struct {
				Wire    string
				Headers []map[string]string
			}
		}
		if err := json.Unmarshal(data, &story); err != nil {
			t.Fatal(err)
		}
		var d hpack.Decoder
		for i, c := range story.Cases {
			wire, err := hex.DecodeString(c.Wire)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, h := range c.Headers {
				for k, v := range h {
					want = append(want, k+": "+v)
				}
			}
			if got := decode(t, &d, wire); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("%s, case %d: %q, want %q", path, i, got, want)
			}
		}
	}
}

func TestWhatWasMissedIsUnknownAndWhatComesAfterIsNot(t *testing.T) {
	e := newEncoder()
	first := e.block(":method: GET", ":path: /one", "user-agent: me")
	second := e.block(":method: GET", ":path: /two", "user-agent: me")
	third := e.block(":method: GET", ":path: /two", "user-agent: me", ":path: /one")
	var d hpack.Decoder
	decode(t, &d, first)
	d.Forget() // not second: it was not missed, but that cannot be known
	if got := decode(t, &d, second); strings.Join(got, ",") != ":method: GET,:path: /two,?" {
		t.Errorf("second = %q", got)
	}
	if got := decode(t, &d, third); strings.Join(got, ",") != ":method: GET,:path: /two,?,?" {
		t.Errorf("third = %q", got)
	}
}

func TestANameThatIsUnknownStaysSoInTheTable(t *testing.T) {
	var d hpack.Decoder
	d.Forget()
	// A literal to be indexed whose name is that of entry 62, then both entries.
	got := decode(t, &d, []byte{0x7e, 1, 'v', 0xbe, 0x40, 1, 'a', 1, 'b', 0xbe, 0xbf})
	if strings.Join(got, ",") != "?,?,a: b,a: b,?" {
		t.Errorf("fields = %q", got)
	}
}

func TestAnEmptiedTableHoldsNothingUnknown(t *testing.T) {
	var d hpack.Decoder
	d.Forget()
	decode(t, &d, []byte{0x20, 0x3f, 0xe1, 0x1f}) // 0, then 4096
	var f hpack.Field
	if _, err := d.Decode([]byte{0xbe}, &f); !errors.Is(err, hpack.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
}

func TestATableLargerThanOursKeepsItsNewestEntries(t *testing.T) {
	e := newEncoder()
	e.SetMaxDynamicTableSizeLimit(1 << 20)
	e.SetMaxDynamicTableSize(1 << 20)
	var d hpack.Decoder
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("x-%d: %0100d", i, i))
		decode(t, &d, e.block(names[i]))
	}
	known := 0
	for i, name := range names {
		switch got := decode(t, &d, e.block(name)); {
		case len(got) == 1 && got[0] == name:
			known++
		case len(got) != 1 || got[0] != "?" || i > 1600:
			t.Fatalf("%d: %q", i, got)
		}
	}
	if known < 400 {
		t.Errorf("%d known", known)
	}
}

func TestACutFieldIsShort(t *testing.T) {
	e := newEncoder()
	block := e.block(":path: /a/long/path/that/is/not/in/the/table", "x-custom: some value", "x-other: \x00\x01\xff")
	for n := range block {
		var d hpack.Decoder
		var f hpack.Field
		p := block[:n]
		for len(p) > 0 {
			k, err := d.Decode(p, &f)
			if err != nil {
				if !errors.Is(err, hpack.ErrShort) {
					t.Fatalf("cut at %d: %v", n, err)
				}
				break
			}
			p = p[k:]
		}
	}
}

// random makes fields of which many repeat, some are long, some binary.
func random(r *rand.Rand) string {
	switch r.IntN(8) {
	case 0:
		b := make([]byte, r.IntN(300))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return fmt.Sprintf("x-%d: %s", r.IntN(100), b)
	case 1:
		return ":status: 200"
	default:
		return fmt.Sprintf("name-%d: value-%d", r.IntN(20), r.IntN(40))
	}
}

// Whatever is missed, what is told is what was sent.
func TestNothingToldIsWrong(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		e := newEncoder()
		e.SetMaxDynamicTableSizeLimit(1 << 20)
		var d hpack.Decoder
		unknown, told, missed := 0, 0, false
		for range 200 {
			if r.IntN(30) == 0 {
				e.SetMaxDynamicTableSize(uint32(r.IntN(1 << r.IntN(18))))
			}
			var fields []string
			for range r.IntN(12) {
				fields = append(fields, random(r))
			}
			block := e.block(fields...)
			if r.IntN(20) == 0 {
				d.Forget()
				missed = true
				continue
			}
			if r.IntN(10) == 0 {
				d.Shrink()
			}
			got := decode(t, &d, block)
			if len(got) != len(fields) {
				t.Fatalf("%q, want %q", got, fields)
			}
			for i := range got {
				switch {
				case got[i] == "?":
					unknown++
				case got[i] != fields[i]:
					t.Fatalf("%q, want %q", got[i], fields[i])
				default:
					told++
				}
			}
		}
		if !missed && unknown > 0 || told == 0 {
			t.Errorf("missed %v: %d unknown, %d told", missed, unknown, told)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	var d hpack.Decoder
	blocks := traffic(200)
	run := func() {
		var f hpack.Field
		for _, b := range blocks {
			for len(b) > 0 {
				n, _ := d.Decode(b, &f)
				b = b[n:]
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAgainstXNet(f *testing.F) {
	for _, b := range traffic(3) {
		f.Add(b)
	}
	f.Add([]byte{0x3f, 0xb6, 0x0a, 0x82, 0x86, 0x41, 0x8c, 0xf1})
	f.Fuzz(func(t *testing.T, block []byte) {
		// Without its rule that sizes change only at a block's beginning.
		var want []string
		x := oracle.NewDecoder(4096, func(h oracle.HeaderField) { want = append(want, h.Name+": "+h.Value) })
		x.SetAllowedMaxDynamicTableSize(1 << 16)
		var d hpack.Decoder
		var f hpack.Field
		for at := 0; at < len(block); {
			n, err := d.Decode(block[at:], &f)
			want = want[:0]
			if err != nil {
				_, xerr := x.Write(block[at:])
				if xerr == nil {
					xerr = x.Close()
				}
				if xerr == nil {
					t.Fatalf("%x: %v, but %q", block[at:], err, want)
				}
				return
			}
			_, xerr := x.Write(block[at : at+n])
			if xerr == nil {
				xerr = x.Close()
			}
			if xerr != nil {
				if strings.Contains(xerr.Error(), "dynamic table size update") {
					return
				}
				t.Fatalf("%x: %v, but %q: %q", block[at:at+n], xerr, f.Name, f.Value)
			}
			switch {
			case f.Unknown:
				t.Fatal("unknown without a loss")
			case f.Name == nil && len(want) == 0:
			case len(want) != 1 || want[0] != string(f.Name)+": "+string(f.Value):
				t.Fatalf("%q: %q, want %q", f.Name, f.Value, want)
			}
			at += n
		}
	})
}

// traffic is what a gRPC client sends, and what a browser does, turn by turn.
func traffic(n int) (blocks [][]byte) {
	e := newEncoder()
	for i := range n {
		blocks = append(blocks,
			e.block(":method: POST", ":scheme: http", fmt.Sprintf(":path: /shop.Cart/Method%d", i%7), ":authority: cart:8080",
				"content-type: application/grpc", "user-agent: grpc-go/1.83.0", "te: trailers",
				fmt.Sprintf("grpc-timeout: %du", 4_999_000+i)),
			e.block(":method: GET", ":scheme: https", fmt.Sprintf(":path: /books/%d?page=%d", i, i*7), ":authority: books.example",
				"accept: text/html,application/xhtml+xml", "accept-encoding: gzip, deflate, br", "accept-language: en",
				"cookie: session=0123456789abcdef", "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"))
	}
	return blocks
}

func BenchmarkDecode(b *testing.B) {
	blocks := traffic(500)
	fields := 0
	var d hpack.Decoder
	for _, p := range blocks {
		fields += len(decode(b, &d, p))
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var f hpack.Field
			for _, p := range blocks {
				for len(p) > 0 {
					n, err := d.Decode(p, &f)
					if err != nil {
						b.Fatal(err)
					}
					p = p[n:]
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(fields), "ns/header")
	})
	b.Run("x-net", func(b *testing.B) {
		b.ReportAllocs()
		x := oracle.NewDecoder(4096, func(oracle.HeaderField) {})
		for b.Loop() {
			for _, p := range blocks {
				if _, err := x.Write(p); err != nil {
					b.Fatal(err)
				}
				_ = x.Close()
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(fields), "ns/header")
	})
}
