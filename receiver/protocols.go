package receiver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/perisco-io/perisco/receiver/internal/protocol"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http1"
	"github.com/perisco-io/perisco/receiver/internal/protocol/http2"
	"github.com/perisco-io/perisco/receiver/internal/protocol/httpconv"
	"github.com/perisco-io/perisco/receiver/internal/protocol/mysql"
)

// registry is every protocol there is, in the order in which they are asked
// whether a connection is theirs.
var registry = []registration{
	register(http1.New, httpconv.Options{}),
	register(mysql.New, mysql.DefaultOptions()),
	register(http2.New, httpconv.Options{}),
}

// A registration is a protocol and the options that it takes.
type registration struct {
	name     string
	defaults func() ProtocolConfig
	open     func(ProtocolConfig) protocol.Protocol
}

// options are those of one protocol. Check says what is wrong with them. It is
// not called Validate, or confmap would ask it under a key that nobody wrote.
type options interface{ Check() error }

// register names a protocol by its constructor. It is enabled by default.
func register[O options, P protocol.Protocol](open func(O) P, defaults O) registration {
	return registration{
		name: open(defaults).Name(),
		defaults: func() ProtocolConfig {
			return &protocolConfig[O]{Enabled: true, Options: defaults}
		},
		open: func(c ProtocolConfig) protocol.Protocol {
			return open(c.(*protocolConfig[O]).Options)
		},
	}
}

// ProtocolsConfig is the configuration of every protocol, by its name. At least
// one is enabled.
type ProtocolsConfig map[string]ProtocolConfig

// ProtocolConfig is the configuration of one protocol: whether it is enabled,
// as it is by default, and the options of its own. It is set by unmarshalling.
type ProtocolConfig interface{ enabled() bool }

type protocolConfig[O options] struct {
	// Enabled says whether connections of this protocol are followed.
	Enabled bool `mapstructure:"enabled"`
	Options O    `mapstructure:",squash"`
}

func (c *protocolConfig[O]) enabled() bool { return c.Enabled }

// Validate implements confmap.Validator.
func (c *protocolConfig[O]) Validate() error { return c.Options.Check() }

func defaultProtocols() ProtocolsConfig {
	c := make(ProtocolsConfig, len(registry))
	for _, r := range registry {
		c[r.name] = r.defaults()
	}
	return c
}

var _ confmap.Unmarshaler = (*ProtocolsConfig)(nil)

// Unmarshal implements confmap.Unmarshaler. A protocol that is not mentioned
// keeps its defaults.
func (c ProtocolsConfig) Unmarshal(conf *confmap.Conf) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(conf.ToStringMap())) {
		p, ok := c[name]
		if !ok {
			errs = append(errs, fmt.Errorf("protocol %q is unknown: use %s", name, strings.Join(slices.Sorted(maps.Keys(c)), ", ")))
			continue
		}
		sub, err := conf.Sub(name)
		if err == nil {
			err = unmarshal(sub, p)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// unmarshal sets p. What it does not have it says itself: confmap would name the
// type of p.
func unmarshal(conf *confmap.Conf, p ProtocolConfig) error {
	known := confmap.New()
	if err := known.Marshal(p); err != nil {
		return err
	}
	settings := slices.Sorted(maps.Keys(known.ToStringMap()))
	for _, name := range slices.Sorted(maps.Keys(conf.ToStringMap())) {
		if !slices.Contains(settings, name) {
			return fmt.Errorf("%q is unknown: use %s", name, strings.Join(settings, ", "))
		}
	}
	return conf.Unmarshal(p)
}

// Validate implements confmap.Validator.
func (c ProtocolsConfig) Validate() error {
	for _, p := range c {
		if p.enabled() {
			return nil
		}
	}
	return errors.New("none is enabled: enable one, or remove the receiver")
}

// open returns the protocols that are enabled.
func (c ProtocolsConfig) open() []protocol.Protocol {
	var ps []protocol.Protocol
	for _, r := range registry {
		if p := c[r.name]; p != nil && p.enabled() {
			ps = append(ps, r.open(p))
		}
	}
	return ps
}
