package receiver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// Whatever stands in a file, it is a configuration that works or an error.
func FuzzConfig(f *testing.F) {
	all, err := os.ReadFile(filepath.Join("testdata", "config.yaml"))
	require.NoError(f, err)
	for section := range strings.SplitSeq(string(all), "\nperisco") {
		_, options, _ := strings.Cut(section, "\n")
		f.Add([]byte(options))
	}
	f.Add([]byte("protocols: {http: {request_headers: [x, [y]]}, http2: null, mysql: 1}"))
	f.Add([]byte("a: &a [*a]\n<<: {b: 1}\nbatch: {timeout: 1e99}\nmax_connections: 0x7fffffffffffffff"))
	f.Fuzz(func(t *testing.T, yaml []byte) {
		r, err := confmap.NewRetrievedFromYAML(yaml)
		if err != nil {
			return
		}
		conf, err := r.AsConf()
		if err != nil {
			return
		}
		cfg := createDefaultConfig().(*Config)
		if conf.Unmarshal(cfg) != nil || confmap.Validate(cfg) != nil {
			return
		}
		if len(cfg.Protocols.open()) == 0 {
			t.Error("it is valid, and no protocol is enabled")
		}
		again := confmap.New()
		require.NoError(t, again.Marshal(cfg), "a valid configuration can be written down")
	})
}
