package redshift

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/window"
)

var _ elt.Warehouse = (*Sink)(nil)

// JobDialect is Redshift's SQL. Nothing enforces uniqueness: whoever writes holds the lock of the jobs and asks first. SYSDATE is
// the time of the transaction, with microseconds, in UTC.
func (*Sink) JobDialect() elt.Dialect {
	return elt.Dialect{Name: "Redshift", JSON: "VARCHAR(65535)", Text: "VARCHAR(65535)", Now: "SYSDATE", Schemas: "SELECT nspname FROM pg_namespace WHERE nspname = $1", Via: []string{elt.ViaInsert, elt.ViaUnload, elt.ViaParquet}}
}

// JobSession implements elt.Warehouse. The connection is of its own: what a job's SQL changes in its session ends with it.
func (s *Sink) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return jobError(ctx, fmt.Errorf("connecting to Redshift: %w", classify(err)))
	}
	// Detached: the connection is closed whatever has ended the work.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return fn(&jobSession{sink: s, session: &session{conn: conn}})
}

// connect opens a connection as the pool does.
func (s *Sink) connect(ctx context.Context) (*pgx.Conn, error) {
	c := s.config.ConnConfig.Copy()
	if err := s.config.BeforeConnect(ctx, c); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.config.AfterConnect(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

// jobSession is one session.
type jobSession struct {
	sink *Sink
	*session
}

var (
	_ elt.Session = (*jobSession)(nil)
	_ elt.Stager  = (*jobSession)(nil)
)

// Exec implements elt.Session.
func (j *jobSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	n, err := j.session.Exec(ctx, sql, args...)
	return n, jobError(ctx, err)
}

// Query implements elt.Session.
func (j *jobSession) Query(ctx context.Context, sql string, fn func([]any) error, args ...any) error {
	rows, err := j.conn.Query(ctx, sql, args...)
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

// Columns implements elt.Session. The catalogue does not show temporary tables everywhere, so the types are those of an empty
// result. The length of a VARCHAR is no part of what a column is: tidemill widens those that it publishes.
func (j *jobSession) Columns(ctx context.Context, table string) ([]elt.Column, error) {
	name := ident(table)
	if schema, rest, permanent := strings.Cut(table, "."); permanent {
		name = ident(schema, rest)
		var kind string
		if err := j.row(ctx, kindSQL, []any{&kind}, fold(schema), fold(rest)); err != nil {
			if noRows(err) {
				err = nil
			}
			return nil, jobError(ctx, err)
		}
	}
	rows, err := j.conn.Query(ctx, "SELECT * FROM "+name+" WHERE 1 = 0")
	if err != nil {
		return nil, jobError(ctx, err)
	}
	defer rows.Close()
	out := []elt.Column{}
	for _, f := range rows.FieldDescriptions() {
		c := elt.Column{Name: f.Name, Type: typeName(f.DataTypeOID, f.TypeModifier)}
		if base, _, sized := strings.Cut(c.Type, "("); sized && base == varchar {
			c.Kind = base
		}
		out = append(out, c)
	}
	rows.Close()
	return out, jobError(ctx, rows.Err())
}

// typeName is a type of a result as DDL takes it.
func typeName(oid uint32, modifier int32) string {
	names := map[uint32]string{
		pgtype.BoolOID: "boolean", pgtype.Int2OID: "smallint", pgtype.Int4OID: "integer", pgtype.Int8OID: "bigint", pgtype.Float4OID: "real",
		pgtype.Float8OID: "double precision", pgtype.DateOID: "date", pgtype.TimestampOID: "timestamp without time zone", pgtype.TimestamptzOID: "timestamp with time zone",
		pgtype.TimeOID: "time without time zone", pgtype.TimetzOID: "time with time zone", varbyteOID: "varbyte",
	}
	m := modifier - 4
	switch name, ok := names[oid]; {
	case ok:
		return name
	case oid == pgtype.NumericOID && m >= 0:
		return fmt.Sprintf("numeric(%d,%d)", m>>16, m&0xffff)
	case oid == pgtype.NumericOID:
		return "numeric(18,0)"
	case oid == pgtype.BPCharOID && m > 0:
		return fmt.Sprintf("character(%d)", m)
	case m > 0 && m <= maxVarchar:
		return fmt.Sprintf("%s(%d)", varchar, m)
	}
	return fmt.Sprintf("%s(%d)", varchar, maxVarchar) // an expression has no length, and TEXT would be 256
}

// Stage implements elt.Stager: the grammar sees that it is one SELECT.
func (j *jobSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	if err := wantSelect(query); err != nil {
		return 0, err
	}
	if via != elt.ViaInsert {
		return j.unload(ctx, table, query)
	}
	if _, err := j.Exec(ctx, "CREATE TEMPORARY TABLE "+ident(table)+" AS "+query); err != nil {
		return 0, err
	}
	var n int64
	err := j.row(ctx, "SELECT COUNT(*) FROM "+ident(table), []any{&n})
	return n, jobError(ctx, err)
}

// wantSelect refuses what is not one SELECT that only reads.
func wantSelect(query string) error {
	if rslint.Kind(query) != "select" || acting.MatchString(query) {
		return &elt.Error{Class: elt.BadSQL, Hint: "write one SELECT", Err: errors.New("the file is not one SELECT")}
	}
	for _, f := range rslint.Check(query, rslint.Options{}) {
		if !f.Warning {
			return &elt.Error{Class: elt.BadSQL, Hint: f.Remedy, Err: errors.New("Redshift refuses the SELECT: " + f.What)}
		}
	}
	return nil
}

// unload takes the rows through the store. Both halves see the transaction's snapshot, and the files are gone afterwards: what a
// kill leaves lies below jobs/, for a lifecycle rule of the bucket.
func (j *jobSession) unload(ctx context.Context, table, query string) (int64, error) {
	if j.sink.store == nil {
		return 0, &elt.Error{Class: elt.BadSQL, Hint: "set store: s3://bucket/prefix, or output.via: insert", Err: errors.New("unload_copy has no store")}
	}
	if _, err := j.Exec(ctx, "CREATE TEMPORARY TABLE "+ident(table)+" AS SELECT * FROM (\n"+query+"\n) AS q WHERE 1 = 0"); err != nil {
		return 0, err
	}
	iam := "default"
	if j.sink.role != "" && j.sink.role != "default" {
		iam = literal(j.sink.role)
	}
	folder := "jobs/" + uuid.NewString() + "/"
	defer j.sweep(ctx, folder)
	to := j.sink.store.URL(folder)
	if _, err := j.Exec(ctx, "UNLOAD ("+literal(query)+") TO "+literal(to)+" IAM_ROLE "+iam+" FORMAT AS PARQUET MANIFEST"); err != nil {
		return 0, err
	}
	var out, in int64
	if err := j.row(ctx, unloadedSQL, []any{&out}); err != nil || out == 0 { // no rows, no files and no manifest
		return 0, jobError(ctx, err)
	}
	if _, err := j.Exec(ctx, copySQL(table, to+"manifest", j.sink.role)); err != nil {
		return 0, err
	}
	if err := j.row(ctx, countSQL, []any{&in}); err != nil {
		return 0, jobError(ctx, err)
	}
	if in != out {
		return 0, &elt.Error{Class: elt.Transient, Err: fmt.Errorf("UNLOAD wrote %d rows, COPY loaded %d", out, in)}
	}
	return in, nil
}

// unloadedSQL asks how many rows the session's last UNLOAD wrote.
const unloadedSQL = "SELECT pg_last_unload_count()"

// sweep deletes what was unloaded. What cannot be deleted harms nobody.
func (j *jobSession) sweep(ctx context.Context, folder string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var keys []string
	_ = j.sink.store.List(ctx, folder, func(key string, _ int64, _ time.Time) error { keys = append(keys, key); return nil })
	for _, key := range keys {
		_ = j.sink.store.Delete(ctx, key)
	}
}

// jobLockSQL is the first statement of every transaction of jobs that writes. It is not the publishers' lock: a job that
// writes for minutes keeps no window waiting.
const jobLockSQL = "LOCK tidemill.job_lock"

// Transact implements elt.Session. Both kinds see one snapshot; of two that write, the second takes its own when the first has
// committed.
func (j *jobSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	if mode == elt.Write {
		if err := j.makeLock(ctx); err != nil {
			return jobError(ctx, err)
		}
	}
	var own error // of fn: it has its class
	err := j.transaction(ctx, func() error {
		if mode == elt.Write {
			if _, err := j.session.Exec(ctx, jobLockSQL); err != nil {
				return err
			}
		}
		own = fn()
		return own
	})
	if own != nil {
		return own
	}
	return jobError(ctx, err)
}

// makeLock makes the relation of the lock where it is missing. It asks first: CREATE IF NOT EXISTS wants the privilege even for
// what is there.
func (j *jobSession) makeLock(ctx context.Context) error {
	var kind string
	err := j.row(ctx, kindSQL, []any{&kind}, "tidemill", "job_lock")
	if !noRows(err) {
		return err
	}
	return j.repeat(ctx, func() error {
		return j.transaction(ctx, func() error {
			for _, q := range []string{"CREATE SCHEMA IF NOT EXISTS tidemill", "CREATE TABLE IF NOT EXISTS tidemill.job_lock (nothing SMALLINT)"} {
				if _, err := j.session.Exec(ctx, q); err != nil {
					return raced(err)
				}
			}
			return nil
		})
	})
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
	code := ""
	if errors.As(err, &pe) {
		code = pe.Code
	}
	var refused *window.RefusedError
	switch {
	case conflict(out.Err), code == "42P06", code == "42P07":
		out.Class = elt.Conflict
	case errors.As(out.Err, &refused):
		out.Class = elt.BadSQL
	case len(code) == 5 && (code[:2] == "42" || code[:2] == "22" || code[:2] == "3F" || code[:2] == "21" || code[:2] == "0A"):
		out.Class = elt.BadSQL
	}
	return out
}
