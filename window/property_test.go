package window

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/oracle/cases"
	"github.com/tidemill/tidemill/internal/sim"
	"github.com/tidemill/tidemill/window/view"
)

var (
	caseCount = flag.Int("cases", 0, "cases of TestCases; 0: as many as fit")
	caseText  = flag.String("case", "", "run only this case of TestCases, which a failure has printed")
)

// caseRun is a case with what is decided by chance around it: limits, loads, stops, the order of partitions.
type caseRun struct {
	c    *cases.Case
	seed uint64
	harm harm
	plan *casePlan // of the same tables and views; nil: a new one
	// patience is how long a run may take before it counts as one that hangs. Default 3 min: the machine may be busy.
	patience time.Duration
}

// caseResult says what a run was made of.
type caseResult struct {
	steps, slices, empty, rows, restarts int
	records                              int // of the log
}

// run is the core from end to end without a server: groups are stamped and sealed by ingest, appended to a log in memory,
// followed in any order of partitions, collapsed and joined by DuckDB, and written as Parquet. Every publish is judged.
func (r caseRun) run(ctx context.Context) (res caseResult, err error) {
	dir, err := os.MkdirTemp(simRoot(), "case")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rng := rand.New(rand.NewPCG(r.seed, 21))
	log := newSimLog(nil, r.harm)
	sink := &caseSink{c: r.c, tables: map[string]*caseTable{}}
	for n := range cases.Sources {
		s := newCaseSource(r.c, n, rng)
		s.torn = r.harm.torn
		if rng.IntN(3) == 0 {
			s.stopAt = rng.IntN(len(s.groups) + 1)
		}
		sink.sources = append(sink.sources, s)
		if err := r.write(ctx, rng, log, s); err != nil {
			return res, fmt.Errorf("source %s: %w", s.name, err)
		}
	}
	res.records = log.Grown()
	res.restarts, err = r.publish(ctx, rng, log, sink, dir)
	if sink.wrong != nil {
		err = sink.wrong
	}
	for _, st := range sink.steps {
		if !st.Final {
			res.slices++
		}
	}
	res.steps, res.rows = len(sink.steps), sink.checked
	return res, err
}

// write lets owners of a source write its log, one after the other.
func (r caseRun) write(ctx context.Context, rng *rand.Rand, log *simLog, s *caseSource) error {
	g, err := grid.New(caseWindow)
	if err != nil {
		return err
	}
	slice := int64(0)
	if rng.IntN(2) == 0 {
		slice = 100 + rng.Int64N(1000)
	}
	for owners := 1; ; owners++ {
		stops := s.stopAt >= 0 && s.stopAt < len(s.groups)
		err := ingest.StreamTo(ctx, ingest.Config{
			Source: s.name, Owner: fmt.Sprint("owner-", owners), Grid: g, Partitions: 2, Grace: time.Second, SliceBytes: slice,
			FlushBytes: 20 + rng.IntN(400), MaxSkew: time.Minute, Now: func() time.Time { return s.now },
		}, log.source(nil, false), s)
		if err != nil || !stops {
			return err
		}
	}
}

// publish runs the pipeline until the last window is in the warehouse; it may be stopped once, and may lose its disk.
func (r caseRun) publish(ctx context.Context, rng *rand.Rand, log *simLog, sink *caseSink, dir string) (restarts int, err error) {
	last := sink.sources[0].end.Truncate(caseWindow)
	stopAfter, lose := -1, rng.IntN(2) == 0
	if rng.IntN(6) == 0 {
		stopAfter = 1 + rng.IntN(3)
	}
	plan := r.plan
	if plan == nil {
		plan = newCasePlan(r.c)
	}
	cfg := Config{
		Name: "care", Owner: "test", Sources: cases.Sources, Wants: func(string, ingest.TableName) bool { return true }, Plan: plan.plan,
		Store: dirStore{filepath.Join(dir, "lake")}, Sink: sink, Dir: filepath.Join(dir, "local"), Tracer: tracenoop.Tracer{}, Meter: metricnoop.Meter{}, Grace: time.Second,
		StateMemory: 128 << 20, StateThreads: 1, SnapshotEvery: 100, open: openOnce,
	}
	if rng.IntN(4) == 0 {
		cfg.Memory = 1 + rng.Int64N(2000) // spills
	}
	cfg.env = log.pipeline(nil)
	cfg.env.follow = func() (follower, error) {
		return newCaseFollower(log, r.seed), nil
	}
	for ; ; restarts++ {
		run, stop := context.WithTimeout(ctx, cmp.Or(r.patience, 3*time.Minute))
		sink.after = func(published int) {
			if published == stopAfter || sink.fence.Step.Final && !sink.fence.Step.End.Before(last) {
				stop()
			}
		}
		p, err := New(cfg)
		if err == nil {
			err = p.Run(run)
		}
		late := errors.Is(run.Err(), context.DeadlineExceeded)
		stop()
		switch f, ferr := sink.Fence(ctx, ""); {
		case err != nil:
			return restarts, err
		case late:
			return restarts, fmt.Errorf("nothing goes on: %+v", p.Status().Missing)
		case ferr == nil && f.Step.Final && !f.Step.End.Before(last):
			return restarts, nil
		}
		stopAfter = -1
		if lose {
			if err := os.RemoveAll(cfg.Dir); err != nil {
				return restarts, err
			}
		}
	}
}

