package postgres

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// PostgreSQL's numeric on the wire: count of digits, weight of the first, sign, scale for display, then digits of base
// 10000, most significant first, aligned at the decimal point.
const (
	numericBase     = 10000
	numericPositive = 0x0000
	numericNegative = 0x4000
)

var pow10 = [...]uint64{1, 10, 100, 1000, 10000}

// divmod divides the 128-bit number by a small one.
func divmod(hi, lo, d uint64) (qhi, qlo, rem uint64) {
	qhi, rem = hi/d, hi%d
	qlo, rem = bits.Div64(rem, lo, d)
	return qhi, qlo, rem
}

// appendNumeric appends the field of the unscaled 128-bit value (two's complement) with scale digits after the point.
func appendNumeric(b []byte, high int64, lo uint64, scale int) []byte {
	sign, hi := uint16(numericPositive), uint64(high)
	if high < 0 {
		sign = numericNegative
		lo, hi = -lo, ^hi
		if lo == 0 {
			hi++
		}
	}
	var groups [12]uint16 // least significant first; 38 digits and a partly filled group at either end
	n := 0
	if r := scale % 4; r != 0 { // the last group holds fewer digits than four: fill it with zeros
		var rem uint64
		hi, lo, rem = divmod(hi, lo, pow10[r])
		groups[0], n = uint16(rem*pow10[4-r]), 1
	}
	for hi != 0 {
		var rem uint64
		hi, lo, rem = divmod(hi, lo, numericBase)
		groups[n] = uint16(rem)
		n++
	}
	for lo != 0 {
		groups[n] = uint16(lo % numericBase)
		lo /= numericBase
		n++
	}
	weight := n - (scale+3)/4 - 1
	for n > 0 && groups[n-1] == 0 { // no leading zeros
		n--
		weight--
	}
	first := 0
	for first < n && groups[first] == 0 { // nor trailing ones: the scale says them
		first++
	}
	if n == first {
		n, first, weight = 0, 0, 0
	}
	digits := n - first
	b = binary.BigEndian.AppendUint32(b, uint32(8+2*digits))
	b = binary.BigEndian.AppendUint16(b, uint16(digits))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(weight)))
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, uint16(scale))
	for i := n - 1; i >= first; i-- {
		b = binary.BigEndian.AppendUint16(b, groups[i])
	}
	return b
}

var errNumeric = errors.New("a numeric value is NaN, infinite or has more digits than the column's type")

// parseNumeric reads a field back as an unscaled 128-bit value with the given scale, exactly or not at all.
func parseNumeric(p []byte, scale int) (high int64, lo uint64, err error) {
	if len(p) < 8 {
		return 0, 0, errNumeric
	}
	digits := int(binary.BigEndian.Uint16(p))
	weight := int(int16(binary.BigEndian.Uint16(p[2:])))
	sign := binary.BigEndian.Uint16(p[4:])
	if sign != numericPositive && sign != numericNegative || len(p) != 8+2*digits {
		return 0, 0, errNumeric
	}
	var hi uint64
	exp := 4 * (weight + 1) // decimal digits before the point that are still to come
	for i := range digits {
		d := uint64(binary.BigEndian.Uint16(p[8+2*i:]))
		exp -= 4
		drop := max(0, -exp-scale) // digits of this group beyond the scale: must be zero
		if drop >= 4 {
			if d != 0 {
				return 0, 0, errNumeric
			}
			continue
		}
		if d%pow10[drop] != 0 {
			return 0, 0, errNumeric
		}
		if hi, lo, err = muladd(hi, lo, pow10[4-drop], d/pow10[drop]); err != nil {
			return 0, 0, err
		}
	}
	for exp = max(exp, -scale); exp > -scale && digits > 0; exp-- {
		if hi, lo, err = muladd(hi, lo, 10, 0); err != nil {
			return 0, 0, err
		}
	}
	if sign == numericNegative {
		lo, hi = -lo, ^hi
		if lo == 0 {
			hi++
		}
	}
	return int64(hi), lo, nil
}

// muladd is x*m+a within 127 bits.
func muladd(hi, lo, m, a uint64) (uint64, uint64, error) {
	over, h := bits.Mul64(hi, m)
	carry, l := bits.Mul64(lo, m)
	h, c := bits.Add64(h, carry, 0)
	l, c2 := bits.Add64(l, a, 0)
	h, c3 := bits.Add64(h, 0, c2)
	if over != 0 || c != 0 || c3 != 0 || h>>63 != 0 {
		return 0, 0, errNumeric
	}
	return h, l, nil
}
