package ingest

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Op says what a row of a batch does to its key.
type Op uint8

// The operations. A delete row carries the key columns; its other columns are NULL.
const (
	Upsert Op = 1
	Delete Op = 2
)

// Builder collects rows of one table and partition straight into Arrow buffers. A source appends every column of a row
// with the Column methods, in any order, then calls End. There is no allocation per row once the buffers have grown.
// A Builder is owned by one goroutine.
type Builder struct {
	Cols   []ColumnBuilder
	schema *Schema
	arrow  *arrow.Schema
	ops    []byte
	rows   int
}

// NewBuilder returns an empty builder for rows of s.
func NewBuilder(s *Schema) *Builder {
	b := &Builder{schema: s, arrow: s.Arrow(), Cols: make([]ColumnBuilder, len(s.Columns))}
	for i := range b.Cols {
		b.Cols[i].init(s.Columns[i].Type)
	}
	return b
}

// Schema is the schema given to NewBuilder.
func (b *Builder) Schema() *Schema { return b.schema }

// Rows is the number of rows ended so far.
func (b *Builder) Rows() int { return b.rows }

// Size is the number of bytes held, an estimate of the batch's encoded size.
func (b *Builder) Size() int {
	n := len(b.ops)
	for i := range b.Cols {
		c := &b.Cols[i]
		n += len(c.data) + len(c.offsets) + len(c.valid)
	}
	return n
}

// End finishes the row: exactly one value must have been appended to each column since the last End.
func (b *Builder) End(op Op) {
	b.ops = append(b.ops, byte(op))
	b.rows++
}

// Abort drops the values of a row that was begun and not ended, after an error in the middle of it.
func (b *Builder) Abort() {
	for i := range b.Cols {
		b.Cols[i].truncate(b.rows)
	}
}

// Reset empties the builder and keeps its buffers.
func (b *Builder) Reset() {
	for i := range b.Cols {
		b.Cols[i].reset()
	}
	b.ops, b.rows = b.ops[:0], 0
}

// Record is a view of the rows as an Arrow record batch of schema Schema.Arrow(). It shares the builder's buffers: it
// is valid until the builder's next append or Reset, and must be encoded or copied before.
func (b *Builder) Record() arrow.RecordBatch {
	cols := make([]arrow.Array, 0, len(b.Cols)+1)
	for i := range b.Cols {
		cols = append(cols, b.Cols[i].array(b.rows))
	}
	ops := array.NewData(arrow.PrimitiveTypes.Uint8, b.rows, []*memory.Buffer{nil, memory.NewBufferBytes(b.ops)}, nil, 0, 0)
	cols = append(cols, array.MakeFromData(ops))
	ops.Release()
	rec := array.NewRecordBatch(b.arrow, cols, int64(b.rows))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

// ColumnBuilder collects the values of one column. The method must fit the column's kind; the builder does not check,
// because it runs once per value (the decode plan is checked once per table instead).
type ColumnBuilder struct {
	typ     Type
	width   int    // bytes per value of a fixed-width kind, 0 for variable width, -1 for Bool (bit-packed)
	n       int    // values appended, NULLs included
	nulls   int    // NULLs among them
	data    []byte // values; for Text, JSON and Bytes their bytes
	offsets []byte // int32 little endian, n+1 entries, variable width only
	valid   []byte // validity bitmap; empty until the first NULL (nulls > 0)
}

func (c *ColumnBuilder) init(t Type) {
	c.typ = t
	switch t.Kind {
	case Bool:
		c.width = -1
	case Int16:
		c.width = 2
	case Int32, Float32, Date:
		c.width = 4
	case Int64, Float64, Timestamp, TimestampTZ:
		c.width = 8
	case Decimal:
		c.width = 16
	}
	c.reset()
}

func (c *ColumnBuilder) reset() {
	c.n, c.nulls, c.data, c.valid, c.offsets = 0, 0, c.data[:0], c.valid[:0], c.offsets[:0]
	if c.width == 0 {
		c.offsets = append(c.offsets, 0, 0, 0, 0)
	}
}

// Type is the column's type.
func (c *ColumnBuilder) Type() Type { return c.typ }

// Int16 appends to an Int16 column.
func (c *ColumnBuilder) Int16(v int16) {
	c.data = binary.LittleEndian.AppendUint16(c.data, uint16(v))
	c.present()
}

// Int32 appends to an Int32 or Date column (days since 1970-01-01).
func (c *ColumnBuilder) Int32(v int32) {
	c.data = binary.LittleEndian.AppendUint32(c.data, uint32(v))
	c.present()
}

// Int64 appends to an Int64, Timestamp or TimestampTZ column (microseconds since 1970-01-01).
func (c *ColumnBuilder) Int64(v int64) {
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(v))
	c.present()
}

// Float32 appends to a Float32 column.
func (c *ColumnBuilder) Float32(v float32) {
	c.data = binary.LittleEndian.AppendUint32(c.data, math.Float32bits(v))
	c.present()
}

