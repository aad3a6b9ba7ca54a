package parquet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pqgo "github.com/parquet-go/parquet-go"

	"github.com/tidemill/tidemill/ingest"
)

// everyKind is a schema with a column of each kind, some of them repeating.
func everyKind() *ingest.Schema {
	s := &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "t"}, Key: []string{"id"}}
	add := func(name string, t ingest.Type) { s.Columns = append(s.Columns, ingest.Column{Name: name, Type: t}) }
	add("id", ingest.Type{Kind: ingest.Int64})
	add("b", ingest.Type{Kind: ingest.Bool})
	add("i16", ingest.Type{Kind: ingest.Int16})
	add("i32", ingest.Type{Kind: ingest.Int32})
	add("f32", ingest.Type{Kind: ingest.Float32})
	add("f64", ingest.Type{Kind: ingest.Float64})
	for _, p := range []int32{1, 9, 12, 18, 19, 38} {
		add(fmt.Sprint("d", p), ingest.Type{Kind: ingest.Decimal, Precision: p, Scale: p / 3})
	}
	add("text", ingest.Type{Kind: ingest.Text})
	add("status", ingest.Type{Kind: ingest.Text})
	add("json", ingest.Type{Kind: ingest.JSON})
	add("bytes", ingest.Type{Kind: ingest.Bytes})
	add("date", ingest.Type{Kind: ingest.Date})
	add("ts", ingest.Type{Kind: ingest.Timestamp})
	add("tstz", ingest.Type{Kind: ingest.TimestampTZ})
	add("odd name. \"x\"", ingest.Type{Kind: ingest.Text})
	return s
}

// fill appends rows of seeded values and returns the builder's record batches of the given sizes.
func fill(t testing.TB, s *ingest.Schema, rows int, seed uint64, batch func(*rand.Rand) int) []arrow.RecordBatch {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	cut := rand.New(rand.NewPCG(seed, 3))
	var out []arrow.RecordBatch
	for done := 0; done < rows; {
		n := min(batch(cut), rows-done)
		b := ingest.NewBuilder(s)
		for range n {
			for i := range b.Cols {
				appendValue(&b.Cols[i], r, done)
			}
			b.End(ingest.Upsert)
			done++
		}
		out = append(out, b.Record())
	}
	return out
}

func appendValue(c *ingest.ColumnBuilder, r *rand.Rand, row int) {
	t := c.Type()
	if r.IntN(10) == 0 {
		c.Null()
		return
	}
	switch t.Kind {
	case ingest.Bool:
		c.Bool(r.IntN(2) == 0)
	case ingest.Int16:
		c.Int16(int16(r.Uint32()))
	case ingest.Int32, ingest.Date:
		c.Int32(int32(r.IntN(5000)) - 2000)
	case ingest.Int64:
		c.Int64(int64(row))
	case ingest.Timestamp, ingest.TimestampTZ:
		c.Int64(r.Int64N(4e15) - 2e15)
	case ingest.Float32:
		c.Float32(r.Float32())
	case ingest.Float64:
		c.Float64(r.NormFloat64())
	case ingest.Decimal:
		v := new(big.Int).SetUint64(r.Uint64())
		v.Mul(v, new(big.Int).SetUint64(r.Uint64())).Mod(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil))
		if r.IntN(2) == 0 {
			v.Neg(v)
		}
		lo := new(big.Int).And(v, new(big.Int).SetUint64(^uint64(0))).Uint64()
		c.Decimal(new(big.Int).Rsh(v, 64).Int64(), lo)
	case ingest.Bytes:
		c.Bytes([]byte{byte(r.Uint32()), 0, 0xff})
	default:
		if r.IntN(2) == 0 {
			c.Bytes([]byte([]string{"", "paid", "naïve ☕", "cancelled"}[r.IntN(4)]))
		} else {
			c.Bytes(fmt.Appendf(nil, "v%d", r.IntN(50)))
		}
	}
}

