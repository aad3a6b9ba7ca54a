package window

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/sim"
)

var (
	seeds  = flag.Int("seeds", 0, "simulated worlds; 0: as many as fit")
	from   = flag.Uint64("from", 1, "the first of them")
	seed   = flag.Uint64("seed", 0, "run only this one, and print its trace")
	faults = flag.Int("faults", -1, "faults of that one; -1: as many as come")
	groups = flag.Int("groups", -1, "groups of its histories; -1: all")
)

// simRun says which simulated world to run.
type simRun struct {
	seed   uint64
	faults int // negative: any number
	groups int // negative: all of the histories
	harm   harm
}

// simWorld is the whole protocol: owners of sources and owners of a pipeline over one log, one store and one warehouse.
type simWorld struct {
	*sim.World
	rng       *rand.Rand // of the histories, before anything runs
	log       *simLog
	histories []*simHistory
	sources   []*simUnit
	pipeline  *simUnit
	lake      *simStore
	warehouse *simWarehouse
	dir       string
	runs      map[*sim.Process]*simPipeline
	wants     int // what operators still ask for
	restarts  [restore + 1]int64
}

// simUnit is a source or a pipeline, that owners come and go for.
type simUnit struct {
	name   string
	owners []*sim.Process
	stage  simStage
	start  func(n int)
	ends   map[*sim.Process]*simSource
}

type simStage int

const (
	chaos simStage = iota // owners come and go until one comes to the end
	drain                 // those that are left end
	clean                 // one more has all to itself
	done
)

// simPipeline is one run of the pipeline.
type simPipeline struct {
	*Pipeline
	machine int
}

// simulate runs a world until every source is at its end and the last window is published, and checks it.
func simulate(t *testing.T, r simRun) (s *simWorld, err error) {
	dir, err := os.MkdirTemp(simRoot(), "sim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(*testing.T) {
		s = newSimWorld(r, dir)
		if err = s.Run(s.next); err != nil {
			err = fmt.Errorf("%w%s", err, s.missing())
		}
		if s.warehouse.wrong != nil {
			err = s.warehouse.wrong
		}
		if err == nil && r.seed%4 == 0 {
			err = s.calmRun()
		}
	})
	return s, err
}

