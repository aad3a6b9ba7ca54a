package window

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
)

// memSink is an honest warehouse in memory: one lock is its transaction, and it reads the parts it is given. check sees
// every commit from the inside.
type memSink struct {
	mu      sync.Mutex
	fences  map[string]*Fence
	tables  map[string]map[int64][]any // by schema.table, by id: the other columns
	history []*Publication
	bad     map[WarehouseTable]map[string]string // in quarantine: image by key
	next    map[WarehouseTable]map[string]string // the same after the publish that check looks at
	hold    *Step                                // no commit after this step
	check   func(before, after map[string]map[int64][]any, p *Publication) error
	read    func(path string) ([]partRow, error) // nil: parts are Parquet
	fault   func(point string) error             // nil: no faults. "before commit": error and no commit. "after commit": the reply is lost
}

func newMemSink() *memSink {
	return &memSink{fences: map[string]*Fence{}, tables: map[string]map[int64][]any{}}
}

func (m *memSink) holdAt(s *Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = s
}

func (m *memSink) trip(point string) error {
	if m.fault == nil {
		return nil
	}
	return m.fault(point)
}

func (m *memSink) Acquire(_ context.Context, pipeline string, epoch int64) (Fence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.fences[pipeline]
	if f == nil {
		f = &Fence{Pipeline: pipeline, Lineage: "lineage-1", Cut: Cut{}}
		m.fences[pipeline] = f
	}
	if f.Epoch > epoch {
		return Fence{}, ErrFenced
	}
	f.Epoch = epoch
	return m.copy(f), nil
}

func (m *memSink) copy(f *Fence) Fence {
	out := *f
	out.Cut = f.Cut.clone()
	return out
}

func (m *memSink) Fence(_ context.Context, pipeline string) (Fence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.trip("fence"); err != nil {
		return Fence{}, err
	}
	f := m.fences[pipeline]
	if f == nil {
		return Fence{}, ErrNoFence
	}
	return m.copy(f), nil
}

func (m *memSink) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.fences[p.Pipeline]
	if f == nil || f.Lineage != p.Lineage || f.Epoch != p.Epoch || !f.Step.same(p.Prev) {
		return ErrFenced
	}
	next := maps.Clone(m.tables)
	for _, t := range p.Manifest.Tables {
		if err := m.load(ctx, next, t, local); err != nil {
			return fmt.Errorf("loading %s: %w", t.Table, err)
		}
	}
	bad, err := m.quarantine(ctx, p, local)
	if err != nil {
		return err
	}
	m.next = bad
	if m.check != nil {
		if err := m.check(m.tables, next, p); err != nil {
			return &RefusedError{What: "the oracle says no", Err: err}
		}
	}
	if m.hold != nil && f.Step.same(*m.hold) {
		return errors.New("a test holds the warehouse at this step")
	}
	if err := m.trip("before commit"); err != nil {
		return err
	}
	m.tables, m.bad = next, bad
	f.Step, f.Cut, f.Manifest, f.At = p.Step, p.Cut.clone(), p.Hash, time.Now()
	m.history = append(m.history, p)
	return m.trip("after commit")
}

