package elt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tidemill/tidemill/internal/grid"
)

// Sender delivers a message to its channel.
type Sender interface {
	// Send returns when the receiver has taken the message. It is called at most once at a time for a channel.
	Send(ctx context.Context, m Message) error
}

// Options are what a runner needs. Zero values of the numbers mean their defaults.
type Options struct {
	Warehouse Warehouse
	// Graph is the definitions that run now; it is asked at every look.
	Graph func() *Graph
	Grid  grid.Grid
	Pools func() map[string]int
	// Owners are the channels of owners, for jobs that name none.
	Owners func() map[string][]string
	Sender Sender // nil: alerts are kept and not sent
	Epoch  int64  // of the lease
	Actor  string // this process
	Tracer trace.Tracer
	// Wrote is told of every row of the ledger, and Alarm of every alert; both may be nil.
	Wrote func(Entry)
	Look  func(*Look) // told of every look; what it is given changes when it has returned

	// Every is how often the runner looks. Default 2 s: a look reads a few hundred rows; a shorter one buys seconds on runs of
	// minutes.
	Every time.Duration
	// Deep is how often it also looks at what ended before the horizon, which can only be marked. Default 1 h: ten jobs of
	// 15 minutes have 350,000 intervals in a year, and looking at each takes seconds.
	Deep  time.Duration
	Clock func() time.Time // default time.Now
}

// Look is what a look has found.
type Look struct {
	Situation *Situation
	Decision  Decision
	Book      *Book
}

// Runner looks after the jobs while it holds the lease.
type Runner struct {
	o      Options
	book   *Book
	mu     sync.Mutex // guards what is below
	live   map[RunKey]bool
	ended  error
	posts  bool // messages are being sent
	deep   time.Time
	runs   sync.WaitGroup
	nudged chan struct{}
}

// NewRunner returns a runner. It does no I/O.
func NewRunner(o Options) *Runner {
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Deep == 0 {
		o.Deep = time.Hour
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if o.Wrote == nil {
		o.Wrote = func(Entry) {}
	}
	return &Runner{o: o, book: NewBook(), live: map[RunKey]bool{}, nudged: make(chan struct{}, 1)}
}

// Nudge makes the runner look at once: something was committed or asked for. It is a hint; without it the next look finds it.
func (r *Runner) Nudge() {
	select {
	case r.nudged <- struct{}{}:
	default:
	}
}

// Run takes the jobs over and looks after them until ctx ends, and then returns nil when its runs have ended. ErrSuperseded
// says that another runner has taken over.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.runs.Wait()
	defer cancel()
	if err := r.Take(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(r.o.Every)
	defer tick.Stop()
	for {
		if err := r.Once(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-r.nudged:
		}
	}
}

// Take makes the relations where they are missing and this runner the one that may write.
func (r *Runner) Take(ctx context.Context) error {
	err := r.o.Warehouse.JobSession(ctx, func(s Session) error {
		d := r.o.Warehouse.JobDialect()
		if err := ensure(ctx, s, d); err != nil {
			return err
		}
		return store{s, d}.take(ctx, r.o.Epoch, r.o.Actor)
	})
	if err != nil {
		return fmt.Errorf("taking the jobs over: %w", err)
	}
	return nil
}

// Once looks once and begins what is to be run. Runs go on after it has returned.
func (r *Runner) Once(ctx context.Context) error {
	if err := r.failure(); err != nil {
		return err
	}
	g := r.o.Graph()
	if g == nil {
		return nil
	}
	err := r.o.Warehouse.JobSession(ctx, func(s Session) error { return r.look(ctx, store{s, r.o.Warehouse.JobDialect()}, g) })
	if err != nil {
		return fmt.Errorf("looking after the jobs: %w", err)
	}
	return nil
}

// Wait returns when the runs that were begun have ended.
func (r *Runner) Wait() { r.runs.Wait() }

func (r *Runner) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

func (r *Runner) look(ctx context.Context, s store, g *Graph) error {
	now := r.o.Clock()
	live := r.alive() // before the rows are read: a run that ends meanwhile has its row
	if err := r.book.refresh(ctx, s, g, now); err != nil {
		return err
	}
	if epoch, err := s.epoch(ctx, false); err != nil || epoch != r.o.Epoch {
		return errors.Join(err, superseded(epoch, r.o.Epoch))
	}
	sit := &Situation{Graph: g, Committed: r.book.Committed, Grid: r.o.Grid, Now: now, Epoch: r.o.Epoch, Live: live, Pools: r.o.Pools()}
	if now.Sub(r.deep) >= r.o.Deep {
		sit.Deep, r.deep = true, now
	}
	d := sit.Decide()
	for i := range d.Rows {
		if err := r.append(ctx, s, &d.Rows[i]); err != nil {
			return err
		}
	}
	if err := r.alarm(ctx, s, sit, d); err != nil {
		return err
	}
	if r.o.Look != nil {
		r.o.Look(&Look{sit, d, r.book})
	}
	for _, st := range d.Start {
		r.begin(ctx, st)
	}
	return nil
}

func superseded(epoch, mine int64) error {
	if epoch == mine {
		return nil
	}
	return fmt.Errorf("%w: epoch %d, this is %d", ErrSuperseded, epoch, mine)
}

func (r *Runner) alive() map[RunKey]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[RunKey]bool, len(r.live))
	for k := range r.live {
		out[k] = true
	}
	return out
}

