package conform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/realtest"
)

// pausing stands still before the commit that publishes, as a leader whose machine hangs, until it is let go.
type pausing struct {
	elt.Warehouse
	once    sync.Once
	reached chan struct{}
	goOn    chan struct{}
	before  string // of the statement
}

func (p *pausing) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	return p.Warehouse.JobSession(ctx, func(s elt.Session) error {
		return fn(&pausingSession{breakingSession{s, &breaking{left: 1 << 30}}, p})
	})
}

type pausingSession struct {
	breakingSession
	p *pausing
}

func (s *pausingSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	if mode == elt.Write && s.p.due() {
		s.p.once.Do(func() { close(s.p.reached); <-s.p.goOn })
	}
	return s.breakingSession.Transact(ctx, mode, fn)
}

func (s *pausingSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	n, err := s.breakingSession.Stage(ctx, table, query, via)
	s.p.staged()
	return n, err
}

func (p *pausing) staged()   { p.before = "staged" }
func (p *pausing) due() bool { return p.before == "staged" }

// jobsTwoRunners has a leader that hangs in the middle of a run, another that takes over, and the first that wakes.
func jobsTwoRunners(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "")+sqlFile("quarter", "mart.visits"))
	hung := &pausing{Warehouse: c.Client(), reached: make(chan struct{}), goOn: make(chan struct{})}
	old := b.runner(hung, 1)
	if err := old.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-hung.reached
	fresh := b.runner(c.Client(), 2)
	got := b.settle(fresh)
	b.later(time.Minute) // past the backoff of the run that is taken for lost
	got = append(got, b.settle(fresh)...)
	b.want("the one that took over", got, "quarter 09:00 1")
	close(hung.goOn)
	old.Wait()
	if err := old.Once(t.Context()); !errors.Is(err, elt.ErrSuperseded) {
		t.Errorf("the one that woke: %v, want ErrSuperseded", err)
	}
	if err := b.options(c.Client(), 1).Take(t.Context()); !errors.Is(err, elt.ErrSuperseded) {
		t.Errorf("taking over with an older epoch: %v", err)
	}
	b.ask("SELECT count(*), max(generation) FROM tidemill.job_ledger WHERE state = 'published'", "1", "1")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE epoch = 1 AND state = 'failed'", "0") // it has nothing to say any more, not even that it failed
	b.ask("SELECT count(*), count(DISTINCT id) FROM report.quarter", "2", "2")

	// Even with one epoch, which the log never gives to two: whoever comes second is refused by the ledger.
	b.publish(8, false, 0)
	var wg sync.WaitGroup
	for range 3 {
		r := b.runner(c.Client(), 9)
		wg.Go(func() {
			for range 12 {
				if err := r.Once(t.Context()); err != nil {
					t.Errorf("looking: %v", err)
				}
				r.Wait()
			}
		})
	}
	wg.Wait()
	for range 5 {
		b.later(time.Minute)
		b.settle(b.runner(b.w, 10))
	}
	b.ask("SELECT count(*), count(DISTINCT interval_start), max(generation) FROM tidemill.job_ledger WHERE state = 'published'", "5", "5", "1")
	b.ask("SELECT count(*), count(DISTINCT id) FROM report.quarter", "10", "10")
}

// jobsConcurrent runs four jobs at once beside a pipeline that publishes and readers: nothing has to be tried again.
func jobsConcurrent(t *testing.T, c JobsConfig) {
	files := ""
	for i := range 4 {
		n := fmt.Sprintf("j%d", i)
		files += jobFile(n, "15m", "") + sqlFile(n, "mart.visits")
	}
	b := newBench(t, c, files)
	b.publish(10, false, 0)
	r := b.runner(b.w, 1)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		q := c.Client()
		wg.Go(func() {
			for ctx.Err() == nil {
				err := q.Query(ctx, "SELECT count(*) FROM tidemill.job_ledger l JOIN mart.visits v ON v.visited >= l.interval_start", func(arrow.RecordBatch) error { return nil })
				if err != nil && ctx.Err() == nil {
					t.Errorf("reading: %v", err)
					return
				}
			}
		})
	}
	b.settle(r)
	b.publish(10, false, 0)
	b.settle(r)
	stop()
	wg.Wait()
	b.ask("SELECT count(*), max(attempt) FROM tidemill.job_ledger WHERE state = 'published'", "44", "1")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'failed'", "0")
}

