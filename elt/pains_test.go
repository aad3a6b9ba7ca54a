package elt_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/grid"
)

const hourly = `
-- jobs/hourly.yaml --
kind: job
name: hourly
owner: data
interval: {every: hour, tz: %[1]s}
start: 2026-01-01
sql: hourly.sql
output: {table: mart.hourly, time_column: visited}
-- jobs/hourly.sql --
SELECT * FROM {{ ref "mart.visits" }}
-- jobs/daily.yaml --
kind: job
name: daily
owner: data
interval: {every: day, tz: %[1]s}
start: 2026-01-01
sql: daily.sql
output: {table: mart.daily, time_column: visited}
-- jobs/daily.sql --
SELECT * FROM {{ ref "hourly" }}
-- jobs/weekly.yaml --
kind: job
name: weekly
owner: data
interval: {every: week, tz: %[1]s}
start: 2026-01-01
sql: weekly.sql
output: {table: mart.weekly, time_column: visited}
-- jobs/weekly.sql --
SELECT * FROM {{ ref "daily" }}
`

// 1. Another cadence's interval is never taken for the right one: in whatever order hours are committed, a day is ready exactly
// when all of its own are, and with the last of them.
func TestPain01WrongIntervalBetweenCadences(t *testing.T) {
	for _, zone := range []string{"Asia/Jakarta", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"} {
		g := mustCompile(t, fmt.Sprintf(hourly, zone))
		hours, days := g.Job("hourly"), g.Job("daily")
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, g, at(t, "2026-06-01"))
			var all []grid.Window
			days3 := []string{"2026-03-07", "2026-03-08", "2026-03-09", "2026-03-28", "2026-03-29", "2026-03-30"}
			left := map[string]map[int64]bool{}
			for _, d := range days3 {
				day, err := days.Calendar.Parse(d)
				if err != nil {
					t.Fatal(err)
				}
				left[d] = map[int64]bool{}
				for h := hours.Calendar.At(day.Start); h.Start.Before(day.End); h = hours.Calendar.Next(h) {
					all = append(all, h)
					left[d][h.Start.Unix()] = true
				}
			}
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, h := range all {
				w.add(elt.Entry{Job: "hourly", Interval: h, Generation: 1, Attempt: 1, State: elt.Published})
				for _, d := range days3 {
					delete(left[d], h.Start.Unix())
					if ready := w.status("daily", d).State == elt.Ready; ready != (len(left[d]) == 0) {
						t.Fatalf("%s seed %d: %s ready %v with %d hours missing", zone, seed, d, ready, len(left[d]))
					}
				}
			}
		}
	}
}

// 2. No trigger is lost or doubled: whatever is paused, killed or restarted at whatever step, the same is published.
func TestPain02TriggersSurvivePauseKillRestart(t *testing.T) {
	g := mustCompile(t, fmt.Sprintf(hourly, "Asia/Jakarta"))
	finish := func(seed uint64) map[string]int {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, g, at(t, "2026-01-03 02:00"))
		w.through(at(t, "2026-01-02 19:00"), "mart.visits")
		var open []elt.Entry
		for range 5000 {
			if seed > 0 && r.IntN(10) == 0 { // the process dies, and another takes over
				open, w.live = nil, map[elt.RunKey]bool{}
				w.epoch++
			}
			if seed > 0 && r.IntN(20) == 0 { // somebody holds a job, and lets it go later
				job := []string{"hourly", "daily", "weekly"}[r.IntN(3)]
				act := []elt.Action{elt.ActHold, elt.ActRelease}[r.IntN(2)]
				w.tick()
				w.committed.Requests = append(w.committed.Requests, elt.Request{Job: job, Action: act, At: w.now})
			}
			d := w.situation().Decide()
			for _, row := range d.Rows {
				w.add(row)
			}
			for _, s := range d.Start {
				open = append(open, w.begin(s))
			}
			if len(open) > 0 && (seed == 0 || r.IntN(2) == 0) {
				i := r.IntN(len(open))
				w.end(open[i], elt.Published, nil)
				open = slices.Delete(open, i, i+1)
			}
			if len(d.Start) == 0 && len(open) == 0 {
				for _, job := range []string{"hourly", "daily", "weekly"} {
					w.tick()
					w.committed.Requests = append(w.committed.Requests, elt.Request{Job: job, Action: elt.ActRelease, At: w.now})
				}
				w.now = w.now.Add(time.Hour) // past every backoff
				if len(w.situation().Decide().Start) == 0 {
					break
				}
			}
		}
		out := map[string]int{}
		for _, p := range w.published {
			out[p]++
		}
		return out
	}
	want := finish(0)
	if len(want) != 52 || want["daily 2026-01-02 1"] != 1 || want["hourly 2026-01-01T00:00+07:00 1"] != 1 {
		t.Fatalf("an undisturbed run published %v", want)
	}
	for seed := uint64(1); seed < 25; seed++ {
		got := finish(seed)
		for p, n := range got {
			if n != 1 {
				t.Errorf("seed %d: %s was published %d times", seed, p, n)
			}
		}
		for p := range want {
			if got[p] != 1 {
				t.Errorf("seed %d: %s was published %d times", seed, p, got[p])
			}
		}
	}
}

