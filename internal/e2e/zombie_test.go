package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/kafka"
)

// TestZombies: the daemon is stopped with SIGSTOP while it streams, prepares, loads, is about to commit, has committed.
// Another machine's daemon takes over. Then the first wakes up with all that it was about to write, and must step down or
// write nothing: epochs in the receipts never go back, and every window equals the sources. It is of use again: when the
// second is killed, it takes over.
func TestZombies(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"kafka", "postgres", "s3", "mariadb", "mysql", ""}, func(e *env) {
		e.session = time.Second
		// A publisher that hangs holds the fence's lock until the server gives up on it; a minute unless the address says so.
		e.viaWarehouse = func(dsn string) string { return withParameter(dsn, "idle_in_transaction_session_timeout=3s") }
	})
	e.counted(t)
	seats := e.seats(t)
	stop := e.busy(t, 100)
	rng := rand.New(rand.NewPCG(*seed, 99))
	t.Logf("-seed %d", *seed)
	moments := []string{failpoint.MidUpload, failpoint.AfterLocalCommit, failpoint.MidCopy, failpoint.BeforeCommit, "", ""}
	for i := range len(moments) * *rounds {
		e.zombie(t, seats[i%2], seats[(i+1)%2], moments[i%len(moments)], rng)
	}
	d := e.run(t)
	e.recovered(t)
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

// zombie stops a daemon at a moment, "" for any, lets another take over, and wakes it.
func (e *env) zombie(t *testing.T, a, b seat, moment string, rng *rand.Rand) {
	t.Helper()
	hold := filepath.Join(t.TempDir(), "hold")
	var arm []string
	if moment != "" {
		arm = append(arm, fmt.Sprintf("%s=%s:2:pause=%s", failpoint.Variable, moment, hold))
	}
	first := e.runAt(t, a, arm...)
	if moment == "" {
		eventually(t, patience, "the first publishes", func() bool { return publishes(t.Context(), a.port) })
		wait(t, time.Duration(rng.Int64N(int64(length))))
	} else {
		eventually(t, patience, "the first comes to "+moment, func() bool { _, err := os.Stat(hold); return err == nil })
	}
	first.pause(t)
	e.toll.others++
	e.toll.hit()
	if moment != "" {
		if err := os.Remove(hold); err != nil {
			t.Fatal(err)
		}
	}
	second := e.runAt(t, b)
	eventually(t, patience, "the second publishes what the first was about to, which stopped at "+moment, func() bool { return publishes(t.Context(), b.port) }, b.explain(t))
	e.toll.heal()
	had := e.committed(t.Context())
	first.resume(t)
	had = e.more(t, had, 1)
	e.apart(t, [2]seat{a, b})
	e.kill(t, second)
	e.more(t, had, 1)
	e.toll.heal()
	e.judge(t)
	e.kill(t, first)
}

// apart waits until every unit runs, and none of them in both daemons; it returns how many run in the first.
func (e *env) apart(t *testing.T, seats [2]seat) (first int) {
	t.Helper()
	var what string
	defer func() {
		if t.Failed() {
			t.Logf("the units: %s", what)
		}
	}()
	eventually(t, patience, "each unit runs in one daemon", func() bool {
		a, aerr := seats[0].runs(t.Context())
		b, berr := seats[1].runs(t.Context())
		what = fmt.Sprint(a, aerr, b, berr)
		first = len(a)
		all := slices.Concat(a, b)
		slices.Sort(all)
		return aerr == nil && berr == nil && slices.Equal(all, []string{"pipeline/care", "source/consult", "source/pharmacy"})
	}, seats[0].explain(t), seats[1].explain(t))
	return first
}

// members waits until the group that shares out the units has n members, each with a share.
func (e *env) members(t *testing.T, n int) {
	t.Helper()
	cl, err := kafka.New(kafka.Config{Brokers: e.brokerAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	eventually(t, patience, fmt.Sprintf("%d daemons share the units", n), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		groups, err := kadm.NewClient(cl.Client).DescribeGroups(ctx, "tm.clinic")
		g := groups["tm.clinic"]
		if err != nil || g.Err != nil || g.State != "Stable" || len(g.Members) != n {
			return false
		}
		for _, m := range g.Members {
			if c, ok := m.Assigned.AsConsumer(); !ok || len(c.Topics) == 0 {
				return false
			}
		}
		return true
	})
}

func withParameter(address, parameter string) string {
	if strings.Contains(address, "?") {
		return address + "&" + parameter
	}
	return address + "?" + parameter
}

// wait waits; it is for moments that are drawn.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// TestZombieOnOneMachine: with the embedded broker the data folder is the owner. While a stopped daemon holds it no other
// one starts, and it says who holds it; woken, the first goes on; killed while it is stopped, the next one goes on.
func TestZombieOnOneMachine(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""})
	e.counted(t)
	stop := e.busy(t, 100)
	rng := rand.New(rand.NewPCG(*seed, 98))
	d := e.run(t)
	for range 2 * *rounds {
		e.recovered(t)
		wait(t, time.Duration(rng.Int64N(int64(length))))
		d.pause(t)
		e.toll.others++
		log := &logBuffer{}
		other := start(t, e.dir, log, e.vars...)
		other.died(t, patience)
		if code := other.cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(log.String(), fmt.Sprintf("another daemon (process %d)", d.cmd.Process.Pid)) {
			t.Errorf("a second daemon on the same folder: exit %d\n%s", code, tail(withoutSpans(log.String()), 1000))
		}
		e.toll.hit()
		d.resume(t)
		e.published(t, 2)
		e.toll.heal()
		e.judge(t)
		d.pause(t)
		e.kill(t, d)
		d = e.run(t)
	}
	e.recovered(t)
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

// TestTwoDaemons: two machines with one configuration. Each unit runs in one of them; either is killed, the other takes
// over what it ran, and the killed one comes back.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"kafka", "postgres", "s3", "mariadb", "mariadb", ""}, func(e *env) { e.session = time.Second })
	e.counted(t)
	seats := e.seats(t)
	stop := e.busy(t, 100)
	daemons := [2]*daemon{e.runAt(t, seats[0]), e.runAt(t, seats[1])}
	rng := rand.New(rand.NewPCG(*seed, 97))
	t.Logf("-seed %d", *seed)
	shared := 0
	for i := range 6 * *rounds {
		e.members(t, 2)
		if first := e.apart(t, seats); first == 1 || first == 2 {
			shared++
		}
		had := e.committed(t.Context())
		wait(t, time.Duration(rng.Int64N(int64(length))))
		victim := i % 2
		e.kill(t, daemons[victim])
		e.more(t, max(had, 0), 2) // one of them may have been committed by then
		e.toll.heal()
		e.judge(t)
		daemons[victim] = e.runAt(t, seats[victim])
	}
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	for _, d := range daemons {
		d.stop(t)
	}
	t.Logf("units were shared between the two %d times of %d", shared, 6**rounds)
}
