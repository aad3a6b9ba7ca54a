package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

// pipeline owns a pipeline and publishes its windows until ctx ends.
func (r *runtime) pipeline(ctx context.Context, p *config.Project, pl *config.Pipeline) error {
	unit := "pipeline/" + pl.Name
	inputs, err := inputsOf(ctx, pl)
	if err != nil {
		return err
	}
	if err := r.registered(ctx, unit, inputs.sources()); err != nil {
		return err
	}
	dir, err := r.folder("pipelines", pl.Name)
	if err != nil {
		return err
	}
	w, err := window.New(window.Config{
		Name: pl.Name, Owner: r.owner, Sources: inputs.sources(), Wants: inputs.wants, Plan: inputs.planner(pl),
		Kafka: r.log.cfg, Store: r.assembly.Store, Sink: r.assembly.Warehouse, Dir: dir,
		Tracer: r.telemetry.Tracer(), Meter: r.telemetry.Meter(),
		Memory: int64(p.Memory) / int64(max(1, len(p.Pipelines))),
	})
	if err != nil {
		return err
	}
	running := &runningPipeline{Pipeline: w}
	r.daemon.set(unit, running)
	defer r.daemon.set(unit, nil)
	watch, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.announce(watch, unit, running)
	}()
	defer func() { stop(); <-watched }()
	return w.Run(ctx)
}

// registered waits until every source of a pipeline has told which tables it has: a pipeline cannot be planned before.
func (r *runtime) registered(ctx context.Context, unit string, sources []string) error {
	waiting := &waitingPipeline{}
	r.daemon.set(unit, waiting)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		known, err := latestRegistries(ctx, r.log.cfg)
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return known[s] != nil })
		if len(missing) == 0 {
			return nil
		}
		waiting.missing.Store(new(strings.Join(missing, ", ")))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// waitingPipeline is a pipeline that cannot begin yet.
type waitingPipeline struct{ missing atomic.Pointer[string] }

var _ part = (*waitingPipeline)(nil)

func (*waitingPipeline) source(*console.SourceStatus) {}

// pipeline fills in the status.
func (p *waitingPipeline) pipeline(out *console.PipelineStatus) {
	if m := p.missing.Load(); m != nil {
		out.State, out.Waiting = console.Waiting, *m
	}
}

// runningPipeline is a pipeline that runs here.
type runningPipeline struct{ *window.Pipeline }

var _ part = (*runningPipeline)(nil)

func (*runningPipeline) source(*console.SourceStatus) {}

// pipeline fills in the status.
func (p *runningPipeline) pipeline(out *console.PipelineStatus) {
	s := p.Status()
	out.Window, out.WindowEnd, out.Slice, out.Final, out.Published = s.Published.Start, s.Published.End, s.Published.Slice, s.Published.Final, s.At
	out.Buffered = s.Memory + s.Spilled
	out.Waiting = waitsFor(s)
	if out.State == console.Starting && begun(s) {
		out.State = console.Running // the manager is told of it a moment later
	}
	if out.State == console.Running && s.Phase == "loading" {
		out.State = console.Loading
	}
	parked := maps.Clone(s.Parked)
	for _, t := range s.Tables {
		x := console.PipelineTable{Name: t.Table}
		if t.Window.Start.Equal(s.Published.Start) && t.Window.Slice == s.Published.Slice {
			x.Upserts, x.Deletes = t.Upserts, t.Deletes
			out.Rows += t.Upserts + t.Deletes
		}
		out.Tables = append(out.Tables, x)
	}
	for _, name := range slices.Sorted(maps.Keys(parked)) {
		out.Tables = append(out.Tables, console.PipelineTable{Name: name, Parked: parked[name]})
	}
}

// begun reports whether a pipeline is past its recovery.
func begun(s window.Status) bool {
	return s.Phase != "starting" && s.Phase != "restoring" && s.Phase != "stopped"
}

// waitsFor says in a few words what the next window waits for, when it has waited for longer than a window usually takes.
func waitsFor(s window.Status) string {
	if len(s.Missing) == 0 || !s.Published.End.IsZero() && time.Since(s.Published.End) < 2*s.Published.End.Sub(s.Published.Start) {
		return ""
	}
	seen := map[string]bool{}
	for _, m := range s.Missing {
		seen[m.Source] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

// announce tells of each published step until ctx ends.
func (r *runtime) announce(ctx context.Context, unit string, p *runningPipeline) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := p.Status()
	up := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := p.Status()
		if !up && begun(s) {
			up = true
			r.daemon.manager.up(unit)
		}
		if s.At.After(last.At) {
			last = s
			r.works(unit) // not earlier: a view is compiled when the tables of the sources are known
			x := console.PipelineStatus{Name: s.Pipeline, State: console.Running}
			p.pipeline(&x)
			r.daemon.o.Event(Event{At: time.Now(), Unit: unit, What: "published", Published: &x})
		}
	}
}

// inputs says which tables of which sources a pipeline reads.
type inputs struct {
	patterns   []pattern
	references []reference
}

func inputsOf(ctx context.Context, pl *config.Pipeline) (*inputs, error) {
	in := &inputs{}
	for _, t := range pl.Tables {
		if t.IsReplica() {
			in.patterns = append(in.patterns, newPattern(t.Replicate))
			continue
		}
		refs, problems, err := references(ctx, t)
		if err != nil {
			return nil, err
		}
		if err := problems.Err(); err != nil {
			return nil, err
		}
		in.references = append(in.references, refs...)
	}
	return in, nil
}

func (in *inputs) sources() []string {
	seen := map[string]bool{}
	for _, p := range in.patterns {
		seen[p.source] = true
	}
	for _, r := range in.references {
		seen[r.source] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (in *inputs) wants(source string, t ingest.TableName) bool {
	return slices.ContainsFunc(in.patterns, func(p pattern) bool { return p.matches(source, t) }) ||
		slices.ContainsFunc(in.references, func(r reference) bool { return r.matches(source, t) })
}

// planner works out what a pipeline publishes.
func (in *inputs) planner(pl *config.Pipeline) window.Planner {
	return func(ctx context.Context, registries map[string]*ingest.Registry) (*window.Plan, error) {
		found, problems := replicas(pl, registries)
		views, more, err := joined(ctx, pl, registries, in.wants)
		if err != nil {
			return nil, err
		}
		if err := append(problems, more...).Err(); err != nil {
			return nil, err
		}
		return &window.Plan{Replicas: found, Views: views}, nil
	}
}
