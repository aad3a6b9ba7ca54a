package ingest

import "context"

// Load implements Emitter.
func (w *Writer) Load(ctx context.Context, id TableID, chunk []*Builder, state Load) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	if w.replay.running() {
		// A chunk is as of a point that the stream has passed, and that point is younger than anything in the log: it
		// was read after this owner took over. A chunk that comes earlier would overwrite younger rows with older ones.
		return w.otherHistory("a chunk of the first load of %s came before the stream reached what the log holds", w.tables[id].schema.Table)
	}
	t := w.tables[id]
	if w.safe != w.reg.current.Version {
		// Nothing regenerates these rows: a later owner must know of their topic before it decides about a seal.
		if err := w.settleDecision(ctx); err != nil {
			return err
		}
		w.safe = w.reg.current.Version
	}
	if err := w.flush(ctx, "load", w.holding(t.topic)...); err != nil {
		return err
	}
	for p, b := range chunk {
		if b != nil && b.Rows() > 0 {
			if err := w.loadBatch(ctx, t, p, b); err != nil {
				return err
			}
		}
	}
	if err := w.encoded(ctx); err != nil { // the builders are the source's again
		return err
	}
	name := t.schema.Table.String()
	w.loads[name] = state
	w.changed, w.due = true, true
	if state.Done {
		// A seal must not say that the load is complete before a checkpoint says so that every later owner goes by: it
		// would load the rest again, after that seal.
		w.loadCounts[name]++
		if err := w.checkpointNow(ctx); err != nil {
			return err
		}
		if err := w.stillOwner(ctx); err != nil {
			return err
		}
	}
	return w.settled(ctx)
}
