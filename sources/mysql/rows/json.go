package rows

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
)

// jsonRenderer writes MySQL's binary JSON as the text that the server itself prints for it, so that the binlog and a
// SELECT meet in the same bytes (invariant 2): key order as stored, ", " and ": " as separators, every number exact.
//
// A value of the binary form is its type, then bytes whose offsets count from the start of the enclosing object or array.
type jsonRenderer struct {
	out    []byte
	budget int // values and string bytes that a document of its size can hold (invariant 6: offsets may overlap)
}

const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

// base64Line is the bytes that fill a line of 76 characters.
const base64Line = 57

// jsonDepth is beyond the server's own limit of 100.
const jsonDepth = 128

func (f *field) json(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	if !st.json.render(raw) {
		return badJSON
	}
	return f.utf8(c, st.json.out, st)
}

func (j *jsonRenderer) render(raw []byte) bool {
	j.out, j.budget = j.out[:0], 2*len(raw)
	if len(raw) == 0 { // what INSERT IGNORE leaves; the server reads it as null
		j.out = append(j.out, "null"...)
		return true
	}
	return j.value(raw[0], raw[1:], jsonDepth)
}

// value renders the value at the start of data.
func (j *jsonRenderer) value(typ byte, data []byte, depth int) bool {
	if j.budget--; j.budget < 0 || depth == 0 {
		return false
	}
	switch typ {
	case jsonSmallObject, jsonSmallArray:
		return j.container(data, 2, typ == jsonSmallObject, depth)
	case jsonLargeObject, jsonLargeArray:
		return j.container(data, 4, typ == jsonLargeObject, depth)
	case jsonLiteral:
		return j.literal(data)
	case jsonString:
		s, ok := j.sized(data)
		if ok {
			j.string(s)
		}
		return ok
	case jsonOpaque:
		if len(data) == 0 {
			return false
		}
		s, ok := j.sized(data[1:])
		return ok && j.opaque(data[0], s)
	default:
		return j.number(typ, data)
	}
}

func (j *jsonRenderer) literal(data []byte) bool {
	if len(data) == 0 || data[0] > 2 {
		return false
	}
	j.out = append(j.out, [...]string{"null", "true", "false"}[data[0]]...)
	return true
}

var jsonWidth = [...]int{jsonInt16: 2, jsonUint16: 2, jsonInt32: 4, jsonUint32: 4, jsonInt64: 8, jsonUint64: 8, jsonDouble: 8}

func (j *jsonRenderer) number(typ byte, data []byte) bool {
	if int(typ) >= len(jsonWidth) || len(data) < jsonWidth[typ] {
		return false
	}
	le := binary.LittleEndian
	switch typ {
	case jsonInt16:
		j.out = strconv.AppendInt(j.out, int64(int16(le.Uint16(data))), 10)
	case jsonUint16:
		j.out = strconv.AppendUint(j.out, uint64(le.Uint16(data)), 10)
	case jsonInt32:
		j.out = strconv.AppendInt(j.out, int64(int32(le.Uint32(data))), 10)
	case jsonUint32:
		j.out = strconv.AppendUint(j.out, uint64(le.Uint32(data)), 10)
	case jsonInt64:
		j.out = strconv.AppendInt(j.out, int64(le.Uint64(data)), 10)
	case jsonUint64:
		j.out = strconv.AppendUint(j.out, le.Uint64(data), 10)
	case jsonDouble:
		f := math.Float64frombits(le.Uint64(data))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
		j.out = appendDouble(j.out, f)
	}
	return true
}

// sized is a string after its length: seven bits a byte, low first.
func (j *jsonRenderer) sized(data []byte) ([]byte, bool) {
	n := uint64(0)
	for i := 0; i < 5 && i < len(data); i++ {
		n |= uint64(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			data = data[i+1:]
			if n > uint64(len(data)) || n > uint64(j.budget) {
				return nil, false
			}
			j.budget -= int(n)
			return data[:n], true
		}
	}
	return nil, false
}

// container renders an object or array. word is the size of counts and offsets: 2 in small ones, 4 in large ones.
func (j *jsonRenderer) container(data []byte, word int, object bool, depth int) bool {
	if len(data) < 2*word {
		return false
	}
	count, size := jsonWord(data, word), jsonWord(data[word:], word)
	if size > len(data) {
		return false
	}
	data = data[:size]
	keys, values := 2*word, 2*word // where their entries start
	if object {
		values += count * (word + 2)
	}
	if count > size || values+count*(word+1) > size {
		return false
	}
	open, end := byte('['), byte(']')
	if object {
		open, end = '{', '}'
	}
	j.out = append(j.out, open)
	for i := range count {
		if i > 0 {
			j.out = append(j.out, ", "...)
		}
		if object && !j.key(data, data[keys+i*(word+2):], word) {
			return false
		}
		if !j.entry(data, data[values+i*(word+1):], word, depth) {
			return false
		}
	}
	j.out = append(j.out, end)
	return true
}

func jsonWord(b []byte, word int) int {
	if word == 2 {
		return int(binary.LittleEndian.Uint16(b))
	}
	return int(binary.LittleEndian.Uint32(b))
}

// key renders the key whose entry (offset, length of two bytes) is given.
func (j *jsonRenderer) key(data, entry []byte, word int) bool {
	from, n := jsonWord(entry, word), int(binary.LittleEndian.Uint16(entry[word:]))
	if from > len(data) || n > len(data)-from || n > j.budget {
		return false
	}
	j.budget -= n
	j.string(data[from : from+n])
	j.out = append(j.out, ": "...)
	return true
}

