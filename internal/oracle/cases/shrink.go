package cases

import (
	"slices"
	"time"
)

// Shrink makes a case that fails smaller, as long as it fails and for the time given: fewer views, groups, changes, rows,
// tables and columns, simpler views, times and values (invariant 4). fails runs a case; it says why it fails, or that it does
// not, or that it is no case.
func Shrink(c *Case, limit time.Duration, fails func(*Case) bool) (smallest *Case, tries int) {
	deadline := time.Now().Add(limit)
	for again := true; again; {
		again = false
		for _, pass := range passes {
			// A pass gives candidates by number; after one that fails, the same number is another candidate of the smaller case.
			for i := 0; time.Now().Before(deadline); {
				next, more := pass(c, i)
				if !more {
					break
				}
				if next == nil {
					i++
					continue
				}
				tries++
				if fails(next) {
					c, again = next, true
				} else {
					i++
				}
			}
		}
	}
	return c, tries
}

// passes are ways to make a case smaller, the coarse ones first. Each gives its i-th candidate: nil when that is none.
var passes = []func(c *Case, i int) (next *Case, more bool){
	oneView, fewerGroups, fewerChanges, fewerRows, fewerTables, simplerViews, fewerColumns, simplerTimes, simplerValues,
}

// oneView keeps the i-th view alone, or none.
func oneView(c *Case, i int) (*Case, bool) {
	if i > len(c.Views) || len(c.Views) == 0 || len(c.Views) == 1 && i < 1 {
		return nil, i < len(c.Views)
	}
	out := c.clone()
	out.Views = nil
	if i < len(c.Views) {
		out.Views = []View{c.clone().Views[i]}
	}
	return out, true
}

// fewerGroups leaves out halves, quarters and so on, and then single groups. What a group waits falls to the next one.
func fewerGroups(c *Case, i int) (*Case, bool) {
	from, to, more := chunk(len(c.Groups), i)
	if !more {
		return nil, false
	}
	out := c.clone()
	for n := from; n < to && to < len(out.Groups); n++ {
		out.Groups[to].Wait += out.Groups[n].Wait
	}
	out.Groups = slices.Delete(out.Groups, from, to)
	return out.valid(), true
}

// chunk is the i-th of the halves, quarters, ... and single ones of n things.
func chunk(n, i int) (from, to int, more bool) {
	for size := (n + 1) / 2; size > 0; size /= 2 {
		count := (n + size - 1) / size
		if i < count {
			return i * size, min(n, (i+1)*size), true
		}
		i -= count
	}
	return 0, 0, false
}

func fewerChanges(c *Case, i int) (*Case, bool) {
	for n := range c.Groups {
		if m := len(c.Groups[n].Changes); i >= m {
			i -= m
			continue
		}
		out := c.clone()
		out.Groups[n].Changes = slices.Delete(out.Groups[n].Changes, i, i+1)
		return out, true
	}
	return nil, false
}

func fewerRows(c *Case, i int) (*Case, bool) {
	for n := range c.Tables {
		if m := len(c.Tables[n].Rows); i >= m {
			i -= m
			continue
		}
		out := c.clone()
		out.Tables[n].Rows = slices.Delete(out.Tables[n].Rows, i, i+1)
		return out, true
	}
	return nil, false
}

// fewerTables leaves out a table that no view joins, with its changes. A source keeps one.
func fewerTables(c *Case, i int) (*Case, bool) {
	if i >= len(c.Tables) {
		return nil, false
	}
	for _, v := range c.Views {
		if slices.ContainsFunc(v.Rels, func(r Rel) bool { return r.Table == i }) {
			return nil, true
		}
	}
	beside := func(t Table) bool { return t.Source == c.Tables[i].Source && t.Name != c.Tables[i].Name }
	if !slices.ContainsFunc(c.Tables, beside) {
		return nil, true
	}
	out := c.clone()
	out.Tables = slices.Delete(out.Tables, i, i+1)
	for _, v := range out.Views {
		for r := range v.Rels {
			v.Rels[r].Table = without(v.Rels[r].Table, i)
		}
	}
	out.Groups = slices.DeleteFunc(out.Groups, func(g Group) bool { return g.Alter != nil && g.Alter.Table == i })
	for n := range out.Groups {
		g := &out.Groups[n]
		g.Changes = slices.DeleteFunc(g.Changes, func(ch Change) bool { return ch.Table == i })
		for k := range g.Changes {
			g.Changes[k].Table = without(g.Changes[k].Table, i)
		}
		if g.Alter != nil {
			g.Alter.Table = without(g.Alter.Table, i)
		}
	}
	return out, true
}

// without is the number of a thing after another has gone.
func without(n, gone int) int {
	if n > gone {
		return n - 1
	}
	return n
}

// simplerViews leaves out the last relation, a condition, an output, an alternative.
func simplerViews(c *Case, i int) (*Case, bool) {
	for n := range c.Views {
		all := simpler(&c.Views[n])
		if i >= len(all) {
			i -= len(all)
			continue
		}
		out := c.clone()
		all[i](&out.Views[n])
		if !out.Views[n].valid() {
			return nil, true
		}
		return out, true
	}
	return nil, false
}

