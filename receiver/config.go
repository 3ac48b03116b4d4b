package receiver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/perisco-io/perisco/receiver/internal/capture"
	"github.com/perisco-io/perisco/receiver/internal/emit"
)

// Bounds of the configuration.
const (
	maxBatch   = 8192 // spans of 500 bytes fill the 4 MiB that gRPC servers accept by default
	minTimeout = time.Second
	minState   = 1 << 20 // bytes of a shard: some connections as large as they may become
	maxClients = 64      // networks: each span of a server is compared with all
)

var _ component.Config = (*Config)(nil)

// Config is the configuration of the receiver. The zero value is not valid;
// CreateDefaultConfig of the factory returns the default.
type Config struct {
	// ErrorMode says what happens if capturing cannot start. Default:
	// PropagateError.
	ErrorMode ErrorMode `mapstructure:"error_mode"`
	// Capture is the configuration of the kernel side.
	Capture CaptureConfig `mapstructure:"capture"`
	// Filter says which connections and processes are captured.
	Filter FilterConfig `mapstructure:"filter"`
	// Protocols says which protocols are recognised, and what is noted of them.
	Protocols ProtocolsConfig `mapstructure:"protocols"`
	// RequestTimeout ends an exchange of which nothing was seen for so long. It
	// is emitted with error.type timeout. At least a second; default: 5 minutes.
	RequestTimeout time.Duration `mapstructure:"request_timeout"`
	// MaxConnections bounds the connections that are followed at a time. Beyond
	// it the one that was quiet for longest is given up. Each of Capture.Shards has
	// its part, of this and the next. Default: 65,536.
	MaxConnections int `mapstructure:"max_connections"`
	// MaxStateSize bounds the bytes of memory that connections take together for
	// what was learnt on them: messages that have begun, open exchanges, tables of
	// headers, prepared statements. Beyond it those that were quiet for longest
	// forget it. At least 1 MiB; default: 64 MiB.
	MaxStateSize int `mapstructure:"max_state_size"`
	// Link says whose spans are the parents of others.
	Link LinkConfig `mapstructure:"link"`
	// Batch is how spans and log records are handed on.
	Batch BatchConfig `mapstructure:"batch"`
	// ProcPath is where the procfs of the host is mounted, an absolute path.
	// Default: /proc.
	ProcPath string `mapstructure:"proc_path"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *Config) Validate() error {
	var errs []error
	if c.RequestTimeout < minTimeout {
		errs = append(errs, fmt.Errorf("request_timeout is %s: set it to %s or more, longer than the slowest answer worth waiting for", c.RequestTimeout, minTimeout))
	}
	shards := max(1, c.Capture.Shards) // each has its part
	if c.MaxConnections < shards {
		errs = append(errs, fmt.Errorf("max_connections is %d: set it to %d or more, above the connections that are open at a time", c.MaxConnections, shards))
	}
	if c.MaxStateSize < shards*minState {
		errs = append(errs, fmt.Errorf("max_state_size is %d: set it to a number of bytes from %d on, some KiB for each connection that is busy at a time", c.MaxStateSize, shards*minState))
	}
	if c.Capture.PCAP.File != "" && c.Filter.ofProcesses() {
		errs = append(errs, errors.New("filter: a packet capture does not tell executables and cgroups: remove these lists, or capture::pcap"))
	}
	if !filepath.IsAbs(c.ProcPath) {
		errs = append(errs, fmt.Errorf("proc_path is %q: give the absolute path at which the procfs of the host is mounted, such as /proc", c.ProcPath))
	}
	return errors.Join(errs...)
}

// ErrorMode says what happens if capturing cannot start.
type ErrorMode string

// Error modes.
const (
	PropagateError ErrorMode = "propagate" // the collector does not start
	IgnoreError    ErrorMode = "ignore"    // the error is logged and the receiver stays idle
)

// Validate implements confmap.Validator.
func (m ErrorMode) Validate() error {
	if m != PropagateError && m != IgnoreError {
		return fmt.Errorf("%q is unknown: use %s to stop the collector when capturing cannot start, or %s to run without", string(m), PropagateError, IgnoreError)
	}
	return nil
}

// CaptureConfig is the configuration of the kernel side.
type CaptureConfig struct {
	// Shards is how many threads follow connections, each of them some: 1 to 64,
	// default 1. More are for machines that speak faster than one core follows.
	Shards int `mapstructure:"shards"`
	// RingBufferSize is the size in bytes of the buffer between kernel and
	// collector, one for each shard: a power of two from 64 KiB to 1 GiB, default
	// 4 MiB. What does not fit is lost, and counted.
	RingBufferSize int `mapstructure:"ring_buffer_size"`
	// MaxPayload is how many bytes of one read or write are copied at most: 256 to
	// 16,384, which is the default; where a protocol needs it whole, 64 times as
	// many.
	MaxPayload int `mapstructure:"max_payload"`
	// Backend is the way to see reads and writes: socklen, fexit, kprobe or
	// sysexit, or auto, the default, for the first of them that works.
	Backend string `mapstructure:"backend"`
	// BTFPath is a file with the types of the running kernel, for one that was
	// built without them, where only kprobe works. Empty: /sys/kernel/btf/vmlinux.
	BTFPath string `mapstructure:"btf_path"`
	// PCAP is a packet capture to read instead of the kernel.
	PCAP PCAPConfig `mapstructure:"pcap"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *CaptureConfig) Validate() error {
	var errs []error
	if n := c.Shards; n < 1 || n > capture.MaxShards {
		errs = append(errs, fmt.Errorf("shards is %d: set it to a number from 1 to %d, of cores that the collector may use up", n, capture.MaxShards))
	} else if c.PCAP.File != "" && n > 1 {
		errs = append(errs, fmt.Errorf("shards is %d: a packet capture has one order: remove shards, or pcap", n))
	}
	if n := c.RingBufferSize; n < capture.MinRingBytes || n > capture.MaxRingBytes || n&(n-1) != 0 {
		errs = append(errs, fmt.Errorf("ring_buffer_size is %d: set it to a power of two from %d to %d", n, capture.MinRingBytes, capture.MaxRingBytes))
	}
	if n := c.MaxPayload; n < capture.MinPayloadBytes || n > capture.MaxPayloadBytes {
		errs = append(errs, fmt.Errorf("max_payload is %d: set it to a number of bytes from %d to %d", n, capture.MinPayloadBytes, capture.MaxPayloadBytes))
	}
	if all := capture.Backends(); !slices.Contains(all, c.Backend) {
		errs = append(errs, fmt.Errorf("backend is %q: set it to one of %s", c.Backend, strings.Join(all, ", ")))
	}
	return errors.Join(errs...)
}

