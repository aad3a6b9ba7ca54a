package window

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

func TestPipeline(t *testing.T) {
	for _, sources := range []int{1, 2} {
		gens, steps := world(t, 1, sources, 6)
		b := newBench(t, gens...)
		b.append(t)
		if err := b.until(t, b.config(), last(steps)); err != nil {
			t.Fatal(err)
		}
		b.published(t, steps)
	}
}

// start runs a pipeline beside the test; stop ends it and returns its error.
func (b *bench) start(t *testing.T, cfg Config) (p *Pipeline, stop func() error) {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() error { cancel(); return <-done }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		}
	}
}

// The log grows while the pipeline runs; tables appear whose registry version only a seal tells. Status says what is
// waited for, and Needed never passes what a restart reads.
func TestLiveLog(t *testing.T) {
	a := newGen("a", t0)
	a.rng = rand.New(rand.NewPCG(5, 5))
	x := a.table("x", 2)
	a.loads[x] = 1
	a.batch(x, 0, 5)
	b := newBench(t, a)
	b.sink.check = nil // its model grows beside the pipeline
	b.append(t)
	p, stop := b.start(t, b.config())
	eventually(t, "the pipeline says which seals it waits for", func() bool {
		s := p.Status()
		return len(s.Missing) == 2 && s.Missing[0].Topic == x && !s.Since.IsZero() && s.Phase == "loading" && len(s.Loads) == 1 && s.Loads[0].Rows == 5
	})
	if need := p.Needed(); need[x][0] != 0 {
		t.Errorf("before the base offset %d is needed, want 0", need[x][0])
	}
	a.seal(true)
	b.append(t)
	eventually(t, "10:00 is published", func() bool { return p.Status().Published.same(step(0, 0, true)) })
	y := a.table("y", 1)
	a.batch(x, 1, 3)
	a.batch(y, 0, 4)
	a.seal(true)
	b.append(t)
	eventually(t, "10:15 is published", func() bool { return p.Status().Published.same(step(15, 0, true)) })
	eventually(t, "x is needed from its cut and y, which loads, from its beginning", func() bool {
		need := p.Needed()
		return need[x][1] == 4 && len(need[y]) == 1 && need[y][0] == 0
	})
	a.loads[y] = 1
	a.seal(true)
	b.append(t)
	if got := p.Status().Stands; len(got) != 1 || got[0].Table.String() != "raw_a.y" {
		t.Errorf("while y loads %v stand still", got)
	}
	eventually(t, "10:30 is published", func() bool { return p.Status().Published.same(step(30, 0, true)) })
	s := p.Status()
	if len(s.Tables) != 2 || s.Tables[1].Table != "raw_a.y" || s.Tables[1].Upserts == 0 || !s.Tables[1].Window.same(step(30, 0, true)) {
		t.Errorf("the tables are %+v, want y with its base", s.Tables)
	}
	if err := stop(); err != nil {
		t.Errorf("a stop that was asked for ended with %v", err)
	}
	if len(b.sink.history) != 3 {
		t.Errorf("%d publishes, want 3", len(b.sink.history))
	}
}

// A source may register after the pipeline has begun to read: no seal names its first version, so the registry has to be
// asked again.
func TestSourceRegistersLater(t *testing.T) {
	gens, steps := world(t, 1, 2, 4)
	b := newBench(t, gens...)
	cfg := b.config()
	b.gens = gens[:1]
	b.append(t)
	p, stop := b.start(t, cfg)
	eventually(t, "the pipeline waits for the registry of the second source", func() bool {
		return slices.ContainsFunc(p.Status().Missing, func(m Missing) bool { return m.Source == gens[1].name && m.What == "registry" })
	})
	b.gens = gens
	b.append(t)
	eventually(t, "the last step is published", func() bool { return p.Status().Published.same(last(steps)) })
	if err := stop(); err != nil {
		t.Errorf("a stop that was asked for ended with %v", err)
	}
	b.published(t, steps)
}

