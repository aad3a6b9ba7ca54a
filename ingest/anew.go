package ingest

import (
	"context"
	"slices"
)

// loadAnew begins a new generation of tables (invariant 8): the next owner finds them neither parked nor loaded.
//
// The open slice is sealed first, under the registry version it began with, so that the generation begins with a slice: a
// reader keeps or drops a slice whole. A crash before the checkpoint leaves a version that no seal names, and the request to
// be carried out again.
func (w *Writer) loadAnew(ctx context.Context, asked map[string]Request) error {
	w.broken = true // until all of it is done
	if !w.sliceEmpty() {
		if err := w.seal(ctx, w.s.cut()); err != nil {
			return err
		}
	}
	err := w.beginGeneration(ctx, 0, func(t *RegistryTable) bool {
		name := t.Schema.Table.String()
		return asked[name].ID != "" || w.exchanged[name]
	})
	if err != nil {
		return err
	}
	for table, r := range asked {
		w.done[table] = r.ID
		w.forget(table)
	}
	for table := range w.exchanged {
		w.forget(table)
	}
	return w.settleDecision(ctx)
}

// forget takes a table for one that is neither parked nor loaded.
func (w *Writer) forget(table string) {
	delete(w.loads, table)
	delete(w.loadCounts, table)
	delete(w.parked, table)
	delete(w.exchanged, table)
}

// beginGeneration writes the registry version in which the generations of some tables begin with the open slice.
func (w *Writer) beginGeneration(ctx context.Context, histories int, anew func(*RegistryTable) bool) error {
	if err := w.durable(ctx); err != nil {
		return err
	}
	if err := w.stillOwner(ctx); err != nil { // or the places below may be those of void records
		return err
	}
	want := w.reg.current
	want.History += histories
	want.Tables = slices.Clone(want.Tables)
	for i := range want.Tables {
		t := &want.Tables[i]
		if !anew(t) {
			continue
		}
		b := &Base{Generation: t.Generation() + 1, Window: w.open.window.Start, WindowEnd: w.open.window.End, Slice: w.open.slice}
		for _, p := range w.topics[t.Schema.Table].parts {
			b.Parts = append(b.Parts, PartMark{Offset: p.last.next.Load(), Seq: p.seq, Epoch: w.epoch})
		}
		t.Base = b
	}
	want = w.reg.number(want, w.epoch)
	if err := w.writeVersion(ctx, want); err != nil {
		return err
	}
	w.reg.set(want)
	return nil
}

// sliceEmpty reports whether the open slice has no row in any partition. Not while replaying.
func (w *Writer) sliceEmpty() bool {
	return w.sliceRows == 0 && !slices.ContainsFunc(w.parts, func(p *part) bool { return p.rows > 0 })
}

// settleDecision makes what was decided count: every later owner goes by it.
func (w *Writer) settleDecision(ctx context.Context) error {
	if err := w.checkpointNow(ctx); err != nil {
		return err
	}
	w.broken = false
	return w.stillOwner(ctx)
}

// brokenOff is why tables stand still in the slices that the end of a history has torn.
const brokenOff = "the source begins anew: what its last owner wrote is not complete"

// beginAnew starts a source over at pos: its log before that is lost, or of another server. What is durable behind the
// checkpoint may hold parts of groups, and nobody can tell the rest. So the slices that are not sealed everywhere are sealed
// with their tables parked, which makes readers drop them, and all tables begin a generation behind them.
func (w *Writer) beginAnew(ctx context.Context, pos Position) error {
	w.broken = true // until all of it is done: what is torn must not be covered by a checkpoint
	torn := w.replay.running() || w.beyond
	for _, p := range w.parts {
		w.ordinal += p.skip
		p.skip, p.emitted, p.ends = 0, 0, nil
	}
	if torn {
		for _, t := range w.reg.topics() {
			w.parked[t.Schema.Table.String()] = brokenOff
		}
	}
	for i := range w.replay.seals {
		if err := w.breakOff(ctx, &w.replay.seals[i]); err != nil {
			return err
		}
	}
	w.replay = replay{}
	if torn {
		// There may be rows of tables that only a later version has. What was sealed without them is durable first, as when
		// a table is registered.
		if err := w.durable(ctx); err != nil {
			return err
		}
		w.reg.set(w.reg.newest())
	}
	if torn || !w.sliceEmpty() {
		if err := w.seal(ctx, w.s.cut()); err != nil {
			return err
		}
	}
	if err := w.beginGeneration(ctx, 1, func(*RegistryTable) bool { return true }); err != nil {
		return err
	}
	clear(w.loads)
	clear(w.loadCounts)
	clear(w.parked)
	clear(w.exchanged)
	w.missTables()
	if err := w.forgo(ctx); err != nil {
		return err
	}
	w.end, w.progress, w.state, w.anew, w.changed = pos, pos, nil, false, true
	return w.settleDecision(ctx)
}

// breakOff completes a seal that lies in some partitions only.
func (w *Writer) breakOff(ctx context.Context, d *durableSeal) error {
	if !d.window.Start.Equal(w.s.open.Start) || d.slice != w.s.slice {
		return integrity("%s.%d is sealed in the log, the checkpoint has %s.%d open", d.window, d.slice, w.s.open, w.s.slice)
	}
	reg, ok := w.reg.known[d.seal.Registry]
	if !ok {
		return integrity("the seal of %s.%d names registry version %d, which is not in topic %s", d.window, d.slice, d.seal.Registry, RegistryTopic)
	}
	w.ordinal = max(w.ordinal, d.ordinal)
	j := &sealJob{}
	for _, t := range reg.Tables {
		for _, p := range w.topics[t.Schema.Table].parts {
			if _, has := d.has[p]; has {
				continue
			}
			if err := j.add(p, w.sealHeader(p, d.window, d.slice, d.final, d.ordinal, d.position), w.sealPayload(d.seal, t.Schema.Table)); err != nil {
				return err
			}
			p.rows = 0
		}
	}
	w.reg.set(reg)
	w.open = w.s.seal(d.final, "").next()
	w.end = d.position
	return w.enqueue(ctx, j)
}

// missTables notes the tables that are to be loaded anew and that the source does not find: nobody would ever load them,
// and who reads them would wait. Their seals say that they are parked, until the source declares them after all.
func (w *Writer) missTables() {
	for i := range w.reg.current.Tables {
		t := &w.reg.current.Tables[i]
		name := t.Schema.Table.String()
		if _, begun := w.loads[name]; t.Base != nil && !begun && !w.captured[t.Schema.Table] {
			w.missing[name] = "the source does not find it, or cannot read it; when that is mended, run: " + ResyncCommand(w.cfg.Source+"."+name)
		}
	}
}

func (b *Base) same(o *Base) bool {
	if b == nil || o == nil {
		return b == o
	}
	return b.Generation == o.Generation && b.Window.Equal(o.Window) && b.WindowEnd.Equal(o.WindowEnd) && b.Slice == o.Slice && slices.Equal(b.Parts, o.Parts)
}
