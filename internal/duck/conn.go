//go:build duckdb_arrow

package duck

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	duckdb "github.com/duckdb/duckdb-go/v2"
)

// Conn is one session: one goroutine, at most one transaction.
type Conn struct {
	dc    driver.Conn
	exec  driver.ExecerContext
	query driver.QueryerContext
	arrow *duckdb.Arrow
	views int  // views registered so far, for unique names
	cut   bool // the last statement was interrupted, or failed
}

// Close ends the session; an open transaction is rolled back.
func (c *Conn) Close() error {
	c.settle()
	if err := c.dc.Close(); err != nil {
		return fmt.Errorf("closing duckdb session: %w", redact(err))
	}
	return nil
}

// Exec runs statements and returns the rows changed by the last one. Arguments bind to the last one.
func (c *Conn) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	res, err := c.exec.ExecContext(ctx, sql, named(args))
	c.cut = err != nil
	if err != nil {
		return 0, redact(err)
	}
	n, err := res.RowsAffected()
	return n, redact(err)
}

// settle clears an interrupted statement out of the session. DuckDB keeps its executor, and with it the whole database, until
// the session begins its next statement; a session that ends instead would leave the database open for ever, and whoever
// opens the file again spins in wait for it to close (invariant 5). To begin one is enough: its result, an error in an aborted
// transaction, does not matter. Its context is nobody's, because ending must not depend on what has ended the statement.
func (c *Conn) settle() {
	if c.cut {
		_, _ = c.exec.ExecContext(context.Background(), "SELECT 1", nil)
		c.cut = false
	}
}

func named(args []any) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}

// ErrNoRow is returned by Row and Scalar for an empty result.
var ErrNoRow = errors.New("no row")

// Row returns the first row of a result as the driver's values.
func (c *Conn) Row(ctx context.Context, sql string, args ...any) ([]driver.Value, error) {
	var first []driver.Value
	err := c.Rows(ctx, sql, func(row []driver.Value) error {
		if first == nil {
			first = append(first, row...)
		}
		return nil
	}, args...)
	if err == nil && first == nil {
		err = ErrNoRow
	}
	return first, err
}

// Rows calls fn with each row of a result; the slice is reused. For small results: catalogues, counts.
func (c *Conn) Rows(ctx context.Context, sql string, fn func([]driver.Value) error, args ...any) error {
	rows, err := c.query.QueryContext(ctx, sql, named(args))
	c.cut = err != nil
	if err != nil {
		return redact(err)
	}
	row := make([]driver.Value, len(rows.Columns()))
	for {
		err = redact(rows.Next(row))
		if err == nil {
			err = fn(row)
		}
		if err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if cerr := rows.Close(); err == nil {
		err = redact(cerr)
	}
	return err
}

// Scalar returns the only value of a query as T: int64, float64, bool, string.
func Scalar[T any](ctx context.Context, c *Conn, sql string, args ...any) (T, error) {
	var zero T
	row, err := c.Row(ctx, sql, args...)
	if err != nil {
		return zero, err
	}
	v, ok := row[0].(T)
	if !ok {
		return zero, fmt.Errorf("reading a duckdb value: it is %T, want %T; cast it in the query", row[0], zero)
	}
	return v, nil
}

// Query calls fn with the batches of a result; a batch is valid only during the call. The driver holds the whole result
// in memory before the first batch: read a large table with Pages.
func (c *Conn) Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) (err error) {
	rr, err := c.arrow.QueryContext(ctx, sql)
	c.cut = err != nil
	if err != nil {
		return redact(err)
	}
	defer rr.Release()
	for rr.Next() {
		if err := fn(rr.RecordBatch()); err != nil {
			return err
		}
	}
	return redact(rr.Err())
}

// Pages reads a whole table that no row was ever deleted from, pageRows rows in memory at a time. With Options.Ordered
// the rows come in the order they were inserted. table and columns are SQL: quoted by the caller.
func (c *Conn) Pages(ctx context.Context, table, columns string, pageRows int64, fn func(arrow.RecordBatch) error) error {
	row, err := c.Row(ctx, "SELECT count(*), coalesce(min(rowid), 0) FROM "+table)
	if err != nil {
		return err
	}
	// Rows of a transaction that has not committed are numbered from a number of their own.
	total, first := row[0].(int64), row[1].(int64)
	for at := int64(0); at < total; at += pageRows {
		lo, seen := first+at, int64(0)
		err := c.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE rowid >= %d AND rowid < %d", columns, table, lo, lo+pageRows),
			func(b arrow.RecordBatch) error {
				seen += b.NumRows()
				return fn(b)
			})
		if err != nil {
			return err
		}
		if want := min(pageRows, total-at); seen != want {
			return fmt.Errorf("paging %s: rows %d to %d hold %d rows, want %d", table, lo, lo+pageRows, seen, want)
		}
	}
	return nil
}

// Tx runs fn inside a transaction of the session: it commits when fn returns nil and rolls back otherwise.
func (c *Conn) Tx(ctx context.Context, fn func() error) error {
	if _, err := c.Exec(ctx, "BEGIN TRANSACTION"); err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	if err := fn(); err != nil {
		// The rollback must happen although ctx may be what ended fn.
		if _, rerr := c.Exec(context.WithoutCancel(ctx), "ROLLBACK"); rerr != nil {
			return fmt.Errorf("%w (and rolling back: %w)", err, rerr)
		}
		return err
	}
	// A commit is short, and one that is given up halfway would leave the transaction open.
	if _, err := c.Exec(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}
