package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/window"
)

// resyncer is the API's resync: it turns targets into requests in the log. Who owns the sources obeys them, here or
// elsewhere.
type resyncer struct{ r *runtime }

var _ console.Resyncer = resyncer{}

// Resync implements console.Resyncer.
func (s resyncer) Resync(ctx context.Context, q console.ResyncRequest) (console.ResyncAnswer, error) {
	if q.NewLog {
		return s.newLog(ctx, q)
	}
	registries, err := latestRegistries(ctx, s.r.log.cfg)
	if err != nil {
		return console.ResyncAnswer{}, err
	}
	points, err := ingest.Checkpoints(ctx, s.r.log.cfg)
	if err != nil {
		return console.ResyncAnswer{}, err
	}
	t := &targets{pipelines: map[string]inputs{}, registries: registries, points: points, asked: map[string]map[string]bool{}}
	p := s.r.project()
	for i := range p.Pipelines {
		if t.pipelines[p.Pipelines[i].Name], err = inputsOf(ctx, &p.Pipelines[i]); err != nil {
			return console.ResyncAnswer{}, err
		}
	}
	for i := range p.Sources {
		t.sources = append(t.sources, p.Sources[i].Name)
	}
	for _, name := range q.Targets {
		if err := t.add(name); err != nil {
			return console.ResyncAnswer{}, err
		}
	}
	if !q.DryRun {
		if err := s.ask(ctx, t, cmp.Or(q.ID, uuid.NewString())); err != nil {
			return console.ResyncAnswer{}, err
		}
	}
	return t.answer(), nil
}

// newLog has pipelines forget the cut of a log that is lost. One whose cut is of this log is refused: it would lose nothing
// but its place.
func (s resyncer) newLog(ctx context.Context, q console.ResyncRequest) (a console.ResyncAnswer, err error) {
	f, ok := s.r.assembly.Warehouse.(window.Forgetter)
	if !ok {
		return a, errors.New("this warehouse cannot forget a fence")
	}
	here, err := s.logID(ctx)
	if err != nil {
		return a, err
	}
	for _, target := range q.Targets {
		name := strings.TrimPrefix(target, "pipeline/")
		if !slices.ContainsFunc(s.r.project().Pipelines, func(p config.Pipeline) bool { return p.Name == name }) {
			return a, fmt.Errorf("there is no pipeline %q: --new-log is about pipelines", name)
		}
		fence, err := s.r.assembly.Warehouse.Fence(ctx, name)
		if err != nil && !errors.Is(err, window.ErrNoFence) {
			return a, err
		}
		if !ofAnotherLog(fence.Cut, here) {
			return a, fmt.Errorf("the warehouse's cut of pipeline %s is of this log; to load its tables anew: %s", name, ingest.ResyncCommand(name))
		}
		a.Pipelines = append(a.Pipelines, name)
	}
	for _, name := range a.Pipelines {
		if q.DryRun {
			continue
		}
		if err := f.Forget(ctx, name); err != nil {
			return a, err
		}
		s.r.daemon.manager.again("pipeline/" + name)
	}
	return a, nil
}

// logID names the log as cuts name it.
func (s resyncer) logID(ctx context.Context) (string, error) {
	cl, err := kafka.New(s.r.log.cfg)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	id, err := kafka.Identify(ctx, cl, kafka.ClaimsTopic)
	return id.String(), err
}

func ofAnotherLog(c window.Cut, log string) bool {
	for _, s := range c {
		if s.Log != "" && s.Log != log {
			return true
		}
	}
	return false
}

