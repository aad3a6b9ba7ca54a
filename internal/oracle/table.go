package oracle

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Val is one value as canonical text.
type Val struct {
	Text string
	Null bool
}

var null = Val{Null: true}

// Table is the content of one table: the latest row per key.
type Table struct {
	Columns []Column
	Key     []int // indexes into Columns
	Rows    map[string][]Val
}

// Column is a column's name and its PostgreSQL type, for the evaluating engine.
type Column struct {
	Name string
	PG   string
}

func (t *Table) keyOf(row []Val) string {
	var b strings.Builder
	for _, i := range t.Key {
		fmt.Fprintf(&b, "%d:%s,", len(row[i].Text), row[i].Text)
	}
	return b.String()
}

// widen adapts the stored rows to a new column list, by name: added columns are NULL, dropped ones vanish.
func (t *Table) widen(cols []Column, key []int) {
	from := make([]int, len(cols))
	for i, c := range cols {
		from[i] = slices.IndexFunc(t.Columns, func(o Column) bool { return o.Name == c.Name })
	}
	for k, row := range t.Rows {
		next := make([]Val, len(cols))
		for i, f := range from {
			next[i] = null
			if f >= 0 {
				next[i] = row[f]
			}
		}
		t.Rows[k] = next
	}
	t.Columns, t.Key = cols, key
}

// DiffError says how two sets of rows differ.
type DiffError struct {
	Name    string
	Rows    int // wanted
	Missing int // wanted and not there
	Changed int // there with other values: a change is missing, or one is there that should not be
	Extra   int // there and not wanted
	first   []string
}

func (e *DiffError) Error() string {
	return fmt.Sprintf("%s: %d of %d rows are wrong: %s", e.Name, e.Missing+e.Changed+e.Extra, e.Rows, strings.Join(e.first, "; "))
}

// Diff compares two sets of rows over the named columns. What it returns is a *DiffError that names the first few by key.
func Diff(name string, cols []string, want, got map[string][]Val) error {
	e := &DiffError{Name: name, Rows: len(want)}
	for k, w := range want {
		g, ok := got[k]
		switch {
		case !ok:
			e.Missing++
			e.first = append(e.first, "missing "+k)
		case !slices.Equal(w, g):
			e.Changed++
			e.first = append(e.first, "differs "+k+" in "+differing(cols, w, g))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			e.Extra++
			e.first = append(e.first, "extra "+k)
		}
	}
	if len(e.first) == 0 {
		return nil
	}
	sort.Strings(e.first)
	e.first = e.first[:min(5, len(e.first))]
	return e
}

func differing(cols []string, w, g []Val) string {
	var out []string
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			got := Val{Text: "(no column)"}
			if i < len(g) {
				got = g[i]
			}
			out = append(out, fmt.Sprintf("%s (want %s, got %s)", cols[i], show(w[i]), show(got)))
		}
	}
	return strings.Join(out, ", ")
}

func show(v Val) string {
	if v.Null {
		return "NULL"
	}
	return fmt.Sprintf("%q", v.Text)
}
