package window

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

// onDuckDB gives a configuration the engine that pipelines run on, and the view as a user writes it.
func onDuckDB(c Config, sources ...string) Config {
	replicas := planAll(sources...)
	c.open, c.StateMemory, c.StateThreads = openState, 128<<20, 2
	c.Plan = func(ctx context.Context, registries map[string]*ingest.Registry) (*Plan, error) {
		p, err := replicas(ctx, registries)
		if err != nil || len(p.Views) == 0 {
			return p, err
		}
		var tables []view.Table
		for _, name := range sources {
			for _, t := range registries[name].Tables {
				tables = append(tables, view.Table{Input: t.Topic, Source: name, Schema: &t.Schema})
			}
		}
		sql := fmt.Sprintf("SELECT x.id, x.v, y.v AS w FROM %s.t0 x LEFT JOIN %s.t0 y ON y.id = x.id", sources[0], sources[1])
		p.Views[0].View, err = view.Compile(ctx, view.Spec{Name: "pairs", SQL: sql, Key: []string{"id"}}, tables)
		return p, err
	}
	return c
}

// The pipeline as it runs: DuckDB's state, spilled runs, real views. The process dies again and again; every commit passes
// the oracle, and the hashes are those of an undisturbed run with other batches and all the memory it wants.
func TestCrashesOnDuckDB(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			gens, steps := world(t, 40+seed, 2, 4)
			calm := newBench(t, gens[0].cut(1), gens[1].cut(3))
			calm.append(t)
			all := &effects{}
			if err := calm.until(t, all.with(onDuckDB(calm.config(), calm.names()...)), last(steps)); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, p := range calm.sink.history {
				want = append(want, p.Hash)
			}
			b := newBench(t, gens...)
			b.append(t)
			cfg := onDuckDB(b.config(), b.names()...)
			cfg.Memory = 1
			rng := rand.New(rand.NewPCG(seed, 6))
			for tries := 0; tries < 8 && !b.sink.at("care").same(last(steps)); tries++ {
				e := &effects{at: 1 + rng.IntN(len(all.done)/2+3), late: rng.IntN(2) == 0}
				if err := b.until(t, e.with(cfg), last(steps)); err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("after %v: %v", e.done, err)
				}
				if rng.IntN(4) == 0 {
					removeAll(t, b.dir)
				}
			}
			if err := b.until(t, cfg, last(steps)); err != nil {
				t.Fatal(err)
			}
			if got := b.published(t, steps); !slices.Equal(got, want) {
				for i, p := range b.sink.history {
					if q := calm.sink.history[i]; p.Hash != q.Hash {
						t.Logf("%s:\n%+v\n%+v", p.Step, p.Manifest, q.Manifest)
					}
				}
				t.Errorf("hashes differ from those of a calm run:\n%v\n%v", got, want)
			}
		})
	}
}
