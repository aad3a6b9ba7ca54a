package dynamofake

import (
	"strconv"
	"strings"
)

// lowDigits is how many decimal digits fit the low half of a sequence number.
const (
	lowDigits = 19
	lowBase   = 10_000_000_000_000_000_000
)

// sequence is a sequence number, hi*10^19 + lo. On the wire it is a decimal string of 21 to 40 digits, and their lengths
// differ, so whoever compares them as text is wrong.
type sequence struct{ hi, lo uint64 }

func (s sequence) String() string {
	low := strconv.FormatUint(s.lo, 10)
	return strconv.FormatUint(s.hi, 10) + strings.Repeat("0", lowDigits-len(low)) + low
}

func (s sequence) add(n uint64) sequence {
	s.lo += n
	if s.lo >= lowBase {
		s.lo -= lowBase
		s.hi++
	}
	return s
}

func (s sequence) less(o sequence) bool { return s.hi < o.hi || s.hi == o.hi && s.lo < o.lo }

func parseSequence(text string) (sequence, bool) {
	if len(text) < 21 || len(text) > 39 || strings.Trim(text, "0123456789") != "" {
		return sequence{}, false
	}
	cut := len(text) - lowDigits
	hi, errHi := strconv.ParseUint(text[:cut], 10, 64)
	lo, errLo := strconv.ParseUint(text[cut:], 10, 64)
	return sequence{hi, lo}, errHi == nil && errLo == nil
}
