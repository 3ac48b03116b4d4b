package processor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"

	"github.com/perisco-io/perisco/processor/internal/cluster"
	"github.com/perisco-io/perisco/processor/internal/directory"
	"github.com/perisco-io/perisco/processor/internal/metadata"
)

// A connector finds the API server.
type connector func(*Config) (kubernetes.Interface, error)

// instances holds what processors of one configuration share: the collector
// makes one for each pipeline, and the cluster is watched once.
type instances struct {
	connect connector

	mu       sync.Mutex            // taken before that of an instance, never after
	byConfig map[*Config]*instance // written by join, deleted from by the last shutdown
}

// An instance names peers for the processors of one configuration.
type instance struct {
	cfg  *Config
	set  processor.Settings
	home *instances

	lookups [results]atomic.Int64
	status  status

	mu        sync.Mutex // held by start and shutdown
	users     int        // that were started and not shut down
	directory *directory.Directory
	cluster   *cluster.Cluster
	telemetry *metadata.TelemetryBuilder
}

// A user is the processor of one pipeline and one signal.
type user struct{ *instance }

// join returns a user of the instance of cfg. Who gets it starts and shuts it down.
func (s *instances) join(set processor.Settings, cfg *Config) *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.byConfig[cfg]
	if !ok {
		i = &instance{cfg: cfg, set: set, home: s, directory: directory.New(cfg.MaxPods)}
		if s.byConfig == nil {
			s.byConfig = make(map[*Config]*instance)
		}
		s.byConfig[cfg] = i
	}
	return &user{i}
}

func (s *instances) leave(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byConfig[i.cfg] == i {
		delete(s.byConfig, i.cfg)
	}
}

// start begins to watch if nobody did, and waits until everything was seen, but
// not for ever: a pipeline without names is better than none.
func (u *user) start(ctx context.Context, host component.Host) error {
	i := u.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status.join(u, host)
	if i.users++; i.users > 1 {
		return nil
	}
	client, err := i.home.connect(i.cfg)
	if err != nil {
		return err
	}
	i.cluster = cluster.Watch(cluster.Options{
		Client:     client,
		Namespaces: i.cfg.Namespaces,
		Directory:  i.directory,
		Log:        i.set.Logger,
		Status:     i.status.set,
	})
	if i.telemetry, err = i.observe(); err != nil {
		i.close()
		return fmt.Errorf("register metrics: %w", err)
	}
	i.wait(ctx)
	return nil
}

func (i *instance) wait(ctx context.Context) {
	late := time.NewTimer(i.cfg.WaitForMetadataTimeout)
	defer late.Stop()
	select {
	case <-i.cluster.Synced():
		known, _ := i.directory.Pods()
		i.set.Logger.Info("The cluster was seen", zap.Int64("pods", known))
	case <-late.C:
		i.set.Logger.Warn("The cluster was not seen in time; peers stay without a name until it is",
			zap.Duration("wait_for_metadata_timeout", i.cfg.WaitForMetadataTimeout))
	case <-ctx.Done():
	}
}

// shutdown ends watching if nobody needs it any more.
func (u *user) shutdown(context.Context) error {
	i := u.instance
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.status.leave(u) {
		i.users--
	}
	if i.users > 0 {
		return nil
	}
	i.home.leave(i)
	i.close()
	return nil
}

func (i *instance) close() {
	if i.cluster != nil {
		i.cluster.Close()
		i.cluster = nil
	}
	if i.telemetry != nil {
		i.telemetry.Shutdown()
		i.telemetry = nil
	}
}
