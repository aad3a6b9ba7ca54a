package redshift

import (
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// Limits of Redshift's types, in bytes.
const (
	maxVarchar = 65535
	maxVarbyte = 64000 // of a VARBYTE without a length, the only one that Parquet is known to load into
)

// colType is a type as SVV_REDSHIFT_COLUMNS spells it, taken apart.
type colType struct {
	name             string
	length           int // of character varying, in bytes
	precision, scale int
}

func (t colType) String() string {
	switch t.name {
	case "numeric":
		return fmt.Sprintf("numeric(%d,%d)", t.precision, t.scale)
	case varchar:
		return fmt.Sprintf("varchar(%d)", t.length)
	}
	return t.name
}

const (
	varchar = "character varying"
	varbyte = "varbyte"
	super   = "super"
)

// parseType reads a type of the catalogue.
func parseType(s string) colType {
	var t colType
	switch n, _ := fmt.Sscanf(s, "numeric(%d,%d)", &t.precision, &t.scale); {
	case n == 2:
		t.name = "numeric"
		return t
	case strings.HasPrefix(s, varchar+"("):
		_, _ = fmt.Sscanf(strings.TrimPrefix(s, varchar), "(%d)", &t.length) // stays 0 and is then widened
		t.name = varchar
		return t
	case strings.HasPrefix(s, "binary varying"), strings.HasPrefix(s, "varbyte"):
		return colType{name: varbyte}
	}
	return colType{name: s}
}

// wantType is the type of a kind. bytes is the longest text that is to be held now.
func wantType(t ingest.Type, bytes int, asSuper bool) colType {
	simple := map[ingest.Kind]string{
		ingest.Bool: "boolean", ingest.Int16: "smallint", ingest.Int32: "integer", ingest.Int64: "bigint", ingest.Float32: "real", ingest.Float64: "double precision",
		ingest.Bytes: varbyte, ingest.Date: "date", ingest.Timestamp: "timestamp without time zone", ingest.TimestampTZ: "timestamp with time zone",
	}
	switch {
	case t.Kind == ingest.Decimal:
		return colType{name: "numeric", precision: int(t.Precision), scale: int(t.Scale)}
	case t.Kind == ingest.JSON && asSuper:
		return colType{name: super}
	case t.Kind == ingest.Text || t.Kind == ingest.JSON:
		return colType{name: varchar, length: bytes}
	}
	name, ok := simple[t.Kind]
	if !ok {
		panic("redshift: no type for " + t.Kind.String())
	}
	return colType{name: name}
}

// isText reports whether a kind is stored as text.
func isText(t ingest.Type) bool { return t.Kind == ingest.Text || t.Kind == ingest.JSON }

// width is how wide a VARCHAR is made for texts of some bytes: twice as much and a power of two, so that it is seldom widened;
// Redshift reserves memory by the declared width, so it is not simply the most.
func width(longest int) int {
	w := 64
	for w < 2*longest && w < maxVarchar {
		w *= 2
	}
	return min(w, maxVarchar)
}

// fit says how a column that is there and a wanted one go together.
type fit int

const (
	same     fit = iota
	holds        // the column there holds every value of the wanted type
	wider        // a VARCHAR that has to become wider
	convert      // the wanted type holds every value of the column there, and has to take its place
	mismatch     // neither
)

func compare(have, want colType) fit {
	switch {
	case have == want:
		return same
	case have.name == varchar && want.name == varchar && have.length < want.length:
		return wider
	case contains(have, want):
		return holds
	case contains(want, have):
		return convert
	}
	return mismatch
}

// contains reports whether every value of the type small is a value of the type big.
func contains(big, small colType) bool {
	switch big.name {
	case "numeric":
		whole := map[string]int{"smallint": 5, "integer": 10, "bigint": 19}[small.name]
		if small.name == "numeric" {
			return big.scale >= small.scale && big.precision-big.scale >= small.precision-small.scale
		}
		return whole > 0 && big.precision-big.scale >= whole
	case "integer":
		return small.name == "smallint"
	case "bigint":
		return small.name == "smallint" || small.name == "integer"
	case "double precision":
		return small.name == "real" || small.name == "smallint" || small.name == "integer"
	case varchar:
		return small.name == varchar && small.length <= big.length
	}
	return false
}
