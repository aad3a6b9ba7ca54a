package redshiftdouble

import (
	"context"
	"fmt"
	"strings"
)

// planDrop reads DROP TABLE, VIEW and SCHEMA.
func (s *session) planDrop(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	switch {
	case p.peek("table", "view", "schema"):
	case p.peek("database"):
		return &plan{verb: "drop database", alone: true, control: true, do: func(context.Context) (string, error) { return "", unsupported("DROP DATABASE") }}, nil
	case p.peek("external", "user", "group", "role", "function", "procedure", "materialized", "datashare", "model", "library", "identity"):
		return nil, unsupported("DROP %s", strings.ToUpper(p.ts[p.i].val))
	default:
		return nil, p.unexpected()
	}
	what := p.ts[p.i].val
	p.i++
	sql := "DROP " + what + " "
	if p.accept("if", "exists") {
		sql += "IF EXISTS "
	}
	for n := 0; n == 0 || p.accept(","); n++ {
		r, err := p.relation()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			sql += ", "
		}
		sql += r.pg
	}
	if p.peek("cascade", "restrict") {
		sql += " " + p.ts[p.i].val
		p.i++
	}
	return &plan{verb: "drop " + what, changes: true, sql: sql}, p.end()
}

// planTruncate commits the transaction it runs in, before and after, and leaves a new one open.
func (s *session) planTruncate(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	_ = p.accept("table")
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return &plan{verb: "truncate", control: true, changes: true, do: func(ctx context.Context) (string, error) {
		was := s.tx
		if err := s.commit(ctx); err != nil {
			return "", err
		}
		if err := s.enter(ctx, implicit); err != nil {
			return "", err
		}
		if err := s.silently(ctx, "TRUNCATE "+r.pg); err != nil {
			return "", err
		}
		s.wrote = true
		if err := s.commit(ctx); err != nil {
			return "", err
		}
		if was == block {
			return "TRUNCATE TABLE", s.enter(ctx, block)
		}
		return "TRUNCATE TABLE", nil
	}}, nil
}

// planLock reads LOCK [TABLE] a, b: always ACCESS EXCLUSIVE, and never a snapshot.
func (s *session) planLock(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	_ = p.accept("table")
	var tables []string
	for n := 0; n == 0 || p.accept(","); n++ {
		r, err := p.relation()
		if err != nil {
			return nil, err
		}
		tables = append(tables, r.pg)
	}
	sql := "LOCK TABLE " + strings.Join(tables, ", ") + " IN ACCESS EXCLUSIVE MODE"
	return &plan{verb: "lock", sql: sql, count: func(string) string { return "LOCK TABLE" }}, p.end()
}

func (s *session) planVacuum(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	if p.peek("full", "sort", "delete", "reindex", "recluster") {
		p.i++
		_ = p.accept("only")
	}
	if p.more() {
		if _, err := p.relation(); err != nil {
			return nil, err
		}
	}
	if p.accept("to") {
		if _, err := p.integer(); err != nil {
			return nil, err
		}
		if err := p.expect("percent"); err != nil {
			return nil, err
		}
	}
	_ = p.accept("boost")
	return &plan{verb: "vacuum", alone: true, control: true, do: done("VACUUM")}, p.end()
}

func (s *session) planAnalyze(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	if p.accept("compression") {
		return nil, unsupported("ANALYZE COMPRESSION")
	}
	_ = p.accept("verbose")
	if p.more() {
		if _, err := p.relation(); err != nil {
			return nil, err
		}
		if p.peek("(") {
			if _, err := p.columns(); err != nil {
				return nil, err
			}
		}
	}
	if !p.accept("predicate", "columns") {
		_ = p.accept("all", "columns")
	}
	return &plan{verb: "analyze", do: done("ANALYZE")}, p.end()
}

// planComment keeps comments on tables, columns, views and schemas.
func (s *session) planComment(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	if err := p.expect("on"); err != nil {
		return nil, err
	}
	if !p.peek("table", "column", "view", "schema") {
		return nil, unsupported("COMMENT on this object")
	}
	return &plan{verb: "comment", changes: true, sql: render(ts)}, nil
}

func (s *session) planExplain(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	if p.peek("analyze", "(") {
		return nil, p.unexpected()
	}
	_ = p.accept("verbose")
	if !p.more() {
		return nil, p.unexpected()
	}
	inner, err := s.plan(ts[p.i:])
	if err != nil {
		return nil, err
	}
	if inner.sql == "" {
		return nil, unsupported("EXPLAIN %s", strings.ToUpper(inner.verb))
	}
	return &plan{verb: "explain", sql: "EXPLAIN " + inner.sql, prepare: inner.prepare}, nil
}

// planCursor: one cursor a session, in a transaction only.
func (s *session) planCursor(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	verb := ts[0].val
	if verb == "declare" {
		return s.planDeclare(p)
	}
	pl := &plan{verb: verb, sql: render(ts), prepare: true}
	if verb == "close" {
		pl.after = func(context.Context) error {
			s.cursor = ""
			return nil
		}
	}
	return pl, nil
}

