package conform

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/elt"
)

// chain is three cadences, each on top of the other.
var chain = jobFile("quarter", "15m", "") + sqlFile("quarter", "mart.visits") + jobFile("half", "30m", "") + sqlFile("half", "quarter") + jobFile("full", "1h", "") + sqlFile("full", "half")

func jobsCadences(t *testing.T, c JobsConfig) {
	b := newBench(t, c, chain)
	r := b.runner(b.w, 1)
	b.want("one window", b.settle(r), "quarter 09:00 1")
	b.publish(1, false, 0) // a slice: the window is not complete
	b.want("a slice more", b.settle(r))
	b.wantState("quarter", "2026-01-05T09:15:00Z", elt.Waiting, "mart.visits: 0 of 1 windows are committed, the next is 2026-01-05T09:15:00Z")
	b.publish(1, false, 0)
	b.want("two windows", b.settle(r), "half 09:00 1", "quarter 09:15 1")
	b.publish(2, false, 0)
	b.want("three windows", b.settle(r), "quarter 09:30 1")
	b.wantState("full", "2026-01-05T09:00:00Z", elt.Waiting, "half: 1 of 2 intervals are there; 2026-01-05T09:30Z is waiting")
	b.publish(2, false, 0)
	b.want("four windows", b.settle(r), "full 09:00 1", "half 09:30 1", "quarter 09:45 1")
	b.ask("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM report.full", "8", "8", "0", "7")
}

// jobsKills breaks a runner off at every statement in turn, and lets another take over.
func jobsKills(t *testing.T, c JobsConfig) {
	b := newBench(t, c, chain)
	b.publish(6, false, 0)
	epoch := int64(1)
	for at := 1; ; at++ {
		broken := &breaking{Warehouse: b.w, left: at}
		r := b.options(broken, epoch)
		epoch++
		if err := r.Take(t.Context()); err == nil {
			_, err = b.trySettle(t.Context(), r)
			if err == nil && !broken.broke() {
				break
			}
		}
		r.Wait()
		b.later(time.Second) // past the backoff
		if at > 400 {
			t.Fatal("it never gets through")
		}
		at += at / 8 // the first ones each, then fewer
	}
	b.ask("SELECT count(*), count(DISTINCT job || CAST(interval_start AS TEXT)), min(generation), max(generation) FROM tidemill.job_ledger WHERE state = 'published'", "7", "7", "1", "1")
	for _, table := range []string{"quarter", "half", "full"} {
		b.ask("SELECT count(*), count(DISTINCT id) FROM report."+table, "8", "8")
	}
}

// breaking is a warehouse that answers a number of statements and then no more, as a process that is killed asks no more.
type breaking struct {
	elt.Warehouse
	mu   sync.Mutex
	left int
}

func (k *breaking) broke() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.left <= 0
}

func (k *breaking) step() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left <= 0 {
		return &elt.Error{Class: elt.BadSQL, Err: context.Canceled}
	}
	return nil
}

// JobSession implements elt.Warehouse.
func (k *breaking) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	if err := k.step(); err != nil {
		return err
	}
	return k.Warehouse.JobSession(ctx, func(s elt.Session) error { return fn(&breakingSession{s, k}) })
}

type breakingSession struct {
	elt.Session
	k *breaking
}

func (s *breakingSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if err := s.k.step(); err != nil {
		return 0, err
	}
	return s.Session.Exec(ctx, sql, args...)
}

func (s *breakingSession) Query(ctx context.Context, sql string, fn func([]any) error, args ...any) error {
	if err := s.k.step(); err != nil {
		return err
	}
	return s.Session.Query(ctx, sql, fn, args...)
}

func (s *breakingSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	return s.Session.Transact(ctx, mode, func() error {
		if err := fn(); err != nil {
			return err
		}
		return s.k.step() // before the commit
	})
}

