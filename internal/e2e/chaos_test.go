package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/failpoint"
)

var (
	kills = flag.Int("kills", 12, "SIGKILLs of the daemon for each line of TestChaos; a third of them on Kafka, where a dead owner's session must end first")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what decides when TestChaos kills")
)

// TestChaos kills the daemon again and again, with SIGKILL, while the clinic is busy: while it starts, while it works, just after
// it has published, at a failpoint; now and then a database server or the broker is killed with it. At the end every window
// equals the sources at its cut, and the warehouse what the windows published.
//
//	make chaos N=1000
func TestChaos(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mysql", "4MiB"},
		{"kafka", "postgres", "s3", "mysql", "mariadb", "4MiB"},
		{"embedded", "postgres", "s3", "mariadb", "mariadb", ""},
		{"kafka", "duckdb", "folder", "mariadb", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel() // a line that starts again waits more than it works
			t.Logf("-seed %d", *seed)
			m := &monkey{env: newEnv(t, c), rng: rand.New(rand.NewPCG(*seed, uint64(len(c.String()))))}
			stop := m.busy(t)
			lives := *kills
			if m.kafka != nil {
				lives = (lives + 2) / 3
			}
			for range lives {
				m.life(t)
			}
			stop()
			d := m.run(t)
			m.settled(t, 3*time.Minute)
			m.warehouseEquals(t)
			d.stop(t)
			t.Logf("%s: %d kills of the daemon (%d at failpoints), %d of servers, %d windows, %d rows compared, 0 lost, 0 doubled; start to first publish %s at most, %d times",
				c, m.kills, m.atPoints, m.ofServers, m.checker.Windows, m.checker.Rows, m.longest.Round(time.Millisecond), m.recoveries)
		})
	}
}

// monkey kills.
type monkey struct {
	*env
	rng                        *rand.Rand
	kills, atPoints, ofServers int
	recoveries                 int
	longest                    time.Duration // from a start until something was published
}

// life is one daemon from its start to its kill.
func (m *monkey) life(t *testing.T) {
	t.Helper()
	m.kills++
	switch m.rng.IntN(4) {
	case 0:
		m.atPoint(t)
	case 1: // while it starts
		d := m.run(t)
		m.wait(t, 1500*time.Millisecond)
		d.kill()
	default:
		d := m.run(t)
		m.recovered(t)
		m.wait(t, length)
		if m.rng.IntN(5) == 0 {
			m.server(t)
		}
		d.kill()
	}
}

// wait waits for a part of the time.
func (m *monkey) wait(t *testing.T, most time.Duration) {
	t.Helper()
	select {
	case <-time.After(time.Duration(m.rng.Int64N(int64(most)))):
	case <-t.Context().Done():
	}
}

// everyWindow are the points that every window passes; TestKillAtEachFailpoint goes to the others.
var everyWindow = []string{failpoint.AfterRead, failpoint.BeforeManifest, failpoint.AfterManifest, failpoint.AfterLocalCommit, failpoint.BeforeLock,
	failpoint.MidCopy, failpoint.BeforeCommit, failpoint.AfterCommit}

// atPoint starts a daemon that dies at a failpoint, at its first or second visit. One that never comes there is killed.
func (m *monkey) atPoint(t *testing.T) {
	t.Helper()
	point := everyWindow[m.rng.IntN(len(everyWindow))]
	d := m.run(t, fmt.Sprintf("%s=%s:%d", failpoint.Variable, point, 1+m.rng.IntN(2)))
	select {
	case <-d.done:
		m.atPoints++
	case <-time.After(m.patience()):
		d.kill()
	}
}

// patience is how long a daemon has until it must have come to a point that every window passes.
func (m *monkey) patience() time.Duration {
	if m.kafka != nil {
		return 20 * length
	}
	return 5 * length
}

// recovered waits until the daemon has published something.
func (m *monkey) recovered(t *testing.T) {
	t.Helper()
	began := time.Now()
	eventually(t, 2*time.Minute, "the daemon publishes", func() bool { return m.publishes(t.Context()) })
	m.recoveries++
	m.longest = max(m.longest, time.Since(began))
}

var somethingPublished = regexp.MustCompile(`(?m)^tidemill_window_published_total\{[^}]*\} [1-9]`)

func (m *monkey) publishes(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", m.port), nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return err == nil && somethingPublished.Match(b)
}

// server kills a database server or the broker and starts it again.
func (m *monkey) server(t *testing.T) {
	t.Helper()
	all := m.restartable()
	s := all[m.rng.IntN(len(all))]
	s.Kill()
	m.ofServers++
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}
