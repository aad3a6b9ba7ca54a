//go:build duckdb_arrow

package state

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

// world is a random set of tables with their last images, as plain Go maps: the side of the test that knows nothing of
// DuckDB, views or deltas.
type world struct {
	r      *rand.Rand
	tables []*table
	// sparse worlds have many keys and change few of their rows: an anchor that a change misses is then not found by another
	// change of the same window. The others are dense: every window changes most anchors in several ways.
	sparse bool
	filled bool
}

type table struct {
	input  string
	schema *ingest.Schema
	rows   map[string][]any // last image by key text
}

// change is one row of a change stream; a delete holds only its key.
type change struct {
	op  ingest.Op
	row []any
}

var (
	bigint  = ingest.Type{Kind: ingest.Int64}
	integer = ingest.Type{Kind: ingest.Int32}
	text    = ingest.Type{Kind: ingest.Text}
	boolean = ingest.Type{Kind: ingest.Bool}
	money   = ingest.Type{Kind: ingest.Decimal, Precision: 12, Scale: 2}
)

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 77))}
	w.sparse = w.r.IntN(2) == 0
	for i := range 2 + w.r.IntN(3) {
		source := []string{"east", "west"}[i%2]
		s := &ingest.Schema{Table: ingest.TableName{Schema: "db", Name: fmt.Sprint("t", i)}}
		add := func(name string, t ingest.Type) {
			s.Columns = append(s.Columns, ingest.Column{Name: name, Type: t, Nullable: true})
		}
		switch w.r.IntN(4) {
		case 0:
			add("code", text)
			s.Key = []string{"code"}
		case 1:
			add("id", bigint)
			add("line", integer)
			s.Key = []string{"id", "line"}
		default:
			add("id", bigint)
			s.Key = []string{"id"}
		}
		add("fk", bigint) // meets ids and other fks: 1:1, 1:N and N:M joins
		add("fk2", bigint)
		add("tag", text) // meets codes
		for c, t := range []ingest.Type{integer, money, boolean, text} {
			if w.r.IntN(3) > 0 {
				add(fmt.Sprint("p", c), t)
			}
		}
		w.tables = append(w.tables, &table{input: source + "." + s.Table.Name, schema: s, rows: map[string][]any{}})
	}
	return w
}

func (t *table) source() string { s, _, _ := strings.Cut(t.input, "."); return s }

func (w *world) catalogue() []view.Table {
	var out []view.Table
	for _, t := range w.tables {
		out = append(out, view.Table{Input: t.input, Source: t.source(), Schema: t.schema})
	}
	return out
}

// value is a random value of a small domain, so that keys meet and updates often change nothing.
func (w *world) value(t ingest.Type, key bool) any {
	if !key && w.r.IntN(5) == 0 {
		return nil
	}
	switch t.Kind {
	case ingest.Int64:
		if w.sparse {
			return int64(w.r.IntN(40))
		}
		return int64(w.r.IntN(12))
	case ingest.Int32:
		return int32(w.r.IntN(3))
	case ingest.Bool:
		return w.r.IntN(2) == 0
	case ingest.Decimal:
		return int64(w.r.IntN(5)*125 - 250) // unscaled
	default:
		return []string{"a", "b", "c", "d", "é'\"x"}[w.r.IntN(5)]
	}
}

func (t *table) key(row []any) string {
	var k []string
	for _, i := range t.schema.KeyColumns() {
		k = append(k, fmt.Sprint(row[i]))
	}
	return strings.Join(k, "|")
}

// window makes random changes of every table and applies them to the world.
func (w *world) window() map[string][]change {
	out := map[string][]change{}
	for _, t := range w.tables {
		n := w.r.IntN(12)
		switch {
		case w.sparse && !w.filled:
			n = 60
		case w.sparse:
			n = w.r.IntN(3)
		case w.r.IntN(4) == 0:
			n = 0
		}
		for range n {
			out[t.input] = append(out[t.input], w.change(t))
		}
	}
	w.filled = true
	return out
}

