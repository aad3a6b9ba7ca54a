//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window/view"
)

// Plan is what a pipeline publishes.
type Plan struct {
	Outputs []Output
	// MaxBad is how many bad rows are kept, in all deltas together. More are only counted.
	MaxBad int64
}

// Output is one table of the pipeline: a replica of an input, or a joined view.
type Output struct {
	Name    string         // unique in the plan; part files are named by its place in it
	Input   string         // replica: the input ...
	Schema  *ingest.Schema // ... and its columns as of now
	View    *view.View     // joined view
	Hold    bool           // view: its inputs are kept up to date, nothing is published; they may be missing
	Past    bool           // with Hold: not behind, what the step does to the view was published by an earlier run
	Replace bool           // publish everything: the first publish of a table. A view whose SQL has changed is replaced by itself
	// Quarantined are the keys of the table's rows that are in quarantine, in the words of BadRow.Key.
	Quarantined map[string]bool
}

// Delta takes one output from the previous step to this one.
type Delta struct {
	Output  string
	Columns []ingest.Column
	Key     []string
	Parts   []parquet.File // Columns, then ingest.OpColumn; sorted by key
	Upserts int64
	Deletes int64
	Replace bool

	Bad      []BadRow          // rows that are not in the parts, in key order
	Faults   map[FaultAt]int64 // how many there are, also of those that are not kept
	Resolved []string          // of Output.Quarantined: keys whose row is in order now, or gone
	Changed  int64             // texts that had U+0000 in them, which the parts do not have
}

// Stats says what a step was made of and where its time went.
type Stats struct {
	Rows     int64 // change rows
	Keys     int64 // after the collapse
	Load     time.Duration
	Collapse time.Duration
	Join     time.Duration
	Apply    time.Duration
	Parquet  time.Duration
	Views    map[string]ViewStats // by output
}

// ViewStats says how a view's delta was found.
type ViewStats struct {
	Affected int64 // anchors; -1 when the view was replaced
	Anchors  int64 // in the old state
	Full     bool  // evaluated whole
}

// KeyError halts a step: the view's key does not identify its rows (invariant 4).
type KeyError struct {
	View string
	Key  []string
	What string // "is NULL in 3 rows", "is shared by several rows for 2 keys"
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("E_KEY: view %s: key %v %s; choose a key that identifies every output row", e.View, e.Key, e.What)
}

// ExpressionError halts a step: the SQL of a view cannot compute with a value of its inputs. It never holds the value.
type ExpressionError struct {
	View string
	Kind string // DuckDB's word for what went wrong
}

func (e *ExpressionError) Error() string {
	return fmt.Sprintf("view %s cannot be computed: %s", e.View, e.Kind)
}

// inView names the view whose SQL met a value that it cannot compute with.
func inView(view string, err error) error {
	var value *duck.Error
	if errors.As(err, &value) {
		return &ExpressionError{view, value.Kind}
	}
	return err
}

// step is one Prepare in flight.
type step struct {
	*File
	dir    string
	temps  []string // temp tables made
	staged map[string]*staged
	after  map[string]*ingest.Schema // schemas of the tables after the step
	stats  Stats
	room   int64 // how many more bad rows are kept
}

// Prepare applies one step: it stages and collapses the changes, derives the delta of every output, writes the parts into
// dir, which exists, applies the changes to the state, and calls save with the deltas. save makes them durable (upload,
// manifest) and returns the meta that is stored with the new state, all in one local transaction (invariant 1). After an
// error the caller removes dir.
func (f *File) Prepare(ctx context.Context, p Plan, changes []Changes, dir string, save func([]Delta) ([]byte, error)) ([]Delta, Stats, error) {
	s := &step{File: f, dir: dir, staged: map[string]*staged{}, after: map[string]*ingest.Schema{}, stats: Stats{Views: map[string]ViewStats{}}, room: p.MaxBad}
	if err := s.check(p, changes); err != nil {
		return nil, Stats{}, err
	}
	var deltas []Delta
	err := f.conn.Tx(ctx, func() (err error) {
		if deltas, err = s.run(ctx, p, changes); err != nil {
			return err
		}
		meta, err := save(deltas)
		if err != nil {
			return err
		}
		if err := s.drop(ctx, slices.Clone(s.temps)...); err != nil {
			return err
		}
		return f.SetMeta(ctx, meta)
	})
	if duck.OutOfMemory(err) {
		return nil, s.stats, fmt.Errorf("preparing step: %w", &MemoryError{Limit: f.options.Memory, Err: err})
	}
	if err != nil {
		return nil, s.stats, fmt.Errorf("preparing step: %w", err)
	}
	f.tables = s.after
	return deltas, s.stats, nil
}

