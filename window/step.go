package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// saved is what the state file remembers beside the images.
type saved struct {
	Lineage string       `json:"lineage"`
	Step    Step         `json:"step"`
	Cut     Cut          `json:"cut"`
	Pending *Publication `json:"pending,omitempty"`
}

// step does one step: nothing before the base, else prepare and publish. It returns when the step is in the warehouse.
func (s *session) step(ctx, work context.Context, st *plannedStep) error {
	if !st.publish {
		return s.finish(st, s.claim(st))
	}
	ready := time.Now()
	since := s.since(st)
	taken := s.claim(st)
	all := slices.Concat(slices.Collect(maps.Values(taken))...)
	ctx, span := s.begin(ctx, st, since, all)
	work = trace.ContextWithSpan(work, span)
	p, err := s.prepareAndPublish(ctx, work, st, taken, stage{telemetry.SpanAccumulate, since, ready.Sub(since)})
	if err == nil {
		s.visible(ctx, p, time.Now())
		failpoint.Hit(failpoint.BeforeGC)
		err = s.discard(p)
	}
	if err == nil {
		err = s.snapshotDue(ctx, st)
	}
	if err == nil {
		err = s.state.maintain(work)
	}
	end(span, err)
	return err
}

func (s *session) prepareAndPublish(ctx, work context.Context, st *plannedStep, taken map[string][]*bucket, accumulate stage) (*Publication, error) {
	s.stage(ctx, accumulate)
	s.board.set(func(b *Status) { b.Phase, b.Missing = "preparing", nil })
	p, err := s.prepare(ctx, st, taken, accumulate.d)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", st.step, err)
	}
	failpoint.Hit(failpoint.AfterLocalCommit)
	if err := s.finish(st, taken); err != nil { // memory is free while the warehouse works
		return nil, err
	}
	s.board.phase("publishing")
	if err := s.publish(ctx, work, p); err != nil {
		return nil, err
	}
	s.setQuarantine(s.prepared)
	return p, s.settled(work, p)
}

// settled moves the fence that this run knows and clears the pending step of the state.
func (k *keeper) settled(ctx context.Context, p *Publication) error {
	k.fence.Step, k.fence.Cut, k.fence.Manifest = p.Step, p.Cut, p.Hash
	k.board.published(p, time.Now().UTC())
	return k.mark(ctx, saved{Lineage: p.Lineage, Step: p.Step, Cut: p.Cut})
}

func (k *keeper) mark(ctx context.Context, m saved) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("saving where the state stands: %w", err)
	}
	if err := k.state.mark(ctx, b); err != nil {
		return fmt.Errorf("saving where the state stands: %w", err)
	}
	return nil
}

// work says what the engine has to do for a step. modes are the views', in order.
func (s *session) work(st *plannedStep, plan *Plan, taken map[string][]*bucket) (w *work, modes []mode) {
	w = &work{quarantine: s.quarantine, maxBad: s.cfg.MaxQuarantine}
	stored, replicas, sources := plan.stateTopics(), plan.replicas(), s.sourceOf()
	for _, topic := range slices.Sorted(maps.Keys(st.topics)) {
		ts := st.topics[topic]
		if ts.fate != applies && ts.fate != bases {
			continue
		}
		schema := ts.schema
		_, keep := stored[topic]
		w.inputs = append(w.inputs, workInput{topic, &schema, keep, ts.fate == bases, taken[topic]})
		for _, t := range replicas[topic] {
			w.replicas = append(w.replicas, workReplica{t, len(w.inputs) - 1, ts.fate == bases})
		}
	}
	for _, v := range plan.Views {
		m := viewMode(v, sources, st)
		modes = append(modes, m)
		w.views = append(w.views, workView{JoinedView: v, mode: m})
	}
	return w, modes
}

