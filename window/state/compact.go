//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
)

// wideRow is the size in bytes from which an average row counts as wide. DuckDB holds 2,048 rows of a table at once.
const wideRow = 16 << 10

// compact leaves out the superseded rows of changes that were spilled because their rows are wide: twenty documents that are
// changed a thousand times each are twenty rows, and fit where the changes do not. It reads the changes twice and keeps a key per
// row in memory, which only wide rows are worth. What is no such case, or does not fit the limit even so, comes back as it
// was. dropped is how many rows were left out.
func compact(ctx context.Context, changes []Changes, limit int64) (out []Changes, dropped int64, err error) {
	spilled := false
	for _, c := range changes {
		spilled = spilled || len(c.Spilled) > 0
	}
	schema := changes[0].Schema
	if !spilled || !encodable(schema) {
		return changes, 0, nil
	}
	last, rows, err := lastArrivals(ctx, changes)
	if err != nil || last == nil {
		return changes, 0, err
	}
	kept := Changes{Input: changes[0].Input, Schema: schema}
	size := int64(0)
	err = eachBatch(ctx, changes, func(m *inMemory, arrived int64) error {
		refs := m.refs()
		live := refs[:0]
		for i, r := range refs {
			if last[r.text()] == arrived+int64(i) {
				live = append(live, r)
			}
		}
		if len(live) == 0 {
			return nil
		}
		b, err := m.page(ctx, schema, live)
		if err != nil {
			return err
		}
		kept.Batches = append(kept.Batches, b)
		if size += sizeOf(b); size > limit {
			return errTooMuch
		}
		return nil
	})
	if err != nil {
		for _, b := range kept.Batches {
			b.Release()
		}
		if errors.Is(err, errTooMuch) {
			err = nil
		}
		return changes, 0, err
	}
	return []Changes{kept}, rows - int64(len(last)), nil
}

var (
	errTooMuch = errors.New("more than the limit")
	errNarrow  = errors.New("the rows are not wide")
)

// lastArrivals finds the arrival number of the last row of each key; nil when the rows are not wide.
func lastArrivals(ctx context.Context, changes []Changes) (last map[string]int64, rows int64, err error) {
	last = map[string]int64{}
	size := int64(0)
	err = eachBatch(ctx, changes, func(m *inMemory, arrived int64) error {
		if size += sizeOf(m.batches[0]); size < wideRow*(rows+m.rows) {
			return errNarrow
		}
		for i, r := range m.refs() {
			last[r.text()] = arrived + int64(i)
		}
		rows += m.rows
		return nil
	})
	if errors.Is(err, errNarrow) {
		return nil, 0, nil
	}
	return last, rows, err
}

// sizeOf is the bytes of a batch.
func sizeOf(b arrow.RecordBatch) (n int64) {
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// text is the key as a map's key.
func (r ref) text() string {
	if r.rest != nil {
		return string(r.rest)
	}
	var b [8]byte
	for i := range b {
		b[i] = byte(r.prefix >> (56 - 8*i))
	}
	return string(b[:])
}

// eachBatch reads all changes in arrival order; arrived counts the rows before the batch.
func eachBatch(ctx context.Context, changes []Changes, fn func(m *inMemory, arrived int64) error) error {
	schema := changes[0].Schema
	r := newStageReader(schema, changes)
	defer r.Release()
	arrived := int64(0)
	for {
		b, err := r.next()
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if sameColumns(b.Schema(), schema.Arrow()) != nil { // of another schema: the staging knows what to do
			return errNarrow
		}
		if err := fn(&inMemory{schema: schema, batches: []arrow.RecordBatch{b}, rows: b.NumRows(), part: true}, arrived); err != nil {
			return err
		}
		arrived += b.NumRows()
	}
}
