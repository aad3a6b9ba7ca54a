package elt

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/config"
)

// checkBuilder fills a probe from its check.
type checkBuilder struct {
	check      *Check
	probe      *Probe
	problems   map[string]string
	read       func(string) (*Template, error)
	tables     []string // that the check reads
	says       string   // the rest of its name
	needsLimit bool
}

// build is one switch over the kinds of checks.
func (b *checkBuilder) build() {
	c := b.check
	switch b.probe.Kind {
	case "not_null":
		b.list("not_null", c.NotNull)
		b.probe.notNull = c.NotNull
		b.rows(func(probing) string { return strings.Join(each(c.NotNull, "%s IS NULL"), " OR ") })
	case "unique":
		b.list("unique", c.Unique)
		b.groups(c.Unique)
	case "duplicates":
		b.list("duplicates.columns", c.Duplicates.Columns)
		b.groups(c.Duplicates.Columns)
		b.needsLimit = true
	case "accepted":
		b.accepted(c.Accepted)
	case "range":
		b.between(c.Range)
	case "regex":
		b.regex(c.Regex)
	case "length":
		b.length(c.Length)
	case "relationship":
		b.relation(c.Relationship)
	case "schema":
		b.probe.columns, b.says = c.Schema, ""
	case "ratio":
		b.ratio(c.Ratio)
	case "sequential":
		b.column("sequential.column", c.Sequential.Column)
		b.number(fmt.Sprintf("MAX(%[1]s) - MIN(%[1]s) + 1 - COUNT(DISTINCT %[1]s)", quoteIdent(c.Sequential.Column)))
	case "distribution":
		b.distribution(c.Distribution)
	case "monotonic":
		b.monotonic(c.Monotonic)
	case "row_count":
		b.number("COUNT(*)")
		b.needsLimit = true
	case "freshness":
		b.freshness(c.Freshness)
	case "aggregate":
		b.aggregate(c.Aggregate)
	case "equal_sum":
		b.equalSum(c.EqualSum)
	case "equal_rows_with":
		b.equalRows(c.EqualRows)
	case "metric":
		b.metric(c.Metric.SQL)
	case "sql":
		b.failedRows(c.FailedRows)
	}
}

func each(columns []string, format string) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = fmt.Sprintf(format, quoteIdent(c))
	}
	return out
}

func (b *checkBuilder) list(path string, columns []string) {
	b.says = strings.Join(columns, ", ")
	if len(columns) == 0 {
		b.problems[path] = "names no column: the check would pass whatever the rows are"
	}
	for _, c := range columns {
		if c == "" {
			b.problems[path] = "names an empty column"
		}
	}
}

func (b *checkBuilder) column(path, name string) {
	b.says = name
	if name == "" {
		b.problems[path] = "is missing"
	}
}

// rows is a check of each row: bad is the condition of those that fail.
func (b *checkBuilder) rows(bad func(probing) string) {
	cond := b.probe.where
	b.probe.bad = bad
	b.probe.sql = func(p probing) string {
		return fmt.Sprintf("SELECT COALESCE(SUM(CASE WHEN %s THEN 1 ELSE 0 END), 0), COUNT(*) FROM %s%s", bad(p), p.Staged, where(cond))
	}
}

// groups is a check of rows that repeat columns.
func (b *checkBuilder) groups(columns []string) {
	cond := b.probe.where
	b.probe.groups = columns
	b.probe.sql = func(p probing) string {
		return fmt.Sprintf("SELECT COALESCE(SUM(n - 1), 0), COALESCE(SUM(n), 0) FROM (SELECT COUNT(*) AS n FROM %s%s GROUP BY %s) g",
			p.Staged, where(cond), quoteIdents(columns))
	}
}

// number is a check of one number over all rows. NULL, of no rows, is 0.
func (b *checkBuilder) number(expression string) {
	cond := b.probe.where
	b.probe.sql = func(p probing) string {
		return fmt.Sprintf("SELECT CAST(COALESCE(%s, 0) AS DOUBLE PRECISION), COUNT(*) FROM %s%s", expression, p.Staged, where(cond))
	}
}

