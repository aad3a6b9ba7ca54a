//go:build duckdb_arrow

package view_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/window/view"
)

// What only the columns of the tables can tell, and a key that is missing in the configuration: these files are refused by
// Compile alone.
var needColumns = []string{
	"ambiguous_column", "ambiguous_table", "binder", "column_and_alias", "key_float", "key_without_anchor", "list_column", "no_key", "no_primary_key",
	"unanchored_group", "unknown_column", "unknown_table", "unsigned_column", "window_float", "window_other_partition",
}

// check checks a file without any table.
func check(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var key []string
	if k := header(string(b), "key"); len(k) > 0 {
		key = strings.Split(k[0], ", ")
	}
	err = view.Check(t.Context(), view.Spec{Name: "v", SQL: string(b), Key: key}, []string{"consult", "pharmacy", "legacy"})
	var e *view.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	var got []string
	if e != nil {
		for _, p := range e.Problems {
			got = append(got, p.String())
		}
	}
	return got
}

// Check refuses no view that Compile accepts.
func TestCheckAcceptsGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.sql")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		if got := check(t, path); len(got) > 0 {
			t.Errorf("%s: %s", path, strings.Join(got, "\n"))
		}
	}
}

// Check refuses every bad view but those that need columns, and says nothing that Compile would not say; only what to
// write instead may be vaguer.
func TestCheckRefusesBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.sql")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".sql")
		t.Run(name, func(t *testing.T) {
			got := check(t, path)
			if needs := slices.Contains(needColumns, name); needs != (len(got) == 0) {
				t.Errorf("needs columns %t, but it says %q", needs, got)
			}
			_, _, err := compile(t, path)
			for _, g := range got {
				if what, _, _ := strings.Cut(g, "; "); err == nil || !strings.Contains(err.Error(), what) {
					t.Errorf("only Check says %q; Compile says %v", g, err)
				}
			}
		})
	}
}

// Everything that is wrong is said at once, also when FROM is wrong too.
func TestCheckReportsAll(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{"SELECT a.id, now() AS n,\n  random() AS r\nFROM consult.appointments a\nWHERE a.t < current_date\nLIMIT 3",
			"line 5: LIMIT or OFFSET,line 1: now changes with the clock,line 2: random() differs from call to call,line 4: current_date changes with the clock"},
		{"SELECT a.id, frobnicate(a.x) AS f FROM consult.appointments a LIMIT 3",
			"line 1: LIMIT or OFFSET,line 1: frobnicate() is not among the functions known to give the same result every time"},
		{"SELECT a.id, now() AS n\nFROM consul.appointments a\nJOIN doctors d ON d.id = a.doctor_id",
			`line 2: table consul.appointments: there is no source "consul" (did you mean consult?),line 3: table doctors names no source,line 1: now changes with the clock`},
		{"SELECT count(*) AS n, a.city AS id FROM consult.appointments a JOIN consult.patients p ON p.id = a.p GROUP BY p.city",
			"line 1: aggregates over more than one row of the anchor a"},
		{"SELECT a.id, \"current_date\", n FROM consult.appointments a GROUP BY ALL", ""},
		{"SELECT a.id, upper(a.x) AS k, row_number() OVER (PARTITION BY k ORDER BY a.y) AS r FROM consult.appointments a", ""},
		{"SELECT a.id, n AS m, count(*) AS c FROM consult.appointments a JOIN consult.patients p ON pid = n GROUP BY id, m", ""},
	} {
		err := view.Check(t.Context(), view.Spec{Name: "v", SQL: c.sql, Key: []string{"id"}}, []string{"consult"})
		var e *view.Error
		var got []string
		if errors.As(err, &e) {
			for _, p := range e.Problems {
				p.Instead = ""
				got = append(got, p.String())
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(got, ","); text != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.sql, text, c.want)
		}
	}
}

// Sources that are not known are not judged.
func TestCheckWithoutSources(t *testing.T) {
	if err := view.Check(t.Context(), view.Spec{Name: "v", SQL: "SELECT a.id FROM other.appointments a", Key: []string{"id"}}, nil); err != nil {
		t.Error(err)
	}
}
