package e2e_test

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/realtest"
)

// TestKillAtEachFailpoint: the daemon is killed with SIGKILL at every point of a step once, on the embedded broker and on
// Kafka, into each kind of warehouse; after each restart the line goes on, and no window differs from the sources.
func TestKillAtEachFailpoint(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mariadb", "1MiB"},
		{"kafka", "postgres", "s3", "mariadb", "mysql", "1MiB"},
		{"kafka", "redshift", "s3", "mariadb", "mariadb", "1MiB"},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c)
			e.counted(t)
			first := e.run(t)
			e.underLoad(t, 1)
			e.kill(t, first)
			for _, point := range failpoint.Names {
				e.killedAt(t, point)
			}
			d := e.run(t)
			e.recovered(t)
			e.underLoad(t, 2)
			e.settled(t, 3*time.Minute)
			e.warehouseEquals(t)
			d.stop(t)
		})
	}
}

// killedAt starts a daemon that dies at a point, under load, and checks that it did.
func (e *env) killedAt(t *testing.T, point string) {
	t.Helper()
	d := e.run(t, failpoint.Variable+"="+point)
	deadline := time.Now().Add(90 * time.Second)
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for ; ; <-pace.C {
		select {
		case <-d.done:
			if d.cmd.ProcessState.ExitCode() != -1 { // -1: ended by a signal
				t.Fatalf("at %s the daemon exited with %d instead of being killed", point, d.cmd.ProcessState.ExitCode())
			}
			e.kill(t, d) // it has died: only counted
			e.toll.atPoints++
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon never reached %s", point)
		}
		e.steps(t, 10)
		if point == failpoint.AfterSpill { // more than the budget of this test in one window
			realtest.Exec(t, e.db[0], "update clinic.patients set phone = right(uuid(), 12), notes = repeat(notes, 40) where length(notes) between 1 and 200",
				"update clinic.patients set email = concat(left(uuid(), 8), '@', repeat('x', 100))")
		}
	}
}
