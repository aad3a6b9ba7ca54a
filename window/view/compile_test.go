//go:build duckdb_arrow

package view_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// clinic is the catalogue of the golden files: two sources, as in the README's tour.
func clinic() []view.Table {
	text := ingest.Type{Kind: ingest.Text, MaxBytes: 400}
	bigint, integer := ingest.Type{Kind: ingest.Int64}, ingest.Type{Kind: ingest.Int32}
	money := ingest.Type{Kind: ingest.Decimal, Precision: 12, Scale: 2}
	at := ingest.Type{Kind: ingest.Timestamp}
	table := func(source, name string, key []string, cols ...ingest.Column) view.Table {
		return view.Table{Input: source + "." + name, Source: source,
			Schema: &ingest.Schema{Table: ingest.TableName{Schema: "clinic", Name: name}, Key: key, Columns: cols}}
	}
	col := func(name string, t ingest.Type) ingest.Column { return ingest.Column{Name: name, Type: t} }
	archived := table("consult", "appointments", []string{"id"}, col("id", bigint))
	archived.Input, archived.Source, archived.Schema.Table.Schema = "legacy.a.visits", "legacy", "a"
	archived.Schema.Table.Name = "visits"
	other := archived
	other.Input = "legacy.b.visits"
	otherSchema := *archived.Schema
	otherSchema.Table.Schema = "b"
	other.Schema = &otherSchema
	return []view.Table{
		table("consult", "patients", []string{"id"}, col("id", bigint), col("name", text), col("city", text), col("born", ingest.Type{Kind: ingest.Date}), col("weight", ingest.Type{Kind: ingest.Float64})),
		table("consult", "doctors", []string{"id"}, col("id", integer), col("name", text), col("lead_id", integer)),
		table("consult", "appointments", []string{"id"}, col("id", bigint), col("patient_id", bigint), col("doctor_id", integer), col("starts_at", at), col("status", text), col("extra", ingest.Type{Kind: ingest.JSON})),
		table("pharmacy", "orders", []string{"id"}, col("id", bigint), col("appointment_id", bigint), col("amount", money), col("paid", ingest.Type{Kind: ingest.Bool}), col("created_at", at), col("score", ingest.Type{Kind: ingest.Float64})),
		table("pharmacy", "order_items", []string{"order_id", "line"}, col("order_id", bigint), col("line", ingest.Type{Kind: ingest.Int16}), col("sku", text), col("qty", integer)),
		table("pharmacy", "notes", nil, col("order_id", bigint), col("note", text)),
		archived, other,
	}
}

// header reads "-- key: a, b" from the top of a file.
func header(sql, name string) (values []string) {
	for _, line := range strings.Split(sql, "\n") {
		if v, ok := strings.CutPrefix(line, "-- "+name+": "); ok {
			values = append(values, v)
		}
	}
	return values
}

func compile(t *testing.T, path string) (string, *view.View, error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sql := string(b)
	var key []string
	if k := header(sql, "key"); len(k) > 0 {
		key = strings.Split(k[0], ", ")
	}
	name := strings.TrimSuffix(filepath.Base(path), ".sql")
	v, err := view.Compile(t.Context(), view.Spec{Name: name, SQL: sql, Key: key}, clinic())
	return sql, v, err
}

// TestGood compiles every file of testdata/good and compares the whole plan with its golden file.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.sql")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, v, err := compile(t, path)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(v)
			golden := strings.TrimSuffix(path, ".sql") + ".plan"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("plan differs from %s (%v); got\n%s", golden, err, got)
			}
		})
	}
}

func describe(v *view.View) string {
	var b strings.Builder
	tables := make([]string, len(v.Relations))
	neighbours := make([]string, len(v.Relations))
	for i, r := range v.Relations {
		tables[i] = fmt.Sprintf("[%s]", r.Alias)
		neighbours[i] = fmt.Sprintf("[near %s]", r.Alias)
	}
	for _, c := range v.Columns {
		fmt.Fprintf(&b, "column %s %s %d %d %d\n", c.Name, c.Type.Kind, c.Type.Precision, c.Type.Scale, c.Type.MaxBytes)
	}
	fmt.Fprintf(&b, "view\n    %s\n", v.Evaluate(tables))
	for i, r := range v.Relations {
		fmt.Fprintf(&b, "%s is %s %v\n    affects: %s\n    near:    %s\n", r.Alias, r.Input, r.Columns,
			v.Affected(i, "[changed]", tables), v.Neighbours(i, tables[i], "[keys]", neighbours, neighbours))
	}
	return b.String()
}

// TestBad compiles every file of testdata/bad: each is refused with exactly the messages it states.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.sql")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			sql, _, err := compile(t, path)
			var e *view.Error
			if err == nil || !errors.As(err, &e) {
				t.Fatalf("not refused as a view: %v", err)
			}
			var got []string
			for _, p := range e.Problems {
				got = append(got, p.String())
			}
			if *rewrite {
				rewriteWant(t, path, sql, got)
				return
			}
			want := header(sql, "want")
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// rewriteWant puts the messages at the end of the file, where they move no line.
func rewriteWant(t *testing.T, path, sql string, got []string) {
	t.Helper()
	var keep []string
	for _, line := range strings.Split(strings.TrimRight(sql, "\n"), "\n") {
		if !strings.HasPrefix(line, "-- want: ") {
			keep = append(keep, line)
		}
	}
	for _, g := range got {
		keep = append(keep, "-- want: "+g)
	}
	if err := os.WriteFile(path, []byte(strings.Join(keep, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestHash(t *testing.T) {
	spec := view.Spec{Name: "v", Key: []string{"id"}, SQL: "SELECT a.id, a.status FROM consult.appointments a"}
	hash := func(s view.Spec) string {
		t.Helper()
		v, err := view.Compile(t.Context(), s, clinic())
		if err != nil {
			t.Fatal(err)
		}
		return v.Hash()
	}
	base := hash(spec)
	same, other := spec, spec
	same.SQL = "-- a comment\nselect a.id,\n  status from consult.appointments as a"
	other.SQL = "SELECT a.id, upper(a.status) AS status FROM consult.appointments a"
	if hash(same) != base {
		t.Error("layout and comments change the hash")
	}
	if hash(other) == base {
		t.Error("another expression keeps the hash")
	}
}
