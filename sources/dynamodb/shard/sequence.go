package shard

import (
	"cmp"
	"strings"
)

// Compare orders sequence numbers by their value: decimal, up to 40 digits, of any length (B2).
func Compare(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
