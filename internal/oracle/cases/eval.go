package cases

import (
	"fmt"
	"slices"
	"strings"
)

// tuple is one joined row: a row of each relation, nil where a LEFT JOIN has found none.
type tuple [][]Val

// evaluator is a view over what tables hold.
type evaluator struct {
	c   *Case
	v   *View
	now []*Content
}

// Evaluate is what a view holds over tables: its rows by key, in the order of Columns.
func (v *View) Evaluate(c *Case, now []*Content) (map[string][]Val, error) {
	e := &evaluator{c, v, now}
	byAnchor := map[string][]tuple{}
	for k, row := range now[v.Rels[0].Table].Values() {
		tuples := []tuple{{row}}
		for i := range v.Rels[1:] {
			tuples = e.join(tuples, i+1)
		}
		for _, t := range tuples {
			if v.Where == nil || e.cond(v.Where, t) == yes {
				byAnchor[k] = append(byAnchor[k], t)
			}
		}
	}
	out := map[string][]Val{}
	for _, tuples := range byAnchor {
		for _, row := range e.rows(tuples) {
			k := rowKey(row[:len(v.keys(c))])
			if old, twice := out[k]; twice && (v.Mode != Distinct || !same(old, row)) {
				return nil, fmt.Errorf("the case's view has a bad key: %s is there twice", k)
			}
			out[k] = row
		}
	}
	return out, nil
}

func rowKey(vals []Val) string {
	var b strings.Builder
	for _, v := range vals {
		fmt.Fprintf(&b, "%d:%s,", len(v.Text), v.Text)
	}
	return b.String()
}

// join meets every tuple with every row, without any cleverness.
func (e *evaluator) join(tuples []tuple, at int) (out []tuple) {
	r := &e.v.Rels[at]
	rows := e.now[r.Table].Values()
	for _, t := range tuples {
		met := false
		for _, row := range rows {
			next := append(slices.Clone(t), row)
			if e.on(r, next, at) {
				out, met = append(out, next), true
			}
		}
		if !met && r.Left {
			out = append(out, append(slices.Clone(t), nil))
		}
	}
	return out
}

func (e *evaluator) on(r *Rel, t tuple, at int) bool {
	for _, q := range r.On {
		own, other := e.get(Ref{at, q.Own}, t), e.get(q.Other, t)
		if other.Null && q.Else != nil {
			other = e.c.kind(e.v, q.Other).Value(*q.Else)
		}
		if own.Null || other.Null || compare(own, other) != 0 {
			return false
		}
	}
	return r.And == nil || e.cond(r.And, t) == yes
}

func (e *evaluator) get(r Ref, t tuple) Val {
	if t[r.Rel] == nil {
		return null
	}
	columns := e.now[e.v.Rels[r.Rel].Table].Columns
	return t[r.Rel][slices.IndexFunc(columns, func(c Column) bool { return c.Name == r.Col })]
}

// truth is SQL's: unknown is neither.
type truth int

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (e *evaluator) cond(q *Cond, t tuple) truth {
	switch q.Op {
	case "and", "or":
		out := e.cond(q.Of[0], t)
		for _, k := range q.Of[1:] {
			if q.Op == "and" {
				out = min(out, e.cond(k, t))
			} else {
				out = max(out, e.cond(k, t))
			}
		}
		return out
	case "not":
		return yes - e.cond(q.Of[0], t)
	}
	a := e.get(q.A, t)
	switch {
	case q.Op == "null":
		return truthOf(a.Null)
	case q.Op == "not null":
		return truthOf(!a.Null)
	case a.Null:
		return unknown
	case q.Op == "columns":
		if b := e.get(q.B, t); b.Null {
			return unknown
		} else {
			return truthOf(compare(a, b) == 0)
		}
	case q.Op == "in":
		return truthOf(slices.ContainsFunc(q.Lits, func(l int) bool { return compare(a, a.kind.Value(l)) == 0 }))
	}
	by := compare(a, a.kind.Value(q.Lits[0]))
	return truthOf(map[string]bool{"=": by == 0, "<>": by != 0, "<": by < 0, ">": by > 0}[q.Op])
}