// 3. Days on which a clock changes have all their windows, no more and no fewer.
func TestPain03DSTDay(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		windows   int
	}{
		{"Europe/Berlin", "2026-03-29", 92}, {"Europe/Berlin", "2026-10-25", 100}, {"Asia/Kathmandu", "2026-03-29", 96},
		{"Australia/Lord_Howe", "2026-04-05", 98}, {"Australia/Lord_Howe", "2026-10-04", 94}, {"America/Sao_Paulo", "2018-11-04", 92},
	} {
		g := mustCompile(t, strings.ReplaceAll(strings.ReplaceAll(daily("d", "")+"-- jobs/d.sql --"+visitsSQL, "Asia/Jakarta", c.zone), "2026-01-01", "2018-01-01"))
		j := g.Job("d")
		w := newWorld(t, g, at(t, "2027-01-01"))
		day, err := j.Calendar.Parse(c.day)
		if err != nil {
			t.Fatal(err)
		}
		for n, win := range w.grid.Windows(day) {
			w.through(win.Start, "mart.visits")
			st := w.status("d", c.day)
			if st.State != elt.Waiting || st.Reasons[0].Have != n || st.Reasons[0].Want != c.windows {
				t.Fatalf("%s %s after %d windows: %s %+v", c.zone, c.day, n, st.State, st.Reasons)
			}
		}
		w.through(day.End, "mart.visits")
		w.want("d", c.day, elt.Ready, "")
	}
}

// 4. What is built from an interval that is built again is built again: the chain that reads it, once each, and nothing else.
func TestPain04UpstreamRestated(t *testing.T) {
	g := mustCompile(t, fmt.Sprintf(hourly, "Asia/Jakarta"))
	w := newWorld(t, g, at(t, "2026-01-20"))
	w.through(at(t, "2026-01-19"), "mart.visits")
	first := w.settle()
	if len(first) != 18*24+7+18+2 { // hours, the hours of the 19th, days, weeks
		t.Fatalf("%d intervals are published", len(first))
	}
	j := g.Job("hourly")
	hour, err := j.Calendar.Parse("2026-01-07T05:00+07:00")
	if err != nil {
		t.Fatal(err)
	}
	w.tick()
	p, err := w.situation().Preview(j, hour.Start, hour.End, elt.OnlyAll)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Requests("b1", "ana", "corrected") {
		r.At = w.now
		w.committed.Requests = append(w.committed.Requests, r)
	}
	var touched []string
	for _, x := range p.Downstream {
		for _, i := range x.Intervals {
			touched = append(touched, x.Job+" "+g.Job(x.Job).IntervalName(i))
		}
	}
	same(t, "the preview", touched, []string{"daily 2026-01-07", "weekly 2026-01-05"})
	same(t, "after the backfill of one hour", w.settle(), []string{"hourly 2026-01-07T05:00+07:00 2", "daily 2026-01-07 2", "weekly 2026-01-05 2"})
	same(t, "and then", w.settle(), nil)

	// A resync of the pipeline's table touches all that was built from it.
	w.resync("mart.visits", "second")
	w.want("hourly", "2026-01-03T05:00+07:00", elt.Stale, "mart.visits was loaded anew (second, built from first)")
	again := w.settle()
	if n := len(again); n != len(first) {
		t.Errorf("after a resync %d intervals are built again, want %d", n, len(first))
	}
	same(t, "and then", w.settle(), nil)
}

