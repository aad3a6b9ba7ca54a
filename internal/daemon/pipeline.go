package daemon

import (
	"context"
	"errors"
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
	newest, err := r.registered(ctx, unit, inputs)
	if err != nil {
		return err
	}
	dir, err := r.folder("pipelines", pl.Name)
	if err != nil {
		return err
	}
	share := int64(p.Memory) / int64(max(1, len(p.Pipelines)))
	w, err := window.New(window.Config{
		Name: pl.Name, Owner: r.owner, Sources: inputs.sources(), Wants: inputs.wants, Plan: inputs.planner(pl, newest),
		Kafka: r.log.cfg, Store: r.assembly.Store, Sink: r.assembly.Warehouse, Dir: dir,
		Tracer: r.telemetry.Tracer(), Meter: r.telemetry.Meter(),
		Memory: share, StateMemory: stateMemory(share), MaxQuarantine: pl.MaxQuarantine,
	})
	if err != nil {
		return err
	}
	running := &runningPipeline{Pipeline: w}
	r.daemon.set(unit, running)
	defer func() {
		if ctx.Err() != nil { // else it stays in the status with what it has published, until it runs again
			r.daemon.set(unit, nil)
		}
	}()
	watch, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.announce(watch, unit, running)
	}()
	defer func() { stop(); <-watched }()
	return w.Run(ctx)
}

// stateMemory is what DuckDB gets for the state and the joins of a pipeline, given what its windows may hold: as much, but
// twice that up to 1 GiB, and never less than half of that. Rows of 200 kB need it, and the process 0.3 GB beside it.
func stateMemory(windows int64) int64 {
	return max(windows, min(2*windows, 1<<30), 512<<20)
}

// elsewhere is how long a pipeline waits for a table that a source in another process has perhaps not begun to capture yet.
const elsewhere = 15 * time.Second

// registered waits until every source of a pipeline has told which tables it has: a pipeline cannot be planned before. A
// source that runs here is asked for the tables that the pipeline names, too: a changed configuration starts both anew at
// one time, and the source may only be about to capture them.
func (r *runtime) registered(ctx context.Context, unit string, in inputs) (map[string]*ingest.Registry, error) {
	waiting := &waitingPipeline{}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		up := map[string]bool{}
		for _, s := range in.sources() { // before the registry is read: what a source has registered by then is in it
			state := r.daemon.manager.state("source/" + s).State
			up[s] = state == console.Running || state == console.Waiting && time.Since(began) > elsewhere
		}
		known, err := latestRegistries(ctx, r.log.cfg)
		if err != nil {
			return nil, err
		}
		missing := slices.DeleteFunc(in.sources(), func(s string) bool { return known[s] != nil && (up[s] || in.complete(s, known[s])) })
		if len(missing) == 0 {
			return known, nil
		}
		waiting.missing.Store(new(strings.Join(missing, ", ")))
		r.daemon.set(unit, waiting)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
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
	if out.State == console.Retrying && troubled(s) { // what it is now, not what was said when it began
		out.Error = s.Error
	}
	stands := map[string]string{}
	for _, x := range s.Stands {
		stands[x.Table.String()] = x.Why
	}
	for _, t := range s.Tables {
		x := console.PipelineTable{Name: t.Table, Quarantined: t.Quarantined, Parked: stands[t.Table]}
		delete(stands, t.Table)
		if t.Window.Start.Equal(s.Published.Start) && t.Window.Slice == s.Published.Slice {
			x.Upserts, x.Deletes = t.Upserts, t.Deletes
			out.Rows += t.Upserts + t.Deletes
		}
		out.Tables = append(out.Tables, x)
	}
	for _, name := range slices.Sorted(maps.Keys(stands)) { // not published since this process has started
		out.Tables = append(out.Tables, console.PipelineTable{Name: name, Parked: stands[name]})
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

// steady is how long a pipeline that has failed must run before it counts as running again.
const steady = 15 * time.Second

// troubled reports whether a pipeline that runs tries something again and again: a store or a warehouse that does not answer
// is waited for inside a step, and the run does not end.
func troubled(s window.Status) bool { return s.Error != "" && s.Phase != "stopped" }

// trouble follows whether a running pipeline is in trouble. Texts may change from try to try: only the first is news.
type trouble struct{ in bool }

func (t *trouble) look(s window.Status) (began, over bool) {
	before := t.in
	t.in = troubled(s)
	return t.in && !before, before && !t.in && s.Phase != "stopped"
}

// announce tells of each published step, and of what keeps a step from being published, until ctx ends.
func (r *runtime) announce(ctx context.Context, unit string, p *runningPipeline) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last, began := p.Status(), time.Now()
	up, failed := false, r.daemon.manager.state(unit).Err != nil
	var waits trouble
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := p.Status()
		// What failed before has begun its work again once it has published, or has not failed for a while.
		published := s.At.After(last.At) && s.At.After(began) // not what the fence had when it was taken
		if !up && begun(s) && (!failed || published || time.Since(began) > steady) {
			up = true
			r.daemon.manager.up(unit)
		}
		switch began, over := waits.look(s); {
		case began:
			r.daemon.manager.note(unit, unitState{State: console.Retrying, Err: errors.New(s.Error)})
		case over:
			r.daemon.manager.up(unit)
		}
		if published {
			last = s
			r.nudgeJobs()
			r.works(unit) // not earlier: a view is compiled when the tables of the sources are known
			x := console.PipelineStatus{Name: s.Pipeline, State: console.Running}
			p.pipeline(&x)
			r.daemon.o.Event(Event{At: time.Now(), Unit: unit, What: "published", Published: &x})
		}
	}
}

