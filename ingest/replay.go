package ingest

import (
	"context"
)

// replay is what lies in the log behind the checkpoint and has not been passed yet (invariant 1).
type replay struct {
	behind int           // partitions with rows to skip
	seals  []durableSeal // in order
	checks []Position    // ends of durable batches in the open group
}

// running says that something durable is still ahead: no new seal may be decided.
func (r *replay) running() bool { return r.behind > 0 || len(r.seals) > 0 }

// closed checks at the end of a group that durable batches which ended in it say the same of where they ended. Otherwise the
// server has another history than the one that was read before.
func (w *Writer) closed(pos Position) error {
	r := &w.replay
	for _, p := range r.checks {
		if p != pos {
			return w.otherHistory("a batch in the log ends at %s, the same row now ends a group at %s", p, pos)
		}
	}
	r.checks = r.checks[:0]
	return nil
}

// skipRows takes rows that were just appended to h off what is to be skipped. Durable rows of a partition come first, so
// the rows to drop are always the first ones of the builder.
func (w *Writer) skipRows(h *holder, n int64) {
	p := h.part
	k := min(n, p.skip)
	h.drop += int(k)
	p.skip -= k
	if p.skip == 0 {
		w.replay.behind--
	}
	for passed := p.emitted + k; len(p.ends) > 0 && p.ends[0].rows <= passed; p.ends = p.ends[1:] {
		w.replay.checks = append(w.replay.checks, p.ends[0].position)
	}
}

// passSeals applies durable seals again whose ordinal is reached. Several may share one ordinal.
func (w *Writer) passSeals(ctx context.Context) error {
	for len(w.replay.seals) > 0 {
		d := &w.replay.seals[0]
		switch {
		case d.ordinal > w.ordinal:
			return nil
		case d.ordinal < w.ordinal:
			return w.otherHistory("%s was sealed after row %d, which now lies inside a group", d.window, d.ordinal)
		}
		if err := w.reseal(ctx, d); err != nil {
			return err
		}
		w.replay.seals = w.replay.seals[1:]
	}
	return nil
}

// reseal applies a durable seal again: it goes to the partitions that lack it, with their own counts.
func (w *Writer) reseal(ctx context.Context, d *durableSeal) error {
	if !d.window.Start.Equal(w.s.open.Start) || !d.window.End.Equal(w.s.open.End) || d.slice != w.s.slice {
		return integrity("%s.%d is sealed in the log, the checkpoint has %s.%d open", d.window, d.slice, w.s.open, w.s.slice)
	}
	reg, ok := w.reg.known[d.seal.Registry]
	if !ok {
		return integrity("the seal of %s.%d names registry version %d, which is not in topic %s", d.window, d.slice, d.seal.Registry, RegistryTopic)
	}
	if err := w.flush(ctx, "seal", w.dirty...); err != nil {
		return err
	}
	j := &sealJob{}
	for _, t := range reg.Tables {
		for _, p := range w.topics[t.Schema.Table].parts {
			switch before, has := d.has[p]; {
			case has && before != p.emitted:
				return w.otherHistory("%s holds %d rows of partition %d of topic %s before the seal of %s.%d, now there are %d", "the log", before, p.n, p.topic, d.window, d.slice, p.emitted)
			case has:
				continue
			case p.skip > 0:
				return integrity("partition %d of topic %s holds rows behind the seal of %s.%d, but not the seal", p.n, p.topic, d.window, d.slice)
			}
			seal, ok := d.topics[p.topic]
			if !ok {
				seal = w.sealPayload(d.seal, t.Schema.Table)
			}
			if err := j.add(p, w.sealHeader(p, d.window, d.slice, d.final, d.ordinal, d.position), seal); err != nil {
				return err
			}
			p.rows = 0
		}
	}
	w.reg.set(reg)
	w.open = w.s.seal(d.final, "").next()
	w.sliceBytes, w.sliceRows, w.changed, w.due = 0, 0, true, true
	return w.enqueue(ctx, j)
}
