package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// Errors that a call of the environment ends with when the scheduler wants it to.
var (
	// ErrCrashed ends every call of a process that has crashed. Nobody hears of it.
	ErrCrashed = errors.New("sim: the process has crashed")
	// ErrBroken says that the connection broke: the call may have had its effect or not.
	ErrBroken = errors.New("sim: the connection broke")
)

// Options say what a World does.
type Options struct {
	Seed   uint64
	Faults int // how many faults may happen; negative: any number
	// Steps bounds a run: a World that needs more does not come to an end.
	Steps int
}

// World schedules processes. Its methods are called from one goroutine of the bubble, Call and Post from those of the processes.
type World struct {
	Rand   *rand.Rand
	opts   Options
	steps  int
	faults int // that have happened
	procs  []*Process
	ended  []*Process // not yet handed out
	ghosts []ghost
	events []event
	times  map[string]int // by what happened
	awake  []*Process     // reused
}

// ghost is what a crashed process had in flight.
type ghost struct {
	name, kind, where string
	do                func()
}

// event is a line of the trace. Its detail is made only when somebody reads it.
type event struct {
	step              int
	name, kind, where string
	fate              string
	detail            func() string
}

// New makes a World. It must be called inside a bubble.
func New(o Options) *World {
	if o.Steps == 0 {
		o.Steps = 50_000
	}
	return &World{Rand: rand.New(rand.NewPCG(o.Seed, 1)), opts: o, times: map[string]int{}}
}

// Faults is how many faults have happened.
func (w *World) Faults() int { return w.faults }

// What may happen in a World. A simulation in which something of it never does proves less than it says.
const (
	Crashes   = "crashes"
	Pauses    = "pauses"
	Jumps     = "clocks that jump"
	Broken    = "calls and appends that never arrive"
	Lost      = "lost replies"
	Doubled   = "appends done twice"
	Late      = "late replies"
	Ghostly   = "effects after a crash"
	Reordered = "partitions out of order"
	Aftermath = "crashes right after an effect"
)

// Happenings are all of them, in order.
var Happenings = []string{Crashes, Aftermath, Pauses, Jumps, Broken, Lost, Doubled, Late, Ghostly, Reordered}

// Times is how often each has happened.
func (w *World) Times() map[string]int { return w.times }

// Calm lets no further fault happen.
func (w *World) Calm() { w.opts.Faults = 0 }

// Fault says that a fault happens now: once in n, as long as faults are allowed.
func (w *World) Fault(n int) bool {
	if w.opts.Faults >= 0 && w.faults >= w.opts.Faults || w.Rand.IntN(n) > 0 { // invariant 4
		return false
	}
	w.faults++
	return true
}

// Note writes a line into the trace.
func (w *World) Note(name, kind, fate string) { w.note(name, kind, "", fate, nil) }

func (w *World) note(name, kind, where, fate string, detail func() string) {
	w.events = append(w.events, event{w.steps, name, kind, where, fate, detail})
}

