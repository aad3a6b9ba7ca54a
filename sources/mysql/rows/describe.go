package rows

import (
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// families by data_type. The long types carry their bound, since some servers leave it out of the catalogue.
var families = map[string]struct {
	family  family
	fixed   bool
	octets  int64 // long types
	logical logical
}{
	"tinyint":    {family: famTiny},
	"smallint":   {family: famShort},
	"mediumint":  {family: famInt24},
	"int":        {family: famLong},
	"bigint":     {family: famLonglong},
	"float":      {family: famFloat},
	"double":     {family: famDouble},
	"decimal":    {family: famDecimal},
	"bit":        {family: famBit},
	"year":       {family: famYear},
	"date":       {family: famDate},
	"datetime":   {family: famDatetime},
	"timestamp":  {family: famTimestamp},
	"time":       {family: famTime},
	"char":       {family: famText, fixed: true},
	"varchar":    {family: famText},
	"tinytext":   {family: famText, octets: 1<<8 - 1},
	"text":       {family: famText, octets: 1<<16 - 1},
	"mediumtext": {family: famText, octets: 1<<24 - 1},
	"longtext":   {family: famText, octets: 1<<32 - 1},
	"binary":     {family: famBytes, fixed: true},
	"varbinary":  {family: famBytes},
	"tinyblob":   {family: famBytes, octets: 1<<8 - 1},
	"blob":       {family: famBytes, octets: 1<<16 - 1},
	"mediumblob": {family: famBytes, octets: 1<<24 - 1},
	"longblob":   {family: famBytes, octets: 1<<32 - 1},
	"vector":     {family: famBytes, octets: 1<<32 - 1},
	"enum":       {family: famEnum},
	"set":        {family: famSet},
	"json":       {family: famJSON},

	"geometry": {family: famGeometry}, "point": {family: famGeometry}, "linestring": {family: famGeometry},
	"polygon": {family: famGeometry}, "multipoint": {family: famGeometry}, "multilinestring": {family: famGeometry},
	"multipolygon": {family: famGeometry}, "geometrycollection": {family: famGeometry}, "geomcollection": {family: famGeometry},

	"uuid":  {family: famBytes, fixed: true, logical: isUUID},
	"inet6": {family: famBytes, fixed: true, logical: isINET6},
	"inet4": {family: famBytes, fixed: true, logical: isINET4},
}

// describe is the wire look of every column, or an *UnsupportedError.
func (c Catalogue) describe(table ingest.TableName) ([]column, error) {
	if c.Versioned {
		return nil, &UnsupportedError{Table: table, Type: "it is system-versioned: its change log mixes rows with their history",
			Hint: "ALTER TABLE " + quoteTable(table) + " DROP SYSTEM VERSIONING"}
	}
	out := make([]column, 0, len(c.Columns))
	for i := range c.Columns {
		cc := c.Columns[i]
		if slices.Contains(c.Drop, cc.Name) {
			if slices.Contains(c.Key, cc.Name) {
				return nil, droppedKey(table, cc.Name)
			}
			continue
		}
		col, err := cc.describe(table)
		if err != nil {
			return nil, err
		}
		out = append(out, col)
	}
	return out, nil
}

func droppedKey(table ingest.TableName, column string) error {
	return &UnsupportedError{Table: table, Column: column, Type: "a primary key column that is dropped", Hint: "take it out of the table's columns: {...: drop}"}
}

func (cc CatalogueColumn) describe(table ingest.TableName) (column, error) {
	refuse := func(why, hint string) (column, error) {
		return column{}, &UnsupportedError{Table: table, Column: cc.Name, Type: why, Hint: hint}
	}
	native, comment, _ := strings.Cut(cc.ColumnType, " /*")
	f, ok := families[strings.ToLower(cc.DataType)]
	numeric := f.family >= famTiny && f.family <= famDecimal
	switch {
	case !ok:
		return refuse(cc.DataType, "leave the column out with columns: {"+cc.Name+": drop}")
	case f.family == famEnum || f.family == famSet:
		native, comment = cc.ColumnType, "" // labels may hold anything
	case strings.Contains(comment, "COMPRESSED"):
		return refuse(native+" COMPRESSED", "ALTER TABLE "+quoteTable(table)+" MODIFY "+quote(cc.Name)+" "+native+cc.nullability()+" (restate its DEFAULT and COMMENT)")
	case strings.Contains(comment, "mariadb-5.3") || strings.Contains(comment, "5.5 binary format"):
		return refuse(native+" in its old storage format", "SET GLOBAL mysql56_temporal_format = ON; ALTER TABLE "+quoteTable(table)+" FORCE")
	}
	col := column{
		name: cc.Name, native: native, nullable: cc.Nullable, family: f.family, logical: f.logical, fixed: f.fixed,
		unsigned: numeric && strings.Contains(native, "unsigned"), long: f.octets > 0, octets: cc.Octets,
	}
	if col.long {
		col.octets = f.octets
	}
	switch col.family {
	case famDecimal:
		col.precision, col.scale = int(cc.Precision), int(cc.Scale)
	case famBit:
		col.precision = int(cc.Precision)
	case famDatetime, famTimestamp, famTime:
		col.fraction = int(cc.Fraction)
	case famText, famEnum, famSet:
		if cc.Charset == "binary" || cc.Charset == "" { // labels without a charset; text without one has a type of bytes
			cc.Charset = "ascii"
		}
		if col.charset = charsetNamed(cc.Charset); col.charset == nil {
			return refuse(native+" in charset "+cc.Charset, "ALTER TABLE "+quoteTable(table)+" MODIFY "+quote(cc.Name)+" "+native+
				" CHARACTER SET utf8mb4"+cc.nullability()+" (restate its DEFAULT and COMMENT)")
		}
		if cc.JSON && col.long {
			col.logical = isJSON
		}
	case famBytes:
		switch col.logical {
		case isUUID, isINET6:
			col.octets = 16
		case isINET4:
			col.octets = 4
		}
	}
	return col, nil
}

func (cc CatalogueColumn) nullability() string {
	if cc.Nullable {
		return " NULL"
	}
	return " NOT NULL"
}
