package redshiftdouble_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// background runs a statement that will have to wait.
func background(c *pgx.Conn, q string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), q)
		done <- err
	}()
	return done
}

func isolated(t *testing.T, i double.Isolation) (l *lab, a, b *pgx.Conn) {
	t.Helper()
	l = newLab(t, func(c *double.Config) { c.Isolation = i })
	a, b = l.connect(), l.connect()
	l.must(a, "CREATE TABLE t (id BIGINT, v BIGINT)", "INSERT INTO t VALUES (1, 0), (2, 0)", "CREATE TABLE u (id BIGINT)")
	return l, a, b
}

// TestWritersOfATableQueue: different rows, even so the second writer waits for the first; readers do not.
func TestWritersOfATableQueue(t *testing.T) {
	t.Parallel()
	for _, i := range []double.Isolation{double.Snapshot, double.Serializable} {
		l, a, b := isolated(t, i)
		l.must(a, "BEGIN", "INSERT INTO t VALUES (3, 0)")
		c := l.connect()
		if n := one[int](l, c, "SELECT count(*) FROM t"); n != 2 {
			t.Errorf("a reader sees %d rows", n)
		}
		done := background(b, "INSERT INTO t VALUES (4, 0)")
		l.eventually("b waits", func() bool { return waiting(l) == 1 })
		l.must(a, "COMMIT")
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestLockFirstSeesTheLatest: LOCK blocks readers and takes no snapshot: who locks first sees what was committed while it waited.
func TestLockFirstSeesTheLatest(t *testing.T) {
	t.Parallel()
	for _, i := range []double.Isolation{double.Snapshot, double.Serializable} {
		l, a, b := isolated(t, i)
		l.must(a, "BEGIN", "LOCK t", "UPDATE t SET v = 7 WHERE id = 1")
		c := l.connect()
		reader := background(c, "SELECT * FROM t")
		l.eventually("the reader waits", func() bool { return waiting(l) == 1 })
		l.must(b, "BEGIN")
		locker := background(b, "LOCK t")
		l.eventually("both wait", func() bool { return waiting(l) == 2 })
		l.must(a, "COMMIT")
		if err := errors.Join(<-reader, <-locker); err != nil {
			t.Error(err)
		}
		if v := one[int](l, b, "SELECT v FROM t WHERE id = 1"); v != 7 {
			t.Errorf("read %d after LOCK", v)
		}
		l.must(b, "UPDATE t SET v = 8 WHERE id = 1", "COMMIT")
	}
}

// TestConflicts: the same race, in the words of each isolation level.
func TestConflicts(t *testing.T) {
	t.Parallel()
	for i, want := range map[double.Isolation]string{double.Snapshot: "could not complete because of conflict with concurrent transaction", double.Serializable: "1023"} {
		l, a, b := isolated(t, i)
		l.must(a, "BEGIN", "UPDATE t SET v = 1 WHERE id = 1")
		done := background(b, "UPDATE t SET v = 2 WHERE id = 1")
		l.eventually("b waits", func() bool { return waiting(l) == 1 })
		l.must(a, "COMMIT")
		var e *pgconn.PgError
		if err := <-done; !errors.As(err, &e) || e.Code != "XX000" || e.Message != want {
			t.Errorf("%v, want %s", err, want)
		}
		if i == double.Serializable && (!strings.Contains(e.Detail, "Serializable isolation violation on table - ") || !strings.Contains(e.Detail, "transactions forming the cycle are: ")) {
			t.Error(e.Detail)
		}
	}
}

// TestWriteSkew: two transactions read what the other writes. SNAPSHOT lets it happen.
func TestWriteSkew(t *testing.T) {
	t.Parallel()
	for _, i := range []double.Isolation{double.Snapshot, double.Serializable} {
		l, a, b := isolated(t, i)
		l.must(a, "BEGIN", "SELECT count(*) FROM u")
		l.must(b, "BEGIN", "SELECT count(*) FROM t")
		l.must(a, "INSERT INTO t VALUES (9, 9)")
		l.must(b, "INSERT INTO u VALUES (9)")
		l.must(a, "COMMIT")
		_, err := b.Exec(t.Context(), "COMMIT")
		if i == double.Snapshot && err != nil || i == double.Serializable && (err == nil || !strings.Contains(err.Error(), "1023")) {
			t.Errorf("isolation %d: %v", i, err)
		}
	}
}

func TestIsolationLevelIsVisible(t *testing.T) {
	t.Parallel()
	l, a, _ := isolated(t, double.Serializable)
	q := "SELECT isolation_level FROM stv_db_isolation_level"
	if got := one[string](l, a, q); got != "Serializable" {
		t.Error(got)
	}
	if err := l.SetIsolation(t.Context(), double.Snapshot); err != nil {
		t.Fatal(err)
	}
	if got := one[string](l, a, q); got != "Snapshot Isolation" {
		t.Error(got)
	}
}

// TestTruncateCommits what was before it, and cannot be rolled back.
func TestTruncateCommits(t *testing.T) {
	t.Parallel()
	l, a, _ := isolated(t, double.Snapshot)
	l.must(a, "BEGIN", "INSERT INTO u VALUES (1)", "TRUNCATE t", "INSERT INTO u VALUES (2)", "ROLLBACK")
	if n := one[int](l, a, "SELECT count(*) FROM u"); n != 1 {
		t.Errorf("%d rows in u, want the one before TRUNCATE", n)
	}
	if n := one[int](l, a, "SELECT count(*) FROM t"); n != 0 {
		t.Errorf("%d rows in t after TRUNCATE and ROLLBACK", n)
	}
}

// TestDDLRollsBack, the declared model with it.
func TestDDLRollsBack(t *testing.T) {
	t.Parallel()
	l, a, _ := isolated(t, double.Snapshot)
	l.must(a, "BEGIN", "ALTER TABLE t ADD COLUMN x VARBYTE(7) ENCODE zstd", "CREATE TABLE fresh (id BIGINT)", "ALTER TABLE u RENAME TO w", "ROLLBACK")
	if n := one[int](l, a, "SELECT count(*) FROM svv_redshift_columns WHERE table_name IN ('fresh', 'w') OR column_name = 'x'"); n != 0 {
		t.Errorf("%d columns are left", n)
	}
}

// TestTemporaryTables shadow permanent ones, are private, and are gone with the session.
func TestTemporaryTables(t *testing.T) {
	t.Parallel()
	l, a, b := isolated(t, double.Snapshot)
	l.must(a, "CREATE TEMP TABLE t (LIKE t)", "CREATE TABLE #hash (id BIGINT)", "INSERT INTO #hash VALUES (1)")
	if n := one[int](l, a, "SELECT count(*) FROM t"); n != 0 {
		t.Errorf("the temporary table does not shadow: %d rows", n)
	}
	if n := one[int](l, b, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows in the other session", n)
	}
	if n := one[int](l, a, "SELECT id FROM #hash"); n != 1 {
		t.Error(n)
	}
	if e := l.fails(b, "SELECT * FROM #hash"); e.Code != "42P01" {
		t.Error(e)
	}
}

// TestKeysAreNotEnforced, but recorded.
func TestKeysAreNotEnforced(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, "CREATE TABLE p (id BIGINT PRIMARY KEY, u VARCHAR(5) UNIQUE)", "CREATE TABLE f (id BIGINT REFERENCES p (id)) DISTKEY (id) SORTKEY (id)",
		"INSERT INTO p VALUES (1, 'a'), (1, 'a')", "INSERT INTO f VALUES (99)")
	if got := one[string](l, c, "SELECT listagg(constraint_type, ',') WITHIN GROUP (ORDER BY constraint_type) FROM svv_table_constraints WHERE table_name IN ('p', 'f')"); got != "FOREIGN KEY,PRIMARY KEY,UNIQUE" {
		t.Error(got)
	}
	if got := one[string](l, c, `SELECT diststyle || ' ' || sortkey1 || ' ' || tbl_rows FROM svv_table_info WHERE "table" = 'f'`); got != "KEY(id) id 1" {
		t.Error(got)
	}
}
