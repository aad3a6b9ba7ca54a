package redshiftdouble

import (
	"strings"
)

// expression checks and rewrites a part of a query.
func (s *session) expression(ts []token) ([]token, error) {
	if err := s.check(ts); err != nil {
		return nil, err
	}
	return s.rewrite(ts)
}

// planQuery reads SELECT, or WITH in front of SELECT, UPDATE or DELETE.
func (s *session) planQuery(ts []token) (*plan, error) {
	if len(ts) == 0 {
		return nil, unexpected(ts, 0)
	}
	if ts[0].is("with") {
		at, err := afterWith(ts)
		if err != nil {
			return nil, err
		}
		switch {
		case ts[at].is("update", "delete"):
			return s.planWithChange(ts, at)
		case !ts[at].is("select", "("):
			return nil, unexpected(ts, at)
		}
	}
	depth := 0
	for i, t := range ts {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is("into") && depth == 0 && i > 0:
			return nil, unsupported("SELECT INTO")
		}
	}
	if err := s.serverless(ts); err != nil {
		return nil, err
	}
	if err := s.leaderOnly(ts); err != nil {
		return nil, err
	}
	out, err := s.expression(ts)
	if err != nil {
		return nil, err
	}
	return &plan{verb: "select", sql: render(out), prepare: true}, nil
}

// afterWith is where the statement begins that follows the common table expressions.
func afterWith(ts []token) (int, error) {
	i := 1
	if i < len(ts) && ts[i].is("recursive") {
		i++
	}
	for i < len(ts) {
		i++ // the name
		if i < len(ts) && ts[i].is("(") {
			i = closing(ts, i) + 1
			if i == 0 {
				return 0, unexpected(ts, len(ts))
			}
		}
		if i+1 >= len(ts) || !ts[i].is("as") || !ts[i+1].is("(") { // MATERIALIZED is PostgreSQL's
			return 0, unexpected(ts, i+1)
		}
		if i+2 < len(ts) && ts[i+2].is("insert", "update", "delete") {
			return 0, unexpected(ts, i+2)
		}
		i = closing(ts, i+1) + 1
		if i == 0 || i >= len(ts) {
			return 0, unexpected(ts, len(ts))
		}
		if !ts[i].is(",") {
			return i, nil
		}
		i++
	}
	return 0, unexpected(ts, i)
}

func (s *session) planWithChange(ts []token, at int) (*plan, error) {
	with, err := s.expression(ts[:at])
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ts[at:])
	if err != nil {
		return nil, err
	}
	p.sql = render(with) + " " + p.sql
	return p, nil
}

// planInsert reads INSERT INTO t [(columns)] {VALUES ... | DEFAULT VALUES | query}.
func (s *session) planInsert(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	if err := p.expect("into"); err != nil {
		return nil, err
	}
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	sql := "INSERT INTO " + r.pg
	if p.peek("(") && !p.isQuery() {
		columns, err := p.columns()
		if err != nil {
			return nil, err
		}
		sql += " (" + p.pgNames(columns) + ")"
	}
	rest := ts[p.i:]
	switch {
	case p.sees("default", "values"):
		p.i += 2
		return &plan{verb: "insert", prepare: true, writes: []string{r.pg}, sql: sql + " DEFAULT VALUES"}, p.end()
	case p.accept("values"):
		rest, err = s.expression(ts[p.i:])
		sql += " VALUES "
	case p.peek("select", "with", "("):
		var query *plan
		if query, err = s.planQuery(rest); err == nil {
			return &plan{verb: "insert", prepare: true, writes: []string{r.pg}, sql: sql + " " + query.sql}, nil
		}
	default:
		return nil, p.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return &plan{verb: "insert", prepare: true, writes: []string{r.pg}, sql: sql + render(rest)}, nil
}

// planUpdate reads UPDATE t [[AS] alias] SET c = .. [FROM ..] [WHERE ..].
func (s *session) planUpdate(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	sql := "UPDATE " + r.pg
	if p.accept("as") || !p.peek("set") {
		alias, err := p.ident()
		if err != nil {
			return nil, err
		}
		sql += " AS " + p.pgName(alias)
	}
	if err := p.expect("set"); err != nil {
		return nil, err
	}
	rest := ts[p.i:]
	for _, item := range list(untilAny(rest, "from", "where")) {
		if len(item) < 2 || !item[0].identifier() || !item[1].is("=") {
			return nil, unexpected(item, min(1, len(item)))
		}
	}
	body, err := s.expression(rest)
	if err != nil {
		return nil, err
	}
	return &plan{verb: "update", prepare: true, writes: []string{r.pg}, sql: sql + " SET " + render(body)}, nil
}

// untilAny is what stands before the first of the words, outside of parentheses.
func untilAny(ts []token, words ...string) []token {
	depth := 0
	for i, t := range ts {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is(words...):
			return ts[:i]
		}
	}
	return ts
}

// planDelete reads DELETE [FROM] t [USING ..] [WHERE ..]: the table has no alias.
func (s *session) planDelete(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	_ = p.accept("from")
	r, err := p.relation()
	if err != nil {
		return nil, err
	}
	if p.more() && !p.peek("using", "where") {
		return nil, p.unexpected()
	}
	body, err := s.expression(ts[p.i:])
	if err != nil {
		return nil, err
	}
	return &plan{verb: "delete", prepare: true, writes: []string{r.pg}, sql: strings.TrimSpace("DELETE FROM " + r.pg + " " + render(body))}, nil
}
