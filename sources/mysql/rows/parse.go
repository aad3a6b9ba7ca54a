package rows

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/tidemill/tidemill/ingest"
)

// parse appends the value that the server printed as raw for the column's expression. It is decode's twin: the same op, the
// same value (invariant 2).
func (f *field) parse(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	switch f.op {
	case opTiny, opTinyUnsigned, opShort, opYear:
		return parseInt(raw, math.MinInt16, math.MaxInt16, func(v int64) { c.Int16(int16(v)) })
	case opShortUnsigned, opInt24, opInt24Unsigned, opLong:
		return parseInt(raw, math.MinInt32, math.MaxInt32, func(v int64) { c.Int32(int32(v)) })
	case opLongUnsigned, opLonglong:
		return parseInt(raw, math.MinInt64, math.MaxInt64, c.Int64)
	case opLonglongUnsigned, opDecimal64, opDecimal128:
		return f.parseDecimal(c, raw)
	case opDecimalText:
		return f.parseDecimalText(c, raw, st)
	case opFloat, opDouble:
		return f.parseFloat(c, raw)
	case opBool, opBits, opBits64:
		return f.parseBits(c, raw)
	case opDate:
		return f.parseDate(c, raw, st)
	case opDatetime, opTimestamp:
		return f.parseDatetime(c, raw, st)
	case opTime:
		return parseTime(c, raw)
	case opUTF8, opJSON:
		return f.utf8(c, raw, st)
	case opText, opEnum, opSet:
		return f.text(c, raw, st)
	case opBytes:
		c.Bytes(raw)
	case opPadded:
		return f.padded(c, raw)
	case opUUID: // as it is in memory, not as stored: nothing to unswap
		var b [16]byte
		if len(raw) != len(b) {
			return badLength
		}
		copy(b[:], raw)
		var buf [36]byte
		c.Bytes(appendUUID(buf[:0], b))
	case opINET6, opINET4:
		return f.address(c, raw)
	}
	return fine
}

// number reads an optional sign and digits; ZEROFILL pads with zeros.
func number(raw []byte) (v uint64, negative, ok bool) {
	if len(raw) > 0 && raw[0] == '-' {
		negative, raw = true, raw[1:]
	}
	if len(raw) == 0 {
		return 0, false, false
	}
	for _, b := range raw {
		d := uint64(b - '0')
		if d > 9 || v > (math.MaxUint64-d)/10 {
			return 0, false, false
		}
		v = v*10 + d
	}
	return v, negative, true
}

func parseInt(raw []byte, lowest, highest int64, add func(int64)) fault {
	u, negative, ok := number(raw)
	v := int64(u)
	if negative {
		v = -v
		ok = ok && u <= 1<<63 && v >= lowest
	} else {
		ok = ok && u <= uint64(highest)
	}
	if !ok {
		return badNumber
	}
	add(v)
	return fine
}

// splitDecimal takes the server's text apart; fraction has exactly the column's scale.
func (f *field) splitDecimal(raw []byte) (whole, fraction []byte, negative, ok bool) {
	if len(raw) > 0 && raw[0] == '-' {
		negative, raw = true, raw[1:]
	}
	scale := f.decimal.scale
	if scale == 0 {
		return trimZeros(raw), nil, negative, len(raw) > 0 && digitsOnly(raw)
	}
	point := len(raw) - scale - 1
	if point < 0 || raw[point] != '.' || !digitsOnly(raw[:point]) || !digitsOnly(raw[point+1:]) {
		return nil, nil, false, false
	}
	return trimZeros(raw[:point]), raw[point+1:], negative, true
}

func digitsOnly(raw []byte) bool {
	for _, b := range raw {
		if b-'0' > 9 {
			return false
		}
	}
	return true
}

func (f *field) parseDecimal(c *ingest.ColumnBuilder, raw []byte) fault {
	whole, fraction, negative, ok := f.splitDecimal(raw)
	if !ok || len(whole)+len(fraction) > maxDecimal {
		return badNumber
	}
	var n uint128
	n.addDigits(whole)
	n.addDigits(fraction)
	n.append(c, negative)
	return fine
}

