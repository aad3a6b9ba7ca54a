package conform

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/ingest"
)

func readAll(r *http.Request) string {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// correct changes the visit of a slice.
func correct(id int64, at time.Time, amount int64) Load {
	return Load{Table: visits, Columns: visitColumns, Key: []string{"id"}, Parts: []func(*ingest.Builder){func(r *ingest.Builder) {
		r.Cols[0].Int64(id)
		r.Cols[1].Int64(at.UnixMicro())
		r.Cols[2].Int64(amount)
		r.End(ingest.Upsert)
	}}}
}

func jobsModes(t *testing.T, c JobsConfig) {
	output := func(name, output string) string {
		return strings.Replace(jobFile(name, "15m", ""), "output: {table: report."+name+", time_column: visited}", "output: "+output, 1)
	}
	days := strings.Replace(output("days", "{table: report.days, time_column: visited}"), "15m", "day, tz: Asia/Jakarta", 1) + "\n-- jobs/days.sql --\nSELECT id, CAST(visited AT TIME ZONE 'Asia/Jakarta' AS DATE) AS visited FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n"
	b := newBench(t, c, output("merged", "{table: report.merged, mode: merge, key: [hour]}")+
		"\n-- jobs/merged.sql --\nSELECT CAST(EXTRACT(HOUR FROM visited) AS INTEGER) AS hour, max(id) AS id FROM {{ ref \"mart.visits\" }} GROUP BY 1\n"+
		output("whole", "{table: report.whole, mode: replace_all}")+"\n-- jobs/whole.sql --\nSELECT count(*) AS n, max(id) AS id FROM {{ ref \"mart.visits\" }}\n"+
		output("once", "{table: report.once, mode: append_once}")+"\n-- jobs/once.sql --\nSELECT id, {{ interval.start }} AS at FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n"+
		output("wrong", "{table: report.wrong, time_column: visited}")+"\n-- jobs/wrong.sql --\nSELECT id, visited FROM {{ ref \"mart.visits\" }}\n"+
		output("twice", "{table: report.twice, mode: merge, key: [one]}")+"\n-- jobs/twice.sql --\nSELECT id, 1 AS one FROM {{ ref \"mart.visits\" }}\n")
	b.publish(8, false, 0)
	r := b.runner(b.w, 1)
	b.settle(r)
	b.ask("SELECT count(*), max(id), min(hour), max(hour) FROM report.merged", "2", "9", "9", "10")
	b.ask("SELECT count(*), max(n), max(id) FROM report.whole", "1", "10", "9")
	b.ask("SELECT count(*), count(DISTINCT id), count(DISTINCT _job_interval), max(_job_generation) FROM report.once", "10", "10", "5", "1")
	b.request("b", "once", benchStart, benchStart.Add(30*time.Minute), elt.OnlyAll)
	b.settle(r)
	b.ask("SELECT count(*), count(DISTINCT id), CAST(sum(_job_generation) AS BIGINT) FROM report.once", "10", "10", "14")
	b.wantState("wrong", "2026-01-05T09:15:00Z", elt.Failed, "rows have a visited outside of the interval, or none; filter them in the SELECT")
	b.wantState("twice", "2026-01-05T09:15:00Z", elt.Failed, "1 keys are there more than once")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE job IN ('wrong', 'twice') AND state = 'published'", "0")
	b.graph = b.compile(days)
	b.set(benchStart.Add(48 * time.Hour))
	if err := b.c.Exec("UPDATE tidemill.fence SET window_end = TIMESTAMPTZ '2026-01-06 17:00:00+00'"); err != nil {
		t.Fatal(err)
	}
	b.want("a day of Jakarta", b.settle(r), "days 17:00 1")
	b.ask("SELECT count(*) FROM report.days", "0") // the 6th is the first whole day after the start, and has no visits
}

// everyCheck has each kind of check at least once.
const everyCheck = `checks:
  - not_null: [id, visited]
  - unique: [id]
  - {accepted: {column: amount, values: [0, 1]}, warn: "> 0"}
  - range: {column: amount, min: 0, max: 1000}
  - {regex: {column: word, pattern: "^v[0-9]+$"}}
  - length: {column: word, min: 2, max: 3}
  - relationship: {column: id, to: mart.visits, field: id}
  - row_count: {fail: "< 1", warn: "outside 50%..200% of median(3)"}
  - freshness: {column: visited, fail: "> 1h"}
  - schema: [id ID_TYPE, visited TS_TYPE, amount ID_TYPE, word TEXT_TYPE, down ID_TYPE, kind KIND_TYPE]
  - duplicates: {columns: [amount], warn: "> 10%", fail: "> 90%"}
  - aggregate: {of: sum(amount), fail: "> 100"}
  - ratio: {where: "amount is null", fail: "> 5%"}
  - equal_sum: {column: amount, with: mart.visits, time_column: visited, tolerance: 0.1%}
  - equal_rows_with: {table: mart.visits, time_column: visited}
  - sequential: {column: id}
  - metric: {sql: metric.sql, fail: "!= 2"}
  - sql: failing.sql
  - {distribution: {column: kind, shares: {even: 50%, odd: 50%}, fail: "> 0%"}}
  - {distribution: {column: kind, shares: {even: 80%, odd: 20%}, warn: "> 40%"}}
  - {distribution: {column: kind, shares: {even: 80%, odd: 19%, none: 1%}, warn: "> 30.9%", fail: "> 31.1%"}}
  - {distribution: {column: amount, like: mart.visits, time_column: visited, fail: "> 0.001%"}}
  - {distribution: {column: amount, like: mart.visits, field: id, warn: "> 1%"}, name: another}
  - monotonic: {column: id, by: visited}
  - {monotonic: {column: amount, by: id, per: word}, name: each}
  - {monotonic: {column: down, by: id}, warn: "> 0"}
  - aggregate: {of: nulls(amount), fail: "!= 0"}
  - aggregate: {of: distinct(id), fail: "!= 2"}
  - aggregate: {of: median(amount), fail: "inside 2..599"}
  - {aggregate: {of: stddev(id), fail: "outside 0.707..0.708"}}
`

func jobsChecks(t *testing.T, c JobsConfig) {
	checks := everyCheck
	id, ts, text, kind := "bigint", "timestamp with time zone", "text", "character varying(10)"
	switch c.Client().JobDialect().Name {
	case "DuckDB":
		text, kind = "varchar", "varchar"
	case "Redshift":
		text = "character varying(256)"
	}
	checks = strings.NewReplacer("ID_TYPE", id, "TS_TYPE", ts, "TEXT_TYPE", text, "KIND_TYPE", kind).Replace(checks)
	warned := map[string]bool{"duplicates amount": true, "distribution kind (3)": true, "another": true, "monotonic down by id": true} // both visits have the same amount
	b := newBench(t, c, jobFile("q", "15m", checks)+
		"\n-- jobs/q.sql --\nSELECT id, visited, amount, CAST('v' || CAST(id AS TEXT) AS TEXT) AS word, -id AS down, CAST(CASE WHEN MOD(id, 2) = 0 THEN 'even' ELSE 'odd' END AS VARCHAR(10)) AS kind FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n"+
		"-- jobs/metric.sql --\nSELECT count(*) FROM {{ ref \"staged\" }}\n-- jobs/failing.sql --\nSELECT * FROM {{ ref \"staged\" }} WHERE visited >= {{ interval.end }} OR amount > 500\n")
	b.publish(2, false, 1)
	r := b.runner(b.w, 1)
	b.want("all pass", b.settle(r), "q 09:00 1", "q 09:15 1")
	for _, e := range b.written() {
		if e.State != elt.Published {
			continue
		}
		for _, x := range e.Results {
			want := elt.Pass
			if warned[x.Check] {
				want = elt.Warned
			}
			if x.Kind == "row_count" {
				want = elt.Unknown
			}
			if x.Outcome != want {
				t.Errorf("check %s of %s: %+v, want %s", x.Check, b.name(e), x, want)
			}
		}
		if len(e.Results) != 30 {
			t.Errorf("%d results", len(e.Results))
		}
	}
	b.publish(2, false, 600) // beyond some of them
	b.want("some fail", b.settle(r))
	st := b.status("q", "2026-01-05T09:30:00Z")
	for _, part := range []string{"check aggregate sum(amount) fails: 1200 of 2, limit > 100", "check sql failing.sql fails: 2 of 2, limit > 0"} {
		if !strings.Contains(st.Reasons[0].Text, part) {
			t.Errorf("the reason %q lacks %q", st.Reasons[0].Text, part)
		}
	}
	b.ask("SELECT count(*) FROM report.q", "4") // nothing of it is visible
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'published' AND interval_start >= TIMESTAMPTZ '2026-01-05 09:30:00+00'", "0")
	// What was not there cannot have been measured: a check of a column that is not given is an error.
	b.graph = b.compile(jobFile("q", "15m", "checks: [{not_null: [nothing]}]\n") + sqlFile("q", "mart.visits"))
	b.publish(2, false, 1)
	b.settle(r)
	b.wantState("q", "2026-01-05T09:45:00Z", elt.Failed, "check not_null nothing")
}

func jobsSchema(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("q", "15m", "")+sqlFile("q", "mart.visits"))
	r := b.runner(b.w, 1)
	b.settle(r)
	more := "\n-- jobs/q.sql --\nSELECT id, visited, amount, 1 AS one FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n"
	b.graph = b.compile(jobFile("q", "15m", "") + more)
	b.publish(2, false, 0)
	b.settle(r)
	b.wantState("q", "2026-01-05T09:15:00Z", elt.Failed, "the SELECT gives a column one that the table report.q does not have; write output.schema_change: add_columns")
	b.graph = b.compile(strings.Replace(jobFile("q", "15m", ""), "time_column: visited", "time_column: visited, schema_change: add_columns", 1) + more)
	b.request("b", "q", benchStart, benchStart.Add(time.Hour), elt.OnlyFailed)
	b.want("with the column", b.settle(r), "q 09:15 1")
	b.ask("SELECT count(*), count(one) FROM report.q", "4", "2")
	b.graph = b.compile(jobFile("q", "15m", "") + "\n-- jobs/q.sql --\nSELECT CAST(id AS TEXT) AS id, visited, amount, 1 AS one FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n")
	b.publish(2, false, 0)
	b.settle(r)
	b.wantState("q", "2026-01-05T09:30:00Z", elt.Failed, "the column id of report.q is ")
	if err := b.c.Exec("CREATE TABLE report.mine AS SELECT 1 AS id"); err != nil {
		t.Fatal(err)
	}
	b.graph = b.compile(jobFile("mine", "15m", "") + sqlFile("mine", "mart.visits"))
	b.settle(r)
	b.wantState("mine", "2026-01-05T09:00:00Z", elt.Failed, "the table report.mine is there, holds rows")
}

