package sim

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Process is code under test with an environment that the World rules. A nil Process is alone in the world: its calls go on at
// once and nothing ever happens to it.
type Process struct {
	Name  string
	Rand  *rand.Rand // for the process's own habits
	world *World

	cancel context.CancelFunc
	skew   time.Duration // of its clock
	until  int           // it sleeps until this step
	doom   int           // steps until it crashes; negative: it does not
	buried bool
	spared bool    // nothing happens to it
	ready  []*call // as of the last collect
	open   []*lane
	newest int // post that has been done

	mu    sync.Mutex // guards what follows while the process runs
	calls []*call
	lanes map[Lane]*lane
	order []*lane
	posts int
	dead  bool
	over  bool
	err   error
}

// Op is a call of the environment.
type Op struct {
	Kind, Where string
	Ready       func() bool // nil: at any time
	Do          func() error
	Faults      bool // it may fail before its effect, or after it
	Late        bool // its effect may come after the process has crashed
	Detail      func() string
}

type call struct {
	op    Op
	reply chan error
}

func (c *call) do() error {
	if c.op.Do == nil {
		return nil
	}
	return c.op.Do()
}

// Lane names a queue whose order is kept.
type Lane struct {
	Topic     string
	Partition int
}

func (l Lane) String() string { return fmt.Sprintf("%s/%d", l.Topic, l.Partition) }

// Flight is an append on its way.
type Flight struct {
	Do     func() int64 // appends and returns the offset
	Done   func(offset int64, err error)
	Twice  bool // it may be done twice, as by a broker whose idempotence fails
	Detail func() string
	nth    int // of its process's posts
}

type lane struct {
	name   Lane
	queue  []Flight
	sent   bool // the first has been done; its reply is on the way
	offset int64
	broken bool
}

// Crashed reports whether the World has ended the process.
func (p *Process) Crashed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// Over reports whether the process has ended, by itself or not.
func (p *Process) Over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// Err is what the process ended with.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Skew is how far the clock of the process is from the others'.
func (p *Process) Skew() time.Duration {
	if p == nil {
		return 0
	}
	return p.skew
}

// Spare lets no fault happen to the process.
func (p *Process) Spare() { p.spared = true }

// Call waits until the World lets the call go on, or ctx ends.
func (p *Process) Call(ctx context.Context, op Op) error {
	c := &call{op, make(chan error, 1)}
	if p == nil {
		if op.Ready != nil && !op.Ready() {
			<-ctx.Done()
			return ctx.Err()
		}
		return c.do()
	}
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return ErrCrashed
	}
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	select {
	case err := <-c.reply:
		return err
	case <-ctx.Done():
		p.drop(c)
		return ctx.Err()
	}
}

func (p *Process) drop(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = slices.DeleteFunc(p.calls, func(x *call) bool { return x == c })
}

// Post puts an append behind those of its lane and returns. Done is called later, from another goroutine.
func (p *Process) Post(at Lane, f Flight) {
	if p == nil {
		f.Done(f.Do(), nil)
		return
	}
	p.mu.Lock()
	l := p.lanes[at]
	if l == nil {
		l = &lane{name: at}
		p.lanes[at] = l
		p.order = append(p.order, l)
	}
	err := error(nil)
	switch {
	case p.dead:
		err = ErrCrashed
	case l.broken:
		err = ErrBroken
	default:
		p.posts++
		f.nth = p.posts
		l.queue = append(l.queue, f)
	}
	p.mu.Unlock()
	if err != nil {
		f.Done(0, err)
	}
}

// collect finds what can go on. Goroutines of one process run side by side between two steps, so the order in which they came
// says nothing (invariant 1).
func (p *Process) collect() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.calls, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.op.Kind, b.op.Kind), cmp.Compare(a.op.Where, b.op.Where))
	})
	p.ready = p.ready[:0]
	for _, c := range p.calls {
		if c.op.Ready == nil || c.op.Ready() {
			p.ready = append(p.ready, c)
		}
	}
	slices.SortFunc(p.order, func(a, b *lane) int {
		return cmp.Or(cmp.Compare(a.name.Topic, b.name.Topic), cmp.Compare(a.name.Partition, b.name.Partition))
	})
	p.open = p.open[:0]
	for _, l := range p.order {
		if len(l.queue) > 0 {
			p.open = append(p.open, l)
		}
	}
	return len(p.ready) + len(p.open)
}
