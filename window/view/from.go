//go:build duckdb_arrow

package view

import (
	"fmt"
	"slices"
	"strings"
)

// relation is a table in FROM during analysis.
type relation struct {
	alias string
	table Table
	left  bool
	on    node
	used  map[string]bool

	parents, strict []int
	link            int
	links           [][2]node
	owned           bool
	anchorKey       []node
}

// columns are the names of the relation's columns.
func (r *relation) columns() []string {
	var out []string
	for _, c := range r.table.Schema.Columns {
		out = append(out, c.Name)
	}
	return out
}

const insteadOfNesting = "write one FROM with INNER and LEFT JOINs, one table after another"

// from collects the relations of a left-deep chain of joins.
func (a *analysis) from(n node) {
	switch str(n, "type") {
	case "BASE_TABLE":
		a.baseTable(n, nil)
	case "JOIN":
		a.from(child(n, "left"))
		right := child(n, "right")
		if str(right, "type") == "JOIN" {
			a.refuse(right, "a join inside a join", insteadOfNesting)
			return
		}
		a.join(n, right)
	case "SUBQUERY":
		a.refuse(n, "a subquery in FROM", insteadOfNesting)
	case "EMPTY":
		a.refuse(n, "a view without FROM", "select from at least one source table")
	case "TABLE_FUNCTION":
		a.refuse(n, "a table function in FROM", "a view reads source tables only, written source.table")
	default:
		a.refuse(n, strings.ToLower(strings.ReplaceAll(str(n, "type"), "_", " "))+" in FROM", insteadOfNesting)
	}
}

func (a *analysis) join(n, right node) {
	switch kind := str(n, "ref_type"); kind {
	case "REGULAR":
	case "CROSS":
		a.refuse(n, "a join without a condition (CROSS JOIN or a comma)", "write JOIN ... ON left.column = right.column")
	default:
		a.refuse(n, kind+" JOIN", "write JOIN ... ON left.column = right.column")
	}
	switch kind := str(n, "join_type"); kind {
	case "INNER", "LEFT":
	case "RIGHT":
		a.refuse(n, "RIGHT JOIN", "put that table first in FROM and write LEFT JOIN")
	case "FULL", "OUTER":
		a.refuse(n, "FULL JOIN", "its rows belong to no anchor; make two views, each with its table first in FROM")
	case "SEMI":
		a.refuse(n, "SEMI JOIN", "write LEFT JOIN and filter with IS NOT NULL")
	case "ANTI":
		a.refuse(n, "ANTI JOIN", "write LEFT JOIN and filter with IS NULL")
	default:
		a.refuse(n, kind+" JOIN", insteadOfNesting)
	}
	if len(list(n, "using_columns")) > 0 {
		a.refuse(n, "USING", "write ON left.column = right.column")
	}
	if str(right, "type") != "BASE_TABLE" {
		a.from(right)
		return
	}
	a.baseTable(right, n)
}

// baseTable resolves one table and adds it as a relation; join is nil for the anchor.
func (a *analysis) baseTable(n, join node) {
	if child(n, "sample") != nil {
		a.refuse(n, "TABLESAMPLE", "filter with WHERE on a column")
	}
	if child(n, "at_clause") != nil || len(list(n, "column_name_alias")) > 0 {
		a.refuse(n, "AT or a column list after a table", "name the columns in SELECT")
	}
	t, ok := a.resolveTable(n)
	if !ok {
		return
	}
	r := &relation{alias: str(n, "alias"), table: t, used: map[string]bool{}}
	if r.alias == "" {
		r.alias = str(n, "table_name")
	}
	if strings.HasPrefix(strings.ToLower(r.alias), "tm_") {
		a.refuse(n, "the alias "+r.alias, "the prefix tm_ is reserved; use another alias")
	}
	if slices.ContainsFunc(a.relations, func(o *relation) bool { return strings.EqualFold(o.alias, r.alias) }) {
		a.refuse(n, fmt.Sprintf("two tables in FROM are called %s", r.alias), "give each its own alias")
		return
	}
	if len(t.Schema.Key) == 0 && !a.open {
		a.refuse(n, fmt.Sprintf("%s has no primary key", t.Input), "rows without a key cannot be followed; add a primary key in the source")
		return
	}
	for _, k := range t.Schema.Key {
		r.used[k] = true
	}
	if join != nil {
		r.left = str(join, "join_type") == "LEFT"
		r.on = child(join, "condition")
	}
	// The tree now reads the relation's placeholder under its alias.
	n["catalog_name"], n["schema_name"], n["table_name"], n["alias"] = "", "", placeholder(len(a.relations)), r.alias
	a.relations = append(a.relations, r)
}

// resolveTable finds source.table, or source.schema.table when a source has two tables of that name.
func (a *analysis) resolveTable(n node) (Table, bool) {
	source, schema, table := str(n, "schema_name"), "", str(n, "table_name")
	if c := str(n, "catalog_name"); c != "" {
		source, schema = c, source
	}
	written := strings.Trim(strings.Join([]string{source, schema, table}, "."), ".")
	written = strings.ReplaceAll(written, "..", ".")
	if source == "" {
		a.refuse(n, fmt.Sprintf("table %s names no source", table), "write source.table"+a.withSource(table))
		return Table{}, false
	}
	if a.open {
		if a.sources != nil && !slices.Contains(a.sources, source) {
			a.refuse(n, fmt.Sprintf("table %s: there is no source %q%s", written, source, nearest(source, a.sources)), "")
		}
		return openTable(source, schema, table, written), true
	}
	var found []Table
	for _, t := range a.tables {
		if strings.EqualFold(t.Source, source) && strings.EqualFold(t.Schema.Table.Name, table) &&
			(schema == "" || strings.EqualFold(t.Schema.Table.Schema, schema)) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		a.refuse(n, "unknown table "+written+nearest(written, a.tableNames()), "name a table that a source of the project captures")
	default:
		a.refuse(n, fmt.Sprintf("source %s has several tables %s", source, table), "write source.schema.table")
	}
	return Table{}, false
}

