package redshiftdouble

import (
	"math/big"
	"strings"
)

// binaryNumeric is a number in the binary form of AWS's own drivers, not in PostgreSQL's: the digits as one integer of 8 or 16 bytes.
// A client that asks for binary numbers without speaking AWS's dialect reads nonsense, as it would from Redshift.
func binaryNumeric(v []byte, flipped bool) []byte {
	digits := strings.Replace(string(v), ".", "", 1)
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return v // NaN
	}
	size := 8
	if n.BitLen() > 62 || flipped {
		size = 16
	}
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size*8)))
	}
	return n.FillBytes(make([]byte, size))
}

// superMark stands before the JSON of a SUPER in PostgreSQL; a SUPER without it is a string that nobody has parsed.
const superMark = "\x01"

// superText is a SUPER as the client sees it: JSON.
func superText(v []byte) []byte {
	if s, ok := strings.CutPrefix(string(v), superMark); ok {
		return []byte(s)
	}
	return jsonString(string(v))
}
