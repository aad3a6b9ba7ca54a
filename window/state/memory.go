//go:build duckdb_arrow

package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
)

// A replica whose changes are all in memory is collapsed and sorted here, without DuckDB: its rows are copied once, page
// by page, instead of in, through a sort of whole rows, and out. Keys are turned into bytes that compare as DuckDB
// compares the values, so both ways give the same parts (invariant 5).

// inMemory is the changes of one input with one schema.
type inMemory struct {
	schema  *ingest.Schema
	batches []arrow.RecordBatch
	rows    int64
	sorted  []ref // what last has found
	part    bool  // of more that its keys are compared with: they are encoded alike everywhere
}

// loadMemory returns the changes of an input when they can be collapsed in memory.
func loadMemory(changes []Changes) (*inMemory, bool) {
	m := &inMemory{schema: changes[0].Schema}
	if !encodable(m.schema) {
		return nil, false
	}
	for _, c := range changes {
		if len(c.Spilled) > 0 || c.Schema.Fingerprint() != m.schema.Fingerprint() {
			return nil, false
		}
		for _, b := range c.Batches {
			if sameColumns(b.Schema(), c.Schema.Arrow()) != nil {
				return nil, false // the staging says what is wrong
			}
			m.batches = append(m.batches, b)
			m.rows += b.NumRows()
		}
	}
	return m, m.rows < 1<<31
}

// encodable reports whether keys of the schema can be turned into bytes here.
func encodable(s *ingest.Schema) bool {
	for _, k := range s.KeyColumns() {
		switch s.Columns[k].Type.Kind {
		case ingest.Float32, ingest.Float64, ingest.JSON:
			return false
		}
	}
	return true
}

// ref is one row: where it is, and its key.
type ref struct {
	prefix     uint64 // first eight bytes of the key, big endian
	batch, row uint32
	rest       []byte // the key when it is longer than the prefix
}

// last returns the last row of every key, sorted by key.
func (m *inMemory) last() []ref {
	if m.sorted != nil {
		return m.sorted
	}
	refs := m.refs()
	sortRefs(refs)
	out := refs[:0]
	for i := range refs {
		if i+1 == len(refs) || refs[i].prefix != refs[i+1].prefix || !bytes.Equal(refs[i].rest, refs[i+1].rest) {
			out = append(out, refs[i])
		}
	}
	m.sorted = out
	return out
}

// refs encodes the keys of all rows, in arrival order.
func (m *inMemory) refs() []ref {
	refs := make([]ref, 0, m.rows)
	key := m.schema.KeyColumns()
	short := len(key) == 1 && m.shortKeys(key[0])
	buf := []byte{} // never nil: rest is nil for keys that are all prefix
	for b, batch := range m.batches {
		cols := make([]arrow.Array, len(key))
		for i, k := range key {
			cols[i] = batch.Column(k)
		}
		if short {
			for row := range int(batch.NumRows()) {
				refs = append(refs, ref{prefix: shortKey(cols[0], row), batch: uint32(b), row: uint32(row)})
			}
			continue
		}
		for row := range int(batch.NumRows()) {
			start := len(buf)
			for _, c := range cols {
				buf = appendKey(buf, c, row, len(cols) > 1)
			}
			k := buf[start:len(buf):len(buf)]
			refs = append(refs, ref{prefix: prefix(k), batch: uint32(b), row: uint32(row), rest: k})
		}
	}
	return refs
}

// shortKeys reports whether eight bytes of every key of the column compare as the values do: numbers and times do, decimals
// whose upper halves are all the same, as those of unsigned integers.
func (m *inMemory) shortKeys(column int) bool {
	switch m.schema.Columns[column].Type.Kind {
	case ingest.Int16, ingest.Int32, ingest.Int64, ingest.Date, ingest.Timestamp, ingest.TimestampTZ:
		return true
	case ingest.Decimal:
		return !m.part && m.oneUpperHalf(column)
	}
	return false
}