// simRoot is where local folders are fastest.
func simRoot() string {
	if i, err := os.Stat("/dev/shm"); err == nil && i.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

func newSimWorld(r simRun, dir string) *simWorld {
	w := sim.New(sim.Options{Seed: r.seed, Faults: r.faults})
	s := &simWorld{World: w, rng: rand.New(rand.NewPCG(r.seed, 0)), log: newSimLog(w, r.harm), dir: dir, runs: map[*sim.Process]*simPipeline{}}
	s.lake = newSimStore()
	for _, name := range []string{"a", "b"}[:1+s.rng.IntN(2)] {
		h := newSimHistory(name, s.rng, r.groups)
		s.histories = append(s.histories, h)
		u := &simUnit{name: "source/" + name, ends: map[*sim.Process]*simSource{}}
		u.start = func(n int) { s.startSource(u, h, n) }
		s.sources = append(s.sources, u)
	}
	for _, h := range s.histories { // they are idle until the same moment
		s.histories[0].end = latest(s.histories[0].end, h.end)
		h.end = s.histories[0].end
	}
	s.histories[0].end = s.histories[len(s.histories)-1].end
	s.warehouse = newSimWarehouse(s)
	s.pipeline = &simUnit{name: "pipeline/care"}
	s.pipeline.start = s.startPipeline
	if s.rng.IntN(3) > 0 {
		s.wants = 2
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *simWorld) names() (out []string) {
	for _, h := range s.histories {
		out = append(out, h.name)
	}
	return out
}

// missing says what the pipelines that have not ended wait for.
func (s *simWorld) missing() (text string) {
	for _, p := range s.pipeline.owners {
		if st := s.runs[p].Status(); st.Phase != "stopped" {
			text += fmt.Sprintf("; %s at %s waits for %v", p.Name, st.Published, st.Missing)
		}
	}
	return text
}

// next decides who starts. It is called when nothing is running.
func (s *simWorld) next() (over bool, err error) {
	if s.warehouse.wrong != nil {
		return false, s.warehouse.wrong
	}
	for _, p := range s.Ended() {
		if err := s.judge(p); err != nil {
			return false, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	ended := 0
	for _, u := range s.sources {
		if u.stage == done {
			ended++
		}
		s.lead(u)
	}
	if ended == len(s.sources) && s.Ghosts() == 0 && s.published() {
		return true, nil
	}
	s.lead(s.pipeline)
	if s.log.harm.late && s.Rand.IntN(8) == 0 {
		s.trim()
	}
	switch s.Rand.IntN(150) {
	case 0:
		s.trim()
	case 1:
		if s.wants > 0 {
			s.ask()
		}
	case 2, 3: // more than any pause between two attempts
		s.Note("clock", "passes", "a minute")
		<-time.After(time.Minute)
	}
	return false, nil
}

// lead starts an owner of u when its owners look dead, and now and then beside one that does not.
func (s *simWorld) lead(u *simUnit) {
	running := slices.DeleteFunc(slices.Clone(u.owners), func(p *sim.Process) bool { return p.Over() || p.Crashed() })
	n := len(u.owners)
	switch {
	case u.stage == chaos && n < 12 && (s.Asleep(running...) || s.Fault(400)), u.stage == clean && len(running) == 0:
		u.start(n + 1)
	case u.stage == chaos && n >= 12 && len(running) == 0, u.stage == drain && len(running) == 0:
		u.stage = clean
		u.start(n + 1)
	}
}

// judge says whether a process may end like that.
func (s *simWorld) judge(p *sim.Process) error {
	err := p.Err()
	if p.Crashed() {
		return nil
	}
	for _, u := range s.sources {
		src := u.ends[p]
		switch {
		case src == nil:
		case err == nil && !src.stopped && !s.log.checkpoints()[src.h.name].Window.Before(s.lastWindow()):
			u.stage = map[simStage]simStage{chaos: drain, drain: drain, clean: done, done: done}[u.stage]
			return nil
		case err == nil, errors.Is(err, ingest.ErrAnew), errors.Is(err, ingest.ErrSuperseded):
			return nil
		case errors.Is(err, errTrimmed) && s.log.epoch(u.name) > s.log.owner[p]: // under one that is no owner any more
			return nil
		}
	}
	if errors.Is(err, sim.ErrBroken) {
		return nil
	}
	if run := s.runs[p]; run != nil {
		epoch := run.Status().Epoch
		switch {
		case err == nil, errors.Is(err, ErrFenced):
			return nil
		case isRefused(err) && !errors.Is(err, ErrIntegrity) && s.warehouse.fence().Epoch > epoch:
			return nil // the log was trimmed under one that is no owner any more
		}
	}
	return err
}

// lastWindow is where the last window ends that every source has sealed: grace is two seconds at most.
func (s *simWorld) lastWindow() time.Time { return s.histories[0].end.Truncate(s.histories[0].window) }

// published reports whether the warehouse has the last window.
func (s *simWorld) published() bool {
	at, last := s.warehouse.at(), s.lastWindow()
	return at.Final && at.End.Equal(last) || !at.Start.Before(last)
}

func (s *simWorld) startSource(u *simUnit, h *simHistory, n int) {
	deaf := u.stage == chaos && s.Rand.IntN(4) == 0
	src := &simSource{h: h, mayStop: u.stage == chaos && n < 10, torn: s.log.harm.torn, now: h.start}
	p := s.Go(fmt.Sprintf("source-%s-%d", h.name, n), func(ctx context.Context, p *sim.Process) error {
		src.p, src.pack = p, 1+p.Rand.IntN(4)
		return ingest.StreamTo(ctx, s.sourceConfig(p, src), s.log.source(p, deaf), src)
	})
	if u.stage == clean {
		p.Spare()
	}
	u.owners, u.ends[p] = append(u.owners, p), src
}

// sourceConfig gives every owner limits and a clock of its own, so that it would decide differently if it were free to.
func (s *simWorld) sourceConfig(p *sim.Process, src *simSource) ingest.Config {
	rng := p.Rand
	g, err := grid.New(src.h.window)
	if err != nil {
		panic(err)
	}
	return ingest.Config{
		Source: src.h.name, Owner: p.Name, Grid: g, Partitions: 2,
		Grace: time.Duration(1 + rng.IntN(2000)*1e6), SliceBytes: int64(50 + rng.IntN(50<<rng.IntN(7))), FlushBytes: 20 + rng.IntN(400),
		MaxSkew:    time.Duration(1 + rng.IntN(3000)*1e6),
		FlushEvery: time.Duration(1 + rng.IntN(2e9)), CheckpointEvery: time.Duration(1 + rng.IntN(6e9)),
		Now: func() time.Time { return src.now.Add(p.Skew()).UTC() },
	}
}

// startPipeline starts an owner of the pipeline on a machine where no other runs, whose disk may have been lost.
func (s *simWorld) startPipeline(n int) {
	busy := map[int]bool{}
	for p, run := range s.runs {
		busy[run.machine] = busy[run.machine] || !p.Over()
	}
	machine := s.Rand.IntN(4) / 3
	for busy[machine] {
		machine++
	}
	dir := filepath.Join(s.dir, fmt.Sprint("machine-", machine))
	if s.Rand.IntN(5) == 0 {
		s.Note("operator", "disk", fmt.Sprintf("machine %d loses it", machine))
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
	}
	run := &simPipeline{machine: machine}
	ready := make(chan struct{})
	p := s.Go(fmt.Sprintf("pipeline-%d", n), func(ctx context.Context, p *sim.Process) (err error) {
		run.Pipeline, err = New(s.config(p, dir))
		close(ready)
		if err != nil {
			return err
		}
		return run.Run(ctx)
	})
	<-ready
	if s.pipeline.stage == clean {
		p.Spare()
	}
	s.runs[p] = run
	s.pipeline.owners = append(s.pipeline.owners, p)
}

// config is a pipeline's, with habits of the process's own. A nil process is alone in the world.
func (s *simWorld) config(p *sim.Process, dir string) Config {
	c := Config{
		Name: "care", Owner: "test", Sources: s.names(), Wants: func(string, ingest.TableName) bool { return true }, Plan: s.plan,
		Store: simDisk{s.lake, p}, Sink: simSink{s.warehouse, p}, Dir: dir, Tracer: tracenoop.Tracer{}, Meter: metricnoop.Meter{}, Grace: time.Second,
		env: s.log.pipeline(p), open: func(ctx context.Context, c *Config) (engine, error) { return openSimEngine(ctx, c, p, s) },
		SnapshotEvery: 1 + s.rng.IntN(3),
	}
	if p != nil && p.Rand.IntN(3) == 0 {
		c.Memory = 1 + p.Rand.Int64N(2000) // spills
	}
	return c
}

// plan replicates every table and joins the two of the first source.
func (s *simWorld) plan(ctx context.Context, registries map[string]*ingest.Registry) (*Plan, error) {
	p, err := planAll(s.names()...)(ctx, registries)
	if err == nil {
		p.Views = []JoinedView{pairView("pairs", "tm.a.s.x", "tm.a.s.y")}
	}
	return p, err
}

// ask is an operator who wants a table loaded anew, or a source.
func (s *simWorld) ask() {
	h := s.histories[s.Rand.IntN(len(s.histories))]
	if len(s.log.Records(sim.Lane{Topic: ingest.PositionsTopic})) == 0 {
		return
	}
	s.wants--
	table := []string{"s.x", "s.y", ""}[s.Rand.IntN(3)]
	s.Note("operator", "ask", fmt.Sprintf("%s %q", h.name, table))
	s.log.ask(ingest.Request{ID: fmt.Sprint("request-", s.wants), Source: h.name, Table: table})
}

// trim gives back what neither the pipeline nor a new owner of a source would read, as a daemon does.
func (s *simWorld) trim() {
	running := slices.DeleteFunc(slices.Clone(s.pipeline.owners), func(p *sim.Process) bool { return p.Over() || p.Crashed() })
	if len(running) == 0 {
		return
	}
	p := running[s.Rand.IntN(len(running))]
	if s.log.epoch("pipeline/care") != s.runs[p].Status().Epoch && !s.log.harm.late { // another owner may be restoring from an older snapshot
		return
	}
	floors := s.log.floors()
	for _, topic := range slices.Sorted(maps.Keys(s.runs[p].Needed())) {
		for n, to := range s.runs[p].Needed()[topic] {
			at := sim.Lane{Topic: topic, Partition: n}
			end := int64(len(s.log.Records(at)))
			if s.log.harm.trims {
				to = end
			}
			if to = min(to, floors[at], end-1); to > s.log.Start(at) {
				s.Note(p.Name, "trim", fmt.Sprintf("%s to %d", at, to))
				s.log.Trim(at, to)
			}
		}
	}
}

// calmRun publishes the whole log once more, without faults, into another warehouse: the same steps with the same hashes.
func (s *simWorld) calmRun() error {
	calm := &simWorld{World: sim.New(sim.Options{Seed: 1, Faults: 0}), rng: rand.New(rand.NewPCG(1, 1)), log: s.log, histories: s.histories, lake: newSimStore(), dir: s.dir, runs: map[*sim.Process]*simPipeline{}}
	calm.warehouse = newSimWarehouse(calm)
	calm.warehouse.hashes = s.warehouse.hashes // checked at each publish
	calm.log.world = calm.World
	clear(calm.log.Starts)
	calm.pipeline = &simUnit{name: "pipeline/calm"}
	last := s.warehouse.at()
	err := calm.Run(func() (bool, error) {
		if len(calm.runs) == 0 {
			calm.startPipeline(100)
		}
		for _, p := range calm.Ended() {
			return false, fmt.Errorf("a calm run ended with %w", p.Err())
		}
		return calm.warehouse.wrong != nil || calm.warehouse.at().same(last), calm.warehouse.wrong
	})
	if err != nil {
		return fmt.Errorf("publishing the log again: %w", err)
	}
	return nil
}

// Guarantees 1, 2 and 3 for the whole line: owners of sources and of the pipeline crash, sleep and wake as zombies, replies are
// lost, appends doubled, clocks jump, disks are lost, the log is trimmed, tables are loaded anew. At every commit each table is
// what the servers held at the cut; steps follow each other; one step has one manifest, whoever prepares it.
func TestWorld(t *testing.T) {
	if *seed != 0 {
		s, err := simulate(t, simRun{*seed, *faults, *groups, harm{}})
		t.Logf("seed %d\n%s", *seed, s.Trace())
		if err != nil {
			t.Error(err)
		}
		return
	}
	n := uint64(simSeeds)
	if *seeds > 0 {
		n = uint64(*seeds)
	}
	var published, started atomic.Int64
	var restarts [restore + 1]atomic.Int64
	var tally sim.Tally
	eachSeed(t, n, func(t *testing.T, seed uint64) {
		s, err := simulate(t, simRun{seed, -1, -1, harm{}})
		if err != nil {
			t.Error(shortest(t, simRun{seed, -1, -1, harm{}}, err))
		}
		tally.Add(s.World)
		published.Add(int64(len(s.warehouse.history)))
		started.Add(int64(len(s.pipeline.owners)))
		for what, times := range s.restarts {
			restarts[what].Add(times)
		}
	})
	t.Logf("%d worlds: %d publishes by %d owners of pipelines", n, published.Load(), started.Load())
	t.Log(tally.String())
	if never := tally.Never(); n > 100 && len(never) > 0 && !t.Failed() {
		t.Errorf("never happened: %v", never)
	}
	for what := range restarts {
		t.Logf("restarts that %s: %d", recovery(what), restarts[what].Load())
		if n > 100 && restarts[what].Load() == 0 && !t.Failed() {
			t.Errorf("no restart that %s", recovery(what))
		}
	}
}

// A seed is a whole run: twice the same seed, twice the same trace, line by line.
func TestAWorldReplays(t *testing.T) {
	eachSeed(t, replaySeeds, func(t *testing.T, seed uint64) {
		r := simRun{seed, -1, -1, harm{}}
		a, aerr := simulate(t, r)
		b, berr := simulate(t, r)
		if x, y := a.Trace(), b.Trace(); x != y || fmt.Sprint(aerr) != fmt.Sprint(berr) {
			t.Errorf("seed %d differs: %s\n%v\n%v", seed, sim.Difference(x, y), aerr, berr)
		}
	})
}

// eachSeed runs fn for every seed, two at a time, until one has failed.
func eachSeed(t *testing.T, n uint64, fn func(t *testing.T, seed uint64)) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // thousands of small worlds
	var next atomic.Uint64
	next.Store(*from)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for s := next.Add(1) - 1; s < *from+n && !t.Failed(); s = next.Add(1) - 1 {
				fn(t, s)
			}
		})
	}
	wg.Wait()
}

// shortest finds the fewest faults and then the fewest groups with which a seed still fails, and describes that run.
func shortest(t *testing.T, r simRun, err error) string {
	s, _ := simulate(t, r)
	for n := range s.Faults() {
		r.faults = n
		if _, ferr := simulate(t, r); ferr != nil {
			err = ferr
			break
		}
		r.faults = -1
	}
	for n := range 20 {
		r.groups = n
		if _, gerr := simulate(t, r); gerr != nil {
			err = gerr
			break
		}
		r.groups = -1
	}
	s, _ = simulate(t, r)
	return fmt.Sprintf("seed %d: %v\n%s\nrun it again: go test ./window -run 'TestWorld$' -seed %d -faults %d -groups %d -v", r.seed, err, s.Trace(), r.seed, r.faults, r.groups)
}
