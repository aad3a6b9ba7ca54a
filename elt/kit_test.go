package elt_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// project writes an archive into a folder of the test's own.
func project(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		at := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "tidemill.yaml")); err != nil {
		if err := os.WriteFile(filepath.Join(dir, "tidemill.yaml"), []byte("project: clinic\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var tables = []elt.PublishedTable{{Table: "mart.visits", Pipeline: "care"}, {Table: "raw.payments", Pipeline: "care"}, {Table: "raw_consult.*", Pipeline: "raw"}}

func compile(t testing.TB, archive string) (*elt.Graph, config.Problems) {
	t.Helper()
	p, err := config.Load(project(t, archive), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	g, err := grid.New(p.Window)
	if err != nil {
		t.Fatal(err)
	}
	return elt.Compile(p.Jobs, p.Templates, elt.World{Grid: g, Zone: p.Timezone, Tables: tables, Pools: p.Pools, Alerts: p.Alerts})
}

func mustCompile(t testing.TB, archive string) *elt.Graph {
	t.Helper()
	g, problems := compile(t, archive)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return g
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if x, err := time.Parse(layout, s); err == nil {
			return x
		}
	}
	t.Fatalf("%q is no time", s)
	return time.Time{}
}

// daily is a job file; more is appended.
func daily(name, more string) string {
	out := fmt.Sprintf(`
-- jobs/%[1]s.yaml --
kind: job
name: %[1]s
owner: data
interval: {every: day, tz: Asia/Jakarta}
start: 2026-01-01
sql: %[1]s.sql
output: {table: mart.%[1]s, time_column: visited}
`, name)
	return out + more
}

// world is a warehouse in memory, with what the committed state says and a clock.
type world struct {
	t         testing.TB
	graph     *elt.Graph
	grid      grid.Grid
	committed *elt.Committed
	now       time.Time
	epoch     int64
	live      map[elt.RunKey]bool
	pools     map[string]int
	published []string // what was published, in order
}

func newWorld(t testing.TB, g *elt.Graph, now time.Time) *world {
	t.Helper()
	quarter, err := grid.New(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, graph: g, grid: quarter, committed: elt.NewCommitted(), now: now, epoch: 1, live: map[elt.RunKey]bool{}, pools: map[string]int{"default": 4}}
	for _, j := range g.Jobs {
		w.committed.Ledger[j.Name] = elt.NewHistory()
		w.committed.Ledger[j.Name].Registered = now.AddDate(-1, 0, 0)
	}
	return w
}

func (w *world) situation() *elt.Situation {
	return &elt.Situation{Graph: w.graph, Committed: w.committed, Grid: w.grid, Now: w.now, Epoch: w.epoch, Live: w.live, Pools: w.pools, Deep: true}
}

// through commits the windows of tables up to an instant.
func (w *world) through(until time.Time, names ...string) {
	for _, n := range names {
		s := w.committed.Tables[n]
		s.Table, s.Pipeline, s.Through, s.Base = n, "care", until, cmp.Or(s.Base, "first")
		w.committed.Tables[n] = s
	}
}

// resync makes a table anew.
func (w *world) resync(name, base string) {
	s := w.committed.Tables[name]
	s.Base = base
	w.committed.Tables[name] = s
}

func (w *world) tick() { w.now = w.now.Add(time.Second) }

func (w *world) add(e elt.Entry) {
	w.tick()
	e.At = w.now
	w.committed.Ledger[e.Job].Add(e)
}

// begin writes the first row of a run.
func (w *world) begin(s elt.Start) elt.Entry {
	e := elt.Entry{Job: s.Job.Name, Interval: s.Interval, Generation: s.Generation, Attempt: s.Attempt, State: elt.Running, Provisional: s.Provisional,
		Definition: s.Job.Definition, Inputs: s.Inputs, Epoch: w.epoch, Request: s.Request, Reason: s.Reason}
	w.add(e)
	w.live[elt.RunKey{Job: e.Job, Start: e.Interval.Start.Unix()}] = true
	return e
}

// end writes the last row of a run.
func (w *world) end(e elt.Entry, state elt.State, change func(*elt.Entry)) {
	e.State = state
	if change != nil {
		change(&e)
	}
	if state == elt.Published {
		w.published = append(w.published, fmt.Sprintf("%s %s %d", e.Job, w.graph.Job(e.Job).IntervalName(e.Interval), e.Generation))
	}
	w.add(e)
	delete(w.live, elt.RunKey{Job: e.Job, Start: e.Interval.Start.Unix()})
}

// settle runs everything that is due until nothing is, and says what was published.
func (w *world) settle() []string {
	w.t.Helper()
	from := len(w.published)
	for range 10000 {
		d := w.situation().Decide()
		for _, r := range d.Rows {
			w.add(r)
		}
		if len(d.Start) == 0 && len(d.Rows) == 0 {
			return w.published[from:]
		}
		var open []elt.Entry
		for _, s := range d.Start {
			open = append(open, w.begin(s))
		}
		for _, e := range open {
			w.end(e, elt.Published, func(e *elt.Entry) { e.Took = time.Second; e.Rows = 10 })
		}
	}
	w.t.Fatal("there is no end of it")
	return nil
}

func (w *world) status(job, interval string) *elt.Status {
	w.t.Helper()
	j := w.graph.Job(job)
	i, err := j.Calendar.Parse(interval)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.situation().Assess(j, i)
}

func (w *world) want(job, interval string, state elt.State, reason string) {
	w.t.Helper()
	st := w.status(job, interval)
	var texts []string
	for _, r := range st.Reasons {
		texts = append(texts, r.Text)
	}
	if all := strings.Join(texts, "; "); st.State != state || !strings.Contains(all, reason) {
		w.t.Errorf("%s %s is %s (%s), want %s (… %s …)", job, interval, st.State, all, state, reason)
	}
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n  got %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

const visitsSQL = `
SELECT visit_id, visited FROM {{ ref "mart.visits" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}
`
