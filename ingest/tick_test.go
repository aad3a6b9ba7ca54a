package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// scripted is a source whose run is a function.
type scripted struct {
	tables []Schema
	run    func(ctx context.Context, w *Writer) error
}

func (s *scripted) Prepare(context.Context) ([]Schema, error) { return s.tables, nil }

func (s *scripted) Run(ctx context.Context, _ Resume, out Emitter) error {
	return s.run(ctx, out.(*Writer))
}

// A tick inside a group flushes nothing and marks no checkpoint, however much is due (invariant 5): a checkpoint there would
// count rows of the group that a later owner reads again from its start. The tick after the group does both.
func TestTickWaitsForTheGroupsEnd(t *testing.T) {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	var now atomic.Int64
	now.Store(start.UnixMicro())
	cfg := simConfig(rand.New(rand.NewPCG(1, 1)), &now, time.Minute)
	cfg.FlushEvery, cfg.CheckpointEvery, cfg.FlushBytes, cfg.SliceBytes = time.Second, time.Second, 1<<20, 1<<30
	schema := simSchema("a", 0)
	e := newSimLog().env(nil, false)
	src := &scripted{tables: []Schema{*schema}, run: func(ctx context.Context, w *Writer) error {
		if err := w.Tick(ctx); err == nil {
			t.Error("a tick before Start is no error")
		}
		if err := w.Start(ctx, "0"); err != nil {
			return err
		}
		id, err := w.Table(ctx, schema)
		if err != nil {
			return err
		}
		if err := w.Begin(ctx, start); err != nil {
			return err
		}
		b := w.Builder(id, 0)
		b.Cols[0].Int64(1)
		b.End(Upsert)
		if err := w.Progress(ctx, "0+1"); err != nil {
			return err
		}
		marks := w.number
		w.due = true // as a request or a load before the group leaves it
		now.Add(time.Minute.Microseconds())
		if err := w.Tick(ctx); err != nil {
			return err
		}
		if w.number != marks || len(w.dirty) != 1 {
			t.Errorf("inside the group: %d checkpoints marked, rows of %d builders wait", w.number-marks, len(w.dirty))
		}
		w.due = false
		if err := errors.Join(w.End(ctx, "1"), w.Tick(ctx)); err != nil {
			return err
		}
		if w.number != marks+1 || len(w.dirty) != 0 {
			t.Errorf("after the group: %d checkpoints marked, rows of %d builders wait", w.number-marks, len(w.dirty))
		}
		return nil
	}}
	if err := stream(t.Context(), cfg, e, src); err != nil {
		t.Fatal(err)
	}
}
