package duckdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	driver "github.com/duckdb/duckdb-go/v2"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window"
)

// pageRows is what ReadTable holds in memory at a time: DuckDB gives a result whole.
const pageRows = 500_000

// read runs fn in a read-only transaction of a session of its own.
func (s *Sink) read(ctx context.Context, fn func(*duck.Conn) error) (err error) {
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release(c, err)) }() // ends the transaction
	if _, err := c.Exec(ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return err
	}
	return fn(c)
}

// ReadTable reads the named columns as of one snapshot: that of its transaction.
func (s *Sink) ReadTable(ctx context.Context, t window.WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	err := s.read(ctx, func(c *duck.Conn) error {
		have, err := describe(ctx, c, t)
		if err != nil {
			return err
		}
		if have == nil {
			return &window.RefusedError{What: fmt.Sprintf("there is no table %s", t), Hint: "publish it first"}
		}
		list, err := selectList(t, have, columns)
		if err != nil {
			return err
		}
		end, err := duck.Scalar[int64](ctx, c, "SELECT coalesce(max(rowid) + 1, 0) FROM "+qualified(t))
		if err != nil {
			return err
		}
		if end == 0 { // an empty table still shows its columns
			return fn(empty(columns))
		}
		for lo := int64(0); lo < end; lo += pageRows {
			q := fmt.Sprintf("SELECT %s FROM %s WHERE rowid >= %d AND rowid < %d", list, qualified(t), lo, lo+pageRows)
			if err := c.Query(ctx, q, fn); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading table %s: %w", t, classify(err))
	}
	return nil
}

func empty(columns []ingest.Column) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema(columns))
	defer b.Release()
	return b.NewRecordBatch()
}

func arrowSchema(columns []ingest.Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// selectList casts each column to the type of its kind, refusing a cast that may change a value without an error.
func selectList(t window.WarehouseTable, have []column, columns []ingest.Column) (string, error) {
	out := make([]string, len(columns))
	for i, c := range columns {
		at := slices.IndexFunc(have, func(h column) bool { return strings.EqualFold(h.name, c.Name) })
		if at < 0 {
			return "", &window.NoColumnError{Table: t, Column: c.Name}
		}
		want, h := duck.ColumnType(c.Type), have[at].typ
		_, hs, hdec := decimal(h)
		_, ws, wdec := decimal(want)
		fit := compare(h, want)
		rounds := h == "DOUBLE" || hdec && (!wdec || hs > ws)
		if fit == mismatch || fit == holds && rounds {
			return "", &window.RefusedError{What: fmt.Sprintf("the column %s of %s is %s, want %s", c.Name, t, h, want), Hint: "ALTER it to that type"}
		}
		out[i] = duck.Ident(c.Name)
		if fit != same {
			out[i] = "CAST(" + out[i] + " AS " + want + ")"
		}
		out[i] += " AS " + duck.Ident(c.Name) // the table's own name of it may be in another case
	}
	return strings.Join(out, ", "), nil
}

// queryTimeout limits a user's query; the caller's context may be shorter.
const queryTimeout = 5 * time.Minute

// Query answers one read-only statement (invariant 4).
func (s *Sink) Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var own error // of fn: not DuckDB's, so not to be reduced
	err := s.read(ctx, func(c *duck.Conn) error {
		if err := wantSelect(ctx, c, sql); err != nil {
			return err
		}
		batches := 0
		err := c.Query(ctx, sql, func(b arrow.RecordBatch) error {
			batches++
			own = fn(b)
			return own
		})
		if err != nil || batches > 0 {
			return err
		}
		return describeEmpty(ctx, c, sql, fn)
	})
	switch {
	case err == nil:
		return nil
	case own != nil:
		return own
	case ctx.Err() != nil:
		return fmt.Errorf("running the query: %w", ctx.Err())
	}
	return fmt.Errorf("running the query: %w", withhold(err))
}

// describeEmpty shows the columns of a result without rows.
func describeEmpty(ctx context.Context, c *duck.Conn, sql string, fn func(arrow.RecordBatch) error) error {
	described, err := c.Describe(ctx, sql)
	var de *driver.Error
	if errors.As(err, &de) && de.Type == driver.ErrorTypeParser { // SHOW and EXPLAIN cannot be described
		return nil
	}
	if err != nil {
		return err
	}
	columns := make([]ingest.Column, len(described))
	for i, d := range described {
		columns[i].Name = d.Name
		if columns[i].Type, err = duck.TypeOf(d.Name, d.Type); err != nil {
			columns[i].Type = ingest.Type{Kind: ingest.Text} // a type without a kind, in a column without a value
		}
	}
	b := empty(columns)
	defer b.Release()
	return fn(b)
}
