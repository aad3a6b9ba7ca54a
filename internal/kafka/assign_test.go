package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// units counts how many times each unit runs at once.
type units struct {
	mu      sync.Mutex
	running map[string]int
	overlap string
}

func (u *units) all(n int) map[string]func(context.Context) error {
	out := map[string]func(context.Context) error{}
	for i := range n {
		name := fmt.Sprintf("source/s%d", i)
		out[name] = func(ctx context.Context) error {
			u.add(name, 1)
			defer u.add(name, -1)
			<-ctx.Done()
			return nil
		}
	}
	return out
}

func (u *units) add(name string, by int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.running[name] += by
	if u.running[name] > 1 {
		u.overlap = name
	}
}

func (u *units) up() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, v := range u.running {
		n += v
	}
	return n
}

func member(t *testing.T, a Assigner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// Invariant 2, with members that come and go; units of a session that two members share never run twice.
func TestUnitsMoveBetweenMembers(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	all := &units{running: map[string]int{}}
	first, second := &units{running: map[string]int{}}, &units{running: map[string]int{}}
	const n = 20
	shared := func(u *units) map[string]func(context.Context) error {
		both := map[string]func(context.Context) error{}
		outer := all.all(n)
		for name, run := range u.all(n) {
			both[name] = func(ctx context.Context) error {
				go run(ctx) //nolint:errcheck // counts only
				return outer[name](ctx)
			}
		}
		return both
	}
	began := time.Now()
	one := member(t, Assigner{Kafka: cfg, Group: "g", Units: shared(first), Session: 2 * time.Second})
	eventually(t, "one member runs all units", func() bool { return first.up() == n })
	t.Logf("one member ran all units after %s", time.Since(began).Round(time.Millisecond))
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("one member needed %s to start all units", d)
	}
	member(t, Assigner{Kafka: cfg, Group: "g", Units: shared(second), Session: 2 * time.Second})
	eventually(t, "the units are shared", func() bool { return second.up() > 0 && first.up() > 0 && first.up()+second.up() == n })
	one()
	eventually(t, "the second member has all units", func() bool { return second.up() == n && first.up() == 0 })
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.overlap != "" {
		t.Errorf("%s ran twice at once", all.overlap)
	}
}

func TestFailedUnitIsStartedAgainAndToldOf(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	boom := errors.New("boom")
	var starts, told atomic.Int32
	member(t, Assigner{Kafka: cfg, Group: "g", FirstWait: time.Millisecond, LongestWait: 5 * time.Millisecond,
		Units: map[string]func(context.Context) error{"u": func(ctx context.Context) error {
			if starts.Add(1) < 4 {
				return boom
			}
			<-ctx.Done()
			return ctx.Err()
		}},
		Failed: func(unit string, err error, _ time.Duration) {
			if unit == "u" && errors.Is(err, boom) {
				told.Add(1)
			}
		}})
	eventually(t, "the unit runs at the fourth start", func() bool { return starts.Load() == 4 })
	if told.Load() != 3 {
		t.Errorf("told of %d failures, want 3", told.Load())
	}
}
