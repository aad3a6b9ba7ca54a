package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	project "github.com/tidemill/tidemill/internal/daemon"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
)

// TestBrokersOfThree: in a cluster of three brokers, every topic on all three and acknowledged by two, any one is killed
// with SIGKILL and the line goes on without it; it comes back, and the next one is killed.
func TestBrokersOfThree(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"kafka", "postgres", "folder", "mariadb", "mariadb", ""}, func(e *env) { e.brokers = 3 })
	e.counted(t)
	d := e.run(t)
	e.recovered(t)
	stop := e.busy(t, 150)
	had := e.more(t, e.committed(t.Context()), 1)
	for i := range 3 * *rounds {
		b := e.cluster.Brokers[i%3]
		b.Kill()
		e.toll.servers++
		e.toll.hit()
		had = e.more(t, had, 3) // one may have been on its way
		e.toll.heal()
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.inSync(t)
		had = e.more(t, had, 1)
		e.judge(t)
	}
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

// inSync waits until every partition of the project is on three brokers that have all of it.
func (e *env) inSync(t *testing.T) {
	t.Helper()
	cl, err := kafka.New(kafka.Config{Brokers: e.cluster.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	eventually(t, patience, "all copies are in sync", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		topics, err := kadm.NewClient(cl.Client).ListTopics(ctx)
		if err != nil || len(topics) < 6 {
			return false
		}
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) < 3 {
					return false
				}
			}
		}
		return true
	})
}

const bulk = 100_000

// TestServerKilledInAGroup: MariaDB is killed while the daemon reads a group of many rows, and while it commits one. What it
// had not committed is nowhere, what it had is there once, and the group is in one window.
func TestServerKilledInAGroup(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"embedded", "postgres", "folder", "mariadb", "mariadb", ""}, func(e *env) {
		e.extra = []string{"create table clinic.bulk (id bigint primary key, n int not null, note varchar(500) not null)"}
		e.outputs = []oracle.Output{{Name: "raw_consult.bulk", Source: "consult", Table: "bulk"}}
	})
	e.counted(t)
	d := e.run(t)
	e.recovered(t)
	rng := rand.New(rand.NewPCG(*seed, 96))
	t.Logf("-seed %d", *seed)
	group := func(n int) int64 {
		before := e.logged(t)
		realtest.Exec(t, e.db[0], fmt.Sprintf("replace into clinic.bulk select seq, %d, repeat('b', 400) from clinic.seq_1_to_%d", n, bulk))
		return before
	}
	before := group(-1)
	e.settled(t, patience)
	whole := e.logged(t) - before // records of a group that nothing happens to
	within := 0
	for i := range 2 * *rounds {
		before, at := group(i), int64(0)
		eventually(t, patience, "the daemon reads the group", func() bool { at = e.logged(t); return at > before })
		e.restart(t, e.consult)
		if at-before < whole/2 {
			within++
		}
		t.Logf("killed when %d of about %d records of the group were in the log", at-before, whole)
		e.published(t, 1)
		e.toll.heal()

		began := make(chan error, 1)
		go func() {
			_, err := e.db[0].ExecContext(t.Context(), fmt.Sprintf("update clinic.bulk set n = n + 1000 where id <= %d", bulk/2))
			began <- err
		}()
		wait(t, time.Duration(100+rng.IntN(700))*time.Millisecond)
		e.restart(t, e.consult)
		t.Logf("killed in a transaction that says: %v", <-began)
		e.published(t, 1)
		e.toll.heal()
	}
	if within == 0 {
		t.Error("no group was under way when the server was killed: the test did not test")
	}
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

// logged is how many records the log holds of the table of many rows.
func (e *env) logged(t *testing.T) (n int64) {
	t.Helper()
	info, err := project.ReadInfo(e.path(e.data))
	if err != nil {
		t.Fatal(err)
	}
	if e.follower == nil {
		if e.follower, err = kafka.New(kafka.Config{Brokers: []string{info.Broker}}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.follower.Close)
	}
	const topic = "tm.consult.clinic.bulk"
	bounds, err := kafka.Offsets(t.Context(), e.follower, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bounds[topic] {
		n += b.End
	}
	return n
}

// TestStoreFails: the store answers every request with 503, then loses a part of the requests and replies, then takes longer
// for an upload than a window lasts. The line waits, says why, and catches up.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	door := &s3Door{}
	e := newEnv(t, combo{"embedded", "duckdb", "s3", "mariadb", "mariadb", ""}, func(e *env) {
		e.viaStore = func(endpoint string) string { return door.open(t, endpoint) }
	})
	e.counted(t)
	d := e.run(t)
	e.recovered(t)
	stop := e.busy(t, 150)
	here := seat{dir: e.dir, port: e.port}
	for range *rounds {
		door.refuse.Store(100)
		before := door.faults.Load()
		eventually(t, patience, "the daemon says that the store takes nothing", func() bool {
			st, err := here.status(t.Context())
			return err == nil && door.faults.Load() >= before+6 && len(st.Pipelines) == 1 && strings.Contains(st.Pipelines[0].Error, "503")
		})
		had := e.committed(t.Context())
		e.toll.hit()
		door.refuse.Store(0)
		had = e.more(t, had, 3)
		e.toll.heal()

		door.refuse.Store(25)
		door.lose.Store(15)
		had = e.more(t, had, 4)
		door.refuse.Store(0)
		door.lose.Store(0)

		door.slow.Store(100)
		had = e.more(t, had, 2)
		e.toll.hit()
		door.slow.Store(0)
		e.more(t, had, 2)
		e.toll.heal()
		e.judge(t)
	}
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
	if slowest := time.Duration(door.slowest.Load()); slowest < length {
		t.Errorf("the slowest upload took %s, less than a window: the test did not test", slowest)
	}
	e.toll.others += int(door.faults.Load())
}

// TestBackendKilled: PostgreSQL terminates the backend that publishes: in a COPY, before the COMMIT, after it and before its
// reply. The window is there once.
func TestBackendKilled(t *testing.T) {
	t.Parallel()
	var door *pgDoor
	e := newEnv(t, combo{"embedded", "postgres", "folder", "mariadb", "mariadb", ""}, func(e *env) {
		e.viaWarehouse = func(dsn string) (address string) { door, address = newPgDoor(t, dsn); return address }
	})
	e.counted(t)
	d := e.run(t)
	e.recovered(t)
	stop := e.busy(t, 150)
	for range 3 * *rounds {
		for what, plan := range map[string]func(kind byte, body string) fate{
			"in a COPY":         func(k byte, _ string) fate { return when(k == 'd', killBefore) },
			"before the COMMIT": func(k byte, b string) fate { return when(isCommit(k, b), killBefore) },
			"after the COMMIT":  func(k byte, b string) fate { return when(isCommit(k, b), killAfter) },
		} {
			had := e.committed(t.Context())
			select {
			case <-door.once(plan):
			case <-time.After(patience):
				t.Fatalf("nothing was killed %s", what)
			}
			e.toll.others++
			e.toll.hit()
			e.more(t, had, 2)
			e.toll.heal()
		}
		e.judge(t)
	}
	stop()
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

func when(is bool, f fate) fate {
	if is {
		return f
	}
	return passes
}
