package window

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	statefile "github.com/tidemill/tidemill/window/state"
	"github.com/tidemill/tidemill/window/view"
)

// memState is an engine on Go maps for tables with the columns id and v: small enough to be right by reading it. Its one
// view is "first LEFT JOIN second USING (id)". A commit is the rename of a JSON file.
type memState struct {
	path string
	now  memData
	sick bool       // values that end in 7 are bad
	json bool       // parts are JSON: a hundred times faster than Parquet when they hold three rows
	mu   sync.Mutex // spill runs beside prepare
}

type memData struct {
	Meta   []byte
	Images map[string]map[int64]int64 // by topic
}

func openMem(_ context.Context, c *Config) (engine, error) {
	m := &memState{sick: c.MaxQuarantine > 0, path: filepath.Join(c.Dir, stateFile), now: memData{Images: map[string]map[int64]int64{}}}
	b, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal(b, &m.now)
}

func (m *memState) commit(d memData) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.path+".new", b, 0o600); err != nil {
		return err
	}
	m.now = d
	return os.Rename(m.path+".new", m.path)
}

func (m *memState) meta(context.Context) ([]byte, error) { return m.now.Meta, nil }

func (m *memState) mark(_ context.Context, meta []byte) error {
	return m.commit(memData{meta, m.now.Images})
}

func (m *memState) reset(context.Context) error {
	return m.commit(memData{nil, map[string]map[int64]int64{}})
}

func (m *memState) topics(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(m.now.Images)), nil
}

func (m *memState) export(_ context.Context, dir string) ([]string, error) {
	b, err := json.Marshal(m.now.Images)
	if err != nil {
		return nil, err
	}
	return []string{"images.json"}, os.WriteFile(filepath.Join(dir, "images.json"), b, 0o600)
}

func (m *memState) restore(_ context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "images.json"))
	if err != nil {
		return err
	}
	d := memData{Images: map[string]map[int64]int64{}}
	if err := json.Unmarshal(b, &d.Images); err != nil {
		return err
	}
	return m.commit(d)
}

