package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
)

// What a changed definition touches: the intervals that were built by another, with their rows, and the intervals of other jobs
// that were built from exactly those.
func TestPlanCountsWhatIsTouched(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tidemill.yaml": "project: clinic\n",
		"jobs/d.yaml":   "kind: job\nname: d\nowner: data\ninterval: {every: day, tz: UTC}\nstart: 2026-03-02\nsql: d.sql\noutput: {table: report.d, time_column: day}\n",
		"jobs/d.sql":    "SELECT * FROM {{ ref \"mart.visits\" }}\n",
		"jobs/w.yaml":   "kind: job\nname: w\nowner: data\ninterval: {every: week, tz: UTC}\nstart: 2026-03-02\nsql: w.sql\noutput: {table: report.w, time_column: week}\nlate: {on_restate: mark}\n",
		"jobs/w.sql":    "SELECT * FROM {{ ref \"d\" }}\n",
	} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := config.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	g, problems := compileJobs(p, nil, true)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	book := elt.NewBook()
	publish := func(job, interval, definition string, rows int64) {
		j := g.Job(job)
		w, err := j.Calendar.Parse(interval)
		if err != nil {
			t.Fatal(err)
		}
		if book.Committed.Ledger[job] == nil {
			book.Committed.Ledger[job] = elt.NewHistory()
		}
		book.Committed.Ledger[job].Add(elt.Entry{Job: job, Interval: w, Generation: 1, Attempt: 1, State: elt.Published, Definition: definition, Rows: rows, At: time.Now()})
	}
	for _, day := range []string{"2026-03-02", "2026-03-03", "2026-03-04"} {
		publish("d", day, "another", 100)
	}
	publish("d", "2026-03-10", g.Job("d").Definition, 1000)
	publish("w", "2026-03-02", g.Job("w").Definition, 1)
	publish("w", "2026-03-09", g.Job("w").Definition, 1)
	s, _, err := observe(g, book, p)
	if err != nil {
		t.Fatal(err)
	}
	x := jobsAPI{}.status(s, g.Job("d"), s.Decide().Statuses, nil)
	if x.Redefined != 3 || x.Rows != 300 || len(x.Touched) != 1 {
		t.Fatalf("%d intervals, %d rows, touched %v", x.Redefined, x.Rows, x.Touched)
	}
	if d := x.Touched[0]; d.Job != "w" || d.Policy != "mark" || len(d.Intervals) != 1 || d.Intervals[0] != g.Job("w").IntervalName(g.Job("w").First) {
		t.Errorf("touched %+v", d)
	}
}
