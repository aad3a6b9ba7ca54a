package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/window"
)

var _ elt.Warehouse = (*Sink)(nil)

// JobDialect is PostgreSQL's SQL.
func (*Sink) JobDialect() elt.Dialect {
	return elt.Dialect{Name: "PostgreSQL", JSON: "jsonb", Constraints: true, Hold: " FOR SHARE", Now: "clock_timestamp()", Via: []string{elt.ViaInsert, elt.ViaParquet}}
}

// JobSession implements elt.Warehouse. The connection is of its own: what a job's SQL changes in its session ends with it.
func (s *Sink) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.ConnConfig)
	if err != nil {
		return jobError(ctx, fmt.Errorf("connecting to PostgreSQL: %w", classify(err)))
	}
	// Detached: the connection is closed whatever has ended the work.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return fn(&jobSession{conn: conn})
}

// jobSession is one session.
type jobSession struct {
	conn *pgx.Conn
	tx   pgx.Tx // nil outside of a transaction
}

var (
	_ elt.Session = (*jobSession)(nil)
	_ elt.Stager  = (*jobSession)(nil)
)

type runner interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (j *jobSession) on() runner {
	if j.tx != nil {
		return j.tx
	}
	return j.conn
}

// Exec implements elt.Session. Without arguments the statement is prepared all the same, so that it is one.
func (j *jobSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := j.on().Exec(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, args...)...)
	return tag.RowsAffected(), jobError(ctx, err)
}

// Query implements elt.Session.
func (j *jobSession) Query(ctx context.Context, sql string, fn func([]any) error, args ...any) error {
	rows, err := j.on().Query(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, args...)...)
	if err != nil {
		return jobError(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return jobError(ctx, err)
		}
		for i, v := range row {
			row[i] = plainValue(v)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return jobError(ctx, rows.Err())
}

// plainValue narrows what pgx gives to what elt.Session promises.
func plainValue(v any) any {
	switch v := v.(type) {
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	case float32:
		return float64(v)
	case pgtype.Numeric:
		f, err := v.Float64Value()
		if err != nil || !f.Valid {
			return nil
		}
		return f.Float64
	}
	return v
}

// Columns implements elt.Session.
func (j *jobSession) Columns(ctx context.Context, table string) ([]elt.Column, error) {
	name := "pg_temp." + ident(table)
	if schema, rest, permanent := strings.Cut(table, "."); permanent {
		name = ident(schema, rest)
	}
	var out []elt.Column
	err := j.Query(ctx, `SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
 WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, func(row []any) error {
		out = append(out, elt.Column{Name: row[0].(string), Type: row[1].(string)})
		return nil
	}, name)
	return out, err
}

// Transact implements elt.Session. A snapshot is REPEATABLE READ; what is written is READ COMMITTED, because a statement
// after a lock must see what its holder before us committed.
func (j *jobSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	o := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	if mode == elt.Snapshot {
		o.IsoLevel = pgx.RepeatableRead
	}
	var own error // of fn: it has its class
	err := pgx.BeginTxFunc(ctx, j.conn, o, func(tx pgx.Tx) error {
		j.tx = tx
		defer func() { j.tx = nil }()
		own = fn()
		return own
	})
	if own != nil {
		return own
	}
	return jobError(ctx, err)
}

// jobError gives an error its class.
func jobError(ctx context.Context, err error) error {
	var known *elt.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, elt.ErrSuperseded) {
		return err
	}
	if ctx.Err() != nil { // the server only says that it was cancelled
		return fmt.Errorf("%w: %w", ctx.Err(), classify(err))
	}
	out := &elt.Error{Class: elt.Transient, Err: classify(err)}
	var pe *pgconn.PgError
	var clean *Error
	code := ""
	switch {
	case errors.As(err, &pe):
		code = pe.Code
	case errors.As(err, &clean):
		code = clean.Code
	}
	switch {
	case code == "23505" && ours(pe):
		out.Class = elt.Overtaken
	case code == "40001", code == "40P01", code == "55P03", code == "42P06", code == "42P07", code == "23505" && pe != nil && pe.SchemaName == "pg_catalog":
		out.Class = elt.Conflict
	case errors.As(out.Err, new(*window.RefusedError)):
		out.Class = elt.BadSQL
	case len(code) == 5 && (code[:2] == "42" || code[:2] == "22" || code[:2] == "3F" || code[:2] == "21" || code[:2] == "0A"):
		out.Class = elt.BadSQL
	}
	return out
}

// ours reports whether a key of the jobs' own relations was there already: somebody else was first.
func ours(pe *pgconn.PgError) bool {
	return pe != nil && pe.SchemaName == "tidemill" && strings.HasPrefix(pe.TableName, "job_")
}