// rows makes the view's rows of the tuples of one anchor.
func (e *evaluator) rows(tuples []tuple) (out [][]Val) {
	if e.v.Mode == Groups {
		if e.v.Having && len(tuples) < 2 {
			return nil
		}
		row := e.keys(tuples[0])
		for _, o := range e.v.Outs {
			row = append(row, e.aggregate(o, tuples))
		}
		return [][]Val{row}
	}
	for _, t := range tuples {
		row := e.keys(t)
		for _, o := range e.v.outs() {
			row = append(row, e.scalar(o, t, tuples))
		}
		out = append(out, row)
	}
	return out
}

func (e *evaluator) keys(t tuple) (out []Val) {
	for _, k := range e.v.keys(e.c) {
		v := e.get(k.ref, t)
		if v.Null && !k.plain {
			v = e.c.kind(e.v, k.ref).absent()
		}
		out = append(out, v)
	}
	return out
}

func (e *evaluator) scalar(o Out, t tuple, all []tuple) Val {
	switch o.Op {
	case "row_number", "rank", "partition":
		return integer(e.place(o.Op, t, all))
	}
	a := e.get(o.A, t)
	switch o.Op {
	case "column":
		return a
	case "coalesce":
		if a.Null {
			return e.c.kind(e.v, o.A).Value(o.Lit)
		}
		return a
	case "case":
		if e.get(o.B, t).Null {
			return e.c.kind(e.v, o.A).Value(o.Lit)
		}
		return a
	}
	b := e.get(o.B, t)
	switch {
	case a.Null || b.Null:
		return null
	case o.Op == "add":
		return integer(a.integer() + b.integer()*2)
	case o.Op == "concat":
		return Val{Text: a.Text + "/" + b.Text}
	case compare(a, b) < 0:
		return Val{Text: "less"}
	}
	return Val{Text: "no"}
}

// place counts the tuples of the anchor that come before t, or all.
func (e *evaluator) place(what string, t tuple, all []tuple) (n int64) {
	for _, o := range all {
		by := e.nullsLast(e.get(*e.v.By, o), e.get(*e.v.By, t), what == "row_number")
		if what == "row_number" && by == 0 {
			for _, k := range e.v.keys(e.c) {
				if by == 0 {
					by = e.nullsLast(e.get(k.ref, o), e.get(k.ref, t), false)
				}
			}
		}
		if what == "partition" || by < 0 {
			n++
		}
	}
	if what == "partition" {
		return n
	}
	return n + 1
}

func (e *evaluator) nullsLast(a, b Val, down bool) int {
	switch {
	case a.Null && b.Null:
		return 0
	case a.Null:
		return 1
	case b.Null:
		return -1
	case down:
		return compare(b, a)
	}
	return compare(a, b)
}

func (e *evaluator) aggregate(o Out, tuples []tuple) Val {
	if o.Op == "rows" {
		return integer(int64(len(tuples)))
	}
	var vals []Val
	for _, t := range tuples {
		if v := e.get(o.A, t); !v.Null {
			vals = append(vals, v)
		}
	}
	slices.SortFunc(vals, compare)
	switch {
	case o.Op == "column":
		return e.get(o.A, tuples[0])
	case o.Op == "count":
		return integer(int64(len(vals)))
	case o.Op == "different":
		return integer(int64(len(slices.CompactFunc(vals, func(a, b Val) bool { return a.Text == b.Text }))))
	case len(vals) == 0:
		return null
	case o.Op == "min":
		return vals[0]
	case o.Op == "max":
		return vals[len(vals)-1]
	case o.Op == "sum":
		sum := int64(0)
		for _, v := range vals {
			sum += v.integer()
		}
		return integer(sum)
	}
	var texts []string
	for _, v := range vals {
		texts = append(texts, v.Text)
	}
	return Val{Text: strings.Join(texts, ",")}
}
