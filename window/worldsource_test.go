package window

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/sim"
)

// simHistory is what a simulated server committed: the truth that every publish is compared with.
type simHistory struct {
	name       string
	start, end time.Time
	window     time.Duration
	tables     []ingest.Schema
	before     map[string]map[int64]int64 // what the tables held before the first group
	groups     []simGroup
	contents   []map[string]map[int64]int64 // by number of groups
	reached    int                          // the highest group that any owner has emitted
}

type simGroup struct {
	commit time.Time
	rows   []simRow
}

// simRow is a change of one row.
type simRow struct {
	table   string
	id, v   int64
	deleted bool
}

func newSimHistory(name string, rng *rand.Rand, groups int) *simHistory {
	h := &simHistory{name: name, start: t0, window: 10 * time.Second, tables: []ingest.Schema{genSchema("x"), genSchema("y")}, before: map[string]map[int64]int64{}}
	for _, t := range []string{"x", "y"} {
		h.before[t] = map[int64]int64{}
		for id := range int64(rng.IntN(5)) {
			h.before[t][id] = rng.Int64N(1000)
		}
	}
	now, at := h.before, h.start
	h.contents = append(h.contents, now)
	for range 4 + rng.IntN(16) {
		if rng.IntN(8) == 0 {
			at = at.Add(time.Duration(rng.IntN(25)) * time.Second)
		}
		at = at.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
		g := simGroup{commit: at}
		if rng.IntN(8) == 0 {
			g.commit = at.Add(-time.Duration(rng.IntN(15)) * time.Second) // committed late
		}
		now = map[string]map[int64]int64{"x": maps.Clone(now["x"]), "y": maps.Clone(now["y"])}
		for range rng.IntN(5) {
			r := simRow{table: []string{"x", "y"}[rng.IntN(2)], id: rng.Int64N(8), v: rng.Int64N(1000)}
			if _, has := now[r.table][r.id]; has && rng.IntN(3) == 0 {
				r.deleted = true
				delete(now[r.table], r.id)
			} else {
				now[r.table][r.id] = r.v
			}
			g.rows = append(g.rows, r)
		}
		h.groups, h.contents = append(h.groups, g), append(h.contents, now)
	}
	if groups >= 0 && groups < len(h.groups) {
		h.groups = h.groups[:groups]
	}
	h.end = at.Truncate(h.window).Add(2*h.window + 3*time.Second) // past what an idle proof is asked for
	return h
}

// simSource reads a history with habits of its own.
type simSource struct {
	h       *simHistory
	p       *sim.Process
	now     time.Time
	mayStop bool
	stopped bool
	pack    int
	torn    bool // a harm: a group is ended in its middle
	behind  int
	loads   map[string]ingest.Load
}

func (s *simSource) Prepare(context.Context) ([]ingest.Schema, error) { return s.h.tables, nil }

func (s *simSource) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	s.behind, s.loads = s.h.reached, map[string]ingest.Load{}
	for t, l := range resume.Loads {
		s.loads[t.Name] = l
	}
	next := s.behind // of a source that begins anew: the server's present position
	if resume.Position == "" {
		if err := out.Start(ctx, position4(next)); err != nil {
			return err
		}
	} else if _, err := fmt.Sscanf(string(resume.Position), "g%d", &next); err != nil {
		return err
	}
	for ; next < len(s.h.groups); next++ {
		if s.mayStop && s.p.Rand.IntN(30) == 0 {
			s.stopped = true
			return nil
		}
		if err := s.p.Call(ctx, sim.Op{Kind: "group", Where: strconv.Itoa(next)}); err != nil {
			return err
		}
		s.now = s.h.groups[next].commit.Add(time.Duration(s.p.Rand.IntN(1500)) * time.Millisecond)
		if err := s.between(ctx, next, out); err != nil {
			return err
		}
		s.h.reached = max(s.h.reached, next+1)
		if err := s.group(ctx, next, out); err != nil {
			return err
		}
	}
	for _, t := range s.h.tables {
		for !s.loads[t.Table.Name].Done {
			if err := s.load(ctx, &t, next, out); err != nil {
				return err
			}
		}
	}
	s.now = s.h.end
	return out.Idle(ctx, s.h.end)
}