// Trace is what has happened, one line each.
func (w *World) Trace() string {
	var b strings.Builder
	for _, e := range w.events {
		fmt.Fprintf(&b, "%5d  %-12s %-9s %s", e.step, e.name, e.kind, e.where)
		if e.detail != nil {
			fmt.Fprintf(&b, "  %s", e.detail())
		}
		if e.fate != "" {
			fmt.Fprintf(&b, "  -> %s", e.fate)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Go starts a process. run is given a context that ends when the process crashes or is stopped.
func (w *World) Go(name string, run func(ctx context.Context, p *Process) error) *Process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{Name: name, Rand: rand.New(rand.NewPCG(w.opts.Seed, uint64(len(w.procs))+2)), world: w, cancel: cancel, doom: -1, lanes: map[Lane]*lane{}}
	if w.Rand.IntN(4) > 0 { // the later a process, the longer it lives, or none would come to the end
		p.doom = w.Rand.IntN(1 + 60*(len(w.procs)+3))
	}
	w.procs = append(w.procs, p)
	w.note(name, "start", "", "", nil)
	go func() {
		defer cancel()
		err := run(ctx, p)
		p.mu.Lock()
		p.err, p.over = err, true
		p.mu.Unlock()
	}()
	return p
}

// Running lists the processes that have neither ended nor crashed.
func (w *World) Running() []*Process {
	return slices.DeleteFunc(slices.Clone(w.procs), func(p *Process) bool { return p.Over() || p.Crashed() })
}

// Ended hands out the processes that have ended since it was last called, in order of their start.
func (w *World) Ended() []*Process {
	out := w.ended
	w.ended = nil
	return out
}

// Run takes one step after another. Before each it calls next, which may start processes and says whether it is over.
func (w *World) Run(next func() (over bool, err error)) error {
	defer w.stop()
	for stuck := 0; ; w.steps++ {
		synctest.Wait() // invariant 1
		w.bury()
		over, err := next()
		if over || err != nil {
			return err
		}
		synctest.Wait()
		if w.steps > w.opts.Steps {
			return fmt.Errorf("it is not over after %d steps; waiting: %s", w.steps, w.waiting())
		}
		switch {
		case w.step():
			stuck = 0
		case w.rouse():
		default: // what waits for a clock gets its time: more than any pause between two attempts
			if stuck++; stuck > 3 {
				return fmt.Errorf("nothing can go on; waiting: %s", w.waiting())
			}
			time.Sleep(time.Minute)
		}
	}
}

// stop ends what still runs, so that the bubble may end.
func (w *World) stop() {
	for _, p := range w.procs {
		if !p.Over() && !p.Crashed() {
			w.kill(p, "the end")
		}
	}
	synctest.Wait()
	w.bury()
}

// bury collects the processes that have ended. One that has crashed gets the time that it needs to unwind.
func (w *World) bury() {
	for _, p := range w.procs {
		for i := 0; p.Crashed() && !p.Over() && i < 10; i++ {
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if p.Crashed() && !p.Over() {
			panic("sim: " + p.Name + " has crashed and does not end")
		}
		if p.Over() && !p.buried {
			p.buried = true
			if !p.Crashed() {
				w.note(p.Name, "end", "", fmt.Sprint(p.Err()), nil)
			}
			w.ended = append(w.ended, p)
		}
	}
}

// rouse wakes the process that sleeps for the shortest time, when nobody else has anything to do.
func (w *World) rouse() bool {
	var first *Process
	for _, p := range w.procs {
		if !p.Over() && p.until > w.steps && (first == nil || p.until < first.until) {
			first = p
		}
	}
	if first == nil {
		return false
	}
	first.until = 0
	return true
}

// step lets one call go on. It reports false when there is none.
func (w *World) step() bool {
	w.awake = w.awake[:0]
	for _, p := range w.procs {
		if !p.Over() && p.until <= w.steps && p.collect() > 0 {
			w.awake = append(w.awake, p)
		}
	}
	n := len(w.awake)
	if len(w.ghosts) > 0 {
		n++
	}
	if n == 0 {
		return false
	}
	i := w.Rand.IntN(n)
	if i == len(w.awake) {
		w.haunt()
		return true
	}
	w.advance(w.awake[i])
	return true
}

// haunt delivers something that a crashed process had in flight.
func (w *World) haunt() {
	i := w.Rand.IntN(len(w.ghosts))
	g := w.ghosts[i]
	w.ghosts = slices.Delete(w.ghosts, i, i+1)
	w.times[Ghostly]++
	w.note(g.name, g.kind, g.where, "delivered after its crash", nil)
	g.do()
}

// hits is Fault for something that happens to p.
func (w *World) hits(p *Process, n int) bool { return !p.spared && w.Fault(n) }

// advance lets one call or lane of p go on, unless something happens to p first.
func (w *World) advance(p *Process) {
	switch {
	case p.doom == 0 && w.hits(p, 1):
		w.times[Crashes]++
		w.kill(p, "crash")
		return
	case p.doom > 0:
		p.doom--
	}
	switch {
	case w.hits(p, 300):
		w.times[Pauses]++
		p.until = w.steps + 10 + w.Rand.IntN(20<<w.Rand.IntN(6))
		w.note(p.Name, "pause", "", fmt.Sprintf("until step %d", p.until), nil)
		return
	case w.hits(p, 300):
		w.times[Jumps]++
		p.skew = time.Duration(w.Rand.IntN(20_000)-15_000) * time.Millisecond
		w.note(p.Name, "clock", "", fmt.Sprintf("jumps to %s beside the others'", p.skew), nil)
	}
	i := w.Rand.IntN(len(p.ready) + len(p.open))
	if i < len(p.ready) {
		w.grant(p, p.ready[i])
	} else {
		w.deliver(p, p.open[i-len(p.ready)])
	}
}

// grant lets a call go on.
func (w *World) grant(p *Process, c *call) {
	fate, err := "", error(nil)
	switch {
	case c.op.Faults && w.hits(p, 150):
		w.times[Broken]++
		fate, err = "broken before it", ErrBroken
	case c.op.Faults && w.hits(p, 150):
		w.times[Lost]++
		fate, err = "done, the reply is lost", ErrBroken
		_ = c.do()
	case c.op.Faults && w.hits(p, 300):
		_ = c.do()
		w.times[Aftermath]++
		w.note(p.Name, c.op.Kind, c.op.Where, "done, and it crashes", c.op.Detail)
		p.drop(c)
		c.reply <- ErrCrashed
		w.kill(p, "crash")
		return
	default:
		err = c.do()
	}
	if c.op.Kind != "" {
		w.note(p.Name, c.op.Kind, c.op.Where, cmp.Or(fate, text(err)), c.op.Detail)
	}
	p.drop(c)
	c.reply <- err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// deliver makes some of what waits in a lane durable, and tells the process.
func (w *World) deliver(p *Process, l *lane) {
	for range 1 + w.Rand.IntN(len(l.queue)) {
		f := l.queue[0]
		if l.sent { // invariant 2: the reply to this one has been waited for
			l.sent = false
			w.note(p.Name, "reply", l.name.String(), "", nil)
			l.queue = l.queue[1:]
			f.Done(l.offset, nil)
			continue
		}
		if w.hits(p, 400) {
			w.times[Broken]++
			w.note(p.Name, "append", l.name.String(), "broken before it", f.Detail)
			w.breakLane(l)
			return
		}
		if f.nth < p.newest {
			w.times[Reordered]++
		}
		p.newest = max(p.newest, f.nth)
		l.offset = f.Do()
		twice := f.Twice && w.hits(p, 60)
		if twice {
			w.times[Doubled]++
			l.offset = f.Do()
		}
		switch {
		case w.hits(p, 400):
			w.times[Lost]++
			w.note(p.Name, "append", l.name.String(), "done, the reply is lost", f.Detail)
			w.breakLane(l)
			return
		case w.Rand.IntN(6) == 0:
			w.times[Late]++
			w.note(p.Name, "append", l.name.String(), "done, the reply takes its time", f.Detail)
			l.sent = true
			return
		case twice:
			w.note(p.Name, "append", l.name.String(), "done twice", f.Detail)
		default:
			w.note(p.Name, "append", l.name.String(), "", f.Detail)
		}
		l.queue = l.queue[1:]
		f.Done(l.offset, nil)
	}
}

func (w *World) breakLane(l *lane) {
	l.broken = true
	queue := l.queue
	l.queue = nil
	for _, f := range queue {
		f.Done(0, ErrBroken)
	}
}

// kill ends a process without its doing.
func (w *World) kill(p *Process, why string) {
	w.note(p.Name, why, "", "", nil)
	p.collect()
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	var lost []Flight
	for _, l := range p.order {
		if len(l.queue) > 0 && !l.sent && w.Rand.IntN(3) == 0 { // invariant 3
			f := l.queue[0]
			w.ghosts = append(w.ghosts, ghost{p.Name, "append", l.name.String(), func() { f.Do() }})
		}
		lost = append(lost, l.queue...)
		l.queue = nil
	}
	calls := p.calls
	p.calls = nil
	for _, c := range calls {
		if c.op.Late && w.Rand.IntN(3) == 0 {
			w.ghosts = append(w.ghosts, ghost{p.Name, c.op.Kind, c.op.Where, func() { c.do() }})
		}
		c.reply <- ErrCrashed
	}
	p.cancel()
	for _, f := range lost {
		f.Done(0, ErrCrashed)
	}
}

// waiting says who waits for what.
func (w *World) waiting() string {
	var out []string
	for _, p := range w.procs {
		if p.Over() {
			continue
		}
		what := []string{}
		for _, c := range p.calls {
			what = append(what, strings.TrimSpace(c.op.Kind+" "+c.op.Where))
		}
		out = append(out, p.Name+" ["+strings.Join(what, ", ")+"]")
	}
	return strings.Join(out, "; ")
}

// Ghosts is how much of crashed processes is still on its way.
func (w *World) Ghosts() int { return len(w.ghosts) }

// Asleep reports whether all of the processes are: to the others they look dead.
func (w *World) Asleep(procs ...*Process) bool {
	return !slices.ContainsFunc(procs, func(p *Process) bool { return p.until <= w.steps })
}

// Difference is the first line in which two traces differ, with what comes before.
func Difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	at := func(lines []string) string {
		return strings.Join(lines[min(max(0, i-5), len(lines)):min(i+1, len(lines))], "\n")
	}
	return fmt.Sprintf("line %d:\n%s\n-- and --\n%s", i+1, at(x), at(y))
}

// Steps is how many steps have been taken.
func (w *World) Steps() int { return w.steps }
