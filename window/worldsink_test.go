package window

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/sim"
)

// simWarehouse is a warehouse in memory that checks every commit from the inside.
type simWarehouse struct {
	*memSink
	world  *simWorld
	hashes map[string]string // of each step that anybody has tried to publish
	owner  int64             // the highest epoch that has the fence
	staged map[string][]byte // parts, as they were when the publish was called
	wrong  error
}

func newSimWarehouse(s *simWorld) *simWarehouse {
	w := &simWarehouse{memSink: newMemSink(), world: s, hashes: map[string]string{}, staged: map[string][]byte{}}
	w.check = w.commit
	w.read = func(path string) (rows []partRow, err error) {
		text, in := w.staged[path]
		if !in {
			return nil, fs.ErrNotExist
		}
		return rows, json.Unmarshal(text, &rows)
	}
	return w
}

func (w *simWarehouse) fence() Fence {
	f, err := w.Fence(context.Background(), "care")
	if err != nil {
		return Fence{}
	}
	return f
}

func (w *simWarehouse) at() Step { return w.fence().Step }

func (w *simWarehouse) violated(format string, args ...any) error {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
	}
	return w.wrong
}

// tried notes a manifest that an owner wants to publish: one step has one hash. One who has been overtaken may come too late: the
// replicas that he fills his state from have moved, and what he makes of them is refused.
func (w *simWarehouse) tried(p *Publication) {
	if p.Epoch < w.owner {
		return
	}
	name := p.Step.String()
	if h, known := w.hashes[name]; known && h != p.Hash {
		_ = w.violated("step %s has two manifests, %.8s and %.8s", name, h, p.Hash)
	}
	w.hashes[name] = p.Hash
}

// commit checks a publish that is about to be committed (DESIGN §10, 1 and 2).
func (w *simWarehouse) commit(before, after map[string]map[int64][]any, p *Publication) error {
	if n := len(w.history); n > 0 {
		if last := w.history[n-1].Step; !p.Prev.same(last) || !follows(last, p.Step) {
			return w.violated("step %s is published after %s", p.Step, last)
		}
	}
	if p.Epoch < w.owner {
		return w.violated("step %s is published by epoch %d after epoch %d has taken the fence", p.Step, p.Epoch, w.owner)
	}
	live := map[string]map[int64]int64{}
	for _, h := range w.world.histories {
		c, begun := p.Cut[h.name]
		if !begun {
			return w.violated("step %s has no cut of source %s", p.Step, h.name)
		}
		n := 0
		if _, err := fmt.Sscanf(string(c.Position), "g%d", &n); err != nil || strings.Contains(string(c.Position), "+") {
			return w.violated("step %s has a cut inside a group: %s", p.Step, c.Position)
		}
		for _, t := range h.tables {
			topic, table := "tm."+h.name+"."+t.Table.String(), "raw_"+h.name+"."+t.Table.Name
			if _, held := c.Held[topic]; held || c.Topics[topic] == nil {
				if !reflect.DeepEqual(before[table], after[table]) {
					return w.violated("step %s moves %s, which is held", p.Step, table)
				}
				continue
			}
			live[topic] = h.contents[n][t.Table.Name]
			want := map[int64][]any{}
			for id, v := range live[topic] {
				want[id] = []any{v}
			}
			if err := w.equal(p, table, after[table], want); err != nil {
				return err
			}
		}
	}
	x, y := live["tm.a.s.x"], live["tm.a.s.y"]
	if x == nil || y == nil {
		if !reflect.DeepEqual(before["mart.pairs"], after["mart.pairs"]) {
			return w.violated("step %s moves the view, and an input is held", p.Step)
		}
		return nil
	}
	want := map[int64][]any{}
	for id, v := range x {
		want[id] = []any{v, nil}
		if o, in := y[id]; in {
			want[id][1] = o
		}
	}
	return w.equal(p, "mart.pairs", after["mart.pairs"], want)
}

func (w *simWarehouse) equal(p *Publication, table string, got, want map[int64][]any) error {
	if maps.EqualFunc(got, want, func(a, b []any) bool { return slices.Equal(a, b) }) {
		return nil
	}
	return w.violated("step %s: %s holds %v, at the cut %v the servers held %v", p.Step, table, got, positions(p.Cut), want)
}

func positions(c Cut) map[string]string {
	out := map[string]string{}
	for name, s := range c {
		out[name] = string(s.Position)
	}
	return out
}

// follows reports whether one step may come after another: the next slice, or the next window.
func follows(a, b Step) bool {
	if a.Final {
		return b.Start.Equal(a.End) && b.Slice == 0
	}
	return b.Start.Equal(a.Start) && b.Slice == a.Slice+1
}

// simSink is the warehouse as a process sees it.
type simSink struct {
	*simWarehouse
	p *sim.Process
}

func (s simSink) Acquire(ctx context.Context, pipeline string, epoch int64) (f Fence, err error) {
	return f, s.p.Call(ctx, sim.Op{Kind: "acquire", Where: fmt.Sprint("epoch ", epoch), Faults: true, Late: true, Do: func() (err error) {
		if f, err = s.simWarehouse.Acquire(ctx, pipeline, epoch); err == nil {
			s.owner = epoch
			if n := len(s.history); s.world.log.harm.twice && n > 0 {
				f.Step, f.Manifest = s.history[n-1].Prev, "an old one"
			}
		}
		return err
	}})
}

func (s simSink) Fence(ctx context.Context, pipeline string) (f Fence, err error) {
	return f, s.p.Call(ctx, sim.Op{Kind: "fence", Faults: true, Do: func() (err error) {
		f, err = s.simWarehouse.Fence(ctx, pipeline)
		return err
	}})
}

