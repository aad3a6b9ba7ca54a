package elt_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// full is the spec that jobs.md draws, as a project.
const full = `
-- tidemill.yaml --
project: clinic
timezone: Asia/Jakarta
pools: {redshift_heavy: 4}
alerts:
  slack: {data: {url: "https://hooks.example.org/x"}}
  mail: {heads: {to: [a@example.org], from: tm@example.org, server: "127.0.0.1:25", tls: none}}
  pagerduty: {dwh: {key: "${env:PD}"}}
  owners: {data-reporting: [slack:data]}
-- jobs/daily_elt.yaml --
kind: template
name: daily_elt
owner: data-reporting
interval: {every: day, tz: Asia/Jakarta}
vars: {city: Jakarta, limit: 10}
late: {lookback: 2, on_restate: rerun, horizon: 30d}
alerts: {group: 5m}
-- jobs/daily_consults.yaml --
kind: job
name: daily_consults
extends: [daily_elt]
start: 2024-01-01
run: {not_before: "00:20", catchup: all, overlap: queue}
inputs:
  - {table: visits, need: complete}
  - {table: raw.payments, slice: {from: -1d, to: 0}, need: complete}
  - {table: raw_consult.doctors, need: latest, max_age: 2h}
  - {table: raw_consult.sheet, need: {coverage: 100%, give_up: "05:00", then: provisional}}
vars: {limit: 20, since: 2026-01-31, code: "007", on: true}
sql: daily_consults.sql
output:
  table: mart.daily_consults
  mode: replace_interval
  time_column: consult_date
  schema_change: freeze
retry: {attempts: 4, backoff: 30s..10m, on: [transient, conflict]}
limits: {timeout: 40m, pool: redshift_heavy, weight: 2, backfill_share: 30%, max_cost_rows: 500M}
checks:
  - not_null: [consult_id, consult_date]
  - unique: [consult_id]
  - row_count: {fail: "< 1", warn: "outside 50%..200% of median(28 same weekday)"}
  - ratio: {where: "status is null", warn: "> 1%", fail: "> 5%"}
  - equal_sum: {column: amount, with: raw.payments, tolerance: 0.1%}
  - sql: checks/no_future_dates.sql
  - accepted: {column: status, values: [done, cancelled, "7", 7]}
  - {not_null: [doctor_id], warn: "> 0", fail: "> 1%", where: "status = 'done'"}
sla: {ready_by: "06:00", warn_by: "05:30", max_runtime: 3x median}
alerts: {fail: [slack:data, pagerduty:dwh], late: [slack:data, mail:heads], check_warn: [slack:data], silence: []}
data: {classification: phi, mask: [patient_name, nik], keep_failed_rows: 50 keys only}
-- jobs/daily_consults.sql --
-- what was done in a day {{ nothing }}
SELECT consult_id, consult_date FROM {{ ref "visits" }} v JOIN {{ ref "raw_consult.doctors" }} d ON true
WHERE v.visited >= {{ interval.start }} AND v.visited < {{ interval.end }} AND note <> '-- no comment' AND city = {{ var.city }} AND n < {{ var.limit }} AND code = {{ var.code }} AND since > {{ var.since }} AND x = {{ var.on }};
-- jobs/checks/no_future_dates.sql --
SELECT * FROM {{ ref "staged" }} WHERE consult_date > {{ interval.end }}
`

