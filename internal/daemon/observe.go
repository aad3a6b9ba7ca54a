package daemon

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
)

// observed is a source that notes what it does for the status, by listening in on its emitter.
type observed struct {
	ingest.Source
	up func() // called when the source has begun to stream
	// stands is called when a table stands still, at a start too, and with an empty reason when it is read again; may be nil.
	stands func(table, reason string)

	mu       sync.Mutex // guards what is below
	streams  bool
	position ingest.Position
	asOf     time.Time
	rows     int64
	tables   map[string]console.SourceTable
}

var (
	_ ingest.Source  = (*observed)(nil)
	_ ingest.Emitter = (*listener)(nil)
)

// Prepare implements ingest.Source.
func (o *observed) Prepare(ctx context.Context) ([]ingest.Schema, error) {
	schemas, err := o.Source.Prepare(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tables = map[string]console.SourceTable{}
	for _, s := range schemas {
		o.tables[s.Table.String()] = console.SourceTable{Name: s.Table.String()}
	}
	return schemas, err
}

// Run implements ingest.Source.
func (o *observed) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	o.mu.Lock()
	o.streams, o.position = true, resume.Position
	for t, l := range resume.Loads {
		o.loaded(t.String(), l)
	}
	for t, why := range resume.Parked {
		x := o.tables[t.String()]
		x.Name, x.Parked = t.String(), why
		o.tables[t.String()] = x
	}
	o.mu.Unlock()
	o.up()
	for _, t := range slices.SortedFunc(maps.Keys(resume.Parked), func(a, b ingest.TableName) int { return strings.Compare(a.String(), b.String()) }) {
		o.tell(t.String(), resume.Parked[t])
	}
	l := &listener{Emitter: out, observed: o, names: map[ingest.TableID]string{}}
	err := o.Source.Run(ctx, resume, l)
	o.mu.Lock()
	o.streams = false
	o.mu.Unlock()
	return err
}

// tell says that a table stands still, or that it no longer does.
func (o *observed) tell(table, reason string) {
	if o.stands != nil {
		o.stands(table, reason)
	}
}

// loaded notes how far a first load is. The lock is held.
func (o *observed) loaded(table string, l ingest.Load) {
	t := o.tables[table]
	t.Name, t.Loaded, t.Rows, t.Estimate = table, l.Done, l.Rows, l.Estimate
	o.tables[table] = t
}

// source fills in the status.
func (o *observed) source(s *console.SourceStatus) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Position, s.AsOf, s.Rows = string(o.position), o.asOf, o.rows
	loading := false
	for _, t := range o.tables {
		s.Tables = append(s.Tables, t)
		loading = loading || !t.Loaded && t.Parked == ""
	}
	slices.SortFunc(s.Tables, func(a, b console.SourceTable) int { return strings.Compare(a.Name, b.Name) })
	if o.streams && loading && s.State == console.Running {
		s.State = console.Loading
	}
}

func (*observed) pipeline(*console.PipelineStatus) {}

// listener passes everything on to the emitter and takes notes. It is used by the source's goroutine only.
type listener struct {
	ingest.Emitter
	observed *observed
	names    map[ingest.TableID]string
	filling  []filling // the builders handed out since the last call of another method
	rows     int64     // not yet in the status
	commit   time.Time
}

// filling is a builder that a source fills, and its rows when it got it.
type filling struct {
	b   *ingest.Builder
	had int
}

// settle counts the rows of the builders that were handed out: they hold whole rows at the next call of another method.
func (l *listener) settle() {
	for _, f := range l.filling {
		l.rows += int64(f.b.Rows() - f.had)
	}
	l.filling = l.filling[:0]
}

// Builder implements ingest.Emitter. A source may hold several builders at once and fill them in turn.
func (l *listener) Builder(id ingest.TableID, partition int) *ingest.Builder {
	b := l.Emitter.Builder(id, partition)
	for _, f := range l.filling {
		if f.b == b {
			return b
		}
	}
	l.filling = append(l.filling, filling{b, b.Rows()})
	return b
}