func write(t testing.TB, dir, name string, s Schema, batches []arrow.RecordBatch, change func(*Writer)) []File {
	t.Helper()
	w := NewWriter(dir, name, s)
	if change != nil {
		change(w)
	}
	for _, b := range batches {
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	files, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRoundTrip writes every kind and reads it back with both libraries (invariant 1).
func TestRoundTrip(t *testing.T) {
	s := everyKind()
	ps := Schema{Columns: s.Columns, Op: true}
	batches := fill(t, s, 40_000, 5, func(*rand.Rand) int { return 9000 })
	want := make(Digest, len(s.Columns)+1)
	for _, b := range batches {
		if err := want.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	files := write(t, t.TempDir(), "part", ps, batches, func(w *Writer) { w.groupBytes, w.partBytes = 1<<19, 2<<20 })
	if len(files) < 2 {
		t.Fatalf("%d files: the split was not tested", len(files))
	}
	got, back := make(Digest, len(want)), make(Digest, len(want))
	var rows int64
	groups := 0
	for _, f := range files {
		r, err := Check(f.Path, ps)
		if err != nil {
			t.Fatal(err)
		}
		if r.Rows != f.Rows {
			t.Errorf("%s: %d rows, want %d", f.Path, r.Rows, f.Rows)
		}
		rows += r.Rows
		groups += r.RowGroups
		for i := range got {
			got[i].Nulls += r.Digest[i].Nulls
			got[i].Sum += r.Digest[i].Sum
		}
		if err := Read(t.Context(), f.Path, ps, func(b arrow.RecordBatch) error { return back.Add(b) }); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(data)) {
			t.Errorf("%s: hash or size differs from the file's (invariant 3)", f.Path)
		}
	}
	if groups <= len(files) {
		t.Errorf("%d row groups in %d files: the cut was not tested", groups, len(files))
	}
	if rows != 40_000 || !got.Equal(want) || !back.Equal(want) {
		t.Errorf("%d rows\nwritten      %v\nparquet-go   %v\narrow-go     %v", rows, want, got, back)
	}
}

// TestSameBytes is invariant 2.
func TestSameBytes(t *testing.T) {
	s := everyKind()
	ps := Schema{Columns: s.Columns, Op: true}
	small := func(w *Writer) { w.groupBytes, w.partBytes = 1<<19, 1<<20 }
	whole := write(t, t.TempDir(), "p", ps, fill(t, s, 40_000, 9, func(*rand.Rand) int { return 40_000 }), small)
	cut := write(t, t.TempDir(), "p", ps, fill(t, s, 40_000, 9, func(r *rand.Rand) int { return 1 + r.IntN(5000) }), small)
	if len(whole) != len(cut) || len(whole) < 2 {
		t.Fatalf("%d and %d files", len(whole), len(cut))
	}
	for i := range whole {
		if whole[i].SHA256 != cut[i].SHA256 {
			t.Errorf("file %d differs: %d rows, %d bytes against %d rows, %d bytes", i, whole[i].Rows, whole[i].Bytes, cut[i].Rows, cut[i].Bytes)
		}
	}
}

// TestWideRows: row groups and files keep their size however large the rows are, and the bytes do not depend on batches.
func TestWideRows(t *testing.T) {
	s := &ingest.Schema{Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "note", Type: ingest.Type{Kind: ingest.Text}}}}
	rows := func(cut int) []arrow.RecordBatch {
		var out []arrow.RecordBatch
		b := ingest.NewBuilder(s)
		r := rand.New(rand.NewPCG(3, 4))
		note := make([]byte, 2000)
		for i := range 20_000 {
			for j := range note {
				note[j] = byte('a' + r.IntN(26))
			}
			b.Cols[0].Int64(int64(i))
			b.Cols[1].Bytes(note)
			b.End(ingest.Upsert)
			if (i+1)%cut == 0 {
				out = append(out, b.Record())
				b = ingest.NewBuilder(s)
			}
		}
		return out
	}
	ps := Schema{Columns: s.Columns, Op: true}
	small := func(w *Writer) { w.groupBytes, w.mostBytes, w.partBytes = 2<<20, 4<<20, 6<<20 }
	files := write(t, t.TempDir(), "p", ps, rows(20_000), small)
	cut := write(t, t.TempDir(), "p", ps, rows(500), small)
	if len(files) < 3 || len(files) != len(cut) {
		t.Fatalf("%d and %d files", len(files), len(cut))
	}
	for i, f := range files {
		r, err := Check(f.Path, ps)
		if err != nil {
			t.Fatal(err)
		}
		if f.Bytes > 9<<20 || f.Bytes/int64(r.RowGroups) > 3<<20 {
			t.Errorf("%d row groups in %d bytes", r.RowGroups, f.Bytes)
		}
		if f.SHA256 != cut[i].SHA256 {
			t.Errorf("file %d differs", i)
		}
	}
}

