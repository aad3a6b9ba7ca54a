package ingest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Window implements Emitter.
func (w *Writer) Window() grid.Window { return w.s.open }

// Complete implements Emitter.
func (w *Writer) Complete(ctx context.Context, end time.Time) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	if err := w.anchor(ctx, end); err != nil {
		return err
	}
	if !w.replay.running() {
		for _, x := range w.s.complete(end) { // rule 7c (invariant 7)
			if err := w.seal(ctx, x); err != nil {
				return err
			}
		}
	}
	return w.housekeep(ctx)
}

// Settle implements Emitter (invariant 10).
func (w *Writer) Settle(ctx context.Context, state json.RawMessage) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	if w.replay.running() {
		return w.otherHistory("the log holds rows behind what the source had decided on")
	}
	w.state = state
	if err := w.checkpointNow(ctx); err != nil {
		return err
	}
	return w.stillOwner(ctx) // or the next owner may have read the checkpoint before, and would decide otherwise
}
