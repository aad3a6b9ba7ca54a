package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
)

const formsPipeline = `
kind: pipeline
name: care
%stables:
  - replicate: consult.clinic.*
    into: raw_consult
  - replicate: pharmacy.pharmacy.*
    into: raw_pharmacy
  - name: mart.visits
    sql: visits.sql
    key: [appointment_id]
  - name: mart.docs
    sql: docs.sql
    key: [form_id]
  - name: mart.notes
    sql: notes.sql
    key: [form_id]
`

// TestQuarantine: MariaDB lets a client switch its JSON check off, and then holds documents that no warehouse takes. The
// line halts on the first by default and says what to do; when somebody has agreed to it, the row is in quarantine and not
// in the tables that give its document, until it is mended. Every window is proved, in both warehouses.
func TestQuarantine(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""},
		{"embedded", "postgres", "folder", "mariadb", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			e := newEnv(t, c)
			e.forms(t)
			d := e.run(t)
			e.underLoad(t, 2)
			e.unchecked(t, "insert into clinic.forms values (10, 'bad from the beginning', 'not JSON "+realtest.Canary+"')")
			var problem string
			eventually(t, time.Minute, "the pipeline stands still", func() bool {
				s, err := e.status(t)
				if err == nil && len(s.Pipelines) == 1 {
					problem = s.Pipelines[0].Error
				}
				return strings.Contains(problem, "max_quarantine")
			})
			realtest.NoCanary(t, "the reason", problem)
			for _, word := range []string{
				"2 rows of this window", "max_quarantine is 0", "raw_consult.forms column doc: 1 with not a JSON document", "mart.docs column doc: 1",
				"set max_quarantine: 2 in pipeline care", "mend the values at the source",
			} {
				if !strings.Contains(problem, word) {
					t.Errorf("the reason does not say %q: %s", word, problem)
				}
			}
			e.judge(t)
			write(t, e.dir, "pipelines/care.yaml", fmt.Sprintf(formsPipeline, "max_quarantine: 5\n"))
			e.settled(t, 2*time.Minute)
			e.inQuarantine(t, "mart.docs [10]", "raw_consult.forms [10]")
			image, err := e.ask(t.Context(), "select row_image as i from tidemill.quarantine where table_name = 'forms'")
			if want := `{"form_id":10,"note":"bad from the beginning","doc":"not JSON ` + realtest.Canary + `"}`; err != nil || len(image) != 1 || image[0]["i"] != want {
				t.Errorf("kept is %v, %v, want %s", image, err, want)
			}

			e.unchecked(t, "update clinic.forms set doc = 'broken' where form_id = 1")
			realtest.Exec(t, e.db[0], `update clinic.forms set doc = '{"mended": true}' where form_id = 10`)
			e.underLoad(t, 1)
			e.settled(t, time.Minute)
			e.inQuarantine(t, "mart.docs [1]", "raw_consult.forms [1]")
			if text := e.metrics(t); !strings.Contains(text, `tidemill_window_quarantine{`) || !strings.Contains(text, `tidemill_window_bad_total{`) {
				t.Error("the metrics say nothing of the quarantine")
			}
			s, err := e.status(t)
			if err != nil {
				t.Fatal(err)
			}
			var shown int64
			for _, x := range s.Pipelines[0].Tables {
				shown += x.Quarantined
			}
			if shown != 2 {
				t.Errorf("the status shows %d rows in quarantine, want 2", shown)
			}
			d.kill() // what is in quarantine is remembered by the warehouse
			d = e.run(t)
			realtest.Exec(t, e.db[0], "delete from clinic.forms where form_id = 1")
			e.underLoad(t, 1)
			e.settled(t, time.Minute)
			e.inQuarantine(t)
			e.warehouseEquals(t)
			realtest.NoCanary(t, "metrics", e.metrics(t))
			d.stop(t)
		})
	}
}

// forms adds a table with documents, its replica and two views, to the line and to its oracle.
func (e *env) forms(t *testing.T) {
	t.Helper()
	const docs, notes = "SELECT f.form_id, f.doc FROM consult.forms f", "SELECT f.form_id, f.note FROM consult.forms f"
	realtest.Exec(t, e.db[0], "create table clinic.forms (form_id bigint primary key, note text, doc json)")
	for i := range 5 {
		realtest.Exec(t, e.db[0], fmt.Sprintf(`insert into clinic.forms values (%d, 'form %d', '{"a": [1, 2.50, "é\\u00e9"]}')`, i, i))
	}
	write(t, e.dir, "pipelines/care.yaml", fmt.Sprintf(formsPipeline, ""))
	write(t, e.dir, "pipelines/docs.sql", docs)
	write(t, e.dir, "pipelines/notes.sql", notes)
	e.checker.Outputs = append(e.checker.Outputs, oracle.Output{Name: "raw_consult.forms", Source: "consult", Table: "forms"},
		oracle.Output{Name: "mart.docs", SQL: docs}, oracle.Output{Name: "mart.notes", SQL: notes})
}

// unchecked runs a statement in a session that does not check what it writes.
func (e *env) unchecked(t *testing.T, statement string) {
	t.Helper()
	conn, err := e.db[0].Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range []string{"set check_constraint_checks = 0", statement, "set check_constraint_checks = 1"} {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// inQuarantine compares what the warehouse has in quarantine: schema.table and key.
func (e *env) inQuarantine(t *testing.T, want ...string) {
	t.Helper()
	rows, err := e.ask(t.Context(), "select table_schema || '.' || table_name || ' ' || row_key as q from tidemill.quarantine where resolved_at is null order by 1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r["q"])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in quarantine are %v, want %v", got, want)
	}
}