// onceState does not make a new file anew: that is a tenth of a history's time.
type onceState struct {
	*duckState
	used bool
}

func openOnce(ctx context.Context, c *Config) (engine, error) {
	_, err := os.Stat(c.statePath())
	e, oerr := openState(ctx, c)
	if oerr != nil {
		return nil, oerr
	}
	return &onceState{e.(*duckState), err == nil}, nil
}

func (s *onceState) reset(ctx context.Context) error {
	if !s.used {
		return nil
	}
	return s.duckState.reset(ctx)
}

func (s *onceState) prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (timings, error) {
	s.used = true
	return s.duckState.prepare(ctx, w, dir, save)
}

func (s *onceState) prime(ctx context.Context, topic string, schema *ingest.Schema, read func(func(arrow.RecordBatch) error) error) error {
	s.used = true
	return s.duckState.prime(ctx, topic, schema, read)
}

func newCasePlan(c *cases.Case) *casePlan { return &casePlan{c: c, compiled: map[string]*view.View{}} }

// casePlan replicates every table and compiles the views; one view over the same columns is compiled once.
type casePlan struct {
	c        *cases.Case
	compiled map[string]*view.View
}

func (p *casePlan) plan(ctx context.Context, registries map[string]*ingest.Registry) (*Plan, error) {
	out := &Plan{}
	var tables []view.Table
	prints := map[string]uint64{}
	for _, name := range cases.Sources {
		r := registries[name]
		if r == nil {
			return nil, fmt.Errorf("no registry of %s", name)
		}
		for _, t := range r.Tables {
			out.Replicas = append(out.Replicas, Replica{t.Topic, WarehouseTable{"raw_" + name, t.Schema.Table.Name}})
			tables = append(tables, view.Table{Input: t.Topic, Source: name, Schema: &t.Schema})
			prints[t.Schema.Table.Name] = t.Schema.Fingerprint()
		}
	}
	for i := range p.c.Views {
		v := &p.c.Views[i]
		name := fmt.Sprint("v", i)
		key := name
		for _, r := range v.Rels {
			key += fmt.Sprint(" ", prints[p.c.Tables[r.Table].Name])
		}
		if p.compiled[key] == nil {
			c, err := view.Compile(ctx, view.Spec{Name: name, SQL: v.SQL(p.c), Key: v.Key(p.c)}, tables)
			if err != nil {
				return nil, fmt.Errorf("%w\n%s", err, v.SQL(p.c))
			}
			p.compiled[key] = c
		}
		out.Views = append(out.Views, JoinedView{Table: WarehouseTable{"mart", name}, View: p.compiled[key]})
	}
	return out, nil
}

// caseFollower gives lots of any size from any of the partitions. Steps are taken beside it: they add, pause and resume.
type caseFollower struct {
	mu    sync.Mutex
	inner simFollower
	rng   *rand.Rand
	more  chan struct{} // something may have become readable
}

func newCaseFollower(log *simLog, seed uint64) *caseFollower {
	inner := simFollower{log: log, next: map[sim.Lane]int64{}, paused: map[sim.Lane]bool{}}
	return &caseFollower{inner: inner, rng: rand.New(rand.NewPCG(seed, 22)), more: make(chan struct{}, 1)}
}

func (f *caseFollower) PollRecords(ctx context.Context, most int) kgo.Fetches {
	for {
		if out := f.lot(most); out != nil {
			return out
		}
		select {
		case <-ctx.Done():
			return kgo.NewErrFetch(ctx.Err())
		case <-f.more:
		}
	}
}

func (f *caseFollower) lot(most int) kgo.Fetches {
	f.mu.Lock()
	defer f.mu.Unlock()
	lanes := f.inner.grown()
	if len(lanes) == 0 {
		return nil
	}
	at := lanes[f.rng.IntN(len(lanes))]
	left := int64(len(f.inner.log.Records(at))) - f.inner.next[at]
	n := min(1+f.rng.Int64N(left), int64(most))
	records := f.inner.log.records(at, f.inner.next[at], f.inner.next[at]+n)
	f.inner.next[at] += n
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: at.Topic, Partitions: []kgo.FetchPartition{{Partition: int32(at.Partition), Records: records}}}}}}
}

// change does something to the follower under its lock and lets it look again.
func (f *caseFollower) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *caseFollower) AddConsumePartitions(p map[string]map[int32]kgo.Offset) {
	f.change(func() { f.inner.AddConsumePartitions(p) })
}

func (f *caseFollower) PauseFetchPartitions(p map[string][]int32) (out map[string][]int32) {
	f.change(func() { out = f.inner.PauseFetchPartitions(p) })
	return out
}