func TestSpec(t *testing.T) {
	t.Setenv("PD", "x")
	p, err := config.Load(project(t, full), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	g, problems := elt.Compile(p.Jobs, p.Templates, elt.World{Grid: newWorld(t, &elt.Graph{}, at(t, "2026-01-01")).grid, Zone: p.Timezone, Tables: tables, Pools: p.Pools, Alerts: p.Alerts})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	j := g.Job("daily_consults")
	if j.Spec.Owner != "data-reporting" || j.Spec.Late.Lookback != 2 || j.Spec.Alerts.Group.String() != "5m0s" || len(j.Inputs) != 4 || len(j.Probes) != 8 {
		t.Errorf("%+v", j.Spec)
	}
	day, err := j.Calendar.Parse("2026-03-29")
	if err != nil {
		t.Fatal(err)
	}
	want := `SELECT consult_id, consult_date FROM "mart"."visits" v JOIN "raw_consult"."doctors" d ON true
WHERE v.visited >= TIMESTAMPTZ '2026-03-28 17:00:00+00' AND v.visited < TIMESTAMPTZ '2026-03-29 17:00:00+00' AND note <> '-- no comment' AND city = 'Jakarta' AND n < 20 AND code = '007' AND since > DATE '2026-01-31' AND x = TRUE`
	if got := strings.TrimSpace(j.Statement(day)); got != want {
		t.Errorf("rendered:\n%s\nwant\n%s", got, want)
	}
	text := j.Explain()
	for _, line := range []string{"  weight: 2\n", "  via: insert  # default\n", "  ready_by: \"06:00\"\n", "  city: Jakarta\n", "  limit: 20\n", "  code: \"007\"\n",
		"# reads raw_consult.doctors of pipeline raw, latest\n", "# checks row_count, warns outside 50%..200% of median(28 same weekday), fails < 1\n",
		"  - not_null: [consult_id, consult_date]\n", "# checks not_null doctor_id, warns > 0, fails > 1%\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("explain lacks %q:\n%s", line, text)
		}
	}
	// What explain prints is a job again, of the same definition.
	again := strings.Replace(full, full[strings.Index(full, "-- jobs/daily_consults.yaml"):strings.Index(full, "-- jobs/daily_consults.sql")], "-- jobs/daily_consults.yaml --\n"+text, 1)
	p, err = config.Load(project(t, again), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	g, problems = elt.Compile(p.Jobs, p.Templates, elt.World{Grid: newWorld(t, &elt.Graph{}, at(t, "2026-01-01")).grid, Zone: p.Timezone, Tables: tables, Pools: p.Pools, Alerts: p.Alerts})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text)
	}
	if g.Job("daily_consults").Definition != j.Definition || g.Job("daily_consults").Explain() != text {
		t.Errorf("explained again:\n%s", g.Job("daily_consults").Explain())
	}
}

