package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/window"
)

// Kinds are the connectors that the program has.
type Kinds struct {
	Sources sources.Set
	Sinks   sinks.Set
}

// Assembly is a checked project: everything that can be made without touching the network.
type Assembly struct {
	Project   *config.Project
	Store     window.Store
	Warehouse window.Sink
	Wants     map[string][]sources.Want // what the pipelines read, by source
	Jobs      *elt.Graph                // nil when a job has a problem
}

// Assemble loads a project folder and makes every part of it once, so that whatever a constructor refuses is reported
// with the rest. It does no I/O besides reading the folder. The error is config.Problems; nothing may be run of the assembly then.
func Assemble(ctx context.Context, dir string, env func(string) (string, bool), kinds Kinds) (*Assembly, error) {
	p, err := config.Load(dir, env)
	a := &Assembly{Project: p}
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	wants, found, err := readBy(ctx, p)
	if err != nil {
		return nil, err
	}
	problems = append(problems, found...)
	if a.Wants = wants; slices.ContainsFunc(problems, inPipelines) {
		wants = nil // not all that they read is known
	}
	for i := range p.Sources {
		s := &p.Sources[i]
		_, err := kinds.source(p, s, wants, slog.New(slog.DiscardHandler), nil)
		var found config.Problems
		switch {
		case errors.As(err, &found):
			problems = append(problems, found...)
		case err != nil:
			problems = append(problems, s.Node.Problem("type", strings.TrimPrefix(err.Error(), "type: ")))
		}
	}
	unreadable := p.Missing().In(config.ProjectFile) || problems.In(config.ProjectFile) // an address with a hole in it cannot be judged
	var werr error
	if !unreadable {
		a.Warehouse, werr = kinds.Sinks.Warehouse(p.Warehouse.Reveal())
	}
	jobs, found := compileJobs(p, a.Warehouse, slices.ContainsFunc(problems, inPipelines) || p.SourcesUnread)
	a.Jobs, problems = jobs, append(problems, found...)
	if unreadable {
		return a, problems.Err()
	}
	if a.Store, err = kinds.Sinks.Store(p.Store.Reveal()); err != nil {
		problems = append(problems, p.Problem("store", err.Error()))
	}
	if werr != nil {
		problems = append(problems, p.Problem("warehouse", werr.Error()))
	} else if _, ok := a.Warehouse.(elt.Warehouse); !ok && len(p.Jobs) > 0 {
		problems = append(problems, p.Problem("warehouse", "jobs cannot run in this warehouse yet: only in "+jobWarehouses))
	}
	if loader, ok := a.Warehouse.(window.StoreLoader); ok && a.Store != nil {
		if err := loader.LoadFrom(a.Store); err != nil {
			problems = append(problems, p.Problem("store", err.Error()))
		}
	}
	problems = append(problems, arrange(p, a.Warehouse)...)
	return a, problems.Err()
}

// arrange tells the warehouse how the pipelines' tables are to be spread and sorted.
func arrange(p *config.Project, w window.Sink) (problems config.Problems) {
	by, can := w.(window.Arranger)
	asked := false
	for i := range p.Pipelines {
		for n, t := range p.Pipelines[i].Tables {
			if t.DistKey == "" && len(t.SortKey) == 0 {
				continue
			}
			if asked = true; w != nil && !can {
				problems = append(problems, p.Pipelines[i].Problem(config.Path("tables", n), "distkey and sortkey are Redshift's: remove them, or set warehouse to redshift://..."))
			}
		}
	}
	if asked && can {
		by.Arrange(func(t window.WarehouseTable) window.Layout { return layout(p, t) })
	}
	return problems
}

// layout is what the pipelines say of a warehouse table: the view of its name, or the first replicas that it may be of.
func layout(p *config.Project, t window.WarehouseTable) window.Layout {
	for i := range p.Pipelines {
		for _, c := range p.Pipelines[i].Tables {
			if c.DistKey == "" && len(c.SortKey) == 0 {
				continue
			}
			l := window.Layout{Dist: c.DistKey, Sort: c.SortKey}
			if !c.IsReplica() {
				if c.Name == t.String() {
					return l
				}
				continue
			}
			want, ok := replicated(&p.Pipelines[i], c)
			if ok && c.Into == t.Schema && (sources.Want{Schema: "*", Table: want.Table}).Matches(ingest.TableName{Schema: "x", Name: t.Name}) {
				l.Optional = strings.Contains(want.Table, "*")
				return l
			}
		}
	}
	return window.Layout{}
}

func inPipelines(p config.Problem) bool { return strings.HasPrefix(p.File, "pipelines/") }

// source makes a source of its file and of what the pipelines read; with nil wants, nobody knows what they read.
func (k Kinds) source(p *config.Project, s *config.Source, wants map[string][]sources.Want, log *slog.Logger, meter metric.Meter) (ingest.Source, error) {
	return k.Sources.New(s.Type, sources.Env{Project: p.Name, Name: s.Name, Log: log, Meter: meter}, func(into any) error {
		if err := s.Node.Decode(into); err != nil {
			return err
		}
		var problems config.Problems
		if w, ok := into.(sources.Wanter); ok && wants != nil {
			w.Want(wants[s.Name], func(path, message string) { problems = append(problems, s.Node.Problem(path, message)) })
		}
		return problems.Err()
	})
}