// Stage keeps what the session does in a way of its own.
func (s *breakingSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	if err := s.k.step(); err != nil {
		return 0, err
	}
	if own, ok := s.Session.(elt.Stager); ok {
		return own.Stage(ctx, table, query, via)
	}
	if _, err := s.Session.Exec(ctx, "CREATE TEMPORARY TABLE "+table+" AS "+query); err != nil {
		return 0, err
	}
	var n int64
	err := s.Session.Query(ctx, "SELECT count(*) FROM "+table, func(row []any) error { n = row[0].(int64); return nil })
	return n, err
}

// jobsDST sets the fence as a pipeline would have, window by window of a day with 92 or 100 of them.
func jobsDST(t *testing.T, c JobsConfig) {
	for _, d := range []struct {
		zone, day, start, end string
		windows               int
	}{
		{"Europe/Berlin", "2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00", 92},
		{"Europe/Berlin", "2026-10-25", "2026-10-24 22:00", "2026-10-25 23:00", 100},
		{"Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", "2026-04-05 13:30", 98},
	} {
		file := strings.Replace(jobFile("day", "day, tz: "+d.zone, ""), "2026-01-05T09:00:00Z", d.day, 1)
		b := newBench(t, JobsConfig{Client: c.Client, Exec: c.Exec}, file+sqlFile("day", "mart.visits"))
		set := func(at string, minus string) {
			t.Helper()
			if err := b.c.Exec(fmt.Sprintf("UPDATE tidemill.fence SET final = true, window_end = TIMESTAMPTZ '%s:00+00' - INTERVAL '%s'", at, minus)); err != nil {
				t.Fatal(err)
			}
		}
		b.set(benchStart.AddDate(1, 0, 0))
		set(d.end, "15 minutes")
		st := b.status("day", d.day)
		if st.State != elt.Waiting || st.Reasons[0].Have != d.windows-1 || st.Reasons[0].Want != d.windows {
			t.Errorf("%s %s: %s %+v, want %d of %d windows", d.zone, d.day, st.State, st.Reasons, d.windows-1, d.windows)
		}
		set(d.end, "0 minutes")
		b.wantState("day", d.day, elt.Ready, "")
		if err := b.c.Exec("DELETE FROM tidemill.fence"); err != nil {
			t.Fatal(err)
		}
	}
}

func jobsRestated(t *testing.T, c JobsConfig) {
	b := newBench(t, c, chain)
	b.publish(14, false, 5) // two hours
	r := b.runner(b.w, 1)
	if n := len(b.settle(r)); n != 8+4+2 {
		t.Fatalf("%d intervals are published", n)
	}
	if n := b.request("b1", "quarter", benchStart.Add(15*time.Minute), benchStart.Add(30*time.Minute), elt.OnlyAll); n != 1 {
		t.Fatalf("%d intervals are asked for", n)
	}
	b.want("after the backfill of a quarter", b.settle(r), "full 09:00 2", "half 09:00 2", "quarter 09:15 2")
	b.want("and then", b.settle(r))
	b.publish(2, true, 7) // loaded anew: a table of one window
	again := b.settle(r)
	if len(again) != 15 { // what was there, and the new quarter
		t.Errorf("after a resync: %v", again)
	}
	b.ask("SELECT count(*), min(id) FROM report.quarter", "2", "16")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'stale'", "16") // 2 after the backfill and 14
}

func jobsEmptyWindow(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("full", "1h", "")+sqlFile("full", "mart.visits"))
	r := b.runner(b.w, 1)
	for range 6 { // nothing happens for the rest of the hour: the fence moves
		b.want("while windows are missing", b.settle(r))
		b.p.Publish(b.w, b.p.Next())
	}
	b.want("with the last empty window", b.settle(r), "full 09:00 1")
	for range 8 {
		b.p.Publish(b.w, b.p.Next())
	}
	b.want("an hour without a row", b.settle(r), "full 10:00 1")
	b.ask("SELECT count(*), max(id) FROM report.full", "2", "1")
}

