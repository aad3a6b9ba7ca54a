package redshiftdouble

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// planCreate chooses by what is made.
func (s *session) planCreate(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	replace := p.accept("or", "replace")
	_ = p.accept("local")
	temp := p.peek("temp", "temporary")
	if temp {
		p.i++
	}
	switch {
	case p.accept("table"):
		if replace {
			return nil, nearby("table")
		}
		return s.planCreateTable(p, temp)
	case temp && !p.peek("view"):
		return nil, p.unexpected()
	case p.accept("view"):
		return s.planCreateView(p, replace, temp)
	case p.accept("schema"):
		return s.planCreateSchema(p)
	case p.peek("database", "user", "group", "role", "datashare", "identity", "model", "library", "masking", "rls"):
		return s.unsupportedCreate(p)
	case p.peek("external", "materialized", "function", "procedure", "aggregate"):
		return nil, unsupported("CREATE %s", strings.ToUpper(p.ts[p.i].val))
	}
	return nil, p.unexpected()
}

func (s *session) unsupportedCreate(p *parser) (*plan, error) {
	r := unsupported("CREATE %s", strings.ToUpper(p.ts[p.i].val))
	return &plan{verb: "create " + p.ts[p.i].val, alone: p.peek("database", "library"), control: true, do: func(context.Context) (string, error) { return "", r }}, nil
}

