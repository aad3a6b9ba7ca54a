//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window/view"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "run this seed of the property test only")
	seedsFlag   = flag.Int("seeds", 16, "seeds of the property test")
	windowsFlag = flag.Int("windows", 0, "windows per seed; fewer shrink a failure")
)

// TestProperty runs random worlds, views and change streams, and compares every window with the oracle.
func TestProperty(t *testing.T) {
	if *seedFlag != 0 {
		if err := runSeed(t, *seedFlag, mutateNone, duckOracle{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	for seed := range uint64(*seedsFlag) {
		if err := runSeed(t, seed+1, mutateNone, duckOracle{}); err != nil {
			t.Fatalf("%v\nto see it alone: go test -run TestProperty -seed %d; add -windows N to shrink it", err, seed+1)
		}
	}
}

// TestMutations: the property test must notice wrong ways to find affected rows.
func TestMutations(t *testing.T) {
	for name, m := range map[string]mutation{"affected keys from the new state only, all images": mutateNewImages,
		"affected keys from the new state only, differing images": mutateNewDiffering, "join of the window's rows only": mutateWindowOnly} {
		caught := uint64(0)
		for seed := uint64(1); seed <= 100 && caught == 0; seed++ {
			if err := runSeed(t, seed, m, duckOracle{}); errors.As(err, new(*wrong)) {
				caught = seed
			}
		}
		if caught == 0 {
			t.Errorf("%s: not noticed", name)
		}
		t.Logf("%s: noticed by seed %d", name, caught)
	}
}

// wrong is a delta or a table that is not what it should be.
type wrong struct{ what string }

func (w *wrong) Error() string { return w.what }

// oracle evaluates a view's own text over the world's last images, knowing nothing else.
type oracle interface {
	evaluate(t *testing.T, w *world, spec view.Spec, v *view.View) (map[string]string, error)
}

// line is one pipeline under test.
type line struct {
	t      *testing.T
	w      *world
	r      *rand.Rand
	file   *File
	dir    string
	spec   view.Spec
	view   *view.View
	mirror map[string]map[string]string // what a warehouse holds: output -> key -> row
	oracle oracle
	n      int
}

func runSeed(t *testing.T, seed uint64, m mutation, o oracle) (err error) {
	ctx := t.Context()
	l := &line{t: t, w: newWorld(seed), r: rand.New(rand.NewPCG(seed, 99)), dir: t.TempDir(), oracle: o, mirror: map[string]map[string]string{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("seed %d, window %d, view %s key %v: %w", seed, l.n, l.spec.SQL, l.spec.Key, err)
		}
	}()
	if l.file, err = Open(ctx, l.options("state.db")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.file.Close()) }()
	l.file.mutate = m
	l.file.onlyDuck = l.r.IntN(2) == 0
	l.file.fullShare = []float64{fullShare, 0, 100}[l.r.IntN(3)]
	if m != mutateNone {
		l.file.fullShare = 100
	}
	if err := l.newView(); err != nil {
		return err
	}
	windows := 7
	if *windowsFlag > 0 {
		windows = *windowsFlag
	}
	for l.n = range windows {
		if err := l.window(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *line) options(name string) Options {
	return Options{Path: filepath.Join(l.dir, name), Memory: 200 << 20, Threads: 2}
}

func (l *line) newView() (err error) {
	l.spec = l.w.view()
	l.view, err = view.Compile(l.t.Context(), l.spec, l.w.catalogue())
	return err
}

// window changes the world, sometimes also the schema, the view or the file, and checks the step.
func (l *line) window(ctx context.Context) error {
	if l.n > 0 && l.r.IntN(5) == 0 {
		l.w.addColumn()
		var err error
		if l.view, err = view.Compile(ctx, l.spec, l.w.catalogue()); err != nil {
			return err
		}
	}
	replaced := l.n == 0
	if l.n > 0 && l.r.IntN(6) == 0 {
		if err := l.newView(); err != nil {
			return err
		}
		if missing := l.file.Missing(l.plan(false)); len(missing) > 0 {
			return l.primeAll(ctx, missing, true)
		}
		replaced = true
	}
	if l.n == 0 {
		if err := l.primeAll(ctx, l.file.Missing(l.plan(true)), false); err != nil {
			return err
		}
	}
	if err := l.step(ctx, l.plan(l.n == 0), replaced); err != nil {
		return err
	}
	if l.r.IntN(4) == 0 {
		return l.moveFile(ctx)
	}
	return nil
}

func (l *line) plan(first bool) Plan {
	p := Plan{Outputs: []Output{{Name: "v", View: l.view}}}
	for _, t := range l.w.tables {
		p.Outputs = append(p.Outputs, Output{Name: t.input, Input: t.input, Schema: t.schema, Replace: first})
	}
	return p
}

// primeAll fills tables that a new view needs from the world, as they stand before the next window.
func (l *line) primeAll(ctx context.Context, inputs []string, step bool) error {
	for _, t := range l.w.tables {
		if !slices.Contains(inputs, t.input) {
			continue
		}
		var rows []change
		for _, row := range t.rows {
			rows = append(rows, change{op: ingest.Upsert, row: row})
		}
		err := l.file.Prime(ctx, t.input, t.schema, func(fn func(arrow.RecordBatch) error) error {
			for _, b := range batches(t.schema, rows, 5) {
				cols := b.Columns()[:len(t.schema.Columns)]
				if err := fn(newBatch(primeSchema(t.schema), cols, b.NumRows())); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !step {
		return nil
	}
	return l.step(ctx, l.plan(false), true)
}

// step runs one Prepare, first with a save that fails now and then, and checks its deltas.
func (l *line) step(ctx context.Context, p Plan, replaced bool) error {
	changes, err := l.changes(l.w.window())
	if err != nil {
		return err
	}
	if l.r.IntN(4) == 0 {
		refused := errors.New("the store is down")
		if _, _, err := l.file.Prepare(ctx, p, changes, l.mkdir(), func([]Delta) ([]byte, error) { return nil, refused }); !errors.Is(err, refused) {
			return fmt.Errorf("save failed and Prepare said %w", err)
		}
	}
	meta := fmt.Sprintf(`{"window":%d}`, l.n)
	deltas, stats, err := l.file.Prepare(ctx, p, changes, l.mkdir(), func([]Delta) ([]byte, error) { return []byte(meta), nil })
	if err != nil {
		return err
	}
	if got, err := l.file.Meta(ctx); err != nil || string(got) != meta {
		return &wrong{fmt.Sprintf("meta is %s, %v", got, err)}
	}
	for i, d := range deltas {
		if d.Replace != (i == 0 && replaced || p.Outputs[i].Replace) {
			return &wrong{fmt.Sprintf("output %s: replace is %v", d.Output, d.Replace)}
		}
		if err := l.fold(ctx, d, p.Outputs[i].View != nil); err != nil {
			return err
		}
	}
	want, err := l.oracle.evaluate(l.t, l.w, l.spec, l.view)
	if err != nil {
		return err
	}
	if err := same("v", l.mirror["v"], want); err != nil {
		return fmt.Errorf("%w (%+v)", err, stats.Views["v"])
	}
	for _, t := range l.w.tables {
		want := map[string]string{}
		for k, row := range t.rows {
			var texts []string
			for i, v := range row {
				texts = append(texts, valueText(v, t.schema.Columns[i].Type))
			}
			want[k] = strings.Join(texts, "|")
		}
		if err := same(t.input, l.mirror[t.input], want); err != nil {
			return err
		}
	}
	return nil
}

func (l *line) mkdir() string {
	dir, err := os.MkdirTemp(l.dir, "parts")
	if err != nil {
		l.t.Fatal(err)
	}
	return dir
}

// changes cuts the rows of each input into batches; some are spilled.
func (l *line) changes(of map[string][]change) ([]Changes, error) {
	var out []Changes
	for _, t := range l.w.tables {
		rows := of[t.input]
		if len(rows) == 0 {
			continue
		}
		c := Changes{Input: t.input, Schema: t.schema, Batches: batches(t.schema, rows, 1+l.r.IntN(6))}
		if l.r.IntN(3) == 0 {
			w, err := NewSpillWriter(filepath.Join(l.mkdir(), "run"), t.schema.Arrow())
			if err != nil {
				return nil, err
			}
			n := 1 + l.r.IntN(len(c.Batches))
			for _, b := range c.Batches[:n] {
				if err := w.Write(b); err != nil {
					return nil, err
				}
			}
			if _, err := w.Close(); err != nil {
				return nil, err
			}
			c.Spilled, c.Batches = []string{w.path}, c.Batches[n:]
		}
		out = append(out, c)
	}
	return out, nil
}

// moveFile restarts, rewrites or restores the state between two steps.
func (l *line) moveFile(ctx context.Context) (err error) {
	share, m, only := l.file.fullShare, l.file.mutate, l.file.onlyDuck
	switch l.r.IntN(3) {
	case 0:
		if err := l.file.Close(); err != nil {
			return err
		}
		l.file, err = Open(ctx, l.file.options)
	case 1:
		err = l.file.Rewrite(ctx)
	default:
		dir := l.mkdir()
		if _, err := l.file.Export(ctx, dir); err != nil {
			return err
		}
		if err := l.file.Close(); err != nil {
			return err
		}
		l.file, err = Import(ctx, l.options(fmt.Sprintf("restored%d.db", l.n)), dir)
	}
	if err == nil {
		l.file.fullShare, l.file.mutate, l.file.onlyDuck = share, m, only
	}
	return err
}

// fold applies a delta to the mirror, checking every rule that a delta obeys (invariants 4 and 5).
func (l *line) fold(ctx context.Context, d Delta, exact bool) error {
	m := l.mirror[d.Output]
	if d.Replace || m == nil {
		m = map[string]string{}
	}
	l.mirror[d.Output] = m
	schema := parquet.Schema{Columns: d.Columns, Op: true}
	seen := map[string]bool{}
	var upserts, deletes int64
	for _, f := range d.Parts {
		if _, err := parquet.Check(f.Path, schema); err != nil {
			return err
		}
		err := parquet.Read(ctx, f.Path, schema, func(b arrow.RecordBatch) error {
			for i := range int(b.NumRows()) {
				key, row, op := rowText(b, d.Key, i)
				old, there := m[key]
				switch {
				case seen[key]:
					return &wrong{fmt.Sprintf("output %s: two operations on key %s", d.Output, key)}
				case exact && op == "1" && there && old == row:
					return &wrong{fmt.Sprintf("output %s: upsert of %s changes nothing", d.Output, key)}
				case exact && op == "2" && !there:
					return &wrong{fmt.Sprintf("output %s: delete of the absent key %s", d.Output, key)}
				}
				seen[key] = true
				if op == "1" {
					upserts++
					m[key] = row
				} else {
					deletes++
					delete(m, key)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if upserts != d.Upserts || deletes != d.Deletes {
		return &wrong{fmt.Sprintf("output %s: %d upserts and %d deletes in the parts, the delta says %d and %d", d.Output, upserts, deletes, d.Upserts, d.Deletes)}
	}
	return nil
}

// rowText is a row of a part as text: its key, its columns, its operation.
func rowText(b arrow.RecordBatch, key []string, i int) (string, string, string) {
	var keys, row []string
	n := int(b.NumCols()) - 1
	for c := range n {
		row = append(row, strings.Clone(b.Column(c).ValueStr(i))) // the batch owns its bytes
	}
	for _, k := range key {
		keys = append(keys, row[b.Schema().FieldIndices(k)[0]])
	}
	return strings.Join(keys, "|"), strings.Join(row, "|"), strings.Clone(b.Column(n).ValueStr(i))
}

func same(name string, got, want map[string]string) error {
	for k, w := range want {
		if g, ok := got[k]; !ok {
			return &wrong{fmt.Sprintf("output %s: row %s is missing, want %s", name, k, w)}
		} else if padded(g, w) != w {
			return &wrong{fmt.Sprintf("output %s: row %s is %s, want %s", name, k, g, w)}
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			return &wrong{fmt.Sprintf("output %s: row %s should not be there", name, k)}
		}
	}
	return nil
}

// padded adds the NULLs of columns that came after the row was published.
func padded(got, want string) string {
	for strings.Count(got, "|") < strings.Count(want, "|") {
		got += "|(null)"
	}
	return got
}

// duckOracle evaluates the view in a fresh DuckDB.
type duckOracle struct{}

func (duckOracle) evaluate(t *testing.T, w *world, spec view.Spec, v *view.View) (out map[string]string, err error) {
	ctx := t.Context()
	db, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	defer func() { err = errors.Join(err, c.Close(), db.Close()) }()
	for _, stmt := range w.sql(duck.ColumnType) {
		if _, err := c.Exec(ctx, stmt); err != nil {
			return nil, err
		}
	}
	out = map[string]string{}
	err = c.Query(ctx, "SELECT *, 1 AS op FROM ("+spec.SQL+")", func(b arrow.RecordBatch) error {
		for i, col := range v.Columns {
			if !arrow.TypeEqual(b.Schema().Field(i).Type, col.Type.Arrow()) {
				return fmt.Errorf("column %s is %s, the plan says %s", col.Name, b.Schema().Field(i).Type, col.Type.Arrow())
			}
		}
		for i := range int(b.NumRows()) {
			key, row, _ := rowText(b, spec.Key, i)
			if _, twice := out[key]; twice {
				return fmt.Errorf("the test's view has a bad key: %s twice", key)
			}
			out[key] = row
		}
		return nil
	})
	return out, err
}
