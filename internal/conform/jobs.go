package conform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/window"
)

// JobWarehouse is a sink that jobs run in.
type JobWarehouse interface {
	Warehouse
	elt.Warehouse
}

// JobsConfig is one empty warehouse; see SinkConfig.
type JobsConfig struct {
	Client func() JobWarehouse
	Exec   func(sql string) error
	Via    string // the way of the jobs' rows; empty for the default
}

// Jobs runs the suite of elt.Warehouse: what users of other schedulers suffer from, each by its name in docs/jobs.md, with a
// pipeline that publishes and a runner that looks after jobs.
func Jobs(t *testing.T, fresh func(t *testing.T) JobsConfig) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, JobsConfig){
		"Pain01WrongIntervalBetweenCadences": jobsCadences,
		"Pain02TriggersSurviveKills":         jobsKills,
		"Pain03DSTDay":                       jobsDST,
		"Pain04UpstreamRestated":             jobsRestated,
		"Pain05EmptyWindowIsNotMissing":      jobsEmptyWindow,
		"Pain06GapsAreFilled":                jobsGaps,
		"Pain07RetryKeepsItsSlice":           jobsRetry,
		"Pain08ReadersSeeOldOrNew":           jobsReaders,
		"Pain09TwoRunners":                   jobsTwoRunners,
		"Pain10ConcurrentWritersAndReaders":  jobsConcurrent,
		"Pain11OneMessage":                   jobsOneMessage,
		"Pain12MissedDeadlineIsLatched":      jobsDeadline,
		"Pain13BackfillIsRequests":           jobsBackfill,
		"Pain14BadSQLIsSaid":                 jobsBadSQL,
		"Pain15WholeIntervalsAreReplaced":    jobsLate,
		"Modes":                              jobsModes,
		"Checks":                             jobsChecks,
		"Schema":                             jobsSchema,
		"OnlyChecks":                         jobsOnlyChecks,
		"Canary":                             jobsCanary,
		"BeforeAnyPipeline":                  jobsFirst,
		"Acts":                               jobsActs,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// bench is a warehouse with a pipeline that publishes mart.visits and a runner.
type bench struct {
	t      *testing.T
	c      JobsConfig
	w      JobWarehouse
	p      *Pipeline
	graph  *elt.Graph
	mu     sync.Mutex
	behind time.Duration // the bench's clock, and the warehouse's with it, is that much behind
	rows   []elt.Entry   // that runners have written
	owners map[string][]string
	sender elt.Sender
	look   *elt.Look
}

var (
	visitColumns = []ingest.Column{{Name: "id", Type: int64Type}, {Name: "visited", Type: ingest.Type{Kind: ingest.TimestampTZ}}, {Name: "amount", Type: int64Type, Nullable: true}}
	benchStart   = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
)

// newBench compiles the jobs and publishes the base of the pipeline: its first window, in two slices.
func newBench(t *testing.T, c JobsConfig, jobs string) *bench {
	t.Helper()
	b := &bench{t: t, c: c, w: c.Client(), p: NewPipeline(t, "care")}
	b.set(benchStart.Add(24 * time.Hour))
	b.p.Acquire(b.w, 1)
	b.publish(2, true, 0)
	b.graph = b.compile(jobs)
	return b
}

func (b *bench) compile(jobs string) *elt.Graph {
	b.t.Helper()
	dir := b.t.TempDir()
	if b.c.Via != "" && !strings.Contains(jobs, "{via: ") {
		jobs = strings.ReplaceAll(jobs, "\noutput: {table", "\noutput: {via: "+b.c.Via+", table")
	}
	for _, f := range txtar.Parse([]byte("-- tidemill.yaml --\nproject: clinic\npools: {default: 4}\n" + jobs)).Files {
		at := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, f.Data, 0o644)); err != nil {
			b.t.Fatal(err)
		}
	}
	p, err := config.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		b.t.Fatal(err)
	}
	g, problems := elt.Compile(p.Jobs, p.Templates, elt.World{Grid: quarterGrid(b.t), Zone: "UTC", Tables: []elt.PublishedTable{{Table: "mart.visits", Pipeline: "care"}}, Pools: p.Pools})
	if len(problems) > 0 {
		b.t.Fatal(problems)
	}
	return g
}

func quarterGrid(t testing.TB) grid.Grid {
	g, err := grid.New(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// publish publishes slices: two make a window. Each but an empty one brings the visit whose id is the number of the slice since
// the beginning, in its window, with the amount.
func (b *bench) publish(slices int, replace bool, amount int64) {
	b.t.Helper()
	for i := range slices {
		pub := b.p.Next()
		start := pub.Step.Start
		n := int64(start.Sub(benchStart)/(15*time.Minute))*2 + int64(pub.Step.Slice)
		b.p.Publish(b.w, b.p.Next(Load{Table: visits, Columns: visitColumns, Key: []string{"id"}, Replace: replace && i == 0, Parts: []func(*ingest.Builder){func(r *ingest.Builder) {
			r.Cols[0].Int64(n)
			r.Cols[1].Int64(start.Add(time.Duration(n%2) * time.Minute).UnixMicro())
			r.Cols[2].Int64(amount)
			r.End(ingest.Upsert)
		}}}))
	}
}

func (b *bench) clock() time.Time { return time.Now().Add(-b.lag()) }

func (b *bench) lag() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.behind
}

func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behind -= d
}

