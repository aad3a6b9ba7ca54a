package postgres

import (
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// columnType is the PostgreSQL type of a kind, in the spelling of format_type(). TYPES.md explains the choices.
func columnType(t ingest.Type) string {
	switch t.Kind {
	case ingest.Bool:
		return "boolean"
	case ingest.Int16:
		return "smallint"
	case ingest.Int32:
		return "integer"
	case ingest.Int64:
		return "bigint"
	case ingest.Float32:
		return "real"
	case ingest.Float64:
		return "double precision"
	case ingest.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case ingest.Text:
		return "text"
	case ingest.JSON:
		return "json"
	case ingest.Bytes:
		return "bytea"
	case ingest.Date:
		return "date"
	case ingest.Timestamp:
		return "timestamp without time zone"
	case ingest.TimestampTZ:
		return "timestamp with time zone"
	}
	panic("postgres: no type for " + t.Kind.String())
}

// fit says how a column that is there and a column that is wanted go together.
type fit int

const (
	same     fit = iota
	holds        // the column there holds every value of the wanted type
	widen        // the wanted type holds every value of the column there: ALTER COLUMN TYPE loses nothing
	mismatch     // neither
)

// compare relates the type of a column that is there, as format_type() spells it, to the wanted one.
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

// contains reports whether every value of the type small is a value of the type big.
func contains(big, small string) bool {
	bp, bs, bnum := numeric(big)
	sp, ss, snum := numeric(small)
	switch {
	case bnum && snum:
		return bs >= ss && bp-bs >= sp-ss
	case bnum: // integers in a numeric
		digits := map[string]int{"smallint": 5, "integer": 10, "bigint": 19}[small]
		return digits > 0 && bp-bs >= digits
	}
	switch big {
	case "numeric": // without a limit
		return snum || small == "smallint" || small == "integer" || small == "bigint"
	case "integer":
		return small == "smallint"
	case "bigint":
		return small == "smallint" || small == "integer"
	case "double precision":
		return small == "real" || small == "smallint" || small == "integer"
	case "text":
		return small == "json" || small == "character varying" || strings.HasPrefix(small, "character varying(")
	case "character varying":
		return small == "text"
	case "jsonb": // the same document, spelled anew: what a user chose who made the column so
		return small == "json"
	}
	return false
}

// numeric reads numeric(p,s); ok is false for anything else.
func numeric(t string) (p, s int, ok bool) {
	n, err := fmt.Sscanf(t, "numeric(%d,%d)", &p, &s)
	return p, s, n == 2 && err == nil
}
