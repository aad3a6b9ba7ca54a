package rows

import (
	"math/bits"

	"github.com/tidemill/tidemill/ingest"
)

// A packed DECIMAL(p,s) is groups of nine digits in four big-endian bytes, with shorter groups at the outer ends of the
// integer and the fraction part. The sign is the top bit, inverted; a negative number has all bits inverted.
type decimalSpec struct {
	precision, scale int
	n                int
	groups           [decimalGroups]decimalGroup
}

// decimalGroups is enough for the widest, which JSON holds: 81 digits, of which up to 38 in the fraction.
const decimalGroups = 12

type decimalGroup struct {
	bytes  int
	digits int
	unit   uint64 // 10^digits
}

// groupBytes is the size of a group of 0 to 9 digits.
var groupBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

func decimalSize(precision, scale int) int {
	whole := precision - scale
	return whole/9*4 + groupBytes[whole%9] + scale/9*4 + groupBytes[scale%9]
}

func newDecimalSpec(precision, scale int) decimalSpec {
	s := decimalSpec{precision: precision, scale: scale}
	add := func(digits int) {
		if digits > 0 {
			s.groups[s.n] = decimalGroup{groupBytes[digits], digits, pow10[digits]}
			s.n++
		}
	}
	whole := precision - scale
	add(whole % 9)
	for range whole / 9 {
		add(9)
	}
	for range scale / 9 {
		add(9)
	}
	add(scale % 9)
	return s
}

// sign returns the mask that undoes the inversion of a negative number.
func sign(raw []byte) (mask uint32, negative bool) {
	if raw[0]&0x80 == 0 {
		return ^uint32(0), true
	}
	return 0, false
}

// group reads one group; flip undoes the inverted sign bit in the first of a number.
func (g *decimalGroup) read(raw []byte, mask, flip uint32) uint64 {
	var u uint32
	for _, b := range raw[:g.bytes] {
		u = u<<8 | uint32(b)
	}
	shift := 32 - 8*uint(g.bytes)
	return uint64((u<<shift ^ flip<<24 ^ mask) >> shift)
}

func (f *field) decimal64(c *ingest.ColumnBuilder, raw []byte) fault {
	mask, negative := sign(raw)
	flip := uint32(0x80)
	var v uint64
	for i := range f.decimal.n {
		g := &f.decimal.groups[i]
		u := g.read(raw, mask, flip)
		if u >= g.unit {
			return badNumber
		}
		v = v*g.unit + u
		raw, flip = raw[g.bytes:], 0
	}
	n := int64(v)
	if negative {
		n = -n
	}
	c.Decimal(n>>63, uint64(n))
	return fine
}

func (f *field) decimal128(c *ingest.ColumnBuilder, raw []byte) fault {
	mask, negative := sign(raw)
	flip := uint32(0x80)
	var n uint128
	for i := range f.decimal.n {
		g := &f.decimal.groups[i]
		u := g.read(raw, mask, flip)
		if u >= g.unit {
			return badNumber
		}
		n.mulAdd(g.unit, u)
		raw, flip = raw[g.bytes:], 0
	}
	n.append(c, negative)
	return fine
}

// decimalText writes a decimal that is too wide for the Decimal kind as the server prints it.
func (f *field) decimalText(c *ingest.ColumnBuilder, raw []byte, st *scratch) fault {
	out, ok := f.decimal.appendText(st.text[:0], raw)
	st.text = out
	if !ok {
		return badNumber
	}
	c.Bytes(out)
	return fine
}

// appendText appends the canonical text of a packed decimal of the spec's size.
func (s *decimalSpec) appendText(dst, raw []byte) (out []byte, ok bool) {
	mask, negative := sign(raw)
	flip := uint32(0x80)
	var digits [9 * decimalGroups]byte
	n := 0
	for i := range s.n {
		g := &s.groups[i]
		u := g.read(raw, mask, flip)
		if u >= g.unit {
			return dst, false
		}
		for at := n + g.digits - 1; at >= n; at-- {
			digits[at] = '0' + byte(u%10)
			u /= 10
		}
		n += g.digits
		raw, flip = raw[g.bytes:], 0
	}
	return appendDigits(dst, negative, digits[:n-s.scale], digits[n-s.scale:n]), true
}

// appendDigits is the canonical text of a decimal: no leading zeros but one before the point, no negative zero.
func appendDigits(dst []byte, negative bool, whole, fraction []byte) []byte {
	whole = trimZeros(whole)
	if negative && (len(whole) > 0 || len(trimZeros(fraction)) > 0) {
		dst = append(dst, '-')
	}
	if len(whole) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, whole...)
	if len(fraction) > 0 {
		dst = append(dst, '.')
		dst = append(dst, fraction...)
	}
	return dst
}

func trimZeros(digits []byte) []byte {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	return digits
}

// uint128 is a magnitude under construction.
type uint128 struct{ hi, lo uint64 }

// mulAdd is n*m + a; numbers of at most 38 digits cannot overflow it.
func (n *uint128) mulAdd(m, a uint64) {
	hi, lo := bits.Mul64(n.lo, m)
	lo, carry := bits.Add64(lo, a, 0)
	n.hi, n.lo = n.hi*m+hi+carry, lo
}

func (n *uint128) append(c *ingest.ColumnBuilder, negative bool) {
	hi, lo := n.hi, n.lo
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	c.Decimal(int64(hi), lo)
}
