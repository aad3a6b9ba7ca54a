package redshiftdouble

import (
	"fmt"
	"slices"
	"strings"
)

// encodings are what ENCODE takes.
var encodings = strings.Fields("auto raw az64 bytedict delta delta32k lzo mostly8 mostly16 mostly32 runlength text255 text32k zstd none")

// columnDef is a column as CREATE TABLE and ADD COLUMN declare it.
type columnDef struct {
	name     string
	kind     dataType
	fallback []token // DEFAULT
	notNull  bool
	identity string // for PostgreSQL
	encoding string
	distKey  bool
	sortKey  bool
	keys     []constraint
}

// column reads a column of CREATE TABLE.
func (t *table) column(q *parser) error {
	c, err := q.columnDef()
	if err != nil {
		return err
	}
	if slices.Contains(t.columns, c.name) {
		return refuse("42701", "column %q duplicated", c.name)
	}
	t.columns = append(t.columns, c.name)
	t.items = append(t.items, c.pg(q))
	if check := c.kind.check(q.pgName(c.name)); check != "" {
		t.items = append(t.items, "CONSTRAINT "+checkName(c.name)+" "+check)
	}
	return t.model.add(c)
}

// add records a column's attributes.
func (m *model) add(c columnDef) error {
	if c.kind.name == "super" && (c.distKey || c.sortKey) {
		return refuse("0A000", "SUPER column %q cannot be a distribution or sort key", c.name)
	}
	if c.encoding != "" {
		m.Encodings[c.name] = c.encoding
	}
	if c.kind.name == "binary varying" {
		m.Bytes[c.name] = c.kind.length
	}
	if c.distKey {
		m.DistStyle, m.DistKey = "KEY", c.name
	}
	if c.sortKey {
		m.SortStyle, m.SortKeys = "COMPOUND", []string{c.name}
	}
	if c.identity != "" {
		m.Identity = append(m.Identity, c.name)
	}
	m.Keys = append(m.Keys, c.keys...)
	return nil
}

// columnDef reads name type [attributes].
func (q *parser) columnDef() (c columnDef, err error) {
	if c.name, err = q.ident(); err != nil {
		return c, err
	}
	if slices.Contains(systemColumns, c.name) {
		return c, refuse("42701", "column name %q conflicts with a system column name", c.name)
	}
	if c.kind, err = q.dataType(c.name); err != nil {
		return c, err
	}
	for q.more() {
		if err := q.columnAttribute(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (q *parser) columnAttribute(c *columnDef) (err error) {
	switch {
	case q.accept("default"):
		c.fallback, err = q.fallback()
	case q.accept("identity"):
		c.identity, err = q.identity("ALWAYS")
	case q.accept("generated", "by", "default", "as", "identity"):
		c.identity, err = q.identity("BY DEFAULT")
	case q.accept("encode"):
		if !q.more() || !slices.Contains(encodings, q.ts[q.i].val) {
			return q.unexpected()
		}
		c.encoding = q.ts[q.i].val
		q.i++
	case q.accept("distkey"):
		c.distKey = true
	case q.accept("sortkey"):
		c.sortKey = true
	case q.accept("collate"):
		if !q.peek("case_sensitive", "case_insensitive", "cs", "ci") {
			return q.unexpected()
		}
		if q.peek("case_insensitive", "ci") {
			return unsupported("COLLATE CASE_INSENSITIVE")
		}
		q.i++
	case q.accept("not", "null"):
		c.notNull = true
	case q.accept("null"):
	case q.accept("unique"):
		c.keys = append(c.keys, constraint{Kind: "UNIQUE", Columns: []string{c.name}})
	case q.accept("primary", "key"):
		c.notNull = true
		c.keys = append(c.keys, constraint{Kind: "PRIMARY KEY", Columns: []string{c.name}})
	case q.accept("references"):
		k := constraint{Kind: "FOREIGN KEY", Columns: []string{c.name}}
		err = q.references(&k)
		c.keys = append(c.keys, k)
	default:
		return q.unexpected()
	}
	return err
}

// identity reads (seed, step).
func (q *parser) identity(when string) (string, error) {
	if err := q.expect("("); err != nil {
		return "", err
	}
	seed, err := q.integer()
	if err != nil {
		return "", err
	}
	if err := q.expect(","); err != nil {
		return "", err
	}
	step, err := q.integer()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("GENERATED %s AS IDENTITY (START WITH %d INCREMENT BY %d MINVALUE %d)", when, seed, step, min(seed, 1)), q.expect(")")
}

// attributeWords end a DEFAULT expression.
var attributeWords = []string{"identity", "generated", "encode", "distkey", "sortkey", "collate", "not", "null", "unique", "primary", "references"}

// constants are the words that a default may hold.
var constants = []string{"null", "true", "false", "sysdate", "current_date", "current_user", "current_timestamp", "user", "date", "timestamp", "interval", "cast", "as"}

// fallback reads a DEFAULT: one constant expression, of functions and literals.
func (q *parser) fallback() ([]token, error) {
	start, depth := q.i, 0
	for ; q.more(); q.i++ {
		t := q.ts[q.i]
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is("select"):
			return nil, refuse("0A000", "cannot use subquery in default expression")
		}
		if depth == 0 && q.i > start && t.is(attributeWords...) {
			break
		}
		call := q.i+1 < len(q.ts) && q.ts[q.i+1].is("(")
		cast := q.i > start && q.ts[q.i-1].is("::")
		if t.identifier() && !call && !cast && !t.is(constants...) && depth == 0 {
			return nil, refuse("42P10", "cannot use column references in default expression")
		}
	}
	if q.i == start {
		return nil, q.unexpected()
	}
	return q.s.expression(q.ts[start:q.i])
}

// pg is the column for PostgreSQL, without what it does not enforce.
func (c columnDef) pg(q *parser) string {
	sql := q.pgName(c.name) + " " + c.kind.pg()
	if c.fallback != nil {
		sql += " DEFAULT " + render(c.fallback)
	}
	if c.identity != "" {
		sql += " " + c.identity
	}
	if c.notNull {
		sql += " NOT NULL"
	}
	return sql
}
