package window

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

func brief(steps []*plannedStep) string {
	var out []string
	for _, st := range steps {
		s := fmt.Sprintf("%s.%d", st.step.Start.Format("15:04"), st.step.Slice)
		if st.step.Final {
			s += "f"
		}
		switch {
		case st.base:
			s += " base"
		case !st.publish:
			s += " -"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func decideAll(t *testing.T, seed uint64, gens ...*genSource) []*plannedStep {
	t.Helper()
	return newFeeder(t, Fence{}, rand.New(rand.NewPCG(seed, 1)), seed%2 == 0, gens...).steps(t)
}

// Rules 13 and 14: source by source in order of name, all finals together, windows contiguous.
func TestOrderOfSlices(t *testing.T) {
	a, b := newGen("a", t0), newGen("b", t0)
	ta, tb := a.table("x", 2), b.table("y", 1)
	a.loads[ta], b.loads[tb] = 1, 1
	a.seal(true)
	b.seal(true)
	a.seal(false) // a: 10:15.0 .1 .2f   b: 10:15.0 .1f
	a.seal(false)
	a.seal(true)
	b.seal(false)
	b.seal(true)
	b.seal(false) // b runs ahead; a never seals 10:30
	b.seal(true)
	for seed := range uint64(20) {
		got := brief(decideAll(t, seed, a, b))
		if want := "10:00.0f base, 10:15.0, 10:15.1, 10:15.2, 10:15.3f"; got != want {
			t.Fatalf("seed %d: got %s\nwant %s", seed, got, want)
		}
	}
}

// A step says which seals it waits for, and a partition that has nothing to say still has to say so (rule 13).
func TestMissingSealIsNamed(t *testing.T) {
	a := newGen("a", t0)
	topic := a.table("x", 2)
	a.batch(topic, 0, 3)
	a.seal(true)
	a.logs[topic][1] = a.logs[topic][1][:1] // partition 1 has its marker only
	f := newFeeder(t, Fence{}, rand.New(rand.NewPCG(1, 1)), true, a)
	if got := f.steps(t); len(got) != 0 {
		t.Fatalf("a partial window became a step: %s", brief(got))
	}
	_, missing, _, err := f.o.next()
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) != 1 || missing[0] != (Missing{Source: "a", Topic: topic, Partition: 1, What: "seal 2026-11-23T10:00:00Z.0"}) {
		t.Errorf("missing %+v, want the seal of partition 1", missing)
	}
}

// Rule 31: nothing is published before every input has its first load; a table that comes later gets its own base.
func TestFirstLoad(t *testing.T) {
	a := newGen("a", t0)
	x, y := a.table("x", 1), a.table("y", 1)
	a.loads[x] = 1
	a.batch(x, 0, 1)
	a.seal(true) // 10:00: y loads
	a.seal(false)
	a.loads[y] = 1
	a.seal(false) // 10:15.1: complete, but not a final seal
	a.seal(true)  // 10:15.2f: base
	z := a.table("z", 1)
	a.batch(z, 0, 5)
	a.seal(true) // 10:30: z loads, x and y go on
	a.batch(z, 0, 5)
	a.loads[z] = 1
	a.seal(true) // 10:45: z has its base
	steps := decideAll(t, 3, a)
	if got, want := brief(steps), "10:00.0f -, 10:15.0 -, 10:15.1 -, 10:15.2f base, 10:30.0f, 10:45.0f"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	for i, want := range []string{3: "bases bases -", 4: "applies applies gathers", 5: "applies applies bases"} {
		if want == "" {
			continue
		}
		var got []string
		for _, topic := range []string{x, y, z} {
			if ts, in := steps[i].topics[topic]; in {
				got = append(got, ts.fate.String())
			} else {
				got = append(got, "-")
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("step %d: %v, want %s", i, got, want)
		}
	}
	if off := steps[4].cut["a"].Topics[z][0].Offset; off != 0 {
		t.Errorf("while z loads its cut is at offset %d, want 0: its base needs every row", off)
	}
	if off := steps[5].cut["a"].Topics[z][0].Offset; off == 0 {
		t.Error("after z's base its cut has not moved")
	}
}

// A parked table is held and blocks nobody, not even the first publish; a new load brings it back with a base.
func TestParkedTable(t *testing.T) {
	a := newGen("a", t0)
	x, y := a.table("x", 1), a.table("y", 1)
	a.loads[x], a.parked[y] = 1, "type point is not supported"
	a.batch(y, 0, 2)
	a.seal(true) // 10:00: base without y
	delete(a.parked, y)
	a.batch(y, 0, 7)
	a.seal(true) // 10:15: y loads again
	a.loads[y] = 1
	a.seal(true) // 10:30: y's base
	a.parked[y] = "again"
	a.batch(y, 0, 1)
	a.seal(true) // 10:45: parked at one load
	delete(a.parked, y)
	a.seal(true) // 11:00: unparked, still one load
	a.loads[y] = 2
	a.seal(true) // 11:15: new base
	steps := decideAll(t, 4, a)
	var got []string
	for _, st := range steps {
		got = append(got, fmt.Sprintf("%v/%s/%d", st.base, st.topics[y].fate, len(st.parked)))
	}
	want := "true/drops/1 false/gathers/0 false/bases/0 false/drops/1 false/gathers/0 false/bases/0"
	if strings.Join(got, " ") != want {
		t.Fatalf("got %s\nwant %s", strings.Join(got, " "), want)
	}
	if r := steps[0].parked["a.s.y"]; r != "type point is not supported" {
		t.Errorf("the receipt says %q about the parked table", r)
	}
}

// A source whose log begins later joins at its first window; before that the others go on without it only if the
// pipeline already has its base.
func TestLateSource(t *testing.T) {
	a, b := newGen("a", t0), newGen("b", t0.Add(2*minute15))
	x, y := a.table("x", 1), b.table("y", 1)
	a.loads[x], b.loads[y] = 1, 1
	for range 4 {
		a.seal(true)
	}
	b.seal(true)
	b.seal(true)
	if got, want := brief(decideAll(t, 5, a, b)), "10:00.0f -, 10:15.0f -, 10:30.0f base, 10:45.0f"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	// b is added to a pipeline that has published: it catches up in one step.
	c := newGen("b", t0)
	y = c.table("y", 1)
	c.loads[y] = 1
	for i := range 4 {
		c.batch(y, 0, int64(i+1))
		c.seal(false)
		c.seal(true)
	}
	alone := decideAll(t, 6, a)
	at := alone[1]
	f := newFeeder(t, Fence{Step: at.step, Cut: at.cut}, rand.New(rand.NewPCG(6, 1)), true, a, c)
	steps := f.steps(t)
	if got, want := brief(steps), "10:30.0f, 10:45.0, 10:45.1f"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	if ts := steps[0].topics[y]; ts.fate != bases || ts.rows != 1+2+3 {
		t.Errorf("the step at which b joins %s %d rows of it, want a base of 6", ts.fate, ts.rows)
	}
}

// A table that is added to the configuration of a pipeline whose source has gone on for long is read from the start of its
// topic, behind the cut of its source, and gets its base at the next final step.
func TestTableAddedToConfiguration(t *testing.T) {
	a := newGen("a", t0)
	x, y := a.table("x", 1), a.table("y", 2)
	a.loads[x], a.loads[y] = 1, 1
	for range 4 {
		a.batch(x, 0, 1)
		a.batch(y, 1, 2)
		a.seal(false)
		a.seal(true)
	}
	only := newOrder(Fence{}, []string{"a"}, func(_ string, t ingest.TableName) bool { return t.Name == "x" })
	fd := &feeder{o: only, gens: []*genSource{a}, rng: rand.New(rand.NewPCG(8, 8))}
	for _, r := range a.versions {
		fd.learn(t, r)
	}
	before := fd.steps(t)
	at := before[2] // 10:15.1f
	f := newFeeder(t, Fence{Step: at.step, Cut: at.cut}, rand.New(rand.NewPCG(9, 9)), true, a)
	steps := f.steps(t)
	if got, want := brief(steps), "10:30.0, 10:30.1f, 10:45.0, 10:45.1f"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	if got := steps[0].topics[y].fate; got != gathers {
		t.Errorf("10:30.0 %s y, want it gathered", got)
	}
	if got := steps[1].topics[y].fate; got != bases {
		t.Errorf("10:30.1f %s y, want its base", got)
	}
	if got := steps[2].topics[y].fate; got != applies {
		t.Errorf("10:45.0 %s y, want it applied", got)
	}
}

func TestGridsMustAgree(t *testing.T) {
	a, b := newGen("a", t0), newGen("b", t0)
	b.length = 5 * time.Minute
	x, y := a.table("x", 1), b.table("y", 1)
	a.loads[x], b.loads[y] = 1, 1
	a.seal(true)
	for range 3 {
		b.seal(true)
	}
	f := newFeeder(t, Fence{}, rand.New(rand.NewPCG(1, 1)), true, a, b)
	for f.one(t) {
	}
	if _, _, _, err := f.o.next(); err == nil || !strings.Contains(err.Error(), "one window length") {
		t.Errorf("two grids in one pipeline: %v, want an integrity error", err)
	}
}

// Guarantee 3, for the order: the same log gives the same steps and cuts in any interleaving, and a restart from any fence
// gives the rest of them.
func TestOrderIsDeterministic(t *testing.T) {
	published := 0
	for seed := range uint64(150) {
		var gens []*genSource
		rng := rand.New(rand.NewPCG(seed, 7))
		for i := range 1 + rng.IntN(3) {
			g := newGen(string(rune('a'+i)), t0.Add(time.Duration(rng.IntN(3))*minute15))
			g.resyncs = seed%2 == 0
			g.generate(rng, 3+rng.IntN(5))
			gens = append(gens, g)
		}
		want := decideAll(t, 2*seed, gens...)
		for again := range uint64(3) {
			got := decideAll(t, seed*10+again, gens...)
			compare(t, fmt.Sprintf("seed %d interleaving %d", seed, again), got, want)
		}
		for i, st := range want {
			if !st.publish {
				continue
			}
			published++
			b, err := json.Marshal(st.cut) // the fence holds it as text
			if err != nil {
				t.Fatal(err)
			}
			fence := Fence{Step: st.step}
			if err := json.Unmarshal(b, &fence.Cut); err != nil {
				t.Fatal(err)
			}
			rest := newFeeder(t, fence, rng, seed%3 == 0, gens...).steps(t)
			compare(t, fmt.Sprintf("seed %d restart after %d", seed, i), rest, want[i+1:])
		}
	}
	if published < 500 {
		t.Errorf("only %d published steps: the generator is too tame", published)
	}
}

func compare(t *testing.T, what string, got, want []*plannedStep) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if g, w := describe(got[i]), describe(want[i]); g != w {
			t.Fatalf("%s: step %d\ngot  %s\nwant %s", what, i, g, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d steps, want %d: %s", what, len(got), len(want), brief(want))
	}
}
