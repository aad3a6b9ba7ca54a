package e2e_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tidemill/tidemill/internal/realtest"
)

// inbox is a mail server that keeps what it gets.
type inbox struct {
	mu    sync.Mutex
	mails []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{b}, nil }

type delivery struct{ inbox *inbox }

func (*delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (*delivery) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*delivery) Reset()                               {}
func (*delivery) Logout() error                        { return nil }
func (d *delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	d.inbox.mails = append(d.inbox.mails, string(text))
	return nil
}

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.mails...)
}

func openInbox(t *testing.T) (*inbox, string) {
	t.Helper()
	b := &inbox{}
	s := smtp.NewServer(b)
	s.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return b, l.Addr().String()
}

// TestJobs: on the whole line, a "day" of four seconds over the joined view and a "week" of three on top of it run when their
// windows are committed; a check that fails sends one mail; SIGKILL doubles nothing; what is asked for is made again, with what
// reads it.
func TestJobs(t *testing.T) {
	for warehouse, store := range map[string]string{"duckdb": "folder", "postgres": "folder", "redshift": "s3"} {
		t.Run(warehouse, func(t *testing.T) {
			e := newEnv(t, combo{"embedded", warehouse, store, "mariadb", "mariadb", ""})
			mails, smtp := openInbox(t)
			start := time.Now().UTC().Truncate(12 * time.Second)
			e.append(t, "tidemill.yaml", fmt.Sprintf("alerts:\n  mail: {heads: {to: [heads@example.org], from: tidemill@example.org, server: %q, tls: none}}\n  owners: {data: [mail:heads]}\n", smtp))
			job := func(name, every, from, more string) {
				write(t, e.dir, "jobs/"+name+".yaml", fmt.Sprintf("kind: job\nname: %s\nowner: data\ninterval: {every: %s}\nstart: %s\nsql: %s.sql\noutput: {table: report.%s, time_column: day}\n%s", name, every, start.Format(time.RFC3339), name, name, more))
				write(t, e.dir, "jobs/"+name+".sql", from)
			}
			job("day", "4s", "SELECT {{ interval.start }} AS day, city, COUNT(*) AS visits FROM {{ ref \"mart.visits\" }} GROUP BY city\n", "checks:\n  - not_null: [day, city]\n  - unique: [city]\nsla: {ready_by: +2m}\n")
			job("week", "12s", "SELECT {{ interval.start }} AS day, COUNT(DISTINCT day) AS days, MAX(visits) AS visits FROM {{ ref \"day\" }} WHERE day >= {{ interval.start }} AND day < {{ interval.end }}\n", "")
			job("strict", "12s", "SELECT {{ interval.start }} AS day, notes FROM {{ ref \"mart.visits\" }}\n", "run: {catchup: latest}\nchecks: [{row_count: {fail: \"< 1000000\"}}]\n")
			d := e.run(t)
			load := e.busy(t, 50)
			e.jobPublished(t, "week", 2)
			d.kill()
			d = e.run(t)
			e.jobPublished(t, "week", 4)
			load()
			out, errs, code := tidemill(t.Context(), e.vars, "job", "list", "--config", e.dir)
			if code != 0 || !strings.Contains(out, "week") || !strings.Contains(out, "strict") {
				t.Errorf("job list: exit %d\n%s%s", code, out, errs)
			}
			out, errs, code = tidemill(t.Context(), e.vars, "why", "strict", "--config", e.dir)
			if code != 0 || !strings.Contains(out, "check row_count fails") {
				t.Errorf("why: exit %d\n%s%s", code, out, errs)
			}
			out, errs, code = tidemill(t.Context(), e.vars, "plan", "--config", e.dir)
			if code != 0 || !strings.Contains(out, "+ strict: has published nothing yet") || strings.Contains(out, "week: has") {
				t.Errorf("plan: exit %d\n%s%s", code, out, errs)
			}
			e.brokenDefinition(t)
			e.remake(t, start)
			e.wantOnce(t)
			d.stop(t)
			e.wantMails(t, mails)
		})
	}
}

