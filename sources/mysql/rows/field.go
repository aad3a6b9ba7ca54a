package rows

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/tidemill/tidemill/ingest"
)

// fault is why a value cannot be decoded; fine when it can.
type fault uint8

const (
	fine fault = iota
	nullKey
	invalidKey
	badNumber
	badTime
	badLabel
	badJSON
	badLength
)

func (f fault) String() string {
	return [...]string{"fine", "a key column is NULL", "a key column holds a value without a canonical form (zero date or bytes that are no text)",
		"not a number of this type", "not a time of this type", "not a label of this column", "not JSON", "wrong length"}[f]
}

// field decodes the values of one column, from the wire (decode) and from text (parse).
type field struct {
	col    int // schema column, -1 for a hidden one
	key    int // place in the key, -1 when it is no key column
	prefix int // bytes of the length prefix
	size   int // bytes of a value without one
	op     op
	params
}

// params are what single types need.
type params struct {
	octets   int // fixed-length bytes: padded to it
	fixed    bool
	fraction int
	decimal  decimalSpec
	charset  *charset
	labels   [][]byte
}

// op is how a value lies on the wire.
type op uint8

const (
	opTiny op = iota
	opTinyUnsigned
	opShort
	opShortUnsigned
	opInt24
	opInt24Unsigned
	opLong
	opLongUnsigned
	opLonglong
	opLonglongUnsigned
	opFloat
	opDouble
	opDecimal64
	opDecimal128
	opDecimalText
	opBool
	opBits
	opBits64
	opYear
	opDate
	opDatetime
	opTimestamp
	opTime
	opUTF8
	opText
	opBytes
	opPadded
	opEnum
	opSet
	opJSON
	opUUID
	opINET6
	opINET4
)

var integerOps = map[family]op{famTiny: opTiny, famShort: opShort, famInt24: opInt24, famLong: opLong, famLonglong: opLonglong}

var plainOps = map[family]op{famFloat: opFloat, famDouble: opDouble, famYear: opYear, famDate: opDate, famDatetime: opDatetime,
	famTimestamp: opTimestamp, famTime: opTime, famText: opText, famBytes: opBytes, famGeometry: opBytes, famEnum: opEnum, famSet: opSet, famJSON: opJSON}

// newField chooses the decoder of a column. prefix and size are the wire's and stay 0 for text rows.
func newField(c *column, prefix, size int) field {
	f := field{key: -1, prefix: prefix, size: size, op: c.op()}
	f.params = params{octets: int(c.octets), fixed: c.fixed, fraction: c.fraction, charset: c.charset}
	if f.charset == nil {
		f.charset = charsetNamed("utf8mb4") // of JSON
	}
	if c.family == famDecimal {
		f.decimal = newDecimalSpec(c.precision, c.scale)
	}
	for _, l := range c.labels {
		f.labels = append(f.labels, []byte(l))
	}
	return f
}

func (c *column) op() op {
	switch c.logical {
	case isUUID:
		return opUUID
	case isINET6:
		return opINET6
	case isINET4:
		return opINET4
	}
	if o, ok := integerOps[c.family]; ok {
		if c.unsigned {
			o++ // the unsigned form follows the signed one
		}
		return o
	}
	switch {
	case c.family == famDecimal && c.precision <= 18:
		return opDecimal64
	case c.family == famDecimal && c.precision <= maxDecimal:
		return opDecimal128
	case c.family == famDecimal:
		return opDecimalText
	case c.family == famBit && c.precision == 1:
		return opBool
	case c.family == famBit && c.precision < 64:
		return opBits
	case c.family == famBit:
		return opBits64
	case c.family == famText && c.charset.utf8():
		return opUTF8
	case c.family == famBytes && c.fixed:
		return opPadded
	}
	return plainOps[c.family]
}

