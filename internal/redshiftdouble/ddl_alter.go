package redshiftdouble

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// planAlter reads ALTER: one action a statement.
func (s *session) planAlter(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	switch {
	case p.accept("table"):
		return s.planAlterTable(p)
	case p.peek("database"):
		return &plan{verb: "alter database", alone: true, control: true, do: func(context.Context) (string, error) {
			return "", unsupported("ALTER DATABASE (the Go API's SetIsolation does it)")
		}}, nil
	case p.peek("user", "group", "schema", "default", "datashare", "external", "function", "procedure", "materialized", "role", "system", "identity"):
		return nil, unsupported("ALTER %s", strings.ToUpper(p.ts[p.i].val))
	}
	return nil, p.unexpected()
}

// alteration is an ALTER TABLE that is being read.
type alteration struct {
	s     *session
	p     *parser
	table relation
}

func (s *session) planAlterTable(p *parser) (*plan, error) {
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	a := &alteration{s: s, p: p, table: r}
	pl, err := a.action()
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil { // a second action, too
		return nil, err
	}
	return pl, nil
}

func (a *alteration) action() (*plan, error) {
	p := a.p
	switch {
	case p.accept("add"):
		return a.add()
	case p.accept("drop"):
		return a.drop()
	case p.accept("rename"):
		return a.rename()
	case p.accept("alter"):
		return a.alter()
	case p.accept("append", "from"):
		return a.appendFrom()
	case p.accept("owner", "to"):
		_, err := p.ident()
		return &plan{verb: "alter table", do: done("ALTER TABLE")}, err
	case p.peek("set", "partition", "row", "masking"):
		return nil, unsupported("ALTER TABLE %s", strings.ToUpper(p.ts[p.i].val))
	}
	return nil, p.unexpected()
}

// modelled is a plan that runs SQL and changes the table's model.
func (a *alteration) modelled(sql string, change func(context.Context, *model) error) *plan {
	s := a.s
	return &plan{verb: "alter table", changes: true, do: func(ctx context.Context) (string, error) {
		m, err := s.loadModel(ctx, a.table.pg)
		if err != nil {
			return "", err
		}
		if err := change(ctx, m); err != nil {
			return "", err
		}
		if sql != "" {
			if err := s.silently(ctx, "ALTER TABLE "+a.table.pg+" "+sql); err != nil {
				return "", err
			}
		}
		return "ALTER TABLE", s.saveModel(ctx, a.table.pg, m)
	}}
}

// add is ADD [COLUMN] or the record of a constraint.
func (a *alteration) add() (*plan, error) {
	p := a.p
	if p.peek("primary", "unique", "foreign", "constraint") {
		c, err := p.tableConstraint()
		if err != nil {
			return nil, err
		}
		return a.modelled("", func(_ context.Context, m *model) error {
			m.Keys = append(m.Keys, c)
			return nil
		}), nil
	}
	if p.peek("check", "exclude") {
		return nil, p.unexpected()
	}
	_ = p.accept("column")
	if p.sees("if", "not", "exists") {
		return nil, nearby("not")
	}
	c, err := a.addedColumn()
	if err != nil {
		return nil, err
	}
	sql := "ADD COLUMN " + c.pg(p)
	if check := c.kind.check(p.pgName(c.name)); check != "" {
		sql += ", ADD CONSTRAINT " + checkName(c.name) + " " + check
	}
	return a.modelled(sql, func(_ context.Context, m *model) error { return m.add(c) }), nil
}

