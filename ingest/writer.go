package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/internal/kafka"
)

// Writer owns one source's part of the log under one epoch. It is the Emitter of the source. Its life: own makes it, Run
// runs its goroutines, the source calls the Emitter methods from one goroutine, stop writes the last checkpoint.
//
// Three goroutines share the work, each with state of its own:
//   - the source's, which calls the Emitter methods: stamps, seals, seqs, builders;
//   - the encoder: Arrow encoding, claim checks, appending, in the order of the jobs it is given;
//   - the checkpointer: waits until what a mark covers is acknowledged, then writes the checkpoint.
type Writer struct {
	cfg    Config
	env    env
	epoch  int64
	resume Resume
	m      *metrics

	// State of the source's goroutine.
	s          stamper
	open       openSlice // of the rows that are held: s is ahead of it while decisions are carried out
	reg        *registry
	topics     map[TableName]*topic
	parts      []*part // of all topics
	tables     []*table
	filling    []*holder // those that the source may be filling now
	fillFrom   int64     // ordinal at which it began to
	touched    []*holder // have rows of the open group
	dirty      []*holder // have rows
	ordinal    int64     // stream rows emitted
	end        Position  // after the last group
	progress   Position  // inside the open group
	asOf       time.Time // commit time of the last group
	commit     time.Time // of the open group
	inGroup    bool
	groupFrom  int64 // ordinal at the open group's start
	sliceBytes int64
	sliceRows  int64           // since the last seal, load rows too
	state      json.RawMessage // of the source, settled last
	loads      map[string]Load
	loadCounts map[string]int
	parked     map[string]string
	done       map[string]string // requests that were carried out
	exchanged  map[string]bool   // tables that are to be loaded anew without a request
	replay     replay
	number     int64 // of the last checkpoint
	started    bool  // there is a checkpoint
	first      bool  // since Start: nothing has been stamped
	changed    bool  // since the last mark
	due        bool  // a checkpoint is wanted now
	nextFlush  time.Time
	nextMark   time.Time
	appended   bool               // a job was given to the encoder
	broken     bool               // a call failed half-way: memory and log differ, no further checkpoint
	captured   map[TableName]bool // what the source has found
	missing    map[string]string  // tables that it has not, and that nobody has loaded
	anew       bool               // the source begins anew
	beyond     bool               // at the takeover there were rows behind the checkpoint
	safe       int64              // registry version that a checkpoint has named
	log        kafka.Identity     // of what has been taken over or made
	heard      int64              // requests before this offset were read at the takeover

	asked    atomic.Bool // there may be a request
	jobs     chan job
	marks    chan *mark
	poke     chan struct{} // something was acknowledged
	markBusy atomic.Bool
	failed   chan struct{}
	failOnce sync.Once
	failErr  error
}

var _ Emitter = (*Writer)(nil)

// topic is one table's topic.
type topic struct {
	name    string
	table   TableName
	parts   []*part
	current *table // as last declared
}

// part is one partition.
type part struct {
	topic string
	n     int
	seq   int64 // of the last row
	rows  int64 // since the last seal
	// While replaying: stream rows still to be skipped, rows emitted since the checkpoint, and durable batch ends.
	skip    int64
	emitted int64
	ends    []batchEnd

	last *sent // the encoder's: the last record appended
}

// sent is a record on its way.
type sent struct{ next atomic.Int64 } // its offset + 1, 0 until it is acknowledged

// table is a declared schema of a topic.
type table struct {
	id          TableID
	schema      *Schema
	fingerprint uint64
	topic       *topic
	holders     []*holder // by partition
	free        chan *Builder
}

// holder is a builder with what is known of its rows.
type holder struct {
	b        *Builder
	table    *table
	part     *part
	seen     int       // rows counted so far
	drop     int       // first rows that are durable already
	ordinal  int64     // of the first row
	position Position  // after the last closed group
	commit   time.Time // of the last row's group
	open     bool      // has rows of the open group
	touched  bool
}

// Epoch is the owner epoch that the Writer appends under.
func (w *Writer) Epoch() int64 { return w.epoch }

// Resume is where the source goes on.
func (w *Writer) Resume() Resume { return w.resume }

// Start implements Emitter.
func (w *Writer) Start(ctx context.Context, pos Position) error {
	if err := w.ready(); err != nil {
		return err
	}
	switch {
	case w.anew:
		return w.beginAnew(ctx, pos)
	case w.started:
		return errors.New("starting: the source has a checkpoint already, it must resume from it")
	}
	if err := w.forgo(ctx); err != nil {
		return err
	}
	w.s.open = w.s.grid.At(w.cfg.Now())
	w.open = openSlice{w.s.open, 0}
	w.end, w.progress, w.started = pos, pos, true
	w.first = true
	if err := w.checkpointNow(ctx); err != nil {
		return err
	}
	return w.stillOwner(ctx)
}

