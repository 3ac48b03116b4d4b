package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// A consumer receives OTLP over HTTP and counts what it accepts.
type consumer struct {
	*httptest.Server
	items atomic.Int64 // spans and log records
}

// startConsumer starts a consumer that answers the n-th export as judge says.
func startConsumer(t testing.TB, judge func(n int64) (status int)) *consumer {
	t.Helper()
	s := new(consumer)
	var exports atomic.Int64
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		status := judge(exports.Add(1))
		if status == http.StatusOK {
			s.items.Add(int64(itemsOf(t, r.URL.Path, body)))
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func itemsOf(t testing.TB, path string, body []byte) int {
	traces, logs := ptraceotlp.NewExportRequest(), plogotlp.NewExportRequest()
	var err error
	if path == "/v1/traces" {
		err = traces.UnmarshalProto(body)
	} else {
		err = logs.UnmarshalProto(body)
	}
	if err != nil {
		t.Errorf("export to %s: %v", path, err)
	}
	return traces.Traces().SpanCount() + logs.Logs().LogRecordCount()
}

// Whatever becomes of what was handed on: each request is at the consumer, as a span
// and a log record, or counted, once.
func TestEveryRequestIsAtTheConsumerOrCounted(t *testing.T) {
	const connections, n = 8, 16_000
	for _, c := range []struct {
		name, sending string
		judge         func(n int64) int // nil: nobody is there
		none          bool              // it accepts nothing
	}{
		{"that is slow", "sending_queue: {queue_size: 2, num_consumers: 1}", func(int64) int {
			time.Sleep(50 * time.Millisecond)
			return http.StatusOK
		}, false},
		{"that blocks", "sending_queue: {queue_size: 2, num_consumers: 1, block_on_overflow: true}", func(int64) int {
			time.Sleep(200 * time.Millisecond)
			return http.StatusOK
		}, false},
		{"that refuses for a while", "retry_on_failure: {initial_interval: 10ms, max_interval: 10ms, max_elapsed_time: 50ms}, sending_queue: {queue_size: 4}", func(n int64) int {
			if n%16 < 12 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}, false},
		{"that refuses for good", "sending_queue: {enabled: false}", func(n int64) int {
			if n%2 == 0 {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}, false},
		{"that rejects everything", "sending_queue: {enabled: false}", func(int64) int { return http.StatusBadRequest }, true},
		{"that is dead", "retry_on_failure: {enabled: false}", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			consumer, nginx := startConsumer(t, c.judge), startNginx(t, nginxSetup{}, 0)
			if c.judge == nil {
				consumer.Close()
			}
			collector := startCollector(t, setup{
				// The ring holds all: what is open at a loss may stay so.
				Options: fmt.Sprintf("{capture: {ring_buffer_size: 67108864}, filter: {include: {ports: [%d]}}}", nginx.port),
				Discard: true, Export: consumer.URL, Sending: "compression: none, " + c.sending,
			})
			var uris []string
			for i := range n / connections {
				uris = append(uris, fmt.Sprint("/text/", i))
			}
			h2load(t, nginx.site, connections, 1, uris, "--h1")

			var exchanges, accepted, dropped, failed int
			balanced := func() error {
				points := collector.scrape(t)
				sum := func(metric string, labels ...string) int { return int(counted(points, metric, labels...)) }
				exchanges = sum("receiver_perisco_exchanges")
				accepted = int(consumer.items.Load())
				dropped = sum("receiver_perisco_dropped_items")
				failed = sum("exporter_send_failed_spans") + sum("exporter_send_failed_log_records")
				if c.sending == "sending_queue: {enabled: false}" {
					failed = 0 // the receiver was told, and has counted them
				}
				lost := 0
				for _, reason := range []string{"http_request_not_captured", "turn_not_captured", "ring_full_turn"} {
					lost += sum("receiver_perisco_losses", fmt.Sprintf("reason=%q", reason))
				}
				if exchanges+lost != 2*n || accepted+dropped+failed != 2*exchanges {
					return fmt.Errorf("%d exchanges and %d requests lost of %d; %d items accepted, %d dropped and %d failed of %d",
						exchanges, lost, 2*n, accepted, dropped, failed, 2*exchanges)
				}
				return nil
			}
			collector.await(t, "accounts that balance", balanced)
			if c.none != (accepted == 0) || dropped+failed == 0 {
				t.Errorf("%d items accepted, %d dropped and %d failed: want some of each that there can be", accepted, dropped, failed)
			}
			t.Logf("%d exchanges: %d items accepted, %d dropped and %d failed", exchanges, accepted, dropped, failed)
			collector.stop(t)
		})
	}
}