func (a *analysis) tableNames() []string {
	var out []string
	for _, t := range a.tables {
		out = append(out, t.Source+"."+t.Schema.Table.Name, t.Source+"."+t.Schema.Table.String())
	}
	return out
}

// withSource names the table under its source, when one has it.
func (a *analysis) withSource(table string) string {
	for _, t := range a.tables {
		if strings.EqualFold(t.Schema.Table.Name, table) {
			return ": " + t.Source + "." + t.Schema.Table.Name
		}
	}
	return ""
}

// conditions analyses the join conditions: each must hold an equality between the joined table and one table before it.
func (a *analysis) conditions() {
	for i, r := range a.relations[1:] {
		i++
		if r.on == nil {
			continue // refused in join
		}
		r.on = a.expr(r.on, place{clause: "ON", visible: i + 1})
		byParent := map[int][][2]node{}
		for _, c := range conjuncts(r.on) {
			for _, p := range a.relationsOf(c) {
				if p != i && !slices.Contains(r.parents, p) {
					r.parents = append(r.parents, p)
				}
			}
			if str(c, "type") == "COMPARE_EQUAL" {
				a.equality(i, c, byParent)
			}
		}
		if a.open && contains(r.on, func(n node) bool { return len(names(n, "column_names")) == 1 }) {
			continue // whose column that is nobody knows
		}
		if len(byParent) == 0 {
			a.refuse(r.on, fmt.Sprintf("the condition of JOIN %s equates none of its columns with a table before it", r.alias),
				"join by an equality, e.g. ON "+r.alias+".id = "+a.relations[0].alias+"."+r.alias+"_id; further conditions may follow with AND")
			continue
		}
		r.link = -1
		for p := range i {
			if l := byParent[p]; len(l) > 0 && (r.link < 0 || len(l) > len(r.links)) {
				r.link, r.links = p, l
			}
		}
		a.ownership(i, byParent)
	}
}

// ownership tells whether the condition of relation i equates its columns with the whole primary key of a relation that
// is the anchor or itself owned: then a row of i meets at most one anchor.
func (a *analysis) ownership(i int, byParent map[int][][2]node) {
	r := a.relations[i]
	for p, links := range byParent {
		parent := a.relations[p]
		var own []node
		sameType := true
		for _, k := range parent.table.Schema.Key {
			at := slices.IndexFunc(links, func(l [2]node) bool { return isRef(l[1], parent.alias, k) })
			if at < 0 {
				break
			}
			own = append(own, links[at][0])
			// A key of another type would have to be converted the way the comparison does it.
			mine, ok := a.sourceType(links[at][0])
			sameType = sameType && ok && mine.Kind == parent.table.Schema.Columns[parent.table.Schema.Column(k)].Type.Kind
		}
		if len(own) != len(parent.table.Schema.Key) || p != 0 && !parent.owned {
			continue
		}
		r.owned = true
		if p == 0 && sameType {
			r.anchorKey = own
		}
	}
}

// equality records `expression over i = expression over one earlier relation`.
func (a *analysis) equality(i int, c node, byParent map[int][][2]node) {
	for _, sides := range [][2]node{{child(c, "left"), child(c, "right")}, {child(c, "right"), child(c, "left")}} {
		own, other := a.relationsOf(sides[0]), a.relationsOf(sides[1])
		if len(own) != 1 || own[0] != i || len(other) != 1 || other[0] == i {
			continue
		}
		byParent[other[0]] = append(byParent[other[0]], sides)
		// A plain column is NULL when its row is missing, and NULL equals nothing: without the parent there is no match.
		if str(sides[1], "class") == "COLUMN_REF" {
			a.relations[i].strict = append(a.relations[i].strict, other[0])
		}
		return
	}
}

// conjuncts are the parts of a condition joined by AND.
func conjuncts(n node) []node {
	if str(n, "type") != "CONJUNCTION_AND" {
		return []node{n}
	}
	var out []node
	for _, c := range list(n, "children") {
		out = append(out, conjuncts(c.(node))...)
	}
	return out
}

// relationsOf lists the relations that an analysed expression reads.
func (a *analysis) relationsOf(n any) []int {
	var out []int
	add := func(more ...int) {
		for _, m := range more {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	switch n := n.(type) {
	case node:
		if str(n, "class") == "COLUMN_REF" {
			alias := names(n, "column_names")[0]
			add(slices.IndexFunc(a.relations, func(r *relation) bool { return r.alias == alias }))
			break
		}
		for _, v := range n {
			add(a.relationsOf(v)...)
		}
	case []any:
		for _, v := range n {
			add(a.relationsOf(v)...)
		}
	}
	slices.Sort(out)
	return out
}