// Float64 appends to a Float64 column.
func (c *ColumnBuilder) Float64(v float64) {
	c.data = binary.LittleEndian.AppendUint64(c.data, math.Float64bits(v))
	c.present()
}

// Decimal appends the 128-bit two's complement unscaled value hi·2⁶⁴+lo to a Decimal column.
func (c *ColumnBuilder) Decimal(hi int64, lo uint64) {
	c.data = binary.LittleEndian.AppendUint64(c.data, lo)
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(hi))
	c.present()
}

// Bool appends to a Bool column.
func (c *ColumnBuilder) Bool(v bool) {
	if c.n&7 == 0 {
		c.data = append(c.data, 0)
	}
	if v {
		c.data[c.n>>3] |= 1 << (c.n & 7)
	}
	c.present()
}

// Bytes appends a copy of v to a Text, JSON or Bytes column.
func (c *ColumnBuilder) Bytes(v []byte) {
	c.data = append(c.data, v...)
	c.EndBytes()
}

// Append adds raw bytes to the value under construction of a variable-width column; EndBytes finishes that value. It
// lets a decoder write text (a date, a decimal) in place.
func (c *ColumnBuilder) Append(p ...byte) { c.data = append(c.data, p...) }

// EndBytes ends the value begun with Append.
func (c *ColumnBuilder) EndBytes() {
	c.offsets = binary.LittleEndian.AppendUint32(c.offsets, uint32(len(c.data)))
	c.present()
}

// Null appends a NULL.
func (c *ColumnBuilder) Null() {
	if c.nulls == 0 { // first NULL: everything before it was present
		c.valid = c.valid[:0]
		for i := 0; i < c.n>>3; i++ {
			c.valid = append(c.valid, 0xff)
		}
		if c.n&7 != 0 {
			c.valid = append(c.valid, byte(1)<<(c.n&7)-1)
		}
	}
	c.nulls++
	switch {
	case c.width > 0:
		for i := 0; i < c.width; i += 2 { // every width is even
			c.data = append(c.data, 0, 0)
		}
	case c.width < 0:
		if c.n&7 == 0 {
			c.data = append(c.data, 0)
		}
	default:
		c.offsets = binary.LittleEndian.AppendUint32(c.offsets, uint32(len(c.data)))
	}
	if c.n&7 == 0 {
		c.valid = append(c.valid, 0)
	}
	c.n++
}

func (c *ColumnBuilder) present() {
	if c.nulls > 0 {
		if c.n&7 == 0 {
			c.valid = append(c.valid, 0)
		}
		c.valid[c.n>>3] |= 1 << (c.n & 7)
	}
	c.n++
}

var boolBytes = [2][]byte{{0}, {1}}

// Last is the value appended last, which must not be NULL: its bytes for Text, JSON and Bytes, its little-endian form for
// fixed-width kinds, one byte 0 or 1 for Bool. It shares the column's buffer: it is valid until the next append.
func (c *ColumnBuilder) Last() []byte {
	switch {
	case c.width > 0:
		return c.data[len(c.data)-c.width:]
	case c.width < 0:
		return boolBytes[c.data[(c.n-1)>>3]>>((c.n-1)&7)&1]
	}
	return c.data[binary.LittleEndian.Uint32(c.offsets[4*(c.n-1):]):]
}

// truncate cuts the column back to n values.
func (c *ColumnBuilder) truncate(n int) {
	switch {
	case c.width == 0:
		end := binary.LittleEndian.Uint32(c.offsets[4*n:])
		c.offsets, c.data = c.offsets[:4*(n+1)], c.data[:end]
	case c.n == n:
		return
	case c.width > 0:
		c.data = c.data[:n*c.width]
	default:
		c.data = c.data[:(n+7)>>3]
		if n&7 != 0 {
			c.data[n>>3] &= byte(1)<<(n&7) - 1
		}
	}
	if c.nulls > 0 {
		c.truncateValid(n)
	}
	c.n = n
}

func (c *ColumnBuilder) truncateValid(n int) {
	c.valid = c.valid[:(n+7)>>3]
	if n&7 != 0 {
		c.valid[n>>3] &= byte(1)<<(n&7) - 1
	}
	c.nulls = 0
	for i := range n {
		if c.valid[i>>3]&(1<<(i&7)) == 0 {
			c.nulls++
		}
	}
}

func (c *ColumnBuilder) array(rows int) arrow.Array {
	var valid *memory.Buffer
	if c.nulls > 0 {
		valid = memory.NewBufferBytes(c.valid)
	}
	bufs := []*memory.Buffer{valid, memory.NewBufferBytes(c.data)}
	if c.width == 0 {
		bufs = []*memory.Buffer{valid, memory.NewBufferBytes(c.offsets), memory.NewBufferBytes(c.data)}
	}
	d := array.NewData(c.typ.Arrow(), rows, bufs, nil, c.nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}
