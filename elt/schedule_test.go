package elt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
)

func ask(w *world, id, job string, from, to string, only string) int {
	w.t.Helper()
	p, err := w.situation().Preview(w.graph.Job(job), at(w.t, from), at(w.t, to), only)
	if err != nil {
		w.t.Fatal(err)
	}
	w.tick()
	for _, r := range p.Requests(id, "ana", "") {
		r.At = w.now
		w.committed.Requests = append(w.committed.Requests, r)
	}
	return len(p.Intervals)
}

func (w *world) say(action elt.Action, id, job string) {
	w.tick()
	w.committed.Requests = append(w.committed.Requests, elt.Request{ID: id, Job: job, Action: action, Actor: "ana", Reason: "because", At: w.now})
}

// quarterly jobs in one pool: one with live work for ever, others with backfills.
func pool(t testing.TB, jobs int, limits string) *world {
	t.Helper()
	archive := "-- tidemill.yaml --\nproject: clinic\npools: {default: 4, small: 1}\n"
	for i := range jobs {
		archive += fmt.Sprintf("\n-- jobs/j%[1]d.yaml --\nkind: job\nname: j%[1]d\nowner: data\ninterval: 15m\nstart: 2026-01-01\nsql: q.sql\noutput: {table: mart.j%[1]d, time_column: visited}\n%[2]s\n", i, limits)
	}
	w := newWorld(t, mustCompile(t, archive+"-- jobs/q.sql --"+visitsSQL), at(t, "2026-01-03"))
	w.pools = map[string]int{"default": 4, "small": 1}
	w.through(at(t, "2026-01-02"), "mart.visits")
	return w
}

// 13. A backfill takes its share of the pool and no more, and live work leaves it that share.
func TestPain13BackfillSharesThePool(t *testing.T) {
	w := pool(t, 8, "limits: {backfill_share: 25%}")
	w.settle()
	for i := range 4 { // half of the jobs are to be built again
		ask(w, fmt.Sprintf("b%d", i), fmt.Sprintf("j%d", i), "2026-01-01", "2026-01-02", elt.OnlyAll)
	}
	done := map[bool]int{}
	var open []elt.Entry
	for round := range 200 {
		if round%4 == 0 { // and new windows come for all of them
			s := w.committed.Tables["mart.visits"]
			s.Through = s.Through.Add(15 * time.Minute)
			w.committed.Tables["mart.visits"] = s
			if s.Through.After(w.now) {
				w.now = s.Through
			}
		}
		d := w.situation().Decide()
		for _, s := range d.Start {
			open = append(open, w.begin(s))
		}
		used := map[bool]int{}
		for _, e := range open {
			used[e.Request != ""]++
		}
		if used[true] > 1 || used[true]+used[false] > 4 {
			t.Fatalf("round %d: %d backfills and %d live runs at once", round, used[true], used[false])
		}
		if len(open) > 0 {
			e := open[0]
			open = open[1:]
			w.end(e, elt.Published, func(e *elt.Entry) { e.Took = time.Millisecond })
			done[e.Request != ""]++
		}
	}
	if done[true] < 30 || done[false] < 100 {
		t.Errorf("%d backfill and %d live runs: one starves", done[true], done[false])
	}
}

// 13. In a pool that holds one run, and within one job, the two take turns.
func TestPain13TurnsWhereNothingCanBeShared(t *testing.T) {
	w := pool(t, 2, "limits: {pool: small}")
	ask(w, "b", "j0", "2026-01-01", "2026-01-02", elt.OnlyAll)
	var order string
	for range 40 {
		d := w.situation().Decide()
		if len(d.Start) != 1 {
			t.Fatalf("%d runs in a pool that holds one", len(d.Start))
		}
		w.end(w.begin(d.Start[0]), elt.Published, func(e *elt.Entry) { e.Took = time.Millisecond })
		order += map[bool]string{true: "b", false: "l"}[d.Start[0].Request != ""]
	}
	if order[:8] != "lblblblb" && order[:8] != "blblblbl" {
		t.Errorf("order of runs %s", order)
	}
}

