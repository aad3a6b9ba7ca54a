package window

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
)

// effects lets a process die at one of its effects on the outside: just before it, or just after it, when it has happened
// and nobody has heard of it. From then on nothing that the process does has an effect.
type effects struct {
	mu   sync.Mutex
	done []string
	at   int // the effect to die at, counted from 1; 0: none
	late bool
	dead bool
}

var errCrash = &RefusedError{What: "the process has died"}

func (e *effects) do(name string, fn func() error) error {
	e.mu.Lock()
	if e.dead {
		e.mu.Unlock()
		return errCrash
	}
	e.done = append(e.done, name)
	here := len(e.done) == e.at
	if here && !e.late {
		e.dead = true
		e.mu.Unlock()
		return errCrash
	}
	e.mu.Unlock()
	err := fn()
	if here {
		e.mu.Lock()
		e.dead = true
		e.mu.Unlock()
		return errCrash
	}
	return err
}

// with routes a configuration's effects through e.
func (e *effects) with(c Config) Config {
	open := c.open
	c.open = func(ctx context.Context, c *Config) (engine, error) {
		inner, err := open(ctx, c)
		return effectEngine{inner, e}, err
	}
	c.Sink, c.Store = effectSink{c.Sink, e}, effectStore{c.Store, e}
	return c
}

type effectSink struct {
	Sink
	e *effects
}

func (s effectSink) Acquire(ctx context.Context, pipeline string, epoch int64) (f Fence, err error) {
	err = s.e.do("acquire", func() error { f, err = s.Sink.Acquire(ctx, pipeline, epoch); return err })
	return f, err
}

func (s effectSink) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	return s.e.do("publish "+p.Step.String(), func() error { return s.Sink.Publish(ctx, p, local) })
}

func (s effectSink) ReadTable(ctx context.Context, t WarehouseTable, cols []ingest.Column, fn func(arrow.RecordBatch) error) error {
	return s.Sink.(TableReader).ReadTable(ctx, t, cols, fn)
}

type effectStore struct {
	Store
	e *effects
}

func (s effectStore) Put(ctx context.Context, key, path string) error {
	return s.e.do("put "+key, func() error { return s.Store.Put(ctx, key, path) })
}

func (s effectStore) Delete(ctx context.Context, key string) error {
	return s.e.do("delete "+key, func() error { return s.Store.Delete(ctx, key) })
}

func (s effectStore) Get(ctx context.Context, key, path string) error {
	return s.e.do("get "+key, func() error { return s.Store.Get(ctx, key, path) })
}

type effectEngine struct {
	engine
	e *effects
}

func (g effectEngine) prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (took timings, err error) {
	err = g.e.do("commit", func() error {
		took, err = g.engine.prepare(ctx, w, dir, func(tables []preparedTable) ([]byte, error) {
			var meta []byte
			err := g.e.do("save", func() (err error) { meta, err = save(tables); return err })
			return meta, err
		})
		return err
	})
	return took, err
}

func (g effectEngine) mark(ctx context.Context, meta []byte) error {
	return g.e.do("mark", func() error { return g.engine.mark(ctx, meta) })
}

func (g effectEngine) reset(ctx context.Context) error {
	return g.e.do("reset", func() error { return g.engine.reset(ctx) })
}

func (g effectEngine) restore(ctx context.Context, dir string) error {
	return g.e.do("restore", func() error { return g.engine.restore(ctx, dir) })
}

// Guarantee 2: the process dies at any effect, several times in a row, sometimes with its local disk; and yet every commit
// passes the oracle, every step is published once, and what is published is what an undisturbed run publishes.
func TestCrashes(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			gens, steps := worldWith(t, seed, 1+int(seed%3), 5, seed%2 == 1)
			calm := newBench(t, gens...)
			calm.append(t)
			all := &effects{}
			if err := calm.until(t, all.with(calm.config()), last(steps)); err != nil {
				t.Fatal(err)
			}
			want := calm.published(t, steps)

			b := newBench(t, gens...)
			b.append(t)
			rng := rand.New(rand.NewPCG(seed, 5))
			crashes := 0
			for tries := 0; tries < 25 && !b.sink.at("care").same(last(steps)); tries++ {
				e := &effects{at: 1 + rng.IntN(len(all.done)/2+3), late: rng.IntN(2) == 0}
				if err := b.until(t, e.with(b.config()), last(steps)); err != nil {
					if !errors.Is(err, errCrash) {
						t.Fatalf("after %v: %v", e.done, err)
					}
					crashes++
				}
				if rng.IntN(4) == 0 {
					removeAll(t, b.dir) // the disk is lost with it
				}
			}
			if err := b.until(t, b.config(), last(steps)); err != nil {
				t.Fatal(err)
			}
			if got := b.published(t, steps); !slices.Equal(got, want) {
				t.Errorf("hashes after %d crashes differ from those of a calm run:\n%v\n%v", crashes, got, want)
			}
			if crashes == 0 {
				t.Error("the process never died")
			}
		})
	}
}