// decode appends the value whose wire bytes are raw, all of them and no more. It is one switch because it runs once per
// value; its cases hold no more than a call.
func (f *field) decode(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	switch f.op {
	case opTiny:
		c.Int16(int16(int8(raw[0])))
	case opTinyUnsigned:
		c.Int16(int16(raw[0]))
	case opShort:
		c.Int16(int16(binary.LittleEndian.Uint16(raw)))
	case opShortUnsigned:
		c.Int32(int32(binary.LittleEndian.Uint16(raw)))
	case opInt24:
		c.Int32(int32(uint32(raw[0])<<8|uint32(raw[1])<<16|uint32(raw[2])<<24) >> 8)
	case opInt24Unsigned:
		c.Int32(int32(raw[0]) | int32(raw[1])<<8 | int32(raw[2])<<16)
	case opLong:
		c.Int32(int32(binary.LittleEndian.Uint32(raw)))
	case opLongUnsigned:
		c.Int64(int64(binary.LittleEndian.Uint32(raw)))
	case opLonglong:
		c.Int64(int64(binary.LittleEndian.Uint64(raw)))
	case opLonglongUnsigned:
		c.Decimal(0, binary.LittleEndian.Uint64(raw))
	case opFloat:
		c.Float32(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	case opDouble:
		c.Float64(math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	case opDecimal64:
		return f.decimal64(c, raw)
	case opDecimal128:
		return f.decimal128(c, raw)
	case opDecimalText:
		return f.decimalText(c, raw, st)
	case opBool:
		c.Bool(raw[0]&1 != 0)
	case opBits:
		c.Int64(int64(bigEndian(raw)))
	case opBits64:
		c.Decimal(0, bigEndian(raw))
	case opYear:
		c.Int16(year(raw[0]))
	case opDate:
		return f.date(c, raw, st)
	case opDatetime:
		return f.datetime(c, raw, st)
	case opTimestamp:
		return f.timestamp(c, raw, st)
	case opTime:
		return f.time(c, raw)
	case opUTF8:
		return f.utf8(c, raw, st)
	case opText:
		return f.text(c, raw, st)
	case opBytes:
		c.Bytes(raw)
	case opPadded:
		return f.padded(c, raw)
	case opEnum:
		return f.enum(c, raw)
	case opSet:
		return f.set(c, raw)
	case opJSON:
		return f.json(c, raw, st)
	case opUUID, opINET6, opINET4:
		return f.address(c, raw)
	}
	return fine
}

// invalid appends a NULL for a value without a canonical form and counts it (invariant 8).
func (f *field) invalid(c *ingest.ColumnBuilder, st *scratch) fault {
	if f.key >= 0 {
		return invalidKey
	}
	st.invalid[f.col]++
	c.Null()
	return fine
}

func bigEndian(b []byte) (v uint64) {
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}

func year(b byte) int16 {
	if b == 0 {
		return 0
	}
	return 1900 + int16(b)
}

func (f *field) utf8(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	if f.fixed {
		raw = trimSpaces(raw)
	}
	if utf8.Valid(raw) {
		c.Bytes(raw)
		return fine
	}
	return f.text(c, raw, st)
}

func (f *field) text(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	out, exact := f.charset.append(st.text[:0], raw)
	st.text = out
	if !exact {
		if f.key >= 0 {
			return invalidKey
		}
		st.invalid[f.col]++
	}
	if f.fixed {
		out = trimSpaces(out)
	}
	c.Bytes(out)
	return fine
}

// trimSpaces cuts the padding of a CHAR, as the server does when it is read.
func trimSpaces(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

var zeros [256]byte

// padded restores the trailing zero bytes of a BINARY(n), which the binlog leaves out.
func (f *field) padded(c *ingest.ColumnBuilder, raw []byte) fault {
	if len(raw) > f.octets {
		return badLength
	}
	c.Append(raw...)
	for n := f.octets - len(raw); n > 0; n -= len(zeros) {
		c.Append(zeros[:min(n, len(zeros))]...)
	}
	c.EndBytes()
	return fine
}

func (f *field) enum(c *ingest.ColumnBuilder, raw []byte) fault {
	i := int(raw[0])
	if len(raw) == 2 {
		i |= int(raw[1]) << 8
	}
	switch {
	case i == 0: // what a bad value became on a server that is not strict
		c.EndBytes()
	case i > len(f.labels):
		return badLabel
	default:
		c.Bytes(f.labels[i-1])
	}
	return fine
}

func (f *field) set(c *ingest.ColumnBuilder, raw []byte) fault {
	var v uint64
	for i, b := range raw {
		v |= uint64(b) << (8 * i)
	}
	if n := len(f.labels); n < 64 && v>>n != 0 {
		return badLabel
	}
	first := true
	for i, l := range f.labels {
		if v>>i&1 == 0 {
			continue
		}
		if !first {
			c.Append(',')
		}
		c.Append(l...)
		first = false
	}
	c.EndBytes()
	return fine
}
