package emit

import "sync/atomic"

// loss is why spans and log records never reached a consumer.
type loss uint8

const (
	queueFull  loss = iota // the sender was busy with older batches
	rejected               // a consumer returned a permanent error
	refused                // a consumer refused for longer than Settings.RetryFor, or during Shutdown
	atShutdown             // the time for Shutdown was over
	reasons                // how many there are
)

var lossNames = [reasons]string{"queue_full", "rejected", "refused", "shutdown"}

type losses [reasons]atomic.Uint64

func (l *losses) add(why loss, items int) { l[why].Add(uint64(items)) }

func (l *losses) each(yield func(reason string, items uint64)) {
	for i := range l {
		yield(lossNames[i], l[i].Load())
	}
}