// What lies beneath a NULL is not zero in the results of DuckDB: it must not show, neither in bytes nor in the choice of
// dictionaries.
func TestSameBytesWhateverIsBeneathNULL(t *testing.T) {
	s := &ingest.Schema{Columns: []ingest.Column{
		{Name: "i16", Type: ingest.Type{Kind: ingest.Int16}}, {Name: "i32", Type: ingest.Type{Kind: ingest.Int32}}, {Name: "i64", Type: ingest.Type{Kind: ingest.Int64}},
		{Name: "f64", Type: ingest.Type{Kind: ingest.Float64}}, {Name: "d", Type: ingest.Type{Kind: ingest.Decimal, Precision: 38, Scale: 10}},
		{Name: "date", Type: ingest.Type{Kind: ingest.Date}}, {Name: "ts", Type: ingest.Type{Kind: ingest.Timestamp}},
	}}
	b := ingest.NewBuilder(s)
	for row := range 5000 {
		for i := range b.Cols {
			c := &b.Cols[i]
			switch v := int64(row % 5); {
			case row%3 == 0:
				c.Null()
			case s.Columns[i].Type.Kind == ingest.Decimal:
				c.Decimal(0, uint64(v))
			case s.Columns[i].Type.Kind == ingest.Float64:
				c.Float64(float64(v))
			case s.Columns[i].Type.Kind == ingest.Int16:
				c.Int16(int16(v))
			case s.Columns[i].Type.Kind == ingest.Int32, s.Columns[i].Type.Kind == ingest.Date:
				c.Int32(int32(v))
			default:
				c.Int64(v)
			}
		}
		b.End(ingest.Upsert)
	}
	clean := b.Record()
	dirty := beneath(clean, rand.New(rand.NewPCG(6, 6)))
	one := write(t, t.TempDir(), "p", Schema{Columns: s.Columns, Op: true}, []arrow.RecordBatch{clean}, nil)
	two := write(t, t.TempDir(), "p", Schema{Columns: s.Columns, Op: true}, []arrow.RecordBatch{dirty}, nil)
	if one[0].SHA256 != two[0].SHA256 {
		t.Errorf("%d bytes over zeros, %d over what was there before", one[0].Bytes, two[0].Bytes)
	}
}

// beneath is the batch with random bytes beneath its NULLs.
func beneath(b arrow.RecordBatch, r *rand.Rand) arrow.RecordBatch {
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		width := c.DataType().(arrow.FixedWidthDataType).Bytes()
		values := bytes.Clone(c.Data().Buffers()[1].Bytes())
		for row := range c.Len() {
			for k := range width {
				if c.IsNull(row) {
					values[row*width+k] = byte(r.Uint32())
				}
			}
		}
		data := array.NewData(c.DataType(), c.Len(), []*memory.Buffer{c.Data().Buffers()[0], memory.NewBufferBytes(values)}, nil, c.NullN(), 0)
		cols[i] = array.MakeFromData(data)
	}
	return array.NewRecordBatch(b.Schema(), cols, b.NumRows())
}