// entry renders the value whose entry (type, then the value itself when it fits, or its offset) is given.
func (j *jsonRenderer) entry(data, entry []byte, word, depth int) bool {
	typ := entry[0]
	inline := typ >= jsonLiteral && typ <= jsonUint16 || word == 4 && (typ == jsonInt32 || typ == jsonUint32)
	if inline {
		return j.value(typ, entry[1:1+word], depth-1)
	}
	from := jsonWord(entry[1:], word)
	return from <= len(data) && j.value(typ, data[from:], depth-1)
}

const hexDigits = "0123456789abcdef"

func (j *jsonRenderer) string(s []byte) {
	j.out = append(j.out, '"')
	from := 0
	for i, b := range s {
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		j.out = append(j.out, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			j.out = append(j.out, '\\', b)
		case '\b':
			j.out = append(j.out, `\b`...)
		case '\t':
			j.out = append(j.out, `\t`...)
		case '\n':
			j.out = append(j.out, `\n`...)
		case '\f':
			j.out = append(j.out, `\f`...)
		case '\r':
			j.out = append(j.out, `\r`...)
		default:
			j.out = append(j.out, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	j.out = append(j.out, s[from:]...)
	j.out = append(j.out, '"')
}

// opaque renders a value of an SQL type that JSON does not have.
func (j *jsonRenderer) opaque(typ byte, s []byte) bool {
	switch typ {
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return j.decimal(s)
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIME:
		if len(s) != 8 {
			return false
		}
		j.temporal(typ, int64(binary.LittleEndian.Uint64(s)))
		return true
	}
	j.out = append(j.out, `"base64:type`...)
	j.out = strconv.AppendInt(j.out, int64(typ), 10)
	j.out = append(j.out, ':')
	for ; len(s) > base64Line; s = s[base64Line:] { // the server breaks lines, and escapes the breaks
		j.out = base64.StdEncoding.AppendEncode(j.out, s[:base64Line])
		j.out = append(j.out, `\n`...)
	}
	j.out = base64.StdEncoding.AppendEncode(j.out, s)
	j.out = append(j.out, '"')
	return true
}

func (j *jsonRenderer) decimal(s []byte) bool {
	if len(s) < 3 {
		return false
	}
	precision, scale := int(s[0]), int(s[1]) // the server counts whole groups of digits: up to nine of nine
	if precision < 1 || precision > 81 || scale > precision || scale > 38 || len(s)-2 != decimalSize(precision, scale) {
		return false
	}
	spec := newDecimalSpec(precision, scale)
	var ok bool
	j.out, ok = spec.appendText(j.out, s[2:])
	return ok
}

// temporal renders a packed time: microseconds in the lower 24 bits, above them what DATETIME and TIME hold (temporal.go).
func (j *jsonRenderer) temporal(typ byte, v int64) {
	j.out = append(j.out, '"')
	if v < 0 {
		v = -v
		j.out = append(j.out, '-')
	}
	us, v := uint64(v)&(1<<24-1), int64(uint64(v)>>24)
	hour := uint64(v >> 12 & 1023)
	if typ != mysql.MYSQL_TYPE_TIME {
		hour &= 31
		ym := uint64(v) >> 22
		j.digits(ym/13, 4)
		j.out = append(j.out, '-')
		j.digits(ym%13, 2)
		j.out = append(j.out, '-')
		j.digits(uint64(v)>>17&31, 2)
		if typ != mysql.MYSQL_TYPE_DATE {
			j.out = append(j.out, ' ')
		}
	}
	if typ != mysql.MYSQL_TYPE_DATE {
		j.digits(hour, 2)
		j.out = append(j.out, ':')
		j.digits(uint64(v)>>6&63, 2)
		j.out = append(j.out, ':')
		j.digits(uint64(v)&63, 2)
		j.out = append(j.out, '.')
		j.digits(us, 6)
	}
	j.out = append(j.out, '"')
}

// digits appends v with at least n digits.
func (j *jsonRenderer) digits(v uint64, n int) {
	for w := n - 1; w > 0 && v < pow10[w]; w-- {
		j.out = append(j.out, '0')
	}
	j.out = strconv.AppendUint(j.out, v, 10)
}

// appendDouble prints a double as the server does in JSON: the shortest digits that read back to it; plain from 1e-15 up to
// 1e15, and beyond as long as digits follow the point; with ".0" where the text would look like an integer.
func appendDouble(dst []byte, f float64) []byte {
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, 64) // d.ddde±dd
	if e[0] == '-' {
		dst = append(dst, '-')
		e = e[1:]
	}
	at := len(e) - 1
	for e[at] != 'e' {
		at--
	}
	exp := 0
	for _, d := range e[at+2:] {
		exp = 10*exp + int(d-'0')
	}
	if e[at+1] == '-' {
		exp = -exp
	}
	mantissa := e[:1]
	if at > 1 {
		mantissa = append(mantissa, e[2:at]...) // closes the gap of the point, in place
	}
	return appendPlaced(dst, mantissa, exp+1)
}

// appendPlaced writes 0.digits * 10^point.
func appendPlaced(dst, digits []byte, point int) []byte {
	switch {
	case point < -14 || point > 15 && point >= len(digits):
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(dst, '.')
			dst = append(dst, digits[1:]...)
		}
		dst = append(dst, 'e')
		return strconv.AppendInt(dst, int64(point-1), 10)
	case point <= 0:
		dst = append(dst, "0."...)
		for ; point < 0; point++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	case point >= len(digits):
		dst = append(dst, digits...)
		for n := len(digits); n < point; n++ {
			dst = append(dst, '0')
		}
		return append(dst, ".0"...)
	}
	dst = append(dst, digits[:point]...)
	dst = append(dst, '.')
	return append(dst, digits[point:]...)
}