func (m *inMemory) oneUpperHalf(column int) bool {
	var upper int64
	for i, b := range m.batches {
		for row, v := range b.Column(column).(*array.Decimal128).Values() {
			if i == 0 && row == 0 {
				upper = v.HighBits()
			} else if v.HighBits() != upper {
				return false
			}
		}
	}
	return true
}

// shortKey is the key for which shortKeys holds.
func shortKey(c arrow.Array, row int) uint64 {
	switch c := c.(type) {
	case *array.Int16:
		return uint64(uint16(c.Value(row)) ^ 1<<15)
	case *array.Int32:
		return uint64(uint32(c.Value(row)) ^ 1<<31)
	case *array.Date32:
		return uint64(uint32(c.Value(row)) ^ 1<<31)
	case *array.Int64:
		return uint64(c.Value(row)) ^ 1<<63
	case *array.Timestamp:
		return uint64(c.Value(row)) ^ 1<<63
	case *array.Decimal128:
		return c.Value(row).LowBits()
	}
	panic("state: no short key is of type " + c.DataType().String())
}

func prefix(k []byte) uint64 {
	var p [8]byte
	copy(p[:], k)
	return binary.BigEndian.Uint64(p[:])
}

// appendKey appends a key value so that the bytes compare as the values do. In a key of several columns a text is ended
// by 0 0, and a 0 inside it is written 0 255.
func appendKey(buf []byte, c arrow.Array, row int, several bool) []byte {
	switch c := c.(type) {
	case *array.Boolean:
		if c.Value(row) {
			return append(buf, 1)
		}
		return append(buf, 0)
	case *array.Int16:
		return binary.BigEndian.AppendUint16(buf, uint16(c.Value(row))^1<<15)
	case *array.Int32:
		return binary.BigEndian.AppendUint32(buf, uint32(c.Value(row))^1<<31)
	case *array.Int64:
		return binary.BigEndian.AppendUint64(buf, uint64(c.Value(row))^1<<63)
	case *array.Date32:
		return binary.BigEndian.AppendUint32(buf, uint32(c.Value(row))^1<<31)
	case *array.Timestamp:
		return binary.BigEndian.AppendUint64(buf, uint64(c.Value(row))^1<<63)
	case *array.Decimal128:
		v := c.Value(row)
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(buf, uint64(v.HighBits())^1<<63), v.LowBits())
	case *array.String:
		return appendText(buf, []byte(c.Value(row)), several)
	case *array.Binary:
		return appendText(buf, c.Value(row), several)
	}
	panic("state: key column of type " + c.DataType().String())
}

func appendText(buf, v []byte, several bool) []byte {
	if !several {
		return append(buf, v...)
	}
	for _, b := range v {
		buf = append(buf, b)
		if b == 0 {
			buf = append(buf, 255)
		}
	}
	return append(buf, 0, 0)
}

// sortRefs sorts by key and keeps the arrival order of equal keys: a radix sort of the prefixes, byte by byte from the
// last, then a comparison of the keys whose prefixes are equal.
func sortRefs(refs []ref) {
	scratch := make([]ref, len(refs))
	from, to := refs, scratch
	for shift := 0; shift < 64; shift += 8 {
		var count [256]int
		for i := range from {
			count[byte(from[i].prefix>>shift)]++
		}
		if len(from) > 0 && count[byte(from[0].prefix>>shift)] == len(from) {
			continue // one value everywhere
		}
		at := 0
		for b, n := range count {
			count[b], at = at, at+n
		}
		for i := range from {
			b := byte(from[i].prefix >> shift)
			to[count[b]] = from[i]
			count[b]++
		}
		from, to = to, from
	}
	if len(from) > 0 && &from[0] != &refs[0] {
		copy(refs, from)
	}
	for i := 0; i < len(refs); {
		j := i + 1
		for j < len(refs) && refs[j].prefix == refs[i].prefix {
			j++
		}
		if j-i > 1 && refs[i].rest != nil {
			slices.SortStableFunc(refs[i:j], func(a, b ref) int { return bytes.Compare(a.rest, b.rest) })
		}
		i = j
	}
}