// The warehouse fails without the process dying: a lost reply is found out by the fence, an attempt that failed is made
// again with the same manifest, and neither doubles anything (H14, rule 25).
func TestWarehouseFaults(t *testing.T) {
	gens, steps := world(t, 3, 2, 5)
	b := newBench(t, gens...)
	b.append(t)
	rng := rand.New(rand.NewPCG(3, 3))
	trips := map[string]int{}
	owned := false // a fault before that ends Run, which the caller begins again
	b.sink.fault = func(point string) error {
		if !owned && point == "fence" {
			owned = true
			return nil
		}
		if rng.IntN(3) > 0 {
			return nil
		}
		trips[point]++
		return errors.New("connection reset")
	}
	if err := b.until(t, b.config(), last(steps)); err != nil {
		t.Fatal(err)
	}
	b.published(t, steps)
	if trips["before commit"] == 0 || trips["after commit"] == 0 || trips["fence"] == 0 {
		t.Errorf("faults that happened: %v, want all three kinds", trips)
	}
}

// A new owner takes the fence while the old one is about to publish: the old one publishes nothing more and says so (H5, H6).
func TestFencedOwnerStepsDown(t *testing.T) {
	gens, steps := world(t, 4, 1, 5)
	b := newBench(t, gens...)
	b.append(t)
	fenced := &fencingSink{memSink: b.sink, after: 1}
	cfg := b.config()
	cfg.Sink = fenced
	err := b.until(t, cfg, last(steps))
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("the fenced owner ended with %v, want ErrFenced", err)
	}
	if n := len(b.sink.history); n != 1 {
		t.Errorf("%d publishes, want the one before the fence was taken", n)
	}
	// The new owner (any later claim) goes on from there.
	b.sink.fences["care"].Epoch = 0
	if err := b.until(t, b.config(), last(steps)); err != nil {
		t.Fatal(err)
	}
	b.published(t, steps)
}

// fencingSink hands the fence to another owner before the publish number after+1.
type fencingSink struct {
	*memSink
	after int
}

func (f *fencingSink) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	if len(f.history) == f.after {
		f.mu.Lock()
		f.fences[p.Pipeline].Epoch += 1000
		f.mu.Unlock()
	}
	return f.memSink.Publish(ctx, p, local)
}