// counter is a receiver over HTTP.
type counter struct {
	mu   sync.Mutex
	got  []string
	http *httptest.Server
}

// Send implements elt.Sender.
func (c *counter) Send(ctx context.Context, m elt.Message) error {
	var names []string
	for _, a := range m.Alerts {
		names = append(names, a.Key.Job+" "+a.Name+": "+a.Text)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.http.URL, strings.NewReader(m.Channel+" "+m.Event+" "+strings.Join(names, ", ")))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

func newCounter(t *testing.T) *counter {
	c := &counter{}
	c.http = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b := new(strings.Builder)
		_, _ = fmt.Fprint(b, readAll(r))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got = append(c.got, b.String())
	}))
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); c.http.Close() })
	return c
}

func (c *counter) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// jobsOneMessage has two daemons look at one failure: one message, and one when it is over.
func jobsOneMessage(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "checks: [{row_count: {fail: \"< 3\"}}]\n")+sqlFile("quarter", "mart.visits"))
	receiver := newCounter(t)
	b.owners, b.sender = map[string][]string{"data": {"webhook:x"}}, receiver
	one, two := b.runner(c.Client(), 5), b.runner(c.Client(), 5) // both believe that they hold the lease
	for range 4 {
		b.settle(one)
		b.settle(two)
	}
	b.want("what was heard", receiver.heard(), "webhook:x open quarter 2026-01-05T09:00Z: failed after 1 of 4 attempts: check row_count fails: 2, limit < 3")
	b.graph = b.compile(jobFile("quarter", "15m", "") + sqlFile("quarter", "mart.visits"))
	b.request("again", "quarter", benchStart, benchStart.Add(time.Minute), elt.OnlyFailed)
	b.later(time.Hour)
	for range 4 {
		b.settle(one)
		b.settle(two)
	}
	if got := receiver.heard(); len(got) != 2 || !strings.HasPrefix(got[1], "webhook:x resolve quarter") {
		t.Errorf("in the end %q was heard", got)
	}
}

func jobsDeadline(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("full", "1h", "sla: {ready_by: +20m, warn_by: +10m}\n")+sqlFile("full", "mart.visits"))
	receiver := newCounter(t)
	b.owners, b.sender = map[string][]string{"data": {"webhook:x"}}, receiver
	b.set(benchStart)
	r := b.runner(b.w, 1)
	b.settle(r)
	if err := b.c.Exec("UPDATE tidemill.job_register SET written_at = TIMESTAMPTZ '2026-01-05 09:00:00+00'"); err != nil {
		t.Fatal(err)
	}
	r = b.runner(b.w, 2)
	b.set(benchStart.Add(75 * time.Minute))
	b.settle(r)
	b.ask("SELECT kind, met FROM tidemill.job_deadlines", "warn", "false")
	b.publish(6, false, 0) // while nobody looks, everything catches up
	b.set(benchStart.Add(48 * time.Hour))
	r = b.runner(b.w, 3)
	b.want("in the end", b.settle(r), "full 09:00 1")
	b.later(time.Hour)
	b.settle(r)
	b.ask("SELECT count(*), CAST(sum(CASE WHEN met THEN 1 ELSE 0 END) AS BIGINT) FROM tidemill.job_deadlines WHERE kind = 'late' AND interval_start = TIMESTAMPTZ '2026-01-05 09:00:00+00'", "1", "0")
	all := strings.Join(receiver.heard(), "\n")
	if !strings.Contains(all, "webhook:x open full 2026-01-05T09:00Z: is not there by 2026-01-05 10:10 UTC: it is waiting; mart.visits: 1 of 4 windows are committed") {
		t.Errorf("heard:\n%s", all)
	}
}

func jobsBackfill(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("quarter", "15m", "")+sqlFile("quarter", "mart.visits"))
	b.publish(10, false, 0)
	r := b.runner(b.w, 1)
	b.settle(r)
	if n := b.request("b1", "quarter", benchStart, benchStart.Add(time.Hour), elt.OnlyAll); n != 4 {
		t.Fatalf("%d intervals", n)
	}
	if err := r.Once(t.Context()); err != nil { // begins one
		t.Fatal(err)
	}
	r.Wait()
	if err := elt.Ask(t.Context(), clocked{b.w, b}, []elt.Request{{ID: "b1", Action: elt.ActCancel, Actor: "ana"}}); err != nil {
		t.Fatal(err)
	}
	b.settle(r)
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'published' AND generation = 2", "1")
	b.ask("SELECT count(*) FROM tidemill.job_ledger WHERE state = 'published' AND request = 'b1'", "1")
	b.request("b2", "quarter", benchStart, benchStart.Add(time.Hour), elt.OnlyAll)
	b.want("the next one", b.settle(r), "quarter 09:00 3", "quarter 09:15 2", "quarter 09:30 2", "quarter 09:45 2")
	b.ask("SELECT count(*), count(DISTINCT id) FROM report.quarter", "12", "12")
}