// inputs says which tables of which sources a pipeline reads.
type inputs []input

func inputsOf(ctx context.Context, pl *config.Pipeline) (inputs, error) {
	var in inputs
	for _, t := range pl.Tables {
		if t.IsReplica() {
			x, _ := replicated(pl, t) // config has checked it
			in = append(in, x)
			continue
		}
		refs, problems, err := references(ctx, t)
		if err != nil {
			return nil, err
		}
		if err := problems.Err(); err != nil {
			return nil, err
		}
		for _, r := range refs {
			in = append(in, r.input(t.QueryFile))
		}
	}
	return in, nil
}

func (in inputs) sources() []string {
	seen := map[string]bool{}
	for _, x := range in {
		seen[x.source] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (in inputs) wants(source string, t ingest.TableName) bool {
	return slices.ContainsFunc(in, func(x input) bool { return x.source == source && x.Matches(t) })
}

// later are the inputs that name a table which the newest registries have and the given ones do not.
func (in inputs) later(given, newest map[string]*ingest.Registry) (out inputs) {
	for _, x := range in {
		if x.Named() && !x.in(given[x.source]) && x.in(newest[x.source]) {
			out = append(out, x)
		}
	}
	return out
}

// with adds the tables of the inputs in newest to the given registries.
func (in inputs) with(given, newest map[string]*ingest.Registry) map[string]*ingest.Registry {
	out := maps.Clone(given)
	for _, x := range in {
		r := ingest.Registry{Source: x.source, Tables: slices.Clone(tables(out[x.source]))}
		for _, t := range tables(newest[x.source]) {
			have := slices.ContainsFunc(r.Tables, func(o ingest.RegistryTable) bool { return o.Topic == t.Topic })
			if x.Matches(t.Schema.Table) && !have {
				r.Tables = append(r.Tables, t)
			}
		}
		out[x.source] = &r
	}
	return out
}

// complete reports whether a registry has a table for each input that names one.
func (in inputs) complete(source string, r *ingest.Registry) bool {
	return !slices.ContainsFunc(in, func(x input) bool {
		return x.source == source && x.Named() && !x.in(r)
	})
}

// planner works out what a pipeline publishes. The log may begin before a source captured all that the pipeline names. A
// replica of what only the newest registries have comes with the window in which its table was registered; a view is planned
// from the beginning, so that its other inputs are kept for it, and stands until then.
func (in inputs) planner(pl *config.Pipeline, newest map[string]*ingest.Registry) window.Planner {
	return func(ctx context.Context, registries map[string]*ingest.Registry) (*window.Plan, error) {
		later := in.later(registries, newest)
		found, problems := replicas(pl, registries, later)
		views, more, err := joined(ctx, pl, later.with(registries, newest), in.wants)
		if err != nil {
			return nil, err
		}
		if err := append(problems, more...).Err(); err != nil {
			return nil, err
		}
		return &window.Plan{Replicas: found, Views: views}, nil
	}
}