func position4(n int) ingest.Position { return ingest.Position("g" + strconv.Itoa(n)) }

// between does what a source does between groups, at random.
func (s *simSource) between(ctx context.Context, next int, out ingest.Emitter) error {
	switch s.p.Rand.IntN(6) {
	case 0:
		return out.Tick(ctx)
	case 1: // nothing that is still to come was committed before this
		t := s.h.groups[next].commit
		for _, g := range s.h.groups[next:] {
			if g.commit.Before(t) {
				t = g.commit
			}
		}
		return out.Idle(ctx, t)
	case 2, 3, 4:
		t := &s.h.tables[s.p.Rand.IntN(len(s.h.tables))]
		if next >= s.behind && !s.loads[t.Table.Name].Done {
			return s.load(ctx, t, next, out)
		}
	}
	return nil
}

func (s *simSource) group(ctx context.Context, n int, out ingest.Emitter) error {
	g := &s.h.groups[n]
	if err := out.Begin(ctx, g.commit); err != nil {
		return err
	}
	for i, r := range g.rows {
		schema := s.schema(r.table)
		id, err := out.Table(ctx, schema)
		if err != nil {
			return err
		}
		fillRow(out.Builder(id, ingest.PartitionOf(uint64(r.id), out.Partitions(id))), r)
		if err := out.Progress(ctx, ingest.Position(fmt.Sprintf("g%d+%d", n, i+1))); err != nil {
			return err
		}
		switch {
		case s.torn && i == 0 && len(g.rows) > 1:
			if err := out.End(ctx, position4(n+1)); err != nil {
				return err
			}
			if err := out.Begin(ctx, g.commit.Add(s.h.window)); err != nil {
				return err
			}
		case (i+1)%s.pack == 0:
			if err := s.p.Call(ctx, sim.Op{Kind: "row", Where: fmt.Sprintf("%d+%d", n, i+1)}); err != nil {
				return err
			}
		}
	}
	return out.End(ctx, position4(n+1))
}

func (s *simSource) schema(table string) *ingest.Schema {
	i := slices.IndexFunc(s.h.tables, func(t ingest.Schema) bool { return t.Table.Name == table })
	return &s.h.tables[i]
}

func fillRow(b *ingest.Builder, r simRow) {
	b.Cols[0].Int64(r.id)
	if r.deleted {
		b.Cols[1].Null()
		b.End(ingest.Delete)
		return
	}
	b.Cols[1].Int64(r.v)
	b.End(ingest.Upsert)
}

// load emits a few rows as they are when next groups are committed: those behind the cursor, in order of their keys.
func (s *simSource) load(ctx context.Context, schema *ingest.Schema, next int, out ingest.Emitter) error {
	name := schema.Table.Name
	if err := s.p.Call(ctx, sim.Op{Kind: "load", Where: name}); err != nil {
		return err
	}
	id, err := out.Table(ctx, schema)
	if err != nil {
		return err
	}
	l, cursor := s.loads[name], int64(-1)
	if len(l.Cursor) > 0 {
		if cursor, err = strconv.ParseInt(string(l.Cursor), 10, 64); err != nil {
			return err
		}
	}
	l.Done = true
	chunk := make([]*ingest.Builder, out.Partitions(id))
	most := 1 + s.p.Rand.IntN(6)
	for _, key := range slices.Sorted(maps.Keys(s.h.contents[next][name])) {
		if key <= cursor {
			continue
		}
		if most == 0 {
			l.Done = false
			break
		}
		most--
		n := ingest.PartitionOf(uint64(key), len(chunk))
		if chunk[n] == nil {
			chunk[n] = ingest.NewBuilder(schema)
		}
		fillRow(chunk[n], simRow{id: key, v: s.h.contents[next][name][key]})
		l.Rows++
		l.Cursor = strconv.AppendInt(nil, key, 10)
	}
	s.loads[name] = l
	return out.Load(ctx, id, chunk, l)
}