func (n *uint128) addDigits(digits []byte) {
	for len(digits) > 0 {
		k := min(len(digits), 19)
		var u uint64
		for _, b := range digits[:k] {
			u = u*10 + uint64(b-'0')
		}
		n.mulAdd(pow10[k], u)
		digits = digits[k:]
	}
}

func (f *field) parseDecimalText(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	whole, fraction, negative, ok := f.splitDecimal(raw)
	if !ok {
		return badNumber
	}
	st.text = appendDigits(st.text[:0], negative, whole, fraction)
	c.Bytes(st.text)
	return fine
}

func (f *field) parseFloat(c *ingest.ColumnBuilder, raw []byte) fault {
	if len(raw) == 0 {
		return badNumber
	}
	// ParseFloat keeps no part of its argument, so that the packet may stand in for a string.
	v, err := strconv.ParseFloat(unsafe.String(&raw[0], len(raw)), 64)
	switch {
	case err != nil:
		return badNumber
	case f.op == opFloat:
		c.Float32(float32(v))
	default:
		c.Float64(v)
	}
	return fine
}

func (f *field) parseBits(c *ingest.ColumnBuilder, raw []byte) fault {
	if len(raw) == 0 || len(raw) > 8 {
		return badLength
	}
	v := bigEndian(raw)
	switch f.op {
	case opBool:
		c.Bool(v&1 != 0)
	case opBits:
		c.Int64(int64(v))
	default:
		c.Decimal(0, v)
	}
	return fine
}

// digitsAt reads n digits at raw[at:].
func digitsAt(raw []byte, at, n int) (v uint, ok bool) {
	for _, b := range raw[at : at+n] {
		d := uint(b - '0')
		if d > 9 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// civil reads YYYY-MM-DD at the start of raw, which is long enough.
func civil(raw []byte) (y, m, d uint, ok bool) {
	y, ok1 := digitsAt(raw, 0, 4)
	m, ok2 := digitsAt(raw, 5, 2)
	d, ok3 := digitsAt(raw, 8, 2)
	return y, m, d, ok1 && ok2 && ok3 && raw[4] == '-' && raw[7] == '-'
}

func (f *field) parseDate(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	if len(raw) != 10 {
		return badTime
	}
	y, m, d, ok := civil(raw)
	switch {
	case !ok:
		return badTime
	case !validDate(y, m, d):
		return f.invalid(c, st)
	}
	c.Int32(days(y, m, d))
	return fine
}

// clock reads HH:MM:SS[.ffffff] and returns the fraction in microseconds.
func clock(raw []byte) (hour, minute, second, us uint, ok bool) {
	if len(raw) < 8 || len(raw) > 15 || raw[2] != ':' || raw[5] != ':' || len(raw) == 9 {
		return 0, 0, 0, 0, false
	}
	hour, ok1 := digitsAt(raw, 0, 2)
	minute, ok2 := digitsAt(raw, 3, 2)
	second, ok3 := digitsAt(raw, 6, 2)
	ok = ok1 && ok2 && ok3 && minute < 60 && second < 60
	if len(raw) > 9 {
		n := len(raw) - 9
		var ok4 bool
		us, ok4 = digitsAt(raw, 9, n)
		us *= uint(pow10[6-n])
		ok = ok && ok4 && raw[8] == '.'
	}
	return hour, minute, second, us, ok
}

func (f *field) parseDatetime(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	if len(raw) < 19 || raw[10] != ' ' {
		return badTime
	}
	y, m, d, ok1 := civil(raw)
	hour, minute, second, us, ok2 := clock(raw[11:])
	switch {
	case !ok1 || !ok2 || hour > 23:
		return badTime
	case !validDate(y, m, d):
		return f.invalid(c, st)
	}
	c.Int64(micros(days(y, m, d), hour, minute, second, us))
	return fine
}

// parseTime checks a TIME; its text is already canonical.
func parseTime(c *ingest.ColumnBuilder, raw []byte) fault {
	at := raw
	if len(at) > 0 && at[0] == '-' {
		at = at[1:]
	}
	if len(at) > 2 && at[2] != ':' { // hundreds of hours
		if at[0]-'0' > 9 {
			return badTime
		}
		at = at[1:]
	}
	if _, _, _, _, ok := clock(at); !ok {
		return badTime
	}
	c.Bytes(raw)
	return fine
}
