package elt

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Check is one thing that the rows of an interval must satisfy. Exactly one of the kinds is set; an unknown kind is an error
// of the file, and a list without an entry that is understood is one too.
type Check struct {
	NotNull      []string      `yaml:"not_null" jsonschema:"description=Columns that are never NULL"`
	Unique       []string      `yaml:"unique" jsonschema:"description=Columns that together identify a row"`
	Accepted     *Accepted     `yaml:"accepted" jsonschema:"description=A column holds one of these values"`
	Range        *Range        `yaml:"range" jsonschema:"description=A column lies between two values, both included"`
	Regex        *Regex        `yaml:"regex" jsonschema:"description=A column matches a pattern"`
	Length       *Length       `yaml:"length" jsonschema:"description=A text has between min and max characters"`
	Relationship *Relation     `yaml:"relationship" jsonschema:"description=A column's values are in another table"`
	RowCount     *Measure      `yaml:"row_count" jsonschema:"description=How many rows the interval has"`
	Freshness    *ColumnLimit  `yaml:"freshness" jsonschema:"description=How long before the interval's end its newest row is, in seconds"`
	Schema       Columns       `yaml:"schema" jsonschema:"description=Columns and their types, in order"`
	Duplicates   *Duplicates   `yaml:"duplicates" jsonschema:"description=Part of the rows that repeat another, in percent"`
	Aggregate    *Aggregate    `yaml:"aggregate" jsonschema:"description=sum, avg, min, max, median, stddev, nulls or distinct of a column"`
	Ratio        *Ratio        `yaml:"ratio" jsonschema:"description=Part of the rows that satisfy a condition, in percent"`
	EqualSum     *EqualSum     `yaml:"equal_sum" jsonschema:"description=The sum of a column equals that of another table's, for the interval"`
	EqualRows    *EqualRows    `yaml:"equal_rows_with" jsonschema:"description=As many rows as another table, for the interval"`
	Distribution *Distribution `yaml:"distribution" jsonschema:"description=How the values of a column are shared out, against given shares or those of another table: the part of the rows that would need another value"`
	Monotonic    *Monotonic    `yaml:"monotonic" jsonschema:"description=A column never falls in the order of another"`
	Sequential   *Sequential   `yaml:"sequential" jsonschema:"description=A whole number that goes on without a gap"`
	Metric       *Metric       `yaml:"metric" jsonschema:"description=A number that a SELECT gives"`
	FailedRows   string        `yaml:"sql" jsonschema:"description=File with a SELECT that gives the bad rows; {{ ref staged }} are the rows of the interval"`

	// Name is how the check is called in results. Default: what it says.
	Name string `yaml:"name" jsonschema:"description=How the check is called. Default: what it says"`
	// Where limits the check to some of the rows.
	Where   string `yaml:"where" jsonschema:"description=Condition in SQL for the rows that are checked"`
	Measure `yaml:",inline"`
}

// Measure are the limits of what a check counts or computes. A check has a warning and a failure in one line.
type Measure struct {
	Warn Limit `yaml:"warn" jsonschema:"description=Like > 1%, < 100, outside 1..10, outside 50%..200% of median(28 same weekday), outside 4 deviations of median(28)"`
	Fail Limit `yaml:"fail" jsonschema:"description=As warn. Checks of rows fail above 0 unless they have a limit"`
}

// Accepted is a set of values.
type Accepted struct {
	Column string `yaml:"column"`
	Values []Var  `yaml:"values"`
}

// Range is a range of values.
type Range struct {
	Column string `yaml:"column"`
	Min    *Var   `yaml:"min"`
	Max    *Var   `yaml:"max"`
}

// Regex is a pattern.
type Regex struct {
	Column  string `yaml:"column"`
	Pattern string `yaml:"pattern"`
}

// Length bounds a text.
type Length struct {
	Column string `yaml:"column"`
	Min    int64  `yaml:"min"`
	Max    int64  `yaml:"max"`
}

// Relation is a reference to another table.
type Relation struct {
	Column string `yaml:"column"`
	To     string `yaml:"to"`
	Field  string `yaml:"field"`
}

// ColumnLimit is a measure of a column.
type ColumnLimit struct {
	Column  string `yaml:"column"`
	Measure `yaml:",inline"`
}

// Columns are names with types.
type Columns []string