func (e *env) append(t *testing.T, name, text string) {
	t.Helper()
	have, err := os.ReadFile(filepath.Join(e.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.dir, name, string(have)+text)
}

// jobPublished waits until a job has published n intervals.
func (e *env) jobPublished(t *testing.T, job string, n int) {
	t.Helper()
	eventually(t, 2*time.Minute, fmt.Sprintf("%d intervals of %s", n, job), func() bool {
		rows, err := e.ask(t.Context(), "select count(*) as n from tidemill.job_ledger where state = 'published' and job = '"+job+"'")
		if err != nil || len(rows) != 1 {
			return false
		}
		var have int
		_, err = fmt.Sscan(rows[0]["n"], &have)
		return err == nil && have >= n
	})
}

// brokenDefinition: a file that does not compile is said, and the definitions that run go on (the fourteenth pain).
func (e *env) brokenDefinition(t *testing.T) {
	t.Helper()
	write(t, e.dir, "jobs/typo.yaml", "kind: job\nname: typo\nowner: data\ninterval: day\nstart: 2026-01-01\nsql: day.sql\noutput: {table: report.typo, time_column: day}\nchecks: [{not_nul: [day]}]\n")
	eventually(t, time.Minute, "the typo is said", func() bool {
		out, _, _ := tidemill(t.Context(), e.vars, "status", "--config", e.dir)
		return strings.Contains(out, "cannot run") && strings.Contains(out, `unknown key "not_nul"`)
	})
	before, err := e.ask(t.Context(), "select count(*) as n from tidemill.job_ledger where state = 'published' and job = 'day'")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(before[0]["n"], &n); err != nil {
		t.Fatal(err)
	}
	e.jobPublished(t, "day", n+2)
	if err := os.Remove(filepath.Join(e.dir, "jobs", "typo.yaml")); err != nil {
		t.Fatal(err)
	}
}

// remake has the first day made again: the week that reads it follows.
func (e *env) remake(t *testing.T, start time.Time) {
	t.Helper()
	// The daemon may have begun within the first interval, and then the tables are of a later window: the day is there all the same.
	out, errs, code := tidemill(t.Context(), e.vars, "backfill", "day", "--from", start.Format(time.RFC3339), "--only", "all", "--reason", "because", "--config", e.dir)
	t.Logf("%s%s", out, errs)
	if code != 0 || !strings.Contains(out, "makes 1 interval of day") || !strings.Contains(out, "then 1 interval of week, to be built again") || !strings.Contains(out, "1 of 1") {
		t.Errorf("backfill: exit %d\n%s%s", code, out, errs)
	}
	eventually(t, time.Minute, "the week is built again", func() bool {
		rows, err := e.ask(t.Context(), "select count(*) as n from tidemill.job_ledger where state = 'published' and job = 'week' and generation = 2")
		return err == nil && rows[0]["n"] == "1"
	})
}

// wantOnce: nothing was published twice, the tables are what the ledger says, and a week has its three days.
func (e *env) wantOnce(t *testing.T) {
	t.Helper()
	rows, err := e.ask(t.Context(), `select count(*) as n, count(distinct job || cast(interval_start as text) || cast(generation as text)) as d from tidemill.job_ledger where state = 'published'`)
	if err != nil || rows[0]["n"] != rows[0]["d"] {
		t.Errorf("published rows %v (%v)", rows, err)
	}
	rows, err = e.ask(t.Context(), `select count(*) as n, min(days) as low, max(days) as high, (select count(distinct interval_start) from tidemill.job_ledger where state = 'published' and job = 'week') as led from report.week`)
	if err != nil || rows[0]["n"] != rows[0]["led"] || rows[0]["low"] != "3" || rows[0]["high"] != "3" {
		t.Errorf("weeks %v (%v)", rows, err)
	}
	rows, err = e.ask(t.Context(), `select count(*) as n from (select day, city from report.day group by day, city having count(*) > 1) x`)
	if err != nil || rows[0]["n"] != "0" {
		t.Errorf("a day has a city twice: %v (%v)", rows, err)
	}
}

// wantMails: the failure of strict was told once, its later ones are gathered, and no value of a row is in a mail.
func (e *env) wantMails(t *testing.T, b *inbox) {
	t.Helper()
	var fails int
	for _, m := range b.all() {
		realtest.NoCanary(t, "a mail", m)
		if strings.Contains(m, "Subject: [clinic] failed: strict") {
			fails++
		}
	}
	if fails != 1 {
		t.Errorf("%d mails tell that strict has failed, want 1:\n%s", fails, strings.Join(b.all(), "\n---\n"))
	}
}