func (b *checkBuilder) accepted(a *Accepted) {
	b.column("accepted.column", a.Column)
	if len(a.Values) == 0 {
		b.problems["accepted.values"] = "is missing: every row would fail"
	}
	values := make([]string, len(a.Values))
	for i, v := range a.Values {
		values[i] = v.Literal()
	}
	b.rows(func(probing) string { return quoteIdent(a.Column) + " NOT IN (" + strings.Join(values, ", ") + ")" })
}

func (b *checkBuilder) between(r *Range) {
	b.column("range.column", r.Column)
	if r.Min == nil && r.Max == nil {
		b.problems["range"] = "has neither min nor max: every row would pass"
	}
	b.rows(func(probing) string {
		var out []string
		if r.Min != nil {
			out = append(out, quoteIdent(r.Column)+" < "+r.Min.Literal())
		}
		if r.Max != nil {
			out = append(out, quoteIdent(r.Column)+" > "+r.Max.Literal())
		}
		return strings.Join(out, " OR ")
	})
}

func (b *checkBuilder) regex(r *Regex) {
	b.column("regex.column", r.Column)
	if _, err := regexp.Compile(r.Pattern); err != nil || r.Pattern == "" {
		b.problems["regex.pattern"] = "is no pattern that every warehouse reads: use the common ground, as RE2 has it"
	}
	b.rows(func(p probing) string { return "NOT " + p.Dialect.Matches(quoteIdent(r.Column), r.Pattern) })
}

func (b *checkBuilder) length(l *Length) {
	b.column("length.column", l.Column)
	if l.Min == 0 && l.Max == 0 || l.Min < 0 || l.Max != 0 && l.Max < l.Min {
		b.problems["length"] = "needs min, max or both, and min not above max"
	}
	b.rows(func(probing) string {
		out := fmt.Sprintf("LENGTH(%s) < %d", quoteIdent(l.Column), l.Min)
		if l.Max > 0 {
			out += fmt.Sprintf(" OR LENGTH(%s) > %d", quoteIdent(l.Column), l.Max)
		}
		return out
	})
}

func (b *checkBuilder) relation(r *Relation) {
	b.column("relationship.column", r.Column)
	if r.To == "" || r.Field == "" {
		b.problems["relationship"] = "needs column, to and field"
		return
	}
	b.tables = append(b.tables, r.To)
	b.rows(func(p probing) string {
		return fmt.Sprintf("%[1]s IS NOT NULL AND %[1]s NOT IN (SELECT %[2]s FROM %[3]s WHERE %[2]s IS NOT NULL)", quoteIdent(r.Column), quoteIdent(r.Field), p.table(r.To))
	})
}

func (b *checkBuilder) ratio(r *Ratio) {
	b.says, b.needsLimit = r.Where, true
	if r.Where == "" {
		b.problems["ratio.where"] = "is missing"
	} else if err := condition(r.Where); err != nil {
		b.problems["ratio.where"] = err.Error()
	}
	b.rows(func(probing) string { return "(" + r.Where + ")" })
}

func (b *checkBuilder) freshness(f *ColumnLimit) {
	b.column("freshness.column", f.Column)
	b.needsLimit = true
	cond := b.probe.where
	b.probe.sql = func(p probing) string {
		return fmt.Sprintf("SELECT CAST(COALESCE(EXTRACT(EPOCH FROM (%s - MAX(CAST(%s AS TIMESTAMPTZ)))), %d) AS DOUBLE PRECISION), COUNT(*) FROM %s%s",
			Timestamp(p.Interval.End), quoteIdent(f.Column), int64(p.Interval.End.Sub(p.Interval.Start).Seconds()), p.Staged, where(cond))
	}
}

var (
	aggregatePattern = regexp.MustCompile(`^([a-z]+)\(([A-Za-z_][A-Za-z0-9_]*)\)$`)
	aggregates       = map[string]string{"sum": "SUM(%s)", "avg": "AVG(%s)", "min": "MIN(%s)", "max": "MAX(%s)", "median": "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY %s)",
		"stddev": "STDDEV_SAMP(%s)", "nulls": "SUM(CASE WHEN %s IS NULL THEN 1 ELSE 0 END)", "distinct": "COUNT(DISTINCT %s)"}
)