// Begin implements ingest.Emitter.
func (l *listener) Begin(ctx context.Context, commit time.Time) error {
	l.settle()
	l.commit = commit
	return l.Emitter.Begin(ctx, commit)
}

// Progress implements ingest.Emitter.
func (l *listener) Progress(ctx context.Context, pos ingest.Position) error {
	l.settle()
	return l.Emitter.Progress(ctx, pos)
}

// End implements ingest.Emitter.
func (l *listener) End(ctx context.Context, pos ingest.Position) error {
	l.settle()
	if err := l.Emitter.End(ctx, pos); err != nil {
		return err
	}
	l.observed.mu.Lock()
	defer l.observed.mu.Unlock()
	l.observed.position, l.observed.asOf = pos, l.commit
	l.observed.rows += l.rows
	l.rows = 0
	return nil
}

// Idle implements ingest.Emitter.
func (l *listener) Idle(ctx context.Context, t time.Time) error {
	l.settle()
	if err := l.Emitter.Idle(ctx, t); err != nil {
		return err
	}
	l.observed.mu.Lock()
	defer l.observed.mu.Unlock()
	l.observed.asOf = t // proved: nothing older is still to come
	return nil
}

// Complete implements ingest.Emitter.
func (l *listener) Complete(ctx context.Context, end time.Time) error {
	l.settle()
	if err := l.Emitter.Complete(ctx, end); err != nil {
		return err
	}
	l.observed.mu.Lock()
	defer l.observed.mu.Unlock()
	if end.After(l.observed.asOf) {
		l.observed.asOf = end // proved, as in Idle
	}
	return nil
}

// Settle implements ingest.Emitter.
func (l *listener) Settle(ctx context.Context, state json.RawMessage) error {
	l.settle()
	return l.Emitter.Settle(ctx, state)
}

// Table implements ingest.Emitter.
func (l *listener) Table(ctx context.Context, s *ingest.Schema) (ingest.TableID, error) {
	l.settle()
	id, err := l.Emitter.Table(ctx, s)
	if name := s.Table.String(); err == nil && l.names[id] != name {
		l.names[id] = name
		l.note(name, func(*console.SourceTable) {})
	}
	return id, err
}

// Load implements ingest.Emitter.
func (l *listener) Load(ctx context.Context, id ingest.TableID, chunk []*ingest.Builder, state ingest.Load) error {
	l.settle()
	if err := l.Emitter.Load(ctx, id, chunk, state); err != nil {
		return err
	}
	again := false
	l.note(l.names[id], func(t *console.SourceTable) {
		again = t.Parked != ""
		t.Loaded, t.Rows, t.Estimate, t.Parked = state.Done, state.Rows, state.Estimate, ""
	})
	if again {
		l.observed.tell(l.names[id], "")
	}
	return nil
}

// Reload implements ingest.Emitter.
func (l *listener) Reload(ctx context.Context, table ingest.TableName) error {
	l.settle()
	l.note(table.String(), func(t *console.SourceTable) { t.Loaded, t.Rows = false, 0 })
	return l.Emitter.Reload(ctx, table)
}

// Park implements ingest.Emitter.
func (l *listener) Park(ctx context.Context, table ingest.TableName, reason string) error {
	l.settle()
	news := false
	l.note(table.String(), func(t *console.SourceTable) { news, t.Parked = t.Parked != reason, reason })
	if err := l.Emitter.Park(ctx, table, reason); err != nil {
		return err
	}
	if news {
		l.observed.tell(table.String(), reason)
	}
	return nil
}

// Anew implements ingest.Emitter.
func (l *listener) Anew(ctx context.Context, table ingest.TableName, reason string) error {
	l.settle()
	l.note(table.String(), func(t *console.SourceTable) { t.Parked = reason })
	return l.Emitter.Anew(ctx, table, reason)
}

func (l *listener) note(table string, change func(*console.SourceTable)) {
	l.observed.mu.Lock()
	defer l.observed.mu.Unlock()
	t := l.observed.tables[table]
	t.Name = table
	change(&t)
	l.observed.tables[table] = t
}