// 14. A typo is an error that names it, and never a check that does not run.
func TestPain14TypoIsAnError(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"checks: [{not_nul: [a]}]", `unknown key "not_nul" (did you mean "not_null"?)`},
		{"checks: [{where: \"a = 1\"}]", "checks[0]: says no check"},
		{"checks: [{not_null: [a], unique: [a]}]", "checks[0]: says not_null and unique"},
		{"checks: [{not_null: []}]", "names no column"},
		{"checks: [{aggregate: {of: sdtdev(a), warn: \"> 1\"}}]", `median, min, nulls, stddev, sum of a column, like sum(amount) (did you mean "stddev"?)`},
		{"checks: [{distribution: {column: a, shares: {x: 60%, y: 30%}, fail: \"> 5%\"}}]", "are 90% together, not 100%"},
		{"checks: [{distribution: {column: a, fail: \"> 5%\"}}]", "needs shares, like {new: 60%, done: 40%}, or like"},
		{"checks: [{distribution: {column: a, like: mart.visits}}]", "needs a limit"},
		{"checks: [{distribution: {column: a, like: mart.visit, warn: \"> 5%\"}}]", `(did you mean "mart.visits"?)`},
		{"checks: [{monotonic: {column: a}}]", "monotonic.by: is missing"},
		{"checks: [{row_count: {warn: \"outside 4 deviation of median(28)\"}}]", `or "outside 4 deviations of median(28)"`},
		{"checks: [{row_count: {}}]", "needs a limit"},
		{"checks: [{row_count: {fal: \"< 1\"}}]", `unknown key "fal" (did you mean "fail"?)`},
		{"checks: [{row_count: {fail: \"below 1\"}}]", "must be like"},
		{"checks: [{accepted: {column: a, values: []}}]", "every row would fail"},
		{"checks: [{range: {column: a}}]", "every row would pass"},
		{"checks: [{aggregate: {of: total(a), fail: \"> 1\"}}]", "must be one of avg, distinct, max"},
		{"checks: [{ratio: {where: \"(a) or (b)\", fail: \"> 1%\"}}]", ""},
		{"checks: [{ratio: {where: \"a) or b\", fail: \"> 1%\"}}]", "closing parenthesis too many"},
		{"checks: [{ratio: {where: \"a; drop table b\", fail: \"> 1%\"}}]", "must be one condition"},
		{"checks: [{sql: nowhere.sql}]", "reading jobs/nowhere.sql"},
		{"checks: [{relationship: {column: a, to: mart.visit, field: a}}]", `"mart.visit" and no job makes it (did you mean "mart.visits"?)`},
		{"ownr: me", `unknown key "ownr" (did you mean "owner"?)`},
		{"run: {catchup: al}", `must be all, latest or none (did you mean "all"?)`},
		{"inputs: [{table: mart.visits, need: complet}]", `(did you mean "complete"?)`},
		{"inputs: [{table: mart.visits, need: {coverage: 95}}]", "must be a percentage"},
		{"inputs: [{table: mart.visits, max_age: 2h}]", "belongs to need: latest"},
		{"inputs: [{table: mart.visist}]", `(did you mean "mart.visits"?)`},
		{"inputs: [{table: mart.visits}, {table: visits}]", "is named twice: mart.visits"},
		{"limits: {pool: heavy}", `there is no pool "heavy"`},
		{"limits: {weight: 9}", "more than the pool default holds (4)"},
		{"alerts: {fail: [slack:data]}", `there is no channel "slack:data"`},
		{"extends: [daily]", `there is no template "daily"`},
		{"sla: {warn_by: \"05:00\"}", "warns of ready_by, which is missing"},
		{"sla: {ready_by: \"6:00\"}", "must be a time of day like"},
		{"sla: {ready_by: \"05:00\", warn_by: \"06:00\"}", "must be before ready_by"},
		{"vars: {a: \"${env:SECRET}\"}", "may hold no secret"},
		{"retry: {on: [sql]}", "must be transient or conflict"},
		{"start: 2026-13-01", "must be a date"},
		{"interval: {every: fortnight}", "must be hour, day, week"},
		{"interval: {every: 10m}", "windows of 15m do not tile"},
		{"interval: {every: day, tz: Asia/Batavia}", "is no IANA time zone"},
		{"output: {table: tidemill.x, time_column: a}", "the schema tidemill is reserved"},
		{"output: {table: mart.x}", "output.time_column: is missing"},
		{"output: {table: mart.x, mode: merge}", "output.key: is missing"},
		{"output: {table: mart.x, mode: append}", "must be replace_interval, merge, replace_all or append_once"},
		{"output: {table: mart.x, mode: append_once, time_column: a}", "belongs to mode: replace_interval"},
	} {
		lines := map[string]string{"owner": "owner: me", "interval": "interval: day", "start": "start: 2026-01-01", "sql": "sql: d.sql", "output": "output: {table: mart.d, time_column: a}"}
		key, _, _ := strings.Cut(c.line, ":")
		lines[key] = c.line
		file := "-- jobs/d.yaml --\nkind: job\nname: d\n"
		for _, l := range lines {
			file += l + "\n"
		}
		_, problems := compile(t, file+"-- jobs/d.sql --"+visitsSQL)
		if got := problems.Error(); c.want == "" && len(problems) > 0 || !strings.Contains(got, c.want) || c.want != "" && len(problems) != 1 {
			t.Errorf("%s:\n got %v\nwant one problem with %q", c.line, problems, c.want)
		}
	}
}

