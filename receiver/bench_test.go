package receiver

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/stream"
)

// A loop is a source that plays one exchange again and again, on one
// connection, until it has played enough.
type loop struct {
	*tap
	events [2]capture.Event // request and answer
	played int
	enough int
}

func (s *loop) Next(e *capture.Event) error {
	if s.played == s.enough {
		s.end(io.EOF)
		return io.EOF
	}
	this, other := &s.events[s.played&1], &s.events[s.played&1^1]
	*e = *this
	e.Time = stream.Time(time.Now().UnixNano() - s.epoch)
	this.Seq += e.Len
	other.Ack += e.Len
	s.played++
	return nil
}

// BenchmarkExchange is an exchange from its two events to a consumer that
// does nothing: engine, protocol, span and log record, batch.
func BenchmarkExchange(b *testing.B) {
	recorded := newTap()
	go recorded.get(1, "/books/7?page=2")
	<-recorded.events // opened
	request, answer := <-recorded.events, <-recorded.events
	<-recorded.events // closed

	for _, signal := range []string{"traces", "logs", "both"} {
		b.Run(signal, func(b *testing.B) {
			source := &loop{tap: newTap(), events: [2]capture.Event{request, answer}, enough: 2 * b.N}
			f := newFactory(func(*Config) (capture.Source, error) { return source, nil })
			cfg := f.CreateDefaultConfig()
			var r component.Component
			var err error
			if signal != "logs" {
				r, err = f.CreateTraces(b.Context(), nop(), cfg, consumertest.NewNop())
				require.NoError(b, err)
			}
			if signal != "traces" {
				r, err = f.CreateLogs(b.Context(), nop(), cfg, consumertest.NewNop())
				require.NoError(b, err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
			<-source.done
			require.NoError(b, r.Shutdown(b.Context()))
		})
	}
}
