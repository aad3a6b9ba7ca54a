package daemon_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/sources/mysql"
)

// A source without tables captures what pipelines read: a table that a later pipeline asks for is loaded then, and the
// others go on. A table that nobody reads any more stands still, and says so when it is asked for again.
func TestSourceCapturesWhatPipelinesRead(t *testing.T) {
	server := realtest.MariaDB(t)
	db := realtest.Open(t, server, "")
	realtest.Exec(t, db, "CREATE DATABASE clinic", "CREATE TABLE clinic.patients (id INT PRIMARY KEY, notes TEXT, name TEXT)",
		"CREATE TABLE clinic.visits (id INT PRIMARY KEY, patient INT)", "CREATE TABLE clinic.salaries (id INT PRIMARY KEY, amount INT)",
		"INSERT INTO clinic.patients VALUES (1, 'n', 'a'), (2, 'n', 'b')", "INSERT INTO clinic.visits VALUES (10, 1), (11, 1), (12, 2)",
		"INSERT INTO clinic.salaries VALUES (1, 1)")
	r := newRig(t)
	r.kinds = sources.Set{mysql.Kind()}
	r.write(t, "sources/calc.yaml", fmt.Sprintf("kind: source\nname: calc\ntype: mysql\naddress: %s\nuser: root\ntables: {clinic.patients: {columns: {notes: drop}}}\n", server.Addr()))
	r.write(t, "pipelines/copy.yaml", "kind: pipeline\nname: copy\ntables: [{replicate: calc.clinic.patients, into: raw}]\n")
	r.begin(t)
	s := r.until(t, "the first pipeline publishes", published)
	if got := captured(s); !slices.Equal(got, []string{"clinic.patients"}) {
		t.Errorf("captured: %v", got)
	}

	r.write(t, "pipelines/seen.sql", "SELECT v.id, p.name FROM calc.visits v JOIN calc.patients p ON p.id = v.patient")
	r.write(t, "pipelines/sums.yaml", "kind: pipeline\nname: sums\ntables: [{name: mart.seen, sql: seen.sql, key: [id]}, {replicate: calc.clinic.visits, into: raw2}]\n")
	s = r.until(t, "the new pipeline publishes", func(s console.Status) bool { return len(s.Pipelines) == 2 && !s.Pipelines[1].Published.IsZero() })
	if got := captured(s); !slices.Equal(got, []string{"clinic.patients", "clinic.visits"}) {
		t.Errorf("captured: %v", got)
	}
	// Rows of before the pipeline and rows of now, of both tables.
	realtest.Exec(t, db, "INSERT INTO clinic.patients VALUES (3, 'n', 'c')", "INSERT INTO clinic.visits VALUES (13, 3)")
	r.until(t, "the view holds all visits", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n, max(name) as last from mart.seen"}`)
		return strings.Contains(body, `"n":4,"last":"c"`)
	})
	if code, body := r.post(t, "/v1/query", `{"sql":"select notes from raw.patients"}`); code == 200 && !strings.Contains(body, "Binder") {
		t.Errorf("a dropped column came along: %s", body)
	}

	// A pipeline that runs already reads one more table, and joins it with one that it has.
	r.write(t, "pipelines/paid.sql", "SELECT p.id, p.name, s.amount FROM calc.patients p JOIN calc.clinic.salaries s ON s.id = p.id")
	r.write(t, "pipelines/copy.yaml", "kind: pipeline\nname: copy\ntables: [{replicate: calc.clinic.patients, into: raw}, {name: mart.paid, sql: paid.sql, key: [id]}]\n")
	realtest.Exec(t, db, "INSERT INTO clinic.salaries VALUES (2, 7)")
	r.until(t, "the view of a new and an old table is whole", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n, sum(amount) as s, min(name) as name from mart.paid"}`)
		return strings.Contains(body, `"n":2,"s":8,"name":"a"`) || strings.Contains(body, `"n":2,"s":"8","name":"a"`)
	})
	realtest.Exec(t, db, "UPDATE clinic.patients SET name = 'z' WHERE id = 1", "UPDATE clinic.salaries SET amount = 9 WHERE id = 2")
	r.until(t, "and moves with both", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n from mart.paid where name = 'z' or amount = 9"}`)
		return strings.Contains(body, `"n":2`)
	})
	r.withhold(t, db)
}

// withhold takes the second pipeline away and brings it back.
func (r *rig) withhold(t *testing.T, db *sql.DB) {
	r.write(t, "pipelines/sums.yaml", "kind: pipeline\nname: sums\ntables: [{replicate: calc.clinic.pat*, into: raw2}]\n")
	s := r.until(t, "visits stand still", func(s console.Status) bool { return parked(s, "clinic.visits") != "" })
	if why := parked(s, "clinic.visits"); !strings.Contains(why, "no pipeline reads it") || !strings.Contains(why, "tidemill resync calc.clinic.visits") || parked(s, "clinic.patients") != "" {
		t.Errorf("parked: %q", why)
	}
	realtest.Exec(t, db, "INSERT INTO clinic.visits VALUES (14, 3)")
	without := r.read(t, "sources/calc.yaml")
	r.write(t, "sources/calc.yaml", strings.Replace(without, "{clinic.patients:", "{clinic.visits: {capture: never}, clinic.patients:", 1))
	r.write(t, "pipelines/sums.yaml", "kind: pipeline\nname: sums\ntables: [{replicate: calc.clinic.visits, into: raw2}]\n")
	s = r.until(t, "the contradiction is told", func(s console.Status) bool { return s.Config.Error != "" })
	if !strings.Contains(s.Config.Error, "pipelines/sums.yaml reads clinic.visits, which is never captured") {
		t.Errorf("config: %s", s.Config.Error)
	}

	r.write(t, "sources/calc.yaml", without)
	r.until(t, "the pipeline that asks again is told", func(s console.Status) bool {
		return s.Config.Error == "" && len(s.Pipelines) == 2 && slices.ContainsFunc(s.Pipelines[1].Tables, func(x console.PipelineTable) bool { return x.Parked != "" })
	})
	cl, err := kafka.New(kafka.Config{Brokers: []string{r.info.Broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := ingest.Ask(t.Context(), cl, ingest.Request{ID: "again", Source: "calc", Table: "clinic.visits", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "all visits are there, those that nobody captured included", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n from raw2.visits"}`)
		return strings.Contains(body, `"n":5`)
	})
	r.end(t)
}

func captured(s console.Status) (out []string) {
	for _, x := range s.Sources[0].Tables {
		out = append(out, x.Name)
	}
	return out
}

func parked(s console.Status, table string) string {
	for _, x := range s.Sources[0].Tables {
		if x.Name == table {
			return x.Parked
		}
	}
	return ""
}