// 14. A definition that does not compile leaves nothing half-applied: there is no graph at all.
func TestPain14OneBadFileRefusesTheFolder(t *testing.T) {
	g, problems := compile(t, daily("good", "")+"-- jobs/good.sql --"+visitsSQL+daily("bad", "sqll: x\n")+"-- jobs/bad.sql --"+visitsSQL)
	if g != nil || len(problems) != 1 || problems[0].File != "jobs/bad.yaml" || problems[0].Line == 0 {
		t.Errorf("graph %v, problems %v", g, problems)
	}
}

func TestReferences(t *testing.T) {
	for name, c := range map[string]struct{ archive, want string }{
		"cycle": {daily("a", "") + "-- jobs/a.sql --\nSELECT * FROM {{ ref \"b\" }}\n" + daily("b", "") + "-- jobs/b.sql --\nSELECT * FROM {{ ref \"c\" }}\n" + daily("c", "") + "-- jobs/c.sql --\nSELECT * FROM {{ ref \"a\" }}\n",
			"depends on itself: a reads b reads c reads a"},
		"itself":              {daily("a", "") + "-- jobs/a.sql --\nSELECT * FROM {{ ref \"mart.a\" }}\n", "depends on itself: a reads a"},
		"direct":              {daily("a", "") + "-- jobs/a.sql --\nSELECT * FROM {{ ref \"raw.payments\" }} p JOIN mart . \"Visits\" v ON true\n", `reads mart.visits directly: write {{ ref "mart.visits" }}`},
		"direct of a pattern": {daily("a", "") + "-- jobs/a.sql --\nSELECT * FROM {{ ref \"raw.payments\" }} p, raw_consult.patients\n", `reads raw_consult.patients directly`},
		"in a text":           {daily("a", "") + "-- jobs/a.sql --\nSELECT 'mart.visits', x.mart.visits FROM {{ ref \"raw.payments\" }} -- mart.visits\n", ""},
		"no input":            {daily("a", "") + "-- jobs/a.sql --\nSELECT 1\n", "the job reads no table"},
		"two writers":         {daily("a", "") + "-- jobs/a.sql --" + visitsSQL + strings.Replace(daily("b", ""), "mart.b", "mart.a", 1) + "-- jobs/b.sql --" + visitsSQL, "is made by two jobs"},
		"a pipeline's table":  {strings.Replace(daily("a", ""), "mart.a,", "mart.visits,", 1) + "-- jobs/a.sql --\nSELECT * FROM {{ ref \"raw.payments\" }}\n", "is published by pipeline care"},
		"begins too early":    {daily("a", "") + "-- jobs/a.sql --" + visitsSQL + strings.Replace(daily("b", ""), "2026-01-01", "2025-12-31", 1) + "-- jobs/b.sql --\nSELECT * FROM {{ ref \"a\" }}\n", "which begins at 2025-12-31T17:00:00Z: start later"},
	} {
		_, problems := compile(t, c.archive)
		if got := problems.Error(); !strings.Contains(got, c.want) || c.want == "" && len(problems) > 0 {
			t.Errorf("%s: got %v, want %q", name, problems, c.want)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT '{{ interval.start }}'":                "1:9: a placeholder inside quotes",
		"SELECT {{ interval.begin }}":                  `1:8: "interval.begin" is no placeholder`,
		"SELECT {{ var.x | upper }}":                   "is no placeholder",
		"SELECT {{ env.SECRET }}":                      "is no placeholder",
		"SELECT\n {% if x %} 1":                        "2:2: there is no logic in templates",
		"SELECT {{ interval.start":                     "is not closed",
		"SELECT }} 1":                                  "closes nothing",
		"SELECT 1; DROP TABLE x":                       "1:11: a second statement",
		"DELETE FROM x":                                `a job is one SELECT, this begins with "DELETE"`,
		"":                                             "there is no SELECT",
		"-- only a remark":                             "there is no SELECT",
		"SELECT ';' AS a, $$;$$ AS b; -- the end;":     "",
		"(SELECT 1)":                                   "",
		"/* ; */ with a as (select 1) select * from a": "",
	} {
		_, err := elt.ParseTemplate(sql)
		if got := ""; err != nil {
			got = err.Error()
			if want == "" || !strings.Contains(got, want) {
				t.Errorf("%q: %v, want %q", sql, err, want)
			}
		} else if want != "" {
			t.Errorf("%q was accepted, want %q", sql, want)
		}
	}
}

// A way of rows that the warehouse lacks is refused by its name before anything runs. Where the warehouse is not known, it is
// not judged.
func TestWayOfRows(t *testing.T) {
	p, err := config.Load(project(t, strings.Replace(daily("d", ""), "time_column: visited", "time_column: visited, via: unload_copy", 1)+"-- jobs/d.sql --"+visitsSQL), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	w := elt.World{Grid: newWorld(t, &elt.Graph{}, at(t, "2026-01-01")).grid, Zone: p.Timezone, Tables: tables, Pools: p.Pools}
	const want = "jobs/d.yaml:7:47: output.via: DuckDB has no way of rows called unload_copy: write output.via: insert or parquet"
	for _, c := range []struct {
		name, want string
		via        []string
	}{{"", "", nil}, {"Redshift", "", []string{elt.ViaInsert, elt.ViaUnload, elt.ViaParquet}}, {"DuckDB", want, []string{elt.ViaInsert, elt.ViaParquet}}} {
		w.Warehouse = elt.Dialect{Name: c.name, Via: c.via}
		if _, problems := elt.Compile(p.Jobs, p.Templates, w); c.want == "" && len(problems) > 0 || !strings.Contains(fmt.Sprint(problems), c.want) {
			t.Errorf("%q: %s", c.name, problems)
		}
	}
}

// Whatever the text is, parsing ends, and what is accepted renders without a placeholder left.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"SELECT {{ interval.start }}", "SELECT '{{", "{{ ref \"a\" }}", "SELECT $a$ {{ $a$", "SELECT --\n1;", "with x as (select \"a\"\"b\") select * from x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl, err := elt.ParseTemplate(s)
		if err != nil {
			return
		}
		out := tpl.Render(elt.Values{Refs: map[string]string{}, Vars: map[string]elt.Var{}})
		if again, err := elt.ParseTemplate(out); err == nil && (len(again.Refs) > 0 || len(again.Vars) > 0) {
			t.Errorf("%q renders %q, which holds placeholders", s, out)
		}
	})
}

