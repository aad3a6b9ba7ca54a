package cases

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Options say which cases are made. The zero value makes all.
type Options struct {
	Views   int // 0: 6
	Windows int // about how many windows of ten seconds the groups go over; 0: 3
	// History is the number of the history, and of the rows before it, over the tables and views of the seed.
	History uint64
	// MySQL leaves out what those servers do not have: JSON in a key.
	MySQL bool
}

// generator makes one case from one source of chance (invariant 2).
type generator struct {
	*rand.Rand
	o      Options
	c      *Case
	shared []Kind // that every table is likely to have, so that tables meet
	used   map[int]map[string]bool
}

// New makes the case of a seed.
func New(seed uint64, o Options) *Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 4)), o: o, c: &Case{}, used: map[int]map[string]bool{}}
	if g.o.Views == 0 {
		g.o.Views = 6
	}
	if g.o.Windows == 0 {
		g.o.Windows = 3
	}
	g.shared = []Kind{Int64, Text, Kind(g.IntN(len(kinds)))}
	for i := range 2 + g.IntN(3) {
		g.table(i)
	}
	for range g.o.Views {
		g.c.Views = append(g.c.Views, g.view())
	}
	g.Rand = rand.New(rand.NewPCG(seed, 5+o.History))
	for i := range g.c.Tables {
		g.rows(&g.c.Tables[i])
	}
	g.history()
	return g.c
}

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) table(i int) {
	t := Table{Source: i % 2, Name: fmt.Sprint("t", i), Key: 1 + g.IntN(4)/3}
	for k := range t.Key {
		kind := g.shared[g.IntN(len(g.shared))]
		if g.one(3) {
			kind = Kind(g.IntN(len(kinds)))
		}
		if g.o.MySQL && kind == JSON || i == 0 && kind.float() {
			kind = Date
		}
		t.Columns = append(t.Columns, Column{fmt.Sprint("id", k), kind})
	}
	for n, kind := range g.shared {
		if !g.one(5) {
			t.Columns = append(t.Columns, Column{fmt.Sprint("fk", n), kind})
		}
	}
	for n := range g.IntN(4) {
		t.Columns = append(t.Columns, Column{fmt.Sprint("p", n), Kind(g.IntN(len(kinds)))})
	}
	g.c.Tables = append(g.c.Tables, t)
}

// rows are what the table holds before anything happens.
func (g *generator) rows(t *Table) {
	now := &Content{t.Columns, t.Key, map[string][]int{}}
	for range g.IntN(7) {
		row := g.row(now)
		k := KeyText(t.Columns, row[:t.Key])
		if _, there := now.Rows[k]; !there {
			now.Rows[k] = row
			t.Rows = append(t.Rows, row)
		}
	}
}

// value is an index of a kind's domain. The first few values are likely, so that rows meet.
func (g *generator) value(k Kind, nullable bool) int {
	n := len(kinds[k].domain)
	switch {
	case nullable && g.one(5):
		return -1
	case g.one(4):
		return g.IntN(n)
	}
	return g.IntN(min(n, 4))
}

func (g *generator) row(t *Content) []int {
	row := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = g.value(c.Kind, i >= t.Key)
	}
	return row
}

// history makes the groups of both sources.
func (g *generator) history() {
	now, at, altered := g.c.Start(), 0, 0
	for end := g.o.Windows * 10_000; at < end; {
		group := Group{Source: g.IntN(2), Wait: g.IntN(4000)}
		if g.one(12) {
			group.Wait += 10_000 + g.IntN(10_000) // empty windows
		}
		at += group.Wait
		if g.one(8) {
			group.Late = g.IntN(20_000)
		}
		mine := g.tablesOf(group.Source)
		if altered < 3 && g.one(8) {
			group.Alter = g.alter(now, mine, altered)
			altered++
		}
		for n := g.IntN(7); n > 0 && group.Alter == nil; n-- {
			group.Changes = append(group.Changes, g.change(now, mine[g.IntN(len(mine))], group.Changes))
		}
		now = group.Apply(now)
		g.c.Groups = append(g.c.Groups, group)
	}
}

func (g *generator) tablesOf(source int) (out []int) {
	for i, t := range g.c.Tables {
		if t.Source == source {
			out = append(out, i)
		}
	}
	return out
}