// PCAPConfig is a packet capture to read instead of the kernel. That needs no
// privileges.
type PCAPConfig struct {
	// File is the path of a pcap or pcapng file, which may be compressed by
	// gzip. Empty: the kernel is captured.
	File string `mapstructure:"file"`
	// KeepTime leaves the times as they were captured, as it is by default.
	// Otherwise they are shifted such that the last packet was captured now.
	KeepTime bool `mapstructure:"keep_time"`
	// StopAtEnd ends the collector when the file has been read.
	StopAtEnd bool `mapstructure:"stop_at_end"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *PCAPConfig) Validate() error {
	if c.File == "" && (c.StopAtEnd || !c.KeepTime) {
		return errors.New("file is empty: name the capture to read, or remove pcap to capture this machine")
	}
	return nil
}

// LinkConfig says whose spans are the parents of others.
type LinkConfig struct {
	// Clients are those on other machines whose end of a connection is captured
	// by another collector: the spans of their servers have theirs as parents, as
	// those of clients on this machine are. At most 64.
	Clients Networks `mapstructure:"clients"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *LinkConfig) Validate() error {
	if n := len(c.Clients); n > maxClients {
		return fmt.Errorf("clients has %d networks: name at most %d, larger ones if need be", n, maxClients)
	}
	return nil
}

// BatchConfig is how spans and log records are handed on.
type BatchConfig struct {
	// Size is how many spans or log records a batch has at most, fewer where they
	// have more than 2 KiB of text on average: 1 to 8,192, default 512.
	Size int `mapstructure:"size"`
	// Timeout is how long the first of a batch waits at most. Default: 200 ms.
	Timeout time.Duration `mapstructure:"timeout"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *BatchConfig) Validate() error {
	var errs []error
	if c.Size < 1 || c.Size > maxBatch {
		errs = append(errs, fmt.Errorf("size is %d: set it to a number of spans from 1 to %d", c.Size, maxBatch))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout is %s: set it above 0, to the delay that is acceptable on a quiet machine", c.Timeout))
	}
	return errors.Join(errs...)
}

func createDefaultConfig() component.Config {
	return &Config{
		ErrorMode: PropagateError,
		Capture: CaptureConfig{
			Shards:         1,
			RingBufferSize: capture.DefaultRingBytes,
			MaxPayload:     capture.MaxPayloadBytes,
			Backend:        capture.Auto,
			PCAP:           PCAPConfig{KeepTime: true},
		},
		Protocols:      defaultProtocols(),
		RequestTimeout: 5 * time.Minute,
		MaxConnections: 65536,
		MaxStateSize:   64 << 20,
		Batch: BatchConfig{
			Size:    emit.DefaultBatchSize,
			Timeout: emit.DefaultBatchTimeout,
		},
		ProcPath: "/proc",
	}
}