// prepare computes the step's outputs, stores them, and commits state and pending publication together (invariant 5).
func (s *session) prepare(ctx context.Context, st *plannedStep, taken map[string][]*bucket, accumulated time.Duration) (*Publication, error) {
	plan, err := s.planFor(ctx, st.cut)
	if err != nil {
		return nil, err
	}
	w, modes := s.work(st, plan, taken)
	outputs(st, plan, modes, s.sourceOf())
	attempt := newAttempt()
	dir := filepath.Join(s.cfg.dir(workFolder), attempt)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p := &Publication{
		Pipeline: s.cfg.Name, Step: st.step, Prev: s.fence.Step, Epoch: s.fence.Epoch, Lineage: s.fence.Lineage, Cut: st.cut,
		Manifest: Manifest{Pipeline: s.cfg.Name, Step: st.step, Attempt: attempt},
		Stats: ReceiptStats{
			TraceID: trace.SpanContextFromContext(ctx).TraceID().String(), RowsIn: st.rows, Late: st.late, Parked: st.parked, Accum: accumulated,
			Stands: standing(st, plan, modes, s.sourceOf()),
		},
	}
	began := time.Now()
	took, err := s.state.prepare(ctx, w, dir, func(tables []preparedTable) ([]byte, error) {
		quarantine, err := s.isolate(ctx, p, tables, dir)
		if err != nil {
			return nil, err
		}
		if err := s.upload(ctx, p, tables, quarantine); err != nil {
			return nil, err
		}
		return json.Marshal(saved{Lineage: p.Lineage, Step: p.Step, Cut: p.Cut, Pending: p})
	})
	if err != nil {
		return nil, halting(err)
	}
	p.Stats.Collapse, p.Stats.Join, p.Stats.Parquet = took.collapse, took.join, took.parquet
	for _, g := range []stage{
		{telemetry.SpanCollapse, began, took.collapse}, {telemetry.SpanJoin, began.Add(took.collapse), took.join},
		{telemetry.SpanParquet, began.Add(took.collapse + took.join), took.parquet},
	} {
		s.stage(ctx, g)
	}
	return p, nil
}

// uploads is how many parts are put at a time: enough to fill a link to a store, few enough for its request limits.
const uploads = 4

// upload puts the parts and then the manifest into the store (H16), and completes the publication. Nothing is put for a
// step that changes no row.
func (s *session) upload(ctx context.Context, p *Publication, tables []preparedTable, quarantine *preparedTable) error {
	began := time.Now()
	var files []string
	var parts []*Part
	add := func(t preparedTable) {
		for i := range t.load.Parts {
			t.load.Parts[i].Key = partKey(p.Pipeline, t.load.Table, p.Step, p.Manifest.Attempt, i)
			files, parts = append(files, t.files[i]), append(parts, &t.load.Parts[i])
		}
	}
	for _, t := range tables {
		add(t)
		p.Manifest.Tables = append(p.Manifest.Tables, t.load)
	}
	if quarantine != nil {
		add(*quarantine)
		p.Manifest.Quarantine = &quarantine.load
	}
	p.Hash = p.Manifest.Hash()
	if len(p.Manifest.Tables) == 0 {
		return nil // the fence moves, no file
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for i, part := range parts {
		if i == 1 {
			failpoint.Hit(failpoint.MidUpload)
		}
		path := s.cfg.localPath(part.Key)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Rename(files[i], path)); err != nil {
			return fmt.Errorf("keeping a part: %w", err)
		}
		s.known(path)
		g.Go(func() error {
			return s.persist(gctx, func(ctx context.Context) error { return s.cfg.Store.Put(ctx, part.Key, path) })
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("storing the parts: %w", err)
	}
	failpoint.Hit(failpoint.BeforeManifest)
	p.ManifestKey = manifestKey(p.Pipeline, p.Step, p.Manifest.Attempt)
	if err := s.putJSON(ctx, p.ManifestKey, p.Manifest); err != nil {
		return fmt.Errorf("storing the manifest: %w", err)
	}
	failpoint.Hit(failpoint.AfterManifest)
	p.Stats.Upload = time.Since(began)
	s.stage(ctx, stage{telemetry.SpanUpload, began, p.Stats.Upload})
	return nil
}

// snapshotDue saves the state after the base and then every few final steps.
func (s *session) snapshotDue(ctx context.Context, st *plannedStep) error {
	stateful := s.plan.stateful()
	if st.step.Final {
		s.finals++
	}
	if stateful && st.step.Final && (len(s.snaps) == 0 || s.finals >= s.cfg.SnapshotEvery) {
		failpoint.Hit(failpoint.BeforeSnapshot)
		if err := s.save(ctx, st.step, st.cut); err != nil {
			return err
		}
		s.finals = 0
	}
	s.publishNeeded(stateful)
	return nil
}
