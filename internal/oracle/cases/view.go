package cases

import (
	"fmt"
	"slices"
	"strings"
)

// View is a SELECT of the admitted class over the tables of a case, as a tree.
type View struct {
	Rels  []Rel `json:"rels"` // the first is the anchor
	Where *Cond `json:"where,omitempty"`
	Mode  Mode  `json:"mode"`
	Outs  []Out `json:"outs,omitempty"` // beside the key
	// Of groups: only those of more than one row.
	Having bool `json:"having,omitempty"`
	// Of distinct: the column that is in the key beside the anchor's. Of ranks: what they go by.
	By *Ref `json:"by,omitempty"`
}

// Mode is what is made of the joined rows.
type Mode string

// The modes.
const (
	Rows     Mode = "rows"     // one row each; the key is that of all tables
	Distinct Mode = "distinct" // the different values of a column, by anchor
	Groups   Mode = "groups"   // one row by anchor, of aggregates
	Ranks    Mode = "ranks"    // one row each, numbered within its anchor
)

// Rel is a table of a view.
type Rel struct {
	Table int   `json:"table"`
	Left  bool  `json:"left,omitempty"`
	On    []Eq  `json:"on,omitempty"`
	And   *Cond `json:"and,omitempty"` // beside On
}

// Eq joins a relation to an earlier one.
type Eq struct {
	Own   string `json:"own"` // column of the relation
	Other Ref    `json:"other"`
	Else  *int   `json:"else,omitempty"` // value of Other where that is NULL
}

// Ref is a column of a relation.
type Ref struct {
	Rel int    `json:"rel"`
	Col string `json:"col"`
}

// Cond is a condition on the relations up to some place.
type Cond struct {
	Op   string  `json:"op"` // null, not null, =, <>, <, > (with a constant), in, columns (equal), and, or, not
	A    Ref     `json:"a"`
	B    Ref     `json:"b"`
	Lits []int   `json:"lits,omitempty"`
	Of   []*Cond `json:"of,omitempty"`
}

// Out is an output column.
type Out struct {
	Op  string `json:"op"` // column, coalesce, add, case, concat, less; of groups: count, rows, sum, min, max, different, texts
	A   Ref    `json:"a"`
	B   Ref    `json:"b"`
	Lit int    `json:"lit,omitempty"`
}

func (c *Case) kind(v *View, r Ref) Kind {
	t := c.Tables[v.Rels[r.Rel].Table]
	return t.Columns[t.column(r.Col)].Kind
}

func (r Ref) sql() string { return fmt.Sprintf("r%d.%s", r.Rel, r.Col) }

// keyed is a column of the view's key: as it is for the anchor, else with the value absent where there is no row.
type keyed struct {
	ref   Ref
	plain bool
}

func (v *View) keys(c *Case) (out []keyed) {
	for i, r := range v.Rels {
		t := c.Tables[r.Table]
		if i > 0 && (v.Mode == Distinct || v.Mode == Groups) {
			break
		}
		for _, col := range t.Columns[:t.Key] {
			out = append(out, keyed{Ref{i, col.Name}, i == 0})
		}
	}
	if v.Mode == Distinct {
		out = append(out, keyed{*v.By, false})
	}
	return out
}

func (k keyed) sql(c *Case, v *View) string {
	kind := c.kind(v, k.ref)
	switch {
	case k.plain:
		return k.ref.sql()
	case kind == Bool || kind == JSON: // which have no value to spare
		return fmt.Sprintf("coalesce(CAST(%s AS VARCHAR), '')", k.ref.sql())
	}
	return fmt.Sprintf("coalesce(%s, %s)", k.ref.sql(), quote(kind.absent()))
}

// Key names the view's key columns.
func (v *View) Key(c *Case) (out []string) {
	for i := range v.keys(c) {
		out = append(out, fmt.Sprintf("k%d", i))
	}
	return out
}

// Columns names all of the view's columns in order.
func (v *View) Columns(c *Case) []string {
	out := v.Key(c)
	for i := range v.outs() {
		out = append(out, fmt.Sprintf("c%d", i))
	}
	return out
}

// outs are the output columns beside the key.
func (v *View) outs() []Out {
	if v.Mode == Ranks {
		return append(slices.Clone(v.Outs), Out{Op: "row_number"}, Out{Op: "rank"}, Out{Op: "partition"})
	}
	return v.Outs
}