func (f *caseFollower) ResumeFetchPartitions(p map[string][]int32) {
	f.change(func() { f.inner.ResumeFetchPartitions(p) })
}

func (f *caseFollower) PurgeTopicsFromClient(...string) {}
func (f *caseFollower) Close()                          {}
func (f *caseFollower) Name(topic string) string        { return topic }
func (f *caseFollower) Plain(name string) string        { return name }

// TestCases is the property of the core: whatever the tables, the views and the changes are, every window equals what the
// views mean. A view of a case over its history is counted as one.
func TestCases(t *testing.T) {
	if *caseText != "" {
		c, err := cases.Parse(*caseText)
		if err != nil {
			t.Fatal(err)
		}
		res, err := caseRun{c: c, seed: *seed}.run(t.Context())
		t.Logf("%+v\n%s", res, c.Describe())
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	n := simCases
	if *caseCount > 0 {
		n = *caseCount
	}
	var sum caseResult
	var mu sync.Mutex
	views, began, cpu := 0, time.Now(), cpuTime()
	add := func(c *cases.Case, res caseResult) {
		mu.Lock()
		defer mu.Unlock()
		views += len(c.Views)
		sum.steps, sum.slices, sum.rows, sum.restarts, sum.records = sum.steps+res.steps, sum.slices+res.slices, sum.rows+res.rows, sum.restarts+res.restarts, sum.records+res.records
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	eachSeed(t, uint64((n+histories-1)/histories), func(t *testing.T, seed uint64) {
		var plan *casePlan
		for h := range uint64(histories) {
			r := caseRun{c: cases.New(seed, cases.Options{History: h}), seed: seed*histories + h, plan: plan}
			if plan == nil {
				plan = newCasePlan(r.c)
				r.plan = plan
			}
			res, err := r.run(t.Context())
			if add(r.c, res); err != nil {
				t.Error(smallest(t, r, err))
				return
			}
		}
	})
	took, cpu := time.Since(began), cpuTime()-cpu
	t.Logf("%d histories, %d cases (a view over a history): %d windows, %d of them slices, %d rows compared, %d records, %d restarts; %.0f cases a minute, %.0f a CPU minute",
		n, views, sum.steps, sum.slices, sum.rows, sum.records, sum.restarts, float64(views)/took.Minutes(), float64(views)/cpu.Minutes())
	if !t.Failed() && n > 50 && (sum.slices == 0 || sum.restarts == 0) {
		t.Error("no slice, or no restart: the cases have become tame")
	}
}

// histories are run over the same tables and views: planning a view takes longer than a window.
const histories = 4

// smallest shrinks a case that fails and writes it down.
func smallest(t *testing.T, r caseRun, err error) string {
	was := err
	r.c, _ = cases.Shrink(r.c, time.Minute, func(c *cases.Case) bool {
		_, e := caseRun{c: c, seed: r.seed, harm: r.harm.again(), patience: 15 * time.Second}.run(t.Context())
		if e == nil || !alike(e, was) {
			return false
		}
		err = e
		return true
	})
	return fmt.Sprintf("seed %d: %v\nthe smallest case that fails like it: %v\n%s\nrun it again: go test ./window -run 'TestCases$' -v -seed %d -case %s",
		r.seed, was, err, r.c.Describe(), r.seed, shellQuote(r.c.String()))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// alike reports whether two runs failed in one way: the oracle's, or one that is worded alike.
func alike(a, b error) bool { return way(a) == way(b) }

func way(err error) string {
	text := err.Error()
	for _, w := range []string{"rows are wrong", "operations in one window", "with an equal row", "was not there", "nothing goes on"} {
		if strings.Contains(text, w) {
			return w
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text[:min(len(text), 80)])
}

// again is a harm that has not been done yet.
func (m harm) again() harm {
	if m.state != nil {
		m.state = &harmed{highest: map[sim.Lane]int64{}}
	}
	return m
}

// cpuTime is the processor time this process has used: the figure to read on a machine that does other things as well.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCasesSeeHarm: a log that loses, doubles or misplaces what was appended, or a source that tears a group, must be noticed,
// or TestCases proves nothing. The smallest case that notices it is small.
func TestCasesSeeHarm(t *testing.T) {
	for name, m := range map[string]harm{
		"a batch is lost":                  {kind: "a batch is lost"},
		"a batch is replayed":              {kind: "a batch is replayed"},
		"a seal comes before its last row": {kind: "a seal comes before its last row"},
		"a group is torn":                  {torn: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 40; seed++ {
				m.state = &harmed{highest: map[sim.Lane]int64{}}
				r := caseRun{c: cases.New(seed, cases.Options{Views: 1}), seed: seed, harm: m}
				if _, err := r.run(t.Context()); err != nil {
					t.Logf("seed %d: %.300s", seed, err.Error())
					return
				}
			}
			t.Error("no case notices it")
		})
	}
}
