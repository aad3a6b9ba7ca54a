package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/grid"
)

// emitter is an ingest.Emitter that keeps rows in one builder.
type emitter struct {
	b, b1 *ingest.Builder // of partitions 0 and 1
	fail  error
}

func (e *emitter) Window() grid.Window                           { return grid.Window{} }
func (e *emitter) Complete(context.Context, time.Time) error     { return e.fail }
func (e *emitter) Settle(context.Context, json.RawMessage) error { return e.fail }

func (e *emitter) Start(context.Context, ingest.Position) error { return e.fail }
func (e *emitter) Begin(context.Context, time.Time) error       { return e.fail }
func (e *emitter) Table(_ context.Context, s *ingest.Schema) (ingest.TableID, error) {
	return 7, e.fail
}
func (e *emitter) Builder(_ ingest.TableID, p int) *ingest.Builder {
	if p == 1 {
		return e.b1
	}
	return e.b
}
func (e *emitter) Partitions(ingest.TableID) int { return 2 }
func (e *emitter) Progress(context.Context, ingest.Position) error {
	e.b.Reset()
	e.b1.Reset()
	return e.fail
}
func (e *emitter) End(context.Context, ingest.Position) error           { return e.fail }
func (e *emitter) Idle(context.Context, time.Time) error                { return e.fail }
func (e *emitter) Tick(context.Context) error                           { return e.fail }
func (e *emitter) Reload(context.Context, ingest.TableName) error       { return e.fail }
func (e *emitter) Park(context.Context, ingest.TableName, string) error { return e.fail }
func (e *emitter) Anew(context.Context, ingest.TableName, string) error { return e.fail }
func (e *emitter) Load(context.Context, ingest.TableID, []*ingest.Builder, ingest.Load) error {
	return e.fail
}

var patients = ingest.Schema{
	Table:   ingest.TableName{Schema: "clinic", Name: "patients"},
	Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}},
	Key:     []string{"id"},
}

// script is a source that does what its function does.
type script struct {
	run func(ctx context.Context, out ingest.Emitter) error
}

func (s script) Prepare(context.Context) ([]ingest.Schema, error) {
	return []ingest.Schema{patients}, nil
}
func (s script) Run(ctx context.Context, _ ingest.Resume, out ingest.Emitter) error {
	return s.run(ctx, out)
}

// The status of a source is what went through its emitter.
func TestObservedSource(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	e := &emitter{b: ingest.NewBuilder(&patients), b1: ingest.NewBuilder(&patients)}
	ups := 0
	var said []string
	o := &observed{up: func() { ups++ }, stands: func(table, reason string) { said = append(said, table+": "+reason) }}
	status := func() (s console.SourceStatus) {
		s.State = console.Running
		o.source(&s)
		return s
	}
	o.Source = script{func(ctx context.Context, out ingest.Emitter) error {
		if s := status(); s.State != console.Loading || s.Position != "p0" || len(s.Tables) != 2 {
			t.Errorf("at the start: %+v", s)
		}
		id, err := out.Table(ctx, &patients)
		check(t, err)
		check(t, out.Begin(ctx, at))
		for range 2 { // a builder is flushed in the middle of a group and rows of both parts count
			b := [2]*ingest.Builder{out.Builder(id, 0), out.Builder(id, 1)} // both are held and filled in turn
			for i := range int64(3) {
				b[i%2].Cols[0].Int64(i)
				b[i%2].End(ingest.Upsert)
				b[0] = out.Builder(id, 0)
			}
			check(t, out.Progress(ctx, "p0+3"))
		}
		if s := status(); s.Rows != 0 {
			t.Errorf("rows of an open group are shown: %+v", s)
		}
		check(t, out.End(ctx, "p1"))
		if s := status(); s.Rows != 6 || s.Position != "p1" || !s.AsOf.Equal(at) {
			t.Errorf("after the group: %+v", s)
		}
		check(t, out.Load(ctx, id, nil, ingest.Load{Rows: 10, Estimate: 100}))
		if s := status(); s.State != console.Loading || s.Tables[1].Rows != 10 || s.Tables[1].Estimate != 100 {
			t.Errorf("in the load: %+v", s)
		}
		check(t, out.Load(ctx, id, nil, ingest.Load{Rows: 90, Done: true}))
		check(t, out.Idle(ctx, at.Add(time.Second)))
		if s := status(); s.State != console.Running || !s.Tables[1].Loaded || !s.AsOf.Equal(at.Add(time.Second)) {
			t.Errorf("after the load: %+v", s)
		}
		for _, end := range []time.Time{at.Add(2 * time.Second), at} { // what is proved is not taken back
			check(t, out.Complete(ctx, end))
			if s := status(); !s.AsOf.Equal(at.Add(2 * time.Second)) {
				t.Errorf("after a complete window: %+v", s)
			}
		}
		check(t, out.Reload(ctx, patients.Table))
		if s := status(); s.State != console.Loading || s.Tables[1].Loaded || s.Tables[1].Rows != 0 {
			t.Errorf("while it is loaded again: %+v", s)
		}
		check(t, out.Load(ctx, id, nil, ingest.Load{Rows: 90, Done: true}))
		check(t, out.Park(ctx, patients.Table, "no primary key"))
		if s := status(); s.Tables[1].Parked != "no primary key" {
			t.Errorf("parked: %+v", s)
		}
		check(t, out.Park(ctx, patients.Table, "no primary key"))
		check(t, out.Load(ctx, id, nil, ingest.Load{Rows: 90, Done: true}))
		e.fail = errors.New("the log is gone")
		if err := out.End(ctx, "p2"); !errors.Is(err, e.fail) || status().Position != "p1" {
			t.Errorf("what the log did not take is shown: %v, %+v", err, status())
		}
		return e.fail
	}}
	if _, err := o.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.Run(t.Context(), ingest.Resume{Position: "p0", Parked: map[ingest.TableName]string{{Schema: "clinic", Name: "old"}: "truncated"}}, e); !errors.Is(err, e.fail) || ups != 1 {
		t.Errorf("Run: %v, up %d times", err, ups)
	}
	// At the start, once when it happens, and when it is over.
	if want := []string{"clinic.old: truncated", "clinic.patients: no primary key", "clinic.patients: "}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
