package rows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/tidemill/tidemill/ingest"
)

// MariaDB's column compression. go-mysql does not know these types and misreads the metadata of the columns after one.
const (
	typeBlobCompressed    = 140
	typeVarcharCompressed = 141
	typeVector            = 242
)

// wireColumn is a column of a table map: its look and how its bytes lie in a row.
type wireColumn struct {
	column
	typ    byte // the real type: ENUM and SET are found inside STRING
	meta   uint16
	prefix int  // bytes of the length prefix of a variable-length value
	size   int  // bytes of a fixed-length value
	hidden bool // a column of the server's own, not of the table
}

// describeTableMap is the wire look of every column of a table map with full metadata. Columns named in drop are hidden: their
// bytes are passed over.
func describeTableMap(tm *replication.TableMapEvent, drop []string) (cols []wireColumn, key []int, err error) {
	table := tableOf(tm)
	defer func() { // go-mysql's accessors index the metadata of a damaged event without checks (invariant 6)
		if r := recover(); r != nil {
			cols, key, err = nil, nil, &MalformedError{Table: table, Reason: "the table map's metadata does not fit its columns"}
		}
	}()
	n := int(tm.ColumnCount)
	if n == 0 || n > 4096 || len(tm.ColumnType) != n || len(tm.ColumnMeta) != n {
		return nil, nil, &MalformedError{Table: table, Reason: "the table map's columns do not add up"}
	}
	if len(tm.ColumnName) != n {
		return nil, nil, &MetadataError{Table: table, Missing: "column names"}
	}
	m := metadata{unsigned: tm.UnsignedMap(), collation: tm.CollationMap(), labelCollation: tm.EnumSetCollationMap(),
		enum: tm.EnumStrValueMap(), set: tm.SetStrValueMap()}
	cols = make([]wireColumn, n)
	for i := range cols {
		c := &cols[i]
		c.name, c.typ, c.meta = string(tm.ColumnName[i]), tm.ColumnType[i], tm.ColumnMeta[i]
		_, c.nullable = tm.Nullable(i)
		c.hidden = strings.HasPrefix(c.name, "DB_ROW_HASH_") || slices.Contains(drop, c.name) // the former: MariaDB's UNIQUE ... USING HASH
		if err := c.describe(table, i, m); err != nil {
			return nil, nil, err
		}
	}
	for _, k := range tm.PrimaryKey {
		if k < uint64(n) && slices.Contains(drop, cols[k].name) {
			return nil, nil, droppedKey(table, cols[k].name)
		}
		if k >= uint64(n) || cols[k].hidden || slices.Contains(key, int(k)) {
			return nil, nil, &MalformedError{Table: table, Reason: "the table map's primary key does not fit its columns"}
		}
		key = append(key, int(k))
	}
	return cols, key, nil
}

type metadata struct {
	unsigned                  map[int]bool
	collation, labelCollation map[int]uint64
	enum, set                 map[int][]string
}

func tableOf(tm *replication.TableMapEvent) ingest.TableName {
	return ingest.TableName{Schema: string(tm.Schema), Name: string(tm.Table)}
}

