package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/grid"
)

// recorder is an Emitter that keeps everything it is given: as lines in order, and as the last row of each key. It fails the
// test when the source breaks the contract of calls.
type recorder struct {
	t          *testing.T
	partitions int
	slow       time.Duration                                         // of each group, for a stream that lags behind
	onRow      func(t ingest.TableName, key string, values []string) // values is nil for a delete
	onBatch    func(partition int, b *ingest.Builder)                // before it is applied

	mu       sync.Mutex
	changed  chan struct{}
	schemas  []*ingest.Schema
	builders [][]*ingest.Builder
	rows     map[ingest.TableName]map[string]string
	lines    []string
	kept     []string // lines that were taken
	group    []string
	ended    []string // lines that come behind the open group
	commit   time.Time
	open     bool
	started  ingest.Position
	pos      ingest.Position
	progress ingest.Position
	idle     time.Time
	ticks    int
	loads    map[ingest.TableName]ingest.Load
	loaded   int64
	parked   map[ingest.TableName]string
	before   map[ingest.TableName]*ingest.Schema // that the recorder before this one had last
	groups   int
}

func newRecorder(t *testing.T, partitions int) *recorder {
	return &recorder{t: t, partitions: partitions, changed: make(chan struct{}), rows: map[ingest.TableName]map[string]string{},
		loads: map[ingest.TableName]ingest.Load{}, parked: map[ingest.TableName]string{},
		before: map[ingest.TableName]*ingest.Schema{}}
}

var _ ingest.Emitter = (*recorder)(nil)

// enter checks the order of calls.
func (r *recorder) enter(what string, inside, between bool) func() {
	r.mu.Lock()
	if r.open && !inside || !r.open && !between {
		r.t.Errorf("%s was called with open=%v", what, r.open)
	}
	return func() {
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
	}
}

func (r *recorder) Start(_ context.Context, pos ingest.Position) error {
	defer r.enter("Start", false, true)()
	if pos == "" {
		r.t.Error("Start without a position")
	}
	r.started, r.pos = pos, pos
	return nil
}

func (r *recorder) Begin(_ context.Context, commit time.Time) error {
	defer r.enter("Begin", false, true)()
	r.open, r.commit, r.group = true, commit, nil
	return nil
}

func (r *recorder) Table(_ context.Context, s *ingest.Schema) (ingest.TableID, error) {
	defer r.enter("Table", true, true)()
	r.flush()
	for i, old := range r.schemas {
		if old.Table == s.Table && old.Fingerprint() == s.Fingerprint() {
			return ingest.TableID(i), nil
		}
	}
	r.schemas = append(r.schemas, s)
	var b []*ingest.Builder
	for range r.partitions {
		b = append(b, ingest.NewBuilder(s))
	}
	r.builders = append(r.builders, b)
	if r.rows[s.Table] == nil {
		r.rows[s.Table] = map[string]string{}
	}
	var cols []string
	for _, c := range s.Columns {
		cols = append(cols, c.Name+" "+c.Type.Kind.String())
	}
	line := fmt.Sprintf("table %s (%s) key %s", s.Table, strings.Join(cols, ", "), strings.Join(s.Key, ","))
	if r.open {
		r.group = append(r.group, line)
	} else {
		r.lines = append(r.lines, line)
	}
	return ingest.TableID(len(r.schemas) - 1), nil
}

func (r *recorder) Builder(id ingest.TableID, partition int) *ingest.Builder {
	if !r.open {
		r.t.Error("Builder was called between groups")
	}
	return r.builders[id][partition]
}

func (r *recorder) Partitions(ingest.TableID) int { return r.partitions }

func (r *recorder) Progress(_ context.Context, pos ingest.Position) error {
	defer r.enter("Progress", true, false)()
	r.progress = pos
	r.flush()
	return nil
}

func (r *recorder) End(ctx context.Context, pos ingest.Position) error {
	if r.slow > 0 {
		select {
		case <-time.After(r.slow):
		case <-ctx.Done():
		}
	}
	defer r.enter("End", true, false)()
	r.flush()
	if pos == r.pos || pos == "" || strings.Contains(string(pos), "+") {
		r.t.Errorf("End at %q after %q", pos, r.pos)
	}
	r.pos, r.open = pos, false
	r.groups++
	if len(r.group) > 0 {
		r.lines = append(r.lines, "begin")
		r.lines = append(r.lines, r.group...)
		r.lines = append(r.lines, "end")
	}
	r.lines, r.ended = append(r.lines, r.ended...), nil
	return nil
}

func (r *recorder) Idle(_ context.Context, t time.Time) error {
	defer r.enter("Idle", false, true)()
	r.idle = t
	return nil
}

func (r *recorder) Window() grid.Window { return grid.Window{} }

func (r *recorder) Complete(context.Context, time.Time) error {
	r.t.Error("Complete was called")
	return nil
}

func (r *recorder) Settle(context.Context, json.RawMessage) error {
	r.t.Error("Settle was called")
	return nil
}

func (r *recorder) Tick(context.Context) error {
	defer r.enter("Tick", false, true)()
	r.ticks++
	return nil
}