func simpler(v *View) (out []func(*View)) {
	if len(v.Rels) > 1 {
		out = append(out, func(v *View) { v.Rels = v.Rels[:len(v.Rels)-1] })
	}
	if v.Where != nil {
		out = append(out, func(v *View) { v.Where = nil })
		for k := range v.Where.Of {
			out = append(out, func(v *View) { v.Where = v.Where.Of[k] })
		}
	}
	for k := range v.Outs {
		out = append(out, func(v *View) { v.Outs = slices.Delete(v.Outs, k, k+1) })
		if o := v.Outs[k].Op; v.Mode != Groups && o != "column" {
			out = append(out, func(v *View) { v.Outs[k] = Out{Op: "column", A: v.Outs[k].A} })
		}
	}
	if v.Having {
		out = append(out, func(v *View) { v.Having = false })
	}
	if v.Mode == Ranks {
		out = append(out, func(v *View) { v.Mode, v.By = Rows, nil })
	}
	for k := range v.Rels {
		if v.Rels[k].And != nil {
			out = append(out, func(v *View) { v.Rels[k].And = nil })
		}
		if len(v.Rels[k].On) > 1 {
			out = append(out, func(v *View) { v.Rels[k].On = v.Rels[k].On[:1] }, func(v *View) { v.Rels[k].On = v.Rels[k].On[1:] })
		}
		if k > 0 && v.Rels[k].Left {
			out = append(out, func(v *View) { v.Rels[k].Left = false })
		}
	}
	return out
}

// refs are all columns that a view reads.
func (v *View) refs() (out []Ref) {
	var cond func(q *Cond)
	cond = func(q *Cond) {
		if q == nil {
			return
		}
		for _, k := range q.Of {
			cond(k)
		}
		if len(q.Of) == 0 {
			out = append(out, q.A)
		}
		if q.Op == "columns" {
			out = append(out, q.B)
		}
	}
	cond(v.Where)
	for i, r := range v.Rels {
		for _, e := range r.On {
			out = append(out, Ref{i, e.Own}, e.Other)
		}
		cond(r.And)
	}
	for _, o := range v.Outs {
		if o.Op != "rows" {
			out = append(out, o.A)
		}
		if slices.Contains([]string{"add", "case", "concat", "less"}, o.Op) {
			out = append(out, o.B)
		}
	}
	if v.By != nil {
		out = append(out, *v.By)
	}
	return out
}

// valid reports whether a view reads only relations that it has.
func (v *View) valid() bool {
	return !slices.ContainsFunc(v.refs(), func(r Ref) bool { return r.Rel >= len(v.Rels) }) && (v.Mode != Groups || len(v.Outs) > 0)
}

// fewerColumns leaves out a column that is no key and that no view reads. One that is added later goes with its group.
func fewerColumns(c *Case, i int) (*Case, bool) {
	for n, t := range c.Tables {
		if m := len(t.Columns) - t.Key; i >= m {
			i -= m
			continue
		}
		return c.withoutColumn(n, t.Key+i), true
	}
	return nil, false
}

func (c *Case) withoutColumn(table, at int) *Case {
	name := c.Tables[table].Columns[at].Name
	for _, v := range c.Views {
		if slices.ContainsFunc(v.refs(), func(r Ref) bool { return v.Rels[r.Rel].Table == table && r.Col == name }) {
			return nil
		}
	}
	out := c.clone()
	t := &out.Tables[table]
	t.Columns = slices.Delete(t.Columns, at, at+1)
	for r := range t.Rows {
		t.Rows[r] = slices.Delete(t.Rows[r], at, at+1)
	}
	now := c.Start()
	for n := range out.Groups {
		g := &out.Groups[n]
		where := slices.IndexFunc(now[table].Columns, func(k Column) bool { return k.Name == name })
		for k := range g.Changes {
			if ch := &g.Changes[k]; ch.Table == table && ch.Row != nil && where >= 0 {
				ch.Row = slices.Delete(ch.Row, where, where+1)
			}
		}
		now = c.Groups[n].Apply(now)
		if g.Alter != nil && g.Alter.Table == table && g.Alter.Drop == name {
			g.Alter = nil
		}
	}
	return out
}

// valid returns a case after groups have been left out, or nil when a change was made for other columns.
func (c *Case) valid() *Case {
	now := c.Start()
	for n := range c.Groups {
		g := &c.Groups[n]
		if a := g.Alter; a != nil && a.Drop != "" && !slices.ContainsFunc(now[a.Table].Columns, func(k Column) bool { return k.Name == a.Drop }) {
			return nil
		}
		for _, ch := range g.Changes {
			if ch.Row == nil {
				continue
			}
			if len(ch.Row) != len(now[ch.Table].Columns) {
				return nil
			}
			for i, v := range ch.Row {
				if v >= len(kinds[now[ch.Table].Columns[i].Kind].domain) {
					return nil
				}
			}
		}
		now = g.Apply(now)
	}
	return c
}

func simplerTimes(c *Case, i int) (*Case, bool) {
	if i >= 2*len(c.Groups) {
		return nil, false
	}
	out := c.clone()
	g := &out.Groups[i/2]
	at := &g.Wait
	if i%2 == 1 {
		at = &g.Late
	}
	if *at == 0 {
		return nil, true
	}
	*at = 0
	return out, true
}

// simplerValues takes a value of a changed row to the first of its domain.
func simplerValues(c *Case, i int) (*Case, bool) {
	for n := range c.Groups {
		for k, ch := range c.Groups[n].Changes {
			if i >= len(ch.Row) {
				i -= len(ch.Row)
				continue
			}
			if ch.Row[i] == 0 {
				return nil, true
			}
			out := c.clone()
			out.Groups[n].Changes[k].Row[i] = 0
			return out, true
		}
	}
	return nil, false
}