func jobsBadSQL(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("bad", "15m", "")+"-- jobs/bad.sql --\nSELECT id, visited, nothing FROM {{ ref \"mart.visits\" }}\n"+jobFile("good", "15m", "")+sqlFile("good", "mart.visits"))
	r := b.runner(b.w, 1)
	b.want("the good one goes on", b.settle(r), "good 09:00 1")
	b.wantState("bad", "2026-01-05T09:00:00Z", elt.Failed, "failed after 1 of 4 attempts")
	b.ask("SELECT count(*), max(class) FROM tidemill.job_ledger WHERE job = 'bad' AND state = 'failed'", "1", "sql")
	later := b.compile(jobFile("bad", "15m", "") + sqlFile("bad", "mart.visits") + jobFile("good", "15m", "") + sqlFile("good", "mart.visits"))
	b.graph = later
	b.want("a mended definition is for a person to ask for", b.settle(r))
	b.request("b", "bad", benchStart, benchStart.Add(time.Minute), elt.OnlyFailed)
	b.want("then it runs", b.settle(r), "bad 09:00 1")
	if slices.Contains(b.w.JobDialect().Via, "unload_copy") {
		return
	}
	b.graph = b.compile(strings.Replace(jobFile("way", "15m", ""), "output: {", "output: {via: unload_copy, ", 1) + sqlFile("way", "mart.visits"))
	b.want("a way of rows that the warehouse does not have", b.settle(r))
	b.ask("SELECT count(*), max(class) FROM tidemill.job_ledger WHERE job = 'way' AND state = 'failed'", "1", "sql")
}

// jobsLate corrects rows of an interval that is published: with a lookback it is replaced as a whole, nothing is appended.
func jobsLate(t *testing.T, c JobsConfig) {
	b := newBench(t, c, jobFile("half", "30m", "late: {lookback: 1}\n")+sqlFile("half", "mart.visits"))
	b.publish(2, false, 1)
	r := b.runner(b.w, 1)
	b.want("first", b.settle(r), "half 09:00 1")
	b.p.Publish(b.w, b.p.Next(correct(0, benchStart, 100))) // an event of 09:00 is corrected at 09:30
	b.publish(3, false, 1)
	b.want("with the next", b.settle(r), "half 09:00 2", "half 09:30 1")
	b.ask("SELECT count(*), count(DISTINCT id), max(amount) FROM report.half", "7", "7", "100")
	b.want("and then", b.settle(r))
}

func jobsCanary(t *testing.T, c JobsConfig) {
	key := realtest.Canary
	b := newBench(t, c, jobFile("bad", "15m", "checks: [{unique: [name]}, {accepted: {column: name, values: [a]}}]\ndata: {mask: [name]}\n")+
		"-- jobs/bad.sql --\nSELECT id, visited, '"+key+"' AS name FROM {{ ref \"mart.visits\" }} WHERE visited >= {{ interval.start }} AND visited < {{ interval.end }}\n"+
		jobFile("cast", "15m", "")+"-- jobs/cast.sql --\nSELECT id, visited, CAST('"+key+"' || CAST(id AS TEXT) AS INTEGER) AS n FROM {{ ref \"mart.visits\" }}\n")
	receiver := newCounter(t)
	b.owners, b.sender = map[string][]string{"data": {"webhook:x"}}, receiver
	r := b.runner(b.w, 1)
	b.settle(r)
	b.settle(r)
	for _, e := range b.written() {
		realtest.NoCanary(t, "the ledger", e.Reason)
	}
	realtest.NoCanary(t, "an alert", strings.Join(receiver.heard(), "\n"))
	if len(receiver.heard()) == 0 {
		t.Error("no alert was heard")
	}
	b.ask("SELECT count(*) FROM tidemill.job_failures WHERE row_key LIKE '%"+key+"%'", "0")
	b.ask("SELECT count(DISTINCT row_key), max(length(row_key)) FROM tidemill.job_failures", "1", "32")
}
