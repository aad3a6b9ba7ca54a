package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) unit(name string, stage int) Unit {
	return Unit{Name: name, Stage: stage, Run: func(ctx context.Context) error {
		<-ctx.Done()
		j.add(name + " told")
		<-time.After(time.Second) // virtual time: synctest
		j.add(name + " gone")
		return nil
	}}
}

// Invariant 1, with units given out of order.
func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-time.After(time.Minute); cancel() }()
		if err := (Group{Units: []Unit{j.unit("pipeline", 2), j.unit("broker", 0), j.unit("source", 1)}}).Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := "pipeline told,pipeline gone,source told,source gone,broker told,broker gone"
		if got := strings.Join(j.lines, ","); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestFailStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		boom := errors.New("boom")
		bad := Unit{Name: "bad", Stage: 1, Run: func(context.Context) error { return boom }}
		err := Group{Units: []Unit{j.unit("good", 0), bad}}.Run(t.Context())
		if !errors.Is(err, boom) || !strings.Contains(err.Error(), "bad: ") {
			t.Fatalf("got %v, want boom named by its unit", err)
		}
		if !slices.Equal(j.lines, []string{"good told", "good gone"}) {
			t.Errorf("the other unit went through %v", j.lines)
		}
	})
}

func TestRestartBacksOffAndRestLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		begin := time.Now()
		transient, final := errors.New("transient"), errors.New("final")
		flaky := Unit{
			Name: "flaky",
			Run: func(context.Context) error {
				starts = append(starts, time.Since(begin).Round(100*time.Millisecond))
				if len(starts) < 4 {
					return transient
				}
				return final
			},
			Judge: func(err error) Verdict {
				if errors.Is(err, transient) {
					return Restart
				}
				return Rest
			},
		}
		var j journal
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := (Group{Units: []Unit{flaky, j.unit("other", 0)}}).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(starts) != 4 {
			t.Fatalf("started %d times, want 4", len(starts))
		}
		for i, least := range []time.Duration{0, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond} {
			if i > 0 && starts[i]-starts[i-1] < least {
				t.Errorf("start %d came %s after the one before, want at least %s", i, starts[i]-starts[i-1], least)
			}
		}
		if time.Since(begin) < time.Hour {
			t.Error("the group ended with the resting unit, not with its context")
		}
	})
}

// Invariant 3.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		stuck := Unit{Name: "stuck", Run: func(context.Context) error { <-free; return nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := Group{Units: []Unit{stuck}, Patience: 5 * time.Second}.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "stuck did not stop within 5s") {
			t.Errorf("got %v, want an error that names the unit", err)
		}
		close(free)
	})
}

func TestEndsWhenAllReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := Unit{Name: "once", Run: func(context.Context) error { return nil }}
		if err := (Group{Units: []Unit{once}}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, stop := context.WithCancel(t.Context())
		work, cancel := Grace(read, 10*time.Second)
		defer cancel()
		stop()
		began := time.Now()
		<-time.After(9 * time.Second)
		if work.Err() != nil {
			t.Error("the work context ended with the read context")
		}
		<-work.Done()
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("the work context lived %s longer, want 10s", d)
		}
	})
}
