package redshiftdouble_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tidemill/tidemill/ingest"
	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// published counts the rows of table t by a new connection.
func published(l *lab) int {
	l.Helper()
	return one[int](l, l.connect(), "SELECT count(*) FROM t")
}

func faulty(t *testing.T, change ...func(*double.Config)) (*lab, *pgx.Conn) {
	t.Helper()
	l := newLab(t, change...)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, _op INTEGER)")
	return l, c
}

func (l *lab) smallFile(name string) entry {
	l.Helper()
	s := &ingest.Schema{Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}}}
	return l.put(name, write(l.TB, s, 0, 3))
}

// TestKills: where the connection ends decides what is there afterwards; the client cannot tell the first two apart.
func TestKills(t *testing.T) {
	t.Parallel()
	for p, k := range map[double.Point]struct {
		rows int
		told bool
	}{
		double.BeforeCommit: {0, false},
		double.LostReply:    {1, false},
		double.AfterCommit:  {1, true},
	} {
		l, c := faulty(t)
		l.must(c, "BEGIN", "INSERT INTO t VALUES (1, 1)")
		l.Faults().Kill(p, 1)
		_, err := c.Exec(t.Context(), "COMMIT")
		if (err == nil) != k.told {
			t.Errorf("point %d: COMMIT says %v", p, err)
		}
		if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("point %d: the session lives on", p)
		}
		l.eventually("the session is gone", func() bool { return l.Sessions() == 0 })
		if n := published(l); n != k.rows {
			t.Errorf("point %d: %d rows, want %d", p, n, k.rows)
		}
		if n := l.Faults().Happened("kill"); n != 1 {
			t.Errorf("point %d: fired %d times", p, n)
		}
	}
}

func TestKillsAroundCopyAndMerge(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]struct {
		point double.Point
		begin bool
		rows  int
	}{
		"after COPY in autocommit":   {double.AfterCopy, false, 6},
		"after COPY in a block":      {double.AfterCopy, true, 0},
		"during COPY in autocommit":  {double.DuringCopy, false, 0},
		"during MERGE in autocommit": {double.DuringMerge, false, 0},
	} {
		l, c := faulty(t)
		m := l.manifest("m", l.smallFile("a.parquet"), l.smallFile("b.parquet"))
		l.must(c, "CREATE TABLE s (id BIGINT, _op INTEGER)", "INSERT INTO s VALUES (1, 1)")
		if k.begin {
			l.must(c, "BEGIN")
		}
		l.Faults().Kill(k.point, 1)
		q := copySQL("t", m)
		if k.point == double.DuringMerge {
			q = "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
		}
		if _, err := c.Exec(t.Context(), q); err == nil {
			t.Errorf("%s: no error", name)
		}
		l.eventually("the session is gone", func() bool { return l.Sessions() == 0 })
		if n := published(l); n != k.rows {
			t.Errorf("%s: %d rows, want %d", name, n, k.rows)
		}
	}
}

// TestFailedCommits: the nth commit that wrote fails, is rolled back, and the session is usable at once.
func TestFailedCommits(t *testing.T) {
	t.Parallel()
	for e, want := range map[double.CommitError]string{double.Commit1023: "1023", double.CommitSnapshot: "conflict with concurrent transaction", double.CommitDeadlock: "deadlock detected"} {
		l, c := faulty(t)
		l.Faults().FailCommit(2, e)
		l.must(c, "BEGIN", "SELECT 1", "COMMIT") // wrote nothing
		l.must(c, "INSERT INTO t VALUES (1, 1)", "BEGIN", "INSERT INTO t VALUES (2, 1)")
		if e := l.fails(c, "COMMIT"); !strings.Contains(e.Message, want) || want != "deadlock detected" && e.Code != "XX000" {
			t.Errorf("%v, want %s", e, want)
		}
		if c.PgConn().TxStatus() != 'I' {
			t.Errorf("status %c after the failed commit", c.PgConn().TxStatus())
		}
		l.must(c, "INSERT INTO t VALUES (3, 1)")
		if n := published(l); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	}
}

