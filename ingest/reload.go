package ingest

import "context"

// Reload implements Emitter. It appends nothing, so it may come while what is durable is passed again: an owner that stops
// before it is through must not leave a checkpoint behind the cause without the load.
func (w *Writer) Reload(ctx context.Context, t TableName) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	w.loads[t.String()] = Load{}
	w.changed, w.due = true, true
	return w.settled(ctx)
}