// Duplicates are rows that repeat columns.
type Duplicates struct {
	Columns []string `yaml:"columns"`
	Measure `yaml:",inline"`
}

// Aggregate is one number of a column.
type Aggregate struct {
	Of      string `yaml:"of" jsonschema:"description=sum(amount); or avg, min, max, median, stddev, nulls, distinct"`
	Measure `yaml:",inline"`
}

// Ratio is the part of the rows that satisfy a condition.
type Ratio struct {
	Where   string `yaml:"where"`
	Measure `yaml:",inline"`
}

// EqualSum compares two sums.
type EqualSum struct {
	Column     string  `yaml:"column"`
	With       string  `yaml:"with"`
	Field      string  `yaml:"field" jsonschema:"description=Column of the other table. Default the same name"`
	TimeColumn string  `yaml:"time_column" jsonschema:"description=Column of the other table that tells the interval"`
	Tolerance  Percent `yaml:"tolerance"`
}

// EqualRows compares two numbers of rows.
type EqualRows struct {
	Table      string  `yaml:"table"`
	TimeColumn string  `yaml:"time_column"`
	Tolerance  Percent `yaml:"tolerance"`
}

// Sequential is a column of whole numbers.
type Sequential struct {
	Column string `yaml:"column"`
}

// Distribution is how the values of a column are shared out: as given, or as in another table for the interval.
type Distribution struct {
	Column     string             `yaml:"column"`
	Shares     map[string]Percent `yaml:"shares" jsonschema:"description=Part of the rows by value, 100% together"`
	Like       string             `yaml:"like" jsonschema:"description=Table whose shares are the measure, instead of shares"`
	Field      string             `yaml:"field" jsonschema:"description=Column of the other table. Default the same name"`
	TimeColumn string             `yaml:"time_column" jsonschema:"description=Column of the other table that tells the interval"`
	Measure    `yaml:",inline"`
}

// Monotonic is a column that never falls.
type Monotonic struct {
	Column string `yaml:"column"`
	By     string `yaml:"by" jsonschema:"description=Column that orders the rows"`
	Per    string `yaml:"per" jsonschema:"description=Column whose values are looked at each by itself"`
}

// Metric is a number that SQL computes.
type Metric struct {
	SQL     string `yaml:"sql"`
	Measure `yaml:",inline"`
}

// Limit is when a number is too much: a comparison, a range, or a range around what earlier intervals had.
type Limit struct {
	op         string // > >= < <= = != inside outside
	lo, hi     float64
	percent    bool    // of the rows, or with median: of the median
	median     int     // over how many earlier intervals
	weekday    bool    // of the same day of the week only
	deviations float64 // from the median; 0: the bounds are a part of it
	duration   bool    // written as a length of time, in seconds
	text       string
}

// IsZero reports whether there is no limit.
func (l Limit) IsZero() bool { return l.op == "" }

// String is the limit as it was written.
func (l Limit) String() string { return l.text }

// MarshalText is the limit as it was written.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.text), nil }

const limitForms = `must be like "> 0", "< 1", "> 1%", "> 2h", "outside 1..10", "outside 50%..200% of median(28 same weekday)" or "outside 4 deviations of median(28)"`

// UnmarshalText reads a limit.
func (l *Limit) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	for _, op := range []string{"outside", "inside"} {
		if rest, ok := strings.CutPrefix(text, op+" "); ok {
			return l.bounds(op, rest, text)
		}
	}
	op := strings.TrimSpace(text)
	if n := strings.IndexFunc(op, func(r rune) bool { return !strings.ContainsRune("<>=!", r) }); n >= 0 {
		op = op[:n]
	}
	switch op {
	case ">", ">=", "<", "<=", "=", "!=":
	default:
		return errors.New(limitForms)
	}
	out := Limit{op: op, text: text}
	var err error
	if out.lo, out.percent, out.duration, err = number(strings.TrimSpace(text[len(op):])); err != nil {
		return err
	}
	*l = out
	return nil
}

