//go:build duckdb_arrow

package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// TestWideRows: rows that DuckDB cannot hold 2,048 of are refused with what mends it, not with advice for somebody in its shell.
func TestWideRows(t *testing.T) {
	f, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "state.db"), Memory: 64 << 20, Threads: 1, TempQuota: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	primed(t, f)
	wide := strings.Repeat("wide", 1<<18)
	var rows []change
	for i := range 100 {
		rows = append(rows, upsert(int64(i), int64(i), fmt.Sprint(wide, i), nil))
	}
	p := Plan{Outputs: []Output{{Name: "v", View: compileTest(t, "SELECT v.id, v.note FROM s.visits v", "id")}}}
	_, _, err = f.Prepare(t.Context(), p, []Changes{{Input: "s.visits", Schema: visits, Batches: batches(visits, rows, 10)}}, t.TempDir(), nothing)
	var m *MemoryError
	if !errors.As(err, &m) || strings.Contains(err.Error(), "SET ") || !strings.Contains(err.Error(), "s.visits") || !strings.Contains(err.Error(), "memory in tidemill.yaml") {
		t.Fatalf("%v", err)
	}
	t.Log(err)
}

// TestWideRowsChangedOften: versions that are superseded need no room.
func TestWideRowsChangedOften(t *testing.T) {
	f, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "state.db"), Memory: 128 << 20, Threads: 1, TempQuota: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	primed(t, f)
	wide := strings.Repeat("wide", 1<<17)
	w, err := NewSpillWriter(filepath.Join(t.TempDir(), "run"), visits.Arrow())
	if err != nil {
		t.Fatal(err)
	}
	const n, keys = 600, 7
	version := func(i int) []change {
		if i%keys == 3 && i >= n-keys {
			return []change{{op: ingest.Delete, row: []any{int64(3), nil, nil, nil}}}
		}
		return []change{upsert(int64(i%keys), int64(i), fmt.Sprint(wide, i), nil)}
	}
	var late []arrow.RecordBatch
	for i := range n {
		b := batches(visits, version(i), 1)[0]
		if i >= n-2 {
			late = append(late, b)
		} else if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p := Plan{Outputs: []Output{
		{Name: "visits", Input: "s.visits", Schema: visits},
		{Name: "v", View: compileTest(t, "SELECT v.id, v.person_id FROM s.visits v", "id")},
	}}
	d, stats, err := f.Prepare(t.Context(), p, []Changes{{Input: "s.visits", Schema: visits, Spilled: []string{w.path}, Batches: late}}, t.TempDir(), nothing)
	if err != nil {
		t.Fatal(err)
	}
	if d[0].Upserts != keys-1 || d[0].Deletes != 1 || d[1].Upserts != keys-1 {
		t.Errorf("%+v", d)
	}
	for id := range keys {
		want := int64(n - keys + (id-(n-keys)%keys+keys)%keys)
		got, err := duck.Scalar[int64](t.Context(), f.conn, fmt.Sprintf("SELECT coalesce(max(person_id), -1) FROM %s WHERE id = %d", tableName("s.visits"), id))
		if id == 3 {
			want = -1
		}
		if err != nil || got != want {
			t.Errorf("row %d has version %d, want %d (%v)", id, got, want, err)
		}
	}
	t.Logf("%+v", stats)
}

// TestSupersededDecimals: whether two batches hold the same key does not depend on what else is in them. One batch has keys of one
// upper half only, whose lower halves would be enough within it.
func TestSupersededDecimals(t *testing.T) {
	s := &ingest.Schema{Table: ingest.TableName{Name: "t"}, Key: []string{"k"},
		Columns: []ingest.Column{{Name: "k", Type: ingest.Type{Kind: ingest.Decimal, Precision: 20}}, {Name: "v", Type: integer}, {Name: "note", Type: text}}}
	wide := strings.Repeat("w", 2*wideRow)
	row := func(k int64, v int32) change { return change{ingest.Upsert, []any{k, v, wide}} }
	w, err := NewSpillWriter(filepath.Join(t.TempDir(), "run"), s.Arrow())
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]change{{row(1, 1), row(2, 2)}, {row(-1, 3), row(1, 4)}, {row(-1, 5), row(-2, 6)}} {
		if err := w.Write(batches(s, rows, 2)[0]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, dropped, err := compact(t.Context(), []Changes{{Input: "t", Schema: s, Spilled: []string{w.path}}}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var got []int32
	for _, b := range out[0].Batches {
		got = append(got, b.Column(1).(*array.Int32).Int32Values()...)
	}
	if want := []int32{2, 4, 5, 6}; dropped != 2 || !slices.Equal(got, want) {
		t.Errorf("%d rows were left out, rows %v remain, want %v", dropped, got, want)
	}
}
