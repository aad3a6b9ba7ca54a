package item

import (
	"bytes"
	"cmp"
	"math/bits"
	"strconv"
)

// Number is an N: digits times ten to the exponent. It holds what DynamoDB stores and more, exactly (invariant 1).
type Number struct {
	neg    bool
	digits []byte // without zeros at either end; none: zero
	exp    int
}

// maxExponent bounds what is written out in full. DynamoDB stores 1E-130 to 9.99E+125.
const maxExponent = 1000

// parseNumber reads a number as DynamoDB writes it, and as anybody else may.
func parseNumber(b, scratch []byte) (n Number, ok bool) {
	i := 0
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		n.neg = b[i] == '-'
		i++
	}
	digits, point, any := scratch[:0], -1, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9':
			digits, any = append(digits, c), true
			continue
		case c == '.' && point < 0:
			point = len(digits)
			continue
		}
		break
	}
	if !any {
		return n, false
	}
	if point >= 0 {
		n.exp = point - len(digits)
	}
	if i < len(b) {
		if b[i] != 'e' && b[i] != 'E' {
			return n, false
		}
		e, err := strconv.Atoi(string(b[i+1:]))
		if err != nil || e > maxExponent || e < -maxExponent {
			return n, false
		}
		n.exp += e
	}
	digits = bytes.TrimLeft(digits, "0")
	n.digits = bytes.TrimRight(digits, "0")
	n.exp += len(digits) - len(n.digits)
	if len(n.digits) == 0 {
		n.neg, n.exp = false, 0 // there is one zero
	}
	return n, true
}

// scale is the number of digits behind the point, whole that before it.
func (n *Number) scale() int { return max(0, -n.exp) }

func (n *Number) whole() int { return max(0, len(n.digits)+n.exp) }

// AppendText appends the number in full, without an exponent.
func (n *Number) AppendText(dst []byte) []byte {
	if n.neg {
		dst = append(dst, '-')
	}
	before := len(n.digits) + n.exp // digits before the point
	switch {
	case len(n.digits) == 0:
		return append(dst, '0')
	case n.exp >= 0:
		dst = append(dst, n.digits...)
		return appendZeros(dst, n.exp)
	case before > 0:
		dst = append(dst, n.digits[:before]...)
		return append(append(dst, '.'), n.digits[before:]...)
	}
	dst = appendZeros(append(dst, '0', '.'), -before)
	return append(dst, n.digits...)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// Int64 is the number as an integer, if it is one.
func (n *Number) Int64() (int64, bool) {
	if n.exp < 0 || n.whole() > 19 {
		return 0, false
	}
	hi, v, ok := n.unscaled(0)
	switch {
	case !ok || hi != 0:
		return 0, false
	case n.neg:
		return -int64(v), v <= 1<<63
	}
	return int64(v), v < 1<<63
}

// Decimal is the number times ten to the scale, if that is an integer of at most that many digits.
func (n *Number) Decimal(precision, scale int32) (hi int64, lo uint64, ok bool) {
	if n.scale() > int(scale) || n.whole()+int(scale) > int(precision) && len(n.digits) > 0 {
		return 0, 0, false
	}
	h, l, ok := n.unscaled(int(scale))
	if !ok {
		return 0, 0, false
	}
	if n.neg {
		var borrow uint64
		l, borrow = bits.Sub64(0, l, 0)
		h, _ = bits.Sub64(0, h, borrow)
	}
	return int64(h), l, true
}

// unscaled is the absolute number times ten to the scale, of at most 38 digits.
func (n *Number) unscaled(scale int) (hi, lo uint64, ok bool) {
	zeros := n.exp + scale
	if zeros < 0 || len(n.digits)+zeros > 38 {
		return 0, 0, len(n.digits) == 0
	}
	for _, d := range n.digits {
		hi, lo = timesTen(hi, lo, uint64(d-'0'))
	}
	for range zeros {
		hi, lo = timesTen(hi, lo, 0)
	}
	return hi, lo, true
}

func timesTen(hi, lo, add uint64) (uint64, uint64) {
	over, l := bits.Mul64(lo, 10)
	l, carry := bits.Add64(l, add, 0)
	return hi*10 + over + carry, l
}

// appendJSON appends the number as JSON: as a number when every reader has it exactly, as a string in full otherwise. That is
// up to 2^53 for integers, and 15 digits at an ordinary place of the point for others.
func (n *Number) appendJSON(dst []byte) []byte {
	exact := n.exp < 0 && len(n.digits) <= 15 && n.exp >= -20
	if v, ok := n.Int64(); ok {
		exact = v <= 1<<53 && v >= -1<<53
	}
	if exact {
		return n.AppendText(dst)
	}
	return append(n.AppendText(append(dst, '"')), '"')
}

// compareNumbers orders numbers by their value.
func compareNumbers(a, b *Number) int {
	if a.sign() != b.sign() {
		return cmp.Compare(a.sign(), b.sign())
	}
	size := cmp.Compare(len(a.digits)+a.exp, len(b.digits)+b.exp)
	if size == 0 {
		size = bytes.Compare(a.digits, b.digits)
	}
	return size * a.sign()
}

func (n *Number) sign() int {
	switch {
	case len(n.digits) == 0:
		return 0
	case n.neg:
		return -1
	}
	return 1
}
