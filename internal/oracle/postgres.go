package oracle

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Engine evaluates views in PostgreSQL over the replayed tables: schema <source>, one table per source table.
type Engine struct {
	conn *pgx.Conn
	made map[string][]Column
}

// NewEngine uses conn, whose database should be empty.
func NewEngine(ctx context.Context, conn *pgx.Conn) (*Engine, error) {
	if _, err := conn.Exec(ctx, "set timezone to 'UTC'"); err != nil {
		return nil, fmt.Errorf("preparing the evaluating engine: %w", err)
	}
	return &Engine{conn: conn, made: map[string][]Column{}}, nil
}

// Sync brings the engine's copy of a source up to the replay: only touched keys move.
func (e *Engine) Sync(ctx context.Context, source string, r Log) error {
	touched := r.Touched()
	for name, t := range r.Content() {
		if err := e.syncTable(ctx, source, name, t, touched[name]); err != nil {
			return fmt.Errorf("copying %s.%s to the evaluating engine: %w", source, name, err)
		}
	}
	return nil
}

func (e *Engine) syncTable(ctx context.Context, source, name string, t *Table, touched map[string]bool) error {
	id := pgx.Identifier{source, name}.Sanitize()
	full := source + "." + name
	if old, ok := e.made[full]; !ok || len(old) != len(t.Columns) || !sameColumns(old, t.Columns) {
		if err := e.create(ctx, source, id, t); err != nil {
			return err
		}
		e.made[full] = t.Columns
		touched = map[string]bool{}
		for k := range t.Rows {
			touched[k] = true
		}
	}
	b := &pgx.Batch{}
	for k := range touched {
		b.Queue("delete from "+id+" where _k = $1", k)
		if row, ok := t.Rows[k]; ok {
			b.Queue(insertSQL(id, t), insertArgs(k, row)...)
		}
	}
	return e.conn.SendBatch(ctx, b).Close()
}

func (e *Engine) create(ctx context.Context, source, id string, t *Table) error {
	defs := []string{"_k text primary key"}
	for _, c := range t.Columns {
		defs = append(defs, pgx.Identifier{c.Name}.Sanitize()+" "+c.PG)
	}
	for _, q := range []string{
		"create schema if not exists " + pgx.Identifier{source}.Sanitize(),
		"drop table if exists " + id,
		"create table " + id + " (" + strings.Join(defs, ", ") + ")",
	} {
		if _, err := e.conn.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func insertSQL(id string, t *Table) string {
	vals := []string{"$1"}
	for i, c := range t.Columns {
		vals = append(vals, fmt.Sprintf("$%d::text::%s", i+2, c.PG))
	}
	return "insert into " + id + " values (" + strings.Join(vals, ",") + ")"
}

func insertArgs(k string, row []Val) []any {
	args := []any{k}
	for _, v := range row {
		if v.Null {
			args = append(args, nil)
		} else {
			args = append(args, v.Text)
		}
	}
	return args
}

// Evaluate runs a view and returns its rows by key, as canonical text, with the columns in the order asked for.
func (e *Engine) Evaluate(ctx context.Context, sql string, columns, key []string) (map[string][]Val, error) {
	return Select(ctx, e.conn, "("+strings.TrimRight(strings.TrimSpace(sql), ";")+") v", columns, key)
}

// empty fails unless the view has no rows.
func (e *Engine) empty(ctx context.Context, sql string) error {
	var n int64
	err := e.conn.QueryRow(ctx, "select count(*) from ("+strings.TrimRight(strings.TrimSpace(sql), ";")+") v").Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("the view has %d rows and none was published", n)
	}
	return err
}

// Select reads rows of a relation as canonical text by key.
func Select(ctx context.Context, conn *pgx.Conn, relation string, columns, key []string) (map[string][]Val, error) {
	sel := make([]string, len(columns))
	for i, c := range columns {
		q := pgx.Identifier{c}.Sanitize()
		sel[i] = "case when pg_typeof(" + q + ") = 'boolean'::regtype then case " + q + "::text when 'true' then 'true' else 'false' end else " + q + "::text end"
		sel[i] = "case when " + q + " is null then null else " + sel[i] + " end, pg_typeof(" + q + ")::text"
	}
	rows, err := conn.Query(ctx, "select "+strings.Join(sel, ", ")+" from "+relation, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", relation, err)
	}
	defer rows.Close()
	t := Table{Key: indexes(columns, key)}
	out := map[string][]Val{}
	for rows.Next() {
		row, err := scan(rows, len(columns))
		if err != nil {
			return nil, err
		}
		k := t.keyOf(row)
		if _, dup := out[k]; dup {
			return nil, fmt.Errorf("reading %s: key %s is there twice", relation, k)
		}
		out[k] = row
	}
	return out, rows.Err()
}

func scan(rows pgx.Rows, n int) ([]Val, error) {
	vals, types := make([]*string, n), make([]string, n)
	dst := make([]any, 0, 2*n)
	for i := range n {
		dst = append(dst, &vals[i], &types[i])
	}
	if err := rows.Scan(dst...); err != nil {
		return nil, fmt.Errorf("reading a row: %w", err)
	}
	out := make([]Val, n)
	for i, v := range vals {
		switch {
		case v == nil:
			out[i] = null
		case strings.HasPrefix(types[i], "timestamp"):
			out[i] = Val{Text: TrimFraction(strings.TrimSuffix(*v, "+00"))}
		default:
			out[i] = Val{Text: *v}
		}
	}
	return out, nil
}

func indexes(columns, names []string) []int {
	out := make([]int, len(names))
	for i, n := range names {
		for j, c := range columns {
			if c == n {
				out[i] = j
			}
		}
	}
	return out
}
