package redshiftdouble

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// loadError is why a file was not loaded.
type loadError struct {
	code    int
	message string
	file    string
	column  string
	kind    dataType
	scan    bool // an error of Redshift's Parquet reader: the message to the client is only "Spectrum Scan Error"
}

func (e *loadError) Error() string { return fmt.Sprintf("code %d: %s", e.code, e.message) }

// scanError is what the Parquet reader complains of.
func scanError(code int, format string, args ...any) *loadError {
	return &loadError{code: code, message: fmt.Sprintf(format, args...), scan: true}
}

// copyAction runs a COPY.
func (s *session) copyAction(c *copyCommand) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		started := time.Now()
		stats, err := s.load(ctx, c)
		var e *loadError
		if errors.As(err, &e) {
			return "", errors.Join(s.loadFailed(ctx, c, e), s.recordLoad(ctx, c, started, stats, e.message))
		}
		if err != nil {
			return "", err
		}
		s.lastCopy, s.lastCopyID = stats.rows, s.query
		s.notice("INFO", "00000", "Load into table '%s' completed, %d record(s) loaded successfully.", c.table.name, stats.rows)
		return "COPY", s.recordLoad(ctx, c, started, stats, "")
	}
}

// loadStats are what sys_load_history shows.
type loadStats struct {
	rows  int64
	bytes int64
	files int
}

// load checks the files and sends their rows to PostgreSQL as one COPY.
func (s *session) load(ctx context.Context, c *copyCommand) (loadStats, error) {
	target, err := s.target(ctx, c)
	if err != nil {
		return loadStats{}, err
	}
	files, err := s.files(ctx, c)
	if err != nil {
		return loadStats{}, err
	}
	r := &rowStream{ctx: ctx, session: s, command: c, target: target, files: files}
	names := make([]string, len(target))
	for i, t := range target {
		names[i] = quote(s.server.names.short(t.name))
	}
	sql := fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", c.table.pg, joined(names))
	tag, err := s.backend.CopyFrom(ctx, r, sql)
	bytes, rerr := r.end()
	stats := loadStats{rows: tag.RowsAffected(), bytes: bytes, files: len(files)}
	if rerr != nil {
		return stats, rerr
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code[:2] == "22" {
		return stats, &loadError{code: 1216, message: pg.Message}
	}
	return stats, err
}

// targetColumn is a column that a file's column goes to.
type targetColumn struct {
	name     string
	kind     dataType
	notNull  bool
	explicit bool // VARBYTE with a length of its own
}

// target are the columns that are loaded, in the order in which the files must have them.
func (s *session) target(ctx context.Context, c *copyCommand) ([]targetColumn, error) {
	m, err := s.loadModel(ctx, c.table.pg)
	if err != nil {
		return nil, err
	}
	all, err := s.tableColumns(ctx, c.table.pg)
	if err != nil {
		return nil, err
	}
	byName := map[string]tableColumn{}
	var order []string
	for _, col := range all {
		byName[col.name] = col
		if !col.identity || c.explicitIDs {
			order = append(order, col.name)
		}
	}
	if c.columns != nil {
		order = c.columns
	}
	out := make([]targetColumn, 0, len(order))
	for _, n := range order {
		col, ok := byName[n]
		switch {
		case !ok:
			return nil, refuse("42703", "column %q of relation %q does not exist", n, c.table.name)
		case col.identity && !c.explicitIDs:
			return nil, refuse("0A000", "cannot set an identity column to a value: use EXPLICIT_IDS")
		}
		out = append(out, targetColumn{name: n, kind: col.dataType(m), notNull: col.notNull, explicit: m.Bytes[n] != 0 && m.Bytes[n] != 64000})
	}
	return out, nil
}

func joined(names []string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}

// loadFailed writes sys_load_error_detail outside of the client's transaction and returns the client's error.
func (s *session) loadFailed(ctx context.Context, c *copyCommand, e *loadError) error {
	if !s.server.faults.silentLoads() {
		id, err := s.value(context.WithoutCancel(ctx), "SELECT 1") // is PostgreSQL's transaction still usable?
		if err == nil && id != "" {
			id, err = s.value(ctx, "SELECT "+literal(c.table.pg)+"::regclass::oid")
		}
		if err != nil {
			id = "0"
		}
		length := ""
		if e.kind.length > 0 {
			length = strconv.Itoa(e.kind.length)
		}
		err = s.server.admin.exec(context.WithoutCancel(ctx), `INSERT INTO rs.sys_load_error_detail VALUES (100, $1, $1::bigint + 1000, $2, $3, $4, clock_timestamp() AT TIME ZONE 'UTC',
			$5, 0, $6, $7, $8, 0, $9, $10)`, fmt.Sprint(s.query), fmt.Sprint(s.pid), s.server.config.Database, id, cut(e.file, 256), cut(e.column, 127),
			cut(shortType(e.kind), 10), length, strconv.Itoa(e.code), cut(e.message, 512))
		if err != nil {
			return fmt.Errorf("writing sys_load_error_detail: %w", err)
		}
	}
	if e.scan {
		return engine("Spectrum Scan Error", e.code, e.message, s.query)
	}
	if e.code >= 1200 && e.code < 1300 {
		r := refuse("XX000", "Load into table '%s' failed.  Check 'sys_load_error_detail' system table for details.", c.table.name)
		return r
	}
	return engine(e.message, e.code, e.message, s.query)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// shortType is the type as the CHAR(10) column of the error table has it.
func shortType(t dataType) string {
	switch t.name {
	case "character varying":
		return "varchar"
	case "character":
		return "char"
	case "timestamp without time zone":
		return "timestamp"
	case "timestamp with time zone":
		return "timestamptz"
	case "binary varying":
		return "varbyte"
	case "double precision":
		return "float8"
	}
	return t.name
}

func (s *session) recordLoad(ctx context.Context, c *copyCommand, started time.Time, st loadStats, failure string) error {
	status := "completed"
	if failure != "" {
		status = "aborted"
	}
	return s.server.admin.exec(context.WithoutCancel(ctx), `INSERT INTO rs.sys_load_history VALUES (100, $1, $1::bigint + 1000, $2, $3, $4, $5,
		to_timestamp($6) AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC', $7, $8, $9, $10, $11, $10, $12)`,
		fmt.Sprint(s.query), fmt.Sprint(s.pid), s.server.config.Database, status, c.table.name, fmt.Sprint(float64(started.UnixMicro())/1e6),
		fmt.Sprint(time.Since(started).Microseconds()), c.from, fmt.Sprint(st.rows), fmt.Sprint(st.bytes), fmt.Sprint(st.files), failure)
}
