package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// recover brings the local state to the fence (rule 27, invariants 4 and 6).
func (k *keeper) recover(ctx, work context.Context) error {
	l, err := k.local(ctx)
	if err != nil {
		return err
	}
	what := recoverFrom(l, k.fence)
	var pending *Publication
	if l != nil && (what == publishOnce || what == settle) {
		pending = l.pending
	}
	if err := k.cfg.clear(pending); err != nil {
		return err
	}
	if k.snaps, err = k.snapshots(ctx); err != nil {
		return err
	}
	switch what {
	case publishOnce:
		k.board.phase("publishing")
		pending.Epoch = k.fence.Epoch // prepared by an earlier owner: the same machine, an earlier run
		err := k.publish(ctx, work, pending)
		if isRefused(err) {
			// What the warehouse refuses may have been mended since, in a view or in the configuration: the step is prepared anew
			// from the fence. Nothing of it is committed.
			return k.startOver(ctx)
		}
		if err != nil {
			return err
		}
		fallthrough
	case settle:
		if err := errors.Join(k.settled(ctx, pending), k.discard(pending)); err != nil {
			return err
		}
	case restore:
		l = nil
	}
	k.fence.Cut = k.fence.Cut.clone() // it may come to hold more
	return k.reach(ctx, l, what)
}

// startOver gives the pending step up and makes the state be the fence's without it.
func (k *keeper) startOver(ctx context.Context) error {
	if err := k.cfg.clear(nil); err != nil {
		return err
	}
	k.fence.Cut = k.fence.Cut.clone()
	return k.reach(ctx, nil, restore)
}

// local reads what the state says about itself; nil when it says nothing that can be understood.
func (k *keeper) local(ctx context.Context) (*local, error) {
	b, err := k.state.meta(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading where the state stands: %w", err)
	}
	var m saved
	if len(b) == 0 || json.Unmarshal(b, &m) != nil {
		return nil, nil
	}
	return &local{lineage: m.Lineage, step: m.Step, cut: m.Cut, pending: m.Pending}, nil
}

// reach makes the state be the fence's: by restoring a snapshot where it is lost, by replaying, by priming inputs that a
// view added since needs. A pipeline without views has no images, so there is nothing to do but to note the fence.
func (k *keeper) reach(ctx context.Context, l *local, what recovery) error {
	if k.fence.Step.Start.IsZero() {
		if l != nil && what != restore {
			return nil
		}
		return k.fresh(ctx, saved{Lineage: k.fence.Lineage})
	}
	if _, err := k.readRegistry(ctx); err != nil {
		return err
	}
	plan, err := k.planFor(ctx, k.fence.Cut)
	if err != nil {
		return err
	}
	if !plan.stateful() {
		if what == restore || what == catchUp {
			return k.fresh(ctx, saved{Lineage: k.fence.Lineage, Step: k.fence.Step, Cut: k.fence.Cut})
		}
		return nil
	}
	k.board.phase("restoring")
	ctx, span := k.cfg.Tracer.Start(ctx, telemetry.SpanRestore, trace.WithNewRoot())
	err = k.rebuild(ctx, l, what)
	if err == nil {
		err = k.prime(ctx, plan)
	}
	end(span, err)
	return err
}

// fresh empties the state and notes where it stands.
func (k *keeper) fresh(ctx context.Context, m saved) error {
	if err := k.state.reset(ctx); err != nil {
		return fmt.Errorf("emptying the state: %w", err)
	}
	return k.mark(ctx, m)
}

// rebuild restores and replays images until they are the fence's.
func (k *keeper) rebuild(ctx context.Context, l *local, what recovery) error {
	at := saved{Lineage: k.fence.Lineage}
	switch what {
	case restore:
		snap, err := k.restoreNewest(ctx)
		if err != nil {
			return err
		}
		if snap != nil {
			at.Step, at.Cut = snap.Step, snap.Cut
		}
	case catchUp:
		at.Step, at.Cut = l.step, l.cut
	default:
		return nil
	}
	if at.Step.same(k.fence.Step) {
		return nil
	}
	can, err := k.replayable(ctx, at.Cut)
	if err != nil {
		return err
	}
	if !can { // what the state needs then comes from the replicas, or from a new base
		return k.fresh(ctx, saved{Lineage: k.fence.Lineage, Step: k.fence.Step, Cut: k.fence.Cut})
	}
	return k.replay(ctx, at)
}

// restoreNewest loads the newest readable snapshot that is not past the fence. Without one the state is emptied.
func (k *keeper) restoreNewest(ctx context.Context) (*snapshot, error) {
	for i := range k.snaps {
		snap := &k.snaps[i]
		if k.fence.Step.before(snap.Step) {
			continue
		}
		dir, err := k.load(ctx, *snap)
		if err == nil {
			err = errors.Join(k.state.restore(ctx, dir), os.RemoveAll(dir))
		}
		if err == nil {
			return snap, k.mark(ctx, saved{Lineage: k.fence.Lineage, Step: snap.Step, Cut: snap.Cut})
		}
		if ctx.Err() != nil {
			return nil, err
		}
		k.board.set(func(s *Status) { s.Error = err.Error() }) // an older one will do
	}
	return nil, k.fresh(ctx, saved{Lineage: k.fence.Lineage})
}