// describe is a wire-type switch: long because the types are many.
func (c *wireColumn) describe(table ingest.TableName, i int, m metadata) error {
	numeric := func(f family, name string, size int) error {
		unsigned, ok := m.unsigned[i]
		if !ok {
			return &MetadataError{Table: table, Missing: "signedness"}
		}
		c.family, c.unsigned, c.size, c.native = f, unsigned, size, name
		if unsigned {
			c.native += " unsigned"
		}
		return nil
	}
	temporal := func(f family, name string, size int) error {
		if c.meta > 6 {
			return c.malformed(table)
		}
		c.family, c.fraction, c.size, c.native = f, int(c.meta), size+(int(c.meta)+1)/2, name
		if c.fraction > 0 {
			c.native = fmt.Sprintf("%s(%d)", name, c.fraction)
		}
		return nil
	}
	switch c.typ {
	case mysql.MYSQL_TYPE_TINY:
		return numeric(famTiny, "tinyint", 1)
	case mysql.MYSQL_TYPE_SHORT:
		return numeric(famShort, "smallint", 2)
	case mysql.MYSQL_TYPE_INT24:
		return numeric(famInt24, "mediumint", 3)
	case mysql.MYSQL_TYPE_LONG:
		return numeric(famLong, "int", 4)
	case mysql.MYSQL_TYPE_LONGLONG:
		return numeric(famLonglong, "bigint", 8)
	case mysql.MYSQL_TYPE_FLOAT:
		return numeric(famFloat, "float", 4)
	case mysql.MYSQL_TYPE_DOUBLE:
		return numeric(famDouble, "double", 8)
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		c.precision, c.scale = int(c.meta>>8), int(c.meta&0xff)
		if c.precision == 0 || c.precision > 65 || c.scale > c.precision || c.scale > 38 {
			return c.malformed(table)
		}
		return numeric(famDecimal, fmt.Sprintf("decimal(%d,%d)", c.precision, c.scale), decimalSize(c.precision, c.scale))
	case mysql.MYSQL_TYPE_BIT:
		c.family, c.precision = famBit, int(c.meta>>8)*8+int(c.meta&0xff)
		if c.precision < 1 || c.precision > 64 {
			return c.malformed(table)
		}
		c.size, c.native = (c.precision+7)/8, fmt.Sprintf("bit(%d)", c.precision)
	case mysql.MYSQL_TYPE_YEAR:
		c.family, c.size, c.native = famYear, 1, "year"
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		c.family, c.size, c.native = famDate, 3, "date"
	case mysql.MYSQL_TYPE_DATETIME2:
		return temporal(famDatetime, "datetime", 5)
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		return temporal(famTimestamp, "timestamp", 4)
	case mysql.MYSQL_TYPE_TIME2:
		return temporal(famTime, "time", 3)
	case mysql.MYSQL_TYPE_JSON:
		c.family, c.native = famJSON, "json"
		return c.blob(table)
	case mysql.MYSQL_TYPE_GEOMETRY:
		c.family, c.native = famGeometry, "geometry"
		err := c.blob(table)
		c.octets, c.long = 0, false
		return err
	case typeVector:
		c.family, c.native = famBytes, "vector"
		err := c.blob(table)
		c.octets = families["vector"].octets
		return err
	case mysql.MYSQL_TYPE_BLOB:
		if err := c.blob(table); err != nil {
			return err
		}
		return c.characters(table, i, m, "text", "blob")
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING:
		c.octets = int64(c.meta)
		c.prefixFor()
		return c.characters(table, i, m, "varchar", "varbinary")
	case mysql.MYSQL_TYPE_STRING:
		return c.describeString(table, i, m)
	case mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIME:
		return &UnsupportedError{Table: table, Column: c.name, Type: "a temporal column in its old storage format",
			Hint: "SET GLOBAL mysql56_temporal_format = ON; ALTER TABLE " + quoteTable(table) + " FORCE"}
	case typeBlobCompressed, typeVarcharCompressed:
		return &UnsupportedError{Table: table, Column: c.name, Type: "a COMPRESSED column",
			Hint: "ALTER TABLE " + quoteTable(table) + " MODIFY " + quote(c.name) + " with its type but without COMPRESSED"}
	default:
		return &UnsupportedError{Table: table, Column: c.name, Type: fmt.Sprintf("wire type %d", c.typ),
			Hint: "leave the column out with columns: {" + c.name + ": drop}"}
	}
	return nil
}