// 13. Cancelling deletes what was not started and nothing else; pausing stops it for a while; only what failed is tried again.
func TestPain13CancelPauseRetry(t *testing.T) {
	w := pool(t, 1, "retry: {attempts: 1}")
	w.settle()
	if n := ask(w, "b1", "j0", "2026-01-01", "2026-01-01 02:00", elt.OnlyAll); n != 8 {
		t.Fatalf("%d intervals", n)
	}
	run := func() elt.Entry { return w.begin(w.situation().Decide().Start[0]) }
	publish := func(e elt.Entry) {
		w.end(e, elt.Published, func(e *elt.Entry) { e.Took = time.Millisecond })
	}
	publish(run())
	w.say(elt.ActPause, "b1", "")
	if d := w.situation().Decide(); len(d.Start) != 0 {
		t.Fatal("a paused backfill goes on")
	}
	w.want("j0", "2026-01-01T01:00Z", elt.Waiting, "the backfill b1 is paused")
	w.say(elt.ActResume, "b1", "")
	w.end(run(), elt.Failed, func(e *elt.Entry) { e.Class, e.Reason = elt.BadSQL, "no" })
	open := run()
	w.say(elt.ActCancel, "b1", "")
	p := w.situation().Backfills()[0]
	if p.Total != 8 || p.Done != 1 || p.Failed != 1 || p.Running != 1 || !p.Cancelled {
		t.Errorf("progress %+v", p)
	}
	if d := w.situation().Decide(); len(d.Start) != 0 {
		t.Error("a cancelled backfill goes on")
	}
	publish(open)
	if rec := w.committed.Ledger["j0"].Of(open.Interval); rec.Generation() != 2 {
		t.Error("the run that was under way is lost")
	}
	w.want("j0", "2026-01-01T01:00Z", elt.Published, "")
	if n := ask(w, "b2", "j0", "2026-01-01", "2026-01-02", elt.OnlyFailed); n != 0 { // it was published before: a cancelled rebuild is no failure
		t.Errorf("%d failed intervals", n)
	}
}

func TestCatchup(t *testing.T) {
	for policy, want := range map[string][]string{
		"all":    {"d 2026-01-01 1", "d 2026-01-02 1", "d 2026-01-03 1"},
		"latest": {"d 2026-01-03 1"},
		"none":   {"d 2026-01-02 1", "d 2026-01-03 1"},
	} {
		g := mustCompile(t, daily("d", "run: {catchup: "+policy+"}\n")+"-- jobs/d.sql --"+visitsSQL)
		w := newWorld(t, g, at(t, "2026-01-04"))
		w.committed.Ledger["d"].Registered = at(t, "2026-01-02")
		w.through(at(t, "2026-01-03 17:00"), "mart.visits")
		same(t, policy, w.settle(), want)
		if policy == "latest" {
			w.want("d", "2026-01-02", elt.Skipped, "catchup: latest")
			ask(w, "b", "d", "2026-01-01 17:00", "2026-01-02", elt.OnlyAll) // on request it is made all the same
			same(t, policy, w.settle(), []string{"d 2026-01-02 1"})
		}
	}
}

