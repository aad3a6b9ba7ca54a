package daemon

import (
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/window"
)

// input is a pattern of tables that a pipeline reads.
type input struct {
	source string
	sources.Want
}

// in reports whether a registry has a table of the input.
func (in input) in(r *ingest.Registry) bool {
	return slices.ContainsFunc(tables(r), func(t ingest.RegistryTable) bool { return in.Matches(t.Schema.Table) })
}

// replicated is the input of a replica entry; ok is false when it is not source.schema.table, which config reports.
func replicated(pl *config.Pipeline, t config.Table) (in input, ok bool) {
	parts := strings.SplitN(t.Replicate, ".", 3)
	if len(parts) != 3 {
		return input{}, false
	}
	return input{parts[0], sources.Want{Schema: parts[1], Table: parts[2], By: pl.File}}, true
}

// replicas are the replicas that a pipeline publishes, given the tables that its sources have and those that they will have.
func replicas(pl *config.Pipeline, registries map[string]*ingest.Registry, later inputs) ([]window.Replica, config.Problems) {
	var out []window.Replica
	var problems config.Problems
	taken := map[window.WarehouseTable]string{}
	for i, t := range pl.Tables {
		if !t.IsReplica() {
			continue
		}
		at, found := config.Path("tables", i, "replicate"), false
		want, _ := replicated(pl, t) // config has checked it
		for _, rt := range tables(registries[want.source]) {
			if !want.Matches(rt.Schema.Table) {
				continue
			}
			found = true
			to := window.WarehouseTable{Schema: t.Into, Name: rt.Schema.Table.Name}
			if first, ok := taken[to]; ok && first != rt.Topic {
				problems = append(problems, pl.Problem(at, "two tables meet in "+to.String()+": give one of them another into"))
				continue
			} else if ok {
				continue // two patterns that both name it
			}
			taken[to] = rt.Topic
			out = append(out, window.Replica{Topic: rt.Topic, Table: to})
		}
		if !found && want.Exact() && !slices.Contains(later, want) && registries[want.source] != nil {
			problems = append(problems, pl.Problem(at, "source "+want.source+" captures no table "+want.String()+
				config.DidYouMean(want.String(), names(registries[want.source]))))
		}
	}
	return out, problems
}

func tables(r *ingest.Registry) []ingest.RegistryTable {
	if r == nil {
		return nil
	}
	return r.Tables
}

func names(r *ingest.Registry) []string {
	var out []string
	for _, t := range tables(r) {
		out = append(out, t.Schema.Table.String())
	}
	slices.Sort(out)
	return out
}
