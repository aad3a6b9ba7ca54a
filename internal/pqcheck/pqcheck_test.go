package pqcheck_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	aparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	pqgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidemill/tidemill/internal/pqcheck"
)

// write makes a file with parquet-go: of the profile, unless told otherwise.
func write[T any](t testing.TB, rows []T, options ...pqgo.WriterOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := pqgo.NewGenericWriter[T](&buf, append([]pqgo.WriterOption{pqgo.DataPageVersion(1), pqgo.Compression(&pqgo.Zstd)}, options...)...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func check(t testing.TB, file []byte, o pqcheck.Options) (pqcheck.Report, []pqcheck.Finding) {
	t.Helper()
	r, found, err := pqcheck.Read(bytes.NewReader(file), int64(len(file)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r, found
}

func rules(found []pqcheck.Finding) string {
	var out []string
	for _, f := range found {
		rule := f.Rule
		if f.Warning {
			rule = "(" + rule + ")"
		}
		if len(out) == 0 || out[len(out)-1] != rule {
			out = append(out, rule)
		}
	}
	return strings.Join(out, " ")
}

type good struct {
	ID   int64    `parquet:"id"`
	Flag bool     `parquet:"flag"`
	Name *string  `parquet:"name,optional,plain"`
	Code string   `parquet:"code,dict"`
	Raw  []byte   `parquet:"raw,plain"`
	Day  int32    `parquet:"day,date"`
	At   int64    `parquet:"at,timestamp(microsecond)"`
	Cost [5]byte  `parquet:"cost,decimal(2:10)"`
	Big  [16]byte `parquet:"big,decimal(10:38)"`
	F    float64  `parquet:"f"`
}

func goodRows(n int) []good {
	out := make([]good, n)
	for i := range out {
		out[i] = good{ID: int64(i), Code: fmt.Sprint("c", i%7), Raw: []byte{0, byte(i)}, Day: int32(i)}
		if i%3 > 0 {
			name := strings.Repeat("ü", i%50)
			out[i].Name = &name
		}
	}
	return out
}

func TestGood(t *testing.T) {
	for _, codec := range []pqgo.WriterOption{pqgo.Compression(&pqgo.Zstd), pqgo.Compression(&pqgo.Snappy), pqgo.Compression(&pqgo.Gzip), pqgo.Compression(&pqgo.Uncompressed)} {
		r, found := check(t, write(t, goodRows(5000), codec, pqgo.PageBufferSize(4096)), pqcheck.Options{})
		if len(found) > 0 {
			t.Errorf("found %v", found)
		}
		if r.Rows != 5000 || r.Groups != 1 || r.Pages < 20 || r.Longest["name"] != 98 || r.Longest["code"] != 2 {
			t.Errorf("report %+v", r)
		}
	}
}

func one[T any](v T) []T { return []T{v} }

// One file per rule. Each breaks one thing.
func TestBad(t *testing.T) {
	type text struct {
		Name string `parquet:"name,plain"`
	}
	long := one(text{strings.Repeat("ü", 40_000)})
	for name, c := range map[string]struct {
		file []byte
		o    pqcheck.Options
		want string
	}{
		"nanoseconds": {write(t, one(struct {
			T time.Time `parquet:"t,timestamp(nanosecond)"`
		}{})), pqcheck.Options{}, "timestamp-unit"},
		"milliseconds": {write(t, one(struct {
			T int64 `parquet:"t,timestamp(millisecond)"`
		}{})), pqcheck.Options{}, "timestamp-unit"},
		"time": {write(t, one(struct {
			T int64 `parquet:"t,time(microsecond)"`
		}{})), pqcheck.Options{}, "time"},
		"int96": {write(t, one(struct {
			T deprecated.Int96 `parquet:"t"`
		}{})), pqcheck.Options{}, "int96"},
		"unsigned": {write(t, one(struct {
			N uint32 `parquet:"n"`
		}{})), pqcheck.Options{}, "unsigned"},
		"uuid": {write(t, one(struct {
			U [16]byte `parquet:"u,uuid"`
		}{})), pqcheck.Options{}, "fixed-bytes"},
		"decimal of int64": {write(t, one(struct {
			D int64 `parquet:"d,decimal(2:10)"`
		}{})), pqcheck.Options{}, "decimal"},
		"decimal too long": {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) {
			m.Schema[9].LogicalType = format.LogicalType{Value: &format.DecimalType{Scale: 9, Precision: 18}}
		}), pqcheck.Options{}, "decimal-length"},
		"json": {write(t, one(struct {
			J string `parquet:"j,json,plain"`
		}{"{}"})), pqcheck.Options{}, "annotation"},
		"enum": {write(t, one(struct {
			E string `parquet:"e,enum,plain"`
		}{"x"})), pqcheck.Options{}, "annotation"},
		"list": {write(t, one(struct {
			L []int64 `parquet:"l,list"`
		}{[]int64{1}})), pqcheck.Options{}, "nested"},
		"repeated": {write(t, one(struct {
			L []int64 `parquet:"l"`
		}{[]int64{1}})), pqcheck.Options{}, "nested"},
		"map": {write(t, one(struct {
			M map[string]int64 `parquet:"m"`
		}{})), pqcheck.Options{}, "nested"},
		"struct": {write(t, one(struct {
			S struct{ A int64 } `parquet:"s"`
		}{})), pqcheck.Options{}, "nested"},
		"page version 2":        {write(t, goodRows(10), pqgo.DataPageVersion(2)), pqcheck.Options{}, "page-version"},
		"parquet-go's defaults": {write(t, one(struct{ Name string }{"x"}), pqgo.DataPageVersion(2)), pqcheck.Options{}, "page-version"},
		"delta length": {write(t, one(struct {
			S string `parquet:"s"`
		}{"x"})), pqcheck.Options{}, "encoding"},
		"delta": {write(t, one(struct {
			N int64 `parquet:"n,delta"`
		}{1})), pqcheck.Options{}, "encoding"},
		"split": {write(t, one(struct {
			N float64 `parquet:"n,split"`
		}{1})), pqcheck.Options{}, "encoding"},
		"brotli":                      {write(t, goodRows(10), pqgo.Compression(&pqgo.Brotli)), pqcheck.Options{}, "codec"},
		"lz4":                         {write(t, goodRows(10), pqgo.Compression(&pqgo.Lz4Raw)), pqcheck.Options{}, "codec"},
		"text too long":               {write(t, long), pqcheck.Options{}, "text-length"},
		"text longer than its column": {write(t, one(text{"ümlaut"})), pqcheck.Options{Columns: []pqcheck.Column{{Name: "name", Text: true, Bytes: 6}}}, "text-length"},
		"not UTF-8":                   {write(t, one(text{"a\xff"})), pqcheck.Options{}, "utf8"},
		"U+0000":                      {write(t, one(text{"a\x00b"})), pqcheck.Options{}, "nul"},
		"no annotation": {write(t, one(struct {
			S []byte `parquet:"s,plain"`
		}{[]byte("plain text")})), pqcheck.Options{}, "(missing-utf8)"},
		"no annotation and a VARCHAR": {write(t, one(struct {
			S []byte `parquet:"s,plain"`
		}{[]byte("plain text")})), pqcheck.Options{Columns: []pqcheck.Column{{Name: "s", Text: true}}}, "text"},
		"folded names": {write(t, one(struct {
			A int64 `parquet:"a"`
			B int64 `parquet:"A"`
		}{})), pqcheck.Options{}, "column-name"},
		"long name": {write(t, one(struct {
			A int64 `parquet:"a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j123456789k123456789l123456789m123456789"`
		}{})), pqcheck.Options{}, "column-name"},
		"column order": {write(t, one(struct {
			A int64 `parquet:"a"`
			B int64 `parquet:"b"`
		}{})), pqcheck.Options{Columns: []pqcheck.Column{{Name: "b"}, {Name: "a"}}}, "column-order"},
		"column count":    {write(t, one(text{"x"})), pqcheck.Options{Columns: []pqcheck.Column{{Name: "name", Text: true}, {Name: "b"}}}, "column-count"},
		"no rows":         {write(t, []good{}), pqcheck.Options{}, "(no-rows)"},
		"small groups":    {write(t, goodRows(100), pqgo.MaxRowsPerRowGroup(10)), pqcheck.Options{}, "(row-group-size)"},
		"large group":     {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) { m.RowGroups[0].TotalByteSize = 129 << 20 }), pqcheck.Options{}, "row-group-size"},
		"row counts":      {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) { m.NumRows = 11 }), pqcheck.Options{}, "footer"},
		"values":          {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.NumValues++ }), pqcheck.Options{}, "footer"},
		"beyond the end":  {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].MetaData.TotalCompressedSize = 1 << 40 }), pqcheck.Options{}, "footer"},
		"in another file": {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) { m.RowGroups[0].Columns[0].FilePath = "x" }), pqcheck.Options{}, "external"},
		"precision 39": {rewrite(t, write(t, goodRows(10)), func(m *format.FileMetaData) {
			m.Schema[8].LogicalType = format.LogicalType{Value: &format.DecimalType{Scale: 2, Precision: 39}}
		}), pqcheck.Options{}, "decimal"},
		"encrypted": {append(write(t, goodRows(1))[:100], "PARE"...), pqcheck.Options{}, "encrypted"},
		"no file":   {[]byte("PAR1"), pqcheck.Options{}, "footer"},
		"csv":       {[]byte("id,name\n1,anna\n2,budi\n"), pqcheck.Options{}, "footer"},
		"cut off":   {write(t, goodRows(100))[:900], pqcheck.Options{}, "footer"},
	} {
		_, found := check(t, c.file, c.o)
		if got := rules(found); got != c.want {
			t.Errorf("%s: found %q, want %q: %v", name, got, c.want, found)
		}
		for _, f := range found {
			if f.What == "" || f.Why == "" || f.Remedy == "" {
				t.Errorf("%s: %+v is not a whole finding", name, f)
			}
		}
		if (pqcheck.Err(found) == nil) != strings.HasPrefix(c.want, "(") {
			t.Errorf("%s: as an error: %v", name, pqcheck.Err(found))
		}
	}
	if _, found := check(t, write(t, long), pqcheck.Options{MaxText: -1}); len(found) > 0 {
		t.Errorf("a long text where there is no limit: %v", found)
	}
}

