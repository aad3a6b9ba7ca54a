package window

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/run"
	statefile "github.com/tidemill/tidemill/window/state"
)

// Config is all that a pipeline needs. Zero values of the numbers mean their defaults.
type Config struct {
	Name    string
	Owner   string   // of this process, for the claim
	Sources []string // that the pipeline has inputs from
	Wants   func(source string, t ingest.TableName) bool
	Plan    Planner
	Kafka   kafka.Config
	Store   Store
	Sink    Sink
	Dir     string // local folder of the pipeline; everything in it may be lost
	Tracer  trace.Tracer
	Meter   metric.Meter

	// Memory bounds the rows of open windows in memory; past it they go to local runs. Default 512 MiB. Less spills
	// windows that would fit, more leaves less for the state's queries, which have a limit of their own.
	Memory int64
	// SpillQuota bounds the local runs. Default 64 GiB.
	SpillQuota int64
	// StateMemory is the memory limit of the state's database, beside Memory. Default 1 GiB.
	StateMemory int64
	// StateThreads is how many threads the state's queries use. Default: all that the process may use.
	StateThreads int
	// SnapshotEvery is the number of final steps between state snapshots. Default 4: less uploads the state more often
	// than a restore is ever needed, more keeps more of the log.
	SnapshotEvery int
	// SnapshotKeep is how many state snapshots stay, each with the log that a restore from it needs. Default 2: one may be
	// unreadable.
	SnapshotKeep int
	// MaxQuarantine is how many rows a publish may leave out of its tables because no warehouse can hold one of their values.
	// With more the pipeline halts. Default 0: no row is missing unless somebody has agreed to it.
	MaxQuarantine int64
	// Grace is how long a load in flight may go on after a stop was asked. Default 30 s.
	Grace time.Duration

	open func(ctx context.Context, c *Config) (engine, error) // tests replace the engine
	env  *env                                                 // and the log
}

// Pipeline reads the log and publishes windows. It is made by New and may be run again after Run has returned.
type Pipeline struct {
	cfg   Config
	meter meter
	board board
}

// New returns a pipeline. It does no I/O.
func New(cfg Config) (*Pipeline, error) {
	if cfg.Name == "" || cfg.Dir == "" || len(cfg.Sources) == 0 || cfg.Wants == nil || cfg.Plan == nil || cfg.Store == nil || cfg.Sink == nil || cfg.Tracer == nil || cfg.Meter == nil {
		return nil, errors.New("making a pipeline: name, dir, sources, wants, plan, store, sink, tracer and meter must be set")
	}
	set := func(v *int64, otherwise int64) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&cfg.Memory, 512<<20)
	set(&cfg.SpillQuota, 64<<30)
	set(&cfg.StateMemory, 1<<30)
	set((*int64)(&cfg.Grace), int64(30*time.Second))
	if cfg.SnapshotEvery == 0 {
		cfg.SnapshotEvery = 4
	}
	if cfg.SnapshotKeep == 0 {
		cfg.SnapshotKeep = 2
	}
	if cfg.StateThreads == 0 {
		cfg.StateThreads = runtime.GOMAXPROCS(0)
	}
	if cfg.open == nil {
		cfg.open = openState
	}
	if cfg.env == nil {
		cfg.env = kafkaEnv(cfg.Kafka)
	}
	m, err := newMeter(cfg.Meter)
	if err != nil {
		return nil, fmt.Errorf("making the instruments of pipeline %s: %w", cfg.Name, err)
	}
	return &Pipeline{cfg: cfg, meter: m, board: board{now: Status{Pipeline: cfg.Name, Phase: "stopped"}, tables: map[string]TableStatus{}}}, nil
}

// Status is what the pipeline does now.
func (p *Pipeline) Status() Status { return p.board.snapshot() }

// Needed is the lowest offset of every input partition, by topic, that this pipeline may still have to read: what lies
// before the cut of its fence and of its oldest state snapshot is not needed. Nil as long as that is not known.
func (p *Pipeline) Needed() map[string][]int64 {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	return p.board.need
}