// change changes a row of a table: most often one that is there, and only in one column.
func (g *generator) change(now []*Content, table int, before []Change) Change {
	t := (&Group{Changes: before}).Apply(now)[table]
	row := g.row(t)
	if len(t.Rows) == 0 || g.one(3) {
		return Change{Table: table, Row: row}
	}
	var keys []string
	for k := range t.Rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	old := t.Rows[keys[g.IntN(len(keys))]]
	switch g.IntN(5) {
	case 0: // gone
		return Change{Table: table, Old: old[:t.Key]}
	case 1: // to another key
		return Change{Table: table, Old: old[:t.Key], Row: append(slices.Clone(row[:t.Key]), old[t.Key:]...)}
	}
	next, at := slices.Clone(old), g.IntN(len(old))
	if at >= t.Key {
		next[at] = row[at]
	}
	return Change{Table: table, Row: next}
}

// alter adds a column, or drops one that no view reads.
func (g *generator) alter(now []*Content, mine []int, n int) *Alter {
	table := mine[g.IntN(len(mine))]
	t := now[table]
	var free []string
	for _, c := range t.Columns[t.Key:] {
		if !g.used[table][c.Name] {
			free = append(free, c.Name)
		}
	}
	if len(free) > 0 && g.one(2) {
		return &Alter{Table: table, Drop: free[g.IntN(len(free))]}
	}
	return &Alter{Table: table, Add: &Column{fmt.Sprint("new", n), Kind(g.IntN(len(kinds)))}}
}

// viewMaker makes one view.
type viewMaker struct {
	*generator
	v View
}

// view joins up to four tables (invariant 3).
func (g *generator) view() View {
	m := &viewMaker{generator: g}
	m.v.Mode = []Mode{Rows, Rows, Distinct, Groups, Groups, Ranks}[g.IntN(6)]
	for i := range 1 + g.IntN(4) {
		r := Rel{Table: g.IntN(len(g.c.Tables)), Left: g.IntN(3) > 0}
		if g.c.Tables[r.Table].floats() && (i == 0 || m.v.Mode != Groups && m.v.Mode != Distinct) {
			r.Table = 0 // a view's key holds no floating-point number
		}
		if i == 0 {
			r.Left = false
		}
		m.v.Rels = append(m.v.Rels, r)
		if at := len(m.v.Rels) - 1; at > 0 && !m.link(at) {
			m.v.Rels = m.v.Rels[:at] // it has no column that any of them could meet
		}
	}
	if g.one(2) {
		m.v.Where = m.cond(len(m.v.Rels), 0)
	}
	switch m.v.Mode {
	case Groups:
		m.aggregates()
	case Distinct:
		r := m.ref(len(m.v.Rels), func(k Kind) bool { return !k.float() })
		m.v.By = &r
		if len(m.v.Rels) == 1 || g.one(2) {
			m.v.Outs = []Out{{Op: "column", A: m.ref(1, nil)}}
		}
	default:
		m.outs()
	}
	return m.v
}

// ref is a random column of the first n relations for which ok, and notes that it is read.
func (m *viewMaker) ref(n int, ok func(Kind) bool) Ref {
	r, found := m.find(n, ok)
	if !found {
		panic("cases: no such column")
	}
	return r
}

func (m *viewMaker) find(n int, ok func(Kind) bool) (Ref, bool) {
	var all []Ref
	for i, r := range m.v.Rels[:n] {
		for _, c := range m.c.Tables[r.Table].Columns {
			if ok == nil || ok(c.Kind) {
				all = append(all, Ref{i, c.Name})
			}
		}
	}
	if len(all) == 0 {
		return Ref{}, false
	}
	r := all[m.IntN(len(all))]
	m.use(r)
	return r, true
}

func (m *viewMaker) use(r Ref) {
	table := m.v.Rels[r.Rel].Table
	if m.used[table] == nil {
		m.used[table] = map[string]bool{}
	}
	m.used[table][r.Col] = true
}

// floats reports whether a column of the key is a floating-point number.
func (t *Table) floats() bool {
	return slices.ContainsFunc(t.Columns[:t.Key], func(c Column) bool { return c.Kind.float() })
}

func (k Kind) float() bool { return k == Float32 || k == Float64 }

