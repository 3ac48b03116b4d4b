package processor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
)

const (
	// defaultMaxPods is what a cluster has at most where it is within the limits
	// that Kubernetes is tested to (kubernetes.io, "Considerations for large
	// clusters").
	defaultMaxPods = 150000
	maxWait        = 10 * time.Minute // nothing after this processor has started by then
)

var _ component.Config = (*Config)(nil)

// Config is the configuration of the processor. The zero value is not valid;
// CreateDefaultConfig of the factory returns the default.
type Config struct {
	// AuthType is how the API server knows who asks. Default: ServiceAccount.
	AuthType AuthType `mapstructure:"auth_type"`
	// Context is the context of the kubeconfig; empty: the current one.
	Context string `mapstructure:"context"`
	// Namespaces are those that peers are looked for in; empty: all.
	Namespaces []string `mapstructure:"namespaces"`
	// MaxPods bounds the pods that are known at a time, with those that went in
	// the last ten minutes. Default: 150,000.
	MaxPods int `mapstructure:"max_pods"`
	// WaitForMetadataTimeout is how long the start waits until the cluster was
	// seen: 10 minutes at most, 0: not at all. Default: 10 seconds.
	WaitForMetadataTimeout time.Duration `mapstructure:"wait_for_metadata_timeout"`

	_ struct{}
}

// Validate implements confmap.Validator.
func (c *Config) Validate() error {
	var errs []error
	if c.Context != "" && c.AuthType != KubeConfig {
		errs = append(errs, fmt.Errorf("context is %q: it is one of a kubeconfig, so set auth_type to %s or remove it", c.Context, KubeConfig))
	}
	for i, ns := range c.Namespaces {
		switch {
		case ns == "":
			errs = append(errs, errors.New("namespaces has an empty name: remove it; to see all namespaces, leave the list empty"))
		case slices.Contains(c.Namespaces[:i], ns):
			errs = append(errs, fmt.Errorf("namespaces has %q twice: remove one", ns))
		}
	}
	if c.MaxPods < 1 {
		errs = append(errs, fmt.Errorf("max_pods is %d: set it to 1 or more, above the pods of the cluster", c.MaxPods))
	}
	if w := c.WaitForMetadataTimeout; w < 0 || w > maxWait {
		errs = append(errs, fmt.Errorf("wait_for_metadata_timeout is %s: set it to a time from 0s to %s", w, maxWait))
	}
	return errors.Join(errs...)
}

// AuthType is how the API server knows who asks.
type AuthType string

// Ways to be known, by the names that k8s_attributes gives them.
const (
	ServiceAccount AuthType = "serviceAccount" // by the account of the pod
	KubeConfig     AuthType = "kubeConfig"     // as kubectl is
)

// Validate implements confmap.Validator.
func (a AuthType) Validate() error {
	if a != ServiceAccount && a != KubeConfig {
		return fmt.Errorf("%q is unknown: use %s in a pod, or %s outside", string(a), ServiceAccount, KubeConfig)
	}
	return nil
}

func createDefaultConfig() component.Config {
	return &Config{
		AuthType:               ServiceAccount,
		MaxPods:                defaultMaxPods,
		WaitForMetadataTimeout: 10 * time.Second,
	}
}
