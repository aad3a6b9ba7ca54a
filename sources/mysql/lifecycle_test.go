package mysql

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
)

// A server that is restarted or killed under load ends the run with an error that says "again"; starting again from the
// checkpoint loses and doubles nothing.
func TestServerRestartsUnderLoad(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "restarts")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
			"INSERT INTO big (v) VALUES (1),(2),(3),(4),(5),(6),(7),(8)")
		for range 8 {
			l.exec("INSERT INTO big (v) SELECT v FROM big")
		}
		cfg := l.config("t", "big")
		cfg.ChunkRows = 100
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() { writeUntil(stop, l) })
		}
		defer writers.Wait()
		defer sync.OnceFunc(func() { close(stop) })()
		rec := newRecorder(t, 2)
		run := l.run(cfg, rec, ingest.Resume{})
		for round := range 4 {
			groups := rec.groups
			rec.await("some groups", func() bool { return rec.groups > groups+20 })
			if round%2 == 0 {
				l.server.Kill()
			}
			if err := l.server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := run.wait(t); !ingest.Retryable(err) {
				t.Fatalf("the run ended with %v", err)
			}
			rec = rec.again()
			run = l.run(cfg, rec, rec.resume())
		}
		for _, n := range []string{"t", "big"} {
			rec.await("the load of "+n, func() bool { return rec.loads[l.table(n)].Done })
		}
		close(stop)
		stop = make(chan struct{})
		writers.Wait()
		l.settle(rec)
		l.same(rec, "t")
		l.same(rec, "big")
		run.end(t)
	})
}

// again is a recorder that goes on from what this one has at its checkpoint.
func (r *recorder) again() *recorder {
	n := newRecorder(r.t, r.partitions)
	n.rows, n.loads, n.parked, n.pos, n.before = r.rows, r.loads, r.parked, r.pos, r.resume().Schemas
	return n
}

// writeUntil writes, and takes errors as they come while the server is away.
func writeUntil(stop chan struct{}, l *lab) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		tx, err := l.db.Begin()
		if err != nil {
			continue
		}
		_, err = tx.Exec(fmt.Sprintf("INSERT INTO t (v) VALUES (%d),(%d)", i, -i))
		if err == nil {
			_, err = tx.Exec(fmt.Sprintf("UPDATE big SET v = v + 1 WHERE id = %d", 1+i%2000))
		}
		if err != nil || i%9 == 0 {
			_ = tx.Rollback()
			continue
		}
		_ = tx.Commit()
	}
}

func causeOf(err error) Cause {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return 0
}

// Histories that do not fit the position are refused, each by its name.
func TestHistories(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "histories")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		rec := newRecorder(t, 1)
		run := l.run(l.config("t"), rec, ingest.Resume{})
		l.settleLoads(rec, "t")
		run.end(t)
		l.exec("INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)")
		var name string
		var rest any
		row := l.db.QueryRow(map[flavor]string{mariadb: "SHOW MASTER STATUS", mysql: "SHOW BINARY LOG STATUS"}[l.flavor])
		into := []any{&name, &rest, &rest, &rest, &rest}
		if l.flavor == mariadb {
			into = into[:4]
		}
		if err := row.Scan(into...); err != nil {
			t.Fatal(err)
		}
		l.purge(name)
		resume := rec.resume()
		run = l.run(l.config("t"), newRecorder(t, 1), resume)
		if err := run.wait(t); causeOf(err) != Purged || ingest.Retryable(err) || !strings.Contains(err.Error(), "tidemill resync") {
			t.Errorf("purged: %v", err)
		}
		l.exec(map[flavor]string{mariadb: "RESET MASTER", mysql: "RESET BINARY LOGS AND GTIDS"}[l.flavor])
		run = l.run(l.config("t"), newRecorder(t, 1), resume)
		if err := run.wait(t); causeOf(err) != Diverged || ingest.Retryable(err) {
			t.Errorf("diverged: %v", err)
		}
		// A server without any history is a place to start from, too.
		fresh := newRecorder(t, 1)
		run = l.run(l.config("t"), fresh, ingest.Resume{})
		l.settleLoads(fresh, "t")
		if fresh.started != noGroups {
			t.Errorf("started at %s", fresh.started)
		}
		l.exec("INSERT INTO t VALUES (3)")
		l.settle(fresh)
		l.same(fresh, "t")
		run.end(t)
	})
}

// purge removes the log files before the named one. A server keeps files that a dump is reading, and it learns that ours has
// ended when it next writes to us.
func (l *lab) purge(to string) {
	l.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(30 * time.Second)
	for {
		l.exec("PURGE BINARY LOGS TO '" + to + "'")
		first := ""
		srv := &server{config: &Config{}, db: l.db}
		err := srv.each(l.t.Context(), "listing logs", "SHOW BINARY LOGS", nil, func(scan func(...any) error) error {
			var name string
			var rest any
			into := []any{&name, &rest, &rest}
			if l.flavor == mariadb {
				into = into[:2]
			}
			err := scan(into...)
			if first == "" {
				first = name
			}
			return err
		})
		if err != nil {
			l.t.Fatal(err)
		}
		if first == to {
			return
		}
		select {
		case <-ticker.C:
		case <-limit:
			l.t.Fatalf("the server keeps %s", first)
		}
	}
}

// Two readers that show one id to the server must not take turns for ever.
func TestDuplicateServerID(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "duplicates")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		first := newRecorder(t, 1)
		run := l.run(l.config("t"), first, ingest.Resume{})
		l.settleLoads(first, "t")
		second := newRecorder(t, 1)
		other := l.run(l.config("t"), second, ingest.Resume{})
		err := run.wait(t)
		if causeOf(err) != DuplicateID || ingest.Retryable(err) {
			t.Errorf("the first reader ended with %v", err)
		}
		l.settleLoads(second, "t")
		l.exec("INSERT INTO t VALUES (1)")
		l.settle(second)
		l.same(second, "t")
		other.end(t)
	})
}

func TestTLS(t *testing.T) {
	l := serverLab(t, mysql).in(t, "secure")
	l.exec("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "ALTER USER "+testUser+"@'%' REQUIRE SSL")
	plain := l.config("t")
	src, err := New("test", plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Prepare(t.Context()); err == nil {
		t.Error("plain text was accepted")
	}
	cfg := l.config("t")
	cfg.TLS = TLS{Mode: tlsVerifyCA, CA: config.LocalFile(filepath.Join(l.server.Dir, "data", "ca.pem"))}
	rec := newRecorder(t, 1)
	run := l.run(cfg, rec, ingest.Resume{})
	l.settleLoads(rec, "t")
	l.exec("INSERT INTO t VALUES (2)")
	l.settle(rec)
	l.same(rec, "t")
	run.end(t)
}

// A group far larger than a builder passes in parts, and its position says how many rows are done.
func TestLargeGroup(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "large")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200))")
		rec := newRecorder(t, 2)
		run := l.run(l.config("t"), rec, ingest.Resume{})
		l.settleLoads(rec, "t")
		l.exec("INSERT INTO t (v) WITH RECURSIVE d AS (SELECT 0 x UNION ALL SELECT x + 1 FROM d WHERE x < 9) SELECT REPEAT('v', 150) FROM d a, d b, d c, d e")
		l.settle(rec)
		l.same(rec, "t")
		if set, rows, ok := strings.Cut(string(rec.progress), "+"); !ok || rows == "" || set != string(rec.started) {
			t.Errorf("progress at %s after a start at %s", rec.progress, rec.started)
		}
		run.end(t)
	})
}