func jobsGaps(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "")+sqlFile("quarter", "mart.visits"))
	r := b.runner(b.w, 1)
	b.want("before the outage", b.settle(r), "quarter 09:00 1")
	b.publish(10, false, 1) // nobody looks meanwhile
	r = b.runner(b.w, 2)
	b.want("after it", b.settle(r), "quarter 09:15 1", "quarter 09:30 1", "quarter 09:45 1", "quarter 10:00 1", "quarter 10:15 1")
	if err := b.c.Exec("DELETE FROM tidemill.job_ledger WHERE interval_start = TIMESTAMPTZ '2026-01-05 09:30:00+00'"); err != nil {
		t.Fatal(err)
	}
	missing := 0
	if err := b.runner(b.w, 3).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, st := range b.look.Decision.Statuses {
		if st.Missed && st.Due {
			missing++
		}
	}
	if missing != 1 {
		t.Errorf("%d gaps are seen, want 1", missing)
	}
}

// flaky fails the first statements that stage, as a connection that breaks.
type flaky struct {
	elt.Warehouse
	fails int
}

func (f *flaky) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	return f.Warehouse.JobSession(ctx, func(s elt.Session) error { return fn(&flakySession{breakingSession{s, &breaking{left: 1 << 30}}, f}) })
}

type flakySession struct {
	breakingSession
	f *flaky
}

func (s *flakySession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	if s.f.fails > 0 {
		s.f.fails--
		return 0, &elt.Error{Class: elt.Transient, Err: fmt.Errorf("the connection broke")}
	}
	return s.breakingSession.Stage(ctx, table, query, via)
}

func jobsRetry(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "")+sqlFile("quarter", "mart.visits"))
	r := b.runner(&flaky{b.w, 2}, 1)
	for len(b.publishedFrom(0)) == 0 {
		b.settle(r)
		b.later(40 * time.Hour) // the next try is on another day
	}
	b.ask("SELECT count(*), count(DISTINCT interval_start), count(DISTINCT definition), max(attempt), max(generation) FROM tidemill.job_ledger", "7", "1", "1", "3", "1")
	b.ask("SELECT count(*), min(id), max(id) FROM report.quarter", "2", "0", "1")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'failed' AND class = 'transient' AND reason = 'the connection broke'", "2")
}

// jobsReaders reads beside runs that replace: never a hole, never two versions.
func jobsReaders(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("full", "1h", "")+sqlFile("full", "mart.visits"))
	b.publish(6, false, 0)
	r := b.runner(b.w, 1)
	b.settle(r)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	reads, torn := 0, ""
	wg.Go(func() {
		q := b.c.Client()
		for ctx.Err() == nil {
			err := q.Query(ctx, "SELECT (SELECT count(*) FROM report.full), (SELECT count(DISTINCT amount) FROM report.full), (SELECT max(generation) FROM tidemill.job_ledger WHERE state = 'published'), (SELECT max(amount) FROM report.full)", func(rec arrow.RecordBatch) error {
				reads++
				row := []string{Cell(rec.Column(0), 0), Cell(rec.Column(1), 0), Cell(rec.Column(2), 0), Cell(rec.Column(3), 0)}
				if row[0] != "8" && torn == "" {
					torn = strings.Join(row, " ")
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				t.Errorf("reading beside a run: %v", err)
				return
			}
		}
	})
	for i := range 12 {
		if n := b.request(fmt.Sprintf("b%d", i), "full", benchStart, benchStart.Add(time.Hour), elt.OnlyAll); n != 1 {
			t.Fatalf("%d intervals", n)
		}
		b.want("again", b.settle(r), fmt.Sprintf("full 09:00 %d", i+2))
	}
	stop()
	wg.Wait()
	if reads == 0 || torn != "" {
		t.Errorf("%d reads, one saw %s", reads, torn)
	}
}
