package ingest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/grid"
)

var (
	seeds = flag.Int("seeds", 200, "simulated histories")
	seed  = flag.Uint64("seed", 0, "run only this one")
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

// simulate runs one owner after another over a history until one has come to its end, and checks the log.
func simulate(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	h, log := newHistory(rng), newSimLog()
	h.resyncs = seed%3 > 0
	var zombies sync.WaitGroup
	defer zombies.Wait()
	for run := 0; ; run++ {
		crashAt, deaf := rng.IntN(1+20*(run+1)), rng.IntN(4) == 0
		if rng.IntN(5) == 0 || run > 15 {
			crashAt = -1
		}
		o := log.owner(rand.New(rand.NewPCG(seed, uint64(run)+2)), crashAt, deaf)
		err, zombie := runOwner(rng.Uint64(), h, log, o, &zombies, rng.IntN(3) == 0, run < 15)
		switch {
		case zombie:
			continue // it goes on beside its successor
		case err == nil:
			return finish(seed, h, log, &zombies)
		case errors.Is(err, errCrash), errors.Is(err, errStop), errors.Is(err, ErrAnew):
		case errors.Is(err, ErrSuperseded): // by one that has ended since
		default:
			return fmt.Errorf("owner %d: %w", run, err)
		}
		if run > 60 {
			return errors.New("no owner came to the end")
		}
	}
}

// finish lets one more owner come to the end, when no other can come after it, and checks the log.
func finish(seed uint64, h *history, log *simLog, zombies *sync.WaitGroup) error {
	zombies.Wait()
	for {
		o := log.owner(rand.New(rand.NewPCG(seed, 0)), -1, false)
		err, _ := runOwner(seed, h, log, o, zombies, false, false)
		if errors.Is(err, ErrAnew) { // it had something to carry out, and has
			continue
		}
		if err != nil {
			return fmt.Errorf("last owner: %w", err)
		}
		return errors.Join(checkRequests(log), checkLog("src", log.topics, h, simPartitions))
	}
}

// runOwner runs an owner to its end, or, as a zombie, until it has done a bit of its work.
func runOwner(seed uint64, h *history, log *simLog, o *simOwner, zombies *sync.WaitGroup, mayZombie, mayStop bool) (err error, zombie bool) {
	rng := rand.New(rand.NewPCG(seed, 3))
	var now atomic.Int64
	now.Store(h.start.UnixMicro())
	cfg := simConfig(rng, &now, h.window)
	src := &simSource{h: h, rng: rng, now: &now, pack: 1 + rng.IntN(4), mayStop: mayStop}
	if mayStop && h.resyncs {
		src.ask = log.ask
	}
	if rng.IntN(3) == 0 {
		src.slow = simSlow
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	run := func() {
		defer cancel()
		e := o.env()
		defer e.close()
		err := stream(ctx, cfg, e, src)
		if err == nil && src.stopped {
			err = errStop
		}
		ended <- err
	}
	if !mayZombie {
		run()
		return <-ended, false
	}
	patience := time.Duration(rng.IntN(2000)) * time.Microsecond
	zombies.Go(run)
	select {
	case err := <-ended:
		return err, false
	case <-time.After(patience):
		return nil, true
	}
}

// Guarantee 2 for the first half: crashes at any record, zombies, failed idempotence; the log is right in the end.
func TestCrashesAndZombies(t *testing.T) {
	from, to := uint64(1), uint64(*seeds)
	if *seed != 0 {
		from, to = *seed, *seed
	}
	var wg sync.WaitGroup
	next := atomic.Uint64{}
	next.Store(from)
	for range 4 {
		wg.Go(func() {
			for s := next.Add(1) - 1; s <= to && !t.Failed(); s = next.Add(1) - 1 {
				if err := simulate(s); err != nil {
					t.Errorf("seed %d: %v", s, err)
				}
			}
		})
	}
	wg.Wait()
}