// jobsOnlyChecks checks a pipeline's table per window.
func jobsOnlyChecks(t *testing.T, c JobsConfig) {
	file := strings.Replace(jobFile("watch", "15m", "inputs: [mart.visits]\nchecks:\n  - row_count: {fail: \"< 2\"}\n  - {accepted: {column: amount, values: [0]}, warn: \"> 0\"}\n"), "sql: watch.sql\noutput: {table: report.watch, time_column: visited}", "output: {time_column: visited}", 1)
	b := newBench(t, c, file)
	b.publish(2, false, 1)
	b.p.Publish(b.w, b.p.Next())
	b.p.Publish(b.w, b.p.Next())
	r := b.runner(b.w, 1)
	b.want("windows with their rows", b.settle(r), "watch 09:00 1", "watch 09:15 1")
	b.wantState("watch", "2026-01-05T09:30:00Z", elt.Failed, "check row_count fails: 0, limit < 2")
	for _, e := range b.written() {
		if e.State == elt.Published && strings.Contains(b.name(e), "09:15") && e.Results[1].Outcome != elt.Warned {
			t.Errorf("%+v", e.Results)
		}
	}
}

// jobsFirst looks after jobs in a warehouse that no pipeline has published to yet: both make their relations, in any order.
func jobsFirst(t *testing.T, c JobsConfig) {
	b := &bench{t: t, c: c, w: c.Client(), p: NewPipeline(t, "care")}
	b.set(benchStart.Add(24 * time.Hour))
	b.graph = b.compile(jobFile("quarter", "15m", "") + sqlFile("quarter", "mart.visits"))
	r := b.runner(b.w, 1)
	b.want("before any pipeline", b.settle(r))
	b.wantState("quarter", "2026-01-05T09:00:00Z", elt.Waiting, "mart.visits has not been published yet")
	b.p.Acquire(b.w, 1)
	b.want("with a fence and no table", b.settle(r))
	b.publish(2, true, 0)
	b.want("with the first window", b.settle(r), "quarter 09:00 1")
}

