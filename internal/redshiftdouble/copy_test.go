package redshiftdouble_test

import (
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
)

// everyKind is a schema with all types of the log, and the table that its files load into.
func everyKind() (*ingest.Schema, string) {
	s := &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "t"}, Key: []string{"id"}}
	add := func(name string, t ingest.Type) { s.Columns = append(s.Columns, ingest.Column{Name: name, Type: t}) }
	add("id", ingest.Type{Kind: ingest.Int64})
	add("b", ingest.Type{Kind: ingest.Bool})
	add("i16", ingest.Type{Kind: ingest.Int16})
	add("i32", ingest.Type{Kind: ingest.Int32})
	add("f32", ingest.Type{Kind: ingest.Float32})
	add("f64", ingest.Type{Kind: ingest.Float64})
	add("d9", ingest.Type{Kind: ingest.Decimal, Precision: 9, Scale: 2})
	add("d38", ingest.Type{Kind: ingest.Decimal, Precision: 38, Scale: 10})
	add("s", ingest.Type{Kind: ingest.Text})
	add("bin", ingest.Type{Kind: ingest.Bytes})
	add("day", ingest.Type{Kind: ingest.Date})
	add("ts", ingest.Type{Kind: ingest.Timestamp})
	add("tstz", ingest.Type{Kind: ingest.TimestampTZ})
	return s, `id BIGINT, b BOOLEAN, i16 SMALLINT, i32 INTEGER, f32 REAL, f64 DOUBLE PRECISION, d9 NUMERIC(9,2), d38 NUMERIC(38,10), s VARCHAR(20),
		bin VARBYTE, day DATE, ts TIMESTAMP, tstz TIMESTAMPTZ, _op INTEGER`
}

// write makes a Parquet file of n rows as tidemill does; every third row is NULL but for its id.
func write(t testing.TB, s *ingest.Schema, from, n int) string {
	t.Helper()
	w := parquet.NewWriter(t.TempDir(), "part", parquet.Schema{Columns: s.Columns, Op: true})
	b := ingest.NewBuilder(s)
	for row := from; row < from+n; row++ {
		for i := range b.Cols {
			fillValue(&b.Cols[i], row, i)
		}
		b.End(ingest.Upsert)
	}
	if err := w.Write(t.Context(), b.Record()); err != nil {
		t.Fatal(err)
	}
	files, err := w.Close(t.Context())
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files[0].Path
}

func fillValue(c *ingest.ColumnBuilder, row, i int) {
	if i > 0 && row%3 == 2 {
		c.Null()
		return
	}
	switch c.Type().Kind {
	case ingest.Bool:
		c.Bool(row%2 == 0)
	case ingest.Int16:
		c.Int16(int16(-row))
	case ingest.Int32, ingest.Date:
		c.Int32(int32(row))
	case ingest.Int64:
		c.Int64(int64(row))
	case ingest.Timestamp, ingest.TimestampTZ:
		c.Int64(int64(row)*1_000_001 + 1)
	case ingest.Float32:
		c.Float32(float32(row) / 2)
	case ingest.Float64:
		c.Float64(float64(row) / 4)
	case ingest.Decimal:
		c.Decimal(-1, uint64(-int64(row+1)))
	case ingest.Bytes:
		c.Bytes([]byte{byte(row), 0, 0xff})
	default:
		c.Bytes(fmt.Appendf(nil, "naïve %d", row))
	}
}

func TestCopyOfTidemillsFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, columns := everyKind()
	c := l.connect()
	l.must(c, "CREATE TABLE t ("+columns+")")
	m := l.manifest("m1", l.put("a.parquet", write(t, s, 0, 500)), l.put("b.parquet", write(t, s, 500, 700)))
	l.must(c, "BEGIN", "LOCK t", copySQL("t", m))
	if n := one[int64](l, c, "SELECT pg_last_copy_count()"); n != 1200 {
		t.Errorf("pg_last_copy_count: %d", n)
	}
	l.must(c, "COMMIT")
	got := one[string](l, c, `SELECT id || '|' || i16 || '|' || i32 || '|' || f32 || '|' || f64 || '|' || d9 || '|' || d38 || '|' || s || '|' || to_hex(bin) || '|' || day || '|' || ts || '|' || tstz FROM t WHERE id = 7`)
	if want := "7|-7|7|3.5|1.75|-0.08|-0.0000000008|naïve 7|0700ff|1970-01-08|1970-01-01 00:00:07.000008|1970-01-01 00:00:07.000008+00"; got != want {
		t.Errorf("row 7:\n got %s\nwant %s", got, want)
	}
	if n := one[int64](l, c, "SELECT count(*) FROM t WHERE s IS NULL"); n != 400 {
		t.Errorf("%d NULLs", n)
	}
}
