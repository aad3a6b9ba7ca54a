package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var allKinds = []Kind{Bool, Int16, Int32, Int64, Float32, Float64, Decimal, Text, JSON, Bytes, Date, Timestamp, TimestampTZ}

func schemaOfAll() *Schema {
	s := &Schema{Table: TableName{"db", "all"}, Key: []string{"c_int64"}}
	for _, k := range allKinds {
		c := Column{Name: "c_" + k.String(), Type: Type{Kind: k}, Nullable: true}
		if k == Decimal {
			c.Type.Precision, c.Type.Scale = 38, 10
		}
		s.Columns = append(s.Columns, c)
	}
	return s
}

// appendValue appends the value made of x to a column of both builders and returns the bytes that Last must give.
func appendValue(c *ColumnBuilder, a array.Builder, x uint64) []byte {
	text := fmt.Appendf(nil, "%x", x)[:x%16%uint64(len(fmt.Sprintf("%x", x))+1)]
	le := binary.LittleEndian
	switch b := a.(type) {
	case *array.BooleanBuilder:
		c.Bool(x&1 == 1)
		b.Append(x&1 == 1)
		return []byte{byte(x & 1)}
	case *array.Int16Builder:
		c.Int16(int16(x))
		b.Append(int16(x))
		return le.AppendUint16(nil, uint16(x))
	case *array.Int32Builder:
		c.Int32(int32(x))
		b.Append(int32(x))
		return le.AppendUint32(nil, uint32(x))
	case *array.Date32Builder:
		c.Int32(int32(x))
		b.Append(arrow.Date32(int32(x)))
		return le.AppendUint32(nil, uint32(x))
	case *array.Int64Builder:
		c.Int64(int64(x))
		b.Append(int64(x))
		return le.AppendUint64(nil, x)
	case *array.TimestampBuilder:
		c.Int64(int64(x))
		b.Append(arrow.Timestamp(int64(x)))
		return le.AppendUint64(nil, x)
	case *array.Float32Builder:
		c.Float32(math.Float32frombits(uint32(x)))
		b.Append(math.Float32frombits(uint32(x)))
		return le.AppendUint32(nil, uint32(x))
	case *array.Float64Builder:
		c.Float64(math.Float64frombits(x))
		b.Append(math.Float64frombits(x))
		return le.AppendUint64(nil, x)
	case *array.Decimal128Builder:
		c.Decimal(int64(x)>>20, x*3)
		b.Append(decimal128.New(int64(x)>>20, x*3))
		return le.AppendUint64(le.AppendUint64(nil, x*3), uint64(int64(x)>>20))
	case *array.StringBuilder:
		half := len(text) / 2 // in two steps, as a decoder may
		c.Append(text[:half]...)
		c.Append(text[half:]...)
		c.EndBytes()
		b.Append(string(text))
		return text
	case *array.BinaryBuilder:
		c.Bytes(text)
		b.Append(text)
		return text
	}
	panic(fmt.Sprintf("no value for %T", a))
}

// Any sequence of rows, NULLs, aborted rows and resets gives the batch that Arrow's own builders give, before and after the
// way through the log.
func TestBuilderAgreesWithArrow(t *testing.T) {
	s := schemaOfAll()
	b := NewBuilder(s) // reused: Reset must leave nothing behind
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		nulls := []int{0, 2, 10, 1}[seed%4] // none, half, few, all
		b.Reset()
		ref := array.NewRecordBuilder(memory.DefaultAllocator, s.Arrow())
		for row := range rng.IntN(70) {
			if rng.IntN(5) == 0 {
				abort(b, rng, ref)
			}
			for i := range b.Cols {
				if nulls > 0 && rng.IntN(nulls) == 0 {
					b.Cols[i].Null()
					ref.Field(i).AppendNull()
					continue
				}
				if want := appendValue(&b.Cols[i], ref.Field(i), rng.Uint64()); !bytes.Equal(b.Cols[i].Last(), want) {
					t.Fatalf("seed %d: Last of %s = %x, want %x", seed, s.Columns[i].Name, b.Cols[i].Last(), want)
				}
			}
			op := Op(1 + rng.IntN(2))
			b.End(op)
			ref.Field(len(b.Cols)).(*array.Uint8Builder).Append(uint8(op))
			if b.Rows() != row+1 {
				t.Fatalf("seed %d: %d rows, want %d", seed, b.Rows(), row+1)
			}
		}
		if rng.IntN(2) == 0 {
			abort(b, rng, ref)
		}
		compareBatches(t, seed, b.Record(), ref.NewRecordBatch())
		ref.Release()
	}
}

// abort begins a row and drops it.
func abort(b *Builder, rng *rand.Rand, ref *array.RecordBuilder) {
	n := rng.IntN(len(b.Cols) + 1)
	scratch := array.NewRecordBuilder(memory.DefaultAllocator, ref.Schema())
	defer scratch.Release()
	for i := range n {
		switch {
		case rng.IntN(3) == 0:
			b.Cols[i].Null()
		default:
			appendValue(&b.Cols[i], scratch.Field(i), rng.Uint64())
		}
	}
	if n < len(b.Cols) && b.Cols[n].width == 0 {
		b.Cols[n].Append([]byte("unfinished")...) // a value that was never ended
	}
	b.Abort()
}

func compareBatches(t *testing.T, seed uint64, got, want arrow.RecordBatch) {
	t.Helper()
	defer want.Release()
	defer got.Release()
	same := func(where string, x arrow.RecordBatch) {
		for i, c := range x.Columns() {
			if c.NullN() != want.Column(i).NullN() || !array.ApproxEqual(c, want.Column(i), array.WithNaNsEqual(true), array.WithAbsTolerance(0)) {
				t.Fatalf("seed %d: %s: column %s\n%v\nwant\n%v", seed, where, x.ColumnName(i), c, want.Column(i))
			}
		}
	}
	same("built", got)
	enc, err := EncodeBatch(nil, got)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := DecodeBatch(enc)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Release()
	same("decoded", dec)
	s, err := SchemaOf(dec.Schema())
	if err != nil || s.Fingerprint() != schemaOfAll().Fingerprint() || !dec.Schema().Equal(want.Schema()) {
		t.Fatalf("seed %d: the schema came back as %v, %v", seed, dec.Schema(), err)
	}
	if rows := got.NumRows(); rows > 2 { // a slice is encoded as the rows it shows
		part := got.NewSlice(1, rows-1)
		defer part.Release()
		enc, err := EncodeBatch([]byte("prefix"), part)
		if err != nil {
			t.Fatal(err)
		}
		dec, err := DecodeBatch(enc[len("prefix"):])
		if err != nil {
			t.Fatal(err)
		}
		defer dec.Release()
		for i, c := range dec.Columns() {
			if !array.ApproxEqual(c, part.Column(i), array.WithNaNsEqual(true), array.WithAbsTolerance(0)) {
				t.Fatalf("seed %d: slice: column %s differs", seed, dec.ColumnName(i))
			}
		}
	}
}

// There is no allocation per row once the buffers have grown.
func TestBuilderDoesNotAllocatePerRow(t *testing.T) {
	src := newClinic(0)
	b := NewBuilder(&src.schema)
	fill := func() {
		b.Reset()
		for n := range 1000 {
			src.row(b, n)
			if n%100 == 0 {
				b.Cols[0].Int64(1)
				b.Abort()
			}
		}
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 0 {
		t.Errorf("%v allocations for 1000 rows", n)
	}
	if b.Size() == 0 || NewBuilder(&src.schema).Rows() != 0 {
		t.Error("a full builder has no size")
	}
}