func (m *memState) prime(_ context.Context, topic string, _ *ingest.Schema, read func(func(arrow.RecordBatch) error) error) error {
	d := memData{m.now.Meta, maps.Clone(m.now.Images)}
	d.Images[topic] = map[int64]int64{}
	err := read(func(b arrow.RecordBatch) error {
		for i := range int(b.NumRows()) {
			d.Images[topic][b.Column(0).(*array.Int64).Value(i)] = b.Column(1).(*array.Int64).Value(i)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.commit(d)
}

func (m *memState) maintain(context.Context) error { return nil }

func (m *memState) close() error { return nil }

// memRow is a change.
type memRow struct {
	Partition int
	Seq       int64
	ID, V     int64
	Delete    bool
}

func memRows(b rowBatch) []memRow {
	ids, vs, ops := b.record.Column(0).(*array.Int64), b.record.Column(1).(*array.Int64), b.record.Column(2).(*array.Uint8)
	out := make([]memRow, b.record.NumRows())
	for i := range out {
		out[i] = memRow{b.partition, b.first + int64(i), ids.Value(i), vs.Value(i), ops.Value(i) == uint8(ingest.Delete)}
	}
	return out
}

func (m *memState) spill(_ context.Context, path string, b *bucket) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []memRow
	for _, r := range b.batches {
		rows = append(rows, memRows(r)...)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return 0, err
	}
	return int64(len(text)), os.WriteFile(path, text, 0o600)
}

// collapse is the last change per key of an input.
func (m *memState) collapse(in workInput) (map[int64]memRow, error) {
	last := map[int64]memRow{}
	note := func(rows []memRow) {
		for _, r := range rows {
			if old, had := last[r.ID]; !had || r.Seq > old.Seq {
				last[r.ID] = r
			}
		}
	}
	for _, b := range in.buckets {
		for _, run := range b.runs {
			text, err := os.ReadFile(run.path)
			if err != nil {
				return nil, err
			}
			var rows []memRow
			if err := json.Unmarshal(text, &rows); err != nil {
				return nil, err
			}
			note(rows)
		}
		for _, r := range b.batches {
			note(memRows(r))
		}
	}
	return last, nil
}

func (m *memState) prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (timings, error) {
	next := memData{Images: map[string]map[int64]int64{}}
	for topic, rows := range m.now.Images {
		next.Images[topic] = maps.Clone(rows)
	}
	var out []preparedTable
	changes := make([]map[int64]memRow, len(w.inputs))
	for i, in := range w.inputs {
		var err error
		if changes[i], err = m.collapse(in); err != nil {
			return timings{}, err
		}
		if !in.stored {
			continue
		}
		if in.base || next.Images[in.topic] == nil {
			next.Images[in.topic] = map[int64]int64{}
		}
		for id, r := range changes[i] {
			if r.Delete {
				delete(next.Images[in.topic], id)
			} else {
				next.Images[in.topic][id] = r.V
			}
		}
	}
	for _, r := range w.replicas {
		var ops []pairRow
		for id, c := range changes[r.input] {
			if c.Delete && r.replace {
				continue
			}
			ops = append(ops, pairRow{id: id, a: &c.V, delete: c.Delete})
		}
		if err := m.writeTable(ctx, &out, dir, r.table, w.inputs[r.input].schema.Columns, r.replace, ops, w.quarantine[r.table]); err != nil {
			return timings{}, err
		}
	}
	for _, v := range w.views {
		if v.mode == stands {
			continue
		}
		var old map[int64]pairRow
		if v.mode == moves {
			old = pairs(m.now.Images, v.JoinedView)
		}
		if err := m.writeTable(ctx, &out, dir, v.Table, v.View.Columns, v.mode == replaces, difference(old, pairs(next.Images, v.JoinedView)), w.quarantine[v.Table]); err != nil {
			return timings{}, err
		}
	}
	meta, err := save(out)
	if err != nil {
		return timings{}, err
	}
	next.Meta = meta
	return timings{}, m.commit(next)
}

// pairRow is a row of the view, or with only a of a replica.
type pairRow struct {
	id     int64
	a, b   *int64
	delete bool
}

func pairs(images map[string]map[int64]int64, v JoinedView) map[int64]pairRow {
	out := map[int64]pairRow{}
	for id, a := range images[v.View.Relations[0].Input] {
		r := pairRow{id: id, a: &a}
		if b, ok := images[v.View.Relations[1].Input][id]; ok {
			r.b = &b
		}
		out[id] = r
	}
	return out
}

func difference(old, now map[int64]pairRow) []pairRow {
	same := func(x, y *int64) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }
	var out []pairRow
	for id, r := range now {
		if o, had := old[id]; !had || !same(o.a, r.a) || !same(o.b, r.b) {
			out = append(out, r)
		}
	}
	for id := range old {
		if _, has := now[id]; !has {
			out = append(out, pairRow{id: id, delete: true})
		}
	}
	return out
}

// sickValue is what the tests take for a value that no warehouse can hold.
func sickValue(v *int64) bool { return v != nil && *v%10 == 7 }

// screen is what window/state does with bad rows, in few words.
func (m *memState) screen(pt *preparedTable, ops []pairRow, open map[string]bool) (kept []pairRow) {
	for _, o := range ops {
		key := fmt.Sprintf("[%d]", o.id)
		bad := m.sick && !o.delete && (sickValue(o.a) || sickValue(o.b))
		switch {
		case bad:
			pt.bad = append(pt.bad, statefile.BadRow{Key: key, Column: "v", Fault: parquet.OutOfCalendar, Row: "{}"})
			pt.faults = map[statefile.FaultAt]int64{{Column: "v", Fault: parquet.OutOfCalendar}: int64(len(pt.bad))}
			o.delete = true
		case open[key] && !pt.load.Replace:
			pt.resolved = append(pt.resolved, key)
		}
		if !bad || !pt.load.Replace {
			kept = append(kept, o)
		}
	}
	return kept
}

// writeTable writes operations as one Parquet part.
func (m *memState) writeTable(ctx context.Context, out *[]preparedTable, dir string, t WarehouseTable, cols []ingest.Column, replace bool, ops []pairRow, open map[string]bool) error {
	if len(ops) == 0 && !replace {
		return nil
	}
	slices.SortFunc(ops, func(a, b pairRow) int { return cmp.Compare(a.id, b.id) })
	pt := preparedTable{load: TableLoad{Table: t, Columns: cols, Key: []string{"id"}, Replace: replace}}
	ops = m.screen(&pt, ops, open)
	if m.json {
		if err := writeJSON(&pt, dir, len(cols) == 3, ops); err != nil {
			return err
		}
		*out = append(*out, pt)
		return nil
	}
	load := &pt.load
	s := parquet.Schema{Columns: cols, Op: true}
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.Arrow())
	defer b.Release()
	number := func(col int, v *int64, null bool) {
		if f := b.Field(col).(*array.Int64Builder); v == nil || null {
			f.AppendNull()
		} else {
			f.Append(*v)
		}
	}
	for _, o := range ops {
		b.Field(0).(*array.Int64Builder).Append(o.id)
		number(1, o.a, o.delete)
		if len(cols) == 3 {
			number(2, o.b, o.delete)
		}
		op := ingest.Upsert
		if o.delete {
			op = ingest.Delete
			load.Deletes++
		} else {
			load.Upserts++
		}
		b.Field(len(cols)).(*array.Int32Builder).Append(int32(op))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	w := parquet.NewWriter(dir, t.String(), s)
	if err := w.Write(ctx, rec); err != nil {
		return err
	}
	files, err := w.Close(ctx)
	if err != nil {
		return err
	}
	for _, f := range files {
		pt.load.Parts = append(pt.load.Parts, Part{Bytes: f.Bytes, Rows: f.Rows, SHA256: f.SHA256})
		pt.files = append(pt.files, f.Path)
	}
	*out = append(*out, pt)
	return nil
}

// writeJSON writes operations as one part of partRows.
func writeJSON(pt *preparedTable, dir string, two bool, ops []pairRow) error {
	rows := make([]partRow, len(ops))
	for i, o := range ops {
		rows[i] = partRow{ID: o.id, Values: []*int64{o.a}, Delete: o.delete}
		if two {
			rows[i].Values = append(rows[i].Values, o.b)
		}
		if o.delete {
			rows[i].Values = nil
			pt.load.Deletes++
		} else {
			pt.load.Upserts++
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, pt.load.Table.String()+".json")
	sum := sha256.Sum256(text)
	pt.load.Parts = []Part{{Bytes: int64(len(text)), Rows: int64(len(rows)), SHA256: hex.EncodeToString(sum[:])}}
	pt.files = []string{path}
	return os.WriteFile(path, text, 0o600)
}

// pairView is "a LEFT JOIN b USING (id)" over two topics, for memState.
func pairView(name, a, b string) JoinedView {
	s := genSchema("any")
	cols := []ingest.Column{s.Columns[0], s.Columns[1], {Name: "w", Type: s.Columns[1].Type, Nullable: true}}
	return JoinedView{
		Table: WarehouseTable{"mart", name},
		View: &view.View{Name: name, Key: []string{"id"}, Columns: cols, Relations: []view.Relation{
			{Input: a, Alias: "a", Schema: &s, Columns: []string{"id", "v"}}, {Input: b, Alias: "b", Schema: &s, Columns: []string{"id", "v"}},
		}},
	}
}

// planAll replicates every table of every source into raw_<source> and joins the first tables of the first two sources.
func planAll(sources ...string) Planner {
	return func(_ context.Context, registries map[string]*ingest.Registry) (*Plan, error) {
		p := &Plan{}
		var anchors []string
		for _, name := range sources {
			r := registries[name]
			if r == nil {
				return nil, fmt.Errorf("no registry of %s", name)
			}
			for _, t := range r.Tables {
				p.Replicas = append(p.Replicas, Replica{t.Topic, WarehouseTable{"raw_" + name, t.Schema.Table.Name}})
			}
			anchors = append(anchors, r.Tables[0].Topic)
		}
		if len(anchors) > 1 {
			p.Views = append(p.Views, pairView("pairs", anchors[0], anchors[1]))
		}
		return p, nil
	}
}

func TestMemStateDifference(t *testing.T) {
	one, two := int64(1), int64(2)
	old := map[int64]pairRow{1: {id: 1, a: &one}, 2: {id: 2, a: &one}, 3: {id: 3, a: &one, b: &two}}
	now := map[int64]pairRow{1: {id: 1, a: &one}, 3: {id: 3, a: &one}, 4: {id: 4, a: &two}}
	if got := difference(old, now); len(got) != 3 {
		t.Errorf("difference is %v, want a delete of 2, an upsert of 3 and one of 4", got)
	}
}
