//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// Changes are change rows of one input with one schema, in arrival order: the spilled runs first, then the batches. A
// step may hold several of an input, one after another.
type Changes struct {
	Input   string
	Schema  *ingest.Schema
	Spilled []string            // run files of a SpillWriter
	Batches []arrow.RecordBatch // of Schema.Arrow()
}

// arrivalColumn numbers the rows of a step's input in arrival order.
const arrivalColumn = "tm_arrival"

// staged is the changes of one input, collapsed to the last row per key.
type staged struct {
	input  string
	schema *ingest.Schema // of all its batches
	table  string         // SQL name or query of the last rows: the columns, OpColumn, perhaps more
	rows   int64          // before the collapse
	keys   int64          // after it
	memory *inMemory      // the changes, when they are small enough to be in memory
}

// stage loads the changes of an input and collapses them.
func (s *step) stage(ctx context.Context, input string, changes []Changes) (*staged, error) {
	st := &staged{input: input, schema: changes[0].Schema}
	for _, c := range changes[1:] {
		var err error
		if st.schema, err = union(input, st.schema, c.Schema); err != nil {
			return nil, err
		}
	}
	changes, dropped, err := compact(ctx, changes, s.options.Memory/2)
	if err != nil {
		return nil, fmt.Errorf("collapsing changes of %s: %w", input, err)
	}
	if m, ok := loadMemory(changes); ok && !s.onlyDuck {
		st.memory = m
		if s.tables[input] == nil { // only replicated: no table is needed
			defer s.clock(&s.stats.Collapse)()
			st.rows, st.keys = m.rows+dropped, int64(len(m.last()))
			return st, nil
		}
	}
	r := newStageReader(st.schema, changes)
	defer r.Release()
	table := s.temp("stage")
	done := s.clock(&s.stats.Load)
	rows, err := s.conn.LoadReader(ctx, duck.CreateTemp, table, r)
	done()
	if err != nil {
		return nil, fmt.Errorf("staging changes of %s: %w", input, err)
	}
	st.table, st.rows = table, rows+dropped
	done = s.clock(&s.stats.Collapse)
	defer done()
	return st, s.collapse(ctx, st, rows)
}

// collapse keeps the last row per key (invariant 2) of the rows in the stage. Only keys and arrival numbers are grouped: grouping whole rows does
// not fit in memory when they are wide.
func (s *step) collapse(ctx context.Context, st *staged, rows int64) error {
	last := s.temp("last")
	_, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT max(%s) AS last FROM %s GROUP BY %s", last, arrivalColumn, st.table, duck.Idents(st.schema.Key)))
	if err != nil {
		return fmt.Errorf("collapsing changes of %s: %w", st.input, err)
	}
	if st.keys, err = duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+last); err != nil {
		return fmt.Errorf("collapsing changes of %s: %w", st.input, err)
	}
	if st.keys == rows {
		return nil
	}
	if s.tables[st.input] == nil { // only replicated: read once, by the sort
		st.table = fmt.Sprintf("(FROM %s AS t SEMI JOIN %s AS l ON t.%s = l.last)", st.table, last, arrivalColumn)
		return nil
	}
	if _, err := s.conn.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s NOT IN (SELECT last FROM %s)", st.table, arrivalColumn, last)); err != nil {
		return fmt.Errorf("collapsing changes of %s: %w", st.input, err)
	}
	return s.drop(ctx, last)
}

// stageReader gives the batches of an input as one stream of one schema: the union's columns, OpColumn, arrivalColumn.
type stageReader struct {
	refs    atomic.Int64
	schema  *arrow.Schema
	union   *ingest.Schema
	changes []Changes
	at      int // in changes
	files   int // spilled runs of changes[at] opened so far
	batches int // batches of changes[at] given so far
	run     *run
	arrived int64
	current arrow.RecordBatch
	err     error
}

func newStageReader(union *ingest.Schema, changes []Changes) *stageReader {
	fields := append(union.Arrow().Fields(), arrow.Field{Name: arrivalColumn, Type: arrow.PrimitiveTypes.Int64})
	r := &stageReader{schema: arrow.NewSchema(fields, nil), union: union, changes: changes}
	r.refs.Store(1)
	return r
}

func (r *stageReader) Retain() { r.refs.Add(1) }

func (r *stageReader) Release() {
	if r.refs.Add(-1) == 0 {
		r.drop()
		if r.run != nil {
			r.err = errors.Join(r.err, r.run.close())
			r.run = nil
		}
	}
}

func (r *stageReader) drop() {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
}

func (r *stageReader) Schema() *arrow.Schema          { return r.schema }
func (r *stageReader) RecordBatch() arrow.RecordBatch { return r.current }
func (r *stageReader) Record() arrow.RecordBatch      { return r.current }
func (r *stageReader) Err() error                     { return r.err }

// Next gives the next batch.
func (r *stageReader) Next() bool {
	r.drop()
	for r.err == nil {
		b, err := r.next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err == nil {
			r.current, err = r.conform(b, r.changes[r.at].Schema)
		}
		r.err = err
		if err == nil && r.current.NumRows() > 0 {
			return true
		}
		r.drop()
	}
	return false
}

// next returns the next batch as it was written; io.EOF after the last.
func (r *stageReader) next() (arrow.RecordBatch, error) {
	for r.at < len(r.changes) {
		c := &r.changes[r.at]
		if r.run != nil {
			b, err := r.run.next()
			if err == nil || !errors.Is(err, io.EOF) {
				return b, err
			}
			err = r.run.close()
			r.run = nil
			if err != nil {
				return nil, err
			}
		}
		if r.files < len(c.Spilled) {
			var err error
			if r.run, err = openRun(c.Spilled[r.files]); err != nil {
				return nil, err
			}
			r.files++
			continue
		}
		if r.batches < len(c.Batches) {
			r.batches++
			return c.Batches[r.batches-1], nil
		}
		r.at++
		r.files, r.batches = 0, 0
	}
	return nil, io.EOF
}

// conform arranges a batch by the union's columns, by name: what it lacks is NULL. The arrays are shared.
func (r *stageReader) conform(b arrow.RecordBatch, s *ingest.Schema) (arrow.RecordBatch, error) {
	if err := sameColumns(b.Schema(), s.Arrow()); err != nil {
		return nil, fmt.Errorf("batch does not fit its schema: %w", err)
	}
	n := int(b.NumRows())
	cols := make([]arrow.Array, 0, len(r.union.Columns)+2)
	var made []arrow.Array
	for i, c := range r.union.Columns {
		if at := s.Column(c.Name); at >= 0 {
			cols = append(cols, b.Column(at))
			continue
		}
		a := array.MakeArrayOfNull(memory.DefaultAllocator, r.schema.Field(i).Type, n)
		cols, made = append(cols, a), append(made, a)
	}
	arrival := make([]int64, n)
	for i := range arrival {
		r.arrived++
		arrival[i] = r.arrived
	}
	data := array.NewData(arrow.PrimitiveTypes.Int64, n, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(arrival))}, nil, 0, 0)
	numbers := array.NewInt64Data(data)
	data.Release()
	made = append(made, numbers)
	out := array.NewRecordBatch(r.schema, append(cols, b.Column(int(b.NumCols())-1), numbers), int64(n))
	for _, a := range made {
		a.Release()
	}
	return out, nil
}

// equal is a join condition over key columns.
func equal(a, b string, key []string) string {
	out := make([]string, len(key))
	for i, k := range key {
		out[i] = fmt.Sprintf("%s.%s = %s.%s", a, duck.Ident(k), b, duck.Ident(k))
	}
	return strings.Join(out, " AND ")
}
