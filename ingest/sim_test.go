package ingest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/sim"
)

var (
	seeds  = flag.Int("seeds", 0, "simulated histories; 0: as many as fit")
	from   = flag.Uint64("from", 1, "the first of them")
	seed   = flag.Uint64("seed", 0, "run only this one, and print its trace")
	faults = flag.Int("faults", -1, "faults of that one; -1: as many as come")
	groups = flag.Int("groups", -1, "groups of its history; -1: all")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simConfig is an owner's configuration: every owner has other limits and another clock, so that it would decide
// differently if it were free to.
func simConfig(rng *rand.Rand, now *atomic.Int64, window time.Duration) Config {
	g, err := grid.New(window)
	if err != nil {
		panic(err)
	}
	return Config{
		Source: "src", Owner: "test", Grid: g, Partitions: simPartitions,
		Grace: time.Duration(1 + rng.IntN(2000)*1e6), SliceBytes: int64(50 + rng.IntN(50<<rng.IntN(7))), FlushBytes: 20 + rng.IntN(400),
		MaxSkew:    time.Duration(1 + rng.IntN(3000)*1e6),
		FlushEvery: time.Duration(1 + rng.IntN(2e9)), CheckpointEvery: time.Duration(1 + rng.IntN(6e9)),
		Now: func() time.Time { return time.UnixMicro(now.Load()).UTC() },
	}.withDefaults()
}

// simRun says which simulated world to run.
type simRun struct {
	seed   uint64
	faults int // negative: any number
	groups int // negative: all of the history
	harm   harm
}

// simulation is a world of owners of one source.
type simulation struct {
	*sim.World
	h       *history
	log     *simLog
	sources map[*sim.Process]*simSource
	stage   stage
	last    *sim.Process
	owners  int
	wants   int // what operators still ask for
}

type stage int

const (
	chaos stage = iota // owners come and go until one comes to the end of the history
	drain              // those that are left end
	clean              // one more has all to itself
)

// simulate runs one owner after another, and beside another, over a history until one has come to its end, and checks the log.
func simulate(t *testing.T, r simRun) (s *simulation, err error) {
	synctest.Test(t, func(*testing.T) {
		rng := rand.New(rand.NewPCG(r.seed, 0))
		s = &simulation{World: sim.New(sim.Options{Seed: r.seed, Faults: r.faults}), h: newHistory(rng), log: newSimLog(), sources: map[*sim.Process]*simSource{}}
		if r.groups >= 0 && r.groups < len(s.h.groups) {
			s.h.groups = s.h.groups[:r.groups]
		}
		s.log.world, s.log.harm = s.World, r.harm
		if r.seed%3 > 0 {
			s.wants = 3
		}
		if err = s.Run(s.next); err == nil {
			err = s.log.wrong
		}
		if err == nil {
			err = errors.Join(checkRequests(s.log), checkLog("src", s.log.Topics, s.h, simPartitions))
		}
	})
	return s, err
}

// next decides who starts. It is called when nothing is running.
func (s *simulation) next() (over bool, err error) {
	for _, p := range s.Ended() {
		switch src := s.sources[p]; {
		case p.Crashed():
		case p.Err() == nil && !src.stopped:
			if s.stage == clean {
				return true, nil
			}
			s.stage = max(s.stage, drain)
		case p.Err() == nil, errors.Is(p.Err(), ErrAnew), errors.Is(p.Err(), ErrSuperseded), errors.Is(p.Err(), sim.ErrBroken):
		default:
			return false, fmt.Errorf("%s: %w", p.Name, p.Err())
		}
	}
	running := s.Running()
	switch {
	case s.stage == chaos && (s.Asleep(running...) || s.owners < 20 && s.Fault(250)):
		s.start()
	case s.stage == drain && len(running) == 0 && s.Ghosts() == 0:
		s.stage, s.wants = clean, 0
		s.Calm()
		s.start()
	case s.stage == clean && len(running) == 0: // the last had something to carry out, and has
		s.start()
	}
	if s.owners > 15 {
		s.Calm()
	}
	if s.stage == chaos && s.wants > 0 && s.log.epoch() > 0 && s.Rand.IntN(200) == 0 {
		s.ask()
	}
	return false, nil
}

// ask is an operator who wants a table loaded anew, or the source.
func (s *simulation) ask() {
	s.wants--
	r, names := Request{Source: "src"}, s.h.names(len(s.h.groups))
	if s.Rand.IntN(3) > 0 {
		r.Table = "db." + names[s.Rand.IntN(len(names))]
	}
	s.Note("operator", "ask", fmt.Sprintf("%q", r.Table))
	s.log.ask(r)
}

// start begins an owner.
func (s *simulation) start() {
	s.owners++
	deaf := s.stage == chaos && s.Rand.IntN(4) == 0
	src := &simSource{h: s.h, mayStop: s.stage == chaos && s.owners < 15, torn: s.log.harm.torn}
	p := s.Go(fmt.Sprintf("owner-%d", s.owners), func(ctx context.Context, p *sim.Process) error {
		return own1(ctx, p, src, s.log.env(p, deaf))
	})
	s.sources[p] = src
}

// own1 runs one owner with habits of its own.
func own1(ctx context.Context, p *sim.Process, src *simSource, e env) error {
	var now atomic.Int64
	now.Store(src.h.start.UnixMicro())
	src.p, src.rng, src.now = p, p.Rand, &now
	cfg := simConfig(src.rng, &now, src.h.window)
	if src.rng.IntN(3) == 0 {
		src.slow = -simSlow
	}
	cfg.Now = func() time.Time { return time.UnixMicro(now.Load()).Add(max(src.slow+p.Skew(), -simSlow)).UTC() }
	src.pack = 1 + src.rng.IntN(4)
	return stream(ctx, cfg, e, src)
}

// ownAlone runs an owner to the end of a history without faults.
func ownAlone(seed uint64, h *history, log *simLog) error {
	var now atomic.Int64
	now.Store(h.start.UnixMicro())
	rng := rand.New(rand.NewPCG(seed, 3))
	src := &simSource{h: h, rng: rng, now: &now, pack: 1 + rng.IntN(4)}
	return stream(context.Background(), simConfig(rng, &now, h.window), log.env(nil, false), src)
}

// Guarantee 2 for the first half: crashes at any call, zombies, lost and doubled appends, clocks that jump; the log is right in
// the end.
func TestCrashesAndZombies(t *testing.T) {
	if *seed != 0 {
		r := simRun{seed: *seed, faults: *faults, groups: *groups}
		s, err := simulate(t, r)
		t.Logf("seed %d\n%s", *seed, s.Trace())
		if err != nil {
			t.Error(err)
		}
		return
	}
	n := uint64(simSeeds)
	if *seeds > 0 {
		n = uint64(*seeds)
	}
	var tally sim.Tally
	eachSeed(t, n, func(t *testing.T, seed uint64) {
		s, err := simulate(t, simRun{seed, -1, -1, harm{}})
		if err != nil {
			t.Error(shortest(t, simRun{seed, -1, -1, harm{}}, err))
		}
		tally.Add(s.World)
	})
	t.Log(tally.String())
	if never := tally.Never(); n > 100 && len(never) > 0 && !t.Failed() {
		t.Errorf("never happened: %v", never)
	}
}

// eachSeed runs fn for every seed, two at a time, until one has failed.
func eachSeed(t *testing.T, n uint64, fn func(t *testing.T, seed uint64)) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // thousands of small worlds
	var next atomic.Uint64
	next.Store(*from)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for s := next.Add(1) - 1; s < *from+n && !t.Failed(); s = next.Add(1) - 1 {
				fn(t, s)
			}
		})
	}
	wg.Wait()
}

