package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// flush gives the rows of the holders to the encoder, one batch each.
func (w *Writer) flush(ctx context.Context, why string, holders ...*holder) error {
	j := &batchJob{}
	for _, h := range holders {
		if h.b.Rows() > h.drop {
			j.batches = append(j.batches, w.batch(h))
		} else {
			h.b.Reset() // every row is durable already
		}
		h.seen, h.drop = 0, 0
	}
	w.dirty = slices.DeleteFunc(w.dirty, func(h *holder) bool { return h.seen == 0 })
	if len(j.batches) == 0 {
		return nil
	}
	w.changed = true
	w.trace(ctx, j, why)
	return w.enqueue(ctx, j)
}

// batch takes the rows out of h.
func (w *Writer) batch(h *holder) batch {
	p, rows := h.part, h.b.Rows()-h.drop
	b := batch{
		part: p, builder: h.b, from: h.drop, free: h.table.free,
		header: Header{
			Kind: BatchRecord, Epoch: w.epoch, Window: w.open.window.Start, WindowEnd: w.open.window.End, Slice: w.open.slice,
			Seq: p.seq + 1, Rows: int64(rows), Ordinal: h.ordinal + int64(h.drop), Fingerprint: h.table.fingerprint,
			Commit: h.commit, Position: h.position,
		},
	}
	if h.open {
		b.header.Flags, b.header.Commit, b.header.Position = FlagInside, w.commit, w.progress
	}
	p.seq += int64(rows) // invariant 3: given out here and in loadBatch only, in the order of the jobs
	p.rows += int64(rows)
	w.sliceBytes += int64(h.b.Size())
	w.m.count(h.table.topic.table, rows)
	select {
	case h.b = <-h.table.free:
	default:
		h.b = NewBuilder(h.table.schema)
	}
	return b
}

// loadBatch gives one partition of a chunk of a first load to the encoder.
func (w *Writer) loadBatch(ctx context.Context, t *table, partition int, b *Builder) error {
	p := t.topic.parts[partition]
	j := &batchJob{batches: []batch{{
		part: p, builder: b,
		header: Header{
			Kind: BatchRecord, Flags: FlagLoad, Epoch: w.epoch, Window: w.open.window.Start, WindowEnd: w.open.window.End, Slice: w.open.slice,
			Seq: p.seq + 1, Rows: int64(b.Rows()), Ordinal: w.ordinal, Fingerprint: b.Schema().Fingerprint(), Position: w.end,
		},
	}}}
	p.seq += int64(b.Rows())
	p.rows += int64(b.Rows())
	w.sliceBytes += int64(b.Size())
	w.sliceRows += int64(b.Rows())
	w.m.count(t.topic.table, b.Rows())
	w.trace(ctx, j, "load")
	return w.enqueue(ctx, j)
}

// trace begins the span of a flush; the encoder ends it.
func (w *Writer) trace(ctx context.Context, j *batchJob, why string) {
	first := &j.batches[0].header
	j.ctx, j.span = w.cfg.Tracer.Start(ctx, telemetry.SpanAppend, trace.WithNewRoot(), trace.WithAttributes(
		attribute.String(telemetry.KeySource, w.cfg.Source),
		attribute.String(telemetry.KeyWindow, first.Window.Format("2006-01-02T15:04:05Z")),
		attribute.Int(telemetry.KeySlice, int(first.Slice)),
		attribute.String(telemetry.KeyReason, why),
		attribute.Int(telemetry.KeyParts, len(j.batches)),
	))
}

// holding lists the holders of a topic that have rows, of every schema it has had.
func (w *Writer) holding(t *topic) []*holder {
	var out []*holder
	for _, h := range w.dirty {
		if h.table.topic == t {
			out = append(out, h)
		}
	}
	return out
}

// seal writes a decision into the log: first the rows of the slice, then the seal to every partition of every topic
// (invariant 4). The jobs keep their order.
func (w *Writer) seal(ctx context.Context, x sealing) error {
	if err := w.flush(ctx, "seal", w.dirty...); err != nil {
		return err
	}
	common := Seal{Registry: w.reg.current.Version, Late: x.late, MaxLateness: x.maxLate, SealedAt: w.cfg.Now().UTC(), AsOf: w.asOf, Proof: x.proof}
	j := &sealJob{}
	for _, t := range w.reg.current.Tables {
		payload := w.sealPayload(common, t.Schema.Table)
		for _, p := range w.topics[t.Schema.Table].parts {
			if err := j.add(p, w.sealHeader(p, x.window, x.slice, x.final, w.ordinal, w.end), payload); err != nil {
				return err
			}
			p.rows = 0
		}
	}
	w.open, w.first = x.next(), false
	w.sliceBytes, w.sliceRows, w.changed, w.due = 0, 0, true, true
	return w.enqueue(ctx, j)
}

func (w *Writer) sealHeader(p *part, win grid.Window, slice int32, final bool, ordinal int64, pos Position) Header {
	h := Header{Kind: SealRecord, Epoch: w.epoch, Window: win.Start, WindowEnd: win.End, Slice: slice, Seq: p.seq, Rows: p.rows, Ordinal: ordinal, Position: pos}
	if final {
		h.Flags = FlagFinal
	}
	return h
}

// sealPayload adds what a seal says of one table.
func (w *Writer) sealPayload(s Seal, t TableName) Seal {
	s.Loads, s.Parked = w.loadCounts[t.String()], cmp.Or(w.parked[t.String()], w.missing[t.String()])
	return s
}

// add puts a seal for one partition into the job.
func (j *sealJob) add(p *part, h Header, payload Seal) error {
	if n := len(j.seals); n > 0 && j.seals[n-1].seal == payload {
		j.seals = append(j.seals, sealRecord{p, h, payload, j.seals[n-1].json})
		return nil
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encoding seal: %w", err)
	}
	j.seals = append(j.seals, sealRecord{p, h, payload, text})
	return nil
}
