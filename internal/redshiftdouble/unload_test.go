package redshiftdouble_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// keys are the objects below a prefix, without it.
func (l *lab) keys(prefix string) []string {
	l.Helper()
	out, err := l.store.ListObjectsV2(l.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(l.bucket), Prefix: aws.String(l.prefix + prefix)})
	if err != nil {
		l.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, strings.TrimPrefix(*o.Key, l.prefix+prefix))
	}
	slices.Sort(keys)
	return keys
}

func (l *lab) get(key string) []byte {
	l.Helper()
	o, err := l.store.GetObject(l.Context(), &s3.GetObjectInput{Bucket: aws.String(l.bucket), Key: aws.String(l.prefix + key)})
	if err != nil {
		l.Fatal(err)
	}
	defer o.Body.Close()
	b, err := io.ReadAll(o.Body)
	if err != nil {
		l.Fatal(err)
	}
	return b
}

func unloading(t *testing.T) (*lab, func(name, query, options string) string) {
	t.Helper()
	l := newLab(t, func(c *double.Config) { c.Slices = 2 })
	return l, l.unload
}

// unload is the UNLOAD of a query.
func (l *lab) unload(name, query, options string) string {
	return fmt.Sprintf("UNLOAD ($$%s$$) TO 's3://%s/%s%s' IAM_ROLE default FORMAT PARQUET %s", query, l.bucket, l.prefix, name, options)
}

// unloadAndCopyBack: the manifest of an UNLOAD loads as it is, and all types survive.
func unloadAndCopyBack(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	s, columns := everyKind()
	l.must(c, "CREATE TABLE t ("+columns+")", copySQL("t", l.manifest("m", l.put("a.parquet", write(t, s, 0, 50)))))
	kept := "id, b, i16, i32, f32, f64, d9, d38, s, day, ts, tstz"
	l.must(c, l.unload("out/", "SELECT "+kept+" FROM t", "MANIFEST VERBOSE"))
	if n := one[int64](l, c, "SELECT pg_last_unload_count()"); n != 50 {
		t.Errorf("pg_last_unload_count: %d", n)
	}
	if got := l.keys("out/"); l.Server != nil && !slices.Equal(got, []string{"0000_part_00.parquet", "0001_part_00.parquet", "manifest"}) {
		t.Error(got)
	}
	var m struct {
		Entries []struct {
			Meta struct {
				RecordCount int64 `json:"record_count"`
			}
		}
		Schema struct{ Elements []struct{ Name string } }
		Meta   struct {
			RecordCount int64 `json:"record_count"`
		}
	}
	if err := json.Unmarshal(l.get("out/manifest"), &m); err != nil || l.Server != nil && (len(m.Entries) != 2 || m.Entries[0].Meta.RecordCount != 25) || m.Meta.RecordCount != 50 || len(m.Schema.Elements) != 12 {
		t.Errorf("%+v, %v", m, err)
	}
	back := strings.Replace(strings.Replace(columns, "bin VARBYTE, ", "", 1), ", _op INTEGER", "", 1)
	l.must(c, "CREATE TABLE back ("+back+")", copySQL("back", fmt.Sprintf("s3://%s/%sout/manifest", l.bucket, l.prefix)))
	if n := one[int](l, c, "SELECT count(*) FROM (SELECT "+kept+" FROM t INTERSECT SELECT "+kept+" FROM back) x"); n != 50 {
		t.Errorf("%d of 50 rows came back", n)
	}
	if got := one[string](l, c, "SELECT trim(status) || ' ' || unloaded_rows || ' ' || unloaded_files_count FROM sys_unload_history"); got != "completed 50 2" && l.Server != nil {
		t.Error(got)
	}
}

// TestUnloadIsNotTransactional, nor does it write over anything.
func TestUnloadIsNotTransactional(t *testing.T) {
	t.Parallel()
	l, to := unloading(t)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, s VARCHAR(5))", "BEGIN", "INSERT INTO t VALUES (1, 'a')", to("out/", "SELECT id FROM t", "PARALLEL OFF"), "ROLLBACK")
	if got := l.keys("out/"); !slices.Equal(got, []string{"000.parquet"}) {
		t.Error(got)
	}
	l.must(c, "INSERT INTO t VALUES (2, 'b')")
	if e := l.fails(c, to("out/", "SELECT id FROM t", "")); !strings.Contains(e.Message, "is not empty") {
		t.Error(e)
	}
	l.must(c, to("out/", "SELECT id FROM t", "ALLOWOVERWRITE PARALLEL OFF EXTENSION 'pq'"))
	if got := l.keys("out/"); !slices.Equal(got, []string{"000.parquet", "000.pq"}) {
		t.Error(got)
	}
	l.must(c, to("out/", "SELECT id FROM t", "CLEANPATH"))
	if got := l.keys("out/"); !slices.Equal(got, []string{"0000_part_00.parquet"}) {
		t.Error(got)
	}
	l.must(c, to("none/", "SELECT id FROM t WHERE id > 99", "MANIFEST"))
	if got := l.keys("none/"); len(got) != 0 {
		t.Errorf("no rows wrote %v", got)
	}
	l.Faults().FailS3("broken/", 503, 20)
	if e := l.fails(c, to("broken/", "SELECT id FROM t", "ALLOWOVERWRITE")); !strings.Contains(e.Message, "503") {
		t.Error(e)
	}
}

func TestUnloadPartitions(t *testing.T) {
	t.Parallel()
	l, to := unloading(t)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, d DATE, flag BOOLEAN, n NUMERIC(9,2))",
		"INSERT INTO t VALUES (1, '2026-01-31', true, 1.5), (2, NULL, false, 2), (3, '2026-01-31', true, 3)")
	l.must(c, to("p/", "SELECT id, d, flag, n FROM t", "PARTITION BY (d, flag) PARALLEL OFF MANIFEST"))
	want := []string{"d=2026-01-31/flag=true/000.parquet", "d=__HIVE_DEFAULT_PARTITION__/flag=false/000.parquet", "manifest"}
	if got := l.keys("p/"); !slices.Equal(got, want) {
		t.Error(got)
	}
	// the partition columns are not in the files, unless INCLUDE says so
	l.must(c, "CREATE TABLE two (id BIGINT, n NUMERIC(9,2))", copySQL("two", fmt.Sprintf("s3://%s/%sp/manifest", l.bucket, l.prefix)))
	l.must(c, to("q/", "SELECT id, d FROM t", "PARTITION BY (d) INCLUDE MANIFEST"), "CREATE TABLE three (id BIGINT, d DATE)",
		copySQL("three", fmt.Sprintf("s3://%s/%sq/manifest", l.bucket, l.prefix)))
	if n := one[int](l, c, "SELECT count(d) FROM three"); n != 2 {
		t.Errorf("%d dates", n)
	}
	// sums have no scale of their own in PostgreSQL; they get one
	l.must(c, to("s/", "SELECT flag, sum(n) AS total FROM t GROUP BY flag", "MANIFEST"), "CREATE TABLE sums (flag BOOLEAN, total NUMERIC(38,2))",
		copySQL("sums", fmt.Sprintf("s3://%s/%ss/manifest", l.bucket, l.prefix)))
	if got := one[string](l, c, "SELECT total FROM sums WHERE flag"); got != "4.50" {
		t.Error(got)
	}
}
