package redshiftdouble

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// dataType is a type of Redshift.
type dataType struct {
	name      string // in full, as svv_columns prints it
	length    int    // bytes of char, varchar and varbyte
	precision int    // of numeric
	scale     int
}

// simpleTypes are the names without arguments, old spellings among them.
var simpleTypes = map[string]string{
	"smallint": "smallint", "int2": "smallint", "integer": "integer", "int": "integer", "int4": "integer", "bigint": "bigint", "int8": "bigint",
	"real": "real", "float4": "real", "float8": "double precision", "boolean": "boolean", "bool": "boolean", "date": "date",
	"timestamptz": "timestamp with time zone", "timetz": "time with time zone", "super": "super",
}

// otherTypes exist in Redshift and not in the double.
var otherTypes = []string{"geometry", "geography", "hllsketch", "interval"}

const (
	maxVarchar = 65535
	maxChar    = 4096
	maxVarbyte = 16777216
)

// dataType reads a type. column is for messages, empty in a cast.
func (p *parser) dataType(column string) (dataType, error) {
	if !p.more() || !p.ts[p.i].identifier() {
		return dataType{}, p.unexpected()
	}
	name := p.ts[p.i].val
	if p.ts[p.i].kind == quoted && name == "char" {
		return dataType{}, refuse("0A000", "Column %q has unsupported type %q.", column, `"char"`)
	}
	p.i++
	t, err := p.namedType(name, column)
	if err == nil && p.peek("[", "array") {
		err = p.unexpected()
	}
	return t, err
}

func (p *parser) namedType(name, column string) (dataType, error) {
	if full, ok := simpleTypes[name]; ok {
		return dataType{name: full}, p.noArguments()
	}
	switch name {
	case "double":
		return dataType{name: "double precision"}, p.expect("precision")
	case "float":
		n, err := p.argument(53, 53)
		if n < 25 {
			return dataType{name: "real"}, err
		}
		return dataType{name: "double precision"}, err
	case "decimal", "numeric":
		return p.numericType()
	case "char", "character", "nchar", "bpchar", "varchar", "nvarchar", "text":
		return p.characterType(name)
	case "time", "timestamp":
		return p.timeType(name)
	case "varbyte", "varbinary":
		n, err := p.argument(64000, maxVarbyte)
		return dataType{name: "binary varying", length: n}, err
	case "binary":
		if err := p.expect("varying"); err != nil {
			return dataType{}, err
		}
		n, err := p.argument(64000, maxVarbyte)
		return dataType{name: "binary varying", length: n}, err
	}
	if slices.Contains(otherTypes, name) {
		return dataType{}, unsupported("the type %s", name)
	}
	return dataType{}, noSuchType(name, column)
}

func noSuchType(name, column string) error {
	if column != "" && postgresTypes[name] {
		return refuse("0A000", "Column %q has unsupported type %q.", column, name)
	}
	if postgresTypes[name] {
		return refuse("0A000", "type %q is not supported", name)
	}
	return refuse("42704", "type %q does not exist", name)
}

// postgresTypes are those that the parser of Redshift still knows from PostgreSQL, and that no column can have.
var postgresTypes = func() map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(`json jsonb uuid bytea inet cidr macaddr macaddr8 money xml tsvector tsquery bit varbit name hstore oid regclass
		point line lseg box path polygon circle int4range int8range numrange tsrange tstzrange daterange serial bigserial smallserial
		serial4 serial8 serial2 abstime reltime tinterval unknown refcursor record anyelement citext`) {
		out[n] = true
	}
	return out
}()

func (p *parser) noArguments() error {
	if p.peek("(") {
		return p.unexpected()
	}
	return nil
}

// argument reads (n) or (max).
func (p *parser) argument(none, most int) (int, error) {
	if !p.accept("(") {
		return none, nil
	}
	if p.accept("max", ")") {
		return most, nil
	}
	n, err := p.integer()
	if err != nil {
		return 0, err
	}
	if n < 1 || n > int64(most) {
		return 0, refuse("22023", "length for type must be between 1 and %d", most)
	}
	return int(n), p.expect(")")
}

func (p *parser) numericType() (dataType, error) {
	t := dataType{name: "numeric", precision: 18}
	if !p.accept("(") {
		return t, nil
	}
	n, err := p.integer()
	if err != nil {
		return t, err
	}
	var scale int64
	if p.accept(",") {
		if scale, err = p.integer(); err != nil {
			return t, err
		}
	}
	switch {
	case n < 1 || n > 38:
		return t, refuse("22023", "NUMERIC precision %d must be between 1 and 38", n)
	case scale < 0 || scale > n || scale > 37:
		return t, refuse("22023", "NUMERIC scale %d must be between 0 and precision %d", scale, n)
	}
	t.precision, t.scale = int(n), int(scale)
	return t, p.expect(")")
}

func (p *parser) characterType(name string) (dataType, error) {
	if p.accept("varying") {
		name = "varchar"
	}
	switch name {
	case "text":
		return dataType{name: "character varying", length: 256}, p.noArguments()
	case "bpchar":
		return dataType{name: "character", length: 256}, p.noArguments()
	case "varchar", "nvarchar":
		n, err := p.argument(256, maxVarchar)
		return dataType{name: "character varying", length: n}, err
	}
	n, err := p.argument(1, maxChar)
	return dataType{name: "character", length: n}, err
}

// timeType has no precision: always microseconds.
func (p *parser) timeType(name string) (dataType, error) {
	if err := p.noArguments(); err != nil {
		return dataType{}, err
	}
	switch {
	case p.accept("with", "time", "zone"):
		return dataType{name: name + " with time zone"}, nil
	case p.accept("without", "time", "zone"):
	}
	return dataType{name: name + " without time zone"}, nil
}

// pg is the type in PostgreSQL.
func (t dataType) pg() string {
	switch t.name {
	case "numeric":
		return fmt.Sprintf("numeric(%d,%d)", t.precision, t.scale)
	case "character", "character varying":
		return fmt.Sprintf("%s(%d)", t.name, t.length)
	case "super":
		return "rs.super"
	case "binary varying":
		return "rs.varbyte"
	}
	return t.name
}

// String is the type as svv_columns and pg_table_def print it.
func (t dataType) String() string {
	switch t.name {
	case "numeric":
		return fmt.Sprintf("numeric(%d,%d)", t.precision, t.scale)
	case "character", "character varying", "binary varying":
		return fmt.Sprintf("%s(%d)", t.name, t.length)
	}
	return t.name
}

// lengthCheck begins the names of the constraints that count bytes.
const lengthCheck = "rs_bytes_"

// check is the constraint that PostgreSQL's type lacks: lengths are bytes, and char holds single-byte characters.
func (t dataType) check(column string) string {
	switch t.name {
	case "character varying":
		return fmt.Sprintf("CHECK (octet_length(%s) <= %d)", column, t.length)
	case "character":
		return fmt.Sprintf("CHECK (octet_length(%s::text) = char_length(%s::text))", column, column)
	case "binary varying":
		return fmt.Sprintf("CHECK (octet_length(%s::bytea) <= %d)", column, t.length)
	}
	return ""
}

// checkName is the name of the constraint of a column. It follows no rename, so it holds a hash and not the name.
func checkName(column string) string {
	sum := sha256.Sum256([]byte(column))
	return quote(lengthCheck + hex.EncodeToString(sum[:8]))
}
