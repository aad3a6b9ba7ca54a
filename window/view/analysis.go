//go:build duckdb_arrow

package view

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

type columnOf = ingest.Column

// analysis is the state of one pass over a view's syntax tree. The pass collects every problem and goes on.
type analysis struct {
	sql    string
	key    []string
	tables []Table

	open    bool     // the columns of the tables are not known: only what is wrong whatever they are is refused
	sources []string // of an open analysis: the sources there are; nil when they are not known
	starred bool     // of an open analysis: SELECT holds columns that are not known

	statement  node // the one statement, in which the analysis writes what it finds
	relations  []*relation
	outputs    []output
	aliases    map[string]node // names given in SELECT, lower case
	aggregated []node          // aggregate calls
	windowed   []node          // calls with OVER
	noFloats   []node          // window sums whose argument must not be a float
	problems   []Problem
}

// output is one result column.
type output struct {
	name string
	expr node
}

func (a *analysis) refuse(at node, what, instead string) {
	p := Problem{What: what, Instead: instead}
	if at, ok := a.offset(at); ok { // the parser does not keep every place
		p.Line, p.Column = lineColumn(a.sql, at)
	}
	same := func(q Problem) bool { return q.Line == p.Line && q.What == p.What && q.Instead == p.Instead }
	if !slices.ContainsFunc(a.problems, same) { // once a line is enough
		a.problems = append(a.problems, p)
	}
}

// lineColumn is a place in a text, both from 1, the column in bytes.
func lineColumn(sql string, at int) (line, column int) {
	before := sql[:at]
	return 1 + strings.Count(before, "\n"), at - strings.LastIndexByte(before, '\n')
}

// offset is the place of a node in the text; ok when the parser has kept it.
func (a *analysis) offset(n node) (at int, ok bool) {
	num, _ := n["query_location"].(json.Number)
	at, err := strconv.Atoi(num.String())
	return at, err == nil && at <= len(a.sql)
}

// statements checks that the text is one plain SELECT and analyses it in place.
func (a *analysis) statements(stmts []node) {
	if len(stmts) != 1 {
		a.refuse(nil, fmt.Sprintf("the file holds %d statements", len(stmts)), "write one SELECT")
		return
	}
	n := child(stmts[0], "node")
	switch str(n, "type") {
	case "SELECT_NODE":
	case "SET_OPERATION_NODE":
		a.refuse(n, "UNION, EXCEPT or INTERSECT", "make one view per SELECT, and unite them in the warehouse")
		a.calls(n)
		return
	default:
		a.refuse(n, strings.ToLower(strings.ReplaceAll(str(n, "type"), "_", " ")), "write one SELECT")
		return
	}
	if len(list(child(n, "cte_map"), "map")) > 0 {
		a.refuse(nil, "WITH", insteadOfNesting)
		a.calls(n)
		return
	}
	a.modifiers(n)
	before := len(a.problems)
	a.from(child(n, "from_table"))
	if len(a.relations) == 0 || len(a.problems) > before {
		a.calls(n)
		return // names cannot be resolved without their tables
	}
	a.selectNode(n)
}

// modifiers refuses what stands around the SELECT. DISTINCT is fine: the key holds the anchor's key, so equal rows are of
// one anchor.
func (a *analysis) modifiers(n node) {
	for _, m := range list(n, "modifiers") {
		m := m.(node)
		switch kind := str(m, "type"); {
		case kind == "DISTINCT_MODIFIER" && len(list(m, "distinct_on_targets")) == 0:
		case kind == "DISTINCT_MODIFIER":
			a.refuse(nil, "DISTINCT ON", "write QUALIFY row_number() OVER (PARTITION BY the anchor's key ORDER BY ...) = 1")
		case kind == "ORDER_MODIFIER":
			a.refuse(firstOrder(m), "ORDER BY", "a table has no order; sort where it is read")
		default:
			a.refuse(limitOf(m), "LIMIT or OFFSET", "which rows remain depends on all others; filter with WHERE, or per anchor with QUALIFY")
		}
	}
	if child(n, "sample") != nil {
		a.refuse(nil, "USING SAMPLE", "filter with WHERE on a column")
	}
}

