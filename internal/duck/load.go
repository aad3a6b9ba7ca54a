//go:build duckdb_arrow

package duck

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Load says where LoadArrow puts rows.
type Load int

// The ways to load.
const (
	Create     Load = iota // CREATE TABLE with the batches' columns
	CreateTemp             // CREATE TEMP TABLE
	Append                 // INSERT into a table with exactly these columns in this order
)

// LoadArrow copies record batches into a table. table is SQL, quoted by the caller.
func (c *Conn) LoadArrow(ctx context.Context, how Load, table string, schema *arrow.Schema, batches ...arrow.RecordBatch) (int64, error) {
	rr, err := array.NewRecordReader(schema, batches)
	if err != nil {
		return 0, fmt.Errorf("loading %s: %w", table, err)
	}
	defer rr.Release()
	return c.LoadReader(ctx, how, table, rr)
}

// LoadReader is LoadArrow for a stream: the reader is read once, from a thread of DuckDB, and not released.
//
// This is the only place that registers an Arrow view. The view ignores projections and filters that DuckDB believes it
// has pushed into it, so the statement reads it whole, once, and then it is dropped, before its memory is released
// (invariant 1).
func (c *Conn) LoadReader(ctx context.Context, how Load, table string, rr array.RecordReader) (int64, error) {
	c.views++
	view := fmt.Sprintf("tm_arrow_%d", c.views)
	counted := &countingReader{RecordReader: rr}
	release, err := c.arrow.RegisterView(counted, view)
	if err != nil {
		return 0, fmt.Errorf("loading %s: registering batches: %w", table, redact(err))
	}
	defer release()
	var stmt string
	switch how {
	case Create:
		stmt = "CREATE TABLE " + table + " AS FROM " + view
	case CreateTemp:
		stmt = "CREATE TEMP TABLE " + table + " AS FROM " + view
	case Append:
		stmt = "INSERT INTO " + table + " FROM " + view
	}
	_, err = c.Exec(ctx, stmt)
	// Dropped whatever happened: a view that outlives its memory crashes the next reader. In an aborted transaction the
	// drop fails and the rollback removes the view.
	if _, derr := c.Exec(context.WithoutCancel(ctx), "DROP VIEW "+view); derr != nil && err == nil {
		err = fmt.Errorf("dropping the arrow view: %w", derr)
	}
	if err == nil {
		err = rr.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("loading %s: %w", table, err)
	}
	return counted.rows, nil
}

type countingReader struct {
	array.RecordReader
	rows int64
}

func (r *countingReader) Next() bool {
	if !r.RecordReader.Next() {
		return false
	}
	r.rows += r.RecordBatch().NumRows()
	return true
}
