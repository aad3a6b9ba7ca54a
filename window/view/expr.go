//go:build duckdb_arrow

package view

import (
	"fmt"
	"slices"
	"strings"
)

// place says where an expression stands, and so what it may hold.
type place struct {
	clause     string // as people write it
	visible    int    // number of relations in scope
	aggregates bool   // aggregate functions may stand here
	windows    bool   // functions with OVER may stand here
	aliases    bool   // names given in SELECT may be used
	lateral    bool   // ... and columns of tables go before them, as in SELECT itself
	inside     string // name of the aggregate or window function around
}

// operators that are kept as they are; all other kinds of OPERATOR are refused.
var operators = set(`OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL COMPARE_IN COMPARE_NOT_IN OPERATOR_COALESCE OPERATOR_NULLIF
	ARRAY_EXTRACT OPERATOR_TRY`)

// expr checks an expression and returns it with every column written alias.column, names from SELECT replaced by what
// they stand for, and order-sensitive functions sorted (invariant 2).
func (a *analysis) expr(n node, p place) node {
	if n == nil {
		return nil
	}
	switch class := str(n, "class"); class {
	case "CONSTANT":
	case "COLUMN_REF":
		return a.column(n, p)
	case "COMPARISON":
		a.fields(n, p, "left", "right")
	case "CONJUNCTION":
		a.each(n, "children", p)
	case "OPERATOR":
		if !operators[str(n, "type")] {
			a.refuse(n, strings.ToLower(strings.ReplaceAll(str(n, "type"), "_", " ")), "use another expression")
		}
		a.each(n, "children", p)
	case "BETWEEN":
		a.fields(n, p, "input", "lower", "upper")
	case "CASE":
		for _, c := range list(n, "case_checks") {
			a.fields(c.(node), p, "when_expr", "then_expr")
		}
		a.fields(n, p, "else_expr")
	case "CAST":
		a.fields(n, p, "child")
	case "FUNCTION":
		return a.function(n, p)
	case "WINDOW":
		return a.window(n, p)
	case "SUBQUERY":
		a.refuse(n, "a subquery", "join the table with LEFT JOIN")
	case "STAR":
		a.refuse(n, "* inside an expression", "name the columns")
	case "PARAMETER", "POSITIONAL_REFERENCE":
		a.refuse(n, "a parameter or #position", "name the column")
	default:
		a.refuse(n, strings.ToLower(class)+" expression", "use another expression")
	}
	return n
}

func (a *analysis) fields(n node, p place, fields ...string) {
	for _, f := range fields {
		if c := child(n, f); c != nil {
			n[f] = a.expr(c, p)
		}
	}
}

func (a *analysis) each(n node, field string, p place) {
	l := list(n, field)
	for i := range l {
		l[i] = a.expr(l[i].(node), p)
	}
}

// orders checks the expressions of an ORDER BY list.
func (a *analysis) orders(orders []any, p place) {
	for _, o := range orders {
		a.fields(o.(node), p, "expression")
	}
}