// bounds reads what stands behind outside or inside.
func (l *Limit) bounds(op, rest, text string) error {
	out := Limit{op: op, text: text}
	bounds, of, median := strings.Cut(rest, " of median(")
	if n, ok := strings.CutSuffix(bounds, " deviations"); ok {
		d, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
		if err != nil || !(d > 0 && d <= 100) || !median || op != "outside" {
			return errors.New(limitForms)
		}
		out.deviations = d
	} else {
		lo, hi, ok := strings.Cut(bounds, "..")
		var err1, err2 error
		var same bool
		out.lo, out.percent, out.duration, err1 = number(strings.TrimSpace(lo))
		out.hi, same, _, err2 = number(strings.TrimSpace(hi))
		if !ok || err1 != nil || err2 != nil || same != out.percent || out.hi < out.lo || median && !out.percent {
			return errors.New(limitForms)
		}
	}
	if median {
		inside, closed := strings.CutSuffix(of, ")")
		n, weekday := strings.CutSuffix(inside, " same weekday")
		count, err := strconv.Atoi(strings.TrimSpace(n))
		if !closed || err != nil || count < out.training() || count > 1000 {
			return errors.New(limitForms)
		}
		out.median, out.weekday = count, weekday
	}
	*l = out
	return nil
}

// number reads 5, 0.5, 1% or 2h; a length of time is in seconds.
func number(text string) (n float64, percent, duration bool, err error) {
	if p, ok := strings.CutSuffix(text, "%"); ok {
		n, err = strconv.ParseFloat(p, 64)
		percent = true
	} else if n, err = strconv.ParseFloat(text, 64); err != nil {
		var s Span
		if err = s.UnmarshalText([]byte(text)); err == nil {
			n, duration = s.Duration.Seconds(), true
		}
	}
	if err != nil || n != n || n > 1e18 || n < -1e18 {
		return 0, false, false, errors.New(limitForms)
	}
	return n, percent, duration, nil
}

// Reading is what a check has found: a value, and the rows that it is about.
type Reading struct {
	Value, Total float64
	// Share says that the value counts some of the rows, so that intervals of other sizes are compared by the part of them.
	Share bool
}

// reading is that of a check of a kind.
func reading(kind string, value, total float64) Reading {
	return Reading{value, total, kind == "ratio" || kind == "duplicates" || kind == "distribution"}
}

// compared is what intervals are compared by.
func (r Reading) compared() float64 {
	if r.Share && r.Total > 0 {
		return 100 * r.Value / r.Total
	}
	return r.Value
}

// Past is what the same check found for an earlier interval.
type Past struct {
	Value       float64
	SameWeekday bool
}

// training is how many earlier intervals say something: a median, or how far values are from it as a rule.
func (l Limit) training() int {
	if l.deviations > 0 {
		return 7
	}
	return 3
}

// around are the bounds that earlier values give. known is false without enough of them. past is newest first.
func (l Limit) around(past []Past) (lo, hi float64, known bool) {
	var values []float64
	for _, p := range past {
		if len(values) < l.median && (!l.weekday || p.SameWeekday) {
			values = append(values, p.Value)
		}
	}
	if len(values) < l.training() {
		return 0, 0, false
	}
	m := median(values)
	if l.deviations == 0 {
		return m * l.lo / 100, m * l.hi / 100, true
	}
	// The median of the distances, as large as a standard deviation is of values that scatter normally: one wild day in the
	// past does not widen the bounds for the days after it. What never moved is taken to move by 1 %.
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - m)
	}
	d := l.deviations * max(1.4826*median(away), math.Abs(m)/100)
	return m - d, m + d, true
}

// Crossed reports whether a reading is beyond the limit. A limit by a median without enough past is not crossed: known is
// false then.
func (l Limit) Crossed(r Reading, past []Past) (crossed, known bool) {
	v := r.Value
	lo, hi := l.lo, l.hi
	switch {
	case l.op == "":
		return false, true
	case l.median > 0:
		if lo, hi, known = l.around(past); !known {
			return false, false
		}
		v = r.compared()
	case l.percent && r.Total == 0:
		v = 0
		if r.Value != 0 { // a difference to nothing
			v = 100
		}
	case l.percent:
		v = 100 * r.Value / r.Total
	}
	switch l.op {
	case ">":
		return v > lo, true
	case ">=":
		return v >= lo, true
	case "<":
		return v < lo, true
	case "<=":
		return v <= lo, true
	case "=":
		return v == lo, true
	case "!=":
		return v != lo, true
	}
	if l.op == "inside" {
		return v >= lo && v <= hi, true
	}
	return v < lo || v > hi, true
}