func TestNoRowsNoFile(t *testing.T) {
	dir := t.TempDir()
	if files := write(t, dir, "p", Schema{Columns: everyKind().Columns}, nil, nil); len(files) != 0 {
		t.Errorf("%d files", len(files))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	s := everyKind()
	b := fill(t, s, 10, 1, func(*rand.Rand) int { return 10 })[0]
	for name, ps := range map[string]Schema{
		"without op": {Columns: s.Columns},
		"other type": {Columns: append([]ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int32}}}, s.Columns[1:]...), Op: true},
		"other name": {Columns: append([]ingest.Column{{Name: "di", Type: ingest.Type{Kind: ingest.Int64}}}, s.Columns[1:]...), Op: true},
	} {
		if err := NewWriter(t.TempDir(), "p", ps).Write(t.Context(), b); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := NewWriter(t.TempDir(), "p", Schema{Columns: s.Columns, Op: true})
	if err := w.Write(ctx, b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(ctx); err == nil {
		t.Error("wrote a file after cancellation")
	}
}

// TestCheckRefuses gives Check files of the other writer that are outside the profile.
func TestCheckRefuses(t *testing.T) {
	type row struct {
		Name string `parquet:"name,optional"`
	}
	s := Schema{Columns: []ingest.Column{{Name: "name", Type: ingest.Type{Kind: ingest.Text}}}}
	for want, opts := range map[string][]pqgo.WriterOption{
		"codec is SNAPPY": {pqgo.DataPageVersion(1), pqgo.Compression(&pqgo.Snappy), pqgo.DefaultEncodingFor(pqgo.ByteArray, &pqgo.Plain)},
		"encoding":        {pqgo.DataPageVersion(1), pqgo.Compression(&pqgo.Zstd)},
		"page-version":    {pqgo.Compression(&pqgo.Zstd), pqgo.DefaultEncodingFor(pqgo.ByteArray, &pqgo.Plain)},
	} {
		var buf bytes.Buffer
		w := pqgo.NewGenericWriter[row](&buf, opts...)
		if _, err := w.Write([]row{{"a"}, {"b"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "f.parquet")
		if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(path, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		wide := Schema{Columns: []ingest.Column{{Name: "name", Type: ingest.Type{Kind: ingest.Int64}}}}
		if err := Read(t.Context(), path, wide, func(arrow.RecordBatch) error { return nil }); err == nil {
			t.Error("read a text column as a number")
		}
	}
}

func TestDecimalBytes(t *testing.T) {
	for p := int32(1); p <= 38; p++ {
		largest := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
		if want := (largest.Sub(largest, big.NewInt(1)).BitLen() + 1 + 7) / 8; decimalBytes(p) != want {
			t.Errorf("precision %d: %d bytes, want %d", p, decimalBytes(p), want)
		}
	}
}

// BenchmarkWrite prints rows per second of a ten-column table.
func BenchmarkWrite(b *testing.B) {
	s := &ingest.Schema{Key: []string{"id"}}
	for i, k := range []ingest.Kind{ingest.Int64, ingest.Int64, ingest.Int32, ingest.Text, ingest.Decimal, ingest.Decimal, ingest.Text, ingest.Timestamp, ingest.Text, ingest.Bool} {
		c := ingest.Column{Name: fmt.Sprint("c", i), Type: ingest.Type{Kind: k}}
		if k == ingest.Decimal {
			c.Type.Precision, c.Type.Scale = 12, 2
		}
		s.Columns = append(s.Columns, c)
	}
	batches := fill(b, s, 500_000, 1, func(*rand.Rand) int { return 2048 })
	var size int64
	for b.Loop() {
		files := write(b, b.TempDir(), "p", Schema{Columns: s.Columns, Op: true}, batches, nil)
		size = files[0].Bytes
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/500_000, "bytes/row")
}