func (s resyncer) ask(ctx context.Context, t *targets, id string) error {
	var requests []ingest.Request
	now := time.Now().UTC()
	for _, source := range slices.Sorted(maps.Keys(t.asked)) {
		for _, table := range t.about(source) {
			requests = append(requests, ingest.Request{ID: id, Source: source, Table: table, At: now})
		}
	}
	cl, err := kafka.New(s.r.log.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := ingest.Ask(ctx, cl, requests...); err != nil {
		return err
	}
	for source := range t.asked { // a source that stands still looks again at once
		s.r.daemon.manager.again("source/" + source)
	}
	return nil
}

// targets works out what is asked. It is pure.
type targets struct {
	sources    []string
	pipelines  map[string]inputs
	registries map[string]*ingest.Registry
	points     map[string]ingest.Checkpoint
	asked      map[string]map[string]bool // by source: schema.table, or "" for the whole source
}

func (t *targets) note(source, table string) {
	if t.asked[source] == nil {
		t.asked[source] = map[string]bool{}
	}
	t.asked[source][table] = true
}

// about is what the requests of a source name: the whole source makes its tables superfluous.
func (t *targets) about(source string) []string {
	if t.asked[source][""] {
		return []string{""}
	}
	return slices.Sorted(maps.Keys(t.asked[source]))
}

func (t *targets) add(name string) error {
	bare, isSource, isPipeline := name, slices.Contains(t.sources, name), t.pipelines[name] != nil
	if kind, rest, typed := strings.Cut(name, "/"); typed {
		bare, isSource, isPipeline = rest, kind == "source" && slices.Contains(t.sources, rest), kind == "pipeline" && t.pipelines[rest] != nil
	}
	switch {
	case isSource && isPipeline:
		return fmt.Errorf("%q is a source and a pipeline: say source/%s or pipeline/%s", name, name, name)
	case isSource:
		t.note(bare, "")
		return nil
	case isPipeline:
		return t.pipeline(bare)
	}
	return t.table(name)
}

func (t *targets) pipeline(name string) error {
	found := false
	for _, source := range t.pipelines[name].sources() {
		for _, x := range tables(t.registries[source]) {
			if t.pipelines[name].wants(source, x.Schema.Table) {
				t.note(source, x.Schema.Table.String())
				found = true
			}
		}
	}
	if !found {
		return fmt.Errorf("pipeline %s reads no table that its sources have registered yet: look at tidemill status", name)
	}
	return nil
}

func (t *targets) table(name string) error {
	source, table, err := ingest.ParseTarget(name)
	if err != nil || !slices.Contains(t.sources, source) {
		return fmt.Errorf("there is no source, pipeline or table %q%s; a table is named source.schema.table", name, config.DidYouMean(name, t.names()))
	}
	_, parked := t.points[source].Parked[table.String()] // a table may be parked before it has a topic
	if !parked && !slices.Contains(names(t.registries[source]), table.String()) {
		return fmt.Errorf("source %s captures no table %s%s", source, table, config.DidYouMean(table.String(), names(t.registries[source])))
	}
	t.note(source, table.String())
	return nil
}

// names lists what may be asked for.
func (t *targets) names() []string {
	out := append(slices.Sorted(maps.Keys(t.pipelines)), t.sources...)
	for source, r := range t.registries {
		for _, n := range names(r) {
			out = append(out, source+"."+n)
		}
	}
	return out
}

func (t *targets) answer() console.ResyncAnswer {
	var out console.ResyncAnswer
	for _, source := range slices.Sorted(maps.Keys(t.asked)) {
		s := console.ResyncSource{Source: source, Whole: t.asked[source][""]}
		about := t.about(source)
		if s.Whole {
			about = names(t.registries[source])
		}
		for _, table := range about {
			l := t.points[source].Loads[table]
			x := console.ResyncTable{Table: table, Rows: max(l.Rows, l.Estimate), Parked: t.points[source].Parked[table]}
			schema, name, _ := strings.Cut(table, ".")
			for _, pl := range slices.Sorted(maps.Keys(t.pipelines)) {
				if t.pipelines[pl].wants(source, ingest.TableName{Schema: schema, Name: name}) {
					x.Pipelines = append(x.Pipelines, pl)
				}
			}
			s.Tables = append(s.Tables, x)
		}
		out.Sources = append(out.Sources, s)
	}
	return out
}

// loadedAnew reports whether a generation of the table began behind the cut before the snapshot: what the log holds between is
// of two contents then.
func (v *verification) loadedAnew(ctx context.Context, before window.Fence, t *target) (bool, error) {
	r, err := v.registry(ctx)
	if err != nil || generationOf(r, t.topic) != t.generation {
		return err == nil, err
	}
	read := before.Cut[v.source].Topics[t.topic]
	for _, rt := range tables(r) {
		if rt.Topic != t.topic || rt.Base == nil {
			continue
		}
		for p, base := range rt.Base.Parts {
			if p < len(read) && base.Offset > read[p].Offset {
				return true, nil
			}
		}
	}
	return false, nil
}

func generationOf(r *ingest.Registry, topic string) int {
	all := tables(r)
	for i := range all {
		if all[i].Topic == topic {
			return all[i].Generation()
		}
	}
	return 0
}
