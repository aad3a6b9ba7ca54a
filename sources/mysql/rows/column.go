package rows

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// family is what a column is on the wire, length encodings aside.
type family uint8

const (
	famTiny family = iota + 1
	famShort
	famInt24
	famLong
	famLonglong
	famFloat
	famDouble
	famDecimal
	famBit
	famYear
	famDate
	famDatetime
	famTimestamp
	famTime
	famText     // CHAR, VARCHAR, TEXT
	famBytes    // BINARY, VARBINARY, BLOB, VECTOR
	famGeometry // SRID and WKB
	famEnum
	famSet
	famJSON // MySQL's binary JSON
)

// logical is what only the catalogue knows of a column (invariant 3).
type logical uint8

const (
	plain   logical = iota
	isJSON          // MariaDB: LONGTEXT on the wire
	isUUID          // MariaDB: BINARY(16) on the wire
	isINET6         // MariaDB: BINARY(16) on the wire
	isINET4         // MariaDB: BINARY(4) on the wire
)

// column describes one column, from a catalogue or from a table map.
type column struct {
	name      string
	native    string
	nullable  bool
	family    family
	logical   logical
	unsigned  bool
	fixed     bool // CHAR, BINARY: padded to octets
	long      bool // TEXT and BLOB types: declared in bytes
	octets    int64
	precision int // Decimal digits; bits of a BIT
	scale     int
	fraction  int // digits of a second
	charset   *charset
	labels    []string // Enum, Set: known from a table map only
}

// looksLike reports whether two descriptions are the same on the wire. Names are compared by the caller.
func (c *column) looksLike(o *column) bool {
	labelled := c.family == famEnum || c.family == famSet // their octets follow from labels, which a catalogue words in its own charset
	return c.family == o.family && c.unsigned == o.unsigned && c.fixed == o.fixed && (c.octets == o.octets || labelled) &&
		c.precision == o.precision && c.scale == o.scale && c.fraction == o.fraction && c.charset == o.charset
}

// maxDecimal is the widest decimal that the closed set of kinds holds; wider ones are carried as exact text.
const maxDecimal = 38

// typ is the canonical type of the column. It is the one place where source types meet kinds (invariant 1).
func (c *column) typ() ingest.Type {
	switch c.logical {
	case isJSON:
		return ingest.Type{Kind: ingest.JSON}
	case isUUID:
		return ingest.Type{Kind: ingest.Text, MaxBytes: 36}
	case isINET6:
		return ingest.Type{Kind: ingest.Text, MaxBytes: 39}
	case isINET4:
		return ingest.Type{Kind: ingest.Text, MaxBytes: 15}
	}
	switch c.family {
	case famTiny, famYear:
		return ingest.Type{Kind: ingest.Int16}
	case famShort:
		return pick(c.unsigned, ingest.Int32, ingest.Int16)
	case famInt24:
		return ingest.Type{Kind: ingest.Int32}
	case famLong:
		return pick(c.unsigned, ingest.Int64, ingest.Int32)
	case famLonglong:
		if c.unsigned {
			return ingest.Type{Kind: ingest.Decimal, Precision: 20}
		}
		return ingest.Type{Kind: ingest.Int64}
	case famFloat:
		return ingest.Type{Kind: ingest.Float32}
	case famDouble:
		return ingest.Type{Kind: ingest.Float64}
	case famDecimal:
		if c.precision > maxDecimal {
			return ingest.Type{Kind: ingest.Text, MaxBytes: int32(c.precision + 3)}
		}
		return ingest.Type{Kind: ingest.Decimal, Precision: int32(c.precision), Scale: int32(c.scale)}
	case famBit:
		switch {
		case c.precision == 1:
			return ingest.Type{Kind: ingest.Bool}
		case c.precision < 64:
			return ingest.Type{Kind: ingest.Int64}
		}
		return ingest.Type{Kind: ingest.Decimal, Precision: 20}
	case famDate:
		return ingest.Type{Kind: ingest.Date}
	case famDatetime:
		return ingest.Type{Kind: ingest.Timestamp}
	case famTimestamp:
		return ingest.Type{Kind: ingest.TimestampTZ}
	case famTime:
		return ingest.Type{Kind: ingest.Text, MaxBytes: 17}
	case famText, famEnum, famSet:
		return ingest.Type{Kind: ingest.Text, MaxBytes: bound(c.textBytes())}
	case famJSON:
		return ingest.Type{Kind: ingest.JSON}
	default:
		return ingest.Type{Kind: ingest.Bytes, MaxBytes: bound(c.octets)}
	}
}

// textBytes bounds the UTF-8 form of a text of at most c.octets bytes in its charset. Blob-like texts are declared in
// bytes, all others in characters.
func (c *column) textBytes() int64 {
	cs := c.charset
	switch {
	case cs.utf8():
		return c.octets
	case c.long:
		return c.octets / int64(cs.narrow) * int64(cs.expand)
	}
	return c.octets / int64(cs.wide) * int64(cs.expand)
}

func pick(unsigned bool, yes, no ingest.Kind) ingest.Type {
	if unsigned {
		return ingest.Type{Kind: yes}
	}
	return ingest.Type{Kind: no}
}

// bound is a declared bound in bytes, 0 when it means nothing.
func bound(n int64) int32 {
	if n <= 0 || n > math.MaxInt32 {
		return 0
	}
	return int32(n)
}

// schemaOf assembles the schema; cols are the columns that are carried, key their names in key order.
func schemaOf(table ingest.TableName, cols []column, key []string) (*ingest.Schema, error) {
	if len(key) == 0 {
		return nil, &UnsupportedError{Table: table, Type: "it has no primary key", Hint: "ALTER TABLE " + quoteTable(table) +
			" ADD COLUMN tm_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY"}
	}
	s := &ingest.Schema{Table: table, Key: slices.Clone(key), Columns: make([]ingest.Column, len(cols))}
	for i := range cols {
		c := &cols[i]
		s.Columns[i] = ingest.Column{Name: c.name, Type: c.typ(), Native: c.native, Nullable: c.nullable}
	}
	for _, k := range key {
		if s.Column(k) < 0 {
			return nil, &MalformedError{Table: table, Reason: fmt.Sprintf("key column %q is not among its columns", k)}
		}
	}
	return s, nil
}

// quote is a name as MySQL writes it.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteTable(t ingest.TableName) string { return quote(t.Schema) + "." + quote(t.Name) }