// rewrite changes the footer of a file.
func rewrite(t testing.TB, file []byte, change func(*format.FileMetaData)) []byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(file[len(file)-8:]))
	body, footer := file[:len(file)-8-n], file[len(file)-8-n:len(file)-8]
	m := new(format.FileMetaData)
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), footer, m); err != nil {
		t.Fatal(err)
	}
	change(m)
	b, err := thrift.Marshal(new(thrift.CompactProtocol), m)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(body), b...)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(b))), "PAR1"...)
}

// A file of more than 1 GB is refused without reading it whole.
func TestSize(t *testing.T) {
	file := write(t, goodRows(10))
	r := &padded{file: file, size: 1<<30 + 1}
	_, found, err := pqcheck.Read(r, r.size, pqcheck.Options{})
	if err != nil || !strings.Contains(rules(found), "file-size") || r.read > 1<<20 {
		t.Errorf("found %v, %v, read %d bytes", found, err, r.read)
	}
}

// padded has zeros before its footer.
type padded struct {
	file []byte
	size int64
	read int
}

func (p *padded) ReadAt(b []byte, at int64) (int, error) {
	p.read += len(b)
	n := int64(binary.LittleEndian.Uint32(p.file[len(p.file)-8:])) + 8
	for i := range b {
		switch pos := at + int64(i); {
		case pos >= p.size-n:
			b[i] = p.file[int64(len(p.file))-(p.size-pos)]
		case pos < int64(len(p.file))-n:
			b[i] = p.file[pos]
		default:
			b[i] = 0
		}
	}
	return len(b), nil
}

