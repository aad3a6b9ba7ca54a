package sim

import (
	"context"
	"testing"
	"testing/synctest"
)

// Every fault counts, and a World that is allowed n of them has n (invariant 4): that is what a failing seed is made shorter by.
func TestFaultsAreCounted(t *testing.T) {
	w := New(Options{Seed: 1, Faults: 3})
	happened := 0
	for range 1000 {
		if w.Fault(2) {
			happened++
		}
	}
	if happened != 3 || w.Faults() != 3 {
		t.Errorf("%d faults happened and %d were counted, of 3", happened, w.Faults())
	}
}

// A lane keeps the order of its posts, and nothing follows what has failed (invariant 2). What a crashed process had in flight may
// come later, and nothing else of it (invariant 3).
func TestLanesKeepTheirOrder(t *testing.T) {
	broken, crashed := 0, 0
	for seed := range uint64(300) {
		var done []int64
		failed := false
		synctest.Test(t, func(t *testing.T) {
			w := New(Options{Seed: seed, Faults: -1})
			var p *Process
			err := w.Run(func() (bool, error) {
				if p == nil {
					p = w.Go("poster", func(ctx context.Context, p *Process) error {
						replies := make(chan error, 40)
						for n := range int64(40) {
							p.Post(Lane{Topic: "t"}, Flight{
								Do:   func() int64 { done = append(done, n); return n },
								Done: func(_ int64, err error) { replies <- err },
							})
						}
						for range 40 {
							if err := <-replies; err != nil {
								failed = true
							}
						}
						return nil
					})
				}
				return p.Over() && w.Ghosts() == 0, nil
			})
			switch {
			case err != nil:
				t.Fatal(err)
			case p.Crashed():
				crashed++
			case failed:
				broken++
			}
		})
		for i, n := range done {
			if int64(i) != n {
				t.Fatalf("seed %d: done in the order %v", seed, done)
			}
		}
	}
	if broken == 0 || crashed == 0 {
		t.Errorf("%d lanes broke, %d processes crashed: the seeds have become tame", broken, crashed)
	}
}