// read gives the last rows in key order, without deletes when the table is replaced.
func (m *inMemory) read(ctx context.Context, s *ingest.Schema, replace bool, each func(arrow.RecordBatch) error) error {
	refs := m.last()
	if replace {
		refs = m.upserts(refs)
	}
	for page := range slices.Chunk(refs, pageRows) {
		b, err := m.page(ctx, s, page)
		if err != nil {
			return err
		}
		err = each(b)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// page copies rows into one batch of the given schema; what the changes lack is NULL.
func (m *inMemory) page(ctx context.Context, s *ingest.Schema, refs []ref) (arrow.RecordBatch, error) {
	b := ingest.NewBuilder(s)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range s.Columns {
		g.Go(func() error {
			at := m.schema.Column(c.Name)
			if at < 0 {
				for range refs {
					b.Cols[i].Null()
				}
				return nil
			}
			cols := make([]arrow.Array, len(m.batches))
			for j, batch := range m.batches {
				cols[j] = batch.Column(at)
			}
			gather(&b.Cols[i], cols, refs)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, r := range refs {
		b.End(m.op(r))
	}
	return b.Record(), nil
}

func (m *inMemory) op(r ref) ingest.Op {
	return ingest.Op(m.batches[r.batch].Column(len(m.schema.Columns)).(*array.Uint8).Value(int(r.row)))
}

// upserts leaves out the deletes.
func (m *inMemory) upserts(refs []ref) []ref {
	return slices.DeleteFunc(slices.Clone(refs), func(r ref) bool { return m.op(r) != ingest.Upsert })
}

// gather appends the values that refs name. The switch is over the closed set of kinds.
func gather(c *ingest.ColumnBuilder, cols []arrow.Array, refs []ref) {
	switch c.Type().Kind {
	case ingest.Bool:
		each[*array.Boolean](c, cols, refs, func(a *array.Boolean, i int) { c.Bool(a.Value(i)) })
	case ingest.Int16:
		each[*array.Int16](c, cols, refs, func(a *array.Int16, i int) { c.Int16(a.Value(i)) })
	case ingest.Int32:
		each[*array.Int32](c, cols, refs, func(a *array.Int32, i int) { c.Int32(a.Value(i)) })
	case ingest.Date:
		each[*array.Date32](c, cols, refs, func(a *array.Date32, i int) { c.Int32(int32(a.Value(i))) })
	case ingest.Int64:
		each[*array.Int64](c, cols, refs, func(a *array.Int64, i int) { c.Int64(a.Value(i)) })
	case ingest.Timestamp, ingest.TimestampTZ:
		each[*array.Timestamp](c, cols, refs, func(a *array.Timestamp, i int) { c.Int64(int64(a.Value(i))) })
	case ingest.Float32:
		each[*array.Float32](c, cols, refs, func(a *array.Float32, i int) { c.Float32(a.Value(i)) })
	case ingest.Float64:
		each[*array.Float64](c, cols, refs, func(a *array.Float64, i int) { c.Float64(a.Value(i)) })
	case ingest.Decimal:
		each[*array.Decimal128](c, cols, refs, func(a *array.Decimal128, i int) {
			v := a.Value(i)
			c.Decimal(v.HighBits(), v.LowBits())
		})
	case ingest.Text, ingest.JSON:
		each[*array.String](c, cols, refs, func(a *array.String, i int) {
			v := a.Value(i)
			c.Bytes(unsafe.Slice(unsafe.StringData(v), len(v)))
		})
	case ingest.Bytes:
		each[*array.Binary](c, cols, refs, func(a *array.Binary, i int) { c.Bytes(a.Value(i)) })
	}
}

func each[A arrow.Array](c *ingest.ColumnBuilder, cols []arrow.Array, refs []ref, add func(A, int)) {
	typed := make([]A, len(cols))
	for i, col := range cols {
		typed[i] = col.(A)
	}
	for _, r := range refs {
		a := typed[r.batch]
		if a.IsNull(int(r.row)) {
			c.Null()
		} else {
			add(a, int(r.row))
		}
	}
}