// quarantine is what is in quarantine after p.
func (m *memSink) quarantine(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) (map[WarehouseTable]map[string]string, error) {
	out := map[WarehouseTable]map[string]string{}
	for t, rows := range m.bad {
		out[t] = maps.Clone(rows)
	}
	for _, t := range p.Manifest.Tables {
		if t.Replace {
			delete(out, t.Table)
		}
	}
	q := p.Manifest.Quarantine
	if q == nil {
		return out, nil
	}
	var upserts, deletes int64
	for _, part := range q.Parts {
		path, err := local(ctx, part)
		if err != nil {
			return nil, err
		}
		err = parquet.Read(ctx, path, parquet.Schema{Columns: q.Columns, Op: true}, func(b arrow.RecordBatch) error {
			text := func(c, i int) string { return b.Column(c).(*array.String).Value(i) }
			for i := range int(b.NumRows()) {
				t, key := WarehouseTable{text(0, i), text(1, i)}, text(2, i)
				_, in := out[t][key]
				if b.Column(len(q.Columns)).(*array.Int32).Value(i) == int32(ingest.Delete) {
					if !in {
						return fmt.Errorf("%s is let out of quarantine and was not in it", t)
					}
					deletes++
					delete(out[t], key)
					continue
				}
				upserts++
				if out[t] == nil {
					out[t] = map[string]string{}
				}
				out[t][key] = text(5, i)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if upserts != q.Upserts || deletes != q.Deletes {
		return nil, fmt.Errorf("%d and %d rows go into and out of quarantine, the manifest says %d and %d", upserts, deletes, q.Upserts, q.Deletes)
	}
	return out, nil
}

func (m *memSink) Quarantined(context.Context, string) (out []Quarantined, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, rows := range m.bad {
		for key := range rows {
			out = append(out, Quarantined{t, key})
		}
	}
	return out, nil
}

func (m *memSink) load(ctx context.Context, tables map[string]map[int64][]any, t TableLoad, local func(context.Context, Part) (string, error)) error {
	name := t.Table.String()
	rows := maps.Clone(tables[name])
	if rows == nil || t.Replace {
		rows = map[int64][]any{}
	}
	var upserts, deletes int64
	for _, part := range t.Parts {
		path, err := local(ctx, part)
		if err != nil {
			return err
		}
		read := m.read
		if read == nil {
			read = func(path string) ([]partRow, error) { return readParquet(ctx, path, t.Columns) }
		}
		changes, err := read(path)
		if err != nil {
			return err
		}
		for _, r := range changes {
			if r.Delete {
				deletes++
				delete(rows, r.ID)
				continue
			}
			upserts++
			row := make([]any, len(r.Values))
			for c, v := range r.Values {
				if v != nil {
					row[c] = *v
				}
			}
			rows[r.ID] = row
		}
	}
	if upserts != t.Upserts || deletes != t.Deletes {
		return fmt.Errorf("%d upserts and %d deletes, the manifest says %d and %d", upserts, deletes, t.Upserts, t.Deletes)
	}
	tables[name] = rows
	return nil
}

// partRow is a row of a part.
type partRow struct {
	ID     int64
	Values []*int64
	Delete bool
}

func readParquet(ctx context.Context, path string, columns []ingest.Column) (out []partRow, err error) {
	return out, parquet.Read(ctx, path, parquet.Schema{Columns: columns, Op: true}, func(b arrow.RecordBatch) error {
		for i := range int(b.NumRows()) {
			r := partRow{ID: b.Column(0).(*array.Int64).Value(i), Delete: b.Column(int(b.NumCols())-1).(*array.Int32).Value(i) == int32(ingest.Delete)}
			for c := 1; c < int(b.NumCols())-1; c++ {
				if col := b.Column(c).(*array.Int64); col.IsNull(i) {
					r.Values = append(r.Values, nil)
				} else {
					r.Values = append(r.Values, new(col.Value(i)))
				}
			}
			out = append(out, r)
		}
		return nil
	})
}

func (m *memSink) ReadTable(_ context.Context, t WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := genSchema(t.Name)
	b := ingest.NewBuilder(&s)
	for _, id := range slices.Sorted(maps.Keys(m.tables[t.String()])) {
		b.Cols[0].Int64(id)
		b.Cols[1].Int64(m.tables[t.String()][id][0].(int64))
		b.End(ingest.Upsert)
	}
	rec := b.Record()
	defer rec.Release()
	return fn(rec)
}

func (m *memSink) Close() error { return nil }

// dirStore is a store in a folder.
type dirStore struct{ root string }

func (d dirStore) path(key string) string { return filepath.Join(d.root, filepath.FromSlash(key)) }

func (d dirStore) Put(_ context.Context, key, path string) error {
	if err := os.MkdirAll(filepath.Dir(d.path(key)), 0o700); err != nil {
		return err
	}
	return copyNew(path, d.path(key))
}

func (d dirStore) Get(_ context.Context, key, path string) error { return copyNew(d.path(key), path) }

func copyNew(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func (d dirStore) Delete(_ context.Context, key string) error { return os.Remove(d.path(key)) }

func (d dirStore) List(_ context.Context, prefix string, fn func(string, int64, time.Time) error) error {
	type object struct {
		key  string
		info fs.FileInfo
	}
	var all []object
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(d.root, path)
		info, err := e.Info()
		if key := filepath.ToSlash(rel); err == nil && strings.HasPrefix(key, prefix) {
			all = append(all, object{key, info})
		}
		return err
	})
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.key, b.key) })
	for _, o := range all {
		if err == nil {
			err = fn(o.key, o.info.Size(), o.info.ModTime())
		}
	}
	return err
}