// MemoryError is a step whose rows are too wide for DuckDB: it holds 2,048 of them at once, whatever it spills.
type MemoryError struct {
	Limit int64 // bytes that DuckDB may use
	Err   error // DuckDB's, which names the table
}

func (e *MemoryError) Error() string {
	what, _, _ := strings.Cut(e.Err.Error(), "Out of Memory Error") // what follows is advice to people with a shell in DuckDB
	return fmt.Sprintf("%sthe window does not fit the %d MiB that DuckDB may use: it holds 2,048 rows at once, so very wide rows need more; %s", what, e.Limit>>20, e.Hint())
}

func (e *MemoryError) Unwrap() error { return e.Err }

// Hint is what mends it.
func (e *MemoryError) Hint() string {
	return "set memory in tidemill.yaml higher, to about four times 2,048 of the widest rows for each pipeline, and start tidemill again"
}

// Retryable is false: the same rows come again.
func (e *MemoryError) Retryable() bool { return false }

// check refuses a step that does not fit the plan or the state.
func (s *step) check(p Plan, changes []Changes) error {
	known := map[string]bool{}
	for _, o := range p.Outputs {
		if o.View == nil {
			known[o.Input] = true
			continue
		}
		for _, r := range o.View.Relations {
			known[r.Input] = true
		}
		if m := s.missing(o); len(m) > 0 {
			return &NotPrimedError{View: o.Name, Inputs: m}
		}
	}
	for _, c := range changes {
		if !known[c.Input] {
			return fmt.Errorf("preparing step: no output of the plan reads %s", c.Input)
		}
	}
	return nil
}

