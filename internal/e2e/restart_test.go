package e2e_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/servers"
)

// TestRestartsUnderLoad: each database server, the broker and the warehouse are killed and started again while the clinic is
// busy; then the daemon itself. Nothing is lost or doubled, and the line goes on by itself.
func TestRestartsUnderLoad(t *testing.T) {
	for _, c := range []combo{
		{"kafka", "postgres", "folder", "mariadb", "mysql", ""},
		{"embedded", "duckdb", "folder", "mysql", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c)
			e.counted(t)
			d := e.run(t)
			e.underLoad(t, 2)
			stop := e.busy(t, 150)
			for _, s := range e.restartable() {
				e.restart(t, s)
				e.published(t, 2)
			}
			e.kill(t, d) // and a restart of the daemon under load
			d = e.run(t)
			e.published(t, 2)
			stop()
			e.settled(t, 3*time.Minute)
			e.warehouseEquals(t)
			d.stop(t)
		})
	}
}

// restartable are the servers that may fail under the daemon. PostgreSQL also holds the oracle's engine, whose connection would
// go with it; the warehouse's own failures are tested in sinks/postgres.
func (e *env) restartable() []*servers.Server {
	out := []*servers.Server{e.consult, e.pharmacy}
	if e.kafka != nil {
		out = append(out, e.kafka)
	}
	return out
}

// busy keeps the clinic going in the background, at a rate of operations a second, over restarts of its databases, until stop is called.
func (e *env) busy(t *testing.T, rate float64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.clinic.Load(ctx, rate, nil) }) // it ends with ctx; its databases come and go
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// published waits for n more windows.
func (e *env) published(t *testing.T, n int) {
	t.Helper()
	start := -1
	eventually(t, 2*time.Minute, "the next windows are published", func() bool {
		rows, err := e.receipts(t.Context())
		if err != nil {
			return false
		}
		if start < 0 {
			start = len(rows)
		}
		return len(rows) >= start+n
	})
}
