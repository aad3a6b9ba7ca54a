package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/window"
)

// verifier is the API's verification.
type verifier struct{ r *runtime }

func (r *runtime) verifier() console.Verifier { return verifier{r} }

// Verify compares the replicas of one or all pipelines, source by source.
func (v verifier) Verify(ctx context.Context, q console.VerifyRequest, emit func(console.TableVerdict) error) error {
	v.r.verifying.Add(1)
	defer v.r.verifying.Add(-1)
	reader, ok := v.r.assembly.Warehouse.(window.TableReader)
	if !ok {
		return errors.New("this warehouse cannot be read back")
	}
	if q.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(q.Timeout), fmt.Errorf("not within %s", time.Duration(q.Timeout)))
		defer cancel()
	}
	p := v.r.project()
	registries, err := latestRegistries(ctx, v.r.log.cfg)
	if err != nil {
		return err
	}
	points, err := ingest.Checkpoints(ctx, v.r.log.cfg)
	if err != nil {
		return err
	}
	found := false
	for i := range p.Pipelines {
		pl := &p.Pipelines[i]
		if q.Pipeline != "" && pl.Name != q.Pipeline {
			continue
		}
		found = true
		for j := range p.Sources {
			for _, x := range neverBegun(pl, p.Sources[j].Name, registries[p.Sources[j].Name], points[p.Sources[j].Name].Parked, q.Tables) {
				if err := emit(x); err != nil {
					return err
				}
			}
			if err := v.source(ctx, pl, &p.Sources[j], registries[p.Sources[j].Name], points[p.Sources[j].Name].State, reader, q, emit); err != nil {
				return err
			}
		}
	}
	if !found && q.Pipeline != "" {
		var names []string
		for _, pl := range p.Pipelines {
			names = append(names, pl.Name)
		}
		return fmt.Errorf("there is no pipeline %q%s", q.Pipeline, config.DidYouMean(q.Pipeline, names))
	}
	return nil
}

func (v verifier) source(ctx context.Context, pl *config.Pipeline, s *config.Source, r *ingest.Registry, settled json.RawMessage, reader window.TableReader, q console.VerifyRequest, emit func(console.TableVerdict) error) error {
	if r == nil {
		return nil
	}
	targets := targetsOf(pl, r, q.Tables)
	if len(targets) == 0 {
		return nil
	}
	// A source of its own: the snapshot must not disturb the one that streams.
	src, err := v.r.daemon.o.Kinds.source(v.r.project(), s, v.r.wants(), v.r.daemon.o.Log, v.r.telemetry.Meter())
	if err != nil {
		return err
	}
	from, ok := src.(Snapshotter)
	if !ok {
		return fmt.Errorf("a source of type %s has no way of reading a table for a comparison", s.Type)
	}
	dir, err := v.r.folder("verify", pl.Name)
	if err != nil {
		return err
	}
	for _, t := range targets {
		t.generation = generationOf(r, t.topic)
	}
	x := verification{registry: func(ctx context.Context) (*ingest.Registry, error) {
		now, err := latestRegistries(ctx, v.r.log.cfg)
		return now[s.Name], err
	}, pipeline: pl.Name, source: s.Name, from: from, settled: settled, sink: v.r.assembly.Warehouse, reader: reader,
		log: topicReader{cfg: v.r.log.cfg, store: v.r.assembly.Store, dir: dir}, request: q, every: 500 * time.Millisecond,
		loading: func(ctx context.Context, table ingest.TableName) (bool, error) {
			points, err := ingest.Checkpoints(ctx, v.r.log.cfg)
			l, begun := points[s.Name].Loads[table.String()]
			return begun && !l.Done, err
		},
		failed: func() error {
			if u := v.r.daemon.manager.state("pipeline/" + pl.Name); u.State == console.Failed {
				return u.Err
			}
			return nil
		}}
	return x.run(ctx, targets, emit)
}

// latestRegistries reads the newest registry of every source.
func latestRegistries(ctx context.Context, cfg kafka.Config) (map[string]*ingest.Registry, error) {
	records, err := kafka.ReadAll(ctx, cfg, ingest.RegistryTopic)
	if err != nil {
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	out := map[string]*ingest.Registry{}
	for _, rec := range records {
		if len(rec.Value) == 0 {
			continue
		}
		var r ingest.Registry
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, fmt.Errorf("reading the registry record %s: %w", rec.Key, err)
		}
		if last := out[r.Source]; last == nil || last.Version <= r.Version {
			out[r.Source] = &r
		}
	}
	return out, nil
}
