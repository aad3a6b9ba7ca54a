package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/big"
	"strings"

	goduckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window"
)

var _ elt.Warehouse = (*Sink)(nil)

// JobDialect is DuckDB's SQL. Nothing enforces uniqueness: whoever writes has his turn (invariant 1) and asks first.
func (*Sink) JobDialect() elt.Dialect {
	return elt.Dialect{Name: "DuckDB", JSON: "JSON", Now: "now()", MatchFunction: "regexp_matches", Via: []string{elt.ViaInsert, elt.ViaParquet}}
}

// JobSession implements elt.Warehouse.
func (s *Sink) JobSession(ctx context.Context, fn func(elt.Session) error) (err error) {
	c, err := s.conn(ctx)
	if err != nil {
		return jobError(ctx, err)
	}
	defer func() { err = errors.Join(err, s.release(c, err)) }()
	return fn(&jobSession{sink: s, conn: c})
}

// jobSession is one session. Temporary tables are DuckDB's own, of the session.
type jobSession struct {
	sink *Sink
	conn *duck.Conn
}

var (
	_ elt.Session = (*jobSession)(nil)
	_ elt.Stager  = (*jobSession)(nil)
)

// Exec implements elt.Session.
func (j *jobSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	n, err := j.conn.Exec(ctx, sql, args...)
	return n, jobError(ctx, err)
}

// Query implements elt.Session.
func (j *jobSession) Query(ctx context.Context, sql string, fn func([]any) error, args ...any) error {
	var own error // of fn: not DuckDB's
	row := []any{}
	err := j.conn.Rows(ctx, sql, func(values []driver.Value) error {
		row = row[:0]
		for _, v := range values {
			row = append(row, plainValue(v))
		}
		own = fn(row)
		return own
	}, args...)
	if own != nil {
		return own
	}
	return jobError(ctx, err)
}

// plainValue narrows what the driver gives to what elt.Session promises.
func plainValue(v driver.Value) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	case int8:
		return int64(v)
	case float32:
		return float64(v)
	case *big.Int: // HUGEINT
		if v.IsInt64() {
			return v.Int64()
		}
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	case goduckdb.Decimal:
		return v.Float64()
	}
	return v
}

// Columns implements elt.Session.
func (j *jobSession) Columns(ctx context.Context, table string) ([]elt.Column, error) {
	schema, name, permanent := strings.Cut(table, ".")
	q, args := `SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2 ORDER BY column_index`, []any{schema, name}
	if !permanent {
		q, args = `SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'temp' AND table_name = $1 ORDER BY column_index`, []any{table}
	}
	var out []elt.Column
	err := j.conn.Rows(ctx, q, func(row []driver.Value) error {
		out = append(out, elt.Column{Name: row[0].(string), Type: row[1].(string)})
		return nil
	}, args...)
	return out, jobError(ctx, err)
}

// Stage implements elt.Stager: DuckDB's own parser sees that it is one SELECT that reads tables only.
func (j *jobSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	if err := wantSelect(ctx, j.conn, query); err != nil {
		return 0, jobError(ctx, err)
	}
	if via == elt.ViaParquet {
		n, err := j.throughParquet(ctx, table, query)
		return n, jobError(ctx, err)
	}
	if _, err := j.conn.Exec(ctx, "CREATE TEMPORARY TABLE "+table+" AS "+query); err != nil {
		return 0, jobError(ctx, withhold(err))
	}
	n, err := duck.Scalar[int64](ctx, j.conn, "SELECT count(*) FROM "+table)
	return n, jobError(ctx, err)
}

// Transact implements elt.Session. A snapshot writes only to the session's own tables, so it needs no turn.
func (j *jobSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	if mode == elt.Write {
		select {
		case <-j.sink.turn:
			defer func() { j.sink.turn <- struct{}{} }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return jobError(ctx, j.conn.Tx(ctx, fn))
}

// jobError gives an error its class.
func jobError(ctx context.Context, err error) error {
	var known *elt.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, elt.ErrSuperseded) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // DuckDB only says that it was interrupted
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	out := &elt.Error{Class: elt.Transient, Err: classify(err)}
	var refused *window.RefusedError
	var de *goduckdb.Error
	switch {
	case errors.As(out.Err, &refused):
		out.Class = elt.BadSQL
	case errors.As(err, new(*duck.Error)): // a value that does not fit
		out.Class = elt.BadSQL
	case errors.As(err, &de):
		switch de.Type {
		case goduckdb.ErrorTypeTransaction:
			out.Class = elt.Conflict
		case goduckdb.ErrorTypeParser, goduckdb.ErrorTypeSyntax, goduckdb.ErrorTypeBinder, goduckdb.ErrorTypeCatalog, goduckdb.ErrorTypePlanner, goduckdb.ErrorTypeNotImplemented:
			out.Class = elt.BadSQL
		}
	}
	return out
}