func (w *world) change(t *table) change {
	isKey := map[int]bool{}
	for _, i := range t.schema.KeyColumns() {
		isKey[i] = true
	}
	row := make([]any, len(t.schema.Columns))
	for i, c := range t.schema.Columns {
		row[i] = w.value(c.Type, isKey[i])
	}
	if w.sparse && w.filled && len(t.rows) > 0 { // mostly rows that are there: few random keys are
		if keys := slices.Sorted(maps.Keys(t.rows)); w.r.IntN(4) > 0 {
			for i, v := range t.rows[keys[w.r.IntN(len(keys))]] {
				if isKey[i] {
					row[i] = v
				}
			}
		}
	}
	key := t.key(row)
	if w.r.IntN(3) == 0 { // a delete, perhaps of a key that is not there
		for i := range row {
			if !isKey[i] {
				row[i] = nil
			}
		}
		delete(t.rows, key)
		return change{op: ingest.Delete, row: row}
	}
	if old, ok := t.rows[key]; ok && w.r.IntN(2) == 0 { // change one column only
		at := w.r.IntN(len(row))
		if fk := t.schema.Column("fk"); w.r.IntN(3) == 0 { // it moves to another partner
			at = fk
		}
		changed := row[at]
		copy(row, old)
		if !isKey[at] {
			row[at] = changed
		}
	}
	t.rows[key] = row
	return change{op: ingest.Upsert, row: row}
}

// addColumn widens a random table; rows that are there keep NULL.
func (w *world) addColumn() {
	t := w.tables[w.r.IntN(len(w.tables))]
	s := *t.schema
	s.Columns = append(s.Columns[:len(s.Columns):len(s.Columns)], ingest.Column{Name: fmt.Sprint("extra", len(s.Columns)), Type: integer, Nullable: true})
	t.schema = &s
	for k, row := range t.rows {
		t.rows[k] = append(row[:len(row):len(row)], nil)
	}
}

// viewSQL writes a random view of the admitted class, in the words that DuckDB and PostgreSQL share.
type viewSQL struct {
	w    *world
	rels []*table
	as   []string
	from strings.Builder
	keys []string // key expressions by output
	key  []string
	cols []string
}

func (w *world) view() view.Spec {
	g := &viewSQL{w: w}
	n := 1 + w.r.IntN(4)
	for i := range n {
		t := w.tables[w.r.IntN(len(w.tables))]
		g.rels, g.as = append(g.rels, t), append(g.as, fmt.Sprint("r", i))
		name := fmt.Sprintf("%s.%s %s", t.source(), t.schema.Table.Name, g.as[i])
		if i == 0 {
			g.from.WriteString("FROM " + name)
			continue
		}
		join := []string{" LEFT JOIN ", " LEFT JOIN ", " JOIN "}[w.r.IntN(3)]
		g.from.WriteString(join + name + " ON " + g.condition(i))
	}
	for _, k := range g.rels[0].schema.Key {
		g.output("r0."+k, true)
	}
	where := ""
	if w.r.IntN(2) == 0 {
		where = " WHERE " + g.filter(w.r.IntN(n))
	}
	switch w.r.IntN(3) {
	case 0:
		return g.aggregate(where)
	case 1:
		return g.ranked(where)
	}
	g.rowKeys()
	for i := range n {
		g.output(g.column(i), false)
	}
	distinct := []string{"", "DISTINCT "}[w.r.IntN(2)]
	return view.Spec{Name: "v", Key: g.key, SQL: "SELECT " + distinct + strings.Join(g.cols, ", ") + " " + g.from.String() + where}
}

// rowKeys adds the keys of the joined relations to the key; a missing partner has a value no row has.
func (g *viewSQL) rowKeys() {
	for i, t := range g.rels[1:] {
		for _, k := range t.schema.Key {
			e := fmt.Sprintf("%s.%s", g.as[i+1], k)
			if t.schema.Columns[t.schema.Column(k)].Type.Kind == ingest.Text {
				e = "coalesce(" + e + ", '')"
			} else {
				e = "coalesce(" + e + ", -1)"
			}
			g.output(e, true)
		}
	}
}

func (g *viewSQL) output(expr string, key bool) {
	name := fmt.Sprint("c", len(g.cols))
	g.cols = append(g.cols, expr+" AS "+name)
	if key {
		g.key = append(g.key, name)
		g.keys = append(g.keys, expr)
	}
}