// shortest finds the fewest faults and then the fewest groups with which a seed still fails, and describes that run.
func shortest(t *testing.T, r simRun, err error) string {
	s, _ := simulate(t, r)
	for n := range s.Faults() {
		r.faults = n
		if _, ferr := simulate(t, r); ferr != nil {
			err = ferr
			break
		}
		r.faults = -1
	}
	for n := range len(s.h.groups) {
		r.groups = n
		if _, gerr := simulate(t, r); gerr != nil {
			err = gerr
			break
		}
		r.groups = -1
	}
	s, _ = simulate(t, r)
	return fmt.Sprintf("seed %d: %v\n%s\nrun it again: go test ./ingest -run 'TestCrashesAndZombies$' -seed %d -faults %d -groups %d -v", r.seed, err, s.Trace(), r.seed, r.faults, r.groups)
}

// A seed is a whole run: twice the same seed, twice the same trace, line by line.
func TestASeedReplays(t *testing.T) {
	eachSeed(t, replaySeeds, func(t *testing.T, seed uint64) {
		r := simRun{seed, -1, -1, harm{}}
		a, aerr := simulate(t, r)
		b, berr := simulate(t, r)
		if x, y := a.Trace(), b.Trace(); x != y || text(aerr) != text(berr) {
			t.Errorf("seed %d differs: %s\n%v\n%v", seed, sim.Difference(x, y), aerr, berr)
		}
	})
}