// column resolves a column or a name given in SELECT.
func (a *analysis) column(n node, p place) node {
	parts := names(n, "column_names")
	column := parts[len(parts)-1]
	var rel []*relation
	for _, r := range a.relations[:p.visible] {
		if len(parts) == 1 || strings.EqualFold(r.alias, parts[len(parts)-2]) {
			rel = append(rel, r)
		}
	}
	if len(parts) > 1 && len(rel) == 0 {
		a.refuse(n, "unknown table "+strings.Join(parts[:len(parts)-1], ".")+" before ."+column+nearest(parts[len(parts)-2], a.aliasNames()),
			"use an alias of FROM"+a.notYet(parts[len(parts)-2], p))
		return n
	}
	if a.open {
		return a.openColumn(n, p, rel, parts)
	}
	var found []node
	for _, r := range rel {
		if i := slices.IndexFunc(r.table.Schema.Columns, func(c columnOf) bool { return strings.EqualFold(c.Name, column) }); i >= 0 {
			name := r.table.Schema.Columns[i].Name
			r.used[name] = true
			found = append(found, a.place(n, columnRef(r.alias, name)))
		}
	}
	given, isAlias := a.aliases[strings.ToLower(column)]
	isAlias = isAlias && len(parts) == 1 && p.aliases
	switch {
	case len(found) > 1:
		a.refuse(n, "column "+column+" is in several tables", "write alias."+column)
	case len(found) == 1 && isAlias && !p.lateral && !isRef(given, names(found[0], "column_names")[0], names(found[0], "column_names")[1]):
		a.refuse(n, column+" is both a column and a name given in SELECT", "write alias."+column+" or give another name")
	case len(found) == 1:
		return found[0]
	case isAlias:
		return a.given(n, given, p)
	case len(parts) == 1 && (clocks[strings.ToLower(column)] || chances[strings.ToLower(column)]):
		a.refuseFunction(n, strings.ToLower(column))
	default:
		var all []string
		for _, r := range rel {
			all = append(all, r.columns()...)
		}
		a.refuse(n, "unknown column "+strings.Join(parts, ".")+nearest(column, all), "")
	}
	return n
}

// given puts what a name of SELECT stands for in its place.
func (a *analysis) given(n, given node, p place) node {
	if !p.windows && hasClass(given, "WINDOW") || !p.aggregates && a.hasAggregate(given) {
		a.refuse(n, fmt.Sprintf("%s in %s stands for an aggregate or a window function", names(n, "column_names")[0], p.clause),
			"use HAVING for aggregates and QUALIFY for window functions")
	}
	c := clone(given)
	c["alias"] = ""
	return c
}

func (a *analysis) notYet(alias string, p place) string {
	for _, r := range a.relations[p.visible:] {
		if strings.EqualFold(r.alias, alias) {
			return "; a condition can use only its own table and those before it"
		}
	}
	return ""
}

func (a *analysis) aliasNames() []string {
	var out []string
	for _, r := range a.relations {
		out = append(out, r.alias)
	}
	return out
}

// function checks a call without OVER.
func (a *analysis) function(n node, p place) node {
	name := strings.ToLower(str(n, "function_name"))
	if s := str(n, "schema"); s != "" && s != "main" || str(n, "catalog") != "" {
		a.refuse(n, "function "+s+"."+name, "call functions without a schema")
		return n
	}
	if orderFree[name] || ordered[name] {
		return a.aggregate(n, name, p)
	}
	least, special := fewestArguments[name]
	switch {
	case special && len(list(n, "children")) < least:
		a.refuse(n, name+"() with one argument changes with the clock", insteadOfClock)
	case !special && !scalar[name]:
		a.refuseFunction(n, name)
	}
	a.each(n, "children", p)
	return n
}

func (a *analysis) refuseFunction(n node, name string) {
	what, instead := refusal(name)
	a.refuse(n, what, instead)
}

// aggregate checks an aggregate function.
func (a *analysis) aggregate(n node, name string, p place) node {
	if !p.aggregates {
		where := p.clause
		if p.inside != "" {
			where = p.inside + "()"
		}
		a.refuse(n, fmt.Sprintf("aggregate %s() in %s", strings.Replace(name, "count_star", "count", 1), where), "aggregates may stand in SELECT and HAVING")
		return n
	}
	a.aggregated = append(a.aggregated, n)
	in := p
	in.aggregates, in.windows, in.inside = false, false, name
	a.each(n, "children", in)
	a.fields(n, in, "filter")
	order := child(n, "order_bys")
	a.orders(list(order, "orders"), in)
	if !ordered[name] {
		return n
	}
	if !flag(n, "distinct") {
		order["orders"] = append(list(order, "orders"), a.ties()...)
		return n
	}
	// Different values have one order among themselves: by the value.
	if len(list(order, "orders")) > 0 {
		a.refuse(n, name+"(DISTINCT ... ORDER BY ...)", "leave out ORDER BY: distinct values are sorted by value")
	}
	order["orders"] = []any{ascending(clone(list(n, "children")[0].(node)))}
	return n
}

