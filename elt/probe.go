package elt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// Probe is a check that is ready to be asked: SQL over the staged rows that gives one value and how many rows it is about.
type Probe struct {
	Name       string
	Kind       string
	Warn, Fail Limit
	sql        func(p probing) string // gives value and total
	bad        func(p probing) string // condition of the rows that fail; nil when the check is not about rows
	groups     []string               // columns that must not repeat, when it is about groups of rows
	notNull    []string               // columns of the not_null check
	columns    []string               // of the schema check, which needs no SQL
	where      string
}

// probing is where a probe is asked.
type probing struct {
	Staged   string
	Interval grid.Window
	Tables   map[string]string // names in the check -> schema.table
	Vars     map[string]Var
	Dialect  Dialect
}

func (p probing) table(name string) string { return quoteTable(p.Tables[name]) }

// SQL asks for the value and the total.
func (c *Probe) SQL(p probing) string { return c.sql(p) }

// Keys asks for the rows that fail: the columns are the given expressions.
func (c *Probe) Keys(p probing, columns string, limit int) string {
	switch {
	case limit == 0:
		return ""
	case c.bad != nil:
		return fmt.Sprintf("SELECT %s FROM %s WHERE (%s)%s LIMIT %d", columns, p.Staged, c.bad(p), and(c.where), limit)
	case c.groups != nil:
		g := quoteIdents(c.groups)
		return fmt.Sprintf("SELECT %s FROM %s WHERE (%s) IN (SELECT %s FROM %s%s GROUP BY %s HAVING COUNT(*) > 1)%s LIMIT %d",
			columns, p.Staged, g, g, p.Staged, where(c.where), g, and(c.where), limit)
	}
	return ""
}

func where(cond string) string {
	if cond == "" {
		return ""
	}
	return " WHERE (" + cond + ")"
}

func and(cond string) string {
	if cond == "" {
		return ""
	}
	return " AND (" + cond + ")"
}

// noFault is the limit of checks of rows that have none: no row may fail.
var noFault = Limit{op: ">", text: "> 0"}

// compileCheck makes the probe of a check and lists the tables that it reads. read gives the text of a SQL file.
func compileCheck(c *Check, read func(string) (*Template, error)) (p Probe, tables []string, problems map[string]string) {
	problems = map[string]string{}
	kinds := c.kinds()
	switch {
	case len(kinds) == 0:
		return p, nil, map[string]string{"": "says no check: name one of " + strings.Join(checkKinds, ", ")}
	case len(kinds) > 1:
		return p, nil, map[string]string{"": "says " + strings.Join(kinds, " and ") + ": write one check per entry"}
	}
	p.Kind, p.where = kinds[0], c.Where
	if err := condition(c.Where); err != nil {
		problems["where"] = err.Error()
	}
	m, own := c.measure()
	b := &checkBuilder{check: c, probe: &p, problems: problems, read: read}
	b.build()
	if own && !c.Measure.Warn.IsZero() || own && !c.Measure.Fail.IsZero() {
		problems["warn"] = "write warn and fail inside of " + p.Kind
	}
	if p.Warn.IsZero() && p.Fail.IsZero() {
		p.Warn, p.Fail = m.Warn, m.Fail
	}
	if p.Warn.IsZero() && p.Fail.IsZero() {
		if b.needsLimit {
			problems[p.Kind] = "needs a limit: warn, fail or both, like fail: \"< 1\""
		}
		p.Fail = noFault
	}
	if p.Name = c.Name; p.Name == "" {
		p.Name = strings.TrimSpace(p.Kind + " " + b.says)
	}
	return p, b.tables, problems
}

// condition refuses a condition that is more than one.
func condition(sql string) error {
	depth := 0
	for _, s := range segments(sql) {
		if s.quoted {
			continue
		}
		if s.remark || strings.Contains(s.text, ";") || strings.Contains(s.text, "{{") {
			return errors.New("must be one condition in SQL, without comments and placeholders")
		}
		for _, c := range s.text {
			switch c {
			case '(':
				depth++
			case ')':
				if depth--; depth < 0 {
					return errors.New("has a closing parenthesis too many")
				}
			}
		}
	}
	if depth != 0 {
		return errors.New("has a parenthesis that is not closed")
	}
	return nil
}

var checkKinds = []string{"not_null", "unique", "accepted", "range", "regex", "length", "relationship", "row_count", "freshness", "schema",
	"duplicates", "aggregate", "ratio", "equal_sum", "equal_rows_with", "distribution", "monotonic", "sequential", "metric", "sql"}

// kinds lists what the check says, of checkKinds.
func (c *Check) kinds() []string {
	said := map[string]bool{
		"not_null": c.NotNull != nil, "unique": c.Unique != nil, "accepted": c.Accepted != nil, "range": c.Range != nil, "regex": c.Regex != nil,
		"length": c.Length != nil, "relationship": c.Relationship != nil, "row_count": c.RowCount != nil, "freshness": c.Freshness != nil,
		"schema": c.Schema != nil, "duplicates": c.Duplicates != nil, "aggregate": c.Aggregate != nil, "ratio": c.Ratio != nil,
		"equal_sum": c.EqualSum != nil, "equal_rows_with": c.EqualRows != nil, "distribution": c.Distribution != nil, "monotonic": c.Monotonic != nil, "sequential": c.Sequential != nil, "metric": c.Metric != nil,
		"sql": c.FailedRows != "",
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(said)) {
		if said[k] {
			out = append(out, k)
		}
	}
	return out
}

// measure are the limits of the check; own says that they are written inside of its kind.
func (c *Check) measure() (m Measure, own bool) {
	switch {
	case c.RowCount != nil:
		return *c.RowCount, true
	case c.Freshness != nil:
		return c.Freshness.Measure, true
	case c.Duplicates != nil:
		return c.Duplicates.Measure, true
	case c.Aggregate != nil:
		return c.Aggregate.Measure, true
	case c.Ratio != nil:
		return c.Ratio.Measure, true
	case c.Distribution != nil:
		return c.Distribution.Measure, true
	case c.Metric != nil:
		return c.Metric.Measure, true
	}
	return c.Measure, false
}

// unknownColumn suggests a column that a check may have meant.
func unknownColumn(name string, columns []string) string {
	return fmt.Sprintf("the SELECT gives no column %q%s", name, config.DidYouMean(name, columns))
}