// append writes a row that needs no run. One that is there already is no error: the next look sees it.
func (r *Runner) append(ctx context.Context, s store, e *Entry) error {
	e.Epoch = r.o.Epoch
	rec := r.book.Committed.History(e.Job).Of(e.Interval)
	if from := rec.State(); !from.May(e.State) {
		return fmt.Errorf("internal fault: %s may not follow %s for %s", e.State, from, e.describe())
	}
	err := s.Transact(ctx, Write, func() error { return s.append(ctx, e) })
	switch classOf(err) {
	case Overtaken:
		return nil
	}
	if err != nil {
		return err
	}
	r.book.history(e.Job).Add(*e)
	r.o.Wrote(*e)
	return nil
}

// begin runs an interval in a goroutine that Wait waits for.
func (r *Runner) begin(ctx context.Context, st Start) {
	k := keyOf(st.Job.Name, st.Interval)
	h := r.book.Committed.History(st.Job.Name)
	past := map[string][]Past{}
	for _, p := range st.Job.Probes {
		past[p.Name] = h.Past(p.Name, st.Interval, st.Job.Calendar.Zone())
	}
	r.mu.Lock()
	r.live[k] = true
	r.mu.Unlock()
	x := &execution{warehouse: r.o.Warehouse, tracer: r.o.Tracer, start: st, actor: r.o.Actor, epoch: r.o.Epoch, wrote: r.o.Wrote,
		first: h.top == nil, conflicts: 50 * time.Millisecond, past: func(check string) []Past { return past[check] }}
	r.runs.Go(func() {
		err := x.run(ctx)
		r.mu.Lock()
		delete(r.live, k)
		if err != nil && ctx.Err() == nil && r.ended == nil {
			r.ended = err
		}
		r.mu.Unlock()
		r.Nudge()
	})
}

// alarm latches deadlines, brings the outbox up to date and sends what is to be sent.
func (r *Runner) alarm(ctx context.Context, s store, sit *Situation, d Decision) error {
	if passed := sit.Deadlines(r.book.Deadlines); len(passed) > 0 {
		if err := s.latch(ctx, passed); err != nil && classOf(err) != Overtaken {
			return fmt.Errorf("latching deadlines: %w", err)
		}
		for _, x := range passed {
			r.book.Deadlines[x.Key()] = x
		}
	}
	conditions := sit.Conditions(d.Statuses, r.book.Deadlines, r.o.Owners())
	if events := Reconcile(conditions, r.book.Alerts, sit.Now); len(events) > 0 {
		if err := s.tell(ctx, events); err != nil && classOf(err) != Overtaken {
			return fmt.Errorf("writing alerts: %w", err)
		}
		r.book.Alerts = append(r.book.Alerts, events...)
	}
	r.post(ctx, Outgoing(r.book.Alerts, r.book.Sends, sit.Now, r.routes(sit.Graph)), sit.Now)
	return nil
}