// TestImplicitCommitsFailToo: a COPY that stands alone has a commit.
func TestImplicitCommitsFailToo(t *testing.T) {
	t.Parallel()
	l, c := faulty(t)
	m := l.manifest("m", l.smallFile("a.parquet"))
	l.Faults().FailCommit(1, double.Commit1023)
	if e := l.fails(c, copySQL("t", m)); e.Message != "1023" {
		t.Error(e)
	}
	if n := published(l); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestS3Faults(t *testing.T) {
	t.Parallel()
	l, c := faulty(t)
	m := l.manifest("m.manifest", l.smallFile("a.parquet"))
	for _, k := range []struct {
		key    string
		status int
		times  int
		want   string
	}{
		{"a.parquet", 503, 2, ""}, // retried
		{"a.parquet", 503, 20, "Status 503,Error SlowDown"},
		{"a.parquet", 404, 1, "Status 404,Error NoSuchKey"},
		{"a.parquet", 403, 1, "Status 403"},
		{"m.manifest", 404, 1, "does not exist"},
	} {
		l.Faults().FailS3(k.key, k.status, k.times)
		if k.want == "" {
			l.must(c, copySQL("t", m))
		} else if e := l.fails(c, copySQL("t", m)); !strings.Contains(e.Detail, k.want) {
			t.Errorf("%d: %s %s", k.status, e.Message, e.Detail)
		}
		l.Faults().Clear()
	}
	if n := published(l); n != 3 {
		t.Errorf("%d rows", n)
	}
}

// TestCommitQueue: commits wait for one another; the client waits with them.
func TestCommitQueue(t *testing.T) {
	t.Parallel()
	l, c := faulty(t)
	release := l.Faults().HoldCommits()
	done := background(c, "INSERT INTO t VALUES (1, 1)")
	if n := published(l); n != 0 { // a reader's commit is none
		t.Errorf("%d rows while the queue stands", n)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.Faults().SlowCommits(50 * time.Millisecond)
	begin := time.Now()
	l.must(c, "INSERT INTO t VALUES (2, 1)")
	if d := time.Since(begin); d < 50*time.Millisecond {
		t.Errorf("a slow commit took %s", d)
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	l, _ := faulty(t, func(c *double.Config) { c.IdleTimeout = 200 * time.Millisecond })
	c := l.connect()
	l.must(c, "BEGIN", "INSERT INTO t VALUES (1, 1)")
	l.eventually("the server has ended both sessions", func() bool { return l.Sessions() == 0 })
	if _, err := c.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("COMMIT worked after the session's end")
	}
	if n := published(l); n != 0 {
		t.Errorf("%d rows", n)
	}
	busy := l.connect()
	l.must(busy, "SELECT 1")
	l.KillIdle()
	l.eventually("killed", func() bool { return l.Sessions() == 0 })
}

// TestCopyOutlivesItsClient in autocommit when the double is told so, as AWS documents; in a transaction it never does.
func TestCopyOutlivesItsClient(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]struct {
		outlives, begin bool
		rows            int
	}{
		"autocommit, documented": {true, false, 3},
		"autocommit, cancelled":  {false, false, 0},
		"in a transaction":       {true, true, 0},
	} {
		l, c := faulty(t, func(c *double.Config) { c.CopyOutlivesClient = k.outlives })
		m := l.manifest("m", l.smallFile("a.parquet"))
		holder := l.connect()
		l.must(holder, "BEGIN", "LOCK t")
		if k.begin {
			l.must(c, "BEGIN")
		}
		// by hand: pgx would send a cancel request when its connection breaks
		h, err := c.PgConn().Hijack()
		if err != nil {
			t.Fatal(err)
		}
		h.Frontend.Send(&pgproto3.Query{String: copySQL("t", m)})
		if err := h.Frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		l.eventually("COPY waits", func() bool { return waiting(l) == 1 })
		if err := h.Conn.Close(); err != nil {
			t.Fatal(err)
		}
		if !k.outlives {
			l.eventually("COPY is cancelled", func() bool { return l.Sessions() == 1 })
		}
		l.must(holder, "COMMIT")
		l.eventually("COPY has ended", func() bool { return l.Sessions() == 1 })
		if n := published(l); n != k.rows {
			t.Errorf("%s: %d rows, want %d", name, n, k.rows)
		}
	}
}

func TestServerlessHasNoSTL(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *double.Config) { c.Serverless = true })
	c := l.connect()
	for _, q := range []string{"SELECT * FROM stl_load_errors", "SELECT * FROM pg_catalog.stl_load_errors"} {
		if e := l.fails(c, q); e.Code != "42P01" && e.Code != "42501" {
			t.Errorf("%s: %v", q, e)
		}
	}
	l.must(c, "SELECT * FROM sys_load_error_detail", "SELECT * FROM stv_db_isolation_level")
	p := newLab(t)
	p.must(p.connect(), "SELECT * FROM stl_load_errors")
}

func TestNoLoadErrorRows(t *testing.T) {
	t.Parallel()
	l, c := faulty(t)
	l.Faults().NoLoadErrorRows(true)
	m := l.manifest("m", entry{URL: "s3://" + l.bucket + "/" + l.prefix + "none", Mandatory: true, Meta: &meta{1}})
	_ = l.fails(c, copySQL("t", m))
	if n := one[int](l, c, "SELECT count(*) FROM sys_load_error_detail"); n != 0 {
		t.Errorf("%d rows", n)
	}
	l.Faults().NoLoadErrorRows(false)
	_ = l.fails(c, copySQL("t", m))
	if n := one[int](l, c, "SELECT count(*) FROM sys_load_error_detail"); n != 1 {
		t.Errorf("%d rows", n)
	}
	if got := one[string](l, c, "SELECT status FROM sys_load_history ORDER BY start_time LIMIT 1"); strings.TrimSpace(got) != "aborted" {
		t.Error(got)
	}
}

func TestFailStatement(t *testing.T) {
	t.Parallel()
	l, c := faulty(t)
	l.Faults().FailStatement("delete from t", "XX000", "1018")
	l.must(c, "BEGIN", "INSERT INTO t VALUES (1, 1)")
	if e := l.fails(c, "DELETE FROM t WHERE id = 1"); e.Message != "1018" || c.PgConn().TxStatus() != 'E' {
		t.Errorf("%v, status %c", e, c.PgConn().TxStatus())
	}
	l.must(c, "ROLLBACK", "DELETE FROM t WHERE id = 1")
}

// TestCloseWhileBusy: the server ends with sessions in the middle of statements.
func TestCloseWhileBusy(t *testing.T) {
	t.Parallel()
	l, a := faulty(t)
	b := l.connect()
	l.must(a, "BEGIN", "LOCK t")
	done := background(b, "DELETE FROM t")
	l.eventually("b waits", func() bool { return waiting(l) == 1 })
	l.Faults().HoldCommits()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("no error")
	}
}
