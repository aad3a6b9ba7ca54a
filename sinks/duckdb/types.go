package duckdb

import "fmt"

// fit says how a column that is there and a column that is wanted go together.
type fit int

const (
	same     fit = iota
	holds        // the column there holds every value of the wanted type
	widen        // the wanted type holds every value of the column there: ALTER COLUMN TYPE loses nothing
	mismatch     // neither
)

// compare relates the type of a column that is there to the wanted one, both as DuckDB names them.
func compare(have, want string) fit {
	switch {
	case have == want:
		return same
	case contains(have, want):
		return holds
	case contains(want, have):
		return widen
	}
	return mismatch
}

// digits of the integer types.
var digits = map[string]int{"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 39}

// contains reports whether every value of the type small is a value of the type big.
func contains(big, small string) bool {
	bp, bs, bdec := decimal(big)
	sp, ss, sdec := decimal(small)
	switch {
	case bdec && sdec:
		return bs >= ss && bp-bs >= sp-ss
	case bdec:
		return digits[small] > 0 && bp-bs >= digits[small]
	case digits[big] > 0 && digits[small] > 0:
		return digits[big] > digits[small]
	}
	switch big {
	case "DOUBLE":
		return small == "FLOAT" || small == "SMALLINT" || small == "INTEGER"
	case "VARCHAR":
		return small == "JSON"
	}
	return false
}

// decimal reads DECIMAL(p,s); ok is false for anything else.
func decimal(t string) (p, s int, ok bool) {
	n, err := fmt.Sscanf(t, "DECIMAL(%d,%d)", &p, &s)
	return p, s, n == 2 && err == nil
}
