//go:build duckdb_arrow

package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window/view"
)

func openTest(t *testing.T) *File {
	t.Helper()
	f, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "state.db"), Memory: 200 << 20, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func nothing([]Delta) ([]byte, error) { return []byte("{}"), nil }

func prepare(t *testing.T, f *File, p Plan, changes ...Changes) []Delta {
	t.Helper()
	d, _, err := f.Prepare(t.Context(), p, changes, t.TempDir(), nothing)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func upsert(row ...any) change { return change{op: ingest.Upsert, row: row} }

// people and visits are two small tables; visits' text columns take anything.
var (
	people = &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "people"}, Key: []string{"id"},
		Columns: []ingest.Column{{Name: "id", Type: bigint}, {Name: "name", Type: text}}}
	visits = &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "visits"}, Key: []string{"id"},
		Columns: []ingest.Column{{Name: "id", Type: bigint}, {Name: "person_id", Type: bigint}, {Name: "note", Type: text}, {Name: "score", Type: ingest.Type{Kind: ingest.Float64}}}}
)

func compileTest(t *testing.T, sql string, key ...string) *view.View {
	t.Helper()
	v, err := view.Compile(t.Context(), view.Spec{Name: "v", SQL: sql, Key: key}, []view.Table{
		{Input: "s.people", Source: "s", Schema: people}, {Input: "s.visits", Source: "s", Schema: visits}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func primed(t *testing.T, f *File) {
	t.Helper()
	for input, s := range map[string]*ingest.Schema{"s.people": people, "s.visits": visits} {
		if err := f.Prime(t.Context(), input, s, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// unsigned is what an unsigned integer of 64 bits becomes.
var unsigned = ingest.Type{Kind: ingest.Decimal, Precision: 20}

// TestSameParts: the parts of a replica do not depend on how its changes came (invariant 5): cut, spilled, in memory or
// through DuckDB.
func TestSameParts(t *testing.T) {
	for _, key := range [][]ingest.Type{
		{bigint}, {integer}, {{Kind: ingest.Int16}}, {text}, {{Kind: ingest.Bytes}}, {money}, {unsigned}, {{Kind: ingest.Date}}, {{Kind: ingest.TimestampTZ}},
		{text, bigint}, {{Kind: ingest.Bytes}, {Kind: ingest.Bytes}}, {boolean, text, integer}, {money, {Kind: ingest.Timestamp}},
	} {
		s := &ingest.Schema{Table: ingest.TableName{Name: "t"}}
		for i, k := range key {
			s.Key = append(s.Key, fmt.Sprint("k", i))
			s.Columns = append(s.Columns, ingest.Column{Name: s.Key[i], Type: k})
		}
		s.Columns = append(s.Columns, ingest.Column{Name: "payload", Type: text}, ingest.Column{Name: "n", Type: integer})
		t.Run(fmt.Sprint(key), func(t *testing.T) {
			rows := randomRows(s, 3000)
			plan := Plan{Outputs: []Output{{Name: "t", Input: "t", Schema: s}}}
			var want string
			for i, how := range []struct {
				batch       int
				duck, spill bool
			}{{batch: 3000}, {batch: 7}, {batch: 3000, duck: true}, {batch: 11, duck: true}, {batch: 100, spill: true}} {
				f := openTest(t)
				f.onlyDuck = how.duck
				c := Changes{Input: "t", Schema: s, Batches: batches(s, rows, how.batch)}
				if how.spill {
					w, err := NewSpillWriter(filepath.Join(t.TempDir(), "run"), s.Arrow())
					if err != nil {
						t.Fatal(err)
					}
					for _, b := range c.Batches[:20] {
						if err := w.Write(b); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := w.Close(); err != nil {
						t.Fatal(err)
					}
					c.Spilled, c.Batches = []string{w.path}, c.Batches[20:]
				}
				d := prepare(t, f, plan, c)[0]
				if len(d.Parts) != 1 || d.Deletes == 0 || d.Upserts == 0 {
					t.Fatalf("%+v", d)
				}
				if i == 0 {
					want = d.Parts[0].SHA256
				} else if d.Parts[0].SHA256 != want {
					t.Errorf("%+v: other bytes, %d upserts, %d deletes", how, d.Upserts, d.Deletes)
				}
			}
		})
	}
}

// randomRows draws keys from edge values, so that order matters: negative, empty, prefixes of each other, zero bytes.
func randomRows(s *ingest.Schema, n int) []change {
	r := rand.New(rand.NewPCG(5, 5))
	texts := []string{"", "a", "ab", "abcdefgh", "abcdefghi", "abcdefghj", "é", "\U0001F600", "Z", "a b", "a\x00", "a\x00b", "\x00", "\x01"}
	var out []change
	for range n {
		row := make([]any, len(s.Columns))
		for i, c := range s.Columns {
			switch c.Type.Kind {
			case ingest.Int64, ingest.Decimal, ingest.Timestamp, ingest.TimestampTZ:
				v := []int64{0, 1, -1, 255, 256, -256, 1 << 33, -(1 << 33), int64(r.IntN(1000)) - 500}[r.IntN(9)]
				if c.Type == unsigned {
					v &= 1<<40 - 1
				}
				row[i] = v
			case ingest.Int32, ingest.Date:
				row[i] = int32(r.IntN(700)) - 350
			case ingest.Int16:
				row[i] = int16(r.IntN(700)) - 350
			case ingest.Bool:
				row[i] = r.IntN(2) == 0
			default:
				row[i] = texts[r.IntN(len(texts))] + texts[r.IntN(len(texts))]
			}
		}
		op := ingest.Upsert
		if r.IntN(4) == 0 {
			op = ingest.Delete
			row[len(row)-1], row[len(row)-2] = nil, nil
		}
		out = append(out, change{op: op, row: row})
	}
	return out
}

// TestKeyErrors is invariant 4: keys that are shared or NULL halt the step, and the error tells no value.
func TestKeyErrors(t *testing.T) {
	for sql, what := range map[string]string{
		"SELECT p.id, coalesce(v.person_id, 0) AS vid, v.note FROM s.people p JOIN s.visits v ON v.person_id = p.id": "is shared by several rows for 1",
		"SELECT p.id, nullif(p.name, 'canary') AS vid, v.note FROM s.people p JOIN s.visits v ON v.person_id = p.id": "is NULL in 2 rows",
	} {
		f := openTest(t)
		primed(t, f)
		p := Plan{Outputs: []Output{{Name: "mart.v", View: compileTest(t, sql, "id", "vid")}}}
		changes := []Changes{
			{Input: "s.people", Schema: people, Batches: batches(people, []change{upsert(int64(1), "canary")}, 9)},
			{Input: "s.visits", Schema: visits, Batches: batches(visits, []change{upsert(int64(1), int64(1), "a", nil), upsert(int64(2), int64(1), "b", nil)}, 9)},
		}
		_, _, err := f.Prepare(t.Context(), p, changes, t.TempDir(), nothing)
		var e *KeyError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "E_KEY: view mart.v: key [id vid]") {
			t.Errorf("%s: %v", sql, err)
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("the error tells a value: %v", err)
		}
	}
}

func TestNoValueInErrors(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	v := compileTest(t, "SELECT p.id, CAST(p.name AS BIGINT) AS n FROM s.people p", "id")
	_, _, err := f.Prepare(t.Context(), Plan{Outputs: []Output{{Name: "v", View: v}}},
		[]Changes{{Input: "s.people", Schema: people, Batches: batches(people, []change{upsert(int64(1), "canary")}, 9)}}, t.TempDir(), nothing)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func TestNotPrimed(t *testing.T) {
	f := openTest(t)
	p := Plan{Outputs: []Output{{Name: "v", View: compileTest(t, "SELECT p.id, p.name FROM s.people p", "id")}}}
	_, _, err := f.Prepare(t.Context(), p, nil, t.TempDir(), nothing)
	var e *NotPrimedError
	if !errors.As(err, &e) || len(e.Inputs) != 1 || e.Inputs[0] != "s.people" {
		t.Errorf("%v", err)
	}
	if got := f.Missing(p); len(got) != 1 || got[0] != "s.people" {
		t.Errorf("missing %v", got)
	}
	if _, _, err := f.Prepare(t.Context(), Plan{}, []Changes{{Input: "s.people", Schema: people}}, t.TempDir(), nothing); err == nil {
		t.Error("changes of a table that nothing reads were taken")
	}
}

// TestSchemas: batches of several schemas meet by name; another type or key is refused.
func TestSchemas(t *testing.T) {
	wider := &ingest.Schema{Table: people.Table, Key: people.Key, Columns: []ingest.Column{{Name: "city", Type: text}, {Name: "id", Type: bigint}, {Name: "name", Type: text}}}
	narrow := Changes{Input: "s.people", Schema: people, Batches: batches(people, []change{upsert(int64(1), "x"), upsert(int64(2), "y")}, 1)}
	wide := Changes{Input: "s.people", Schema: wider, Batches: batches(wider, []change{upsert("Solo", int64(2), "z")}, 1)}
	for _, stateful := range []bool{false, true} {
		f := openTest(t)
		p := Plan{Outputs: []Output{{Name: "people", Input: "s.people", Schema: people}}}
		if stateful {
			primed(t, f)
			p.Outputs = append(p.Outputs, Output{Name: "v", View: compileTest(t, "SELECT p.id, p.name FROM s.people p", "id")})
		}
		d := prepare(t, f, p, narrow, wide)
		var got []string
		for _, delta := range d {
			for _, c := range delta.Columns {
				got = append(got, c.Name)
			}
			err := parquet.Read(t.Context(), delta.Parts[0].Path, parquet.Schema{Columns: delta.Columns, Op: true}, func(b arrow.RecordBatch) error {
				for i := range int(b.NumRows()) {
					_, row, op := rowText(b, delta.Key, i)
					got = append(got, row+":"+op)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		want := "id name city 1|x|(null):1 2|z|Solo:1"
		if stateful {
			want += " id name 1|x:1 2|z:1"
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
	f := openTest(t)
	p := Plan{Outputs: []Output{{Name: "people", Input: "s.people", Schema: people}}}
	for what, bad := range map[string]*ingest.Schema{
		"column name changed from text to int32":      {Table: people.Table, Key: people.Key, Columns: []ingest.Column{{Name: "id", Type: bigint}, {Name: "name", Type: integer}}},
		"its primary key changed from (id) to (name)": {Table: people.Table, Key: []string{"name"}, Columns: people.Columns},
	} {
		_, _, err := f.Prepare(t.Context(), p, []Changes{narrow, {Input: "s.people", Schema: bad}}, t.TempDir(), nothing)
		var e *SchemaError
		if !errors.As(err, &e) || e.Input != "s.people" || e.What != what {
			t.Errorf("%v, want %s", err, what)
		}
	}
}

// TestHeld: a view that was held while its inputs moved is replaced when it is published again.
func TestHeld(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	p := Plan{Outputs: []Output{{Name: "v", View: compileTest(t, "SELECT p.id, p.name FROM s.people p", "id")}}}
	step := func(hold bool, row change) Delta {
		p.Outputs[0].Hold = hold
		return prepare(t, f, p, Changes{Input: "s.people", Schema: people, Batches: batches(people, []change{row}, 1)})[0]
	}
	if d := step(false, upsert(int64(1), "a")); !d.Replace || d.Upserts != 1 {
		t.Errorf("first: %+v", d)
	}
	if d := step(true, upsert(int64(2), "b")); d.Replace || len(d.Parts) != 0 {
		t.Errorf("held: %+v", d)
	}
	if d := step(false, upsert(int64(3), "c")); !d.Replace || d.Upserts != 3 {
		t.Errorf("after the hold: %+v", d)
	}
	if d := step(false, upsert(int64(3), "d")); d.Replace || d.Upserts != 1 {
		t.Errorf("then: %+v", d)
	}
}

// TestFloatSums is rule 21: the sum of floating-point numbers is the same whatever the order of rows.
func TestFloatSums(t *testing.T) {
	v := compileTest(t, "SELECT p.id, sum(v.score) AS s, avg(v.score) AS a FROM s.people p JOIN s.visits v ON v.person_id = p.id GROUP BY p.id", "id")
	r := rand.New(rand.NewPCG(1, 1))
	var rows []change
	for i := range 20_000 {
		rows = append(rows, upsert(int64(i), int64(i%3), "", (r.Float64()-0.5)*[]float64{1e-9, 1, 1e15}[r.IntN(3)]))
	}
	var want string
	for i := range 4 {
		f := openTest(t)
		primed(t, f)
		p := Plan{Outputs: []Output{{Name: "v", View: v}}}
		ids := []change{upsert(int64(0), ""), upsert(int64(1), ""), upsert(int64(2), "")}
		d := prepare(t, f, p, Changes{Input: "s.people", Schema: people, Batches: batches(people, ids, 9)},
			Changes{Input: "s.visits", Schema: visits, Batches: batches(visits, rows, 2048)})[0]
		if i == 0 {
			want = d.Parts[0].SHA256
		} else if d.Parts[0].SHA256 != want {
			t.Errorf("order %d: other sums", i)
		}
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
}

// TestDamaged is invariant 7.
func TestDamaged(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	path := f.options.Path
	spoil := map[string]func() error{
		"other layout": func() error { _, err := f.conn.Exec(t.Context(), "UPDATE tm_meta SET version = 99"); return err },
		"lost column": func() error {
			_, err := f.conn.Exec(t.Context(), `UPDATE tm_meta SET version = 1; ALTER TABLE "in:s.people" DROP COLUMN name`)
			return err
		},
	}
	for _, what := range []string{"other layout", "lost column"} {
		if err := spoil[what](); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), f.options)
		var e *DamagedError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
		}
		if err := f.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	var e *DamagedError
	if _, err := Open(t.Context(), f.options); !errors.As(err, &e) {
		t.Errorf("garbage: %v", err)
	}
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	g, err := Open(t.Context(), f.options)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Tables()) != 0 {
		t.Error("a removed file came back")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotRefused: a snapshot that changed in transit is refused and leaves nothing behind.
func TestSnapshotRefused(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	dir := t.TempDir()
	files, err := f.Export(t.Context(), dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	b, err := os.ReadFile(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0].Path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Path: filepath.Join(t.TempDir(), "restored.db"), Memory: 100 << 20}
	if _, err := Import(t.Context(), o, dir); err == nil || !strings.Contains(err.Error(), "is not the file that was exported") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(o.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestRewriteShrinks: a file that churned is back to its size after a rewrite, with the same rows.
func TestRewriteShrinks(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	p := Plan{Outputs: []Output{{Name: "v", View: compileTest(t, "SELECT v.id, v.note FROM s.visits v", "id")}}}
	const all, left = 150_000, 10_000
	step := func(last int, row func(i int64) change, then string) {
		t.Helper()
		var rows []change
		for i := range last {
			rows = append(rows, row(int64(i)))
		}
		prepare(t, f, p, Changes{Input: "s.visits", Schema: visits, Batches: batches(visits, rows, 30_000)})
		for _, sql := range []string{"CHECKPOINT", then, "CHECKPOINT"} {
			if _, err := f.conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What is freed lies before something that stays, so that DuckDB cannot shorten the file by itself.
	step(all, func(i int64) change {
		return upsert(i, i, fmt.Sprintf("%x %x %x", rand.Uint64(), rand.Uint64(), rand.Uint64()), nil)
	}, "CREATE TABLE stays AS FROM range(100000)")
	step(all-left, func(i int64) change { return change{op: ingest.Delete, row: []any{i, nil, nil, nil}} }, "SELECT 1")
	before, err := size(f.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Rewrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := size(f.options.Path)
	if err != nil || after*2 > before {
		t.Errorf("%d bytes before, %d after, %v", before, after, err)
	}
	if err := f.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	if d := prepare(t, f, p, Changes{Input: "s.visits", Schema: visits, Batches: batches(visits, []change{{op: ingest.Delete, row: []any{int64(all - 7), nil, nil, nil}}}, 1)})[0]; d.Deletes != 1 || d.Upserts != 0 || d.Replace {
		t.Errorf("after the rewrite: %+v", d)
	}
}

// TestSmallMemory: a window much larger than the memory limit is collapsed, joined and written.
func TestSmallMemory(t *testing.T) {
	f, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "state.db"), Memory: 96 << 20, Threads: 2, TempQuota: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	primed(t, f)
	const n = 600_000
	w, err := NewSpillWriter(filepath.Join(t.TempDir(), "run"), visits.Arrow())
	if err != nil {
		t.Fatal(err)
	}
	wide := strings.Repeat("x", 200)
	for at := 0; at < n; at += 20_000 {
		var rows []change
		for i := range 20_000 {
			rows = append(rows, upsert(int64((at+i)%(n/2)), int64(at%1000), fmt.Sprintf("%s%d", wide, at+i), float64(i)))
		}
		if err := w.Write(batches(visits, rows, 20_000)[0]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p := Plan{Outputs: []Output{
		{Name: "visits", Input: "s.visits", Schema: visits},
		{Name: "v", View: compileTest(t, "SELECT v.id, v.note, p.name FROM s.visits v LEFT JOIN s.people p ON p.id = v.person_id", "id")},
	}}
	for _, d := range prepare(t, f, p, Changes{Input: "s.visits", Schema: visits, Spilled: []string{w.path}}) {
		if d.Upserts != n/2 {
			t.Errorf("%s: %d upserts", d.Output, d.Upserts)
		}
	}
}
