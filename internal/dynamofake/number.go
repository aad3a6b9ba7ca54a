package dynamofake

import (
	"strings"
)

// DynamoDB's number: up to 38 significant digits, magnitude 1E-130 to 9.99E+125.
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// decimal is sign * 0.digits * 10^point, digits without zeros at either end; no digits is zero.
type decimal struct {
	negative bool
	digits   string
	point    int
}

// parseNumber reads what a client may send: 007, +1.50, -1e+3, .5 are all fine.
func parseNumber(text string) (decimal, *apiError) {
	bad := validation("The parameter cannot be converted to a numeric value: %s", text)
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		var ok bool
		if exponent, ok = smallInt(rest[i+1:]); !ok {
			return decimal{}, bad
		}
		mantissa = rest[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, bad
	}
	d := decimal{negative: negative, point: len(whole) + exponent}
	trimmed := strings.TrimLeft(digits, "0")
	d.point -= len(digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	return d.checked()
}

func (d decimal) checked() (decimal, *apiError) {
	switch {
	case d.digits == "":
		return decimal{}, nil // zero has no sign
	case len(d.digits) > maxDigits:
		return d, validation("Attempting to store more than 38 significant digits in a Number")
	case d.point-1 > maxExponent:
		return d, validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case d.point-1 < minExponent:
		return d, validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return d, nil
}

// smallInt reads an exponent; anything beyond four digits is out of range anyway and clamped to it.
func smallInt(text string) (int, bool) {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	if rest == "" {
		return 0, false
	}
	n := 0
	for _, c := range rest {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), 99999)
	}
	if negative {
		n = -n
	}
	return n, true
}

// String is the form DynamoDB returns: plain, without exponent, sign of zero, or zeros that say nothing.
func (d decimal) String() string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	n := len(d.digits)
	switch {
	case n == 0:
		return "0"
	case d.point <= 0:
		return sign + "0." + strings.Repeat("0", -d.point) + d.digits
	case d.point >= n:
		return sign + d.digits + strings.Repeat("0", d.point-n)
	}
	return sign + d.digits[:d.point] + "." + d.digits[d.point:]
}

// size is what a number counts for in an item: half a byte a digit, one byte more, and one for the sign.
func (d decimal) size() int {
	n := (len(d.digits)+1)/2 + 1
	if d.negative {
		n++
	}
	return n
}

// orderKey is a string that sorts as the numbers do.
func (d decimal) orderKey() string {
	if d.digits == "" {
		return "1"
	}
	b := []byte{'2', byte(d.point >> 8), byte(d.point)}
	b[1] ^= 0x80 // two's complement sorts after the sign bit is turned
	b = append(b, d.digits...)
	if !d.negative {
		return string(b)
	}
	for i := range b {
		b[i] = ^b[i]
	}
	b[0] = '0'
	return string(append(b, 0xff)) // a longer negative number is the smaller one
}