// The policies for what was re-published: mark shows it and runs nothing, ignore does not even show it, and what ended before the
// horizon is only marked.
func TestRestatePolicies(t *testing.T) {
	for _, c := range []struct {
		late  string
		state elt.State
		runs  int
	}{
		{"{on_restate: rerun}", elt.Stale, 1}, {"{on_restate: mark}", elt.Stale, 0}, {"{on_restate: ignore}", elt.Published, 0}, {"{horizon: 2d}", elt.Stale, 0},
	} {
		g := mustCompile(t, daily("d", "late: "+c.late+"\n")+"-- jobs/d.sql --"+visitsSQL)
		w := newWorld(t, g, at(t, "2026-01-02"))
		w.through(at(t, "2026-01-01 17:00"), "mart.visits")
		same(t, c.late, w.settle(), []string{"d 2026-01-01 1"})
		w.now = at(t, "2026-01-05")
		w.resync("mart.visits", "second")
		w.want("d", "2026-01-01", c.state, "")
		if n := len(w.settle()); n != c.runs {
			t.Errorf("%s: %d runs, want %d", c.late, n, c.runs)
		}
		if rows := w.committed.Ledger["d"].Rows(g.Job("d").First); c.state == elt.Stale && rows[len(rows)-1].State != elt.Stale && c.runs == 0 {
			t.Errorf("%s: the ledger does not say that it is stale", c.late)
		}
		if p, err := w.situation().Preview(g.Job("d"), g.Job("d").First.Start, w.now, elt.OnlyStale); err != nil || c.state == elt.Stale && c.runs == 0 && len(p.Intervals) != 1 {
			t.Errorf("%s: a backfill of what is stale selects %v (%v)", c.late, p, err)
		}
	}
}