// SQL writes the view, in words that DuckDB and PostgreSQL understand alike.
func (v *View) SQL(c *Case) string {
	var cols []string
	for i, k := range v.keys(c) {
		cols = append(cols, fmt.Sprintf("%s AS k%d", k.sql(c, v), i))
	}
	for i, o := range v.outs() {
		cols = append(cols, fmt.Sprintf("%s AS c%d", o.sql(c, v), i))
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	if v.Mode == Distinct {
		b.WriteString("DISTINCT ")
	}
	b.WriteString(strings.Join(cols, ", "))
	for i, r := range v.Rels {
		t := c.Tables[r.Table]
		if i == 0 {
			fmt.Fprintf(&b, "\nFROM %s r0", t.full())
			continue
		}
		join := "JOIN"
		if r.Left {
			join = "LEFT JOIN"
		}
		fmt.Fprintf(&b, "\n%s %s r%d ON %s", join, t.full(), i, r.sql(c, v, i))
	}
	if v.Where != nil {
		fmt.Fprintf(&b, "\nWHERE %s", v.Where.sql(c, v))
	}
	if v.Mode == Groups {
		b.WriteString("\nGROUP BY " + strings.Join(v.grouped(c), ", "))
		if v.Having {
			b.WriteString("\nHAVING count(*) > 1")
		}
	}
	return b.String()
}

// grouped are the expressions of GROUP BY: the anchor's key, and its columns among the outputs.
func (v *View) grouped(c *Case) (out []string) {
	for _, k := range v.keys(c) {
		out = append(out, k.ref.sql())
	}
	for _, o := range v.Outs {
		if o.Op == "column" && !slices.Contains(out, o.A.sql()) {
			out = append(out, o.A.sql())
		}
	}
	return out
}

func (r *Rel) sql(c *Case, v *View, at int) string {
	var all []string
	for _, e := range r.On {
		other := e.Other.sql()
		if e.Else != nil {
			other = fmt.Sprintf("coalesce(%s, %s)", other, quote(c.kind(v, e.Other).Value(*e.Else)))
		}
		all = append(all, Ref{at, e.Own}.sql()+" = "+other)
	}
	if r.And != nil {
		all = append(all, r.And.sql(c, v))
	}
	return strings.Join(all, " AND ")
}

func (q *Cond) sql(c *Case, v *View) string {
	var parts []string
	for _, k := range q.Of {
		parts = append(parts, k.sql(c, v))
	}
	var lits []string
	for _, l := range q.Lits {
		lits = append(lits, quote(c.kind(v, q.A).Value(l)))
	}
	switch q.Op {
	case "null":
		return q.A.sql() + " IS NULL"
	case "not null":
		return q.A.sql() + " IS NOT NULL"
	case "in":
		return q.A.sql() + " IN (" + strings.Join(lits, ", ") + ")"
	case "columns":
		return q.A.sql() + " = " + q.B.sql()
	case "and":
		return "(" + strings.Join(parts, " AND ") + ")"
	case "or":
		return "(" + strings.Join(parts, " OR ") + ")"
	case "not":
		return "NOT (" + parts[0] + ")"
	}
	return q.A.sql() + " " + q.Op + " " + lits[0]
}

func (o *Out) sql(c *Case, v *View) string {
	a, b := o.A.sql(), o.B.sql()
	switch o.Op {
	case "column":
		return a
	case "coalesce":
		return fmt.Sprintf("coalesce(%s, %s)", a, quote(c.kind(v, o.A).Value(o.Lit)))
	case "add":
		return fmt.Sprintf("CAST(%s AS BIGINT) + CAST(%s AS BIGINT) * 2", a, b)
	case "case":
		return fmt.Sprintf("CASE WHEN %s IS NULL THEN %s ELSE %s END", b, quote(c.kind(v, o.A).Value(o.Lit)), a)
	case "concat":
		return a + " || '/' || " + b
	case "less":
		return fmt.Sprintf("CASE WHEN %s < %s THEN 'less' WHEN %s >= %s THEN 'no' END", a, b, a, b)
	case "rows":
		return "count(*)"
	case "count", "min", "max":
		return o.Op + "(" + a + ")"
	case "sum":
		return "CAST(sum(" + a + ") AS BIGINT)"
	case "different":
		return "count(DISTINCT " + a + ")"
	case "texts":
		return fmt.Sprintf("string_agg(%s, ',' ORDER BY %s)", a, a)
	}
	return o.over(c, v)
}

// over writes a rank within the anchor. Rows of one place are told apart by the keys of all tables.
func (o *Out) over(c *Case, v *View) string {
	var anchor, ties []string
	for _, k := range v.keys(c) {
		if k.plain {
			anchor = append(anchor, k.ref.sql())
		}
		ties = append(ties, k.ref.sql()+" ASC NULLS LAST")
	}
	part := "PARTITION BY " + strings.Join(anchor, ", ")
	switch o.Op {
	case "row_number":
		return fmt.Sprintf("row_number() OVER (%s ORDER BY %s DESC NULLS LAST, %s)", part, v.By.sql(), strings.Join(ties, ", "))
	case "rank":
		return fmt.Sprintf("rank() OVER (%s ORDER BY %s ASC NULLS LAST)", part, v.By.sql())
	}
	return fmt.Sprintf("count(*) OVER (%s)", part)
}
