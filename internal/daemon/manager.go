package daemon

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

// unit is one part that is owned on its own: a source or a pipeline.
type unit struct {
	name  string // source/<name> or pipeline/<name>
	print string // fingerprint of all its configuration: another one means another run
	slot  int    // who holds the slot should run the unit
	run   func(ctx context.Context) error
}

// manager runs the units that are wanted and whose slot is held here. Two things change under it: the configuration (want)
// and the membership in the consumer group (hold); both end in reconcile.
type manager struct {
	wait, longest time.Duration // bounds of the backoff of a unit that may recover by itself
	rest          time.Duration // wait of a unit that needs a person: what he mends may be outside our sight
	changed       func(name string, s unitState)
	fatal         func(u unit, err error) bool // reports whether an error ends the daemon; may be nil
	explain       func(err error) error        // the cause of an error that may pass by itself, when it is known; may be nil

	mu      sync.Mutex // guards all below; never held while waiting for a unit
	turn    sync.Mutex // one reconcile at a time
	wanted  map[string]unit
	held    map[int]bool
	running map[string]*runningUnit
	states  map[string]unitState
}

// unitState is what a unit does, as far as the manager knows.
type unitState struct {
	State console.State
	Err   error
	Since time.Time
	Tries int // failed runs in a row
}

type runningUnit struct {
	unit   unit
	cancel context.CancelFunc
	done   chan struct{}
	again  chan struct{} // do not wait any longer
}

func newManager(changed func(string, unitState)) *manager {
	return &manager{
		wait: time.Second, longest: 30 * time.Second, rest: 30 * time.Second, changed: changed,
		wanted: map[string]unit{}, held: map[int]bool{}, running: map[string]*runningUnit{}, states: map[string]unitState{},
	}
}

// want replaces the units that should run. Units whose fingerprint has changed are stopped and started anew; the others
// are left alone.
func (m *manager) want(ctx context.Context, units []unit) {
	m.mu.Lock()
	m.wanted = map[string]unit{}
	for _, u := range units {
		m.wanted[u.name] = u
	}
	m.mu.Unlock()
	m.reconcile(ctx)
}

// hold runs the units of a slot until ctx ends, and returns when they have: the slot is then free for another daemon.
func (m *manager) hold(ctx context.Context, slot int) {
	base := context.WithoutCancel(ctx) // units end in reconcile, which waits for them
	m.set(base, slot, true)
	<-ctx.Done()
	m.set(base, slot, false)
}

func (m *manager) set(ctx context.Context, slot int, held bool) {
	m.mu.Lock()
	m.held[slot] = held
	m.mu.Unlock()
	m.reconcile(ctx)
}

// reconcile stops what should not run and then starts what should.
func (m *manager) reconcile(ctx context.Context) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	var stopping []*runningUnit
	for name, r := range m.running {
		if w, ok := m.wanted[name]; !ok || !m.held[w.slot] || w.print != r.unit.print {
			r.cancel()
			stopping = append(stopping, r)
			delete(m.running, name)
		}
	}
	m.mu.Unlock()
	for _, r := range stopping { // all were told before the first is waited for
		<-r.done
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.states {
		if _, ok := m.wanted[name]; !ok {
			delete(m.states, name)
		}
	}
	for name, w := range m.wanted {
		switch {
		case m.running[name] != nil:
		case m.held[w.slot]:
			m.start(ctx, w)
		default:
			m.states[name] = unitState{State: console.Waiting, Since: time.Now()}
		}
	}
}

// start runs a unit in a goroutine that reconcile owns. The lock is held.
func (m *manager) start(ctx context.Context, u unit) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &runningUnit{u, cancel, make(chan struct{}), make(chan struct{}, 1)}
	m.running[u.name] = r
	m.states[u.name] = unitState{State: console.Starting, Since: time.Now()}
	go func() {
		defer close(r.done)
		m.keep(ctx, r)
	}()
}

// keep runs a unit again and again until ctx ends (invariant 3).
func (m *manager) keep(ctx context.Context, r *runningUnit) {
	u := r.unit
	b := &backoff.ExponentialBackOff{InitialInterval: m.wait, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: m.longest}
	tries := 0
	for {
		began := time.Now()
		err := u.run(ctx)
		if ctx.Err() != nil {
			m.note(u.name, unitState{State: console.Stopped})
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		if time.Since(began) > m.longest {
			b.Reset()
			tries = 0
		}
		tries++
		state, wait := console.Retrying, b.NextBackOff()
		if !retryable(err) {
			state, wait = console.Failed, m.rest
		}
		if m.fatal != nil && m.fatal(u, err) {
			<-ctx.Done()
			return
		}
		if m.explain != nil && state == console.Retrying {
			err = m.explain(err)
		}
		m.note(u.name, unitState{State: state, Err: err, Tries: tries})
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			m.note(u.name, unitState{State: console.Stopped})
			return
		case <-t.C:
		case <-r.again:
			t.Stop()
			b.Reset()
		}
	}
}

// again ends the wait of a unit after an error: what it needs may be there.
func (m *manager) again(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.running[name]; r != nil {
		select {
		case r.again <- struct{}{}:
		default:
		}
	}
}

// allAgain ends the wait of every unit that has failed.
func (m *manager) allAgain() {
	m.mu.Lock()
	names := slices.Collect(maps.Keys(m.running))
	m.mu.Unlock()
	for _, name := range names {
		m.again(name)
	}
}

// up is told by a unit that it has begun its work: what was wrong before is over.
func (m *manager) up(name string) { m.note(name, unitState{State: console.Running}) }

func (m *manager) note(name string, s unitState) {
	s.Since = time.Now()
	m.mu.Lock()
	m.states[name] = s
	m.mu.Unlock()
	if m.changed != nil {
		m.changed(name, s)
	}
}

func (m *manager) state(name string) unitState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[name]
}

// retryable reports whether an error may pass without a person. An error that says nothing about itself may.
func retryable(err error) bool {
	var r interface{ Retryable() bool }
	switch {
	case errors.As(err, &r):
		return r.Retryable()
	case errors.Is(err, ingest.ErrIntegrity), errors.As(err, new(*window.RefusedError)), errors.As(err, new(config.Problems)):
		return false
	}
	var hint interface{ Hint() string }
	return !errors.As(err, &hint) // it names a remedy: somebody must apply it
}