// window checks a function with OVER.
func (a *analysis) window(n node, p place) node {
	name := strings.ToLower(str(n, "function_name"))
	if !p.windows {
		a.refuse(n, fmt.Sprintf("%s() OVER in %s", name, p.clause), "window functions may stand in SELECT and QUALIFY")
		return n
	}
	a.windowed = append(a.windowed, n)
	in := p
	in.aggregates, in.windows, in.inside = false, false, name
	a.each(n, "children", in)
	a.each(n, "partitions", in)
	a.orders(list(n, "orders"), in)
	a.orders(list(n, "arg_orders"), in)
	a.fields(n, in, "start_expr", "end_expr", "offset_expr", "default_expr", "filter_expr")
	if anchor := a.relations[0]; a.open && !a.mayHold(list(n, "partitions"), anchor) {
		a.refuse(n, fmt.Sprintf("%s() OVER reaches beyond one row of %s", name, anchor.alias), "add the primary key of "+anchor.alias+" to its PARTITION BY")
	}
	for _, k := range a.relations[0].table.Schema.Key {
		if !slices.ContainsFunc(list(n, "partitions"), func(e any) bool { return isRef(e.(node), a.relations[0].alias, k) }) {
			a.refuse(n, fmt.Sprintf("%s() OVER reaches beyond one row of %s", name, a.relations[0].alias),
				fmt.Sprintf("add %s.%s to its PARTITION BY", a.relations[0].alias, k)) // invariant 1
		}
	}
	if e := str(n, "exclude_clause"); e != "" && e != "NO_OTHER" {
		a.refuse(n, "EXCLUDE in a window frame", "leave it out")
	}
	rows := strings.HasSuffix(str(n, "start"), "_ROWS") || strings.HasSuffix(str(n, "end"), "_ROWS")
	switch {
	case windowFree[name]:
	case windowAggregates[name]:
		if name == "sum" || name == "avg" || name == "mean" {
			a.noFloats = append(a.noFloats, n)
		}
		if rows {
			n["orders"] = append(list(n, "orders"), a.ties()...)
		}
	case windowOrdered[name]:
		if s := str(n, "start"); strings.HasPrefix(name, "first") && s != "UNBOUNDED_PRECEDING" {
			a.refuse(n, name+"() with a frame", "leave the frame out")
		}
		n["orders"] = append(list(n, "orders"), a.ties()...)
	default:
		a.refuseFunction(n, name)
	}
	return n
}

// ties is the order that decides between rows that are equal otherwise: the primary keys of all relations, which tell
// any two joined rows apart.
func (a *analysis) ties() []any {
	var out []any
	for _, r := range a.relations {
		for _, k := range r.table.Schema.Key {
			out = append(out, ascending(columnRef(r.alias, k)))
		}
	}
	return out
}

func ascending(expr node) node {
	return node{"type": "ASCENDING", "null_order": "NULLS_LAST", "expression": expr}
}

// hasClass reports whether a tree holds a node of the class.
func hasClass(n any, class string) bool {
	return contains(n, func(n node) bool { return str(n, "class") == class })
}

// hasAggregate reports whether an analysed tree holds an aggregate call outside of window functions.
func (a *analysis) hasAggregate(n any) bool {
	return contains(n, func(n node) bool {
		name := str(n, "function_name")
		return str(n, "class") == "FUNCTION" && (orderFree[name] || ordered[name])
	})
}

func contains(n any, is func(node) bool) bool {
	switch n := n.(type) {
	case node:
		if is(n) {
			return true
		}
		for _, v := range n {
			if contains(v, is) {
				return true
			}
		}
	case []any:
		for _, v := range n {
			if contains(v, is) {
				return true
			}
		}
	}
	return false
}
