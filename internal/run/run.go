package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Verdict is what becomes of a unit that returned an error.
type Verdict int

// The verdicts.
const (
	Fail    Verdict = iota // the whole group stops and returns the error
	Restart                // the unit runs again after a backoff
	Rest                   // the unit stays down, the others go on
)

// Unit is one long-lived part.
type Unit struct {
	Name  string
	Stage int // units start in order of stage and stop in reverse order, those of one stage together
	Run   func(ctx context.Context) error
	// Judge decides about an error of Run, and is where it gets reported. Nil fails the group on every error.
	Judge func(err error) Verdict
}

// Group runs units together.
type Group struct {
	Units []Unit
	// First and Longest bound the exponential backoff of restarts. A run that lasted longer than Longest starts over
	// with First. Zero: 1 s and 1 min: shorter hammers a database that has just come back, longer keeps a window waiting.
	First, Longest time.Duration
	// Patience is how long one stage may take to stop, its units' own grace included. Zero: 1 min.
	Patience time.Duration
}

// Run starts the units and blocks until ctx ends or a unit fails, then stops all of them.
func (g Group) Run(ctx context.Context) error {
	first, longest, patience := or(g.First, time.Second), or(g.Longest, time.Minute), or(g.Patience, time.Minute)
	units := slices.Clone(g.Units)
	slices.SortStableFunc(units, func(a, b Unit) int { return a.Stage - b.Stage })

	failed := make(chan error, len(units))
	var stages []*stage
	for len(units) > 0 {
		n := slices.IndexFunc(units, func(u Unit) bool { return u.Stage != units[0].Stage })
		if n < 0 {
			n = len(units)
		}
		stages = append(stages, launch(ctx, units[:n], first, longest, failed))
		units = units[n:]
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-allDone(stages):
	}
	for _, s := range slices.Backward(stages) { // invariant 1
		if left := s.stop(patience); len(left) > 0 {
			return errors.Join(err, fmt.Errorf("stopping: %s did not stop within %s", strings.Join(left, ", "), patience))
		}
	}
	select {
	case late := <-failed: // failed while the group was already stopping
		err = errors.Join(err, late)
	default:
	}
	return err
}

// Grace returns a context that ends d after ctx does: the second tier of a stop.
func Grace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { stop(); cancel() }
}

// stage is the units that start and stop together.
type stage struct {
	cancel context.CancelFunc
	n      sync.WaitGroup
	mu     sync.Mutex
	up     map[string]int
}

func launch(ctx context.Context, units []Unit, first, longest time.Duration, failed chan<- error) *stage {
	// Not a child of ctx's cancellation: the end of ctx stops the stages in order, not all at once (invariant 1).
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &stage{cancel: cancel, up: map[string]int{}}
	for _, u := range units {
		s.count(u.Name, 1)
		s.n.Go(func() {
			defer s.count(u.Name, -1)
			if err := keep(ctx, u, first, longest); err != nil {
				failed <- fmt.Errorf("%s: %w", u.Name, err)
			}
		})
	}
	return s
}

func (s *stage) count(name string, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up[name] += by
}

// stop ends the stage and returns the names of the units that are still up after patience.
func (s *stage) stop(patience time.Duration) []string {
	s.cancel()
	t := time.NewTimer(patience)
	defer t.Stop()
	all := make(chan struct{})
	go func() { s.n.Wait(); close(all) }()
	select {
	case <-all:
		return nil
	case <-t.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for name, n := range s.up {
		if n > 0 {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	return left
}

// allDone is closed when every unit has returned on its own.
func allDone(stages []*stage) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		for _, s := range stages {
			s.n.Wait()
		}
		close(c)
	}()
	return c
}

// keep runs u until it returns nil, its verdict says otherwise, or ctx ends (invariant 2).
func keep(ctx context.Context, u Unit, first, longest time.Duration) error {
	b := &backoff.ExponentialBackOff{InitialInterval: first, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: longest}
	for {
		began := time.Now()
		err := u.Run(ctx)
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		verdict := Fail
		if u.Judge != nil {
			verdict = u.Judge(err)
		}
		switch verdict {
		case Rest:
			return nil
		case Fail:
			return err
		}
		if time.Since(began) > longest {
			b.Reset()
		}
		t := time.NewTimer(b.NextBackOff())
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
