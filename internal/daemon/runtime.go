package daemon

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sources"
)

// runtime is what the running parts share.
type runtime struct {
	daemon    *Daemon
	assembly  *Assembly
	log       *logHandle
	telemetry *telemetry.Telemetry
	owner     string
	verifying atomic.Int32    // comparisons under way
	initial   map[string]bool // name and fingerprint of the units of the start
	ended     chan error      // a unit that ends the daemon
}

func newRuntime(d *Daemon, a *Assembly, log *logHandle, tel *telemetry.Telemetry) *runtime {
	r := &runtime{daemon: d, assembly: a, log: log, telemetry: tel, owner: instance(), initial: map[string]bool{}, ended: make(chan error, 1)}
	meters := kotel.NewKotel(kotel.WithMeter(kotel.NewMeter(kotel.MeterProvider(tel.MeterProvider()))))
	r.log.cfg.Options = append(r.log.cfg.Options, kgo.WithHooks(meters.Hooks()...))
	d.manager.explain = r.explain
	d.manager.fatal = func(u unit, err error) bool {
		if !r.hopeless(u, err) {
			return false
		}
		select {
		case r.ended <- &refusal{err}:
		default: // one is enough
		}
		return true
	}
	return r
}

// project is the configuration that runs.
func (r *runtime) project() *config.Project {
	r.daemon.mu.Lock()
	defer r.daemon.mu.Unlock()
	return r.daemon.project
}

// wants is what its pipelines read, by source.
func (r *runtime) wants() map[string][]sources.Want {
	r.daemon.mu.Lock()
	defer r.daemon.mu.Unlock()
	return r.daemon.wants
}

// replication of topics: an embedded broker is one.
func (r *runtime) replication() int {
	if r.log.embedded != nil {
		return 1
	}
	return r.project().Log.Replication
}

// ensureTopics makes the project's own topics before any unit asks for them: a client that has asked for a topic in vain
// remembers that for a while.
func (r *runtime) ensureTopics(ctx context.Context) error {
	cl, err := kafka.New(r.log.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	n := r.replication()
	return kafka.EnsureTopics(ctx, cl,
		kafka.Topic{Name: ingest.ClaimsTopic, Partitions: 1, Replication: n},
		kafka.Topic{Name: ingest.PositionsTopic, Partitions: 1, Replication: n, Compacted: true},
		kafka.Topic{Name: ingest.RegistryTopic, Partitions: 1, Replication: n, Compacted: true},
		kafka.Topic{Name: ingest.RequestsTopic, Partitions: 1, Replication: n})
}

// own runs the units that the consumer group gives to this daemon, until ctx ends or one of them ends the daemon.
func (r *runtime) own(ctx context.Context) error {
	if err := r.ensureTopics(ctx); err != nil {
		return err
	}
	r.lostLake()
	units := map[string]func(context.Context) error{}
	for name, slot := range slotNames() {
		units[name] = func(ctx context.Context) error {
			r.daemon.manager.hold(ctx, slot)
			return nil
		}
	}
	first := r.units(r.project(), r.wants())
	for _, u := range first {
		r.initial[u.name+u.print] = true
	}
	r.daemon.manager.want(ctx, first)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return kafka.Assigner{Kafka: r.log.cfg, Group: "tm." + r.project().Name, Replication: r.replication(), Units: units, Session: r.project().Log.Session}.Run(ctx)
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.ended:
			return err
		}
	})
	return g.Wait()
}
