package conform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window"
)

// Pipeline publishes made-up steps to a warehouse, as the window stage does: parts through internal/parquet, every one
// read back by the library that did not write it.
type Pipeline struct {
	t     testing.TB
	Name  string
	Fence window.Fence // as of the last Acquire or Publish
	files map[string]string
}

// NewPipeline returns a pipeline that has acquired nothing yet.
func NewPipeline(t testing.TB, name string) *Pipeline {
	return &Pipeline{t: t, Name: name, files: map[string]string{}}
}

// Acquire takes the pipeline's fence.
func (p *Pipeline) Acquire(w window.Sink, epoch int64) {
	p.t.Helper()
	f, err := w.Acquire(p.t.Context(), p.Name, epoch)
	if err != nil {
		p.t.Fatal(err)
	}
	if f.Epoch != epoch || f.Lineage == "" || f.Pipeline != p.Name {
		p.t.Fatalf("acquired %+v, want epoch %d and a lineage", f, epoch)
	}
	p.Fence = f
}

// Load is one table of a step.
type Load struct {
	Table   window.WarehouseTable
	Columns []ingest.Column
	Key     []string
	Replace bool
	Parts   []func(*ingest.Builder) // each fills one part
}

// Next makes the publication that follows the fence. A window has two slices.
func (p *Pipeline) Next(loads ...Load) *window.Publication {
	p.t.Helper()
	prev := p.Fence.Step
	step := window.Step{Start: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)}
	switch {
	case prev.Start.IsZero():
	case prev.Final:
		step.Start = prev.End
	default:
		step.Start, step.Slice, step.Final = prev.Start, prev.Slice+1, true
	}
	step.End = step.Start.Add(15 * time.Minute)
	attempt := uuid.NewString()
	m := window.Manifest{Pipeline: p.Name, Step: step, Attempt: attempt}
	for i, l := range loads {
		m.Tables = append(m.Tables, p.write(l, fmt.Sprintf("%s/%s/%d", p.Name, attempt, i)))
	}
	return &window.Publication{
		Pipeline: p.Name, Step: step, Prev: prev, Epoch: p.Fence.Epoch, Lineage: p.Fence.Lineage,
		Cut: window.Cut{"consult": {Position: ingest.Position(fmt.Sprintf("0-1-%d", step.Start.Unix())), Ordinal: 7, Window: step.Start,
			Topics: map[string][]window.PartCut{"tm.consult.clinic.patients": {{Offset: 11, Seq: 5, Epoch: 3}}}}},
		Manifest: m, ManifestKey: p.Name + "/" + attempt + "/manifest.json", Hash: hash(p.t, m),
		Stats: window.ReceiptStats{TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", RowsIn: 9, Late: 2, Join: time.Second},
	}
}

// Bad is a row of a step that is in no table: it goes into quarantine, or with Resolved out of it.
type Bad struct {
	Table    window.WarehouseTable
	Key      string
	Column   string
	Fault    string
	Row      string
	Resolved bool
}

// Quarantine makes the publication that follows the fence, with rows that are put into quarantine or let out of it.
func (p *Pipeline) Quarantine(bad []Bad, loads ...Load) *window.Publication {
	p.t.Helper()
	pub := p.Next(loads...)
	q := p.write(Load{Table: window.QuarantineTable, Columns: window.QuarantineColumns, Key: window.QuarantineKey, Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
		for _, r := range bad {
			values := []string{r.Table.Schema, r.Table.Name, r.Key, r.Column, r.Fault, r.Row}
			op := ingest.Upsert
			if r.Resolved {
				op = ingest.Delete
			}
			for i, v := range values {
				if i > 2 && r.Resolved {
					b.Cols[i].Null()
				} else {
					b.Cols[i].Bytes([]byte(v))
				}
			}
			b.End(op)
		}
	}}}, pub.Manifest.Attempt)
	pub.Manifest.Quarantine = &q
	pub.Hash = hash(p.t, pub.Manifest)
	return pub
}