func (b *checkBuilder) aggregate(a *Aggregate) {
	b.says, b.needsLimit = a.Of, true
	m := aggregatePattern.FindStringSubmatch(a.Of)
	names := slices.Sorted(maps.Keys(aggregates))
	if m == nil || aggregates[m[1]] == "" {
		said, _, _ := strings.Cut(a.Of, "(")
		b.problems["aggregate.of"] = "must be one of " + strings.Join(names, ", ") + " of a column, like sum(amount)" + config.DidYouMean(said, names)
		return
	}
	b.number(fmt.Sprintf(aggregates[m[1]], quoteIdent(m[2])))
}

// within limits a difference by a tolerance.
func (b *checkBuilder) within(tolerance Percent) {
	text, _ := tolerance.MarshalText() // cannot fail
	b.probe.Fail = Limit{op: ">", lo: float64(tolerance), percent: true, text: "> " + string(text)}
}

func (b *checkBuilder) equalSum(e *EqualSum) {
	b.column("equal_sum.column", e.Column)
	if e.With == "" {
		b.problems["equal_sum.with"] = "is missing: name the other table"
		return
	}
	field := e.Field
	if field == "" {
		field = e.Column
	}
	b.says = e.Column + " with " + e.With
	b.tables = append(b.tables, e.With)
	b.within(e.Tolerance)
	b.differ("COALESCE(SUM("+quoteIdent(e.Column)+"), 0)", "COALESCE(SUM("+quoteIdent(field)+"), 0)", e.With, e.TimeColumn)
}

func (b *checkBuilder) equalRows(e *EqualRows) {
	if e.Table == "" {
		b.problems["equal_rows_with.table"] = "is missing: name the other table"
		return
	}
	b.says = e.Table
	b.tables = append(b.tables, e.Table)
	b.within(e.Tolerance)
	b.differ("COUNT(*)", "COUNT(*)", e.Table, e.TimeColumn)
}

// differ is how far a number is from that of another table for the interval.
func (b *checkBuilder) differ(mine, other, table, timeColumn string) {
	cond := b.probe.where
	b.probe.sql = func(p probing) string {
		in := p.during(timeColumn)
		return fmt.Sprintf("SELECT CAST(ABS(a.n - b.n) AS DOUBLE PRECISION), CAST(ABS(b.n) AS DOUBLE PRECISION) FROM (SELECT %s AS n FROM %s%s) a CROSS JOIN (SELECT %s AS n FROM %s%s) b",
			mine, p.Staged, where(cond), other, p.table(table), in)
	}
}

// distribution is how many rows would need another value for the shares to be as they are meant: half of what the shares
// differ by, added up over the values. NULL is a value.
func (b *checkBuilder) distribution(d *Distribution) {
	b.column("distribution.column", d.Column)
	b.needsLimit = true
	if (d.Like == "") == (len(d.Shares) == 0) {
		b.problems["distribution"] = "needs shares, like {new: 60%, done: 40%}, or like: the table that has them; not both"
		return
	}
	sum := 0.0
	for _, share := range d.Shares {
		sum += float64(share)
	}
	if d.Like == "" && math.Abs(sum-100) > 0.1 {
		b.problems["distribution.shares"] = fmt.Sprintf("are %g%% together, not 100%%: name every value", math.Round(sum*100)/100)
	}
	if d.Like != "" {
		b.tables = append(b.tables, d.Like)
	}
	cond := b.probe.where
	b.probe.sql = func(p probing) string {
		rows := p.Staged + where(cond)
		return fmt.Sprintf(`SELECT CAST(COALESCE(SUM(CASE WHEN g.d > 0 THEN g.d ELSE 0 END), 0) * (SELECT COUNT(*) FROM %[1]s) AS DOUBLE PRECISION), (SELECT COUNT(*) FROM %[1]s)
 FROM (SELECT u.v, SUM(u.share) AS d FROM (%[2]s%[3]s) u GROUP BY u.v) g`, rows, shares(p, d.Column, rows, ""), d.meant(p))
	}
}

