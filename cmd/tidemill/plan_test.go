package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// plan says of a changed definition how many intervals and rows were built by another, and what is built from exactly those.
func TestPlanSaysWhatIsTouched(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tidemill.yaml":    "project: clinic\n",
		"jobs/visits.yaml": "kind: job\nname: visits\nowner: data\ninterval: {every: day, tz: Asia/Jakarta}\nstart: 2026-03-01\nsql: visits.sql\noutput: {table: report.visits, time_column: day}\n",
		"jobs/visits.sql":  "SELECT * FROM {{ ref \"mart.visits\" }}\n",
		"jobs/fresh.yaml":  "kind: job\nname: fresh\nowner: data\ninterval: {every: day, tz: Asia/Jakarta}\nstart: 2026-03-01\nsql: fresh.sql\noutput: {table: report.fresh, time_column: day}\n",
		"jobs/fresh.sql":   "SELECT * FROM {{ ref \"visits\" }}\n",
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
	windows, err := grid.New(p.Window)
	if err != nil {
		t.Fatal(err)
	}
	g, problems := elt.Compile(p.Jobs, p.Templates, elt.World{Grid: windows, Zone: "UTC", Unsure: true, Pools: p.Pools})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	have := console.JobsAnswer{Jobs: []console.JobStatus{
		{Name: "visits", Newest: "2026-03-09", Counts: map[string]int{"published": 9}, Redefined: 7, Rows: 12345,
			Touched: []console.Downstream{{Job: "week", Policy: "rerun", Intervals: []string{"2026-W10"}}, {Job: "audit", Policy: "mark", Intervals: []string{"a", "b", "c", "d", "e", "f", "g"}}}},
		{Name: "old", Table: "report.old"},
	}}
	var out strings.Builder
	command := func(sub string, args ...string) string { return "tidemill " + sub + " " + strings.Join(args, " ") }
	if err := writePlan(&out, g, have, command, time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	const want = `~ visits: 7 intervals of 9, 12,345 rows, were built by another definition
    build them again: tidemill backfill visits --from 2026-03-01 --to 2026-03-09 --only stale --dry-run
    then 1 interval of week, to be built again: 2026-W10
    then 7 intervals of audit, only to be marked as stale: a, b, c, d, e and 2 more
+ fresh: has published nothing yet; runs every day of Asia/Jakarta from 2026-03-01 on (catchup: all)
    will run 10 intervals that ended already
- old: is gone; its table report.old stays as it is
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// why says when an interval is likely to be there, and when it is later than that.
func TestWhySaysWhen(t *testing.T) {
	usual := time.Date(2026, 3, 29, 17, 20, 0, 0, time.UTC)
	a := console.WhyAnswer{Interval: console.IntervalStatus{Job: "visits", Name: "2026-03-29", State: "waiting"}, Usual: usual, Latest: usual.Add(time.Hour), Earlier: 28}
	for now, want := range map[time.Time]string{
		usual:                    "  usually there by 2026-03-29T17:20:00Z, nearly always by 2026-03-29T18:20:00Z (28 intervals)\n",
		usual.Add(2 * time.Hour): "  later than usual: of 28 intervals 95% were there by 2026-03-29T18:20:00Z\n",
	} {
		var out strings.Builder
		if writeWhy(&out, a, now); !strings.HasSuffix(out.String(), want) {
			t.Errorf("at %s:\n%s", now, out.String())
		}
	}
}
