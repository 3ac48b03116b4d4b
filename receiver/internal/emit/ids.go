package emit

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ids makes trace and span ids. Not safe for concurrent use.
type ids struct {
	random *rand.ChaCha8
	spans  uint64 // SplitMix64's counter
	here   uint64 // tells loopback addresses of different machines apart; the same for all Emitters
}

func newIDs(here uint64) ids {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails (crypto/rand)
	r := rand.NewChaCha8(seed)
	return ids{random: r, spans: r.Uint64(), here: here}
}

// trace returns 128 random bits, not all of them zero.
func (g *ids) trace() (id pcommon.TraceID) {
	for id.IsEmpty() {
		binary.LittleEndian.PutUint64(id[:8], g.random.Uint64())
		binary.LittleEndian.PutUint64(id[8:], g.random.Uint64())
	}
	return id
}

// span returns the next id of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014). It permutes a counter, so that no id
// comes twice, where 64 random bits would collide after some billions.
func (g *ids) span() (id pcommon.SpanID) {
	for id.IsEmpty() {
		g.spans += 0x9e3779b97f4a7c15
		binary.LittleEndian.PutUint64(id[:], mix(g.spans))
	}
	return id
}

// mix is the finalizer of SplitMix64: a permutation.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