func (s *session) planCreateSchema(p *parser) (*plan, error) {
	exists := p.accept("if", "not", "exists")
	name, err := p.ident()
	if err != nil {
		return nil, err
	}
	if p.accept("authorization") {
		if _, err := p.ident(); err != nil {
			return nil, err
		}
	}
	if p.accept("quota") {
		p.i = len(p.ts)
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	sql := "CREATE SCHEMA "
	if exists {
		sql += "IF NOT EXISTS "
	}
	return &plan{verb: "create schema", changes: true, sql: sql + p.pgName(name)}, nil
}

// table is a CREATE TABLE that is being read.
type table struct {
	parser   *parser
	name     relation
	temp     bool
	ifAbsent bool
	model    *model
	columns  []string
	items    []string // for PostgreSQL
	names    []string // of a list without types: CREATE TABLE t (a, b) AS
}

func (s *session) planCreateTable(p *parser, temp bool) (*plan, error) {
	t := &table{parser: p, temp: temp, model: newModel()}
	t.ifAbsent = p.accept("if", "not", "exists")
	var err error
	if t.name, err = p.relation(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(t.name.name, "#") {
		t.temp = true
	}
	if t.temp && t.name.schema != "" {
		return nil, refuse("42P16", "temporary tables may not specify a schema name")
	}
	if p.peek("(") && !p.isQuery() {
		inside, err := p.parens()
		if err != nil {
			return nil, err
		}
		if err := t.definitions(inside); err != nil {
			return nil, err
		}
	}
	if err := t.attributes(); err != nil {
		return nil, err
	}
	if p.accept("as") {
		return t.planAs()
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if len(t.items) == 0 {
		return nil, p.unexpected()
	}
	return t.plan()
}

// isQuery reports whether the parenthesis at hand holds a query.
func (p *parser) isQuery() bool {
	i := p.i
	for i < len(p.ts) && p.ts[i].is("(") {
		i++
	}
	return i < len(p.ts) && p.ts[i].is("select", "with")
}

func (t *table) definitions(ts []token) error {
	for _, item := range list(ts) {
		q := &parser{s: t.parser.s, ts: item}
		if err := t.definition(q); err != nil {
			return err
		}
	}
	if len(t.columns) > 1600 {
		return refuse("54011", "tables can have at most 1600 columns")
	}
	return nil
}

// definition is a column, a constraint of the table, or LIKE.
func (t *table) definition(q *parser) error {
	switch {
	case q.accept("like"):
		return t.like(q)
	case q.peek("primary", "unique", "foreign", "constraint"):
		c, err := q.tableConstraint()
		if err != nil {
			return err
		}
		t.model.Keys = append(t.model.Keys, c)
		return q.end()
	case q.peek("check", "exclude"):
		return q.unexpected()
	case len(q.ts) == 1:
		name, err := q.ident()
		t.names = append(t.names, name)
		return err
	}
	return t.column(q)
}

func (t *table) like(q *parser) error {
	from, err := q.relation()
	if err != nil {
		return err
	}
	sql := "LIKE " + from.pg + " INCLUDING CONSTRAINTS"
	switch {
	case q.accept("including", "defaults"):
		sql += " INCLUDING DEFAULTS"
	case q.accept("excluding", "defaults"):
	}
	t.items = append(t.items, sql)
	t.model.DistStyle = "LIKE " + from.pg // resolved when the table is made
	return q.end()
}

// tableConstraint reads [CONSTRAINT name] {PRIMARY KEY | UNIQUE} (..) | FOREIGN KEY (..) REFERENCES t [(..)].
func (q *parser) tableConstraint() (c constraint, err error) {
	if q.accept("constraint") {
		if c.Name, err = q.ident(); err != nil {
			return c, err
		}
	}
	switch {
	case q.accept("primary", "key"):
		c.Kind = "PRIMARY KEY"
	case q.accept("unique"):
		c.Kind = "UNIQUE"
	case q.accept("foreign", "key"):
		c.Kind = "FOREIGN KEY"
	default:
		return c, q.unexpected()
	}
	if c.Columns, err = q.columns(); err != nil || c.Kind != "FOREIGN KEY" {
		return c, err
	}
	if err := q.expect("references"); err != nil {
		return c, err
	}
	return c, q.references(&c)
}

func (q *parser) references(c *constraint) error {
	r, err := q.relation()
	if err != nil {
		return err
	}
	c.Table = r.pg
	if q.peek("(") {
		_, err = q.columns()
	}
	return err
}

// attributes reads what follows the columns: BACKUP, DISTSTYLE, DISTKEY, SORTKEY, ENCODE AUTO, in any order.
func (t *table) attributes() error {
	for t.parser.more() && !t.parser.peek("as") {
		if err := t.attribute(t.parser); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) attribute(p *parser) (err error) {
	switch {
	case p.accept("backup"):
		if !p.peek("yes", "no") {
			return p.unexpected()
		}
		t.model.NoBackup = p.peek("no")
		p.i++
	case p.accept("diststyle"):
		if !p.peek("auto", "even", "key", "all") {
			return p.unexpected()
		}
		t.model.DistStyle = strings.ToUpper(p.ts[p.i].val)
		p.i++
	case p.accept("distkey"):
		var cols []string
		if cols, err = p.columns(); err == nil && len(cols) != 1 {
			err = refuse("42601", "DISTKEY takes one column")
		}
		if err == nil {
			t.model.DistStyle, t.model.DistKey = "KEY", cols[0]
		}
	case p.accept("encode", "auto"):
	case p.peek("sortkey", "compound", "interleaved"):
		t.model.SortStyle, t.model.SortKeys, err = p.sortKey()
	default:
		return p.unexpected()
	}
	return err
}

func (p *parser) sortKey() (style string, columns []string, err error) {
	style = "COMPOUND"
	switch {
	case p.accept("interleaved"):
		style = "INTERLEAVED"
	case p.accept("compound"):
	}
	if err := p.expect("sortkey"); err != nil {
		return "", nil, err
	}
	if p.accept("auto") {
		return "AUTO", nil, nil
	}
	if p.accept("none") {
		return "COMPOUND", nil, nil
	}
	columns, err = p.columns()
	return style, columns, err
}

// plan makes the table and records its model.
func (t *table) plan() (*plan, error) {
	if err := t.checkKeys(); err != nil {
		return nil, err
	}
	s := t.parser.s
	temporary := ""
	if t.temp {
		temporary = "TEMPORARY "
	}
	sql := fmt.Sprintf("CREATE %sTABLE %s (%s)", temporary, t.name.pg, strings.Join(t.items, ", "))
	return &plan{verb: "create table", changes: true, do: func(ctx context.Context) (string, error) {
		return "CREATE TABLE", t.create(ctx, s, sql)
	}}, nil
}

// create runs the statement unless the table is there, and saves the model.
func (t *table) create(ctx context.Context, s *session, sql string) error {
	if t.ifAbsent {
		there, err := s.value(ctx, fmt.Sprintf("SELECT to_regclass(%s)", literal(t.name.pg)))
		if err != nil {
			return err
		}
		if there != "" {
			s.notice("INFO", "00000", "Relation %q already exists and will be skipped", t.name.shown())
			return nil
		}
	}
	if err := s.silently(ctx, sql); err != nil {
		return err
	}
	if from, ok := strings.CutPrefix(t.model.DistStyle, "LIKE "); ok {
		keys := t.model.Keys
		m, err := s.loadModel(ctx, from)
		if err != nil {
			return err
		}
		t.model, m.Keys = m, keys
	}
	return s.saveModel(ctx, t.name.pg, t.model)
}

func (t *table) checkKeys() error {
	if strings.HasPrefix(t.model.DistStyle, "LIKE ") {
		return nil
	}
	if t.model.DistStyle == "KEY" && t.model.DistKey == "" {
		return refuse("42601", "No DISTKEY specified for DISTSTYLE KEY.")
	}
	wanted := slices.Clone(t.model.SortKeys)
	if t.model.DistKey != "" {
		wanted = append(wanted, t.model.DistKey)
	}
	for _, k := range t.model.Keys {
		wanted = append(wanted, k.Columns...)
	}
	for _, c := range wanted {
		if !slices.Contains(t.columns, c) {
			return refuse("42703", "column %q named in key does not exist", c)
		}
	}
	return nil
}