// cut returns the same log with other batch boundaries: at most rows rows a batch.
func (g *genSource) cut(rows int64) *genSource {
	out := *g
	out.logs = map[string][][]genRecord{}
	for topic, parts := range g.logs {
		for _, log := range parts {
			var again []genRecord
			for _, r := range log {
				if r.h.Kind != ingest.BatchRecord {
					again = append(again, r)
					continue
				}
				rec, err := ingest.DecodeBatch(r.payload)
				if err != nil {
					panic(err)
				}
				for at := int64(0); at < r.h.Rows; at += rows {
					n := min(rows, r.h.Rows-at)
					piece := r
					piece.h.Seq, piece.h.Rows = r.h.Seq+at, n
					s := rec.NewSlice(at, at+n)
					if piece.payload, err = ingest.EncodeBatch(nil, s); err != nil {
						panic(err)
					}
					s.Release()
					again = append(again, piece)
				}
				rec.Release()
			}
			for i := range again {
				again[i].offset = int64(i)
			}
			out.logs[topic] = append(out.logs[topic], again)
		}
	}
	return &out
}

// Guarantee 3: another memory budget (so other spills), other batch sizes, another store and machine: the same hashes.
func TestSameLogSameManifests(t *testing.T) {
	gens, steps := world(t, 7, 2, 6)
	publish := func(gens []*genSource, change func(*Config)) []string {
		b := newBench(t, gens...)
		b.append(t)
		cfg := b.config()
		change(&cfg)
		if err := b.until(t, cfg, last(steps)); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range b.sink.history {
			out = append(out, p.Hash)
		}
		return out
	}
	want := publish(gens, func(*Config) {})
	for name, change := range map[string]func(*Config){
		"tiny memory":   func(c *Config) { c.Memory = 1 },
		"little memory": func(c *Config) { c.Memory = 4 << 10 },
	} {
		if got := publish(gens, change); !slices.Equal(got, want) {
			t.Errorf("%s: hashes differ:\n%v\n%v", name, got, want)
		}
	}
	small := []*genSource{gens[0].cut(1), gens[1].cut(2)}
	if got := publish(small, func(*Config) {}); !slices.Equal(got, want) {
		t.Errorf("other batch sizes: hashes differ:\n%v\n%v", got, want)
	}
	if got := publish(small, func(c *Config) { c.Memory = 1 }); !slices.Equal(got, want) {
		t.Errorf("other batch sizes and tiny memory: hashes differ:\n%v\n%v", got, want)
	}
}

// Memory stays near its budget though the log is far ahead: partitions that are ahead are paused, what the next step needs
// is spilled and never paused, and the local folder is empty afterwards.
func TestMemoryIsBounded(t *testing.T) {
	a, b := newGen("a", t0), newGen("b", t0)
	a.rng, b.rng = rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(2, 1))
	x, y := a.table("x", 1), b.table("y", 1)
	a.loads[x], b.loads[y] = 1, 1
	for range 40 {
		for range 5 {
			a.batch(x, 0, 10)
		}
		a.seal(true)
	}
	w := newBench(t, a, b)
	w.sink.check = nil // its model grows beside the pipeline
	w.append(t)
	cfg := w.config()
	cfg.Memory = 20 << 10 // a window of a is about 6 KB
	p, stop := w.start(t, cfg)
	b.seal(true)
	w.append(t)
	eventually(t, "10:00 is published", func() bool { return p.Status().Published.same(step(0, 0, true)) })
	eventually(t, "a waits for b, paused", func() bool { s := p.Status(); return len(s.Missing) == 1 && s.Missing[0].Topic == y })
	for range 39 {
		b.batch(y, 0, 3)
		b.seal(true)
		w.append(t)
	}
	want := step(39*15, 0, true)
	eventually(t, "all is published", func() bool { return p.Status().Published.same(want) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := p.Status(); s.Memory > 2*cfg.Memory {
		t.Errorf("%d bytes in memory, the budget is %d", s.Memory, cfg.Memory)
	}
	if files := localFiles(t, w.dir); len(files) > 1 {
		t.Errorf("left in the local folder beside the state: %v", files)
	}
}

// A pipeline with a spill quota that one step cannot keep to says so instead of filling the disk.
func TestSpillQuota(t *testing.T) {
	gens, steps := world(t, 7, 1, 5)
	b := newBench(t, gens...)
	b.append(t)
	cfg := b.config()
	cfg.Memory, cfg.SpillQuota = 1, 2
	if err := b.until(t, cfg, last(steps)); !isRefused(err) || !strings.Contains(err.Error(), "spill_quota") {
		t.Errorf("got %v, want a refusal that names the setting", err)
	}
}

// A log that contradicts itself halts the pipeline and nothing of the broken step is published (rule 12).
func TestBrokenLogHalts(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(*genSource, string)
		says string
	}{
		"lost batch":        {func(g *genSource, x string) { g.logs[x][0] = slices.Delete(g.logs[x][0], 4, 5) }, "counts 5 rows"},
		"wrong count":       {func(g *genSource, x string) { g.logs[x][0][5].h.Rows++ }, "seal"},
		"unknown registry":  {func(g *genSource, x string) { g.logs[x][0][5].seal.Registry = 9 }, "registry 9"},
		"foreign rows":      {func(g *genSource, x string) { g.logs[x][0][4].h.Fingerprint++ }, "schema"},
		"rows of no batch":  {func(g *genSource, x string) { g.logs[x][0][4].payload = []byte("not arrow") }, "offset 4"},
		"row after the end": {func(g *genSource, x string) { g.logs[x][0][5], g.logs[x][0][4] = g.logs[x][0][4], g.logs[x][0][5] }, "offset 4"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newGen("a", t0)
			a.rng = rand.New(rand.NewPCG(1, 2))
			x := a.table("x", 1)
			a.loads[x] = 1
			a.batch(x, 0, 2)
			a.seal(true)
			a.batch(x, 0, 2) // offset 3
			a.batch(x, 0, 3)
			a.seal(true)
			a.seal(true)
			c.harm(a, x)
			b := newBench(t, a)
			b.append(t)
			err := b.until(t, b.config(), step(15, 0, true))
			if !errors.Is(err, ErrIntegrity) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "E_INTEGRITY") {
				t.Errorf("ended with %v, want E_INTEGRITY about %q", err, c.says)
			}
			var r interface{ Retryable() bool }
			if !errors.As(err, &r) || r.Retryable() {
				t.Error("a broken log would be tried again and again")
			}
			if got := b.sink.at("care"); !got.same(Step{}) && !got.same(step(0, 0, true)) {
				t.Errorf("the fence stands at %s, want it before the broken step", got)
			}
		})
	}
}

