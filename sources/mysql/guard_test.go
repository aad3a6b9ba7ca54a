package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
)

// What the server says of a row that it cannot give quotes the row. It stays with the server (invariant 8).
func TestLoadErrorHoldsNoValue(t *testing.T) {
	l := serverLab(t, mysql).in(t, "quiet")
	l.exec("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40))", "INSERT INTO t VALUES (1, '"+realtest.Canary+"')",
		"ALTER TABLE t ADD COLUMN g BINARY(16) AS (UUID_TO_BIN(a)) VIRTUAL", // MySQL does not look whether it can
		"CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO u VALUES (1)")
	if _, err := l.db.Exec("SELECT g FROM t"); err == nil || !strings.Contains(err.Error(), realtest.Canary) {
		t.Fatalf("the server must quote the row, or this test tells nothing: %v", err)
	}
	rec := newRecorder(t, 1)
	run := l.run(l.config("t", "u"), rec, ingest.Resume{})
	rec.await("parking of t", func() bool { return rec.parked[l.table("t")] != "" })
	reason := rec.parked[l.table("t")]
	if !strings.Contains(reason, "server error 1411") || !strings.Contains(reason, l.resync("t")) {
		t.Errorf("parked: %s", reason)
	}
	realtest.NoCanary(t, "the reason", reason)
	l.settleLoads(rec, "u") // the others go on
	l.same(rec, "u")
	run.end(t)
}

// Behind one address there may be several servers. Rows of one and the log of another must not meet.
func TestSnapshotIsOfTheServerThatIsStreamed(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "twins")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		src, err := New("test", l.config("t"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		st, err := src.newStream(src.server, newRecorder(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		tl := &tableLoad{loader: st.loader}
		s, err := tl.openSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		src.server.identity = "another server"
		s, err = tl.openSnapshot(t.Context())
		if err == nil {
			s.close()
		}
		var e *Error
		if !errors.As(err, &e) || e.Cause != Unreachable || !strings.Contains(e.What, "more than one server") {
			t.Errorf("a snapshot of another server: %v", err)
		}
	})
}

// A server that finds a changed definition says so in the place of the first row. The next snapshot asks again, rather than
// to wait for rows that nobody was asked for.
func TestSnapshotAfterAChangedDefinition(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "changed")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 2)", "CREATE TABLE u (id INT PRIMARY KEY)")
		src, err := New("test", l.config("t"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		st, err := src.newStream(src.server, newRecorder(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		tl := &tableLoad{loader: st.loader, table: &table{name: l.table("t")}}
		s, err := tl.openSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
		l.exec("ALTER TABLE t DROP v, ADD w INT, FORCE")
		const q = "SELECT id FROM changed.t"
		err = s.query(q)
		for err == nil && s.reading {
			_, err = s.row()
		}
		if !errors.Is(err, errAgain) || s.reading {
			t.Fatalf("the rows of a table that was changed under the snapshot: %v, reading %v", err, s.reading)
		}
		if err := errors.Join(s.end(), s.start(), s.query(q)); err != nil {
			t.Fatal(err)
		}
		if row, err := s.row(); err != nil || row == nil {
			t.Fatalf("the row after it: %q, %v", row, err)
		}
		if row, err := s.row(); err != nil || row != nil {
			t.Fatalf("the end: %q, %v", row, err)
		}
	})
}

// A chunk whose rows were read before the table's definition changed is read again (it has the old columns); one that was
// read behind the change is taken.
func TestChunkOfAnotherDefinition(t *testing.T) {
	for _, c := range []struct {
		name    string
		defined coord
		want    verdict
	}{
		{"never changed", coord{}, accepted},
		{"changed before the snapshot", coord{1, 99}, accepted},
		{"changed in the group that starts at the snapshot's place", coord{1, 100}, stale},
		{"changed behind the snapshot", coord{1, 101}, stale},
		{"changed in a later file", coord{2, 4}, stale},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := ingest.TableName{Schema: "d", Name: "t"}
			src, err := New("test", Config{Tables: map[string]Table{name.String(): {}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder(t, 1)
			st, err := src.newStream(&server{config: &src.config, flavor: mariadb}, rec)
			if err != nil {
				t.Fatal(err)
			}
			schema := &ingest.Schema{Table: name, Key: []string{"id"}, Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}}}
			b := ingest.NewBuilder(schema)
			b.Cols[0].Int64(7)
			b.End(ingest.Upsert)
			table := st.tables.add(name)
			table.defined, table.touched = c.defined, &touchLog{}
			chunk := &chunk{table: table, schema: schema, builders: []*ingest.Builder{b}, keys: make([][]xxh3.Uint128, 1), high: coord{1, 100},
				state: ingest.Load{Done: true}, mark: table.touched.mark(), verdict: make(chan verdict, 1)}
			if err := st.load(t.Context(), chunk); err != nil {
				t.Fatal(err)
			}
			got := <-chunk.verdict
			if rows := len(rec.state(name)); got != c.want || (rows == 1) != (c.want == accepted) {
				t.Errorf("verdict %d with %d rows emitted, want %d", got, rows, c.want)
			}
		})
	}
}

