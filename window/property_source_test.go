package window

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/oracle/cases"
)

// caseTypes are the log's types of the kinds of cases.
var caseTypes = map[cases.Kind]ingest.Type{
	cases.Bool: {Kind: ingest.Bool}, cases.Int16: {Kind: ingest.Int16}, cases.Int32: {Kind: ingest.Int32}, cases.Int64: {Kind: ingest.Int64},
	cases.Float32: {Kind: ingest.Float32}, cases.Float64: {Kind: ingest.Float64}, cases.Decimal: {Kind: ingest.Decimal, Precision: 12, Scale: 2},
	cases.Wide: {Kind: ingest.Decimal, Precision: 38, Scale: 10}, cases.Text: {Kind: ingest.Text}, cases.JSON: {Kind: ingest.JSON},
	cases.Bytes: {Kind: ingest.Bytes}, cases.Date: {Kind: ingest.Date}, cases.Timestamp: {Kind: ingest.Timestamp}, cases.TimestampTZ: {Kind: ingest.TimestampTZ},
}

// caseWindow is the window length of cases.
const caseWindow = 10 * time.Second

// caseSource emits the groups of one source of a case.
type caseSource struct {
	name   string
	number int // index in cases.Sources
	c      *cases.Case
	groups []*cases.Group
	at     []time.Time
	states [][]*cases.Content // by number of groups of this source
	end    time.Time

	rng     *rand.Rand
	now     time.Time
	reached int
	stopAt  int // ends before this group, once; negative: never
	torn    bool
}

func newCaseSource(c *cases.Case, number int, rng *rand.Rand) *caseSource {
	s := &caseSource{name: cases.Sources[number], number: number, c: c, rng: rng, now: t0, stopAt: -1, states: [][]*cases.Content{c.Start()}}
	at := t0
	for i := range c.Groups {
		g := &c.Groups[i]
		at = at.Add(time.Duration(g.Wait) * time.Millisecond)
		if g.Source == number {
			s.groups, s.at = append(s.groups, g), append(s.at, at)
			s.states = append(s.states, g.Apply(s.states[len(s.states)-1]))
		}
	}
	s.end = at.Truncate(caseWindow).Add(2*caseWindow + 3*time.Second)
	return s
}

func (s *caseSource) schema(table int, n int) *ingest.Schema {
	now := s.states[n][table]
	out := &ingest.Schema{Table: ingest.TableName{Schema: cases.Database, Name: s.c.Tables[table].Name}}
	for i, c := range now.Columns {
		out.Columns = append(out.Columns, ingest.Column{Name: c.Name, Type: caseTypes[c.Kind], Nullable: i >= now.Key})
		if i < now.Key {
			out.Key = append(out.Key, c.Name)
		}
	}
	return out
}

// tables are those of the source, by number.
func (s *caseSource) tables() (out []int) {
	for i, t := range s.c.Tables {
		if t.Source == s.number {
			out = append(out, i)
		}
	}
	return out
}

func (s *caseSource) Prepare(context.Context) (out []ingest.Schema, _ error) {
	for _, t := range s.tables() {
		out = append(out, *s.schema(t, 0))
	}
	return out, nil
}

func (s *caseSource) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	behind, loads, next := s.reached, map[string]ingest.Load{}, 0
	for t, l := range resume.Loads {
		loads[t.Name] = l
	}
	if resume.Position == "" {
		if err := errors.Join(out.Start(ctx, position4(0)), out.Idle(ctx, t0)); err != nil { // its first window is the case's
			return err
		}
	} else if _, err := fmt.Sscanf(string(resume.Position), "g%d", &next); err != nil {
		return err
	}
	for ; next < len(s.groups); next++ {
		if next == s.stopAt {
			s.stopAt = -1
			return nil
		}
		s.now = s.at[next].Add(time.Duration(s.rng.IntN(1500)) * time.Millisecond)
		if tables := s.tables(); next >= behind && len(tables) > 0 && s.rng.IntN(2) == 0 {
			if err := s.load(ctx, tables[s.rng.IntN(len(tables))], next, loads, out); err != nil {
				return err
			}
		}
		s.reached = max(s.reached, next+1)
		if err := s.group(ctx, next, out); err != nil {
			return err
		}
		if s.rng.IntN(5) == 0 {
			if err := out.Tick(ctx); err != nil {
				return err
			}
		}
	}
	for _, t := range s.tables() {
		for !loads[s.c.Tables[t].Name].Done {
			if err := s.load(ctx, t, next, loads, out); err != nil {
				return err
			}
		}
	}
	s.now = s.end
	return out.Idle(ctx, s.end)
}

