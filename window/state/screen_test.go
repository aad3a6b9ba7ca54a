//go:build duckdb_arrow

package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window/view"
)

// forms hold documents, of which a client may write anything.
var forms = &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "forms"}, Key: []string{"id"},
	Columns: []ingest.Column{{Name: "id", Type: bigint}, {Name: "note", Type: text}, {Name: "doc", Type: ingest.Type{Kind: ingest.JSON}}}}

func compileForms(t *testing.T, sql string) *view.View {
	t.Helper()
	v, err := view.Compile(t.Context(), view.Spec{Name: "v", SQL: sql, Key: []string{"id"}}, []view.Table{{Input: "s.forms", Source: "s", Schema: forms}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// formsPlan is a replica, a view that gives the document and one that does not.
func formsPlan(t *testing.T, quarantined ...string) Plan {
	open := map[string]bool{}
	for _, k := range quarantined {
		open[k] = true
	}
	return Plan{MaxBad: 10, Outputs: []Output{
		{Name: "raw.forms", Input: "s.forms", Schema: forms, Quarantined: open},
		{Name: "mart.docs", View: compileForms(t, "SELECT f.id, f.doc FROM s.forms f"), Quarantined: open},
		{Name: "mart.notes", View: compileForms(t, "SELECT f.id, upper(f.note) AS note FROM s.forms f"), Quarantined: open},
	}}
}

// ops reads a delta's parts: + for an upsert, - for a delete, then the first column.
func ops(t *testing.T, d Delta) (out []string) {
	t.Helper()
	for _, f := range d.Parts {
		if _, err := parquet.Check(f.Path, parquet.Schema{Columns: d.Columns, Op: true}); err != nil {
			t.Fatal(err)
		}
		err := parquet.Read(t.Context(), f.Path, parquet.Schema{Columns: d.Columns, Op: true}, func(b arrow.RecordBatch) error {
			for i := range int(b.NumRows()) {
				sign := "+"
				if b.Column(len(d.Columns)).(*array.Int32).Value(i) == int32(ingest.Delete) {
					sign = "-"
					for c := 1; c < len(d.Columns); c++ {
						if !b.Column(c).IsNull(i) && !slices.Contains(d.Key, d.Columns[c].Name) {
							t.Errorf("a delete carries %s", d.Columns[c].Name)
						}
					}
				}
				out = append(out, sign+b.Column(0).ValueStr(i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// screened is what a delta says, in one line.
func screened(t *testing.T, d Delta) string {
	t.Helper()
	out := strings.Join(ops(t, d), " ")
	for _, b := range d.Bad {
		out += fmt.Sprintf(" bad%s:%s:%s", b.Key, b.Column, b.Fault)
	}
	for _, k := range d.Resolved {
		out += " out" + k
	}
	return strings.TrimSpace(out)
}

// TestScreen is invariant 8: a bad row is not in the parts, its older version is deleted, and it comes back when it is
// mended; a view that does not give the bad value is not touched. In memory and through DuckDB, whatever the batches are.
func TestScreen(t *testing.T) {
	bad, good := "not JSON", `{"a": 1}`
	gone := func(id int64) change { return change{op: ingest.Delete, row: []any{id, nil, nil}} }
	form := func(id int64, note, doc string) change { return upsert(id, note, doc) }
	steps := []struct {
		changes    []change
		open       []string // in quarantine before
		raw, notes string
	}{
		{[]change{form(1, "a", good), form(2, "b", bad), form(3, "c", good)}, []string{"[1]"}, // the table is replaced: all that was in quarantine is out with that
			"+1 +3 bad[2]:doc:invalid_json", "+1 +2 +3"},
		{[]change{form(1, "a", bad), form(2, "B", good), form(4, "d", "")}, []string{"[2]"},
			"-1 +2 -4 bad[1]:doc:invalid_json bad[4]:doc:invalid_json out[2]", "+4"}, // upper(note) of 2 is as before
		{[]change{form(1, "x", bad+"!"), gone(4), gone(3)}, []string{"[1]", "[4]"},
			"-1 -3 -4 bad[1]:doc:invalid_json out[4]", "+1 -3 -4"},
		{[]change{form(9, "i", bad), form(9, "i", good), form(2, "b", "["), form(2, "b", good)}, []string{"[1]"}, // what is mended within the step was never bad
			"+2 +9", "+9"},
		{[]change{form(1, "x", good)}, []string{"[1]"}, "+1 out[1]", ""},
	}
	var want [][]string
	for _, how := range []struct {
		batch int
		duck  bool
	}{{100, false}, {1, false}, {2, true}} {
		f := openTest(t)
		f.onlyDuck = how.duck
		if err := f.Prime(t.Context(), "s.forms", forms, nil); err != nil {
			t.Fatal(err)
		}
		var hashes [][]string
		for i, s := range steps {
			p := formsPlan(t, s.open...)
			if i == 0 {
				p.Outputs[0].Replace = true
			}
			d := prepare(t, f, p, Changes{Input: "s.forms", Schema: forms, Batches: batches(forms, s.changes, how.batch)})
			for n, w := range []string{s.raw, s.raw, s.notes} {
				got := screened(t, d[n])
				if n == 1 && i == 3 {
					w = "+9" // the document of 2 is as before
				}
				if n == 2 {
					got = strings.Join(ops(t, d[n]), " ")
				}
				if got != w {
					t.Errorf("%+v, step %d, %s:\n got %s\nwant %s", how, i, d[n].Output, got, w)
				}
				var upserts, deletes int64
				for _, o := range ops(t, d[n]) {
					if o[0] == '+' {
						upserts++
					} else {
						deletes++
					}
				}
				if d[n].Upserts != upserts || d[n].Deletes != deletes {
					t.Errorf("step %d, %s: counted %d upserts and %d deletes, its parts hold %d and %d", i, d[n].Output, d[n].Upserts, d[n].Deletes, upserts, deletes)
				}
				for _, part := range d[n].Parts {
					hashes = append(hashes, []string{part.SHA256})
				}
			}
		}
		if want == nil {
			want = hashes
		} else if fmt.Sprint(hashes) != fmt.Sprint(want) {
			t.Errorf("%+v: other parts", how)
		}
	}
}

// What is kept of a bad row is all of it, and nothing is kept past the limit.
func TestBadRows(t *testing.T) {
	f := openTest(t)
	p := formsPlan(t)
	p.MaxBad, p.Outputs = 2, p.Outputs[:1]
	d := prepare(t, f, p, Changes{Input: "s.forms", Schema: forms, Batches: batches(forms, []change{
		upsert(int64(1), "tab\t\"quoted\" \x00 é\xff", `[1,]`), upsert(int64(2), nil, "<&>"), upsert(int64(3), nil, ""), upsert(int64(4), "nul \x00", nil)}, 9)})[0]
	want := []BadRow{
		{"[1]", "note", parquet.InvalidText, `{"id":1,"note":{"base64":"dGFiCSJxdW90ZWQiIAAgw6n/"},"doc":"[1,]"}`},
		{"[2]", "doc", parquet.InvalidJSON, `{"id":2,"note":null,"doc":"<&>"}`},
	}
	if fmt.Sprint(d.Bad) != fmt.Sprint(want) {
		t.Errorf("kept\n%v, want\n%v", d.Bad, want)
	}
	if got := fmt.Sprint(d.Faults); got != "map[{doc invalid_json}:2 {note invalid_text}:1]" || d.Changed != 1 {
		t.Errorf("counted %s and %d changed texts, want 2, 1 and 1", got, d.Changed)
	}
}

// Where a warehouse's columns have a limit, a row with a longer text is bad. It is counted in bytes.
func TestLongTexts(t *testing.T) {
	for _, limit := range []int{0, 4} {
		f := openTest(t)
		f.options.MaxText = limit
		p := formsPlan(t)
		p.Outputs = p.Outputs[:1]
		d := prepare(t, f, p, Changes{Input: "s.forms", Schema: forms, Batches: batches(forms, []change{
			upsert(int64(1), "four", `[1]`), upsert(int64(2), "füür", `1`), upsert(int64(3), nil, `[1,2]`)}, 9)})[0]
		want := "+1 +2 +3"
		if limit > 0 {
			want = "+1 -2 -3 bad[2]:note:text_too_long bad[3]:doc:text_too_long"
		}
		if got := screened(t, d); got != want {
			t.Errorf("limit %d: got %s, want %s", limit, got, want)
		}
	}
}

// A row whose key is bad can be in no table: neither it nor its delete is in the parts.
func TestBadKeys(t *testing.T) {
	s := &ingest.Schema{Table: ingest.TableName{Name: "t"}, Key: []string{"k", "n"},
		Columns: []ingest.Column{{Name: "n", Type: bigint}, {Name: "v", Type: text}, {Name: "k", Type: text}}}
	p := Plan{MaxBad: 10, Outputs: []Output{{Name: "raw.t", Input: "t", Schema: s, Quarantined: map[string]bool{`["a\u0000",7]`: true}}}}
	for _, duck := range []bool{false, true} {
		f := openTest(t)
		f.onlyDuck = duck
		d := prepare(t, f, p, Changes{Input: "t", Schema: s, Batches: batches(s, []change{
			upsert(int64(1), "v", "a"), upsert(int64(2), "v", "b\x00"), {op: ingest.Delete, row: []any{int64(7), nil, "a\x00"}}, {op: ingest.Delete, row: []any{int64(8), nil, "a"}}}, 2)})[0]
		if got, want := screened(t, d), `+1 -8 bad["b\u0000",2]:k:nul_in_key out["a\u0000",7]`; got != want {
			t.Errorf("duck %v: got %s, want %s", duck, got, want)
		}
	}
}

// Views can make values that no source has.
func TestScreenOfViews(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	v := compileTest(t, `SELECT p.id, TIMESTAMP '2026-01-01' + to_years((p.id * 100000)::INTEGER) AS far, CASE WHEN p.id = 2 THEN 'infinity'::DATE END AS day FROM s.people p`, "id")
	d := prepare(t, f, Plan{MaxBad: 10, Outputs: []Output{{Name: "v", View: v}}}, Changes{Input: "s.people", Schema: people, Batches: batches(people, []change{
		upsert(int64(0), "a"), upsert(int64(1), "b"), upsert(int64(2), "c"), upsert(int64(-1), "d")}, 9)})[0]
	if got, want := screened(t, d), "+0 +1 bad[-1]:far:out_of_calendar bad[2]:day:out_of_calendar"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !strings.Contains(d.Bad[1].Row, `"day":2147483647`) {
		t.Errorf("the row is %s", d.Bad[1].Row)
	}
}

// A value that the SQL of a view cannot compute with halts the step: DuckDB does not tell which row it is of.
func TestExpressionError(t *testing.T) {
	f := openTest(t)
	primed(t, f)
	v := compileTest(t, "SELECT p.id, CAST(p.name AS INTEGER) AS n FROM s.people p", "id")
	p := Plan{MaxBad: 10, Outputs: []Output{{Name: "mart.v", View: v}}}
	people := func(rows ...change) Changes {
		return Changes{Input: "s.people", Schema: people, Batches: batches(people, rows, 9)}
	}
	prepare(t, f, p, people(upsert(int64(1), "17"))) // its first publish
	for _, rows := range [][]change{{upsert(int64(2), "canary")}, {upsert(int64(1), "canary"), upsert(int64(3), "4")}} {
		_, _, err := f.Prepare(t.Context(), p, []Changes{people(rows...)}, t.TempDir(), nothing)
		var e *ExpressionError
		if !errors.As(err, &e) || e.View != "mart.v" || e.Kind != "Conversion Error" || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v, want an *ExpressionError of mart.v that tells no value", err)
		}
	}
	if got := screened(t, prepare(t, f, p, people(upsert(int64(2), "18")))[0]); got != "+2" { // the file is as it was
		t.Errorf("after the errors: %s", got)
	}
}
