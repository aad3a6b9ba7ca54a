package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Stage implements elt.Stager.
func (j *jobSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	if via == elt.ViaParquet {
		n, err := j.throughParquet(ctx, table, query)
		return n, jobError(ctx, err)
	}
	if _, err := j.Exec(ctx, "CREATE TEMPORARY TABLE "+ident(table)+" AS "+query); err != nil {
		return 0, err
	}
	var n int64
	err := j.Query(ctx, "SELECT count(*) FROM "+ident(table), func(row []any) error { n = row[0].(int64); return nil })
	return n, err
}

// passage is the temporary table that Parquet is copied into.
const passage = "tidemill_passage"

// throughParquet stages the rows of a SELECT through Parquet files of this machine: the server knows the format no better than
// COPY does, so the rows go out as a query's and in as a load's. Types that no kind of ours holds go as their text, which the
// server reads back. Both halves see the transaction's snapshot.
func (j *jobSession) throughParquet(ctx context.Context, table, query string) (int64, error) {
	for _, q := range []string{"CREATE TEMPORARY TABLE " + ident(table) + " AS SELECT * FROM (\n" + query + "\n) AS q WITH NO DATA", "DROP TABLE IF EXISTS pg_temp." + passage} {
		if _, err := j.Exec(ctx, q); err != nil {
			return 0, err
		}
	}
	d, err := j.tx.Prepare(ctx, "", "SELECT * FROM pg_temp."+ident(table))
	if err != nil {
		return 0, err
	}
	have, err := j.Columns(ctx, table)
	if err != nil {
		return 0, err
	}
	load := &window.TableLoad{Table: window.WarehouseTable{Schema: "pg_temp", Name: passage}}
	formats := make(pgx.QueryResultFormats, len(have))
	var defs, in []string
	for i, f := range d.Fields {
		c := ingest.Column{Name: fmt.Sprintf("c%d", i+1), Nullable: true}
		c.Type, formats[i] = resultType(f.DataTypeOID, f.TypeModifier)
		load.Columns = append(load.Columns, c)
		defs, in = append(defs, c.Name+" "+columnType(c.Type)), append(in, c.Name+"::"+have[i].Type)
	}
	dir, err := scratch()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	files, err := j.writeParquet(ctx, dir, query, formats, load)
	if err != nil {
		return 0, err
	}
	if _, err := j.Exec(ctx, "CREATE TEMPORARY TABLE "+passage+" ("+strings.Join(defs, ", ")+") ON COMMIT DROP"); err != nil {
		return 0, err
	}
	e := newEncoder(load, false)
	if err := copyFrom(ctx, j.conn.PgConn(), "COPY pg_temp."+passage+" FROM STDIN (FORMAT binary)", e, files); err != nil {
		return 0, err
	}
	if err := ledger.CheckCounts(load, e.counts); err != nil {
		return 0, err
	}
	return j.Exec(ctx, "INSERT INTO pg_temp."+ident(table)+" SELECT "+strings.Join(in, ", ")+" FROM pg_temp."+passage)
}

// writeParquet writes the rows of the query and counts them into the load.
func (j *jobSession) writeParquet(ctx context.Context, dir, query string, formats pgx.QueryResultFormats, load *window.TableLoad) (paths []string, err error) {
	w := parquet.NewWriter(dir, "rows", parquet.Schema{Columns: load.Columns, Op: true})
	defer func() { err = errors.Join(err, w.Abort()) }()
	err = streamOps(ctx, j.tx, query, formats, load.Columns, func(b arrow.RecordBatch) error { return w.Write(ctx, b) })
	if err != nil {
		return nil, err
	}
	files, err := w.Close(ctx)
	for _, f := range files {
		paths = append(paths, f.Path)
		load.Upserts += f.Rows
	}
	return paths, err
}

// leftBehind is after how long a folder is taken for that of a process that was killed.
const leftBehind = 24 * time.Hour

// scratch makes a folder for one run that nobody else may enter, and removes what killed processes have left.
func scratch() (string, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), "tidemill-job-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if i, err := os.Stat(dir); err == nil && time.Since(i.ModTime()) > leftBehind {
			_ = os.RemoveAll(dir) // or another does
		}
	}
	return os.MkdirTemp("", "tidemill-job-")
}