func (s *session) planDeclare(p *parser) (*plan, error) {
	name, err := p.ident()
	if err != nil {
		return nil, err
	}
	if err := p.expect("cursor"); err != nil { // no SCROLL, no BINARY
		return nil, err
	}
	if p.peek("with", "without") {
		return nil, p.unexpected() // no HOLD
	}
	if err := p.expect("for"); err != nil {
		return nil, err
	}
	query, err := s.planQuery(p.ts[p.i:])
	if err != nil {
		return nil, err
	}
	return &plan{verb: "declare", prepare: true, do: func(ctx context.Context) (string, error) {
		switch {
		case s.tx != block:
			return "", refuse("25P01", "DECLARE CURSOR may only be used in transaction blocks")
		case s.cursor != "":
			return "", refuse("0A000", "cursor %q is open: a session has one cursor", s.cursor)
		}
		s.cursor = name
		return "DECLARE CURSOR", s.silently(ctx, fmt.Sprintf("DECLARE %s CURSOR FOR %s", p.pgName(name), query.sql))
	}}, nil
}

// planCreateView reads CREATE [OR REPLACE] VIEW name [(columns)] AS query [WITH NO SCHEMA BINDING].
func (s *session) planCreateView(p *parser, replace, temp bool) (*plan, error) {
	if temp {
		return nil, nearby("view")
	}
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	columns := ""
	if p.peek("(") {
		names, err := p.columns()
		if err != nil {
			return nil, err
		}
		columns = " (" + p.pgNames(names) + ")"
	}
	if err := p.expect("as"); err != nil {
		return nil, err
	}
	body := p.ts[p.i:]
	if n := len(body); n > 4 && body[n-4].is("with") && body[n-3].is("no") && body[n-2].is("schema") && body[n-1].is("binding") {
		body = body[:n-4]
		if name, ok := unqualified(body); ok {
			return nil, refuse("0A000", "All the relation names inside should be qualified when creating VIEW WITH NO SCHEMA BINDING. Relation %q is not.", name)
		}
		return nil, unsupported("late-binding views (WITH NO SCHEMA BINDING)")
	}
	query, err := s.planQuery(body)
	if err != nil {
		return nil, err
	}
	create := "CREATE VIEW "
	if replace {
		create = "CREATE OR REPLACE VIEW "
	}
	return &plan{verb: "create view", changes: true, sql: create + r.pg + columns + " AS " + query.sql}, nil
}

// unqualified finds a relation after FROM or JOIN that has no schema.
func unqualified(ts []token) (string, bool) {
	for i := 1; i < len(ts); i++ {
		if ts[i-1].is("from", "join") && ts[i].identifier() && (i+1 >= len(ts) || !ts[i+1].is(".")) {
			return ts[i].val, true
		}
	}
	return "", false
}

// planAs is CREATE TABLE AS: no constraints, lengths as the query gives them.
func (t *table) planAs() (*plan, error) {
	p := t.parser
	if t.ifAbsent {
		return nil, nearby("as")
	}
	if len(t.items) > 0 {
		return nil, nearby("as")
	}
	body := p.ts[p.i:]
	if len(body) > 0 && body[0].is("(") && closing(body, 0) == len(body)-1 {
		body = body[1 : len(body)-1]
	}
	if len(body) == 0 {
		return nil, p.unexpected()
	}
	query, err := p.s.planQuery(body)
	if err != nil {
		return nil, err
	}
	kind, columns := "TABLE", ""
	if t.temp {
		kind = "TEMPORARY TABLE"
	}
	if len(t.names) > 0 {
		columns = " (" + p.pgNames(t.names) + ")"
	}
	sql := fmt.Sprintf("CREATE %s %s%s AS %s", kind, t.name.pg, columns, query.sql)
	return &plan{verb: "create table as", changes: true, do: func(ctx context.Context) (string, error) {
		if err := p.s.silently(ctx, sql); err != nil {
			return "", err
		}
		if err := p.s.sizeColumns(ctx, t.name.pg); err != nil {
			return "", err
		}
		return "SELECT", p.s.saveModel(ctx, t.name.pg, t.model)
	}}, nil
}

// sizeColumns gives the text columns of a new table lengths and the checks that count bytes.
func (s *session) sizeColumns(ctx context.Context, table string) error {
	columns, err := s.tableColumns(ctx, table)
	if err != nil {
		return err
	}
	var parts []string
	for _, c := range columns {
		name := quote(s.server.names.short(c.name))
		t := c.dataType(newModel())
		if (c.pg == "text" || c.pg == "varchar") && c.modifier < 4 || c.pg == "name" {
			parts = append(parts, fmt.Sprintf("ALTER COLUMN %s TYPE %s", name, t.pg()))
		}
		if check := t.check(name); check != "" {
			parts = append(parts, "ADD CONSTRAINT "+checkName(c.name)+" "+check)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return s.silently(ctx, "ALTER TABLE "+table+" "+strings.Join(parts, ", "))
}