// shares are the values of a column with the part of the rows that have them.
func shares(p probing, column, rows, sign string) string {
	return fmt.Sprintf("SELECT CAST(%[1]s AS %[2]s) AS v, %[3]sCAST(COUNT(*) AS DOUBLE PRECISION) / (SELECT COUNT(*) FROM %[4]s) AS share FROM %[4]s GROUP BY %[1]s", quoteIdent(column), p.Dialect.text(), sign, rows)
}

// meant are the shares that are taken away.
func (d *Distribution) meant(p probing) string {
	if d.Like != "" {
		field := d.Field
		if field == "" {
			field = d.Column
		}
		return " UNION ALL " + shares(p, field, p.table(d.Like)+p.during(d.TimeColumn), "-")
	}
	var b strings.Builder
	for _, v := range slices.Sorted(maps.Keys(d.Shares)) {
		fmt.Fprintf(&b, " UNION ALL SELECT CAST(%s AS %s), CAST(%g AS DOUBLE PRECISION)", quoteText(v), p.Dialect.text(), -float64(d.Shares[v])/100)
	}
	return b.String()
}

// monotonic counts the rows whose value is below that of the row before.
func (b *checkBuilder) monotonic(m *Monotonic) {
	b.column("monotonic.column", m.Column)
	if m.By == "" {
		b.problems["monotonic.by"] = "is missing: name the column that orders the rows"
	}
	b.says = m.Column + " by " + m.By
	cond, over := b.probe.where, "ORDER BY "+quoteIdent(m.By)
	if m.Per != "" {
		over = "PARTITION BY " + quoteIdent(m.Per) + " " + over
	}
	b.probe.sql = func(p probing) string {
		return fmt.Sprintf("SELECT COALESCE(SUM(CASE WHEN m.v < m.before THEN 1 ELSE 0 END), 0), COUNT(*) FROM (SELECT %[1]s AS v, LAG(%[1]s) OVER (%[2]s) AS before FROM %[3]s%[4]s) m",
			quoteIdent(m.Column), over, p.Staged, where(cond))
	}
}

// during is the condition that rows of another table are of the interval; empty without a column that tells it.
func (p probing) during(timeColumn string) string {
	if timeColumn == "" {
		return ""
	}
	c := quoteIdent(timeColumn)
	return fmt.Sprintf(" WHERE %s >= %s AND %s < %s", c, Timestamp(p.Interval.Start), c, Timestamp(p.Interval.End))
}

// staged is the name of the rows of the interval in the SQL of a check.
const staged = "staged"

func (b *checkBuilder) template(path, file string) *Template {
	t, err := b.read(file)
	if err != nil {
		b.problems[path] = err.Error()
		return nil
	}
	for _, r := range t.Refs {
		if r != staged {
			b.tables = append(b.tables, r)
		}
	}
	return t
}

func (p probing) render(t *Template) string {
	// The staged rows are a table of the session and have no schema: the placeholder is put in last.
	refs := map[string]string{staged: "." + staged}
	for k, v := range p.Tables {
		refs[k] = v
	}
	text := t.Render(Values{Interval: p.Interval, Refs: refs, Vars: p.Vars})
	return strings.ReplaceAll(text, quoteTable("."+staged), p.Staged)
}

func (b *checkBuilder) metric(file string) {
	b.says, b.needsLimit = file, true
	if t := b.template("metric.sql", file); t != nil {
		b.probe.sql = func(p probing) string {
			return "SELECT CAST(COALESCE((" + p.render(t) + "), 0) AS DOUBLE PRECISION), (SELECT COUNT(*) FROM " + p.Staged + ")"
		}
	}
}

func (b *checkBuilder) failedRows(file string) {
	b.says = file
	if t := b.template("sql", file); t != nil {
		b.probe.sql = func(p probing) string {
			return "SELECT (SELECT COUNT(*) FROM (" + p.render(t) + ") f), (SELECT COUNT(*) FROM " + p.Staged + ")"
		}
	}
}