func FuzzLimit(f *testing.F) {
	for _, s := range []string{"> 1%", "outside 1..2", "outside 50%..200% of median(28 same weekday)", "outside 4 deviations of median(28)", "inside 1..2", "< 2h", "!="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var l elt.Limit
		if l.UnmarshalText([]byte(s)) == nil {
			l.Crossed(elt.Reading{Value: 1, Total: 2}, nil)
			var again elt.Limit
			if err := again.UnmarshalText([]byte(l.String())); err != nil || again != l {
				t.Errorf("%q reads back as %v, %v", s, again, err)
			}
		}
	})
}

func TestLimits(t *testing.T) {
	past := func(values ...float64) (out []elt.Past) {
		for i, v := range values {
			out = append(out, elt.Past{Value: v, SameWeekday: i%2 == 0})
		}
		return out
	}
	for _, c := range []struct {
		limit          string
		value, total   float64
		past           []elt.Past
		crossed, known bool
	}{
		{"> 0", 1, 10, nil, true, true}, {"> 0", 0, 0, nil, false, true}, {"> 1%", 1, 100, nil, false, true}, {"> 1%", 2, 100, nil, true, true},
		{"> 1%", 0, 0, nil, false, true}, {"> 1%", 5, 0, nil, true, true}, {"< 1", 0, 0, nil, true, true}, {"outside 1..10", 11, 0, nil, true, true},
		{"outside 1..10", 10, 0, nil, false, true}, {"> 2h", 7201, 1, nil, true, true}, {"!= 0", 0, 5, nil, false, true},
		{"outside 50%..200% of median(28)", 49, 49, past(100, 100, 100), true, true},
		{"outside 50%..200% of median(28)", 50, 50, past(100, 100, 100), false, true},
		{"outside 50%..200% of median(28)", 1, 1, past(100, 100), false, false},
		{"outside 50%..200% of median(28 same weekday)", 10, 10, past(10, 1000, 10, 1000, 10), false, true},
		{"inside 1..10", 10, 0, nil, true, true}, {"inside 1..10", 11, 0, nil, false, true},
		// The median is 100, and half of the days are within 4 of it: a deviation is 5.9.
		{"outside 4 deviations of median(28)", 124, 124, past(100, 104, 96, 104, 96, 100, 110), true, true},
		{"outside 4 deviations of median(28)", 123, 123, past(100, 104, 96, 104, 96, 100, 110), false, true},
		{"outside 4 deviations of median(28)", 76, 76, past(100, 104, 96, 104, 96, 100, 110), true, true},
		{"outside 4 deviations of median(28)", 130, 130, past(100, 104, 96, 104, 96, 100, 100000), true, true}, // one wild day hides nothing
		{"outside 4 deviations of median(28)", 104, 104, past(100, 100, 100, 100, 100, 100, 100), false, true}, // what never moved moves by 1 %
		{"outside 4 deviations of median(28)", 105, 105, past(100, 100, 100, 100, 100, 100, 100), true, true},
		{"outside 4 deviations of median(28)", 1, 1, past(100, 100, 100, 100, 100, 100), false, false},
		{"outside 4 deviations of median(28 same weekday)", 1, 1, past(100, 1, 100, 1, 100, 1, 100, 1), false, false},
	} {
		var l elt.Limit
		if err := l.UnmarshalText([]byte(c.limit)); err != nil {
			t.Fatal(err)
		}
		if crossed, known := l.Crossed(elt.Reading{Value: c.value, Total: c.total}, c.past); crossed != c.crossed || known != c.known {
			t.Errorf("%s of %g/%g: crossed %v known %v", c.limit, c.value, c.total, crossed, known)
		}
	}
	// A day of ten times the rows with ten times the NULLs is as usual; one of the same rows with five times the NULLs is not.
	h := elt.NewHistory()
	for i := range 8 {
		start := at(t, "2026-03-01").AddDate(0, 0, i)
		h.Add(elt.Entry{Job: "a", Interval: grid.Window{Start: start, End: start.AddDate(0, 0, 1)}, Generation: 1, Attempt: 1, State: elt.Published,
			Results: []elt.Result{{Check: "nulls", Kind: "ratio", Value: float64(9 + i%3), Total: 1000}}})
	}
	shares := h.Past("nulls", grid.Window{Start: at(t, "2026-03-09")}, time.UTC)
	var l elt.Limit
	if err := l.UnmarshalText([]byte("outside 4 deviations of median(28)")); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[elt.Reading]bool{{Value: 100, Total: 10000, Share: true}: false, {Value: 50, Total: 1000, Share: true}: true} {
		if crossed, known := l.Crossed(r, shares); crossed != want || !known {
			t.Errorf("%v: crossed %v known %v", r, crossed, known)
		}
	}
	for _, bad := range []string{"", "1", ">", "> x", "=> 1", "outside 1", "outside 2..1", "outside 1..2%", "outside 1..2 of median(3)", "outside 1%..2% of median()", "outside 1%..2% of median(2)", "> NaN", "> 1e99",
		"outside 4 deviations", "outside 0 deviations of median(28)", "outside x deviations of median(28)", "outside 4 deviations of median(6)", "inside 4 deviations of median(28)", "inside 2..1"} {
		var l elt.Limit
		if err := l.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