// hash stands for Manifest.Hash: the suite needs only that equal manifests have equal ones.
func hash(t testing.TB, m window.Manifest) string {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (p *Pipeline) write(l Load, key string) window.TableLoad {
	p.t.Helper()
	out := window.TableLoad{Table: l.Table, Columns: l.Columns, Key: l.Key, Replace: l.Replace}
	dir := p.t.TempDir()
	for i, fill := range l.Parts {
		b := ingest.NewBuilder(&ingest.Schema{Columns: l.Columns, Key: l.Key})
		fill(b)
		rec := b.Record()
		schema := parquet.Schema{Columns: l.Columns, Op: true}
		w := parquet.NewWriter(dir, fmt.Sprintf("part%d", i), schema)
		if err := w.Write(p.t.Context(), rec); err != nil {
			p.t.Fatal(err)
		}
		ops := rec.Column(len(l.Columns)).(interface{ Value(int) uint8 })
		for r := range int(rec.NumRows()) {
			if ingest.Op(ops.Value(r)) == ingest.Delete {
				out.Deletes++
			} else {
				out.Upserts++
			}
		}
		files, err := w.Close(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		for _, f := range files {
			r, err := parquet.Check(f.Path, schema)
			if err != nil {
				p.t.Fatal(err)
			}
			if r.Rows != f.Rows {
				p.t.Fatalf("%s has %d rows for parquet-go, %d for its writer", f.Path, r.Rows, f.Rows)
			}
			part := window.Part{Key: key + "/" + filepath.Base(f.Path), Bytes: f.Bytes, Rows: f.Rows, SHA256: f.SHA256}
			p.files[part.Key] = f.Path
			out.Parts = append(out.Parts, part)
		}
	}
	return out
}

// Local is the argument of Publish.
func (p *Pipeline) Local(_ context.Context, part window.Part) (string, error) {
	f, ok := p.files[part.Key]
	if !ok {
		return "", fmt.Errorf("no part %s", part.Key)
	}
	return f, nil
}

// Publish publishes and follows the fence.
func (p *Pipeline) Publish(w window.Sink, pub *window.Publication) {
	p.t.Helper()
	if err := w.Publish(p.t.Context(), pub, p.Local); err != nil {
		p.t.Fatal(err)
	}
	p.Follow(w)
	f := p.Fence
	if !f.Step.Start.Equal(pub.Step.Start) || !f.Step.End.Equal(pub.Step.End) || f.Step.Slice != pub.Step.Slice || f.Step.Final != pub.Step.Final ||
		f.Manifest != pub.Hash || f.Epoch != pub.Epoch || f.Lineage != pub.Lineage || f.At.IsZero() {
		p.t.Fatalf("after the publish the fence is %+v, want %+v", f, pub.Step)
	}
	if got, want := hashCut(p.t, f.Cut), hashCut(p.t, pub.Cut); got != want {
		p.t.Fatalf("the fence's cut is %s, want %s", got, want)
	}
}

// Follow reads the fence.
func (p *Pipeline) Follow(w window.Sink) {
	p.t.Helper()
	f, err := w.Fence(p.t.Context(), p.Name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Fence = f
}

func hashCut(t testing.TB, c window.Cut) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Rows reads a published table: each row as its cells, keyed by the first cell.
func Rows(t testing.TB, w window.TableReader, table window.WarehouseTable, columns []ingest.Column) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := w.ReadTable(t.Context(), table, columns, func(b arrow.RecordBatch) error {
		for i, f := range b.Schema().Fields() {
			if f.Name != columns[i].Name || !arrow.TypeEqual(f.Type, columns[i].Type.Arrow()) {
				t.Errorf("column %d of %s is %s %s, want %s %s", i, table, f.Name, f.Type, columns[i].Name, columns[i].Type.Arrow())
			}
		}
		collect(t, out, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func collect(t testing.TB, out map[string][]string, b arrow.RecordBatch) {
	t.Helper()
	for r := range int(b.NumRows()) {
		row := make([]string, b.NumCols())
		for c := range row {
			row[c] = Cell(b.Column(c), r)
		}
		if _, twice := out[row[0]]; twice {
			t.Errorf("the key %s is there twice", row[0])
		}
		out[row[0]] = row
	}
}

// Ask runs a query that gives one row.
func Ask(t testing.TB, w window.Querier, sql string) []string {
	t.Helper()
	var rows [][]string
	err := w.Query(t.Context(), sql, func(b arrow.RecordBatch) error {
		for r := range int(b.NumRows()) {
			row := make([]string, b.NumCols())
			for c := range row {
				row[c] = Cell(b.Column(c), r)
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rows) != 1 {
		t.Fatalf("%s: %d rows, want 1", sql, len(rows))
	}
	return rows[0]
}

// Known makes a local file known as a part.
func (p *Pipeline) Known(key, file string) { p.files[key] = file }
