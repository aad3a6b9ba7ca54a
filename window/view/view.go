//go:build duckdb_arrow

package view

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// Table is a source table that views may read.
type Table struct {
	Input  string // the caller's name of the table, e.g. the key of its change batches
	Source string
	Schema *ingest.Schema
}

// View is a checked view with the statements that maintain it. It is immutable.
type View struct {
	Name      string
	Key       []string        // output columns
	Columns   []ingest.Column // output, in order
	Relations []Relation      // in FROM order; the first is the anchor

	selectSQL string // the view over the placeholders of its relations
}

// Relation is one table in FROM.
type Relation struct {
	Input   string
	Alias   string
	Schema  *ingest.Schema
	Columns []string // what the view reads of it, and its primary key, in schema order

	left      bool        // LEFT JOIN: the anchor row stays without a match
	on        string      // join condition
	onColumns []string    // the relation's columns in it
	parents   []int       // relations before it that the condition reads
	strict    []int       // the parents without which it cannot match: condition is an equality with one of their columns
	link      int         // the relation that links holds expressions of
	links     [][2]string // equalities of the condition: {expression over this relation, expression over link}
	owned     bool        // a row meets at most one anchor
	anchorKey []string    // expressions over this relation that equal the anchor's key, when the condition says so
}

// placeholder stands for a relation's table in generated SQL.
func placeholder(i int) string { return fmt.Sprintf("tm_relation_%d_", i) }

// Hash identifies what the view computes: two views with one hash give the same rows and columns.
func (v *View) Hash() string {
	var inputs []string
	for _, r := range v.Relations {
		inputs = append(inputs, r.Input)
	}
	b, err := json.Marshal([]any{v.selectSQL, v.Key, v.Columns, inputs})
	if err != nil {
		panic(err) // strings and plain structs
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// AnchorKey is the primary key of the anchor.
func (v *View) AnchorKey() []string { return v.Relations[0].Schema.Key }

// Evaluate is the view over the given tables, one per relation (SQL names).
func (v *View) Evaluate(tables []string) string {
	pairs := make([]string, 0, 2*len(tables))
	for i, t := range tables {
		pairs = append(pairs, placeholder(i), t)
	}
	return strings.NewReplacer(pairs...).Replace(v.selectSQL)
}

// KeyNames are the columns that Affected gives: the anchor's key.
func (v *View) KeyNames() []string {
	out := make([]string, len(v.AnchorKey()))
	for i := range out {
		out[i] = fmt.Sprint("k", i)
	}
	return out
}

// Affected selects the keys of the anchors that a change of relation i affects (invariant 3): changed holds old and new
// images of the changed rows, tables the relations in their old state.
func (v *View) Affected(i int, changed string, tables []string) string {
	anchor := v.Relations[0]
	var keys []string
	for k, name := range v.KeyNames() {
		keys = append(keys, fmt.Sprintf("%s.%s AS %s", duck.Ident(anchor.Alias), duck.Ident(anchor.Schema.Key[k]), name))
	}
	sel := "SELECT DISTINCT " + strings.Join(keys, ", ") + " FROM "
	if i == 0 {
		return sel + changed + " AS " + duck.Ident(anchor.Alias)
	}
	if own := v.Relations[i].anchorKey; own != nil { // the changed rows name their anchor themselves
		for k, name := range v.KeyNames() {
			keys[k] = own[k] + " AS " + name
		}
		return "SELECT DISTINCT " + strings.Join(keys, ", ") + " FROM " + changed + " AS " + duck.Ident(v.Relations[i].Alias)
	}
	var b strings.Builder
	b.WriteString(sel + tables[0] + " AS " + duck.Ident(anchor.Alias))
	path, inner := v.path(i)
	for j := 1; j < i; j++ {
		r := v.Relations[j]
		if path[j] {
			join := " JOIN "
			if r.left && !inner[j] {
				join = " LEFT JOIN "
			}
			b.WriteString(join + tables[j] + " AS " + duck.Ident(r.Alias) + " ON " + r.on)
		}
	}
	b.WriteString(" JOIN " + changed + " AS " + duck.Ident(v.Relations[i].Alias) + " ON " + v.Relations[i].on)
	return b.String()
}

// Reach is what must be known of the changed rows of relation i to find their anchors. When few, a changed row reaches at
// most one anchor in each state: the columns given are enough, and it is not worth reading more to see whether the change
// matters to the view. Otherwise (one row may be shared by many anchors) they are all columns that the view reads.
func (v *View) Reach(i int) (columns []string, few bool) {
	r := v.Relations[i]
	if !r.owned {
		return r.Columns, false
	}
	for _, c := range r.Columns {
		if slices.Contains(r.onColumns, c) || slices.Contains(r.Schema.Key, c) {
			columns = append(columns, c)
		}
	}
	return columns, true
}

// path is the relations through which the anchor reaches relation i, and those of them that must have a row for i to have
// one: they may be joined INNER, which lets DuckDB start from the few changed rows.
func (v *View) path(i int) (path, inner []bool) {
	path, inner = make([]bool, i+1), make([]bool, i+1)
	path[i], inner[i] = true, true
	for j := i; j > 0; j-- {
		if !path[j] {
			continue
		}
		for _, p := range v.Relations[j].parents {
			path[p] = true
		}
		if inner[j] || !v.Relations[j].left {
			for _, p := range v.Relations[j].strict {
				inner[p] = true
			}
		}
	}
	return path, inner
}

// Neighbours selects from table the rows of relation i that can meet the affected anchors. For the anchor itself, keys
// holds the affected keys. For others, before and after hold the neighbours of the relations already done, in the old and
// in the new state: a moved foreign key needs both partners.
func (v *View) Neighbours(i int, table, keys string, before, after []string) string {
	r := v.Relations[i]
	alias := duck.Ident(r.Alias)
	cols := make([]string, len(r.Columns))
	for c, name := range r.Columns {
		cols[c] = alias + "." + duck.Ident(name)
	}
	sel := "SELECT " + strings.Join(cols, ", ") + " FROM " + table + " AS " + alias + " SEMI JOIN "
	var on []string
	if i == 0 {
		for k, name := range v.KeyNames() {
			on = append(on, fmt.Sprintf("%s.%s = tm_keys.%s", alias, duck.Ident(r.Schema.Key[k]), name))
		}
		return sel + keys + " AS tm_keys ON " + strings.Join(on, " AND ")
	}
	var values []string
	for l, link := range r.links {
		values = append(values, fmt.Sprintf("%s AS j%d", link[1], l))
		on = append(on, fmt.Sprintf("%s = tm_join.j%d", link[0], l))
	}
	from := func(t string) string {
		return "SELECT " + strings.Join(values, ", ") + " FROM " + t + " AS " + duck.Ident(v.Relations[r.link].Alias)
	}
	partner := from(before[r.link])
	if after[r.link] != before[r.link] {
		partner += " UNION ALL " + from(after[r.link])
	}
	return sel + "(" + partner + ") AS tm_join ON " + strings.Join(on, " AND ")
}