// anchor opens the window of t when nothing has been written yet: our clock may be years behind the server's at a first
// start, and every window between would be sealed.
func (w *Writer) anchor(ctx context.Context, t time.Time) error {
	first := w.first && w.sliceRows == 0
	w.first = false
	if !first || t.Before(w.s.open.End) {
		return nil
	}
	w.s.open = w.s.grid.At(t)
	w.open = openSlice{w.s.open, 0}
	if err := w.checkpointNow(ctx); err != nil {
		return err
	}
	return w.stillOwner(ctx) // or the next one would find rows of a window that is not open
}

// Begin implements Emitter.
func (w *Writer) Begin(ctx context.Context, commit time.Time) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	now := w.cfg.Now()
	if err := w.anchor(ctx, earlier(commit, now.Add(w.cfg.MaxSkew))); err != nil {
		return err
	}
	if w.replay.running() {
		w.s.advance(commit, now)
	} else {
		seals := w.s.begin(commit, now)
		for _, x := range seals { // rule 7a, before the group's rows (invariants 2, 7)
			if err := w.seal(ctx, x); err != nil {
				return err
			}
		}
		if len(seals) > 0 { // the group may be long, and what is sealed is published and trimmed meanwhile
			if err := w.mark(ctx, now, nil); err != nil {
				return err
			}
		}
	}
	if w.s.open.Start.After(commit) {
		w.m.late.Add(ctx, 1, w.m.source)
	}
	w.inGroup, w.commit, w.groupFrom = true, commit.UTC(), w.ordinal
	return nil
}

// Builder implements Emitter. A source may keep the builders of several partitions while it decodes one event, so all that
// were given out are counted until another method is called.
func (w *Writer) Builder(id TableID, partition int) *Builder {
	h := w.tables[id].holders[partition]
	for _, f := range w.filling {
		w.count(f)
	}
	if len(w.filling) == 0 {
		w.fillFrom = w.ordinal
	}
	if !slices.Contains(w.filling, h) {
		w.filling = append(w.filling, h)
	}
	return h.b
}

// Partitions implements Emitter.
func (w *Writer) Partitions(id TableID) int { return len(w.tables[id].holders) }

// settle counts the rows that were appended since the builders were given out, and takes the builders back.
func (w *Writer) settle() {
	for _, h := range w.filling {
		w.count(h)
	}
	w.filling = w.filling[:0]
}

// count notes the rows that were appended to a builder since it was last counted.
func (w *Writer) count(h *holder) {
	n := h.b.Rows() - h.seen
	if n == 0 {
		return
	}
	if h.seen == 0 {
		h.ordinal, h.drop = w.fillFrom, 0
		w.dirty = append(w.dirty, h)
	}
	h.seen += n
	h.open = true
	if !h.touched {
		h.touched = true
		w.touched = append(w.touched, h)
	}
	w.ordinal += int64(n)
	w.sliceRows += int64(n)
	if h.part.skip > 0 {
		w.skipRows(h, int64(n))
	}
	h.part.emitted += int64(n)
}

// Progress implements Emitter.
func (w *Writer) Progress(ctx context.Context, pos Position) error {
	if err := w.ready(); err != nil {
		return err
	}
	w.settle()
	w.progress = pos
	return w.flushFull(ctx)
}

// flushFull flushes the builders of the open group that have grown to a batch.
func (w *Writer) flushFull(ctx context.Context) error {
	for _, h := range w.touched {
		if h.b.Size() >= w.cfg.FlushBytes {
			if err := w.flush(ctx, "batch", h); err != nil {
				return err
			}
		}
	}
	return nil
}

// End implements Emitter.
func (w *Writer) End(ctx context.Context, pos Position) error {
	if err := w.ready(); err != nil {
		return err
	}
	if !w.inGroup {
		return errors.New("ending a group: none was begun")
	}
	w.settle()
	for _, h := range w.touched {
		h.position, h.commit, h.open, h.touched = pos, w.commit, false, false
	}
	if err := w.flushFull(ctx); err != nil {
		return err
	}
	w.touched = w.touched[:0]
	w.s.end(w.commit)
	w.inGroup, w.end, w.progress, w.asOf, w.changed = false, pos, pos, w.commit, true
	w.m.groups++
	if err := w.closed(pos); err != nil {
		return err
	}
	return w.settled(ctx)
}

