package e2e_test

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
)

// Each axis of {embedded, Kafka} x {DuckDB, PostgreSQL} x {folder, S3} x {MariaDB, MySQL} at least once, two sources joined in
// each; pairs are chosen so that every value meets several others.
var combos = []combo{
	{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""},
	{"kafka", "postgres", "s3", "mysql", "mariadb", ""},
	{"embedded", "postgres", "folder", "mariadb", "mysql", ""},
	{"kafka", "duckdb", "s3", "mysql", "mysql", ""},
}

// TestLine is the line from real databases to warehouse rows under load: every window is proved, and the end.
func TestLine(t *testing.T) {
	for _, c := range combos {
		t.Run(c.String(), func(t *testing.T) {
			e := newEnv(t, c)
			d := e.run(t)
			e.underLoad(t, 6)
			e.settled(t, 3*time.Minute)
			e.warehouseEquals(t)
			realtest.NoCanary(t, "metrics", e.metrics(t))
			d.stop(t)
			t.Logf("%s: %d windows, %d rows compared", c, e.checker.Windows, e.checker.Rows)
		})
	}
}

// underLoad changes the sources until n windows have been published, judging them as they come.
func (e *env) underLoad(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	have := 0
	if rows, err := e.receipts(t.Context()); err == nil {
		have = len(rows)
	}
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for goal := have + n; have < goal; <-pace.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d windows were published in two minutes", have, goal)
		}
		e.steps(t, 20)
		if rows, err := e.receipts(t.Context()); err == nil { // the daemon may still be starting
			have = len(rows)
		}
	}
	e.judge(t)
}
