package e2e_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/realtest"
)

// rebuild runs the command and returns its answer.
func (e *env) rebuild(t *testing.T, args ...string) (a console.RebuildAnswer, failure string) {
	t.Helper()
	out, errs, code := tidemill(t.Context(), e.vars, append([]string{"rebuild", "--from-lake", "--json", "--config", e.dir}, args...)...)
	if code != 0 {
		return a, errs
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return a, ""
}

// same compares two queries as multisets of rows, by the warehouse.
func (e *env) same(t *testing.T, a, b string) {
	t.Helper()
	for _, q := range []string{a + " EXCEPT " + b, b + " EXCEPT " + a} {
		rows, err := e.ask(t.Context(), "select count(*) as n from ("+q+") x")
		if err != nil {
			t.Fatal(err)
		}
		if rows[0]["n"] != "0" {
			t.Errorf("%s rows of %s", rows[0]["n"], q)
		}
	}
}

// TestRebuild: tables are brought back from the lake as they were at the end of any window, while the line goes on: a replica and a
// joined view, in every warehouse. A table that somebody has damaged is mended from what comes back. What is missing is named,
// and nothing is written then.
func TestRebuild(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""},
		{"embedded", "postgres", "folder", "mariadb", "mariadb", ""},
		{"embedded", "redshift", "s3", "mariadb", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c)
			d := e.run(t)
			e.underLoad(t, 4)
			e.settled(t, time.Minute)
			past, failure := e.rebuild(t, "mart.visits", "--dry-run")
			if failure != "" || past.Publishes < 2 || past.Rows != 0 {
				t.Fatalf("%+v %s", past, failure)
			}
			exec := func(statement string) { realtest.Exec(t, realtest.Open(t, e.pg, "warehouse"), statement) }
			if c.warehouse != "duckdb" {
				exec("create table kept as select * from mart.visits")
			}
			e.underLoad(t, 3)
			e.settled(t, time.Minute)
			for _, table := range []string{"mart.visits", "raw_consult.patients"} {
				a, failure := e.rebuild(t, table)
				if failure != "" || a.Rows == 0 {
					t.Fatalf("%+v %s", a, failure)
				}
				e.same(t, "select * from "+table, "select * from "+a.As)
				if again, failure := e.rebuild(t, table); failure != "" || again.Rows != a.Rows { // the same name, once more
					t.Errorf("a second time: %+v %s", again, failure)
				}
				e.same(t, "select * from "+table, "select * from "+a.As)
			}
			a, failure := e.rebuild(t, "mart.visits", "--to", past.WindowEnd.Format(time.RFC3339), "--as", "mart.visits_before")
			if failure != "" || !a.WindowEnd.Equal(past.WindowEnd) || a.Publishes != past.Publishes {
				t.Fatalf("%+v %s, want the window of %+v", a, failure, past)
			}
			if c.warehouse != "duckdb" {
				e.same(t, "select * from kept", "select * from mart.visits_before")
				exec("delete from mart.visits where appointment_id % 2 = 0")
				now, failure := e.rebuild(t, "mart.visits", "--as", "mart.visits_now")
				if failure != "" {
					t.Fatal(failure)
				}
				exec("insert into mart.visits select * from mart.visits_now n where not exists (select 1 from mart.visits v where v.appointment_id = n.appointment_id)")
				e.same(t, "select * from mart.visits", "select * from "+now.As)
			}
			for table, want := range map[string]string{"mart.visit": `did you mean "mart.visits"`, "visits": "SCHEMA.TABLE"} {
				if _, failure := e.rebuild(t, table); !strings.Contains(failure, want) {
					t.Errorf("rebuild %s says %q, want %q", table, failure, want)
				}
			}
			if _, failure := e.rebuild(t, "mart.visits", "--as", "raw_consult.patients"); !strings.Contains(failure, "care") {
				t.Errorf("a table of the pipeline is written over: %q", failure)
			}
			e.warehouseEquals(t)
			if c.store == "folder" {
				e.missing(t)
			}
			d.stop(t)
		})
	}
}

// missing takes one part, and then one manifest, out of the lake.
func (e *env) missing(t *testing.T) {
	t.Helper()
	for _, k := range []struct{ dir, name, want string }{{"raw_pharmacy.orders", "part-0.parquet", "cannot be read"}, {"_manifest", "manifest.json", "is gone"}} {
		var files []string
		err := filepath.WalkDir(filepath.Join(e.dir, "data/lake/care", k.dir), func(path string, f fs.DirEntry, err error) error {
			if err == nil && f.Name() == k.name {
				files = append(files, path)
			}
			return err
		})
		if err != nil || len(files) < 2 {
			t.Fatal(len(files), err)
		}
		victim := files[len(files)-1]
		if k.dir == "_manifest" { // the base: every table needs it
			victim = files[0]
		}
		if err := os.Rename(victim, victim+".away"); err != nil {
			t.Fatal(err)
		}
		_, failure := e.rebuild(t, "raw_pharmacy.orders", "--as", "mart.never")
		if !strings.Contains(failure, k.want) || !strings.Contains(failure, filepath.Base(filepath.Dir(victim))) {
			t.Errorf("without %s: %q", victim, failure)
		}
		if _, err := e.ask(t.Context(), "select 1 from mart.never"); err == nil {
			t.Error("a table was made of what is not whole")
		}
		if err := os.Rename(victim+".away", victim); err != nil {
			t.Fatal(err)
		}
	}
	if _, failure := e.rebuild(t, "raw_pharmacy.orders", "--to", "2020-01-01T00:00:00Z"); !strings.Contains(failure, "no publish of it up to that window") {
		t.Error(failure)
	}
	if _, failure := e.rebuild(t, "raw_pharmacy.orders", "--to", "yesterday"); !strings.Contains(failure, "2026-12-01T10:15:00Z") {
		t.Error(fmt.Sprint("a time that is none: ", failure))
	}
}
