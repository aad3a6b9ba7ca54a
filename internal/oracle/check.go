package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Receipt is one committed publish, as the warehouse tells it.
type Receipt struct {
	Start, End time.Time
	Slice      int
	Final      bool
	Positions  map[string]string // source -> position of the cut
	Tables     []PublishedTable
	Quarantine []string // local copies of the parts of its quarantine
}

// PublishedTable is what the receipt's manifest did to one table.
type PublishedTable struct {
	Name    string // schema.table in the warehouse
	Key     []string
	Replace bool
	Paths   []string // local copies of the parts
}

// Output says what a warehouse table must equal.
type Output struct {
	Name   string // schema.table in the warehouse
	Source string // a replica of Source's Table
	Table  string
	SQL    string // or a joined view
}

// Log is a source's change log, applied up to a cut.
type Log interface {
	// At applies everything that is in the cut at a position, of a window that ends at end.
	At(ctx context.Context, position string, end time.Time) error
	Content() map[string]*Table // by table name
	// Touched returns, per table, the keys changed since it was last called.
	Touched() map[string]map[string]bool
}

// Checker walks the receipts of one pipeline in order (invariant 2).
type Checker struct {
	Length  time.Duration // window length
	Replays map[string]Log
	Engine  *Engine
	Outputs []Output

	last    *Receipt
	content map[string]*published
	bad     map[string]map[string]quarantined // in quarantine now, by table and key
	Windows int                               // receipts checked
	Rows    int                               // rows compared
	Lost    int                               // rows that were missing or not as they should be, windows that were skipped
	Doubled int                               // rows that should not have been there, windows that came twice
}

type published struct {
	columns, key []string
	rows         map[string][]Val
}

// Check proves the next receipt: the chain (O3), the cut (O1), the fold of its parts (O5).
func (c *Checker) Check(ctx context.Context, r Receipt) error {
	where := fmt.Sprintf("receipt %s slice %d", r.Start.UTC().Format(time.RFC3339), r.Slice)
	if err := c.chain(r); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for name, pos := range r.Positions {
		if err := c.Replays[name].At(ctx, pos, r.End); err != nil {
			return fmt.Errorf("%s: source %s: %w", where, name, err)
		}
		if err := c.Engine.Sync(ctx, name, c.Replays[name]); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	bad, err := tablesOf(r.Quarantine)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, t := range r.Tables {
		if err := c.fold(t, bad); err != nil {
			return fmt.Errorf("%s: %s: %w", where, t.Name, err)
		}
	}
	if err := c.quarantine(r); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	var wrong []error
	for _, o := range c.Outputs { // all of them: what is lost is counted
		wrong = append(wrong, c.count(c.compare(ctx, o)))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	c.last = &r
	c.Windows++
	return nil
}

// count adds up what a comparison found, and returns it.
func (c *Checker) count(err error) error {
	var d *DiffError
	if errors.As(err, &d) {
		c.Lost += d.Missing + d.Changed
		c.Doubled += d.Extra
	}
	return err
}

// Compare is Diff for what somebody else has read, counted with the rest.
func (c *Checker) Compare(name string, cols []string, want, got map[string][]Val) error {
	return c.count(Diff(name, cols, want, got))
}

func (c *Checker) chain(r Receipt) error {
	l := c.last
	switch {
	case !r.End.Equal(r.Start.Add(c.Length)):
		return fmt.Errorf("window ends at %s", r.End)
	case l == nil && r.Slice == 0, l == nil && r.Final:
		return nil
	case l == nil:
		return fmt.Errorf("the first receipt is slice %d", r.Slice)
	case l.Final && r.Start.Equal(l.End) && r.Slice == 0, !l.Final && r.Start.Equal(l.Start) && r.Slice == l.Slice+1:
		return nil
	}
	if r.Start.After(l.Start) || r.Start.Equal(l.Start) && r.Slice > l.Slice {
		c.Lost++
	} else {
		c.Doubled++
	}
	return fmt.Errorf("does not follow %s slice %d final %v", l.Start.Format(time.RFC3339), l.Slice, l.Final)
}

// fold applies a table's parts. Deltas of a view are exact but for rows that are or were in quarantine, of which the view
// itself tells nothing: bad names the tables of which this receipt says something there.
func (c *Checker) fold(t PublishedTable, bad map[string]bool) error {
	if c.content == nil {
		c.content = map[string]*published{}
	}
	p := c.content[t.Name]
	if p == nil {
		p = &published{rows: map[string][]Val{}}
		c.content[t.Name] = p
	}
	p.key = t.Key
	if t.Replace {
		p.rows = map[string][]Val{}
	}
	var ops []Op
	for _, path := range t.Paths {
		cols, part, err := ReadPart(path)
		if err != nil {
			return err
		}
		p.widen(cols)
		ops = append(ops, part...)
	}
	return Fold(p.rows, indexes(p.columns, t.Key), ops, c.isView(t.Name) && len(c.bad[t.Name]) == 0 && !bad[t.Name])
}

// widen follows a part's columns: a column the earlier rows did not have is NULL in them.
func (p *published) widen(cols []string) {
	if slices.Equal(cols, p.columns) {
		return
	}
	t := Table{Rows: p.rows}
	for _, n := range p.columns {
		t.Columns = append(t.Columns, Column{Name: n})
	}
	next := make([]Column, len(cols))
	for i, n := range cols {
		next[i] = Column{Name: n}
	}
	t.widen(next, nil)
	p.columns = cols
}

func (c *Checker) isView(name string) bool {
	return slices.ContainsFunc(c.Outputs, func(o Output) bool { return o.Name == name && o.SQL != "" })
}

func (c *Checker) compare(ctx context.Context, o Output) error {
	p := c.content[o.Name]
	if p == nil {
		p = &published{rows: map[string][]Val{}}
	}
	want, err := c.expected(ctx, o, p)
	if err != nil {
		return err
	}
	p = p.as(c.columns(o, p))
	if want, err = c.without(o.Name, p.columns, want); err != nil {
		return err
	}
	c.Rows += len(want)
	return Diff(o.Name, p.columns, want, p.rows)
}

// columns are those in which an output is compared: a replica's are its table's at the cut. A column that was added since the
// last row was published is NULL in all of them, one that was dropped says nothing any more.
func (c *Checker) columns(o Output, p *published) []string {
	if o.SQL != "" || c.Replays[o.Source].Content()[o.Table] == nil {
		return p.columns
	}
	var out []string
	for _, col := range c.Replays[o.Source].Content()[o.Table].Columns {
		out = append(out, col.Name)
	}
	return out
}

// as is what was published in other columns.
func (p *published) as(columns []string) *published {
	out := &published{p.columns, p.key, maps.Clone(p.rows)}
	if p.columns != nil {
		out.widen(columns)
	}
	out.columns = columns
	return out
}

func (c *Checker) expected(ctx context.Context, o Output, p *published) (map[string][]Val, error) {
	if o.SQL != "" {
		if p.columns == nil { // nothing was ever published: right only while the view is empty
			return nil, c.Engine.empty(ctx, o.SQL)
		}
		return c.Engine.Evaluate(ctx, o.SQL, p.columns, p.key)
	}
	t := c.Replays[o.Source].Content()[o.Table]
	if t == nil {
		return nil, nil
	}
	return t.Rows, nil
}

// Content is what the receipts checked so far have published for a table: to be compared with the warehouse itself.
func (c *Checker) Content(name string) (columns, key []string, rows map[string][]Val) {
	if p := c.content[name]; p != nil {
		return p.columns, p.key, maps.Clone(p.rows)
	}
	return nil, nil, nil
}