// jobsActs is what people do: hold and release a job, skip an interval, acknowledge an alert.
func jobsActs(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "checks: [{row_count: {fail: \"< 3\"}}]\n")+sqlFile("quarter", "mart.visits")+
		jobFile("half", "30m", "")+sqlFile("half", "quarter"))
	receiver := newCounter(t)
	b.owners, b.sender = map[string][]string{"data": {"webhook:x"}}, receiver
	ask := func(r elt.Request) {
		t.Helper()
		r.Actor, r.Reason = "ana", "because"
		if err := elt.Ask(t.Context(), clocked{b.w, b}, []elt.Request{r}); err != nil {
			t.Fatal(err)
		}
	}
	ask(elt.Request{Job: "quarter", Action: elt.ActHold})
	r := b.runner(b.w, 1)
	b.want("while it is held", b.settle(r))
	b.wantState("quarter", "2026-01-05T09:00:00Z", elt.Waiting, "the job is held by ana: because")
	ask(elt.Request{Job: "quarter", Action: elt.ActRelease})
	b.settle(r)
	b.wantState("quarter", "2026-01-05T09:00:00Z", elt.Failed, "check row_count fails: 2, limit < 3")
	book, err := elt.Read(t.Context(), b.w, b.graph)
	if err != nil {
		t.Fatal(err)
	}
	j := b.graph.Job("quarter")
	if err := elt.Answer(t.Context(), clocked{b.w, b}, book, j, j.First, elt.EventSilence, "ana"); err != nil {
		t.Errorf("silencing: %v", err)
	}
	s := &elt.Situation{Graph: b.graph, Committed: book.Committed, Grid: quarterGrid(t), Now: b.clock(), Epoch: -1}
	if err := elt.Skip(t.Context(), clocked{b.w, b}, s, j, j.First, "ana", "known"); err != nil {
		t.Errorf("skipping: %v", err)
	}
	b.publish(2, false, 0)
	b.settle(r)
	b.wantState("quarter", "2026-01-05T09:00:00Z", elt.Skipped, "skipped by ana: known")
	b.wantState("half", "2026-01-05T09:00:00Z", elt.Waiting, "quarter: 0 of 2 intervals are there; 2026-01-05T09:00Z is skipped")
	b.ask("SELECT count(*), max(actor) FROM tidemill.job_ledger WHERE state = 'skipped'", "1", "ana")
	for _, m := range receiver.heard() {
		if strings.Contains(m, "resolve") && strings.Contains(m, "09:00Z") {
			t.Errorf("a silenced alert was told to be over: %s", m)
		}
	}
}
