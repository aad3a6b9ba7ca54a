package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/failpoint"
)

var (
	kills  = flag.Int("kills", 208, "SIGKILLs of the daemon in TestChaos, over its four lines together")
	rounds = flag.Int("rounds", 1, "how many times the other tests of faults go through theirs")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what decides when TestChaos kills")
)

// TestChaos kills the daemon again and again, with SIGKILL, while the clinic is busy: while it starts, in its first second
// of work, just after it has published, at a failpoint; now and then a database server or the broker is killed with it.
// Each of {embedded, Kafka} x {DuckDB, PostgreSQL} gets a quarter of the kills. Every window equals the sources at its cut,
// and at the end the warehouse what the windows published.
//
//	make chaos N=1000
func TestChaos(t *testing.T) {
	program, err := plain() // the race detector has its turn in the tests of single faults
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mysql", "4MiB"},
		{"kafka", "postgres", "s3", "mysql", "mariadb", "4MiB"},
		{"embedded", "postgres", "s3", "mariadb", "mariadb", ""},
		{"kafka", "duckdb", "folder", "mariadb", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel() // a line that starts again waits more than it works
			t.Logf("-seed %d", *seed)
			e := newEnv(t, c, func(e *env) { e.session, e.program = time.Second, program })
			m := &monkey{env: e, rng: rand.New(rand.NewPCG(*seed, uint64(i)))}
			m.counted(t)
			stop := m.busy(t, 60)
			for range (*kills + 3) / 4 {
				m.life(t)
			}
			d := m.run(t)
			m.recovered(t)
			stop()
			m.settled(t, patience)
			m.warehouseEquals(t)
			d.stop(t)
			if want := *kills / 4; m.toll.kills < want {
				t.Errorf("%d kills, want %d: the others died of something else", m.toll.kills, want)
			}
		})
	}
}

// monkey kills.
type monkey struct {
	*env
	rng *rand.Rand
}

// life is one daemon from its start to its kill.
func (m *monkey) life(t *testing.T) {
	t.Helper()
	switch n := m.rng.IntN(8); {
	case n < 2:
		m.atPoint(t)
	case n < 6: // while it starts, or soon after
		d := m.run(t)
		wait(t, time.Duration(m.rng.Int64N(int64(2*time.Second))))
		m.kill(t, d)
	default:
		d := m.run(t)
		m.recovered(t)
		m.judge(t)
		wait(t, time.Duration(m.rng.Int64N(int64(length))))
		if m.rng.IntN(6) == 0 {
			all := m.restartable()
			m.restart(t, all[m.rng.IntN(len(all))])
		}
		m.kill(t, d)
	}
}

// everyWindow are the points that every window passes; TestKillAtEachFailpoint goes to the others.
var everyWindow = []string{failpoint.AfterRead, failpoint.BeforeManifest, failpoint.AfterManifest, failpoint.AfterLocalCommit, failpoint.BeforeLock,
	failpoint.MidCopy, failpoint.BeforeCommit, failpoint.AfterCommit}

// atPoint starts a daemon that dies at a failpoint, at its first or second visit. One that has not come there after a while
// is killed where it is.
func (m *monkey) atPoint(t *testing.T) {
	t.Helper()
	point := everyWindow[m.rng.IntN(len(everyWindow))]
	d := m.run(t, fmt.Sprintf("%s=%s:%d", failpoint.Variable, point, 1+m.rng.IntN(2)))
	select {
	case <-d.done:
		m.toll.atPoints++
	case <-time.After(20 * time.Second):
	}
	m.kill(t, d)
}
