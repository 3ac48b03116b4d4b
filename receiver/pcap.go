package receiver

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/perisco-io/perisco/receiver/internal/exchange"
	"github.com/perisco-io/perisco/receiver/internal/pcap"
)

// logProgress logs how much of a packet capture was read, and what it gave.
func (r *running) logProgress(message string) {
	file, ok := r.source.(*pcap.Source)
	if !ok {
		return
	}
	var exchanges uint64
	r.engines.exchanges(func(_ string, _ exchange.Outcome, n uint64) { exchanges += n })
	p := file.Progress()
	r.log.Info(message,
		zap.Int64("bytes_read", p.Read), zap.Int64("bytes", p.Total),
		zap.Int64("packets", p.Packets), zap.Uint64("exchanges", exchanges))
}

// terminate asks this process to end as the system would, until done: a
// collector then shuts its pipelines down, and it is no failure.
func terminate(done <-chan struct{}) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	// A short capture ends before the collector listens to signals. To hear
	// them, too, keeps the first from killing it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		if err := self.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-done:
			return nil
		case <-again.C:
		}
	}
}