// limitOf and firstOrder find a modifier's place in the text by its first expression.
func limitOf(m node) node {
	if l := child(m, "limit"); l != nil {
		return l
	}
	return child(m, "offset")
}

func firstOrder(m node) node {
	for _, o := range list(m, "orders") {
		return child(o.(node), "expression")
	}
	return nil
}

// selectNode resolves every expression and checks grouping.
func (a *analysis) selectNode(n node) {
	a.conditions()
	all := len(a.relations)
	a.expandStars(n)
	a.aliases = map[string]node{}
	items := list(n, "select_list")
	for i := range items {
		item := items[i].(node)
		name := str(item, "alias")
		item = a.expr(item, place{clause: "SELECT", visible: all, aggregates: true, windows: true, aliases: true, lateral: true})
		if c := names(item, "column_names"); name == "" && str(item, "class") == "COLUMN_REF" && len(c) > 0 {
			name = c[len(c)-1]
		}
		if name == "" {
			a.refuse(item, fmt.Sprintf("output column %d has no name", i+1), "add AS name")
		}
		item["alias"] = name
		items[i] = item
		a.aliases[strings.ToLower(name)] = item
		a.outputs = append(a.outputs, output{name: name, expr: item})
	}
	if w := child(n, "where_clause"); w != nil {
		n["where_clause"] = a.expr(w, place{clause: "WHERE", visible: all, aliases: true})
	}
	a.grouping(n)
	if h := child(n, "having"); h != nil {
		n["having"] = a.expr(h, place{clause: "HAVING", visible: all, aliases: true, aggregates: true})
	}
	if q := child(n, "qualify"); q != nil {
		n["qualify"] = a.expr(q, place{clause: "QUALIFY", visible: all, aliases: true, windows: true})
	}
	a.anchored(n)
	a.outputNames()
	a.outputKey()
}

// expandStars writes out * and alias.*.
func (a *analysis) expandStars(n node) {
	var out []any
	for _, i := range list(n, "select_list") {
		item := i.(node)
		if str(item, "class") != "STAR" {
			out = append(out, item)
			continue
		}
		if flag(item, "columns") || len(list(item, "replace_list")) > 0 || len(list(item, "rename_list")) > 0 || len(list(item, "qualified_exclude_list")) > 0 {
			a.refuse(item, "COLUMNS(), or * with REPLACE, RENAME or a qualified EXCLUDE", "name the columns")
			continue
		}
		rel, excluded := str(item, "relation_name"), names(item, "exclude_list")
		if a.open && (rel == "" || slices.Contains(a.aliasNames(), rel)) {
			a.starred = true
			continue
		}
		known := false
		for _, r := range a.relations {
			if rel != "" && !strings.EqualFold(rel, r.alias) {
				continue
			}
			known = true
			for _, c := range r.columns() {
				if !slices.ContainsFunc(excluded, func(e string) bool { return strings.EqualFold(e, c) }) {
					ref := columnRef(r.alias, c)
					ref["query_location"] = item["query_location"]
					out = append(out, ref)
				}
			}
		}
		if !known {
			a.refuse(item, "unknown table "+rel+" before .*"+nearest(rel, a.aliasNames()), "use an alias of FROM")
		}
	}
	n["select_list"] = out
}

// grouping resolves GROUP BY: positions, names given in SELECT, ALL.
func (a *analysis) grouping(n node) {
	if len(list(n, "group_sets")) > 1 {
		a.refuse(nil, "GROUPING SETS, ROLLUP or CUBE", "write one plain GROUP BY")
		return
	}
	if str(n, "aggregate_handling") == "FORCE_AGGREGATES" { // GROUP BY ALL
		var groups, set []any
		for _, o := range a.outputs {
			if !a.hasAggregate(o.expr) {
				g := clone(o.expr)
				g["alias"] = ""
				set = append(set, len(groups))
				groups = append(groups, g)
			}
		}
		n["group_expressions"], n["group_sets"], n["aggregate_handling"] = groups, []any{set}, "STANDARD_HANDLING"
		return
	}
	groups := list(n, "group_expressions")
	for i := range groups {
		g := groups[i].(node)
		if str(g, "class") == "CONSTANT" {
			pos, err := strconv.Atoi(fmt.Sprint(child(g, "value")["value"]))
			if a.starred && err == nil {
				continue // which column that is nobody knows
			}
			if err != nil || pos < 1 || pos > len(a.outputs) {
				a.refuse(g, "GROUP BY a constant", "group by columns")
				continue
			}
			groups[i] = a.given(g, a.outputs[pos-1].expr, place{clause: "GROUP BY", windows: true, aggregates: true})
			if a.hasAggregate(groups[i]) {
				a.refuse(g, fmt.Sprintf("GROUP BY %d is an aggregate", pos), "group by columns")
			}
			continue
		}
		groups[i] = a.expr(g, place{clause: "GROUP BY", visible: len(a.relations), aliases: true})
	}
}