func (r *recorder) Load(_ context.Context, id ingest.TableID, chunk []*ingest.Builder, state ingest.Load) error {
	defer r.enter("Load", false, true)()
	s := r.schemas[id]
	if len(chunk) != r.partitions {
		r.t.Errorf("Load of %s with %d builders", s.Table, len(chunk))
	}
	n := 0
	for p, b := range chunk {
		if b == nil {
			continue
		}
		if r.onBatch != nil {
			r.onBatch(p, b)
		}
		if b.Schema().Fingerprint() != s.Fingerprint() {
			r.t.Errorf("Load of %s with rows of another schema", s.Table)
		}
		n += b.Rows()
		r.apply(b)
	}
	r.loaded += int64(n)
	r.loads[s.Table] = state
	r.lines = append(r.lines, fmt.Sprintf("load %s %d rows done=%v", s.Table, n, state.Done))
	return nil
}

func (r *recorder) Reload(_ context.Context, t ingest.TableName) error {
	defer r.enter("Reload", false, true)()
	r.loads[t] = ingest.Load{}
	r.lines = append(r.lines, "reload "+t.String())
	return nil
}

func (r *recorder) Park(_ context.Context, t ingest.TableName, reason string) error {
	defer r.enter("Park", true, true)()
	r.park(t, "park", reason)
	return nil
}

func (r *recorder) Anew(_ context.Context, t ingest.TableName, reason string) error {
	defer r.enter("Anew", true, false)()
	r.park(t, "anew", reason)
	return nil
}

// park counts from the end of the group on.
func (r *recorder) park(t ingest.TableName, what, reason string) {
	r.parked[t] = reason
	into := &r.lines
	if r.open {
		into = &r.ended
	}
	*into = append(*into, what+" "+t.String()+": "+reason)
}

// flush applies the rows in the builders, by the tables' names: the order of tables in one event group is the emitter's own.
// It is called with the lock held.
func (r *recorder) flush() {
	ids := make([]int, len(r.builders))
	for id := range ids {
		ids[id] = id
	}
	slices.SortStableFunc(ids, func(a, b int) int { return compareNames(r.schemas[a].Table, r.schemas[b].Table) })
	for _, id := range ids {
		for p, b := range r.builders[id] {
			if b.Rows() > 0 {
				if r.onBatch != nil {
					r.onBatch(p, b)
				}
				r.group = append(r.group, r.apply(b)...)
				b.Reset()
			}
		}
	}
}

// apply renders the rows of a builder and applies them to the state.
func (r *recorder) apply(b *ingest.Builder) []string {
	rec := b.Record()
	defer rec.Release()
	return r.applyRecord(b.Schema(), rec)
}

func (r *recorder) applyRecord(s *ingest.Schema, rec arrow.RecordBatch) []string {
	var lines []string
	table := r.rows[s.Table]
	for i := range int(rec.NumRows()) {
		values := make([]string, len(s.Columns))
		for c := range s.Columns {
			values[c] = strings.Clone(rec.Column(c).ValueStr(i)) // it shares the builder's memory
		}
		var key []string
		for _, k := range s.KeyColumns() {
			key = append(key, values[k])
		}
		if rec.Column(len(s.Columns)).ValueStr(i) == fmt.Sprint(uint8(ingest.Delete)) {
			delete(table, strings.Join(key, "|"))
			if r.onRow != nil {
				r.onRow(s.Table, strings.Join(key, "|"), nil)
			}
			lines = append(lines, "delete "+s.Table.String()+" "+strings.Join(key, "|"))
			continue
		}
		if r.onRow != nil {
			r.onRow(s.Table, strings.Join(key, "|"), values)
		}
		row := strings.Join(values, "|")
		table[strings.Join(key, "|")] = row
		lines = append(lines, "upsert "+s.Table.String()+" "+row)
	}
	return lines
}

// await waits until the condition holds. It is checked under the lock after every call of the source.
func (r *recorder) await(what string, cond func() bool) {
	r.t.Helper()
	limit := time.After(60 * time.Second)
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited for %s; the last calls were\n%s", what, strings.Join(r.lines[max(0, len(r.lines)-20):], "\n"))
		}
	}
}

// take returns the lines since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.kept = append(r.kept, lines...)
	r.lines = nil
	return lines
}

// state is the rows of a table, sorted.
func (r *recorder) state(t ingest.TableName) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Values(r.rows[t]))
}

// resume is what a checkpoint at this point would hold.
func (r *recorder) resume() ingest.Resume {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := ingest.Resume{Position: r.pos, Schemas: maps.Clone(r.before), Gone: map[ingest.TableName][]string{}, Loads: maps.Clone(r.loads), Parked: maps.Clone(r.parked)}
	for _, s := range r.schemas {
		out.Schemas[s.Table] = s
	}
	for _, s := range r.schemas {
		for _, c := range s.Columns {
			if out.Schemas[s.Table].Column(c.Name) < 0 {
				out.Gone[s.Table] = append(out.Gone[s.Table], c.Name)
			}
		}
	}
	return out
}

// running is a source that runs in the background of a test.
type running struct {
	source *Source
	stop   context.CancelFunc
	done   chan struct{}
	err    error // after done
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(60 * time.Second):
		t.Fatal("the source did not end")
		return nil
	}
}

// end stops the source, which must return nil.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := r.wait(t); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the source ended with %v", err)
	}
}