// run does the whole step but save.
func (s *step) run(ctx context.Context, p Plan, changes []Changes) ([]Delta, error) {
	for _, input := range inputs(changes) {
		var of []Changes
		for _, c := range changes {
			if c.Input == input {
				of = append(of, c)
			}
		}
		st, err := s.stage(ctx, input, of)
		if err != nil {
			return nil, err
		}
		s.staged[input] = st
		s.stats.Rows += st.rows
		s.stats.Keys += st.keys
	}
	failpoint.Hit(failpoint.MidCollapse)
	if err := s.keepTables(ctx, p); err != nil {
		return nil, err
	}
	joined, err := s.beforeApply(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := s.apply(ctx); err != nil {
		return nil, err
	}
	deltas := make([]Delta, len(p.Outputs))
	for i, o := range p.Outputs {
		if o.Hold {
			deltas[i] = Delta{Output: o.Name}
			continue
		}
		w := s.newPart(i)
		if o.View == nil {
			deltas[i], err = s.replica(ctx, o, w)
		} else {
			deltas[i], err = s.viewDelta(ctx, o, joined[i], w)
			err = inView(o.Name, err)
		}
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	return deltas, s.outputs(ctx, p)
}

// inputs lists the inputs of changes in their order.
func inputs(changes []Changes) []string {
	var out []string
	for _, c := range changes {
		if !slices.Contains(out, c.Input) {
			out = append(out, c.Input)
		}
	}
	return out
}

// keepTables drops the tables that no view reads any more and widens the others by new columns.
func (s *step) keepTables(ctx context.Context, p Plan) error {
	want := map[string][]*ingest.Schema{}
	for _, o := range p.Outputs {
		if o.View != nil {
			for _, r := range o.View.Relations {
				want[r.Input] = append(want[r.Input], r.Schema)
			}
		}
	}
	names := make([]string, 0, len(s.tables))
	for input := range s.tables {
		names = append(names, input)
	}
	slices.Sort(names)
	for _, input := range names {
		if want[input] == nil {
			if _, err := s.conn.Exec(ctx, "DROP TABLE "+tableName(input)); err != nil {
				return fmt.Errorf("dropping table %s: %w", input, err)
			}
			if _, err := s.conn.Exec(ctx, "DELETE FROM tm_tables WHERE input = ?", input); err != nil {
				return fmt.Errorf("dropping table %s: %w", input, err)
			}
			continue
		}
		newer := want[input]
		if st := s.staged[input]; st != nil {
			newer = append(newer, st.schema)
		}
		now, err := s.widenAll(ctx, input, newer)
		if err != nil {
			return fmt.Errorf("widening table %s: %w", input, err)
		}
		s.after[input] = now
	}
	return nil
}

func (s *step) widenAll(ctx context.Context, input string, newer []*ingest.Schema) (*ingest.Schema, error) {
	all := s.tables[input]
	for _, n := range newer {
		var err error
		if all, err = union(input, all, n); err != nil {
			return nil, err
		}
	}
	if len(all.Columns) == len(s.tables[input].Columns) {
		return s.tables[input], nil
	}
	return s.widen(ctx, input, all)
}

// apply brings the tables to the new state: every changed key is deleted, its new image inserted (invariant 6). MERGE and
// upserts rewrite the row groups they touch and take ten times as long.
func (s *step) apply(ctx context.Context) error {
	defer s.clock(&s.stats.Apply)()
	for input, st := range s.staged {
		if s.after[input] == nil {
			continue // only replicated
		}
		table := tableName(input)
		if _, err := s.conn.Exec(ctx, fmt.Sprintf("DELETE FROM %s AS t USING %s AS c WHERE %s", table, st.table, equal("t", "c", st.schema.Key))); err != nil {
			return fmt.Errorf("applying changes of %s: %w", input, err)
		}
		cols := duck.Idents(columnNames(st.schema))
		if _, err := s.conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s = %d", table, cols, cols, st.table, ingest.OpColumn, ingest.Upsert)); err != nil {
			return fmt.Errorf("applying changes of %s: %w", input, err)
		}
	}
	return nil
}

// outputs records the views as they are published by this step.
func (s *step) outputs(ctx context.Context, p Plan) error {
	if _, err := s.conn.Exec(ctx, "DELETE FROM tm_outputs"); err != nil {
		return fmt.Errorf("recording outputs: %w", err)
	}
	for _, o := range p.Outputs {
		if o.View != nil && (!o.Hold || o.Past) { // what is held falls behind its inputs: it is replaced when it is published again
			if _, err := s.conn.Exec(ctx, "INSERT INTO tm_outputs VALUES (?, ?)", o.Name, o.View.Hash()); err != nil {
				return fmt.Errorf("recording outputs: %w", err)
			}
		}
	}
	return nil
}

// published reports whether the output was published as this very view.
func (s *step) published(ctx context.Context, o Output) (bool, error) {
	hash, err := duck.Scalar[string](ctx, s.conn, "SELECT hash FROM tm_outputs WHERE name = ?", o.Name)
	if errors.Is(err, duck.ErrNoRow) {
		return false, nil
	}
	return hash == o.View.Hash(), err
}

// temp names a new temp table.
func (s *step) temp(what string) string {
	name := fmt.Sprintf("tm_%s_%d", what, len(s.temps))
	s.temps = append(s.temps, name)
	return name
}

// drop drops temp tables; those already gone are passed over.
func (s *step) drop(ctx context.Context, tables ...string) error {
	for _, t := range tables {
		if t == "" {
			continue // never made
		}
		if _, err := s.conn.Exec(ctx, "DROP TABLE IF EXISTS temp."+t); err != nil {
			return fmt.Errorf("dropping %s: %w", t, err)
		}
	}
	return nil
}

// clock adds the time until the returned function is called.
func (s *step) clock(to *time.Duration) func() {
	start := time.Now()
	return func() { *to += time.Since(start) }
}
