package redshiftdouble

import (
	"context"
	"fmt"
	"strings"
)

// mergeCommand is a MERGE in Redshift's narrow form.
type mergeCommand struct {
	target relation
	source relation
	alias  string // of the source, as PostgreSQL is told
	on     []token
	when   []token
}

// planMerge reads MERGE INTO t USING s [[AS] a] ON equality {WHEN MATCHED THEN .. WHEN NOT MATCHED THEN .. | REMOVE DUPLICATES}.
func (s *session) planMerge(ts []token) (*plan, error) {
	p := &parser{s: s, ts: ts, i: 1}
	m := &mergeCommand{}
	var err error
	if err = p.expect("into"); err != nil {
		return nil, err
	}
	if m.target, err = p.relation(); err != nil {
		return nil, err
	}
	if err := p.expect("using"); err != nil { // the target has no alias
		return nil, err
	}
	if p.peek("(") {
		return nil, refuse("0A000", "MERGE source must be a table, not a subquery")
	}
	if m.source, err = p.relation(); err != nil {
		return nil, err
	}
	if !p.peek("on") {
		_ = p.accept("as")
		name, err := p.ident()
		if err != nil {
			return nil, err
		}
		m.alias = " AS " + p.pgName(name)
	}
	if err := p.expect("on"); err != nil {
		return nil, err
	}
	if m.source.pg == m.target.pg {
		return nil, refuse("0A000", "MERGE source and target must be different tables")
	}
	m.on = untilAny(ts[p.i:], "when", "remove")
	p.i += len(m.on)
	if err := equalities(m.on); err != nil {
		return nil, err
	}
	if m.on, err = s.expression(m.on); err != nil {
		return nil, err
	}
	if p.accept("remove", "duplicates") {
		return m.removeDuplicates(p)
	}
	return m.plan(p)
}

// equalities refuses a condition that is not a = b [AND ...].
func equalities(on []token) error {
	for len(on) > 1 && on[0].is("(") && closing(on, 0) == len(on)-1 {
		on = on[1 : len(on)-1]
	}
	if len(on) == 0 {
		return refuse("42601", "syntax error at end of input")
	}
	depth, equal := 0, 0
	for i, t := range on {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is("and"):
			if equal != 1 {
				return mergeCondition()
			}
			equal = 0
		case depth == 0 && t.is("="):
			equal++
		case depth == 0 && (t.is("or", "not", "is", "like", "in", "between", "exists") || t.kind == op && t.is("<", ">", "<=", ">=", "<>", "!=", "~")):
			return mergeCondition()
		case i == len(on)-1:
		}
	}
	if equal != 1 {
		return mergeCondition()
	}
	return nil
}

func mergeCondition() error {
	return refuse("0A000", "MERGE supports only equality conditions joined by AND")
}

// plan reads the two clauses, each of which there must be once.
func (m *mergeCommand) plan(p *parser) (*plan, error) {
	matched, missing := 0, 0
	sql := fmt.Sprintf("MERGE INTO %s USING %s%s ON %s", m.target.pg, m.source.pg, m.alias, render(m.on))
	for p.more() {
		if err := p.expect("when"); err != nil {
			return nil, err
		}
		not := p.accept("not")
		if err := p.expect("matched"); err != nil {
			return nil, err
		}
		if err := p.expect("then"); err != nil { // no AND
			return nil, err
		}
		body := untilAny(p.ts[p.i:], "when")
		part, err := p.s.mergeClause(body, not)
		if err != nil {
			return nil, err
		}
		p.i += len(body)
		if not {
			missing++
			sql += " WHEN NOT MATCHED THEN " + part
		} else {
			matched++
			sql += " WHEN MATCHED THEN " + part
		}
	}
	if matched != 1 || missing != 1 {
		return nil, refuse("42601", "MERGE needs exactly one WHEN MATCHED and one WHEN NOT MATCHED clause")
	}
	s := p.s
	return &plan{verb: "merge", writes: []string{m.target.pg}, do: func(ctx context.Context) (string, error) {
		if err := m.isTable(ctx, s); err != nil {
			return "", err
		}
		return "MERGE", s.silently(ctx, sql)
	}}, nil
}

func (s *session) mergeClause(body []token, not bool) (string, error) {
	p := &parser{s: s, ts: body}
	switch {
	case not && p.accept("insert"):
	case !not && p.accept("delete"):
		return "DELETE", p.end()
	case !not && p.accept("update", "set"):
		for _, item := range list(body[p.i:]) {
			if len(item) < 2 || !item[0].identifier() || !item[1].is("=") {
				return "", unexpected(item, min(1, len(item)))
			}
		}
	default: // DO NOTHING, for one
		return "", p.unexpected()
	}
	out, err := s.expression(body)
	return render(out), err
}

// isTable refuses views as a source.
func (m *mergeCommand) isTable(ctx context.Context, s *session) error {
	kind, err := s.value(ctx, fmt.Sprintf("SELECT relkind FROM pg_class WHERE oid = %s::regclass", literal(m.source.pg)))
	if err == nil && kind != "r" {
		return refuse("0A000", "MERGE source must be a table")
	}
	return err
}

// removeDuplicates replaces the matching rows. What Redshift does with duplicates inside the source is not known, so they are refused.
func (m *mergeCommand) removeDuplicates(p *parser) (*plan, error) {
	if err := p.end(); err != nil {
		return nil, err
	}
	s := p.s
	return &plan{verb: "merge", writes: []string{m.target.pg}, do: func(ctx context.Context) (string, error) {
		if err := m.isTable(ctx, s); err != nil {
			return "", err
		}
		if err := m.sameShape(ctx, s); err != nil {
			return "", err
		}
		source := m.source.pg + m.alias
		twice, err := s.value(ctx, fmt.Sprintf("SELECT 1 FROM %s JOIN %s ON %s GROUP BY %s.ctid HAVING count(*) > 1 LIMIT 1", m.target.pg, source, render(m.on), m.target.pg))
		if err != nil {
			return "", err
		}
		if twice != "" {
			return "", unsupported("MERGE ... REMOVE DUPLICATES with several source rows for one target row")
		}
		if err := s.silently(ctx, fmt.Sprintf("DELETE FROM %s USING %s WHERE %s", m.target.pg, source, render(m.on))); err != nil {
			return "", err
		}
		return "MERGE", s.silently(ctx, fmt.Sprintf("INSERT INTO %s SELECT * FROM %s", m.target.pg, source))
	}}, nil
}

func (m *mergeCommand) sameShape(ctx context.Context, s *session) error {
	t, err := s.tableColumns(ctx, m.target.pg)
	if err != nil {
		return err
	}
	o, err := s.tableColumns(ctx, m.source.pg)
	if err != nil {
		return err
	}
	same := len(t) == len(o) // positions and types; names do not count
	for i := 0; same && i < len(t); i++ {
		same = t[i].pg == o[i].pg || strings.HasPrefix(t[i].pg, "int") && strings.HasPrefix(o[i].pg, "int")
	}
	if !same {
		return refuse("42804", "MERGE REMOVE DUPLICATES needs source and target tables with the same columns in the same order")
	}
	return nil
}
