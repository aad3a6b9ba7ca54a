package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemill/tidemill/internal/sim"
)

// shardWorld is the truth of a source that is several logs side by side: rows of each in order, and none across.
type shardWorld struct {
	start  time.Time
	shards [][]shardRow
	loose  bool // a harm: the source does not settle what it is going to emit
}

type shardRow struct {
	id     int64
	commit time.Time
}

func newShardWorld(rng *rand.Rand) *shardWorld {
	w := &shardWorld{start: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	id := int64(0)
	for range 1 + rng.IntN(5) {
		at, rows := w.start, []shardRow(nil)
		for range rng.IntN(25) {
			id++
			at = at.Add(time.Duration(rng.IntN(3)) * time.Second)
			rows = append(rows, shardRow{id, at})
		}
		w.shards = append(w.shards, rows)
	}
	return w
}

// shardState is what the source settles: the plan of round Round, and how far each shard had been emitted before it.
type shardState struct {
	Round int      `json:"round"`
	At    []int    `json:"at"`
	Plan  [][2]int `json:"plan"` // shard and rows, in the order of emission
}

// shardSource meets the shards in an order of its own in every run, as pages of a server come.
type shardSource struct {
	w       *shardWorld
	rng     *rand.Rand
	p       *sim.Process
	now     *atomic.Int64
	mayStop bool
	stopped bool
	id      TableID
}

func (s *shardSource) Prepare(context.Context) ([]Schema, error) {
	return []Schema{*simSchema("a", 1)}, nil
}

func (s *shardSource) Run(ctx context.Context, resume Resume, out Emitter) (err error) {
	st := shardState{At: make([]int, len(s.w.shards))}
	done, skip := 0, 0
	if resume.Position == "" {
		if err := out.Start(ctx, "r0"); err != nil {
			return err
		}
	}
	if resume.State != nil {
		if err := json.Unmarshal(resume.State, &st); err != nil {
			return err
		}
		at, rows, open := strings.Cut(string(resume.Position), "+")
		if done, err = strconv.Atoi(at[1:]); err != nil {
			return err
		}
		if open {
			skip, _ = strconv.Atoi(rows)
		}
	}
	if s.id, err = out.Table(ctx, simSchema("a", 1)); err != nil {
		return err
	}
	if st.Round > done { // what was decided comes first, as it was decided
		if err := s.round(ctx, &st, skip, out); err != nil {
			return err
		}
	}
	s.apply(&st)
	for s.plan(&st, out.Window().End) {
		if s.mayStop && s.rng.IntN(30) == 0 {
			s.stopped = true
			return nil
		}
		if err := s.p.Call(ctx, sim.Op{Kind: "poll"}); err != nil {
			return err
		}
		if len(st.Plan) == 0 { // every shard has come to the window's end
			if err := out.Complete(ctx, out.Window().End); err != nil {
				return err
			}
			continue
		}
		if err := s.settle(ctx, &st, out); err != nil {
			return err
		}
		if err := s.round(ctx, &st, 0, out); err != nil {
			return err
		}
		s.apply(&st)
	}
	return out.Complete(ctx, out.Window().End)
}

func (s *shardSource) settle(ctx context.Context, st *shardState, out Emitter) error {
	st.Round++
	text, err := json.Marshal(st)
	if err != nil || s.w.loose && st.Round > 1 {
		return err
	}
	return out.Settle(ctx, text)
}

// plan decides on a round by what happens to be there. It says whether anything is left.
func (s *shardSource) plan(st *shardState, end time.Time) (more bool) {
	st.Plan = nil
	for _, i := range s.rng.Perm(len(s.w.shards)) {
		rows := s.w.shards[i][st.At[i]:]
		more = more || len(rows) > 0
		n := 0
		for n < len(rows) && rows[n].commit.Before(end) {
			n++
		}
		if n > 0 {
			st.Plan = append(st.Plan, [2]int{i, 1 + s.rng.IntN(n)})
		}
	}
	return more
}

func (s *shardSource) round(ctx context.Context, st *shardState, skip int, out Emitter) error {
	n := 0
	for _, x := range st.Plan {
		for _, row := range s.w.shards[x[0]][st.At[x[0]]:][:x[1]] {
			if n++; n <= skip {
				continue
			}
			s.now.Store(row.commit.UnixMicro())
			if err := out.Begin(ctx, row.commit); err != nil {
				return err
			}
			simRow(out.Builder(s.id, PartitionOf(uint64(row.id), out.Partitions(s.id))), row.id)
			if err := out.End(ctx, Position(fmt.Sprintf("r%d+%d", st.Round-1, n))); err != nil {
				return err
			}
			if s.rng.IntN(6) == 0 {
				if err := out.Tick(ctx); err != nil {
					return err
				}
			}
			if err := s.p.Call(ctx, sim.Op{Kind: "row", Where: strconv.FormatInt(row.id, 10)}); err != nil {
				return err
			}
		}
	}
	// The end of the round is a group of its own: a position that is at no row's end.
	if err := out.Begin(ctx, s.w.start); err != nil {
		return err
	}
	return out.End(ctx, Position(fmt.Sprintf("r%d", st.Round)))
}

func (s *shardSource) apply(st *shardState) {
	for _, x := range st.Plan {
		st.At[x[0]] += x[1]
	}
	st.Plan = nil
}

// simulateShards runs owners until one has come to the end, and reads the log.
func simulateShards(t *testing.T, seed uint64, m harm, loose bool) (err error) {
	synctest.Test(t, func(*testing.T) {
		w := newShardWorld(rand.New(rand.NewPCG(seed, 0)))
		w.loose = loose
		world, log := sim.New(sim.Options{Seed: seed, Faults: -1}), newSimLog()
		log.world, log.harm = world, m
		owners := map[*sim.Process]*shardSource{}
		last, calm := false, false
		start := func() {
			src := &shardSource{w: w, mayStop: !calm}
			deaf := !calm && world.Rand.IntN(4) == 0
			p := world.Go(fmt.Sprintf("owner-%d", len(owners)+1), func(ctx context.Context, p *sim.Process) error {
				var now atomic.Int64
				now.Store(w.start.UnixMicro())
				src.p, src.rng, src.now = p, p.Rand, &now
				return stream(ctx, simConfig(p.Rand, &now, 10*time.Second), log.env(p, deaf), src)
			})
			owners[p] = src
		}
		err = world.Run(func() (bool, error) {
			for _, p := range world.Ended() {
				switch {
				case p.Crashed(), errors.Is(p.Err(), ErrSuperseded), errors.Is(p.Err(), sim.ErrBroken):
				case p.Err() != nil:
					return false, fmt.Errorf("%s: %w", p.Name, p.Err())
				case !owners[p].stopped:
					if calm {
						return true, nil
					}
					last = true
				}
			}
			running := world.Running()
			switch {
			case !last && (world.Asleep(running...) || len(owners) < 20 && world.Fault(250)):
				start()
			case last && len(running) == 0 && world.Ghosts() == 0:
				calm = true
				world.Calm()
				start()
			}
			if len(owners) > 15 {
				world.Calm()
			}
			return false, nil
		})
		if err == nil {
			err = log.wrong
		}
		if err == nil {
			err = checkShards(log, w)
		}
	})
	return err
}

// checkShards: every row once, those of a shard in its order, and every seal counts what lies before it.
func checkShards(log *simLog, w *shardWorld) error {
	c := &checker{source: "src", seals: map[string]*sealSeen{}, rows: map[int64]rowSeen{}, ends: map[sim.Lane][]recordEnd{}}
	for p, records := range log.Topics["tm.src.db.a"] {
		if err := c.partition(sim.Lane{Topic: "tm.src.db.a", Partition: p}, records); err != nil {
			return err
		}
	}
	total := 0
	for i, rows := range w.shards {
		before := map[sim.Lane]rowSeen{}
		for _, r := range rows {
			seen, ok := c.rows[r.id]
			if last, any := before[seen.at]; !ok || any && last.order >= seen.order {
				return fmt.Errorf("row %d of shard %d is missing or out of order: %+v", r.id, i, seen)
			}
			if seen.end <= r.commit.UnixMicro() {
				return fmt.Errorf("row %d of shard %d is in a window before its time", r.id, i)
			}
			before[seen.at] = seen
			total++
		}
	}
	if total != len(c.rows) {
		return fmt.Errorf("%d rows in the log, %d in the shards", len(c.rows), total)
	}
	for name, s := range c.seals {
		n := 0
		for _, before := range s.at {
			n += before
		}
		if len(s.at) == simPartitions && int64(n) != s.header.Ordinal {
			return fmt.Errorf("seal %s at ordinal %d has %d rows before it", name, s.header.Ordinal, n)
		}
	}
	return nil
}

// Invariant 10: whatever order the shards come in, in whichever run, nothing is lost, doubled or out of its shard's order.
func TestShardsInAnyOrder(t *testing.T) {
	eachSeed(t, simSeeds/2, func(t *testing.T, seed uint64) {
		if err := simulateShards(t, seed, harm{}, false); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	})
}

// It is Settle that does it, and its look at the claims.
func TestShardsNeedSettle(t *testing.T) {
	for name, run := range map[string]func(seed uint64) error{
		"nothing is settled":           func(seed uint64) error { return simulateShards(t, seed, harm{}, true) },
		"the claims are not looked at": func(seed uint64) error { return simulateShards(t, seed, harm{blind: true}, false) },
	} {
		caught := false
		for seed := uint64(1); seed <= 600 && !caught; seed++ {
			if err := run(seed); err != nil {
				caught = true
				t.Logf("%s: seed %d: %v", name, seed, err)
			}
		}
		if !caught {
			t.Errorf("%s: no seed notices it", name)
		}
	}
}