// replay applies the steps after at up to the fence's without publishing. Only the topics that the fence knows take part:
// what the configuration has added since begins behind the fence.
func (k *keeper) replay(ctx context.Context, at saved) error {
	known := map[string]bool{}
	for _, c := range k.fence.Cut {
		for topic := range c.Topics {
			known[topic] = true
		}
	}
	wants := func(source string, t ingest.TableName) bool {
		return k.cfg.Wants(source, t) && known[ingest.Topic(source, t)]
	}
	o := newOrder(Fence{Step: at.Step, Cut: at.Cut}, k.cfg.Sources, wants)
	o.until = k.fence.Cut
	s, err := k.session(ctx, o)
	if err != nil {
		return err
	}
	defer s.stop()
	s.order.forget()
	err = s.both(ctx, func(ctx context.Context) error {
		for !s.order.prev.same(k.fence.Step) {
			st, err := s.await(ctx)
			if err != nil {
				return err
			}
			if k.fence.Step.before(st.step) {
				return k.lostTrack(fmt.Errorf("step %s follows %s", st.step, s.order.prev))
			}
			if err := s.reapply(ctx, st); err != nil {
				return fmt.Errorf("replaying %s: %w", st.step, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if topic, same := s.order.at(k.fence.Cut); !same {
		return k.lostTrack(fmt.Errorf("topic %s ends elsewhere", topic))
	}
	return k.mark(ctx, saved{Lineage: k.fence.Lineage, Step: k.fence.Step, Cut: k.fence.Cut})
}

// lostTrack says that the log does not lead to what the fence shows.
func (k *keeper) lostTrack(err error) error {
	return &RefusedError{
		What: fmt.Sprintf("replaying the log does not lead to the step %s that the warehouse shows", k.fence.Step),
		Hint: "run: " + ingest.ResyncCommand(k.cfg.Name),
		Err:  err,
	}
}

// reapply applies a step that is in the warehouse already.
func (s *session) reapply(ctx context.Context, st *plannedStep) error {
	taken := s.claim(st)
	if !st.publish {
		return s.finish(st, taken)
	}
	plan, err := s.planFor(ctx, st.cut)
	if err != nil {
		return err
	}
	w, _ := s.work(st, plan, taken)
	w.replicas = nil
	for i := range w.views {
		w.views[i].past = w.views[i].mode != stands
		w.views[i].mode = stands
	}
	_, err = s.state.prepare(ctx, w, s.cfg.dir(workFolder), func([]preparedTable) ([]byte, error) {
		return json.Marshal(saved{Lineage: s.fence.Lineage, Step: st.step, Cut: st.cut})
	})
	if err != nil {
		return halting(err)
	}
	return s.finish(st, taken)
}

// at reports whether the order stands at a cut: every topic that is wanted and live there ends at the same row here. A topic
// that is held there gets a new base anyway.
func (o *order) at(cut Cut) (topic string, same bool) {
	for _, s := range o.sources {
		want, have := cut[s.name], o.cut[s.name]
		for topic, parts := range want.Topics {
			if _, held := want.Held[topic]; held || s.prints[topic] == nil {
				continue
			}
			if _, held := have.Held[topic]; held || !slices.EqualFunc(parts, have.Topics[topic], func(a, b PartCut) bool { return a.Seq == b.Seq }) {
				return topic, false
			}
		}
	}
	return "", true
}

// prime fills inputs that a view needs and the state does not have from their replicas in the warehouse. They stand at the
// fence, as the state does. Inputs that are held get their images with their base. So does one that no replica holds, when
// the log still has all of it.
func (k *keeper) prime(ctx context.Context, plan *Plan) error {
	have, err := k.state.topics(ctx)
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	log, err := k.stock(ctx, k.wanted(k.fence.Cut)...)
	if err != nil {
		return err
	}
	if err := k.readQuarantine(ctx); err != nil {
		return err
	}
	stored, sources := map[string]bool{}, k.sourceOf()
	for _, t := range have {
		stored[t] = true
	}
	for topic, schema := range plan.stateTopics() {
		c := k.fence.Cut[sources[topic]]
		_, held := c.Held[topic]
		if stored[topic] || held || c.Topics[topic] == nil {
			continue
		}
		replicas := plan.replicas()[topic]
		reader, can := k.cfg.Sink.(TableReader)
		if !can || len(replicas) == 0 || c.Outputs[replicas[0].String()] == "" || len(k.quarantine[replicas[0]]) > 0 { // rows are missing in it
			t, _ := k.newest(sources[topic], topic)
			if log.holds(topic, begin(t)) {
				c.holdAnew(t)
				continue
			}
			return &RefusedError{
				What: fmt.Sprintf("a view needs the table %s of source %s, whose rows so far neither the state nor a replica in the warehouse nor the log holds", schema.Table, sources[topic]),
				Hint: "run: " + ingest.ResyncCommand(k.cfg.Name),
			}
		}
		err := k.state.prime(ctx, topic, schema, func(fn func(arrow.RecordBatch) error) error {
			return reader.ReadTable(ctx, replicas[0], schema.Columns, fn)
		})
		if err != nil {
			return fmt.Errorf("filling the state of %s from %s: %w", schema.Table, replicas[0], err)
		}
	}
	return nil
}
