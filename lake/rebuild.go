//go:build duckdb_arrow

package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window"
)

// Rebuild is one table that is brought back.
type Rebuild struct {
	Store  window.Store
	Sink   window.Sink
	Dir    string // for files on their way; it is emptied
	Memory int64  // bytes that DuckDB may use; what is more goes to disk
}

// Run makes the table as of a chain under another name and returns its rows.
func (r *Rebuild) Run(ctx context.Context, chain []Entry, as window.WarehouseTable) (rows int64, err error) {
	if err := errors.Join(os.RemoveAll(r.Dir), os.MkdirAll(r.Dir, 0o700)); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.Dir)) }()
	files, err := parts(ctx, r.Store, chain, r.Dir)
	if err != nil {
		return 0, err
	}
	last := chain[len(chain)-1]
	made, err := r.fold(ctx, chain, files)
	if err != nil {
		return 0, fmt.Errorf("folding the parts of %s: %w", last.Load.Table, err)
	}
	for _, f := range made {
		rows += f.Rows
	}
	return rows, r.publish(ctx, last, as, made)
}

const images = "images"

// fold makes the parts of the table: the last row of every key, unless that is a delete (invariant 3).
func (r *Rebuild) fold(ctx context.Context, chain []Entry, files [][]string) (made []parquet.File, err error) {
	db, err := duck.Open(ctx, duck.Options{Path: filepath.Join(r.Dir, "rebuild.db"), Memory: r.Memory, Threads: 2})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	load := chain[len(chain)-1].Load
	if err := fill(ctx, c, load, chain, files); err != nil {
		return nil, err
	}
	w := parquet.NewWriter(r.Dir, "rebuilt", parquet.Schema{Columns: load.Columns, Op: true})
	defer func() { err = errors.Join(err, w.Abort()) }()
	for _, q := range []string{"SET GLOBAL preserve_insertion_order = true",
		fmt.Sprintf("CREATE TABLE rebuilt AS SELECT %s, _op FROM (SELECT *, row_number() OVER (PARTITION BY %s ORDER BY _ord DESC) AS _n FROM %s) WHERE _n = 1 AND _op = %d ORDER BY %[2]s",
			duck.Idents(names(load.Columns)), duck.Idents(load.Key), images, ingest.Upsert)} {
		if _, err := c.Exec(ctx, q); err != nil {
			return nil, err
		}
	}
	if err := c.Pages(ctx, "rebuilt", "*", 64<<10, func(b arrow.RecordBatch) error { return w.Write(ctx, b) }); err != nil {
		return nil, err
	}
	return w.Close(ctx)
}

// fill brings all parts into one table, each with its place in the chain. A column that was added later is NULL before.
func fill(ctx context.Context, c *duck.Conn, load window.TableLoad, chain []Entry, files [][]string) error {
	columns := []string{"_ord INTEGER"}
	for _, col := range load.Columns {
		columns = append(columns, duck.Ident(col.Name)+" "+duck.ColumnType(col.Type))
	}
	if _, err := c.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s, _op INTEGER)", images, strings.Join(columns, ", "))); err != nil {
		return err
	}
	for i, e := range chain {
		have := map[string]bool{}
		for _, col := range e.Load.Columns {
			have[col.Name] = true
		}
		list := []string{fmt.Sprint(i)}
		for _, col := range load.Columns {
			value := "NULL"
			if have[col.Name] {
				value = duck.Ident(col.Name)
			}
			list = append(list, fmt.Sprintf("CAST(%s AS %s)", value, duck.ColumnType(col.Type)))
		}
		for _, file := range files[i] {
			if _, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT %s, %s FROM read_parquet(%s)", images, strings.Join(list, ", "), ingest.OpColumn, duck.Literal(file))); err != nil {
				return err
			}
		}
	}
	return nil
}

func names(columns []ingest.Column) (out []string) {
	for _, c := range columns {
		out = append(out, c.Name)
	}
	return out
}

// publish makes the table by a publish of its own: with a fence, a receipt and a manifest (invariant 4).
func (r *Rebuild) publish(ctx context.Context, last Entry, as window.WarehouseTable, made []parquet.File) error {
	pipeline := "rebuild." + as.String()
	epoch := int64(1)
	f, err := r.Sink.Fence(ctx, pipeline)
	if err == nil {
		epoch = f.Epoch + 1
	} else if !errors.Is(err, window.ErrNoFence) {
		return fmt.Errorf("reading the fence of an earlier rebuild: %w", err)
	}
	if f, err = r.Sink.Acquire(ctx, pipeline, epoch); err != nil {
		return err
	}
	step := window.Step{Start: last.Step.Start, End: last.Step.End, Slice: last.Step.Slice, Final: last.Step.Final}
	attempt := uuid.NewString()
	load := window.TableLoad{Table: as, Columns: last.Load.Columns, Key: last.Load.Key, Replace: true}
	local := map[string]string{}
	folder := func(of string) string {
		return fmt.Sprintf("%s/%s/w=%s/k=%d/%s/", pipeline, of, step.Start.UTC().Format("20060102T150405Z"), step.Slice, attempt)
	}
	for i, p := range made {
		key := fmt.Sprintf("%spart-%d.parquet", folder(as.String()), i)
		if err := r.Store.Put(ctx, key, p.Path); err != nil {
			return fmt.Errorf("storing a part: %w", err)
		}
		local[key] = p.Path
		load.Parts = append(load.Parts, window.Part{Key: key, Bytes: p.Bytes, Rows: p.Rows, SHA256: p.SHA256})
		load.Upserts += p.Rows
	}
	m := window.Manifest{Pipeline: pipeline, Step: step, Attempt: attempt, Tables: []window.TableLoad{load}}
	p := &window.Publication{Pipeline: pipeline, Step: step, Prev: f.Step, Epoch: epoch, Lineage: f.Lineage, Cut: window.Cut{}, Manifest: m, Hash: m.Hash(), ManifestKey: folder("_manifest") + "manifest.json"}
	if err := r.putManifest(ctx, p); err != nil {
		return err
	}
	return r.Sink.Publish(ctx, p, func(_ context.Context, part window.Part) (string, error) { return local[part.Key], nil })
}

func (r *Rebuild) putManifest(ctx context.Context, p *window.Publication) error {
	text, err := json.Marshal(p.Manifest)
	if err != nil {
		return err
	}
	file := filepath.Join(r.Dir, "manifest.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	if err := r.Store.Put(ctx, p.ManifestKey, file); err != nil {
		return fmt.Errorf("storing the manifest: %w", err)
	}
	return nil
}
