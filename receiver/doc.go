//go:generate go tool -modfile=../internal/tools/go.mod mdatagen metadata.yaml

// Package receiver is what the OpenTelemetry Collector sees of perisco: a
// receiver of traces and logs that watches the sockets of the machine it runs
// on. It holds the configuration, the life cycle and the self-metrics; the work
// is done in internal.
package receiver // import "github.com/perisco-io/perisco/receiver"
