package receiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/perisco-io/perisco/receiver/internal/metadata"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/mysql"
)

// loadConfig returns the configuration of testdata/config.yaml with the name.
func loadConfig(t *testing.T, name string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	id := component.NewIDWithName(metadata.Type, name)
	require.True(t, all.IsSet(id.String()), "testdata/config.yaml has no %s", id)
	conf, err := all.Sub(id.String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestOneProtocolHasToBeEnabled(t *testing.T) {
	none := make(map[string]any)
	for _, r := range registry {
		none[r.name] = map[string]any{"enabled": false}
	}
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"protocols": none}).Unmarshal(cfg))
	require.ErrorContains(t, confmap.Validate(cfg), "protocols: none is enabled: enable one, or remove the receiver")
}

func TestConfig(t *testing.T) {
	for _, name := range []string{"", "mentioned"} {
		cfg, err := loadConfig(t, name)
		require.NoError(t, err)
		require.Equal(t, createDefaultConfig(), cfg, "what is not set has its default")
	}

	cfg, err := loadConfig(t, "pcap")
	require.NoError(t, err)
	require.Equal(t, PCAPConfig{File: "traffic.pcap", StopAtEnd: true}, cfg.Capture.PCAP)

	cfg, err = loadConfig(t, "all")
	require.NoError(t, err)
	require.Equal(t, &Config{
		ErrorMode: IgnoreError,
		Capture:   CaptureConfig{Shards: 2, RingBufferSize: 1 << 20, MaxPayload: 4096, Backend: "sysexit", BTFPath: "/boot/btf", PCAP: PCAPConfig{KeepTime: true}},
		Filter: FilterConfig{
			Include: FilterLists{LocalNetworks: Networks{"10.244.0.0/16"}, Ports: Ports{80, "8000-8999"}},
			Exclude: FilterLists{PeerNetworks: Networks{"::1"}, Executables: Globs{"redis*"}, Cgroups: Cgroups{"/system.slice"}},
		},
		Protocols: ProtocolsConfig{"http": &protocolConfig[httpconv.Options]{
			Enabled: true,
			Options: httpconv.Options{
				RequestHeaders:  []string{"x-request-id"},
				ResponseHeaders: []string{"content-type", "server"},
				BodySize:        true,
				ClientUserAgent: true,
			},
		}, "http2": &protocolConfig[httpconv.Options]{Enabled: true},
			"mysql": &protocolConfig[mysql.Options]{Enabled: true, Options: mysql.Options{QueryText: "off"}}},
		RequestTimeout: 30 * time.Second,
		MaxConnections: 1000,
		MaxStateSize:   32 << 20,
		Link:           LinkConfig{Clients: Networks{"10.244.0.0/16"}},
		Batch:          BatchConfig{Size: 100, Timeout: time.Second},
		ProcPath:       "/host/proc",
	}, cfg)
}

func TestConfigMistakes(t *testing.T) {
	for name, want := range map[string][]string{
		"unknown_key":             {"'capture' has invalid keys: ring_size"},
		"unknown_protocol":        {`'protocols' protocol "smtp" is unknown: use `},
		"unknown_option":          {`'protocols' http: "headers" is unknown: use body_size, client_user_agent, enabled, request_headers, response_headers`},
		"header_name":             {`protocols::http: request_headers: "X-Request-Id" is no header name: write it in lower case, such as content-type`},
		"header_with_credentials": {`protocols::http: response_headers: "set-cookie" carries credentials and is never recorded: remove it`},
		"query_text":              {`protocols::mysql: query_text is "plain": set it to sanitized, raw or off`},
		"no_protocol_map":         {"'protocols' http: unexpected sub-config value kind"},
		"error_mode":              {`error_mode: "panic" is unknown: use propagate to stop the collector when capturing cannot start, or ignore to run without`},
		"no_shards":               {"capture: shards is 0: set it to a number from 1 to 64, of cores that the collector may use up"},
		"too_many_shards":         {"capture: shards is 65: set it to a number from 1 to 64"},
		"shards_of_pcap":          {"capture: shards is 2: a packet capture has one order: remove shards, or pcap"},
		"little_for_each_shard":   {"max_connections is 2: set it to 3 or more", "max_state_size is 2097152: set it to a number of bytes from 3145728 on"},
		"ring_not_a_power":        {"capture: ring_buffer_size is 8000000: set it to a power of two from 65536 to 1073741824"},
		"ring_too_small":          {"capture: ring_buffer_size is 32768: set it to a power of two"},
		"ring_too_large":          {"capture: ring_buffer_size is 2147483648: set it to a power of two"},
		"payload_too_small":       {"capture: max_payload is 255: set it to a number of bytes from 256 to 16384"},
		"payload_too_large":       {"capture: max_payload is 16385: set it to a number of bytes from 256 to 16384"},
		"request_timeout":         {"request_timeout is 0s: set it to 1s or more, longer than the slowest answer worth waiting for"},
		"max_connections":         {"max_connections is 0: set it to 1 or more, above the connections that are open at a time"},
		"max_state_size":          {"max_state_size is 1000: set it to a number of bytes from 1048576 on, some KiB for each connection that is busy at a time"},
		"backend":                 {`capture: backend is "dtrace": set it to one of auto, socklen, fexit, kprobe, sysexit`},
		"pcap_without_file":       {"capture::pcap: file is empty: name the capture to read, or remove pcap to capture this machine"},
		"filter": {`filter::include::peer_networks: "10" is no network`, `filter::exclude::ports: "http" is no port`,
			"filter: executables: nginx is included and, with nginx, excluded"},
		"filter_of_pcap":  {"filter: a packet capture does not tell executables and cgroups: remove these lists, or capture::pcap"},
		"link_clients":    {`link::clients: "10.0.0" is no network`},
		"link_many":       {"link: clients has 65 networks: name at most 64"},
		"batch_size":      {"batch: size is 0: set it to a number of spans from 1 to 8192"},
		"batch_too_large": {"batch: size is 8193: set it to a number of spans from 1 to 8192"},
		"batch_timeout":   {"batch: timeout is 0s: set it above 0, to the delay that is acceptable on a quiet machine"},
		"proc_path":       {`proc_path is "proc": give the absolute path at which the procfs of the host is mounted, such as /proc`},
		"many_mistakes":   {"ring_buffer_size is 0", "max_payload is 0", "max_connections is -1", "size is -1", "timeout is -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(t, name)
			require.Error(t, err)
			for _, w := range want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func TestConfigSurvivesMarshalling(t *testing.T) {
	want, err := loadConfig(t, "all")
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(want))
	got := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(got))
	require.Equal(t, want, got)
}