// condition joins relation i by an equality with an earlier one, sometimes with more.
func (g *viewSQL) condition(i int) string {
	p := g.w.r.IntN(i)
	kind := []ingest.Kind{ingest.Int64, ingest.Text}[g.w.r.IntN(4)/3]
	own, other := g.typed(i, kind), g.typed(p, kind)
	if s := g.rels[p].schema; len(s.Key) == 1 && s.Key[0] == "id" && g.w.r.IntN(2) == 0 { // the usual foreign key: at most one partner
		kind, own, other = ingest.Int64, g.as[i]+".fk", g.as[p]+".id"
	}
	if kind == ingest.Int64 && g.w.r.IntN(6) == 0 {
		other = "coalesce(" + other + ", 3)"
	}
	on := own + " = " + other
	if g.w.r.IntN(2) == 0 {
		on = other + " = " + own
	}
	switch g.w.r.IntN(5) {
	case 0:
		on += " AND " + g.filter(i)
	case 1:
		on += fmt.Sprintf(" AND %s <= %s", g.typed(i, ingest.Int64), g.typed(g.w.r.IntN(i), ingest.Int64))
	}
	return on
}

// typed is a random column of a relation with the kind; every table has one.
func (g *viewSQL) typed(i int, kind ingest.Kind) string {
	var names []string
	for _, c := range g.rels[i].schema.Columns {
		if c.Type.Kind == kind {
			names = append(names, c.Name)
		}
	}
	return g.as[i] + "." + names[g.w.r.IntN(len(names))]
}

func (g *viewSQL) column(i int) string {
	cols := g.rels[i].schema.Columns
	return g.as[i] + "." + cols[g.w.r.IntN(len(cols))].Name
}

func (g *viewSQL) filter(i int) string {
	switch g.w.r.IntN(4) {
	case 0:
		return g.column(i) + " IS NOT NULL"
	case 1:
		return g.typed(i, ingest.Int64) + " > 3"
	case 2:
		return g.typed(i, ingest.Text) + " IN ('a', 'b', 'c')"
	}
	return fmt.Sprintf("(%s IS NULL OR %s < 9)", g.column(i), g.typed(i, ingest.Int64))
}

// aggregate groups by the anchor.
func (g *viewSQL) aggregate(where string) view.Spec {
	groups := append([]string{}, g.keys...)
	for range 2 {
		i := g.w.r.IntN(len(g.rels))
		number, word := g.typed(i, ingest.Int64), g.typed(i, ingest.Text)
		switch g.w.r.IntN(6) {
		case 0:
			g.output("count("+g.column(i)+")", false)
		case 1:
			g.output("CAST(sum("+number+") AS BIGINT)", false)
		case 2:
			g.output("max("+word+")", false)
		case 3:
			g.output("count(DISTINCT "+word+")", false)
		case 4:
			g.output("min("+number+")", false)
		default:
			g.output("string_agg("+word+", ',' ORDER BY "+word+")", false)
		}
	}
	having := ""
	if g.w.r.IntN(3) == 0 {
		having = " HAVING count(*) > 1"
	}
	return view.Spec{Name: "v", Key: g.key, SQL: "SELECT " + strings.Join(g.cols, ", ") + " " + g.from.String() + where + " GROUP BY " + strings.Join(groups, ", ") + having}
}

// ranked numbers the rows of an anchor.
func (g *viewSQL) ranked(where string) view.Spec {
	var ties []string
	for i, t := range g.rels {
		for _, k := range t.schema.Key {
			ties = append(ties, fmt.Sprintf("%s.%s ASC NULLS LAST", g.as[i], k))
		}
	}
	by := g.typed(g.w.r.IntN(len(g.rels)), ingest.Int64)
	anchor := strings.Join(g.keys, ", ")
	g.rowKeys()
	g.output(fmt.Sprintf("row_number() OVER (PARTITION BY %s ORDER BY %s DESC NULLS LAST, %s)", anchor, by, strings.Join(ties, ", ")), false)
	g.output(fmt.Sprintf("rank() OVER (PARTITION BY %s ORDER BY %s ASC NULLS LAST)", anchor, by), false)
	g.output(fmt.Sprintf("count(*) OVER (PARTITION BY %s)", anchor), false)
	return view.Spec{Name: "v", Key: g.key, SQL: "SELECT " + strings.Join(g.cols, ", ") + " " + g.from.String() + where}
}