// describeString takes apart STRING, which is CHAR, BINARY, ENUM or SET. The upper byte of the metadata is the real type; for
// long CHAR columns two of its bits hold the length's upper bits, inverted.
func (c *wireColumn) describeString(table ingest.TableName, i int, m metadata) error {
	upper, lower := byte(c.meta>>8), int(c.meta&0xff)
	switch upper {
	case mysql.MYSQL_TYPE_ENUM:
		c.family, c.typ, c.size, c.labels, c.native = famEnum, upper, lower, m.enum[i], "enum"
		if c.size < 1 || c.size > 2 {
			return c.malformed(table)
		}
		return c.labelled(table, i, m)
	case mysql.MYSQL_TYPE_SET:
		c.family, c.typ, c.size, c.labels, c.native = famSet, upper, lower, m.set[i], "set"
		if c.size < 1 || c.size > 8 || len(c.labels) > 64 {
			return c.malformed(table)
		}
		return c.labelled(table, i, m)
	}
	c.octets, c.fixed = int64(lower), true
	if upper&0x30 != 0x30 {
		c.octets |= int64(upper&0x30^0x30) << 4
	}
	c.prefixFor()
	return c.characters(table, i, m, "char", "binary")
}

func (c *wireColumn) prefixFor() {
	c.prefix = 1
	if c.octets > 255 {
		c.prefix = 2
	}
}

func (c *wireColumn) blob(table ingest.TableName) error {
	c.prefix = int(c.meta)
	if c.prefix < 1 || c.prefix > 4 {
		return c.malformed(table)
	}
	if c.family == 0 {
		c.octets, c.long = int64(1)<<(8*c.prefix)-1, true
	}
	return nil
}

// characters decides between text and bytes by the collation.
func (c *wireColumn) characters(table ingest.TableName, i int, m metadata, text, bytes string) error {
	id, ok := m.collation[i]
	if !ok {
		return &MetadataError{Table: table, Missing: "charsets"}
	}
	if id == binaryCollation {
		c.family, c.native = famBytes, bytes
	} else {
		c.family, c.native = famText, text
		if err := c.setCharset(table, id); err != nil {
			return err
		}
	}
	switch {
	case c.long:
		c.native = [...]string{"", "tiny", "", "medium", "long"}[c.prefix] + c.native
	case c.charset != nil:
		c.native = fmt.Sprintf("%s(%d)", c.native, c.octets/int64(c.charset.wide))
	default:
		c.native = fmt.Sprintf("%s(%d)", c.native, c.octets)
	}
	return nil
}

// labelled converts the labels of an ENUM or SET to UTF-8 once; rows only name them.
func (c *wireColumn) labelled(table ingest.TableName, i int, m metadata) error {
	id, ok := m.labelCollation[i]
	if !ok || len(c.labels) == 0 {
		return &MetadataError{Table: table, Missing: "ENUM and SET labels"}
	}
	if id == binaryCollation {
		c.charset = charsetNamed("ascii")
	} else if err := c.setCharset(table, id); err != nil {
		return err
	}
	labels := make([]string, len(c.labels))
	for j, l := range c.labels {
		if c.family == famSet {
			c.octets += int64(len(l)) + 1
		}
		c.octets = max(c.octets, int64(len(l)))
		b, _ := c.charset.append(nil, []byte(l))
		labels[j] = string(b)
	}
	c.labels = labels
	return nil
}

func (c *wireColumn) setCharset(table ingest.TableName, collation uint64) error {
	name := charsetOf(collation)
	if c.charset = charsetNamed(name); c.charset != nil {
		return nil
	}
	if c.hidden { // never converted
		c.charset = charsetNamed("utf8mb4")
		return nil
	}
	if name == "" {
		name = fmt.Sprintf("of collation %d", collation)
	}
	return &UnsupportedError{Table: table, Column: c.name, Type: "text in charset " + name,
		Hint: "ALTER TABLE " + quoteTable(table) + " MODIFY " + quote(c.name) + " with its type and CHARACTER SET utf8mb4"}
}

func (c *wireColumn) malformed(table ingest.TableName) error {
	return &MalformedError{Table: table, Reason: fmt.Sprintf("the metadata of column %q does not fit its wire type %d", c.name, c.typ)}
}
