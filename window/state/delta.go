//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/parquet"
)

// pageRows is how many rows of a large delta are in memory at a time.
const pageRows = 64 << 10

// fits reports whether DuckDB may hold a sorted result of so many rows as a whole: an eighth of its memory, at a guess of
// 32 bytes a value.
func (s *step) fits(rows int64, columns int) bool {
	limit := s.options.Memory
	if limit == 0 {
		limit = duck.DefaultMemory
	}
	return rows*int64(columns+1)*32 <= limit/8
}

// newPart names the part files of the i-th output.
func (s *step) newPart(i int) string { return fmt.Sprintf("%04d", i) }

// replica is the delta of a replicated table: the last row of every changed key. It needs no state.
func (s *step) replica(ctx context.Context, o Output, name string) (Delta, error) {
	st := s.staged[o.Input]
	d := Delta{Output: o.Name, Columns: o.Schema.Columns, Key: o.Schema.Key, Replace: o.Replace}
	if st == nil {
		return d, nil
	}
	all, err := union(o.Input, o.Schema, st.schema)
	if err != nil {
		return d, err
	}
	d.Columns = all.Columns
	return d, s.write(ctx, &d, o, name, func(each func(arrow.RecordBatch) error) error {
		if st.memory != nil {
			return st.memory.read(ctx, all, o.Replace, each)
		}
		cols := make([]string, len(all.Columns))
		for i, c := range all.Columns {
			cols[i] = duck.Ident(c.Name)
			if st.schema.Column(c.Name) < 0 {
				cols[i] = fmt.Sprintf("NULL::%s AS %s", columnType(c.Type), cols[i])
			}
		}
		where := ""
		if o.Replace { // the table is emptied first: there is nothing to delete
			where = fmt.Sprintf(" WHERE %s = %d", ingest.OpColumn, ingest.Upsert)
		}
		query := fmt.Sprintf("SELECT %s, %s::INTEGER AS %s FROM %s%s", strings.Join(cols, ", "), ingest.OpColumn, ingest.OpColumn, st.table, where)
		return s.sorted(ctx, query, &d, st.keys, each)
	})
}

// write runs the rows that read gives, sorted by key (invariant 5) and screened (invariant 8), into part files. The last
// column is the operation.
func (s *step) write(ctx context.Context, d *Delta, o Output, name string, read func(func(arrow.RecordBatch) error) error) (err error) {
	defer s.clock(&s.stats.Parquet)()
	w := parquet.NewWriter(s.dir, name, parquet.Schema{Columns: d.Columns, Op: true})
	defer func() { err = errors.Join(err, w.Abort()) }()
	q := s.screen(d, o, w.Write)
	if err = read(func(b arrow.RecordBatch) error { return q.pass(ctx, b) }); err != nil {
		return fmt.Errorf("writing parts: %w", err)
	}
	d.Parts, err = w.Close(ctx)
	d.Changed = w.Changed()
	return err
}

// countUpserts counts in an operation column, which is INTEGER from DuckDB and uint8 from batches.
func countUpserts(ops arrow.Array) (n int64) {
	switch ops := ops.(type) {
	case *array.Int32:
		for _, op := range ops.Int32Values() {
			if op == int32(ingest.Upsert) {
				n++
			}
		}
	case *array.Uint8:
		for _, op := range ops.Uint8Values() {
			if op == uint8(ingest.Upsert) {
				n++
			}
		}
	}
	return n
}

// sorted reads the query of a delta of about so many rows, in key order.
func (s *step) sorted(ctx context.Context, query string, d *Delta, rows int64, each func(arrow.RecordBatch) error) error {
	query += " ORDER BY " + duck.Idents(d.Key)
	if s.fits(rows, len(d.Columns)) {
		return s.conn.Query(ctx, query, each)
	}
	return s.pages(ctx, query, each)
}

// pages sorts a large result into a temp table, which may spill, and reads it page by page.
func (s *step) pages(ctx context.Context, query string, each func(arrow.RecordBatch) error) error {
	table := s.temp("sorted")
	for _, stmt := range []string{"SET GLOBAL preserve_insertion_order = true", fmt.Sprintf("CREATE TEMP TABLE %s AS %s", table, query)} {
		if _, err := s.conn.Exec(ctx, stmt); err != nil {
			return err
		}
	}
	err := s.conn.Pages(ctx, table, "*", pageRows, each)
	_, serr := s.conn.Exec(context.WithoutCancel(ctx), "SET GLOBAL preserve_insertion_order = false")
	return errors.Join(err, serr, s.drop(ctx, table))
}