// arrow-go with its defaults but for what a writer might choose wrongly.
func TestArrowWriter(t *testing.T) {
	for name, c := range map[string]struct {
		props []aparquet.WriterProperty
		want  string
	}{
		"defaults":  {nil, ""},
		"version 2": {[]aparquet.WriterProperty{aparquet.WithDataPageVersion(aparquet.DataPageV2)}, "page-version"},
		"delta":     {[]aparquet.WriterProperty{aparquet.WithDictionaryDefault(false), aparquet.WithEncoding(aparquet.Encodings.DeltaByteArray)}, "encoding"},
		"brotli":    {[]aparquet.WriterProperty{aparquet.WithCompression(compress.Codecs.Brotli)}, "codec"},
	} {
		var buf bytes.Buffer
		schema := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range 100 {
			b.Field(0).(*array.StringBuilder).Append("text")
		}
		w, err := pqarrow.NewFileWriter(schema, &buf, aparquet.NewWriterProperties(c.props...), pqarrow.DefaultWriterProps())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, found := check(t, buf.Bytes(), pqcheck.Options{}); rules(found) != c.want {
			t.Errorf("%s: found %v, want %q", name, found, c.want)
		}
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]string{
		"a/part-0000.parquet": "", "_part.parquet": "hidden-name", ".x.parquet": "hidden-name", "#x": "hidden-name", "x.parquet~": "hidden-name", "part.parquet.gz": "compressed-name", "b/x.snappy": "compressed-name",
	} {
		if got := rules(pqcheck.Name(name)); got != want {
			t.Errorf("%s: found %q, want %q", name, got, want)
		}
	}
}

// No finding repeats a value.
func TestNoValues(t *testing.T) {
	type row struct {
		Name string `parquet:"name,plain"`
	}
	_, found := check(t, write(t, one(row{"canary7Qx2Zk9Vt\xff\x00" + strings.Repeat("x", 70_000)})), pqcheck.Options{})
	if len(found) < 2 || strings.Contains(fmt.Sprint(found), "canary") {
		t.Errorf("found %v", found)
	}
}

// Whatever the bytes are, reading them ends without a panic.
func TestDamage(t *testing.T) {
	file := write(t, goodRows(300), pqgo.PageBufferSize(512))
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		b := bytes.Clone(file)
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
		}
		if r.IntN(4) == 0 {
			b = b[:r.IntN(len(b))]
		}
		_, _, _ = pqcheck.Read(bytes.NewReader(b), int64(len(b)), pqcheck.Options{})
	}
}