func (a *alteration) addedColumn() (columnDef, error) {
	start := a.p.i
	c, err := a.p.columnDef()
	if err != nil {
		return c, err
	}
	switch {
	case len(c.keys) > 0:
		return c, refuse("0A000", "ALTER TABLE ADD COLUMN does not support PRIMARY KEY, UNIQUE or REFERENCES")
	case c.identity != "":
		return c, refuse("0A000", "ALTER TABLE ADD COLUMN does not support IDENTITY")
	case c.distKey || c.sortKey:
		return c, unexpected(a.p.ts, start)
	case c.notNull && c.fallback == nil:
		return c, refuse("0A000", "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
	}
	return c, nil
}

func (a *alteration) drop() (*plan, error) {
	p := a.p
	constraint := p.accept("constraint")
	if !constraint {
		_ = p.accept("column")
	}
	name, err := p.ident()
	if err != nil {
		return nil, err
	}
	how := ""
	if p.peek("cascade", "restrict") {
		how = " " + p.ts[p.i].val
		p.i++
	}
	if constraint {
		return a.modelled("", func(_ context.Context, m *model) error { return m.dropConstraint(name) }), nil
	}
	return a.modelled("DROP COLUMN "+p.pgName(name)+how, func(ctx context.Context, m *model) error { return a.droppable(ctx, m, name) }), nil
}

func (m *model) dropConstraint(name string) error {
	for i, k := range m.Keys {
		if k.Name == name {
			m.Keys = slices.Delete(m.Keys, i, i+1)
			return nil
		}
	}
	return refuse("42704", "constraint %q does not exist", name)
}

func (a *alteration) droppable(ctx context.Context, m *model, name string) error {
	switch {
	case m.DistKey == name:
		return refuse("0A000", "cannot drop distkey column %q", name)
	case slices.Contains(m.SortKeys, name):
		return refuse("0A000", "cannot drop sortkey column %q", name)
	}
	columns, err := a.s.tableColumns(ctx, a.table.pg)
	if err != nil {
		return err
	}
	if len(columns) == 1 && columns[0].name == name {
		return refuse("0A000", "cannot drop the only column of table %q", a.table.shown())
	}
	delete(m.Encodings, name)
	delete(m.Bytes, name)
	return nil
}

// rename is RENAME TO, which keeps the model with the row type, or RENAME [COLUMN] a TO b.
func (a *alteration) rename() (*plan, error) {
	p := a.p
	if p.accept("to") {
		to, err := p.ident()
		return &plan{verb: "alter table", changes: true, sql: fmt.Sprintf("ALTER TABLE %s RENAME TO %s", a.table.pg, p.pgName(to))}, err
	}
	_ = p.accept("column")
	from, err := p.ident()
	if err != nil {
		return nil, err
	}
	if err := p.expect("to"); err != nil {
		return nil, err
	}
	to, err := p.ident()
	if err != nil {
		return nil, err
	}
	return a.modelled(fmt.Sprintf("RENAME COLUMN %s TO %s", p.pgName(from), p.pgName(to)), func(ctx context.Context, m *model) error {
		m.renameColumn(from, to)
		return a.renameCheck(ctx, from, to)
	}), nil
}

// renameCheck renames the constraint that counts the column's bytes, because it is found by the column's name.
func (a *alteration) renameCheck(ctx context.Context, from, to string) error {
	there, err := a.s.value(ctx, fmt.Sprintf("SELECT 1 FROM pg_constraint WHERE conrelid = %s::regclass AND quote_ident(conname) = quote_ident(%s)",
		literal(a.table.pg), literal(strings.Trim(checkName(from), `"`))))
	if err != nil || there == "" {
		return err
	}
	return a.s.silently(ctx, fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", a.table.pg, checkName(from), checkName(to)))
}

func (m *model) renameColumn(from, to string) {
	if e, ok := m.Encodings[from]; ok {
		delete(m.Encodings, from)
		m.Encodings[to] = e
	}
	if n, ok := m.Bytes[from]; ok {
		delete(m.Bytes, from)
		m.Bytes[to] = n
	}
	if m.DistKey == from {
		m.DistKey = to
	}
	lists := [][]string{m.SortKeys, m.Identity}
	for _, k := range m.Keys {
		lists = append(lists, k.Columns)
	}
	for _, l := range lists {
		if i := slices.Index(l, from); i >= 0 {
			l[i] = to
		}
	}
}

// alter is ALTER [COLUMN] c TYPE ..., ALTER COLUMN c ENCODE e, or a change of keys.
func (a *alteration) alter() (*plan, error) {
	p := a.p
	switch {
	case p.peek("diststyle", "distkey", "sortkey", "compound", "interleaved") || p.sees("encode", "auto"):
		return a.keys()
	}
	_ = p.accept("column")
	name, err := p.ident()
	if err != nil {
		return nil, err
	}
	switch {
	case p.accept("type"):
		return a.changeType(name)
	case p.accept("encode"):
		if !p.more() || !slices.Contains(encodings, p.ts[p.i].val) {
			return nil, p.unexpected()
		}
		encoding := p.ts[p.i].val
		p.i++
		pl := a.modelled("", func(_ context.Context, m *model) error {
			m.Encodings[name] = encoding
			return nil
		})
		return pl, nil
	}
	return nil, p.unexpected()
}

func (a *alteration) keys() (*plan, error) {
	p := a.p
	t := &table{parser: p, model: newModel()}
	distkey := p.accept("diststyle", "key")
	switch {
	case distkey || p.peek("distkey"):
		if err := p.expect("distkey"); err != nil {
			return nil, err
		}
		name, err := p.ident()
		if err != nil {
			return nil, err
		}
		t.model.DistStyle, t.model.DistKey = "KEY", name
	default:
		if err := t.attribute(p); err != nil {
			return nil, err
		}
	}
	return a.modelled("", func(_ context.Context, m *model) error {
		if t.model.DistStyle != "AUTO" {
			m.DistStyle, m.DistKey = t.model.DistStyle, t.model.DistKey
		}
		if t.model.SortKeys != nil {
			m.SortStyle, m.SortKeys = t.model.SortStyle, t.model.SortKeys
		}
		return nil
	}), nil
}

// changeType widens or narrows a VARCHAR or VARBYTE; nothing else changes type in Redshift.
func (a *alteration) changeType(name string) (*plan, error) {
	p := a.p
	to, err := p.dataType(name)
	if err != nil {
		return nil, err
	}
	if p.more() { // USING, or a second action
		return nil, p.unexpected()
	}
	if to.name != "character varying" && to.name != "binary varying" {
		return nil, refuse("0A000", "ALTER COLUMN TYPE of column %q to %s is not supported: only the size of VARCHAR and VARBYTE changes", name, to)
	}
	pl := &plan{verb: "alter table alter column", alone: true, changes: true}
	pl.do = func(ctx context.Context) (string, error) {
		m, err := a.s.loadModel(ctx, a.table.pg)
		if err != nil {
			return "", err
		}
		if err := a.resizable(ctx, m, name, to); err != nil {
			return "", err
		}
		column := p.pgName(name)
		sql := fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s, ALTER COLUMN %s TYPE %s, ADD CONSTRAINT %s %s",
			a.table.pg, checkName(name), column, to.pg(), checkName(name), to.check(column))
		if err := a.s.silently(ctx, sql); err != nil {
			return "", err
		}
		m.Bytes[name] = to.length
		return "ALTER TABLE", a.s.saveModel(ctx, a.table.pg, m)
	}
	return pl, nil
}

// unresizable are the encodings whose columns keep their size.
var unresizable = []string{"bytedict", "runlength", "text255", "text32k"}

func (a *alteration) resizable(ctx context.Context, m *model, name string, to dataType) error {
	columns, err := a.s.tableColumns(ctx, a.table.pg)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(columns, func(c tableColumn) bool { return c.name == name })
	if i < 0 {
		return refuse("42703", "column %q of relation %q does not exist", name, a.table.shown())
	}
	was := columns[i].dataType(m)
	inKey := slices.ContainsFunc(m.Keys, func(k constraint) bool { return slices.Contains(k.Columns, name) })
	switch {
	case was.name != to.name:
		return refuse("0A000", "cannot alter column %q from %s to %s", name, was, to)
	case was.length == to.length:
		return refuse("0A000", "target column size should be different")
	case columns[i].fallback:
		return refuse("0A000", "cannot alter type of column %q: it has a default", name)
	case inKey:
		return refuse("0A000", "cannot alter type of column %q: it is part of a key", name)
	case slices.Contains(unresizable, m.Encodings[name]):
		return refuse("0A000", "cannot alter type of column %q with encoding %s", name, m.Encodings[name])
	}
	longest, err := a.s.value(ctx, fmt.Sprintf("SELECT coalesce(max(octet_length(%s::text)), 0) FROM %s", a.p.pgName(name), a.table.pg))
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(longest, &n); err != nil {
		return err
	}
	if to.name == "character varying" && n > to.length {
		return refuse("0A000", "cannot alter type of column %q: it holds values of %d bytes", name, n)
	}
	return nil
}

// appendFrom moves all rows of another table; it commits by itself.
func (a *alteration) appendFrom() (*plan, error) {
	from, err := a.p.relation()
	if err != nil {
		return nil, err
	}
	if a.p.peek("ignoreextra", "filltarget") {
		return nil, unsupported("ALTER TABLE APPEND ... IGNOREEXTRA | FILLTARGET")
	}
	s := a.s
	return &plan{verb: "alter table append", alone: true, writes: []string{a.table.pg, from.pg}, do: func(ctx context.Context) (string, error) {
		columns, err := s.tableColumns(ctx, a.table.pg)
		if err != nil {
			return "", err
		}
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.name
		}
		list := a.p.pgNames(names)
		if err := s.silently(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", a.table.pg, list, list, from.pg)); err != nil {
			return "", err
		}
		return "ALTER TABLE APPEND", s.silently(ctx, "DELETE FROM "+from.pg)
	}}, nil
}