// 5. An empty window is committed like any other, and a missing one is not empty: an idle table for two hours holds nothing up.
func TestPain05EmptyWindowIsNotMissing(t *testing.T) {
	g := mustCompile(t, daily("d", "")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-02"))
	w.through(at(t, "2026-01-01 15:00"), "mart.visits") // nothing happens from here on, and nothing is said
	w.want("d", "2026-01-01", elt.Waiting, "88 of 96 windows are committed, the next is 2026-01-01T15:00:00Z")
	w.through(at(t, "2026-01-01 17:00"), "mart.visits") // the fence moves over empty windows
	w.want("d", "2026-01-01", elt.Ready, "")
	s := w.committed.Tables["mart.visits"]
	s.Through, s.Standing = at(t, "2026-01-01 15:00"), "TRUNCATE was run"
	w.committed.Tables["mart.visits"] = s
	w.want("d", "2026-01-01", elt.Waiting, "mart.visits stands still since 2026-01-01T15:00:00Z: TRUNCATE was run")
}

// 6. A gap after an outage is seen and filled.
func TestPain06GapsAreFilled(t *testing.T) {
	g := mustCompile(t, daily("d", "")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-02-01"))
	w.through(at(t, "2026-01-31 17:00"), "mart.visits")
	j := g.Job("d")
	for i := j.First; i.End.Before(w.now); i = j.Calendar.Next(i) {
		if n := j.IntervalName(i); n != "2026-01-07" && n != "2026-01-08" && n != "2026-01-20" {
			w.add(elt.Entry{Job: "d", Interval: i, Generation: 1, Attempt: 1, State: elt.Published, Inputs: elt.Fingerprint{"mart.visits": "b:first"}})
		}
	}
	gaps := 0
	for _, st := range w.situation().Decide().Statuses {
		if st.Missed {
			gaps++
		}
	}
	if gaps != 3 {
		t.Errorf("%d gaps, want 3", gaps)
	}
	same(t, "filled", w.settle(), []string{"d 2026-01-07 1", "d 2026-01-08 1", "d 2026-01-20 1"})
}

// 7. A retry makes the slice and the definition of its first attempt: the row says which.
func TestPain07RetryKeepsItsSlice(t *testing.T) {
	g := mustCompile(t, daily("d", "retry: {attempts: 3, backoff: 1m..5m}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-02"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	var sql []string
	for attempt := 1; ; attempt++ {
		d := w.situation().Decide()
		if len(d.Start) == 0 {
			w.want("d", "2026-01-01", elt.Failed, "failed after 3 of 3 attempts: the connection broke")
			break
		}
		s := d.Start[0]
		if s.Attempt != attempt || s.Generation != 1 {
			t.Fatalf("attempt %d is begun as attempt %d of generation %d", attempt, s.Attempt, s.Generation)
		}
		sql = append(sql, s.Job.Statement(s.Interval))
		e := w.begin(s)
		w.end(e, elt.Failed, func(e *elt.Entry) { e.Class, e.Reason = elt.Transient, "the connection broke" })
		if len(w.situation().Decide().Start) != 0 {
			t.Fatal("there is no backoff")
		}
		w.now = w.now.Add(30 * time.Hour) // the day is another one by now
		if attempt > 3 {
			t.Fatal("it is tried for ever")
		}
	}
	if len(sql) != 3 || sql[0] != sql[1] || sql[1] != sql[2] {
		t.Errorf("attempts differ: %q", sql)
	}
	// What a person has mended is tried again on request only.
	w.committed.Requests = append(w.committed.Requests, elt.Request{ID: "b", Job: "d", Interval: g.Job("d").First, Action: elt.ActRun, At: w.now})
	w.tick()
	if d := w.situation().Decide(); len(d.Start) != 1 || d.Start[0].Attempt != 4 || d.Start[0].Request != "b" {
		t.Errorf("the request starts %+v", d.Start)
	}
}

// Errors that cannot pass by themselves are not tried again.
func TestBadSQLIsNotRetried(t *testing.T) {
	g := mustCompile(t, daily("d", "")+"-- jobs/d.sql --"+visitsSQL)
	for _, class := range []string{elt.BadSQL, elt.BadRows, elt.TimedOut} {
		w := newWorld(t, g, at(t, "2026-01-02"))
		w.through(at(t, "2026-01-01 17:00"), "mart.visits")
		w.end(w.begin(w.situation().Decide().Start[0]), elt.Failed, func(e *elt.Entry) { e.Class, e.Reason = class, "no" })
		w.now = w.now.Add(time.Hour)
		w.want("d", "2026-01-01", elt.Failed, "failed after 1 of 4")
		w.resync("mart.visits", "second") // other rows may pass
		if class == elt.BadRows && w.status("d", "2026-01-01").State != elt.Ready {
			t.Error("corrected rows are not looked at")
		}
	}
}

// 12. A deadline that passed while nobody looked stays missed.
func TestPain12MissedDeadlineIsLatched(t *testing.T) {
	g := mustCompile(t, daily("d", "sla: {ready_by: \"06:00\", warn_by: \"05:30\"}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-02"))
	known := map[elt.DeadlineKey]elt.Deadline{}
	look := func() []string {
		var out []string
		for _, d := range w.situation().Deadlines(known) {
			known[d.Key()] = d
			out = append(out, fmt.Sprintf("%s %s %s met %v", g.Job("d").IntervalName(d.Interval), d.Kind, d.Due.Format("02 15:04"), d.Met))
		}
		return out
	}
	w.committed.Ledger["d"].Registered = at(t, "2026-01-01")
	w.now = at(t, "2026-01-01 22:00") // 05:00 in Jakarta
	same(t, "at 05:00", look(), nil)
	w.now = at(t, "2026-01-01 22:40")
	same(t, "at 05:40", look(), []string{"2026-01-01 warn 01 22:30 met false"})
	// Everything sleeps until noon; then source, pipeline and job catch up before the deadlines are looked at.
	w.now = at(t, "2026-01-03 05:00")
	w.through(at(t, "2026-01-02 17:00"), "mart.visits")
	w.settle()
	same(t, "at noon two days later", look(), []string{"2026-01-01 late 01 23:00 met false", "2026-01-02 warn 02 22:30 met false", "2026-01-02 late 02 23:00 met false"})
	w.now = at(t, "2026-01-03 17:05")
	w.through(at(t, "2026-01-03 17:00"), "mart.visits")
	w.settle()
	w.now = at(t, "2026-01-05 00:00")
	same(t, "a day in time", look()[:2], []string{"2026-01-03 warn 03 22:30 met true", "2026-01-03 late 03 23:00 met true"})
}
