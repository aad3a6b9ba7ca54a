package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

// Snapshotter is a source that can read whole tables beside its stream.
type Snapshotter interface {
	// Snapshot reads the tables: each row as it was at some moment after the call and before a position that begun is called
	// with, so that every later change of it is in the log up to there. settled is the state in the source's newest checkpoint.
	// rows is called with whole rows, and may keep nothing. An error of one table alone tells which one by a method
	// FailedTable() ingest.TableName.
	Snapshot(ctx context.Context, settled json.RawMessage, tables []ingest.TableName, begun func(ingest.Position) error, rows func(*ingest.Builder) error) error
	// Covers reports whether a cut at by, whose windows are complete up to a time, holds everything before the snapshot's p.
	Covers(by ingest.Position, complete time.Time, p ingest.Position) (bool, error)
}

// verification compares the replicas of one pipeline with one of its sources at one cut:
//
//	expected(key) = the last image of the key in the log between the cut before the snapshot and the cut compared,
//	                else the source's row in the snapshot
//
// The log is read from before the snapshot, so it does not matter where exactly in the log the snapshot stands, nor whether all
// rows of it are of one moment, as long as the compared cut covers it.
type verification struct {
	pipeline string
	source   string
	from     Snapshotter
	settled  json.RawMessage // the state in the source's newest checkpoint
	sink     window.Sink
	reader   window.TableReader
	log      changeReader
	request  console.VerifyRequest
	every    time.Duration                                         // how often the fence is asked
	registry func(context.Context) (*ingest.Registry, error)       // the source's newest
	loading  func(context.Context, ingest.TableName) (bool, error) // the source's newest checkpoint has a load of the table under way
	failed   func() error                                          // why the pipeline publishes no window now; nil: it does, or may run elsewhere
}

// changeReader reads the rows of a topic in the log from one cut to another, each key's changes in their order.
type changeReader interface {
	changes(ctx context.Context, topic string, from, to []window.PartCut, fn func(*ingest.Schema, arrow.RecordBatch, int) error) error
	// loaded reports whether rows of a load lie behind the cut.
	loaded(ctx context.Context, topic string, from []window.PartCut) (bool, error)
}

// target is one replica to compare.
type target struct {
	table  ingest.TableName
	topic  string
	into   window.WarehouseTable
	schema *ingest.Schema // as the snapshot shows it, or as registered when it shows no row
	rows   *contents
	// generation is the one that the table was in before the snapshot.
	generation int
}

func (v *verification) run(ctx context.Context, targets []*target, emit func(console.TableVerdict) error) error {
	before, err := v.sink.Fence(ctx, v.pipeline)
	if errors.Is(err, window.ErrNoFence) || err == nil && before.Step.Start.IsZero() {
		return v.skipAll(targets, "the pipeline has published no window yet", emit)
	} else if err != nil {
		return fmt.Errorf("reading the fence of pipeline %s: %w", v.pipeline, err)
	}
	targets, err = v.comparable(before, targets, emit)
	if err != nil || len(targets) == 0 {
		return err
	}
	at, targets, err := v.readable(ctx, targets, emit)
	if err != nil || len(targets) == 0 {
		return err
	}
	if err := v.await(ctx, at); err != nil {
		return err
	}
	for _, t := range targets {
		began := time.Now()
		verdict, err := v.compare(ctx, before, t)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("comparing %s: %w", t.into, err)
		}
		if err != nil { // of this table; the others are compared all the same
			verdict.Error = err.Error()
		}
		verdict.Took = console.Duration(time.Since(began))
		if err := emit(verdict); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) verdict(t *target) console.TableVerdict {
	return console.TableVerdict{Pipeline: v.pipeline, Table: t.into.String(), Source: v.source + "." + t.table.String()}
}

func (v *verification) skipAll(targets []*target, why string, emit func(console.TableVerdict) error) error {
	for _, t := range targets {
		x := v.verdict(t)
		x.Skipped, x.Equal = why, true
		if err := emit(x); err != nil {
			return err
		}
	}
	return nil
}