// anchored checks that aggregates stay inside one anchor (invariant 1).
func (a *analysis) anchored(n node) {
	groups := list(n, "group_expressions")
	grouped := len(groups) > 0 || len(a.aggregated) > 0 || child(n, "having") != nil
	if !grouped {
		return
	}
	if len(a.windowed) > 0 {
		a.refuse(a.windowed[0], "a window function in a view with aggregates", "make two views")
	}
	var at node
	if len(a.aggregated) > 0 {
		at = a.aggregated[0]
	}
	if anchor := a.relations[0]; a.open && !a.starred && !a.mayHold(groups, anchor) {
		a.refuse(at, "aggregates over more than one row of the anchor "+anchor.alias,
			"add the primary key of "+anchor.alias+" to GROUP BY; totals over many rows belong in a job")
	}
	for _, k := range a.relations[0].table.Schema.Key {
		if !slices.ContainsFunc(groups, func(g any) bool { return isRef(g.(node), a.relations[0].alias, k) }) {
			a.refuse(at, fmt.Sprintf("aggregates over more than one row of the anchor %s", a.relations[0].alias),
				fmt.Sprintf("add %s.%s to GROUP BY; totals over many rows belong in a job", a.relations[0].alias, k))
		}
	}
}

// outputNames checks the names of the result columns.
func (a *analysis) outputNames() {
	seen := map[string]bool{}
	for _, o := range a.outputs {
		low := strings.ToLower(o.name)
		switch {
		case low == ingest.OpColumn || strings.HasPrefix(low, "tm_"):
			a.refuse(o.expr, "output column "+o.name, "the name is reserved; give another one")
		case seen[low] && o.name != "":
			a.refuse(o.expr, "two output columns are called "+o.name, "give one of them another name with AS")
		}
		seen[low] = true
	}
}

// outputKey checks the view's key: its columns exist, can't be NULL for want of a partner, and hold the anchor's primary
// key, so that no two anchors share an output row (invariant 1).
func (a *analysis) outputKey() {
	if len(a.key) == 0 && a.open {
		return // an entry without a key is refused before its SQL is read
	}
	if len(a.key) == 0 {
		a.refuse(nil, "the view has no key", "set key: [...] to the columns that identify an output row")
		return
	}
	var all []string
	for _, o := range a.outputs {
		all = append(all, o.name)
	}
	anchor := a.relations[0]
	missing := slices.Clone(anchor.table.Schema.Key)
	for i, k := range a.key {
		at := slices.Index(all, k)
		if at < 0 && a.starred {
			continue
		}
		if at < 0 {
			a.refuse(nil, "key column "+k+" is not in SELECT"+nearest(k, all), "")
			continue
		}
		if slices.Contains(a.key[:i], k) {
			a.refuse(nil, "key column "+k+" is named twice", "")
		}
		c := names(a.outputs[at].expr, "column_names")
		if len(c) != 2 {
			continue
		}
		if c[0] == anchor.alias {
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == c[1] })
		}
		for _, r := range a.relations {
			if r.alias == c[0] && r.left {
				a.refuse(a.outputs[at].expr, fmt.Sprintf("key column %s is NULL when %s has no row", k, r.alias),
					fmt.Sprintf("write coalesce(%s.%s, ...) AS %s", c[0], c[1], k))
			}
		}
	}
	for _, m := range missing {
		a.refuse(nil, fmt.Sprintf("the key lacks the primary key column %s of the anchor %s", m, anchor.table.Input),
			fmt.Sprintf("select %s.%s and add it to key", anchor.alias, m))
	}
}