func TestOverlapSkip(t *testing.T) {
	g := mustCompile(t, daily("d", "run: {overlap: skip}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-04"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	e := w.begin(w.situation().Decide().Start[0])
	w.through(at(t, "2026-01-02 17:00"), "mart.visits")
	for _, r := range w.situation().Decide().Rows {
		w.add(r)
	}
	w.want("d", "2026-01-02", elt.Skipped, "overlap: skip")
	w.end(e, elt.Published, nil)
	w.through(at(t, "2026-01-03 17:00"), "mart.visits")
	same(t, "afterwards", w.settle(), []string{"d 2026-01-03 1"})
}

func TestLookback(t *testing.T) {
	g := mustCompile(t, daily("d", "late: {lookback: 2}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-21"))
	w.through(at(t, "2026-01-10 17:00"), "mart.visits")
	got := w.settle()
	if len(got) != 12 { // catching up builds each once, and the last two once more
		t.Errorf("catching up: %v", got)
	}
	w.through(at(t, "2026-01-11 17:00"), "mart.visits")
	same(t, "the next day", w.settle(), []string{"d 2026-01-11 1", "d 2026-01-09 3", "d 2026-01-10 2"})
	same(t, "and then", w.settle(), nil)
}

// Enough is published provisionally, and repairs itself when the rest has come.
func TestCoverage(t *testing.T) {
	input := "inputs: [{table: mart.visits, need: {coverage: 90%, give_up: \"05:00\", then: provisional}}]\n"
	g := mustCompile(t, daily("d", input)+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-01 18:00"))
	w.through(at(t, "2026-01-01 12:00"), "mart.visits") // 76 of 96
	w.want("d", "2026-01-01", elt.Waiting, "goes on without the rest at 2026-01-01T22:00:00Z")
	w.through(at(t, "2026-01-01 15:00"), "mart.visits") // 88
	same(t, "enough", w.settle(), []string{"d 2026-01-01 1"})
	if st := w.status("d", "2026-01-01"); st.State != elt.Published || !st.Provisional {
		t.Errorf("%+v", st)
	}
	w.through(at(t, "2026-01-01 16:00"), "mart.visits")
	same(t, "a little more", w.settle(), nil)
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	same(t, "all", w.settle(), []string{"d 2026-01-01 2"})
	if st := w.status("d", "2026-01-01"); st.State != elt.Published || st.Provisional {
		t.Errorf("%+v", st)
	}
	w.now = at(t, "2026-01-02 22:30")
	same(t, "after the time to give up", w.settle(), []string{"d 2026-01-02 1"})

	g = mustCompile(t, daily("d", "inputs: [{table: mart.visits, need: {coverage: 90%, give_up: \"05:00\", then: fail}}]\n")+"-- jobs/d.sql --"+visitsSQL)
	w = newWorld(t, g, at(t, "2026-01-01 22:30"))
	w.through(at(t, "2026-01-01 12:00"), "mart.visits")
	w.want("d", "2026-01-01", elt.Failed, "given up at")
}

// What is final waits for what is provisional; what is complete does not, and is provisional itself.
func TestFinalWaitsForProvisional(t *testing.T) {
	up := daily("up", "inputs: [{table: mart.visits, need: {coverage: 90%}}]\n") + "-- jobs/up.sql --" + visitsSQL
	down := func(name, need string) string {
		return daily(name, "inputs: [{table: up, need: "+need+"}]\n") + "-- jobs/" + name + ".sql --\nSELECT * FROM {{ ref \"up\" }}\n"
	}
	w := newWorld(t, mustCompile(t, up+down("fin", "final")+down("com", "complete")), at(t, "2026-01-01 18:00"))
	w.through(at(t, "2026-01-01 16:00"), "mart.visits")
	same(t, "provisional", w.settle(), []string{"up 2026-01-01 1", "com 2026-01-01 1"})
	if st := w.status("com", "2026-01-01"); !st.Provisional {
		t.Errorf("built from what is provisional: %+v", st)
	}
	w.want("fin", "2026-01-01", elt.Waiting, "0 of 1 intervals")
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	same(t, "final", w.settle(), []string{"up 2026-01-01 2", "fin 2026-01-01 1", "com 2026-01-01 2"})
}

func TestLatest(t *testing.T) {
	g := mustCompile(t, daily("d", "inputs: [mart.visits, {table: raw.payments, need: latest, max_age: 2h}]\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-01 18:00"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	w.want("d", "2026-01-01", elt.Waiting, "raw.payments has not been published yet")
	w.through(at(t, "2026-01-01 15:00"), "raw.payments")
	w.want("d", "2026-01-01", elt.Waiting, "which is more than 2h ago")
	w.through(at(t, "2026-01-01 16:30"), "raw.payments")
	same(t, "young enough", w.settle(), []string{"d 2026-01-01 1"})
	w.resync("raw.payments", "second")
	same(t, "it moves with every window", w.settle(), nil)
}

func TestNotBeforeAndHold(t *testing.T) {
	g := mustCompile(t, daily("d", "run: {not_before: \"00:20\"}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-01 17:10"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	w.want("d", "2026-01-01", elt.Waiting, "not before 2026-01-01T17:20:00Z")
	w.now = at(t, "2026-01-01 17:20")
	w.say(elt.ActHold, "", "d")
	w.want("d", "2026-01-01", elt.Waiting, "the job is held by ana: because")
	w.say(elt.ActRelease, "", "d")
	w.want("d", "2026-01-01", elt.Ready, "")
}

// A slow clock holds nothing up that the sources have committed.
func TestSlowClock(t *testing.T) {
	g := mustCompile(t, daily("d", "")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2025-12-01"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	same(t, "by the sources' time", w.settle(), []string{"d 2026-01-01 1"})
}

func TestStatesMove(t *testing.T) {
	for _, bad := range [][2]elt.State{{elt.Waiting, elt.Published}, {elt.Running, elt.Published}, {elt.Published, elt.Published}, {elt.Skipped, elt.Published}, {elt.Failed, elt.Published}} {
		if bad[0].May(bad[1]) {
			t.Errorf("%s may follow %s", bad[1], bad[0])
		}
	}
	for _, ok := range [][2]elt.State{{elt.Waiting, elt.Running}, {elt.Running, elt.Checking}, {elt.Checking, elt.Published}, {elt.Checking, elt.Failed}, {elt.Published, elt.Stale}, {elt.Stale, elt.Running}} {
		if !ok[0].May(ok[1]) {
			t.Errorf("%s may not follow %s", ok[1], ok[0])
		}
	}
}

// A run that was taken for lost and that the warehouse has published all the same is published: nothing makes it again.
func TestPublishedAfterItWasTakenForLost(t *testing.T) {
	g := mustCompile(t, daily("d", "")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-01-02"))
	w.through(at(t, "2026-01-01 17:00"), "mart.visits")
	e := w.begin(w.situation().Decide().Start[0])
	w.end(e, elt.Failed, func(e *elt.Entry) { e.Class = elt.Lost })
	w.end(e, elt.Published, nil)
	w.now = w.now.Add(time.Hour)
	w.want("d", "2026-01-01", elt.Published, "")
	same(t, "and then", w.settle(), nil)
}

// A gap below the low water is seen when its row goes, and an old interval that is asked for is made.
func TestLowWater(t *testing.T) {
	g := mustCompile(t, daily("d", "late: {horizon: 5d}\n")+"-- jobs/d.sql --"+visitsSQL)
	w := newWorld(t, g, at(t, "2026-03-01"))
	w.through(at(t, "2026-02-28 17:00"), "mart.visits")
	look := func() int {
		s := w.situation()
		s.Deep = false
		return len(s.Decide().Statuses)
	}
	if n := look(); n != 59 {
		t.Errorf("%d intervals are looked at before any is made", n)
	}
	w.settle()
	if n := look(); n != 5 {
		t.Errorf("%d intervals are looked at when all are made, want those within the horizon", n)
	}
	ask(w, "b", "d", "2026-01-03", "2026-01-03 01:00", elt.OnlyAll)
	if n := look(); n != 6 {
		t.Errorf("%d intervals are looked at with one that is asked for", n)
	}
	same(t, "asked for", w.settle(), []string{"d 2026-01-03 2"})
	if n := look(); n != 5 {
		t.Errorf("%d intervals are looked at in the end", n)
	}
}
