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

// pageRows is how many rows of a delta are in memory at a time.
const pageRows = 256 << 10

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
	err = s.write(ctx, &d, name, fmt.Sprintf("SELECT %s, %s::INTEGER AS %s FROM %s%s", strings.Join(cols, ", "), ingest.OpColumn, ingest.OpColumn, st.table, where), st.keys)
	return d, err
}

// write runs a query of the delta's columns and the operation, sorted by key (invariant 5), into part files.
func (s *step) write(ctx context.Context, d *Delta, name, query string, rows int64) (err error) {
	defer s.clock(&s.stats.Parquet)()
	w := parquet.NewWriter(s.dir, name, parquet.Schema{Columns: d.Columns, Op: true})
	defer func() { err = errors.Join(err, w.Abort()) }()
	each := func(b arrow.RecordBatch) error {
		for _, op := range b.Column(len(d.Columns)).(*array.Int32).Int32Values() {
			if op == int32(ingest.Upsert) {
				d.Upserts++
			} else {
				d.Deletes++
			}
		}
		return w.Write(ctx, b)
	}
	query += " ORDER BY " + duck.Idents(d.Key)
	if rows <= pageRows {
		err = s.conn.Query(ctx, query, each)
	} else {
		err = s.pages(ctx, query, each)
	}
	if err != nil {
		return fmt.Errorf("writing parts: %w", err)
	}
	d.Parts, err = w.Close(ctx)
	return err
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