// Idle implements Emitter.
func (w *Writer) Idle(ctx context.Context, t time.Time) error {
	if err := w.boundary(ctx); err != nil {
		return err
	}
	if err := w.anchor(ctx, t); err != nil {
		return err
	}
	if !w.replay.running() {
		for _, x := range w.s.idle(t) { // rule 7b (invariant 7)
			if err := w.seal(ctx, x); err != nil {
				return err
			}
		}
	}
	return w.housekeep(ctx)
}

// Tick implements Emitter.
func (w *Writer) Tick(ctx context.Context) error {
	if err := w.ready(); err != nil {
		return err
	}
	if w.inGroup {
		return nil // a group's rows wait for its end or a full batch
	}
	if err := w.boundary(ctx); err != nil {
		return err
	}
	return w.housekeep(ctx)
}

// boundary checks that the source is between groups and passes what a replay has to do there.
func (w *Writer) boundary(ctx context.Context) error {
	if err := w.ready(); err != nil {
		return err
	}
	switch {
	case !w.started:
		return errors.New("emitting: the source has not called Start")
	case w.inGroup:
		return errors.New("emitting: the last group was not ended")
	}
	return w.passSeals(ctx)
}

// settled does what may be done between groups, after a change.
func (w *Writer) settled(ctx context.Context) error {
	if err := w.passSeals(ctx); err != nil {
		return err
	}
	if w.sliceBytes >= w.cfg.SliceBytes && !w.replay.running() {
		if err := w.seal(ctx, w.s.cut()); err != nil {
			return err
		}
	}
	return w.housekeep(ctx)
}

// housekeep flushes rows that have waited and marks a checkpoint when one is due. Only between groups (invariant 5).
func (w *Writer) housekeep(ctx context.Context) error {
	if w.asked.Load() && !w.replay.running() {
		if err := w.obey(ctx); err != nil {
			return err
		}
	}
	now := w.cfg.Now()
	if !now.Before(w.nextFlush) {
		w.nextFlush = now.Add(w.cfg.FlushEvery)
		w.m.report(ctx, w, now)
		if err := w.flush(ctx, "tick", w.dirty...); err != nil {
			return err
		}
	}
	want := w.due || w.changed && !now.Before(w.nextMark)
	if !want || w.replay.running() || w.markBusy.Load() {
		return nil
	}
	return w.mark(ctx, now, nil)
}

// Park implements Emitter.
func (w *Writer) Park(ctx context.Context, t TableName, reason string) error {
	inside := w.inGroup
	if !inside {
		if err := w.boundary(ctx); err != nil {
			return err
		}
	} else if err := w.ready(); err != nil {
		return err
	}
	w.parked[t.String()] = reason
	w.changed, w.due = true, true
	if inside {
		return nil // the group's end does the rest
	}
	return w.housekeep(ctx)
}

// Anew implements Emitter. The wish is in the checkpoints until it is carried out.
func (w *Writer) Anew(ctx context.Context, t TableName, reason string) error {
	if !w.inGroup {
		return errors.New("a table is exchanged inside a group")
	}
	w.exchanged[t.String()] = true
	w.asked.Store(true)
	return w.Park(ctx, t, reason)
}

// ready returns the error that has ended the Writer, if any.
func (w *Writer) ready() error {
	select {
	case <-w.failed:
		return w.failErr
	default:
		return nil
	}
}

// fail ends the Writer: the first error counts.
func (w *Writer) fail(err error) {
	w.failOnce.Do(func() {
		w.failErr = err
		close(w.failed)
	})
}

// Run runs the encoder, the checkpointer and the watches for a newer owner and for requests. It returns the error that ended the Writer, or
// nil when ctx has ended.
func (w *Writer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	for _, run := range []func(context.Context) error{w.encode, w.checkpoints, w.watch, w.listen} {
		work.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				w.fail(err)
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-w.failed:
	}
	cancel()
	w.fail(context.Canceled) // nobody waits for an encoder that is gone
	work.Wait()
	if errors.Is(w.failErr, context.Canceled) {
		return nil
	}
	return fmt.Errorf("writing source %s to the log: %w", w.cfg.Source, w.failErr)
}

// watch ends the Writer when another owner has claimed the source (invariant 6).
func (w *Writer) watch(ctx context.Context) error {
	return w.env.superseded(ctx, w.cfg.unit(), w.epoch)
}

// enqueue gives the encoder a job. When it can't, the state in memory is ahead of the log for good.
func (w *Writer) enqueue(ctx context.Context, j job) error {
	w.appended = true
	select {
	case w.jobs <- j:
		return nil
	case <-w.failed:
		w.broken = true
		return w.failErr
	case <-ctx.Done():
		w.broken = true
		return ctx.Err()
	}
}