// comparable drops the tables that the fence says are not published, and says so.
func (v *verification) comparable(f window.Fence, targets []*target, emit func(console.TableVerdict) error) (out []*target, err error) {
	cut := f.Cut[v.source]
	for _, t := range targets {
		hold, held := cut.Held[t.topic]
		why := ""
		switch {
		case held && hold.Parked != "":
			why = "the table stands still: " + hold.Parked
		case held, cut.Topics[t.topic] == nil, cut.Outputs[t.into.String()] == "":
			why = "its first load is not published yet"
		}
		if why == "" {
			out = append(out, t)
		} else if err := v.skipAll([]*target{t}, why, emit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readable reads the source's rows, and leaves out the tables that the source cannot read, with a verdict on each.
func (v *verification) readable(ctx context.Context, targets []*target, emit func(console.TableVerdict) error) (ingest.Position, []*target, error) {
	for len(targets) > 0 {
		at, err := v.snapshot(ctx, targets)
		var failed interface{ FailedTable() ingest.TableName }
		if !errors.As(err, &failed) {
			return at, targets, err
		}
		var left []*target
		for _, t := range targets {
			if t.table != failed.FailedTable() {
				left = append(left, t)
				continue
			}
			x := v.verdict(t)
			x.Error = err.Error()
			if err := emit(x); err != nil {
				return "", nil, err
			}
		}
		if len(left) == len(targets) {
			return "", nil, err
		}
		targets = left
	}
	return "", nil, nil
}

// snapshot reads the source's rows.
func (v *verification) snapshot(ctx context.Context, targets []*target) (at ingest.Position, err error) {
	byName := map[ingest.TableName]*target{}
	var names []ingest.TableName
	for _, t := range targets {
		byName[t.table] = t
		names = append(names, t.table)
		t.rows = newContents()
	}
	begun := func(p ingest.Position) error { at = p; return nil }
	err = v.from.Snapshot(ctx, v.settled, names, begun, func(b *ingest.Builder) error {
		t := byName[b.Schema().Table]
		if t == nil {
			return fmt.Errorf("the source sent rows of %s", b.Schema().Table)
		}
		t.schema = b.Schema()
		rec := b.Record()
		defer rec.Release()
		for i := range int(rec.NumRows()) {
			if err := t.rows.put(t.schema, rec, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading source %s for a comparison: %w", v.source, err)
	}
	return at, nil
}

// await waits until a published cut covers the snapshot.
func (v *verification) await(ctx context.Context, at ingest.Position) error {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	for {
		f, err := v.sink.Fence(ctx, v.pipeline)
		if err != nil {
			return fmt.Errorf("reading the fence of pipeline %s: %w", v.pipeline, err)
		}
		cut := f.Cut[v.source]
		covered, err := v.from.Covers(cut.Position, cut.Complete(), at)
		if err != nil || covered {
			return err
		}
		if err := v.failed(); err != nil {
			return fmt.Errorf("pipeline %s publishes no window that would cover the snapshot of source %s, it stands still: %w", v.pipeline, v.source, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a window of pipeline %s that covers the snapshot of source %s: %w; look at: tidemill status", v.pipeline, v.source, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// tries is how often a table is read again because a window was published meanwhile.
const tries = 20

// compare reads the warehouse's table as of one fence, brings the source's rows to that fence, and compares.
func (v *verification) compare(ctx context.Context, before window.Fence, t *target) (console.TableVerdict, error) {
	x := v.verdict(t)
	for range tries {
		f, err := v.sink.Fence(ctx, v.pipeline)
		if err != nil {
			return x, fmt.Errorf("reading the fence: %w", err)
		}
		cut := f.Cut[v.source]
		if _, held := cut.Held[t.topic]; held {
			x.Skipped, x.Equal = "it has stopped meanwhile", true
			return x, nil
		}
		if anew, err := v.loadedAnew(ctx, before, t); err != nil || anew {
			x.Skipped, x.Equal = "it was loaded anew meanwhile", true
			return x, err
		}
		have, err := v.published(ctx, t)
		if err != nil {
			return x, err
		}
		after, err := v.sink.Fence(ctx, v.pipeline)
		if err != nil {
			return x, fmt.Errorf("reading the fence: %w", err)
		}
		if after.Step != f.Step || after.Manifest != f.Manifest {
			continue // what was read is of one of two windows
		}
		want := t.rows.clone()
		err = v.log.changes(ctx, t.topic, before.Cut[v.source].Topics[t.topic], cut.Topics[t.topic], func(s *ingest.Schema, rec arrow.RecordBatch, i int) error {
			return want.apply(t.schema, s, rec, i)
		})
		if errors.Is(err, errOtherSchema) {
			x.Skipped, x.Equal = "its columns have changed meanwhile", true
			return x, nil
		} else if err != nil {
			return x, err
		}
		x.Position, x.Window = string(cut.Position), f.Step.Start
		if want.diff(have, v.request.Differ, &x); x.Equal {
			return x, nil
		}
		return v.unlessLoading(ctx, cut.Topics[t.topic], t, x)
	}
	return x, fmt.Errorf("a window was published during each of %d readings: the table is too large for windows this short", tries)
}

// unlessLoading withdraws a difference that a load under way makes. An ALTER may give old rows new values without logging one;
// the source then loads the table again beside its changes, and until the cut has all of that load, old rows are in the
// warehouse as they were. The checkpoint is asked first: a load that it has not, and that has begun, has rows behind the cut.
func (v *verification) unlessLoading(ctx context.Context, cut []window.PartCut, t *target, x console.TableVerdict) (console.TableVerdict, error) {
	yes, err := v.loading(ctx, t.table)
	if err == nil && !yes {
		yes, err = v.log.loaded(ctx, t.topic, cut)
	}
	if err != nil || !yes {
		return x, err
	}
	skipped := v.verdict(t)
	skipped.Skipped, skipped.Equal = "its columns have changed meanwhile: the rows that are loaded again for that are not published yet", true
	return skipped, nil
}

// published reads the warehouse's table. A column that it does not have yet counts as NULL: no published row has had it.
func (v *verification) published(ctx context.Context, t *target) (*contents, error) {
	columns := t.schema.Columns
	var absent []string
	for {
		have := newContents()
		have.absent = absent
		err := v.reader.ReadTable(ctx, t.into, columns, func(rec arrow.RecordBatch) error {
			for i := range int(rec.NumRows()) {
				if err := have.put(t.schema, rec, i); err != nil {
					return err
				}
			}
			return nil
		})
		var none *window.NoColumnError
		if errors.As(err, &none) && !slices.Contains(t.schema.Key, none.Column) && !slices.Contains(absent, none.Column) {
			absent = append(absent, none.Column)
			columns = slices.DeleteFunc(slices.Clone(columns), func(c ingest.Column) bool { return c.Name == none.Column })
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the warehouse: %w", err)
		}
		return have, nil
	}
}

// neverBegun are verdicts on the tables that a pipeline wants and that were parked before they had a topic.
func neverBegun(pl *config.Pipeline, source string, r *ingest.Registry, parked map[string]string, only []string) []console.TableVerdict {
	var out []console.TableVerdict
	for _, t := range pl.Tables {
		want, ok := replicated(pl, t)
		if !t.IsReplica() || !ok || want.source != source {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(parked)) {
			schema, table, _ := strings.Cut(name, ".")
			n := ingest.TableName{Schema: schema, Name: table}
			into := window.WarehouseTable{Schema: t.Into, Name: table}.String()
			registered := slices.ContainsFunc(tables(r), func(rt ingest.RegistryTable) bool { return rt.Schema.Table == n })
			if registered || !want.Matches(n) || len(only) > 0 && !slices.ContainsFunc(only, func(o string) bool { return strings.EqualFold(o, into) }) {
				continue
			}
			out = append(out, console.TableVerdict{Pipeline: pl.Name, Table: into, Source: source + "." + name, Equal: true, Skipped: "the table stands still: " + parked[name]})
		}
	}
	return out
}

// targets are the replicas of a pipeline and source that were asked for.
func targetsOf(pl *config.Pipeline, r *ingest.Registry, only []string) []*target {
	found, _ := replicas(pl, map[string]*ingest.Registry{r.Source: r}, nil) // the pipeline runs, so its plan has no problem
	var out []*target
	for _, x := range found {
		if len(only) > 0 && !slices.ContainsFunc(only, func(o string) bool { return strings.EqualFold(o, x.Table.String()) }) {
			continue
		}
		for _, rt := range r.Tables {
			if rt.Topic == x.Topic {
				out = append(out, &target{table: rt.Schema.Table, topic: rt.Topic, into: x.Table, schema: &rt.Schema})
			}
		}
	}
	return out
}
