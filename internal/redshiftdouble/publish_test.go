package redshiftdouble_test

import (
	"strings"
	"testing"
)

// TestPublishLikeASink is the transaction that tidemill runs for a window: fence, stage, COPY, count, delete, insert, receipt.
func TestPublishLikeASink(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, columns := everyKind()
	c := l.connect()
	l.must(c,
		"CREATE SCHEMA IF NOT EXISTS mart",
		`CREATE TABLE IF NOT EXISTS mart."Visits" (`+columns+`, PRIMARY KEY (id)) DISTSTYLE AUTO SORTKEY AUTO`,
		"CREATE TABLE fence (pipeline VARCHAR(64) NOT NULL, epoch BIGINT, PRIMARY KEY (pipeline))",
		"INSERT INTO fence VALUES ('p', 1)",
		"INSERT INTO mart.visits (id, s) VALUES (3, 'old'), (1000, 'kept')",
	)
	m := l.manifest("m1", l.put("a.parquet", write(t, s, 0, 10)))
	l.must(c, "BEGIN", "LOCK fence")
	if n := one[int64](l, c, "SELECT epoch FROM fence WHERE pipeline = $1", "p"); n != 1 {
		t.Errorf("epoch %d", n)
	}
	l.must(c, "CREATE TEMP TABLE stage_1 ("+columns+")", copySQL("stage_1", m, "STATUPDATE OFF"))
	if n := one[int64](l, c, "SELECT pg_last_copy_count()"); n != 10 {
		t.Errorf("copied %d", n)
	}
	l.must(c, `DELETE FROM mart.visits USING stage_1 WHERE mart.visits.id = stage_1.id`,
		`INSERT INTO "mart"."visits" SELECT * FROM stage_1 WHERE "_op" = 1`)
	tag, err := c.Exec(t.Context(), "UPDATE fence SET epoch = $2 WHERE pipeline = $1 AND epoch = $3", "p", 2, 1)
	if err != nil || tag.RowsAffected() != 1 {
		t.Errorf("fence: %v, %v", tag, err)
	}
	l.must(c, "COMMIT")
	if n := one[int64](l, c, "SELECT count(*) FROM mart.visits"); n != 11 {
		t.Errorf("%d rows, want 11", n)
	}
	if got := one[string](l, c, "SELECT data_type FROM svv_redshift_columns WHERE schema_name = 'mart' AND table_name = 'visits' AND column_name = 's'"); got != "character varying(20)" {
		t.Errorf("type %s", got)
	}
}

// failedCopy: the transaction is aborted, the error's row stays, the text is in the detail.
func failedCopy(t *testing.T, l *lab) {
	t.Helper()
	s, columns := everyKind()
	c, other := l.connect(), l.connect()
	l.must(c, "CREATE TABLE t ("+strings.Replace(columns, "s VARCHAR(20)", "s VARCHAR(7)", 1)+")")
	m := l.manifest("m1", l.put("a.parquet", write(t, s, 0, 3)))
	l.must(c, "BEGIN", "INSERT INTO t (id) VALUES (1)")
	e := l.fails(c, copySQL("t", m))
	if e.Code != "XX000" || e.Message != "Spectrum Scan Error" || !strings.Contains(e.Detail, "code:      15001") ||
		!strings.Contains(e.Detail, "The length of the data column s is longer than the length defined in the table. Table: 7, Data: 8") {
		t.Errorf("error %s %s %s", e.Code, e.Message, e.Detail)
	}
	if e := l.fails(c, "SELECT 1"); e.Code != "25P02" {
		t.Errorf("after the error: %v", e)
	}
	l.must(c, "ROLLBACK")
	got := one[string](l, other, "SELECT trim(column_name) || ' ' || trim(column_length) || ' ' || error_code || ' ' || length(file_name) FROM sys_load_error_detail WHERE file_name LIKE $1", "%a.parquet%")
	if !strings.HasPrefix(got, "s 7 15001") {
		t.Errorf("sys_load_error_detail: %s", got)
	}
	if n := one[int64](l, c, "SELECT count(*) FROM t"); n != 0 {
		t.Errorf("%d rows", n)
	}
}
