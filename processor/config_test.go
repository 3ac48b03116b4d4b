package processor

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/perisco-io/perisco/processor/internal/metadata"
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

func TestConfig(t *testing.T) {
	cfg, err := loadConfig(t, "")
	require.NoError(t, err)
	require.Equal(t, createDefaultConfig(), cfg, "what is not set has its default")
	cfg, err = loadConfig(t, "all")
	require.NoError(t, err)
	require.Equal(t, &Config{
		AuthType:               KubeConfig,
		Context:                "staging",
		Namespaces:             []string{"shop", "default"},
		MaxPods:                5000,
		WaitForMetadataTimeout: time.Minute,
	}, cfg)
}

func TestAConfigThatIsWrongSaysWhatToDo(t *testing.T) {
	for name, want := range map[string]string{
		"auth_type":       `auth_type: "tls" is unknown: use serviceAccount in a pod, or kubeConfig outside`,
		"context":         `context is "staging": it is one of a kubeconfig, so set auth_type to kubeConfig or remove it`,
		"empty_namespace": "namespaces has an empty name: remove it; to see all namespaces, leave the list empty",
		"same_namespace":  `namespaces has "shop" twice: remove one`,
		"max_pods":        "max_pods is 0: set it to 1 or more, above the pods of the cluster",
		"wait":            "wait_for_metadata_timeout is -1s: set it to a time from 0s to 10m0s",
		"unknown":         "has invalid keys: node",
	} {
		_, err := loadConfig(t, name)
		require.ErrorContains(t, err, want)
	}
}
