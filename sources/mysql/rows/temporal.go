package rows

import (
	"encoding/binary"

	"github.com/tidemill/tidemill/ingest"
)

var monthDays = [13]uint8{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// validDate reports whether the civil date exists. MySQL stores zero parts and, with ALLOW_INVALID_DATES, days that no
// month has; neither has a place in any warehouse.
func validDate(y, m, d uint) bool {
	return m >= 1 && m <= 12 && d >= 1 && d <= uint(monthDays[m]) && (m != 2 || d < 29 || leap(y))
}

func leap(y uint) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

// days is the number of days from 1970-01-01 to a valid civil date (Gregorian throughout, as MySQL counts). Years begin in March so that the
// leap day comes last.
func days(y, m, d uint) int32 {
	if m <= 2 {
		y += 399 // one year less, in a cycle of 400
		m += 12
	} else {
		y += 400
	}
	n := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1
	return int32(n) - 146097 - 719468
}

func micros(day int32, hour, minute, second, micro uint) int64 {
	return (int64(day)*86400+int64(hour*3600+minute*60+second))*1e6 + int64(micro)
}

// date is three little-endian bytes: year, four bits of month, five of day.
func (f *field) date(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	v := uint(raw[0]) | uint(raw[1])<<8 | uint(raw[2])<<16
	y, m, d := v>>9, v>>5&15, v&31
	if !validDate(y, m, d) {
		return f.invalid(c, st)
	}
	c.Int32(days(y, m, d))
	return fine
}

// fractionUnit is the microseconds that a stored fraction of 0 to 3 bytes counts in.
var fractionUnit = [4]uint{0, 10000, 100, 1}

func micro(raw []byte) uint { return uint(bigEndian(raw)) * fractionUnit[len(raw)] }

// datetime is five big-endian bytes, top bit set: 17 bits of year*13+month, then 5 bits of day, 5 of hour, 6 of minute, 6 of
// second; then the fraction.
func (f *field) datetime(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	v := uint(raw[0])<<32 | uint(binary.BigEndian.Uint32(raw[1:]))
	if v&(1<<39) == 0 {
		return badTime
	}
	ym := v >> 22 & (1<<17 - 1)
	y, m, d := ym/13, ym%13, v>>17&31
	hour, minute, second, us := v>>12&31, v>>6&63, v&63, micro(raw[5:])
	if hour > 23 || minute > 59 || second > 59 || us > 999999 || y > 9999 {
		return badTime
	}
	if !validDate(y, m, d) {
		return f.invalid(c, st)
	}
	c.Int64(micros(days(y, m, d), hour, minute, second, us))
	return fine
}

// timestamp is four big-endian bytes of seconds since 1970 (unsigned: MariaDB 11.5 reaches 2106), then the fraction. Zero
// is '0000-00-00 00:00:00'.
func (f *field) timestamp(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	sec, us := binary.BigEndian.Uint32(raw), micro(raw[4:])
	if us > 999999 {
		return badTime
	}
	if sec == 0 && us == 0 {
		return f.invalid(c, st)
	}
	c.Int64(int64(sec)*1e6 + int64(us))
	return fine
}

// time is a big-endian number of three bytes (10 bits of hour, 6 of minute, 6 of second) and the fraction's bytes, in
// offset binary as a whole. It becomes text as the server prints it: up to 838 hours, and a sign.
func (f *field) time(c *ingest.ColumnBuilder, raw []byte) fault {
	wide := uint(8 * len(raw))
	v := int64(bigEndian(raw)) - 1<<(wide-1)
	if v < 0 {
		v = -v
		c.Append('-')
	}
	fraction := wide - 24
	us := uint(v&(1<<fraction-1)) * fractionUnit[fraction/8]
	v >>= fraction
	hour, minute, second := uint(v>>12&1023), uint(v>>6&63), uint(v&63)
	if hour > 838 || minute > 59 || second > 59 || us > 999999 {
		return badTime
	}
	if hour >= 100 {
		c.Append('0' + byte(hour/100))
		hour %= 100
	}
	var b [15]byte
	digits2(b[0:], hour)
	b[2] = ':'
	digits2(b[3:], minute)
	b[5] = ':'
	digits2(b[6:], second)
	n := 8
	if f.fraction > 0 {
		b[8] = '.'
		digits2(b[9:], us/10000)
		digits2(b[11:], us/100%100)
		digits2(b[13:], us%100)
		n = 9 + f.fraction
	}
	c.Append(b[:n]...)
	c.EndBytes()
	return fine
}

func digits2(b []byte, v uint) {
	b[0], b[1] = '0'+byte(v/10), '0'+byte(v%10)
}
