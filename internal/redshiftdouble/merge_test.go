package redshiftdouble_test

import (
	"fmt"
	"strings"
	"testing"
)

// merges: what MERGE does, and what it says to duplicates.
func merges(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, v VARCHAR(5))", "CREATE TABLE s (id BIGINT, v VARCHAR(5))",
		"INSERT INTO t VALUES (1, 'old'), (2, 'old')", "INSERT INTO s VALUES (2, 'new'), (3, 'new')")
	state := func() string {
		return one[string](l, c, "SELECT listagg(id || v, ',') WITHIN GROUP (ORDER BY id, v) FROM t")
	}
	tag, err := c.Exec(t.Context(), "MERGE INTO t USING s x ON t.id = x.id WHEN MATCHED THEN UPDATE SET v = x.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (x.id, x.v)")
	if err != nil || tag.String() != "MERGE" || state() != "1old,2new,3new" {
		t.Errorf("%v, %v: %s", tag, err, state())
	}
	l.must(c, "UPDATE s SET v = 'x'", "MERGE INTO t USING s ON t.id = s.id REMOVE DUPLICATES")
	if got := state(); got != "1old,2x,3x" {
		t.Error(got)
	}
	l.must(c, "INSERT INTO s VALUES (2, 'again')")
	merge := "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"
	if e := l.fails(c, merge); e.Code != "XX000" || e.Message != "Found multiple matches to update the same tuple." {
		t.Error(e)
	}
	if e := l.fails(c, "MERGE INTO t USING s ON t.id = s.id REMOVE DUPLICATES"); !strings.Contains(e.Message, "not emulated") {
		t.Error(e)
	}
	if got := state(); got != "1old,2x,3x" {
		t.Error(got)
	}
}

// TestLimits of sizes: statements, columns, strings in SUPER.
func TestLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	if e := l.fails(c, "SELECT '"+strings.Repeat("x", 16<<20)+"'"); !strings.Contains(e.Message, "Statement is too large") {
		t.Error(e)
	}
	var columns []string
	for i := range 1601 {
		columns = append(columns, fmt.Sprintf("c%d INTEGER", i))
	}
	if e := l.fails(c, "CREATE TABLE wide ("+strings.Join(columns, ",")+")"); e.Code != "54011" {
		t.Error(e)
	}
	l.must(c, "CREATE TABLE d (id INTEGER, doc SUPER, raw_doc VARBYTE(1000000))")
	long := `{"a": "` + strings.Repeat("é", 40_000) + `", "b": ["x"]}`
	if e := l.fails(c, "INSERT INTO d (id, doc) SELECT 1, json_parse('"+long+"')"); e.Message != "Value too long for character type" {
		t.Error(e)
	}
	l.must(c, "INSERT INTO d (id, raw_doc) VALUES (1, '"+long+"')")
	if e := l.fails(c, "UPDATE d SET doc = json_parse(raw_doc)"); !strings.Contains(e.Message, "String value exceeds the max size of 65535 bytes") {
		t.Error(e)
	}
	l.must(c, "SET json_parse_truncate_strings = ON", "UPDATE d SET doc = json_parse(raw_doc)")
	if n := one[int](l, c, "SELECT octet_length(json_serialize(doc)) FROM d"); n != 65534+len(`{"a": "", "b": ["x"]}`) {
		t.Errorf("%d bytes", n)
	}
}

// stagingLikeATable: a temporary table made LIKE one with SUPER and VARBYTE takes a COPY.
func stagingLikeATable(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (doc SUPER, b VARBYTE, s VARCHAR(3) ENCODE zstd) DISTKEY (s)", "CREATE TEMP TABLE stage (LIKE t)")
	file := foreign(t, []struct {
		A string `parquet:"a,json,plain"`
		B []byte `parquet:"b,plain"`
		C string `parquet:"c,plain"`
	}{{`[1]`, []byte("x"), "é"}})
	l.putBytes("f.parquet", file)
	m := l.manifest("m", entry{URL: "s3://" + l.bucket + "/" + l.prefix + "f.parquet", Mandatory: true, Meta: &meta{int64(len(file))}})
	l.must(c, copySQL("stage", m, "SERIALIZETOJSON"), "INSERT INTO t SELECT * FROM stage")
	if got := one[string](l, c, "SELECT json_serialize(doc) || to_hex(b) || s FROM t"); got != "[1]78é" {
		t.Error(got)
	}
	if got := one[string](l, c, `SELECT encoding || distkey::varchar FROM pg_table_def WHERE tablename = 'stage' AND "column" = 's'`); got != "zstdtrue" {
		t.Error(got)
	}
}
