package daemon

import (
	"path"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

// pattern is source.schema.table of a replica entry; schema and table may hold *.
type pattern struct{ source, schema, table string }

func newPattern(s string) pattern {
	parts := strings.SplitN(s, ".", 3)
	return pattern{parts[0], parts[1], parts[2]} // config has checked it
}

func (p pattern) matches(source string, t ingest.TableName) bool {
	return p.source == source && like(p.schema, t.Schema) && like(p.table, t.Name)
}

// exact reports whether the pattern names one table.
func (p pattern) exact() bool { return !strings.Contains(p.schema+p.table, "*") }

// like matches * alone, the only wildcard of a pattern.
func like(pattern, name string) bool {
	quoted := strings.NewReplacer(`\`, `\\`, `?`, `\?`, `[`, `\[`).Replace(pattern)
	ok, err := path.Match(quoted, strings.ReplaceAll(name, "/", "_"))
	return err == nil && ok
}

// replicas are the replicas that a pipeline publishes, given the tables that its sources have.
func replicas(pl *config.Pipeline, registries map[string]*ingest.Registry) ([]window.Replica, config.Problems) {
	var out []window.Replica
	var problems config.Problems
	taken := map[window.WarehouseTable]string{}
	for i, t := range pl.Tables {
		if !t.IsReplica() {
			continue
		}
		at, want := config.Path("tables", i, "replicate"), newPattern(t.Replicate)
		found := false
		for _, rt := range tables(registries[want.source]) {
			if !want.matches(want.source, rt.Schema.Table) {
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
		if !found && want.exact() && registries[want.source] != nil {
			problems = append(problems, pl.Problem(at, "source "+want.source+" captures no table "+want.schema+"."+want.table+
				config.DidYouMean(want.schema+"."+want.table, names(registries[want.source]))))
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