// Run owns the pipeline until ctx ends, and then returns nil. Any other return is an error: ErrFenced when another owner
// has taken over, an error with Retryable() false when a person has to act, else one that a new Run may overcome.
func (p *Pipeline) Run(ctx context.Context) (err error) {
	work, cancel := run.Grace(ctx, p.cfg.Grace)
	defer cancel()
	defer func() {
		if ctx.Err() != nil && !errors.Is(err, ErrFenced) && !isFinal(err) {
			err = nil // what breaks off because a stop was asked for is no error, whatever it calls itself
		}
		if err != nil {
			err = fmt.Errorf("pipeline %s: %w", p.cfg.Name, err)
		}
		p.board.set(func(s *Status) {
			s.Phase = "stopped"
			if err != nil {
				s.Error = err.Error()
			}
		})
	}()
	p.board.phase("starting")
	gauges, err := p.observe()
	if err != nil {
		return fmt.Errorf("registering the gauges: %w", err)
	}
	defer func() { err = errors.Join(err, gauges.Unregister()) }()
	fence, log, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("making the local folder: %w", err)
	}
	state, err := p.state(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.close()) }()
	k := &keeper{cfg: &p.cfg, meter: p.meter, board: &p.board, attrs: pipelineAttr(p.cfg.Name), state: state, log: log, fence: fence, checked: map[string]bool{}}
	if err := k.recover(ctx, work); err != nil {
		return err
	}
	return k.follow(ctx, work)
}

// isFinal reports whether an error stays until a person acts.
func isFinal(err error) bool {
	var r interface{ Retryable() bool }
	return errors.As(err, &r) && !r.Retryable()
}

// acquire makes this run the owner: first the claim, which makes an epoch, then the fence with it, then everything else.
func (p *Pipeline) acquire(ctx context.Context) (_ Fence, log string, err error) {
	if log, err = p.identify(ctx); err != nil {
		return Fence{}, "", err
	}
	epoch, err := p.cfg.env.claim(ctx, "pipeline/"+p.cfg.Name, p.cfg.Owner)
	if err != nil {
		return Fence{}, "", err
	}
	p.board.set(func(s *Status) { s.Epoch = epoch })
	fence, err := p.cfg.Sink.Acquire(ctx, p.cfg.Name, epoch)
	if err != nil {
		return Fence{}, "", fmt.Errorf("taking the fence: %w", err)
	}
	if fence.Epoch != epoch {
		return Fence{}, "", fmt.Errorf("taking the fence: it shows epoch %d after epoch %d took it: %w", fence.Epoch, epoch, ErrFenced)
	}
	p.board.set(func(s *Status) { s.Published, s.At = fence.Step, fence.At })
	return fence, log, nil
}

// state opens the state file. One that cannot be opened is thrown away (invariant 6).
func (p *Pipeline) state(ctx context.Context) (engine, error) {
	state, err := p.cfg.open(ctx, &p.cfg)
	if err == nil || ctx.Err() != nil {
		return state, err
	}
	if rerr := statefile.Remove(p.cfg.statePath()); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	if state, err = p.cfg.open(ctx, &p.cfg); err != nil {
		return nil, fmt.Errorf("opening the state: %w", err)
	}
	return state, nil
}

// follow publishes step after step from the fence on.
func (k *keeper) follow(ctx, work context.Context) error {
	if err := k.readQuarantine(ctx); err != nil {
		return err
	}
	from := k.fence
	from.Cut = from.Cut.clone()
	stateful := true // before the first publish nothing is known, and everything is needed
	if !from.Step.Start.IsZero() {
		plan, err := k.planFor(ctx, from.Cut)
		if err != nil {
			return err
		}
		rebase(from.Cut, plan, k.sourceOf(), k.newest)
		if err := k.ground(ctx, from.Cut); err != nil {
			return err
		}
		stateful = plan.stateful()
	}
	s, err := k.session(ctx, newOrder(from, k.cfg.Sources, k.cfg.Wants))
	if err != nil {
		return err
	}
	defer s.stop()
	s.order.forget()
	s.publishNeeded(stateful)
	return s.both(ctx, func(ctx context.Context) error {
		for {
			st, err := s.await(ctx)
			if err != nil {
				return err
			}
			if err := s.step(ctx, work, st); err != nil {
				return err
			}
		}
	})
}

// both runs the reader beside fn; the end of one ends the other.
func (s *session) both(ctx context.Context, fn func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.read(ctx) })
	g.Go(func() error {
		if err := fn(ctx); err != nil {
			return err
		}
		return errDone
	})
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

var errDone = errors.New("done")
