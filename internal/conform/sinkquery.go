package conform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/window"
)

type arrowBatch = arrow.RecordBatch

func quote(s string) string { return strconv.Quote(s) }

// sinkQueryReadsOnly tries to write, to leave the database and to stay in it by way of a query.
func sinkQueryReadsOnly(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	want := map[int64]string{1: "a"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1))))
	dir := t.TempDir()
	for _, q := range []string{
		"", ";", "-- nothing",
		"INSERT INTO mart.visits VALUES (2, 'b')", "UPDATE mart.visits SET name = 'b'", "DELETE FROM mart.visits", "TRUNCATE mart.visits",
		"INSERT INTO mart.visits VALUES (2, 'b') RETURNING id", "DELETE FROM mart.visits RETURNING *",
		"CREATE TABLE mart.x (id INTEGER)", "CREATE TABLE mart.x AS SELECT 1 AS id", "CREATE TEMP TABLE x AS SELECT 1 AS id", "DROP TABLE mart.visits",
		"ALTER TABLE mart.visits ADD COLUMN x TEXT", "CREATE SCHEMA x", "CREATE VIEW mart.v AS SELECT 1 AS one",
		"SELECT 1; DELETE FROM mart.visits", "SELECT 1; SELECT 2", "DELETE FROM mart.visits; SELECT 1",
		"BEGIN", "COMMIT", "ROLLBACK", "COMMIT; DELETE FROM mart.visits", "ROLLBACK; DELETE FROM mart.visits",
		"WITH d AS (DELETE FROM mart.visits RETURNING id) SELECT * FROM d",
		"EXPLAIN ANALYZE DELETE FROM mart.visits", "EXPLAIN ANALYZE INSERT INTO mart.visits VALUES (2, 'b')",
		"COPY mart.visits TO '" + dir + "/out'", "COPY (SELECT 1) TO '" + dir + "/out'", "COPY mart.visits FROM '/etc/passwd'",
		"PREPARE p AS DELETE FROM mart.visits", "EXECUTE p", "CALL x()", "VACUUM", "CHECKPOINT", "ANALYZE mart.visits",
		"UPDATE tidemill.fence SET epoch = 99", "DO $$ BEGIN DELETE FROM mart.visits; END $$", "SELECT $1",
	} {
		err := w.Query(t.Context(), q, func(arrowBatch) error { return nil })
		if err == nil {
			t.Errorf("%q was answered", q)
		}
	}
	wantNames(t, w, visits, want)
	p.Follow(w)
	if p.Fence.Epoch != 1 {
		t.Errorf("a query set the epoch to %d", p.Fence.Epoch)
	}
	for _, q := range []string{
		"SELECT id, name FROM mart.visits", "select 1 as one;", "  WITH x AS (SELECT 1 AS a) SELECT a FROM x  ", "/* why */ SELECT 1 -- so\n", "VALUES (1), (2)",
		"EXPLAIN SELECT * FROM mart.visits", "EXPLAIN ANALYZE SELECT * FROM mart.visits", "(SELECT 1) UNION ALL (SELECT 2)", "TABLE mart.visits",
	} {
		if c.lacks(q) {
			continue
		}
		rows := int64(0)
		err := w.Query(t.Context(), q, func(b arrowBatch) error { rows += b.NumRows(); return nil })
		if err != nil || rows == 0 {
			t.Errorf("%q: %d rows, %v", q, rows, err)
		}
	}
	queryEnds(t, w, c)
}

// Queries of many rows and of no end, where there are no functions that make rows, too.
func endless(c SinkConfig) (many, forever string) {
	if !c.lacks("generate_series") {
		return "SELECT * FROM generate_series(1, 100000)", "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"
	}
	const n = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
	return n + "SELECT i FROM n", n + "SELECT count(*) FROM n a, n b, n c"
}

func queryEnds(t *testing.T, w window.Querier, c SinkConfig) {
	t.Helper()
	many, forever := endless(c)
	enough := errors.New("enough")
	batches := 0
	err := w.Query(t.Context(), many, func(arrowBatch) error { batches++; return enough })
	if !errors.Is(err, enough) || batches != 1 {
		t.Errorf("a query went on for %d batches after an error and returned %v", batches, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = w.Query(ctx, forever, func(arrowBatch) error { return nil })
	if err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("a query that was cancelled after 0.3 s ended after %s with %v", time.Since(start), err)
	}
	columns := 0
	err = w.Query(t.Context(), "SELECT 1 AS a, 'x' AS b WHERE 1 = 0", func(b arrowBatch) error { columns = int(b.NumCols()); return nil })
	if err != nil || columns != 2 {
		t.Errorf("an empty result shows %d columns, %v; want 2", columns, err)
	}
}

func sinkQueryTypes(t *testing.T, c SinkConfig) {
	w := c.Client()
	got := Ask(t, w, `SELECT CAST(1 AS SMALLINT), CAST(2 AS INTEGER), CAST(3 AS BIGINT), CAST(1.5 AS DOUBLE PRECISION), CAST(12.34 AS DECIMAL(9,2)),
 CAST('x' AS TEXT), TRUE, DATE '2026-01-05', TIMESTAMP '2026-01-05 09:00:00', TIMESTAMP WITH TIME ZONE '2026-01-05 09:00:00+00', CAST(NULL AS TEXT)`)
	want := []string{"1", "2", "3", float(1.5), "1234e-2", `"x"`, "true", "20458d", "1767603600000000us", "1767603600000000us", "NULL"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
