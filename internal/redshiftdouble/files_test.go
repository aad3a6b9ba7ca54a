package redshiftdouble_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	pqgo "github.com/parquet-go/parquet-go"

	"github.com/tidemill/tidemill/ingest"
)

// foreign is a file of another writer: parquet-go, with the options that Redshift reads unless others are given.
func foreign[T any](t testing.TB, rows []T, options ...pqgo.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	all := append([]pqgo.WriterOption{pqgo.DataPageVersion(1), pqgo.Compression(&pqgo.Snappy)}, options...)
	w := pqgo.NewGenericWriter[T](&b, all...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// foreignValue is a file of one column and one value, of a type that Go has not.
func foreignValue(t testing.TB, node pqgo.Node, v pqgo.Value) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pqgo.NewWriter(&b, pqgo.NewSchema("x", pqgo.Group{"v": pqgo.Optional(node)}), pqgo.DataPageVersion(1))
	if _, err := w.WriteRows([]pqgo.Row{{v.Level(0, 1, 0)}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type plainString struct {
	S string `parquet:"s,plain"`
}

// loadCase is a file, the column that it is loaded into, and what comes of it.
type loadCase struct {
	name   string
	file   []byte
	column string // of table x; several are separated by commas
	copy   string // further options
	want   string // part of the detail; empty: loads
	shown  string // the value as text, when it loads
}

func loadCases(t testing.TB) []loadCase {
	at := time.Date(2026, 1, 31, 23, 59, 59, 123456000, time.UTC)
	return append(typeCases(t, at), []loadCase{
		{"delta strings, parquet-go's default", foreign(t, []struct {
			S string `parquet:"s,delta"`
		}{{"x"}}), "s VARCHAR(10)", "", "Unsupported encoding", ""},
		{"data page V2, parquet-go's default", foreign(t, []plainString{{"x"}}, pqgo.DataPageVersion(2)), "s VARCHAR(10)", "", "DATA_PAGE_V2", ""},
		{"brotli", foreign(t, []plainString{{"x"}}, pqgo.Compression(&pqgo.Brotli)), "s VARCHAR(10)", "", "codec BROTLI", ""},
		{"lz4", foreign(t, []plainString{{"x"}}, pqgo.Compression(&pqgo.Lz4Raw)), "s VARCHAR(10)", "", "codec LZ4_RAW", ""},
		{"gzip", foreign(t, []plainString{{"x"}}, pqgo.Compression(&pqgo.Gzip)), "s VARCHAR(10)", "", "", "x"},
		{"zstd", foreign(t, []plainString{{"x"}}, pqgo.Compression(&pqgo.Zstd)), "s VARCHAR(10)", "", "", "x"},
		{"no Parquet", []byte("id,name\n1,x\n"), "s VARCHAR(10)", "", "Invalid Parquet file", ""},
		{"fits in bytes", foreign(t, []plainString{{"éé"}}), "s VARCHAR(4)", "", "", "éé"},
		{"too long in bytes", foreign(t, []plainString{{"éé"}}), "s VARCHAR(3)", "", "Table: 3, Data: 4", ""},
		{"char is ASCII", foreign(t, []plainString{{"é"}}), "s CHAR(4)", "", "invalid ASCII", ""},
		{"invalid UTF-8", foreign(t, []plainString{{"a\xffb"}}), "s VARCHAR(4)", "", "invalid or unsupported UTF8", ""},
		{"invalid UTF-8 replaced", foreign(t, []plainString{{"a\xffb"}}), "s VARCHAR(4)", "ACCEPTINVCHARS AS '#'", "", "a#b"},
		{"zero byte", foreign(t, []plainString{{"a\x00b"}}), "s VARCHAR(4)", "", "null byte", ""},
		{"too few columns", foreign(t, []plainString{{"x"}}), "s VARCHAR(4), more INTEGER", "", "Unmatched number of columns between table and file. Table columns: 2, Data columns: 1", ""},
		{"too few columns, filled", foreign(t, []plainString{{"x"}}), "s VARCHAR(4), more INTEGER", "FILLRECORD", "", "x"},
		{"too many columns", foreign(t, []struct {
			A string `parquet:"a,plain"`
			B string `parquet:"b,plain"`
		}{{"x", "y"}}), "s VARCHAR(4)", "", "Table columns: 1, Data columns: 2", ""},
		{"no rows", foreign(t, []plainString{}), "s VARCHAR(4)", "", "", ""},
		{"NULL in a NOT NULL column", foreign(t, []struct {
			S *string `parquet:"s,plain,optional"`
		}{{nil}}), "s VARCHAR(4) NOT NULL", "", "", ""},
	}...)
}

// typeCases are the rows of the table of types.
func typeCases(t testing.TB, at time.Time) []loadCase {
	return []loadCase{
		{"boolean", foreign(t, []struct{ V bool }{{true}}), "v BOOLEAN", "", "", "t"},
		{"int16", foreign(t, []struct {
			V int16 `parquet:"v"`
		}{{-7}}), "v SMALLINT", "", "", "-7"},
		{"int32", foreign(t, []struct{ V int32 }{{-7}}), "v INTEGER", "", "", "-7"},
		{"int64", foreign(t, []struct{ V int64 }{{-7}}), "v BIGINT", "", "", "-7"},
		{"int64 into integer", foreign(t, []struct{ V int64 }{{1}}), "v INTEGER", "", "incompatible Parquet schema for column 'v'. Column type: INTEGER", ""},
		{"int64 into varchar", foreign(t, []struct{ V int64 }{{1}}), "v VARCHAR(20)", "", "Column type: CHARACTER VARYING(20)", ""},
		{"int32 into bigint", foreign(t, []struct{ V int32 }{{1}}), "v BIGINT", "", "incompatible", ""},
		{"uint32", foreign(t, []struct{ V uint32 }{{1}}), "v BIGINT", "", "incompatible", ""},
		{"float", foreign(t, []struct{ V float32 }{{0.5}}), "v REAL", "", "", "0.5"},
		{"double", foreign(t, []struct{ V float64 }{{0.1}}), "v DOUBLE PRECISION", "", "", "0.1"},
		{"double into real", foreign(t, []struct{ V float64 }{{0.1}}), "v REAL", "", "incompatible", ""},
		{"double into numeric", foreign(t, []struct{ V float64 }{{0.1}}), "v NUMERIC(18,2)", "", "incompatible", ""},
		{"string", foreign(t, []plainString{{"x"}}), "v VARCHAR(3)", "", "", "x"},
		{"date", foreign(t, []struct {
			V int32 `parquet:"v,date"`
		}{{20484}}), "v DATE", "", "", "2026-01-31"},
		{"micros", foreign(t, []struct {
			V time.Time `parquet:"v,timestamp(microsecond)"`
		}{{at}}), "v TIMESTAMP", "", "", "2026-01-31 23:59:59.123456"},
		{"micros with zone", foreign(t, []struct {
			V time.Time `parquet:"v,timestamp(microsecond)"`
		}{{at}}), "v TIMESTAMPTZ", "", "", "2026-01-31 23:59:59.123456+00"},
		{"millis", foreign(t, []struct {
			V time.Time `parquet:"v,timestamp(millisecond)"`
		}{{at}}), "v TIMESTAMP", "", "", "2026-01-31 23:59:59.123"},
		{"nanos", foreign(t, []struct {
			V time.Time `parquet:"v,timestamp(nanosecond)"`
		}{{at}}), "v TIMESTAMP", "", "incompatible", ""},
		{"time", foreign(t, []struct {
			V time.Duration `parquet:"v,time(microsecond)"`
		}{{1}}), "v TIME", "", "incompatible", ""},
		{"decimal as int64", foreign(t, []struct {
			V int64 `parquet:"v,decimal(2:18)"`
		}{{123}}), "v NUMERIC(18,2)", "", "incompatible", ""},
		{"decimal of fixed length", foreign(t, []struct {
			V [8]byte `parquet:"v,decimal(2:18)"`
		}{{[8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x85}}}), "v NUMERIC(18,2)", "", "", "-1.23"},
		{"decimal too wide for its precision", foreignValue(t, pqgo.Decimal(9, 18, pqgo.FixedLenByteArrayType(13)), pqgo.FixedLenByteArrayValue(make([]byte, 13))), "v NUMERIC(18,9)", "", "invalid type length. Expecting: 8 len in file: 13", ""},
		{"decimal of another scale", foreign(t, []struct {
			V [8]byte `parquet:"v,decimal(3:18)"`
		}{{}}), "v NUMERIC(18,2)", "", "DECIMAL(18,3)", ""},
		{"uuid", foreign(t, []struct {
			V [16]byte `parquet:"v,uuid"`
		}{{}}), "v VARCHAR(36)", "", "incompatible", ""},
		{"bytes", foreign(t, []struct {
			V []byte `parquet:"v,plain"`
		}{{[]byte{0, 255}}}), "v VARBYTE", "", "", "00ff"},
		{"bytes into a VARBYTE with a length", foreign(t, []struct {
			V []byte `parquet:"v,plain"`
		}{{[]byte{0, 255}}}), "v VARBYTE(10)", "", "incompatible", ""},
		{"bytes into varchar", foreign(t, []struct {
			V []byte `parquet:"v,plain"`
		}{{[]byte("x")}}), "v VARCHAR(10)", "", "incompatible", ""},
		{"string into SUPER without SERIALIZETOJSON", foreign(t, []plainString{{`{"a":1}`}}), "v SUPER", "", "Unreachable - Invalid type: 4000", ""},
		{"string into SUPER stays a string", foreign(t, []plainString{{`{"a":1}`}}), "v SUPER", "SERIALIZETOJSON", "", `"{\"a\":1}"`},
		{"JSON into SUPER", foreign(t, []struct {
			V string `parquet:"v,json,plain"`
		}{{`{"a":1}`}}), "v SUPER", "SERIALIZETOJSON", "", `{"a":1}`},
		{"list into SUPER", foreign(t, []struct {
			V []int32 `parquet:"v,list"`
		}{{[]int32{1, 2}}}), "v SUPER", "SERIALIZETOJSON", "", `[1,2]`},
		{"struct into SUPER", foreign(t, []struct {
			V struct {
				A int32  `parquet:"a"`
				B string `parquet:"b,plain"`
			} `parquet:"v"`
		}{{}}), "v SUPER", "SERIALIZETOJSON", "", `{"a":0,"b":""}`},
	}
}

// copyTypes: each type loads into its column and no other; what a reader cannot read is refused, with the text in the detail.
func copyTypes(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	for i, k := range loadCases(t) {
		l.putBytes(fmt.Sprintf("c%d.parquet", i), k.file)
		m := l.manifest(fmt.Sprintf("c%d.manifest", i), entry{URL: fmt.Sprintf("s3://%s/%sc%d.parquet", l.bucket, l.prefix, i), Mandatory: true, Meta: &meta{int64(len(k.file))}})
		table := fmt.Sprintf("x%d", i)
		l.must(c, "CREATE TABLE "+table+" ("+k.column+")")
		if strings.HasPrefix(k.name, "NULL in") {
			if e := l.fails(c, copySQL(table, m)); !strings.Contains(e.Message, "sys_load_error_detail") {
				t.Errorf("%s: %s", k.name, e.Message)
			}
			continue
		}
		if k.want != "" {
			if e := l.fails(c, copySQL(table, m, k.copy)); e.Code != "XX000" || !strings.Contains(e.Detail, k.want) {
				t.Errorf("%s: %s %s, want %s", k.name, e.Message, e.Detail, k.want)
			}
			continue
		}
		l.must(c, copySQL(table, m, k.copy))
		if k.shown == "" {
			continue
		}
		var got string
		column, _, _ := strings.Cut(k.column, " ")
		if err := c.QueryRow(t.Context(), "SELECT "+column+" FROM "+table).Scan(&got); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		if got != k.shown {
			t.Errorf("%s: %s, want %s", k.name, got, k.shown)
		}
	}
}

// manifests: what a manifest may leave out, and what it may not.
func manifests(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	s := &ingest.Schema{Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}}}
	e := l.put("a.parquet", write(t, s, 0, 3))
	l.must(c, "CREATE TABLE t (id BIGINT, _op INTEGER)")
	missing := entry{URL: "s3://" + l.bucket + "/" + l.prefix + "missing.parquet", Mandatory: true, Meta: &meta{5}}
	optional := missing
	optional.Mandatory = false
	short := e
	short.Meta = &meta{e.Meta.ContentLength - 1}
	naked := e
	naked.Meta = nil
	for name, k := range map[string]struct {
		entries []entry
		rows    int64
		want    string
	}{
		"twice":              {[]entry{e, e}, 6, ""},
		"optional file gone": {[]entry{e, optional}, 3, ""},
		"mandatory gone":     {[]entry{e, missing}, 0, "Status 404,Error NoSuchKey"},
		"wrong length":       {[]entry{short}, 0, "does not match the manifest"},
		"no meta":            {[]entry{naked}, 0, "code:      15003"},
		"empty":              {nil, 0, "no entries"},
		"a prefix":           {[]entry{{URL: "s3://" + l.bucket + "/" + l.prefix, Mandatory: true, Meta: &meta{1}}}, 0, "error"},
	} {
		m := l.manifest(strings.ReplaceAll(name, " ", "-")+".manifest", k.entries...)
		if k.want != "" {
			if e := l.fails(c, copySQL("t", m)); !strings.Contains(e.Detail, k.want) {
				t.Errorf("%s: %s", name, e.Detail)
			}
			continue
		}
		l.must(c, "DELETE FROM t", copySQL("t", m))
		if n := one[int64](l, c, "SELECT pg_last_copy_count()"); n != k.rows {
			t.Errorf("%s: %d rows, want %d", name, n, k.rows)
		}
	}
	// a prefix takes what only begins like the file, too
	l.put("part-1", write(t, s, 0, 1))
	l.put("part-10", write(t, s, 0, 1))
	l.put("_part-1", write(t, s, 0, 1))
	l.must(c, "DELETE FROM t", fmt.Sprintf("COPY t FROM 's3://%s/%spart-1' IAM_ROLE default FORMAT PARQUET", l.bucket, l.prefix))
	if n := one[int64](l, c, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("by prefix: %d rows", n)
	}
	if e := l.fails(c, copySQL("t", "s3://"+bucket+"/"+l.prefix+"part-1")); !strings.Contains(e.Detail, "json") {
		t.Errorf("a file as manifest: %s", e.Detail)
	}
}

// columnLists: files are mapped by position, whatever their columns are called.
func columnLists(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	file := foreign(t, []struct {
		A string `parquet:"a,plain"`
		B string `parquet:"b,plain"`
	}{{"first", "second"}})
	l.putBytes("f.parquet", file)
	m := l.manifest("m", entry{URL: "s3://" + l.bucket + "/" + l.prefix + "f.parquet", Mandatory: true, Meta: &meta{int64(len(file))}})
	l.must(c, "CREATE TABLE t (x VARCHAR(9) DEFAULT 'none', b VARCHAR(9), a VARCHAR(9), n BIGINT IDENTITY(5, 2))", copySQL(`t (b, "A")`, m), copySQL("t (a, b)", m))
	if got := one[string](l, c, "SELECT listagg(x || ',' || a || ',' || b || ',' || n, ';') WITHIN GROUP (ORDER BY n) FROM t"); got != "none,second,first,5;none,first,second,7" {
		t.Error(got)
	}
	if e := l.fails(c, copySQL("t (a, n)", m)); !strings.Contains(e.Message, "EXPLICIT_IDS") {
		t.Error(e)
	}
	if e := l.fails(c, copySQL("t", m)); !strings.Contains(e.Detail, "Table columns: 3, Data columns: 2") {
		t.Error(e.Detail)
	}
}