// A stream that lags is given chunks that are newer than it: they wait until it has passed what they show. After a restart they
// also wait until it has passed what the run before may have emitted, of which a snapshot may show less: the log sends a group
// before its commit can be seen.
func TestLoadWaitsForTheStream(t *testing.T) {
	check := func(t *testing.T, l *lab, hold, release string) {
		l = l.in(t, "waits")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1), (2, 0)")
		first := newRecorder(t, 1)
		run := l.run(l.config("t"), first, ingest.Resume{})
		l.settleLoads(first, "t")
		run.end(t)
		resume := first.resume()
		resume.Loads[l.table("t")] = ingest.Load{} // as if it had ended before its load began
		pad := strings.Repeat("x", blockSize)      // so that the dump's blocks end between groups, where chunks are taken
		for i := range 20 {
			l.exec("UPDATE t SET v = v + 1 WHERE id = 2", fmt.Sprintf("CREATE TABLE pad%d (id INT PRIMARY KEY) /* %s */", i, pad))
		}

		// This commit is in the log. That anybody sees it waits for a replica's answer that does not come.
		cfg := l.config("t")
		srv, err := cfg.connect(t.Context(), l.db)
		if err != nil {
			t.Fatal(err)
		}
		before := logEnd(t, srv)
		l.exec(hold)
		var held sync.WaitGroup
		held.Go(func() { l.try("UPDATE t SET v = 2 WHERE id = 1") })
		free := sync.OnceFunc(func() {
			l.exec(release)
			held.Wait()
		})
		defer free()
		for deadline := time.Now().Add(20 * time.Second); !before.less(logEnd(t, srv)); {
			if time.Now().After(deadline) {
				t.Fatal("the commit did not reach the log")
			}
		}
		var seen int
		if err := l.db.QueryRowContext(t.Context(), "SELECT v FROM t WHERE id = 1").Scan(&seen); err != nil || seen != 1 {
			t.Fatalf("the server shows %d %v, want what was before the commit", seen, err)
		}

		rec := newRecorder(t, 1)
		rec.slow = 30 * time.Millisecond
		last := map[string]int{"1": 2, "2": 0} // the run before has emitted the commit that nobody sees
		rec.onRow = func(_ ingest.TableName, key string, values []string) {
			v, err := strconv.Atoi(values[1])
			if err != nil || v < last[key] {
				t.Errorf("key %s went from %d to %s", key, last[key], values[1])
			}
			last[key] = v
		}
		run = l.run(cfg, rec, resume)
		rec.await("the load", func() bool { return rec.loads[l.table("t")].Done })
		free()
		l.settle(rec)
		l.same(rec, "t")
		run.end(t)
	}
	t.Run("mariadb", func(t *testing.T) {
		l := serverLab(t, mariadb, "rpl_semi_sync_master_timeout=60000", "rpl_semi_sync_master_wait_point=AFTER_SYNC")
		check(t, l, "SET GLOBAL rpl_semi_sync_master_enabled=ON", "SET GLOBAL rpl_semi_sync_master_enabled=OFF")
	})
	t.Run("mysql", func(t *testing.T) {
		l := serverLab(t, mysql, "plugin-load-add=semisync_source.so", "rpl-semi-sync-source-timeout=60000")
		check(t, l, "SET GLOBAL rpl_semi_sync_source_enabled=ON", "SET GLOBAL rpl_semi_sync_source_enabled=OFF")
	})
}

func logEnd(t *testing.T, s *server) coord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, end, err := s.now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return end
}