// The order of effects of one step is the protocol: own before touching, parts before manifest, manifest before the local
// commit, local commit before the warehouse, cleaning last.
func TestTranscript(t *testing.T) {
	g := newGen("a", t0)
	g.rng = rand.New(rand.NewPCG(1, 1))
	x, y := g.table("x", 1), g.table("y", 1)
	h := newGen("b", t0)
	h.rng = g.rng
	z := h.table("z", 1)
	g.loads[x], g.loads[y], h.loads[z] = 1, 1, 1
	g.batch(x, 0, 5)
	g.batch(y, 0, 5)
	h.batch(z, 0, 5)
	g.seal(true)
	h.seal(true)
	g.seal(true) // an empty window
	h.seal(true)
	b := newBench(t, g, h)
	b.append(t)
	e := &effects{}
	if err := b.until(t, e.with(b.config()), step(15, 0, true)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"acquire", "reset", "mark",
		"commit", "save", "put care/_", "put care/_", "put care/_", "put care/_", "put care/_manifest", "publish 2026-11-23T10:00:00Z.0", "mark",
		"put care/_state", "put care/_state", "get care/_state",
		"commit", "save", "publish 2026-11-23T10:15:00Z.0", "mark",
	}
	var got []string
	for _, s := range e.done {
		if verb, key, ok := strings.Cut(s, " care/"); ok {
			s = verb + " care/_" // parts go up side by side
			if strings.HasPrefix(key, "_") {
				s = verb + " care/" + strings.Split(key, "/")[0]
			}
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if files, err := Sweep(t.Context(), b.store, "care", 0, time.Now()); err != nil || len(files) > 0 {
		t.Errorf("orphans after a calm run: %v, %v", files, err)
	}
}

// The process dies between its local commit and the publish, and the local parts are lost: the pending publish takes them
// from the store. What an attempt before that had uploaded is swept once it is old enough.
func TestPendingWithoutItsFiles(t *testing.T) {
	g := simple("a", 2)
	b := newBench(t, g)
	b.append(t)
	early := &effects{at: 6, late: true} // acquire, reset, mark, commit, save, part: no manifest
	if err := b.until(t, early.with(b.config()), step(15, 0, true)); !errors.Is(err, errCrash) {
		t.Fatalf("after %v: %v", early.done, err)
	}
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {0, 1}} {
		files, err := Sweep(t.Context(), b.store, "care", c.age, time.Now())
		if err != nil || len(files) != c.want {
			t.Fatalf("orphans older than %s: %v, %v; want %d", c.age, files, err, c.want)
		}
	}
	e := &effects{}
	cfg := e.with(b.config())
	cfg.Sink = deaf{effectSink{b.sink, e}}
	if err := b.until(t, cfg, step(15, 0, true)); !errors.Is(err, errCrash) {
		t.Fatalf("after %v: %v", e.done, err)
	}
	removeAll(t, b.dir+"/"+partsFolder)
	again := &effects{}
	if err := b.until(t, again.with(b.config()), step(15, 0, true)); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(again.done, func(s string) bool { return strings.HasPrefix(s, "get care/raw_a.x/") }) {
		t.Errorf("effects %v, want the part fetched", again.done)
	}
	if n := len(b.sink.history); n != 2 {
		t.Errorf("%d publishes, want 2", n)
	}
}

// deaf is a warehouse that the process does not reach before it dies.
type deaf struct{ effectSink }

func (deaf) Publish(context.Context, *Publication, func(context.Context, Part) (string, error)) error {
	return errCrash
}

// A schema may change in the middle of a slice: whatever partition is read first, the buckets keep every partition's order.
func TestTurnsKeepTheOrderOfPartitions(t *testing.T) {
	s := &session{turns: map[partitionName]bucketKey{}}
	type read struct {
		partition, k int
		print        uint64
	}
	last := map[int]bucketKey{}
	for i, r := range []read{{1, 0, 'b'}, {0, 0, 'a'}, {0, 0, 'b'}, {1, 0, 'b'}, {0, 0, 'a'}, {2, 0, 'a'}, {2, 1, 'b'}, {0, 1, 'a'}, {2, 1, 'a'}, {2, 2, 'a'}} {
		key := s.turn("x", r.partition, &ingest.Header{Window: t0, WindowEnd: t0.Add(minute15), Slice: int32(r.k), Fingerprint: r.print})
		before, seen := last[r.partition]
		if seen && key.compare(before) < 0 || seen && key == before && key.print != before.print {
			t.Errorf("read %d: bucket %+v sorts before %+v, which was read before it", i, key, before)
		}
		if key.id.k != r.k || key.print != r.print {
			t.Errorf("read %d went into %+v", i, key)
		}
		last[r.partition] = key
	}
}

// picky is a warehouse that refuses one attempt of a step for good: what it is made of has to be mended.
type picky struct {
	Sink
	publishes int
	refused   string
}

func (p *picky) Publish(ctx context.Context, pub *Publication, local func(context.Context, Part) (string, error)) error {
	if p.publishes++; p.publishes == 4 {
		p.refused = pub.Manifest.Attempt
	}
	if pub.Manifest.Attempt == p.refused {
		return &RefusedError{What: "a text is too long", Hint: "cut it in the view"}
	}
	return p.Sink.Publish(ctx, pub, local)
}

// What the warehouse has refused is not offered again as it was: whoever starts the pipeline again may have mended its view or its
// configuration, so the step is prepared anew.
func TestARefusedStepIsPreparedAnew(t *testing.T) {
	gens, steps := world(t, 77, 1, 6)
	b := newBench(t, gens...)
	b.append(t)
	cfg := b.config()
	sink := &picky{Sink: cfg.Sink}
	cfg.Sink = sink
	var no *RefusedError
	if err := b.until(t, cfg, last(steps)); !errors.As(err, &no) {
		t.Fatalf("got %v, want the refusal", err)
	}
	if b.sink.at("care").same(last(steps)) {
		t.Fatal("the refused step is published")
	}
	if err := b.until(t, cfg, last(steps)); err != nil {
		t.Fatal(err)
	}
	b.published(t, steps)
}