func (b *bench) set(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behind = time.Since(now).Truncate(time.Second)
}

// clocked is a warehouse whose clock is the bench's.
type clocked struct {
	elt.Warehouse
	b *bench
}

// JobDialect implements elt.Warehouse.
func (c clocked) JobDialect() elt.Dialect {
	d := c.Warehouse.JobDialect()
	d.Now = fmt.Sprintf("(%s - INTERVAL '%d seconds')", d.Now, int64(c.b.lag().Seconds()))
	return d
}

// runner takes the jobs over.
func (b *bench) runner(w elt.Warehouse, epoch int64) *elt.Runner {
	b.t.Helper()
	r := b.options(w, epoch)
	if err := r.Take(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) options(w elt.Warehouse, epoch int64) *elt.Runner {
	r := elt.NewRunner(elt.Options{
		Warehouse: clocked{w, b}, Graph: func() *elt.Graph { return b.graph }, Grid: quarterGrid(b.t), Pools: func() map[string]int { return map[string]int{"default": 4} },
		Owners: func() map[string][]string { return b.owners }, Sender: b.sender, Epoch: epoch, Actor: fmt.Sprintf("runner%d", epoch), Clock: b.clock, Deep: time.Nanosecond,
		Wrote: func(e elt.Entry) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.rows = append(b.rows, e)
		},
		Look: func(l *elt.Look) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.look = l
		},
	})
	b.t.Cleanup(r.Wait) // a run that the test did not wait for would write into a directory that is being removed
	return r
}

// settle looks until nothing is left to do and says what was published.
func (b *bench) settle(r *elt.Runner) []string {
	b.t.Helper()
	out, err := b.trySettle(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) trySettle(ctx context.Context, r *elt.Runner) ([]string, error) {
	from := len(b.written())
	for range 500 {
		if err := r.Once(ctx); err != nil {
			return nil, err
		}
		r.Wait()
		if len(b.look.Decision.Start) == 0 && len(b.look.Decision.Rows) == 0 {
			return b.publishedFrom(from), nil
		}
	}
	return nil, errors.New("there is no end of it")
}

func (b *bench) written() []elt.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.rows)
}

func (b *bench) publishedFrom(n int) (out []string) {
	for _, e := range b.written()[n:] {
		if e.State == elt.Published {
			out = append(out, b.name(e))
		}
	}
	slices.Sort(out)
	return out
}

func (b *bench) name(e elt.Entry) string {
	return fmt.Sprintf("%s %s %d", e.Job, e.Interval.Start.UTC().Format("15:04"), e.Generation)
}

// want compares lists.
func (b *bench) want(what string, got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// ask gives one row of the warehouse.
func (b *bench) ask(sql string, want ...string) {
	b.t.Helper()
	got := Ask(b.t, b.w, sql)
	for i := range got {
		got[i] = strings.Trim(got[i], `"`)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: got %q, want %q", sql, got, want)
	}
}

// status is what the committed state says of an interval.
func (b *bench) status(job, interval string) *elt.Status {
	b.t.Helper()
	book, err := elt.Read(b.t.Context(), b.w, b.graph)
	if err != nil {
		b.t.Fatal(err)
	}
	j := b.graph.Job(job)
	w, err := j.Calendar.Parse(interval)
	if err != nil {
		b.t.Fatal(err)
	}
	s := &elt.Situation{Graph: b.graph, Committed: book.Committed, Grid: quarterGrid(b.t), Now: b.clock(), Epoch: -1, Pools: map[string]int{"default": 4}}
	return s.Assess(j, w)
}

func (b *bench) wantState(job, interval string, state elt.State, reason string) {
	b.t.Helper()
	st := b.status(job, interval)
	text := ""
	for _, r := range st.Reasons {
		text += r.Text + "; "
	}
	if st.State != state || !strings.Contains(text, reason) {
		b.t.Errorf("%s %s is %s (%s), want %s (… %s …)", job, interval, st.State, text, state, reason)
	}
}

// request asks for intervals of a job.
func (b *bench) request(id, job string, from, to time.Time, only string) int {
	b.t.Helper()
	book, err := elt.Read(b.t.Context(), b.w, b.graph)
	if err != nil {
		b.t.Fatal(err)
	}
	s := &elt.Situation{Graph: b.graph, Committed: book.Committed, Grid: quarterGrid(b.t), Now: b.clock(), Epoch: -1}
	p, err := s.Preview(b.graph.Job(job), from, to, only)
	if err == nil {
		err = elt.Ask(b.t.Context(), clocked{b.w, b}, p.Requests(id, "ana", "asked"))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return len(p.Intervals)
}

// jobFile is a job that copies mart.visits by intervals.
func jobFile(name, every, more string) string {
	return fmt.Sprintf(`
-- jobs/%[1]s.yaml --
kind: job
name: %[1]s
owner: data
interval: {every: %[2]s}
start: 2026-01-05T09:00:00Z
sql: %[1]s.sql
output: {table: report.%[1]s, time_column: visited}
retry: {backoff: 1ms..1ms}
%[3]s`, name, every, more)
}

// sqlFile is its SELECT: of mart.visits, or of another job.
func sqlFile(name, from string) string {
	return fmt.Sprintf("\n-- jobs/%s.sql --\nSELECT id, visited, amount FROM {{ ref %q }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n", name, from)
}

var _ window.Sink = JobWarehouse(nil)