// Records that the pipeline still needs are gone: it halts with the way out, and skips nothing (H7, H20).
func TestTrimmedLogHalts(t *testing.T) {
	gens, steps := world(t, 2, 1, 5)
	b := newBench(t, gens...)
	b.append(t)
	topic := gens[0].versions[0].Tables[0].Topic
	if err := kafka.Trim(t.Context(), b.client, map[string][]int64{topic: {3}}); err != nil {
		t.Fatal(err)
	}
	err := b.until(t, b.config(), last(steps))
	if !isRefused(err) || !strings.Contains(err.Error(), "tidemill resync care") {
		t.Errorf("ended with %v, want a refusal that names resync", err)
	}
}

// What Needed says may be trimmed is never missed: the log is trimmed to it after every run, the local disk is lost, and
// the pipeline goes on from a snapshot and what is left of the log.
func TestTrimAndRestore(t *testing.T) {
	gens, steps := world(t, 9, 2, 8)
	b := newBench(t, gens...)
	b.append(t)
	trimmed := false
	for _, st := range steps {
		if !st.publish || !st.step.Final {
			continue
		}
		p, stop := b.start(t, b.config())
		eventually(t, st.step.String(), func() bool { s := p.Status().Published; return s.same(st.step) || st.step.before(s) })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		need := p.Needed()
		for _, parts := range need {
			trimmed = trimmed || slices.Max(parts) > 3
		}
		if err := kafka.Trim(t.Context(), b.client, need); err != nil {
			t.Fatal(err)
		}
		removeAll(t, b.dir)
	}
	b.published(t, steps)
	if !trimmed {
		t.Error("nothing was ever trimmed")
	}
	snaps := map[string]bool{}
	err := b.store.List(t.Context(), "care/_state/", func(key string, _ int64, _ time.Time) error {
		snaps[strings.Split(key, "/")[2]] = true
		return nil
	})
	if err != nil || len(snaps) > 2 {
		t.Errorf("snapshots of the steps %v are kept (%v), want the last two", slices.Sorted(maps.Keys(snaps)), err)
	}
}

// Batches that were too large for the log lie in the store; one that is not what its claim says halts the pipeline, even
// when it is a batch of that many bytes and rows.
func TestClaimCheck(t *testing.T) {
	for _, tampered := range []bool{false, true} {
		a := newGen("a", t0)
		a.rng = rand.New(rand.NewPCG(1, 2))
		x := a.table("x", 1)
		a.loads[x] = 1
		a.batch(x, 0, 9)
		a.seal(true)
		b := newBench(t, a)
		r := &a.logs[x][0][1]
		var instead []byte
		for tampered && (len(instead) != len(r.payload) || bytes.Equal(instead, r.payload)) {
			instead = a.fill(x, 0, 9)
		}
		b.claim(t, r, instead)
		b.append(t)
		err := b.until(t, b.config(), step(0, 0, true))
		if tampered != errors.Is(err, ErrIntegrity) || !tampered && err != nil {
			t.Errorf("tampered %v: ended with %v", tampered, err)
		}
	}
}

