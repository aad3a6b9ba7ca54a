package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/internal/sim"
)

// history is what a simulated server committed: the truth that the log is compared with.
type history struct {
	start  time.Time
	end    time.Time // when everything can be sealed
	groups []simGroup
	tables []Schema           // at the start
	loads  map[string][]int64 // ids of the rows of first loads, by table
	window time.Duration
	// reached is the highest group that any owner has emitted: a first load is read behind it.
	reached atomic.Int64
	// lost is where the last history begins: of the groups before it the log may have any part.
	lost    atomic.Int64
	resyncs bool // operators ask for tables
}

// names lists the tables that the server has when n groups are committed.
func (h *history) names(n int) []string {
	out := []string{"a", "b"}
	for _, g := range h.groups[:n] {
		for _, e := range g.events {
			if name := e.schema.Table.Name; !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// content is what a table holds when n groups are committed: it only grows.
func (h *history) content(table string, n int) []int64 {
	out := slices.Clone(h.loads[table])
	for _, g := range h.groups[:n] {
		if g.alters == table {
			out = append(out, g.hidden...)
		}
		for _, e := range g.events {
			if e.schema.Table.Name == table {
				out = append(out, e.rows...)
			}
		}
	}
	return out
}

// altered reports whether a row is there since a statement among the first n groups.
func (h *history) altered(table string, n int, id int64) bool {
	return slices.ContainsFunc(h.groups[:n], func(g simGroup) bool { return g.alters == table && slices.Contains(g.hidden, id) })
}

type simGroup struct {
	commit time.Time
	events []simEvent
	// alters is a table that a statement changed: the hidden rows are in it from here on, and no event has them.
	alters string
	hidden []int64
}

// simEvent is rows of one table, as one source event.
type simEvent struct {
	schema *Schema
	rows   []int64 // ids; the key, and so the partition, is the id
}

func simSchema(table string, columns int) *Schema {
	s := &Schema{Table: TableName{"db", table}, Key: []string{"id"}, Columns: []Column{{Name: "id", Type: Type{Kind: Int64}}}}
	for i := range columns {
		s.Columns = append(s.Columns, Column{Name: fmt.Sprintf("c%d", i), Type: Type{Kind: Text}, Nullable: true})
	}
	return s
}

const simPartitions = 2

func newHistory(rng *rand.Rand) *history {
	h := &history{start: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), window: 10 * time.Second, loads: map[string][]int64{}}
	schemas := map[string]*Schema{}
	names := []string{"a", "b"}
	for _, n := range names {
		schemas[n] = simSchema(n, 1)
		h.tables = append(h.tables, *schemas[n])
		for range rng.IntN(12) {
			h.loads[n] = append(h.loads[n], -int64(len(h.loads[n])+1))
		}
	}
	at, id, hidden := h.start, int64(0), int64(0)
	for range 4 + rng.IntN(20) {
		switch rng.IntN(12) {
		case 0:
			at = at.Add(time.Duration(rng.IntN(35)) * time.Second)
		case 1: // a new table
			n := "n" + strconv.Itoa(len(names))
			schemas[n] = simSchema(n, 1)
			names = append(names, n)
		case 2: // a changed one
			n := names[rng.IntN(len(names))]
			schemas[n] = simSchema(n, 1+rng.IntN(3))
		case 3: // and one whose rows have changed without a trace
			hidden -= 1000
			h.groups = append(h.groups, simGroup{commit: at, alters: names[rng.IntN(2)], hidden: []int64{hidden, hidden - 1, hidden - 2}})
		default:
			at = at.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		g := simGroup{commit: at}
		if rng.IntN(8) == 0 {
			g.commit = at.Add(-time.Duration(rng.IntN(20)) * time.Second) // committed late
		}
		for range rng.IntN(4) {
			e := simEvent{schema: schemas[names[rng.IntN(len(names))]]}
			for range 1 + rng.IntN(6) {
				id++
				e.rows = append(e.rows, id)
			}
			g.events = append(g.events, e)
		}
		h.groups = append(h.groups, g)
	}
	h.end = at.Add(30 * time.Second)
	return h
}

// simSource reads a history with habits of its own: how often it proves idleness, loads, and how it packs rows.
type simSource struct {
	h    *history
	rng  *rand.Rand
	now  *atomic.Int64 // microseconds: the owner's clock follows what is read
	pack int           // rows per Progress
	p    *sim.Process  // whose calls these are; nil: alone in the world
	slow time.Duration // of the owner's clock
	torn bool          // a harm: groups are ended in their middle
	skip int           // rows of the first group that were emitted before; none but for that harm

	mayStop bool // ends before the history does, as a daemon that is told to stop
	stopped bool
}

// simSlow is the largest difference of clocks: it puts groups into windows before their commit time.
const simSlow = 20 * time.Second

func (s *simSource) Prepare(context.Context) ([]Schema, error) { return s.h.tables, nil }

func (s *simSource) Run(ctx context.Context, resume Resume, out Emitter) error {
	behind := s.h.reached.Load()
	next, err := s.position(ctx, resume, out)
	if err != nil {
		return err
	}
	loads := map[string]Load{}
	for t, l := range resume.Loads {
		loads[t.Name] = l
	}
	for ; next < len(s.h.groups); next++ {
		g := s.h.groups[next]
		if s.mayStop && s.rng.IntN(40) == 0 {
			s.stopped = true
			return nil
		}
		if err := s.p.Call(ctx, sim.Op{Kind: "group", Where: strconv.Itoa(next)}); err != nil {
			return err
		}
		s.now.Store(g.commit.Add(time.Duration(s.rng.IntN(1500)) * time.Millisecond).UnixMicro())
		if err := s.between(ctx, next, behind, loads, out); err != nil {
			return err
		}
		for old := s.h.reached.Load(); old < int64(next+1) && !s.h.reached.CompareAndSwap(old, int64(next+1)); {
			old = s.h.reached.Load()
		}
		if g.alters != "" {
			loads[g.alters] = Load{}
			if err := out.Reload(ctx, TableName{"db", g.alters}); err != nil {
				return err
			}
		}
		if err := s.group(ctx, next, g, out); err != nil {
			return err
		}
	}
	for _, n := range s.h.names(next) {
		for !loads[n].Done {
			if err := s.p.Call(ctx, sim.Op{Kind: "load", Where: n}); err != nil {
				return err
			}
			if err := s.load(ctx, n, next, loads, out); err != nil {
				return err
			}
		}
	}
	s.now.Store(s.h.end.UnixMicro())
	return out.Idle(ctx, s.h.end)
}

func (s *simSource) position(ctx context.Context, resume Resume, out Emitter) (int, error) {
	if resume.Position == "" { // the server's present position
		n := int(s.h.reached.Load())
		if n > 0 {
			n = min(n+s.rng.IntN(3), len(s.h.groups))
		}
		s.h.lost.Store(max(s.h.lost.Load(), int64(n)))
		return n, out.Start(ctx, Position(fmt.Sprintf("g%d", n)))
	}
	n := 0
	_, err := fmt.Sscanf(string(resume.Position), "g%d+%d", &n, &s.skip)
	if s.skip == 0 {
		_, err = fmt.Sscanf(string(resume.Position), "g%d", &n)
	}
	return n, err
}

// between does what a source does between groups, at random.
func (s *simSource) between(ctx context.Context, next int, behind int64, loads map[string]Load, out Emitter) error {
	switch s.rng.IntN(4) {
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
	case 2:
		names := s.h.names(next)
		if n := names[s.rng.IntN(len(names))]; int64(next) >= behind && !loads[n].Done {
			return s.load(ctx, n, next, loads, out)
		}
	}
	return nil
}

func (s *simSource) group(ctx context.Context, n int, g simGroup, out Emitter) error {
	if err := out.Begin(ctx, g.commit); err != nil {
		return err
	}
	rows := 0
	for _, e := range g.events {
		id, err := out.Table(ctx, e.schema)
		if err != nil {
			return err
		}
		held := map[int]*Builder{} // like a decoder: a partition's builder is asked for once per event
		for i, key := range e.rows {
			if s.skip > 0 {
				s.skip--
				rows++
				continue
			}
			p := PartitionOf(uint64(key), out.Partitions(id))
			if held[p] == nil {
				held[p] = out.Builder(id, p)
			}
			simRow(held[p], key)
			rows++
			if (i+1)%s.pack == 0 || i+1 == len(e.rows) {
				if err := out.Progress(ctx, Position(fmt.Sprintf("g%d+%d", n, rows))); err != nil {
					return err
				}
				clear(held)
				if err := s.middle(ctx, n, g, rows, out); err != nil {
					return err
				}
			}
		}
	}
	return out.End(ctx, Position(fmt.Sprintf("g%d", n+1)))
}

// middle is a point inside a group where others may come first.
func (s *simSource) middle(ctx context.Context, n int, g simGroup, rows int, out Emitter) error {
	if s.torn && rows == 3 {
		if err := out.End(ctx, Position(fmt.Sprintf("g%d+%d", n, rows))); err != nil {
			return err
		}
		return out.Begin(ctx, g.commit.Add(s.h.window))
	}
	if rows%4 > 0 {
		return nil
	}
	return s.p.Call(ctx, sim.Op{Kind: "row", Where: fmt.Sprintf("%d+%d", n, rows)})
}

func (s *simSource) load(ctx context.Context, table string, next int, loads map[string]Load, out Emitter) error {
	rows := s.h.content(table, next)
	l := loads[table]
	from := int(l.Rows)
	to := min(from+1+s.rng.IntN(5), len(rows))
	schema := simSchema(table, 1)
	id, err := out.Table(ctx, schema)
	if err != nil {
		return err
	}
	chunk := make([]*Builder, out.Partitions(id))
	for _, key := range rows[from:to] {
		p := PartitionOf(uint64(key), len(chunk))
		if chunk[p] == nil {
			chunk[p] = NewBuilder(schema)
		}
		simRow(chunk[p], key)
	}
	l.Rows, l.Done, l.Cursor = int64(to), to == len(rows), []byte(strconv.Itoa(to))
	loads[table] = l
	if err := out.Load(ctx, id, chunk, l); err != nil {
		return err
	}
	for _, b := range chunk { // they are ours again
		if b != nil {
			b.Reset()
			simRow(b, 1<<40)
		}
	}
	return nil
}

func simRow(b *Builder, key int64) {
	b.Cols[0].Int64(key)
	for i := range b.Cols[1:] {
		if (key+int64(i))%3 == 0 {
			b.Cols[i+1].Null()
		} else {
			b.Cols[i+1].Bytes([]byte("value-of-" + strconv.FormatInt(key, 10)))
		}
	}
	b.End(Upsert)
}

var errStop = errors.New("stopped by the test")