func (s simSink) Quarantined(ctx context.Context, pipeline string) (rows []Quarantined, err error) {
	return rows, s.p.Call(ctx, sim.Op{Kind: "bad rows", Faults: true})
}

// Publish sends the parts and then commits: the parts may be gone from the machine by then.
func (s simSink) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	parts := map[string][]byte{}
	for _, t := range p.Manifest.loads() {
		for _, part := range t.Parts {
			path, err := local(ctx, part)
			if err != nil {
				return err
			}
			if parts[part.Key], err = os.ReadFile(path); err != nil {
				return err
			}
		}
	}
	do := func() error {
		s.tried(p)
		maps.Copy(s.staged, parts)
		s.world.log.harm.publishing(s.memSink, p)
		return s.simWarehouse.Publish(context.Background(), p, func(_ context.Context, part Part) (string, error) { return part.Key, nil })
	}
	return s.p.Call(ctx, sim.Op{
		Kind: "publish", Where: fmt.Sprintf("%s.%d epoch %d", p.Step.Start.Format("15:04:05"), p.Step.Slice, p.Epoch), Faults: true, Late: true, Do: do,
		Detail: func() string {
			return fmt.Sprintf("final %v, %d tables, hash %.8s, cut %v", p.Step.Final, len(p.Manifest.Tables), p.Hash, positions(p.Cut))
		},
	})
}

// simStore is an object store in memory. Attempts have random names: what is seen of them is the order in which they came.
type simStore struct {
	objects map[string][]byte
	known   map[string]string // an attempt's name, as it is seen
}

func newSimStore() *simStore { return &simStore{map[string][]byte{}, map[string]string{}} }

// seen is a key without what is random in it.
func (s *simStore) seen(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		if len(p) != 36 || strings.Count(p, "-") != 4 {
			continue
		}
		if s.known[p] == "" {
			s.known[p] = fmt.Sprintf("attempt-%04d", len(s.known)+1)
		}
		parts[i] = s.known[p]
	}
	return strings.Join(parts, "/")
}

// simDisk is the store as a process sees it.
type simDisk struct {
	*simStore
	p *sim.Process
}

// call does one operation. Several may wait at once, so the key is made readable only when one is done.
func (d simDisk) call(ctx context.Context, kind, key string, do func() error) error {
	parts := strings.Split(key, "/")
	parts = slices.DeleteFunc(parts, func(p string) bool { return len(p) == 36 && strings.Count(p, "-") == 4 })
	return d.p.Call(ctx, sim.Op{Kind: kind, Where: strings.Join(parts, "/"), Faults: true, Detail: func() string { return d.seen(key) }, Do: func() error {
		d.seen(key)
		return do()
	}})
}

func (d simDisk) Put(ctx context.Context, key, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return d.call(ctx, "put", key, func() error {
		if old, has := d.objects[key]; has && !bytes.Equal(old, text) {
			return fs.ErrExist
		}
		d.objects[key] = text
		return nil
	})
}

func (d simDisk) Get(ctx context.Context, key, path string) error {
	var text []byte
	err := d.call(ctx, "get", key, func() error {
		var has bool
		if text, has = d.objects[key]; !has {
			return fs.ErrNotExist
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (d simDisk) Delete(ctx context.Context, key string) error {
	return d.call(ctx, "delete", key, func() error { delete(d.objects, key); return nil })
}

func (d simDisk) List(ctx context.Context, prefix string, fn func(key string, bytes int64, modified time.Time) error) error {
	var keys []string
	err := d.call(ctx, "list", prefix, func() error {
		for key := range d.objects {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(d.seen(a), d.seen(b)) })
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = fn(key, 1, time.Time{})
		}
	}
	return err
}

// simEngine is memState; a process may die around its commits.
type simEngine struct {
	*memState
	p *sim.Process
	s *simWorld
}

func openSimEngine(ctx context.Context, c *Config, p *sim.Process, s *simWorld) (engine, error) {
	e, err := openMem(ctx, c)
	if err != nil {
		return nil, err
	}
	m := e.(*memState)
	m.json, m.path = true, filepath.Join(c.Dir, stateFile)
	return simEngine{m, p, s}, nil
}

// meta is asked for once in a run, to decide how to go on.
func (e simEngine) meta(ctx context.Context) ([]byte, error) {
	b, err := e.memState.meta(ctx)
	var m saved
	var l *local
	if json.Unmarshal(b, &m) == nil {
		l = &local{lineage: m.Lineage, step: m.Step, cut: m.Cut, pending: m.Pending}
	}
	e.s.restarts[recoverFrom(l, e.s.warehouse.fence())]++
	return b, err
}

func (e simEngine) prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (timings, error) {
	took, err := e.memState.prepare(ctx, w, dir, func(tables []preparedTable) ([]byte, error) {
		meta, err := save(tables)
		if err == nil {
			err = e.p.Call(ctx, sim.Op{Kind: "commit"})
		}
		return meta, err
	})
	if err == nil {
		err = e.p.Call(ctx, sim.Op{Kind: "committed"})
	}
	return took, err
}

func (e simEngine) mark(ctx context.Context, meta []byte) error {
	if err := e.p.Call(ctx, sim.Op{Kind: "mark"}); err != nil {
		return err
	}
	return e.memState.mark(ctx, meta)
}

func (e simEngine) reset(ctx context.Context) error {
	if err := e.p.Call(ctx, sim.Op{Kind: "reset"}); err != nil {
		return err
	}
	return e.memState.reset(ctx)
}
