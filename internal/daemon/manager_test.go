package daemon

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/window"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs records starts and stops of units.
type runs struct {
	mu     sync.Mutex
	events []string
	c      chan string
}

func newRuns() *runs { return &runs{c: make(chan string, 100)} }

func (r *runs) add(e string) {
	r.mu.Lock()
	r.events = append(r.events, e)
	r.mu.Unlock()
	r.c <- e
}

func (r *runs) unit(name, print string, slot int) unit {
	return unit{name, print, slot, func(ctx context.Context) error {
		r.add("start " + name + print)
		<-ctx.Done()
		r.add("stop " + name + print)
		return nil
	}}
}

func (r *runs) wait(t *testing.T, want ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	for len(left) > 0 {
		select {
		case e := <-r.c:
			if !left[e] {
				t.Fatalf("got %q while waiting for %v", e, left)
			}
			delete(left, e)
		case <-time.After(10 * time.Second):
			t.Fatalf("waiting for %v", left)
		}
	}
}

func (r *runs) quiet(t *testing.T) {
	t.Helper()
	select {
	case e := <-r.c:
		t.Fatalf("unexpected %q", e)
	default:
	}
}

func TestUnitsRunWhereTheirSlotIsHeld(t *testing.T) {
	r, m := newRuns(), newManager(nil)
	m.want(t.Context(), []unit{r.unit("a", "1", 1), r.unit("b", "1", 2)})
	r.quiet(t)
	if s := m.state("a"); s.State != console.Waiting {
		t.Errorf("a is %s", s.State)
	}
	ctx, release := context.WithCancel(t.Context())
	released := make(chan struct{})
	go func() { m.hold(ctx, 1); close(released) }()
	r.wait(t, "start a1")

	m.want(t.Context(), []unit{r.unit("a", "1", 1), r.unit("b", "2", 2)}) // nothing that runs here has changed
	r.quiet(t)
	m.want(t.Context(), []unit{r.unit("a", "2", 1), r.unit("c", "1", 1)})
	r.wait(t, "stop a1", "start a2", "start c1")
	m.want(t.Context(), []unit{r.unit("c", "1", 1)})
	r.wait(t, "stop a2")

	release()
	<-released // hold returns only after the unit has (invariant 2 of internal/kafka rests on it)
	r.wait(t, "stop c1")
}

type failure struct{ retry bool }

func (f failure) Error() string   { return "no" }
func (f failure) Retryable() bool { return f.retry }

// A unit that fails is run again, others go on, and its state says what is wrong (invariant 3).
func TestFailingUnits(t *testing.T) {
	for _, c := range []struct {
		err  error
		want console.State
	}{
		{errors.New("connection lost"), console.Retrying},
		{failure{true}, console.Retrying},
		{failure{false}, console.Failed},
		{&EnvironmentError{What: "x", Remedy: "y"}, console.Failed},
		{nil, console.Retrying},
	} {
		states := make(chan unitState, 100)
		r, m := newRuns(), newManager(nil)
		m.changed = func(name string, s unitState) {
			if name == "bad" {
				states <- s
			}
		}
		m.wait, m.longest, m.rest = time.Millisecond, time.Second, time.Millisecond
		bad := unit{"bad", "", 1, func(context.Context) error { return c.err }}
		m.want(t.Context(), []unit{bad, r.unit("good", "", 1)})
		ctx, release := context.WithCancel(t.Context())
		released := make(chan struct{})
		go func() { m.hold(ctx, 1); close(released) }()
		r.wait(t, "start good")
		for i := range 3 {
			select {
			case s := <-states:
				if s.State != c.want || s.Err == nil || s.Tries != i+1 {
					t.Errorf("%v: state %+v", c.err, s)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the unit is not run again")
			}
		}
		release()
		<-released
		r.wait(t, "stop good")
	}
}

// A unit that waits for a person looks at once when what it needs may be there: a disk has space again.
func TestAllAgain(t *testing.T) {
	tried := make(chan struct{}, 10)
	m := newManager(nil)
	m.rest = time.Hour
	m.want(t.Context(), []unit{{"bad", "", 1, func(context.Context) error { tried <- struct{}{}; return failure{false} }}})
	ctx, release := context.WithCancel(t.Context())
	released := make(chan struct{})
	go func() { m.hold(ctx, 1); close(released) }()
	for range 3 {
		select {
		case <-tried:
		case <-time.After(10 * time.Second):
			t.Fatal("the unit is not run again")
		}
		m.allAgain()
	}
	release()
	<-released
}

// A store that does not answer is waited for inside a step: it is said when it begins and when it is over, once, and an
// error that ended the run is not said twice.
func TestTrouble(t *testing.T) {
	var tr trouble
	for i, c := range []struct {
		phase, err  string
		began, over bool
	}{
		{"waiting", "", false, false},
		{"preparing", "503, request 1", true, false},
		{"preparing", "503, request 2", false, false},
		{"waiting", "", false, true},
		{"publishing", "no connection", true, false},
		{"stopped", "another owner holds the fence", false, false},
		{"stopped", "", false, false},
	} {
		if began, over := tr.look(window.Status{Phase: c.phase, Error: c.err}); began != c.began || over != c.over {
			t.Errorf("%d: began %v, over %v; want %+v", i, began, over, c)
		}
	}
}
