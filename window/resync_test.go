package window

import (
	"context"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

// resynced is a source with a joined pair of tables that are loaded anew in the fourth window, and what the offsets of their
// partitions were then.
func resynced(tables ...string) (g *genSource, topics []string, trimmed map[string][]int64) {
	g = newGen("a", t0)
	g.rng = rand.New(rand.NewPCG(1, 2))
	for _, name := range tables {
		topics = append(topics, g.table(name, 1))
	}
	change := func() {
		for _, x := range topics {
			g.batch(x, 0, 7)
		}
	}
	for _, x := range topics {
		g.loads[x] = 1
	}
	for range 3 { // 10:00, 10:15, 10:30
		change()
		g.seal(true)
	}
	change()
	g.anew(topics...)
	trimmed = map[string][]int64{}
	for _, x := range topics {
		log := g.logs[x][0]
		trimmed[x] = []int64{int64(len(log))}
		for _, r := range log[len(log)-2:] { // a broker that was killed appends a request again
			r.offset = int64(len(g.logs[x][0]))
			g.logs[x][0] = append(g.logs[x][0], r)
		}
	}
	change()
	g.seal(true) // 10:45: they load
	change()
	for _, x := range topics {
		g.loads[x] = 1
	}
	g.seal(true) // 11:00: their base
	change()
	g.seal(true) // 11:15
	return g, topics, trimmed
}

// A table that is loaded anew stands as it was until its load is complete; then it is replaced, and keys that the new load
// does not bring are gone, from it and from the view. The tables beside it go on.
func TestLoadedAnew(t *testing.T) {
	a := newGen("a", t0)
	x, y := a.table("x", 1), a.table("y", 1)
	a.loads[x], a.loads[y] = 1, 1
	a.seal(true)
	a.batch(x, 0, 3) // not in the generation: of a slice of its own
	a.anew(x)
	a.batch(x, 0, 4)
	a.batch(y, 0, 2)
	a.seal(true) // 10:15: x loads
	a.loads[x] = 1
	a.batch(x, 0, 5)
	a.seal(false)
	a.anew(x) // again, before it was based
	a.batch(x, 0, 6)
	a.loads[x] = 1
	a.seal(true) // 10:30: based at once, on the last generation alone
	a.parked[x] = "truncated"
	a.seal(true) // 10:45
	a.anew(x)
	a.batch(x, 0, 7)
	a.loads[x] = 1 // of the generation
	a.seal(true)   // 11:00
	steps := decideAll(t, 1, a)
	if got, want := brief(steps), "10:00.0f base, 10:15.0, 10:15.1f, 10:30.0, 10:30.1f, 10:45.0f, 11:00.0f"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	want := []string{"bases bases", "applies applies", "gathers applies", "gathers applies", "bases applies", "drops applies", "bases applies"}
	for i, st := range steps {
		if got := st.topics[x].fate.String() + " " + st.topics[y].fate.String(); got != want[i] {
			t.Errorf("step %d: %s, want %s", i, got, want[i])
		}
	}
	if ts := steps[4].topics[x]; ts.dropped == nil || *ts.dropped != newSliceID(steps[4].step.Start, steps[4].step.End, 0) {
		t.Errorf("before the last generation %v is dropped, want everything up to 10:30.0", ts.dropped)
	}
	if h := steps[3].cut["a"].Held[x]; h.Parked != "" || h.Loads != 0 || h.Generation != 1 {
		t.Errorf("held at 10:30.0: %+v, want the first generation", h)
	}
}

// A new pipeline on a log that is trimmed begins with the first generation that the log holds whole.
func TestNewPipelineOnTrimmedLog(t *testing.T) {
	g, topics, trimmed := resynced("t0", "t1")
	b := newBench(t, g)
	b.append(t)
	if err := kafka.Trim(t.Context(), b.client, trimmed); err != nil {
		t.Fatal(err)
	}
	if err := b.until(t, b.config(), step(75, 0, true)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.sink.history); n != 2 {
		t.Errorf("%d publishes, want the base and 11:15", n)
	}
	// A generation that is not whole any more helps nobody.
	if err := kafka.Trim(t.Context(), b.client, map[string][]int64{topics[0]: {trimmed[topics[0]][0] + 1}}); err != nil {
		t.Fatal(err)
	}
	again := b.config()
	again.Name, again.Dir = "other", t.TempDir()
	if err := b.until(t, again, step(75, 0, true)); !isRefused(err) || !strings.Contains(err.Error(), "tidemill resync other") {
		t.Errorf("ended with %v, want a refusal that names resync", err)
	}
}

// Where only one of the tables is trimmed, the first publish waits for its generation, and holds all of the other.
func TestBaseWaitsForLaterGeneration(t *testing.T) {
	g := newGen("a", t0)
	g.rng = rand.New(rand.NewPCG(1, 2))
	x, y := g.table("t0", 1), g.table("t1", 1)
	g.loads[x], g.loads[y] = 1, 1
	for range 2 {
		g.batch(x, 0, 7)
		g.batch(y, 0, 7)
		g.seal(true)
	}
	g.anew(y)
	trimmed := map[string][]int64{y: {int64(len(g.logs[y][0]))}}
	g.batch(y, 0, 7)
	g.loads[y] = 1
	g.seal(true)
	b := newBench(t, g)
	b.append(t)
	if err := kafka.Trim(t.Context(), b.client, trimmed); err != nil {
		t.Fatal(err)
	}
	if err := b.until(t, b.config(), step(30, 0, true)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.sink.history); n != 1 || len(b.sink.history[0].Manifest.Tables) != 2 {
		t.Errorf("%d publishes, want one of both tables", n)
	}
}

// An owner that died between the version of a generation and its checkpoint leaves a version that no seal names. Whoever
// begins to read where it says is not misled: the loads that seals there count are of the generation before.
func TestGenerationThatNeverBegan(t *testing.T) {
	g := newGen("a", t0)
	g.rng = rand.New(rand.NewPCG(1, 2))
	x := g.table("t0", 1)
	g.loads[x] = 1
	g.batch(x, 0, 7)
	g.seal(true)
	old := *g.registry
	trimmed := map[string][]int64{x: {int64(len(g.logs[x][0]))}}
	content := maps.Clone(g.content)
	g.anew(x) // and dies
	old.Version = g.registry.Version + 1
	g.registry, g.versions = &old, append(g.versions, &old)
	g.content, g.loads[x] = content, 1
	g.batch(x, 0, 7)
	g.seal(true)
	g.anew(x)
	g.batch(x, 0, 7)
	g.loads[x] = 1
	g.seal(true)
	b := newBench(t, g)
	b.append(t)
	if err := kafka.Trim(t.Context(), b.client, trimmed); err != nil {
		t.Fatal(err)
	}
	if err := b.until(t, b.config(), step(30, 0, true)); err != nil { // the oracle is in the warehouse
		t.Fatal(err)
	}
	if n := len(b.sink.history); n != 1 {
		t.Errorf("%d publishes, want the base alone", n)
	}
}

// The log is trimmed past the cut of a pipeline that was off. It halts and names resync; when the tables have been loaded
// anew it goes on, window after window, with the tables as they were until their new base.
func TestFenceBehindTrimmedLog(t *testing.T) {
	g, topics, trimmed := resynced("t0", "t1")
	b := newBench(t, g)
	b.append(t)
	if err := b.until(t, b.config(), step(0, 0, true)); err != nil {
		t.Fatal(err)
	}
	for _, x := range topics {
		trimmed[x] = []int64{trimmed[x][0] - 2}
	}
	if err := kafka.Trim(t.Context(), b.client, trimmed); err != nil {
		t.Fatal(err)
	}
	if err := b.until(t, b.config(), step(75, 0, true)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range b.sink.history {
		got = append(got, p.Step.Start.Format("15:04"))
		for _, table := range p.Manifest.Tables {
			if p.Step.same(step(60, 0, true)) != table.Replace && !p.Step.same(step(0, 0, true)) {
				t.Errorf("%s: %s is replaced: %v", p.Step, table.Table, table.Replace)
			}
		}
	}
	if want := "10:00 10:15 10:30 10:45 11:00 11:15"; strings.Join(got, " ") != want {
		t.Errorf("published %v, want %s", got, want)
	}
}

// The state and all its snapshots are lost, and the log behind them: what has a replica comes from the warehouse; what has
// none is held until its new base, or refused when nobody has asked for one.
func TestStateLostBehindTrimmedLog(t *testing.T) {
	for name, c := range map[string]struct {
		replicas  bool
		lost, end Step // where the state is lost, and where it must come to
	}{
		"replicas":        {true, step(60, 0, true), step(75, 0, true)},
		"loaded anew":     {false, step(30, 0, true), step(75, 0, true)},
		"not loaded anew": {false, step(60, 0, true), Step{}},
	} {
		t.Run(name, func(t *testing.T) {
			g, topics, trimmed := resynced("t0", "t1")
			b := newBench(t, g)
			b.append(t)
			b.sink.check = nil
			cfg := b.config()
			join := planAll(b.names()...)
			cfg.Plan = func(ctx context.Context, r map[string]*ingest.Registry) (*Plan, error) {
				p, err := join(ctx, r)
				p.Views = []JoinedView{pairView("pairs", topics[0], topics[1])}
				if !c.replicas {
					p.Replicas = nil
				}
				return p, err
			}
			if err := b.until(t, cfg, c.lost); err != nil {
				t.Fatal(err)
			}
			if c.lost.same(step(60, 0, true)) { // past where the generation begins
				for _, x := range topics {
					trimmed[x] = []int64{b.sink.fences["care"].Cut["a"].Topics[x][0].Offset}
				}
			}
			if err := kafka.Trim(t.Context(), b.client, trimmed); err != nil {
				t.Fatal(err)
			}
			removeAll(t, b.dir)
			removeAll(t, b.store.(dirStore).root+"/care/_state")
			err := b.until(t, cfg, c.end)
			if c.end.Start.IsZero() {
				if !isRefused(err) || !strings.Contains(err.Error(), "tidemill resync care") {
					t.Errorf("ended with %v, want a refusal that names resync", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := g.content[topics[0]]
			for id, v := range want {
				if row := b.sink.tables["mart.pairs"][id]; len(row) == 0 || row[0] != v {
					t.Errorf("pair %d is %v, want %d", id, row, v)
				}
			}
			if n := len(b.sink.tables["mart.pairs"]); n != len(want) || n == 0 {
				t.Errorf("%d pairs, want %d", n, len(want))
			}
		})
	}
}
