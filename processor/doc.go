//go:generate go tool -modfile=../internal/tools/go.mod mdatagen metadata.yaml

// Package processor is a processor of the OpenTelemetry Collector that names
// the other end of a connection: the pod, workload, node and Service of
// Kubernetes that have the address which a span or log record gives as its peer.
package processor // import "github.com/perisco-io/perisco/processor"
