package window

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	statefile "github.com/tidemill/tidemill/window/state"
)

const stateFile = "state.db"

// statePath is where the state file is.
func (c *Config) statePath() string { return filepath.Join(c.Dir, stateFile) }

// duckState is the engine: a DuckDB file.
//
// No statement on it is ever interrupted: every method detaches its context. A DuckDB that is closed after an interrupted
// query is now and then never torn down, and opening the same file again in this process then spins for ever inside
// DuckDB's instance cache (seen once in some 300 interrupts with DuckDB 1.5.6, never in 500 runs without). So a stop waits
// for the step in work, which ends in seconds; what is between statements (uploads) obeys the caller's context.
type duckState struct {
	options statefile.Options
	file    *statefile.File
}

var _ engine = (*duckState)(nil)

func openState(ctx context.Context, c *Config) (engine, error) {
	ctx = context.WithoutCancel(ctx)
	d := &duckState{options: statefile.Options{Path: c.statePath(), Memory: c.StateMemory, Threads: c.StateThreads, TempQuota: c.SpillQuota}}
	if limit, ok := c.Sink.(TextLimiter); ok {
		d.options.MaxText = limit.MaxText()
	}
	var err error
	if d.file, err = statefile.Open(ctx, d.options); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *duckState) meta(ctx context.Context) ([]byte, error) {
	return d.file.Meta(context.WithoutCancel(ctx))
}

func (d *duckState) mark(ctx context.Context, meta []byte) error {
	return d.file.SetMeta(context.WithoutCancel(ctx), meta)
}

func (d *duckState) maintain(ctx context.Context) error {
	return d.file.Maintain(context.WithoutCancel(ctx))
}

func (d *duckState) topics(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(d.file.Tables())), nil
}

func (d *duckState) close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}

func (d *duckState) prime(ctx context.Context, topic string, schema *ingest.Schema, read func(func(arrow.RecordBatch) error) error) error {
	return d.file.Prime(context.WithoutCancel(ctx), topic, schema, read)
}

// remove closes the file and deletes it.
func (d *duckState) remove() error {
	if d.file != nil {
		if err := d.file.Close(); err != nil {
			return err
		}
		d.file = nil
	}
	return statefile.Remove(d.options.Path)
}

func (d *duckState) reset(ctx context.Context) (err error) {
	if err := d.remove(); err != nil {
		return err
	}
	d.file, err = statefile.Open(context.WithoutCancel(ctx), d.options)
	return err
}

func (d *duckState) export(ctx context.Context, dir string) ([]string, error) {
	files, err := d.file.Export(context.WithoutCancel(ctx), dir)
	var out []string
	for _, f := range files {
		out = append(out, filepath.Base(f.Path))
	}
	return out, err
}

func (d *duckState) restore(ctx context.Context, dir string) error {
	if err := d.remove(); err != nil {
		return err
	}
	file, err := statefile.Import(context.WithoutCancel(ctx), d.options, dir)
	if err != nil {
		return errors.Join(err, d.reset(ctx))
	}
	d.file = file
	return nil
}

func (d *duckState) spill(_ context.Context, path string, b *bucket) (int64, error) {
	w, err := statefile.NewSpillWriter(path, b.schema.Arrow())
	if err != nil {
		return 0, err
	}
	for _, r := range b.batches {
		if err := w.Write(r.record); err != nil {
			_, cerr := w.Close()
			return 0, errors.Join(err, cerr)
		}
	}
	return w.Close()
}

func (d *duckState) prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (timings, error) {
	if err := ctx.Err(); err != nil {
		return timings{}, err
	}
	ctx = context.WithoutCancel(ctx)
	plan := statefile.Plan{MaxBad: w.maxBad}
	var tables []WarehouseTable
	used := map[string]bool{}
	for _, r := range w.replicas {
		in := w.inputs[r.input]
		used[in.topic] = true
		tables = append(tables, r.table)
		plan.Outputs = append(plan.Outputs, statefile.Output{Name: r.table.String(), Input: in.topic, Schema: in.schema, Replace: r.replace, Quarantined: w.quarantine[r.table]})
	}
	for _, v := range w.views {
		tables = append(tables, v.Table)
		plan.Outputs = append(plan.Outputs, statefile.Output{
			Name: v.Table.String(), View: v.View, Hold: v.mode == stands, Past: v.past, Replace: v.mode == replaces, Quarantined: w.quarantine[v.Table],
		})
	}
	var changes []statefile.Changes
	for _, in := range w.inputs {
		// A base begins with an empty table. Should the process die before the step commits, nothing is lost: as long as
		// the input has no base, no view reads its table.
		if in.base && in.stored {
			if err := d.file.Prime(ctx, in.topic, in.schema, nil); err != nil {
				return timings{}, err
			}
		}
		if in.stored || used[in.topic] {
			changes = append(changes, changesOf(in)...)
		}
	}
	_, stats, err := d.file.Prepare(ctx, plan, changes, dir, func(deltas []statefile.Delta) ([]byte, error) {
		out, err := preparedTables(tables, deltas)
		if err != nil {
			return nil, err
		}
		return save(out)
	})
	return timings{stats.Load + stats.Collapse, stats.Join + stats.Apply, stats.Parquet}, err
}

func changesOf(in workInput) []statefile.Changes {
	var out []statefile.Changes
	for _, b := range in.buckets {
		c := statefile.Changes{Input: in.topic, Schema: b.schema}
		for _, r := range b.runs {
			c.Spilled = append(c.Spilled, r.path)
		}
		for _, r := range b.batches {
			c.Batches = append(c.Batches, r.record)
		}
		out = append(out, c)
	}
	return out
}

// preparedTables leaves out the tables that the step does not change.
func preparedTables(tables []WarehouseTable, deltas []statefile.Delta) ([]preparedTable, error) {
	var out []preparedTable
	for i, d := range deltas {
		if d.Output != tables[i].String() {
			return nil, fmt.Errorf("the delta of %s came where that of %s was due", d.Output, tables[i])
		}
		if len(d.Parts) == 0 && !d.Replace && len(d.Faults)+len(d.Resolved) == 0 {
			continue
		}
		t := preparedTable{
			load: TableLoad{Table: tables[i], Columns: d.Columns, Key: d.Key, Upserts: d.Upserts, Deletes: d.Deletes, Replace: d.Replace},
			bad:  d.Bad, faults: d.Faults, resolved: d.Resolved, changed: d.Changed,
		}
		for _, p := range d.Parts {
			t.load.Parts = append(t.load.Parts, Part{Bytes: p.Bytes, Rows: p.Rows, SHA256: p.SHA256})
			t.files = append(t.files, p.Path)
		}
		out = append(out, t)
	}
	return out, nil
}

// halting marks the errors of a step that come back however often it is tried.
func halting(err error) error {
	var key *statefile.KeyError
	var schema *statefile.SchemaError
	var primed *statefile.NotPrimedError
	var expression *statefile.ExpressionError
	if errors.As(err, &expression) {
		return &RefusedError{
			What: "the SQL of a view cannot compute with a value of its tables", Err: err,
			Hint: "write TRY_CAST for CAST, or TRY(expression), so that such a row gets NULL, or leave it out with WHERE",
		}
	}
	if errors.As(err, &key) || errors.As(err, &schema) || errors.As(err, &primed) {
		return &RefusedError{What: "the step cannot be prepared", Err: err}
	}
	return err
}