// link joins relation i to an earlier one by a column of a kind that both have.
func (m *viewMaker) link(i int) bool {
	t := m.c.Tables[m.v.Rels[i].Table]
	for range 1 + m.IntN(8)/7 {
		own := t.Columns[m.IntN(len(t.Columns))]
		other, found := m.find(i, func(k Kind) bool { return k == own.Kind })
		if !found {
			continue
		}
		e := Eq{Own: own.Name, Other: other}
		if m.one(8) {
			e.Else = new(int)
		}
		m.use(Ref{i, own.Name})
		m.v.Rels[i].On = append(m.v.Rels[i].On, e)
	}
	if len(m.v.Rels[i].On) > 0 && m.one(5) {
		m.v.Rels[i].And = m.cond(i+1, 0)
	}
	return len(m.v.Rels[i].On) > 0
}

func (m *viewMaker) cond(n, depth int) *Cond {
	if depth < 2 && m.one(4) {
		q := &Cond{Op: []string{"and", "or", "not"}[m.IntN(3)]}
		for range 2 {
			q.Of = append(q.Of, m.cond(n, depth+1))
		}
		if q.Op == "not" {
			q.Of = q.Of[:1]
		}
		return q
	}
	q := &Cond{Op: []string{"null", "not null", "=", "<>", "<", ">", "in", "columns"}[m.IntN(8)]}
	switch q.Op {
	case "null", "not null":
		q.A = m.ref(n, nil)
		return q
	case "columns":
		q.A = m.ref(n, nil)
		kind := m.c.kind(&m.v, q.A)
		q.B = m.ref(n, func(k Kind) bool { return k == kind })
		return q
	}
	var found bool
	if q.A, found = m.find(n, Kind.ordered); !found {
		q.Op, q.A = "not null", m.ref(n, nil)
		return q
	}
	kind := m.c.kind(&m.v, q.A)
	q.Lits = []int{m.value(kind, false)}
	if q.Op == "in" {
		q.Lits = append(q.Lits, m.value(kind, false))
	}
	return q
}

func (m *viewMaker) outs() {
	n := len(m.v.Rels)
	for range 1 + m.IntN(4) {
		o := Out{Op: []string{"column", "column", "coalesce", "add", "case", "concat", "less"}[m.IntN(7)]}
		ok := map[string]func(Kind) bool{"coalesce": Kind.ordered, "case": Kind.ordered, "less": Kind.ordered, "add": Kind.narrow, "concat": func(k Kind) bool { return k == Text }}[o.Op]
		var found bool
		if o.A, found = m.find(n, ok); !found {
			o.Op, o.A = "column", m.ref(n, nil)
		}
		kind := m.c.kind(&m.v, o.A)
		switch o.Op {
		case "coalesce":
			o.Lit = m.value(kind, false)
		case "case":
			o.B, o.Lit = m.ref(n, nil), m.value(kind, false)
		case "add":
			o.B = m.ref(n, ok)
		case "concat", "less":
			o.B = m.ref(n, func(k Kind) bool { return k == kind })
		}
		m.v.Outs = append(m.v.Outs, o)
	}
	if m.v.Mode == Ranks {
		r, found := m.find(n, Kind.ordered)
		if !found {
			m.v.Mode = Rows
			return
		}
		m.v.By = &r
	}
}

// narrow kinds can be added up without a thought.
func (k Kind) narrow() bool { return k == Int16 || k == Int32 }

func (m *viewMaker) aggregates() {
	n := len(m.v.Rels)
	for range 1 + m.IntN(3) {
		o := Out{Op: []string{"rows", "count", "sum", "min", "max", "different", "texts"}[m.IntN(7)]}
		ok := map[string]func(Kind) bool{"sum": Kind.narrow, "min": Kind.ordered, "max": Kind.ordered, "different": func(k Kind) bool { return k != JSON }, "texts": func(k Kind) bool { return k == Text }}[o.Op]
		if o.Op != "rows" {
			var found bool
			if o.A, found = m.find(n, ok); !found {
				o.Op, o.A = "count", m.ref(n, nil)
			}
		}
		m.v.Outs = append(m.v.Outs, o)
	}
	if m.one(3) {
		m.v.Outs = append(m.v.Outs, Out{Op: "column", A: m.ref(1, nil)})
	}
	m.v.Having = m.one(4)
}
