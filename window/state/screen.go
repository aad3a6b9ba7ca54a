//go:build duckdb_arrow

package state

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
)

// BadRow is a row of an output that no warehouse can hold (invariant 8).
type BadRow struct {
	Key    string // JSON array of the key's values
	Column string // the first that is bad; of the key, if that is bad
	Fault  parquet.Fault
	Row    string // JSON object of the whole row
}

// FaultAt is a kind of fault in a column.
type FaultAt struct {
	Column string
	Fault  parquet.Fault
}

// screen passes the rows of a delta on to its parts, but for those that no warehouse can hold: these become deletes of
// their key, so that no older version of them stays, and are set aside (invariant 8).
type screen struct {
	d       *Delta
	check   *parquet.Checker
	key     []int
	open    map[string]bool // keys that are in quarantine; of a replaced table they are all let go
	room    *int64          // how many more rows are kept; past it they are only counted
	forward func(context.Context, arrow.RecordBatch) error
}

func (s *step) screen(d *Delta, o Output, forward func(context.Context, arrow.RecordBatch) error) *screen {
	of := ingest.Schema{Columns: d.Columns, Key: d.Key}
	out := &screen{d: d, check: parquet.NewChecker(d.Columns, d.Key), key: of.KeyColumns(), room: &s.room, forward: forward}
	out.check.LimitText(s.options.MaxText)
	if !d.Replace {
		out.open = o.Quarantined
	}
	return out
}

// pass takes a batch of the delta: its columns, then the operation.
func (q *screen) pass(ctx context.Context, b arrow.RecordBatch) error {
	bad := q.check.Check(b)
	if len(q.open) > 0 {
		q.resolve(b, bad)
	}
	at := int64(0)
	for _, v := range bad {
		row := int64(v.Row)
		if err := q.rows(ctx, b, at, row); err != nil {
			return err
		}
		at = row + 1
		if !isDelete(b, v.Row) {
			q.setAside(b, v)
		}
		if q.d.Replace || q.check.BadKey(v) {
			continue // there is nothing to delete: the table is emptied, or can have no such key
		}
		if err := q.delete(ctx, b, row); err != nil {
			return err
		}
	}
	return q.rows(ctx, b, at, b.NumRows())
}

// rows forwards rows as they are.
func (q *screen) rows(ctx context.Context, b arrow.RecordBatch, from, to int64) error {
	switch {
	case from == to:
		return nil
	case from == 0 && to == b.NumRows():
		return q.count(ctx, b)
	}
	part := b.NewSlice(from, to)
	defer part.Release()
	return q.count(ctx, part)
}

func (q *screen) count(ctx context.Context, b arrow.RecordBatch) error {
	upserts := countUpserts(b.Column(len(q.d.Columns)))
	q.d.Upserts += upserts
	q.d.Deletes += b.NumRows() - upserts
	return q.forward(ctx, b)
}

// delete forwards a delete of the key of a row.
func (q *screen) delete(ctx context.Context, b arrow.RecordBatch, row int64) error {
	cols := make([]arrow.Array, b.NumCols())
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, c := range b.Columns() {
		cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, c.DataType(), 1)
	}
	for _, i := range q.key {
		cols[i].Release()
		cols[i] = array.NewSlice(b.Column(i), row, row+1)
	}
	last := len(cols) - 1
	cols[last].Release()
	if cols[last] = deleteOp(); b.Column(last).DataType().ID() == arrow.INT32 {
		cols[last].Release()
		cols[last] = deleteOp32()
	}
	one := array.NewRecordBatch(b.Schema(), cols, 1)
	defer one.Release()
	return q.count(ctx, one)
}

func deleteOp() arrow.Array {
	b := array.NewUint8Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(uint8(ingest.Delete))
	return b.NewArray()
}

func deleteOp32() arrow.Array {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(int32(ingest.Delete))
	return b.NewArray()
}

func isDelete(b arrow.RecordBatch, row int) bool {
	switch ops := b.Column(int(b.NumCols()) - 1).(type) {
	case *array.Int32:
		return ops.Value(row) == int32(ingest.Delete)
	case *array.Uint8:
		return ops.Value(row) == uint8(ingest.Delete)
	}
	return false
}

func (q *screen) setAside(b arrow.RecordBatch, v parquet.BadValue) {
	name := q.d.Columns[v.Column].Name
	if q.d.Faults == nil {
		q.d.Faults = map[FaultAt]int64{}
	}
	q.d.Faults[FaultAt{name, v.Fault}]++
	if *q.room--; *q.room >= 0 {
		q.d.Bad = append(q.d.Bad, BadRow{keyText(b, q.key, v.Row), name, v.Fault, rowImage(q.d.Columns, b, v.Row)})
	}
}

// resolve notes the keys in quarantine of which this batch brings a row that is in order, or the end.
func (q *screen) resolve(b arrow.RecordBatch, bad []parquet.BadValue) {
	for row := range int(b.NumRows()) {
		for len(bad) > 0 && bad[0].Row < row {
			bad = bad[1:]
		}
		again := len(bad) > 0 && bad[0].Row == row && !isDelete(b, row)
		if again {
			continue // its new entry takes the place of the old one
		}
		if k := keyText(b, q.key, row); q.open[k] {
			q.d.Resolved = append(q.d.Resolved, k)
		}
	}
}