// A view is added to the configuration of a running pipeline: its inputs are taken from their replicas at the fence, and
// it gets its base in the next step. A replica under a new name is made anew from the log.
func TestConfigurationGrows(t *testing.T) {
	gens, steps := world(t, 9, 2, 6)
	b := newBench(t, gens...)
	b.append(t)
	b.sink.check = nil // the oracle knows one configuration only
	cfg := b.config()
	var first int
	for i, st := range steps {
		if st.publish && st.step.Final {
			first = i
			break
		}
	}
	join := planAll(b.names()...)
	cfg.Plan = func(ctx context.Context, r map[string]*ingest.Registry) (*Plan, error) {
		p, err := join(ctx, r)
		p.Views = nil
		return p, err
	}
	if err := b.until(t, cfg, steps[first].step); err != nil {
		t.Fatal(err)
	}
	if b.sink.tables["mart.pairs"] != nil {
		t.Fatal("the view is there before it is configured")
	}
	cfg.Plan = func(ctx context.Context, r map[string]*ingest.Registry) (*Plan, error) {
		p, err := join(ctx, r)
		p.Replicas = append(p.Replicas, Replica{p.Replicas[0].Topic, WarehouseTable{"copy", "t0"}})
		return p, err
	}
	if err := b.until(t, cfg, last(steps)); err != nil {
		t.Fatal(err)
	}
	b.sink.check = b.check
	end := b.sink.history[len(b.sink.history)-1]
	if err := b.check(b.sink.tables, b.sink.tables, end); err != nil {
		t.Error(err)
	}
	if got, want := b.sink.tables["copy.t0"], b.sink.tables["raw_a.t0"]; fmt.Sprint(got) != fmt.Sprint(want) || len(want) == 0 {
		t.Errorf("the new replica holds %v, the old one %v", got, want)
	}
}

// A view that needs a table which nothing holds is refused with the way out.
func TestViewWithoutItsInputs(t *testing.T) {
	g, h := simple("a", 3), simple("b", 3)
	b := newBench(t, g, h)
	b.append(t)
	b.sink.check = nil
	join := planAll(b.names()...)
	only := func(views bool) Planner {
		return func(ctx context.Context, r map[string]*ingest.Registry) (*Plan, error) {
			p, err := join(ctx, r)
			p.Replicas = nil
			if !views {
				p.Views = nil
			}
			return p, err
		}
	}
	cfg := b.config()
	cfg.Plan = only(false)
	if err := b.until(t, cfg, step(0, 0, true)); err != nil {
		t.Fatal(err)
	}
	cfg.Plan = only(true)
	if err := kafka.Trim(t.Context(), b.client, map[string][]int64{g.versions[0].Tables[0].Topic: {2}}); err != nil {
		t.Fatal(err)
	}
	if err := b.until(t, cfg, step(30, 0, true)); !isRefused(err) || !strings.Contains(err.Error(), "tidemill resync care") {
		t.Errorf("ended with %v, want a refusal that names resync", err)
	}
}

// simple is a source with one loaded table x and some windows of changes.
func simple(name string, windows int) *genSource {
	g := newGen(name, t0)
	g.rng = rand.New(rand.NewPCG(1, 2))
	x := g.table("x", 1)
	g.loads[x] = 1
	for range windows {
		g.batch(x, 0, 5)
		g.seal(true)
	}
	return g
}

// An unreadable state file is thrown away and made again from the store and the log (invariant 6).
func TestUnreadableState(t *testing.T) {
	gens, steps := world(t, 10, 2, 6)
	b := newBench(t, gens...)
	b.append(t)
	middle := steps[len(steps)-2].step
	if err := b.until(t, b.config(), middle); err != nil {
		t.Fatal(err)
	}
	writeFile(t, b.dir+"/"+stateFile, "not a state")
	if err := b.until(t, b.config(), last(steps)); err != nil {
		t.Fatal(err)
	}
	b.published(t, steps)
}
