package parquet

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	pqgo "github.com/parquet-go/parquet-go"
	"github.com/zeebo/xxh3"
)

// Digest is a checksum of rows column by column. It does not depend on their order.
type Digest []ColumnDigest

// ColumnDigest sums up one column.
type ColumnDigest struct {
	Nulls int64
	Sum   uint64 // of the hashes of the values, modulo 2⁶⁴
}

// Equal reports whether two digests are of the same rows, as far as a checksum can tell.
func (d Digest) Equal(o Digest) bool { return fmt.Sprint(d) == fmt.Sprint(o) }

// addValue adds a value as parquet-go decoded it. Integers of any width hash as 64 bits and decimals as 16 bytes, so
// that the sum does not depend on the library.
func (d *ColumnDigest) addValue(v pqgo.Value) {
	switch {
	case v.IsNull():
		d.Nulls++
	case v.Kind() == pqgo.Boolean:
		d.addInt(int64(b2i(v.Boolean())))
	case v.Kind() == pqgo.Int32:
		d.addInt(int64(v.Int32()))
	case v.Kind() == pqgo.Int64:
		d.addInt(v.Int64())
	case v.Kind() == pqgo.Float:
		d.addInt(int64(math.Float32bits(v.Float())))
	case v.Kind() == pqgo.Double:
		d.addInt(int64(math.Float64bits(v.Double())))
	case v.Kind() == pqgo.FixedLenByteArray:
		d.addDecimal(v.ByteArray())
	default:
		d.Sum += xxh3.Hash(v.ByteArray())
	}
}

func b2i(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func (d *ColumnDigest) addInt(v int64) {
	d.Sum += xxh3.Hash(binary.LittleEndian.AppendUint64(make([]byte, 0, 8), uint64(v)))
}

// addDecimal adds a big-endian two's complement number of at most 16 bytes.
func (d *ColumnDigest) addDecimal(b []byte) {
	var full [16]byte
	if len(b) > 0 && b[0]&0x80 != 0 {
		for i := range full {
			full[i] = 0xff
		}
	}
	copy(full[16-len(b):], b)
	d.Sum += xxh3.Hash(full[:])
}

// Add adds the rows of a batch, whose columns are the digest's.
func (d Digest) Add(b arrow.RecordBatch) error {
	if int(b.NumCols()) != len(d) {
		return fmt.Errorf("adding to a digest: batch has %d columns, want %d", b.NumCols(), len(d))
	}
	for i, c := range b.Columns() {
		for row := range c.Len() {
			if c.IsNull(row) {
				d[i].Nulls++
			} else if err := d[i].addArrow(c, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *ColumnDigest) addArrow(c arrow.Array, row int) error {
	switch c := c.(type) {
	case *array.Boolean:
		d.addInt(int64(b2i(c.Value(row))))
	case *array.Uint8:
		d.addInt(int64(c.Value(row)))
	case *array.Int16:
		d.addInt(int64(c.Value(row)))
	case *array.Int32:
		d.addInt(int64(c.Value(row)))
	case *array.Int64:
		d.addInt(c.Value(row))
	case *array.Date32:
		d.addInt(int64(c.Value(row)))
	case *array.Timestamp:
		d.addInt(int64(c.Value(row)))
	case *array.Float32:
		d.addInt(int64(math.Float32bits(c.Value(row))))
	case *array.Float64:
		d.addInt(int64(math.Float64bits(c.Value(row))))
	case *array.Decimal128:
		v := c.Value(row)
		var full [16]byte
		binary.BigEndian.PutUint64(full[:8], uint64(v.HighBits()))
		binary.BigEndian.PutUint64(full[8:], v.LowBits())
		d.Sum += xxh3.Hash(full[:])
	case *array.String:
		d.Sum += xxh3.HashString(c.Value(row))
	case *array.Binary:
		d.Sum += xxh3.Hash(c.Value(row))
	default:
		return fmt.Errorf("adding to a digest: column type %s", c.DataType())
	}
	return nil
}