func (s *caseSource) group(ctx context.Context, n int, out ingest.Emitter) error {
	g := s.groups[n]
	commit := s.at[n].Add(-time.Duration(g.Late) * time.Millisecond)
	if err := out.Begin(ctx, commit); err != nil {
		return err
	}
	rows := 0
	row := func(table int, schema *ingest.Schema, key []int, vals []int) error {
		id, err := out.Table(ctx, schema)
		if err != nil {
			return err
		}
		columns := s.states[n][table].Columns
		fillCase(out.Builder(id, casePartition(columns, key, out.Partitions(id))), columns, key, vals)
		rows++
		if s.torn && rows == 2 { // a harm
			if err := out.End(ctx, position4(n+1)); err != nil {
				return err
			}
			return out.Begin(ctx, commit.Add(caseWindow))
		}
		return out.Progress(ctx, ingest.Position(fmt.Sprintf("g%d+%d", n, rows)))
	}
	for _, ch := range g.Changes {
		schema := s.schema(ch.Table, n)
		if ch.Old != nil {
			if err := row(ch.Table, schema, ch.Old, nil); err != nil {
				return err
			}
		}
		if ch.Row != nil {
			if err := row(ch.Table, schema, ch.Row[:len(schema.Key)], ch.Row); err != nil {
				return err
			}
		}
	}
	return out.End(ctx, position4(n+1))
}

// load emits a few rows as they are before group next: those behind the cursor, in order of their keys' texts.
func (s *caseSource) load(ctx context.Context, table, next int, loads map[string]ingest.Load, out ingest.Emitter) error {
	name, now, schema := s.c.Tables[table].Name, s.states[next][table], s.schema(table, next)
	l := loads[name]
	if l.Done {
		return nil
	}
	id, err := out.Table(ctx, schema)
	if err != nil {
		return err
	}
	var keys []string
	for k := range now.Rows {
		if l.Cursor == nil || k > string(l.Cursor) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	n := min(len(keys), 1+s.rng.IntN(8))
	chunk := make([]*ingest.Builder, out.Partitions(id))
	for _, k := range keys[:n] {
		row := now.Rows[k]
		p := casePartition(now.Columns, row[:now.Key], len(chunk))
		if chunk[p] == nil {
			chunk[p] = ingest.NewBuilder(schema)
		}
		fillCase(chunk[p], now.Columns, row[:now.Key], row)
		l.Rows++
		l.Cursor = []byte(k)
	}
	l.Done = n == len(keys)
	loads[name] = l
	return out.Load(ctx, id, chunk, l)
}

func casePartition(columns []cases.Column, key []int, partitions int) int {
	h := fnv.New64a()
	h.Write([]byte(cases.KeyText(columns, key)))
	return ingest.PartitionOf(h.Sum64(), partitions)
}

// fillCase appends a row, or with no values the delete of a key.
func fillCase(b *ingest.Builder, columns []cases.Column, key, vals []int) {
	op := ingest.Upsert
	if vals == nil {
		op, vals = ingest.Delete, key
	}
	for i, c := range columns {
		if i >= len(vals) || vals[i] < 0 {
			b.Cols[i].Null()
			continue
		}
		fillValue(&b.Cols[i], c.Kind.Value(vals[i]).Text)
	}
	b.End(op)
}

// fillValue appends the value of a canonical text.
func fillValue(b *ingest.ColumnBuilder, text string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	integer := func() int64 { n, err := strconv.ParseInt(text, 10, 64); must(err); return n }
	float := func() float64 { f, err := strconv.ParseFloat(text, 64); must(err); return f }
	moment := func(layout string) time.Time { t, err := time.Parse(layout, text); must(err); return t }
	switch t := b.Type(); t.Kind {
	case ingest.Bool:
		b.Bool(text == "true")
	case ingest.Int16:
		b.Int16(int16(integer()))
	case ingest.Int32:
		b.Int32(int32(integer()))
	case ingest.Int64:
		b.Int64(integer())
	case ingest.Float32:
		b.Float32(float32(float()))
	case ingest.Float64:
		b.Float64(float())
	case ingest.Decimal:
		r, _ := new(big.Rat).SetString(text)
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Scale)), nil)
		n := new(big.Int).Div(new(big.Int).Mul(r.Num(), scale), r.Denom())
		low := new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0)))
		b.Decimal(new(big.Int).Rsh(n, 64).Int64(), low.Uint64())
	case ingest.Date:
		b.Int32(int32(moment(time.DateOnly).Unix() / 86400))
	case ingest.Timestamp, ingest.TimestampTZ:
		b.Int64(moment("2006-01-02 15:04:05.999999").UnixMicro())
	default:
		b.Bytes([]byte(text))
	}
}