// post sends messages beside the looks: a receiver that hangs holds up no job. One batch at a time.
func (r *Runner) post(ctx context.Context, messages []Message, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.Sender == nil || r.posts || len(messages) == 0 {
		return
	}
	r.posts = true
	r.runs.Go(func() {
		err := r.o.Warehouse.JobSession(ctx, func(s Session) error {
			for _, m := range messages {
				if err := r.send(ctx, store{s, r.o.Warehouse.JobDialect()}, m, now); err != nil {
					return err
				}
			}
			return nil
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts = false
		if err != nil && ctx.Err() == nil && r.ended == nil {
			r.ended = fmt.Errorf("sending alerts: %w", err)
		}
	})
}

// routes gives the channels of an alert.
func (r *Runner) routes(g *Graph) func(*Alert) ([]string, time.Duration) {
	owners := r.o.Owners()
	return func(a *Alert) ([]string, time.Duration) {
		j := g.Job(a.Key.Job)
		if j == nil {
			return owners[a.Owner], 10 * time.Minute
		}
		return j.Routes(a.Key.Kind, owners), j.Spec.Alerts.Group
	}
}

// send claims a message, sends it, and notes what became of it: one message with two daemons.
func (r *Runner) send(ctx context.Context, s store, m Message, now time.Time) error {
	note := func(outcome, why string) []Send {
		out := make([]Send, len(m.Alerts))
		for i, a := range m.Alerts {
			out[i] = Send{Channel: m.Channel, Key: a.Key, Episode: a.Episode, Event: m.Event, Try: m.Try, At: now, Outcome: outcome, Why: why}
		}
		return out
	}
	err := s.sent(ctx, note(Claimed, ""))
	if err != nil && classOf(err) == Overtaken {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claiming an alert: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	outcome, why := Sent, ""
	if err := r.o.Sender.Send(limit, m); err != nil {
		outcome, why = SendFailed, err.Error()
	}
	// Detached: what was sent must be noted, or it is sent again.
	last, end := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer end()
	if err := s.sent(last, note(outcome, why)); err != nil {
		return fmt.Errorf("noting that an alert was sent: %w", err)
	}
	return nil
}

// sendTimeout is how long a receiver may take.
const sendTimeout = 15 * time.Second

// Ask writes requests; the runner that holds the lease finds them.
func Ask(ctx context.Context, w Warehouse, requests []Request) error {
	return w.JobSession(ctx, func(s Session) error {
		d := w.JobDialect()
		if err := ensure(ctx, s, d); err != nil {
			return err
		}
		return store{s, d}.ask(ctx, requests)
	})
}

// Read reads what is committed, for those who only look. Nothing is written; where the relations are not there yet, nothing is
// committed.
func Read(ctx context.Context, w Warehouse, g *Graph) (*Book, error) {
	b := NewBook()
	err := w.JobSession(ctx, func(s Session) error {
		st := store{s, w.JobDialect()}
		have, err := s.Columns(ctx, "tidemill.job_runner")
		if err != nil {
			return err
		}
		return s.Transact(ctx, Snapshot, func() error {
			if b.Committed.Tables, err = st.tables(ctx, &b.bases); err != nil || have == nil {
				return err
			}
			if err := b.ledger(ctx, st, time.Now()); err != nil {
				return err
			}
			if err := s.Query(ctx, "SELECT job, written_at FROM tidemill.job_register", func(row []any) error { b.history(row[0].(string)).Registered = instant(row[1]); return nil }); err != nil {
				return err
			}
			if b.Committed.Requests, err = st.requests(ctx); err != nil {
				return err
			}
			return b.outbox(ctx, st, time.Time{})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of the jobs: %w", err)
	}
	return b, nil
}
