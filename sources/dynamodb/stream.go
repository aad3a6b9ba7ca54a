package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// stream turns the shards into calls of the emitter. One goroutine owns it; workers and the loader reach it by channels.
type stream struct {
	src    *Source
	client *client
	out    ingest.Emitter
	name   ingest.TableName
	meters *meters

	st      state
	pos     position
	tree    *shard.Tree
	readers map[string]*reader
	fresh   bool                 // this run has made the first discovery
	loss    error                // what the tree has found to be gone
	passed  map[string]time.Time // shards that have ended in this run: up to when they were read
	whole   time.Time            // a repair of this run has mended everything up to then
	held    int                  // bytes of pages that wait

	id      ingest.TableID
	schema  *ingest.Schema
	decoder *item.Table
	parked  string
	told    bool // the emitter knows that it is parked
	asOf    time.Time

	work     chan func() // of the workers
	results  chan fetched
	listings chan listed
	listing  bool      // a listing is under way
	asked    time.Time // when one was asked for
	listedAt time.Time // the service's time of the last one
	nextList time.Time
	off      bool     // the stream is off: no shard will come
	children []string // finished shards whose children are to be asked for
	finished time.Time
	heard    time.Time // when the service answered last
	said     map[string]time.Time
	skew     time.Duration // the service's clock less ours
	settled  time.Time
	rounded  time.Time

	loader  *loader
	begin   func(*loader)
	chunks  chan *chunk
	touched map[xxh3.Uint128]uint64 // keys that the stream has brought, and when, while a load runs
	emitted uint64
}

// listed is the result of a listing; parent is set when it is the children of one shard.
type listed struct {
	listing
	parent string
	err    error
}

func newStream(src *Source, out ingest.Emitter) (*stream, error) {
	m, err := newMeters(src.meter, src.name)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	return &stream{
		src: src, client: src.client, out: out, name: src.tableName(), meters: m, readers: map[string]*reader{}, passed: map[string]time.Time{}, said: map[string]time.Time{},
		work: make(chan func()), results: make(chan fetched, 1024), listings: make(chan listed, 16), chunks: make(chan *chunk), heard: time.Now(),
	}, nil
}

func (s *stream) run(ctx context.Context, resume ingest.Resume) error {
	if err := s.start(ctx, resume); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for range s.src.pace.workers {
		g.Go(func() error {
			for {
				select {
				case do := <-s.work:
					do()
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	s.begin = func(l *loader) { g.Go(func() error { return l.run(ctx) }) }
	if s.loader != nil {
		s.begin(s.loader)
	}
	g.Go(func() error { return s.loop(ctx) })
	return g.Wait()
}

// start finds the position, or makes the first discovery, and brings what was planned to its end.
func (s *stream) start(ctx context.Context, resume ingest.Resume) (err error) {
	s.parked = resume.Parked[s.name]
	s.told = s.parked != ""
	if resume.Position != "" {
		if s.pos, err = parsePosition(resume.Position); err != nil {
			return err
		}
	}
	if resume.State == nil { // nothing has been emitted yet
		err = s.discover(ctx, resume.Position == "")
	} else {
		err = s.resume(ctx, resume)
	}
	if err != nil {
		return err
	}
	if err := s.declare(ctx); err != nil {
		return err
	}
	load := resume.Loads[s.name]
	if load.Done && s.st.Repair != nil { // it was about to begin
		load = ingest.Load{}
		if err := s.out.Reload(ctx, s.name); err != nil {
			return err
		}
	}
	if !load.Done && s.parked == "" {
		s.loader, err = s.newLoader(load)
	}
	return err
}

// slack is how far the service's clock may go wrong: records that are this much older than the first discovery are taken, too,
// when it could not begin at the present.
const slack = time.Minute

// discover is the first discovery of a fresh source.
func (s *stream) discover(ctx context.Context, first bool) error {
	l, err := s.client.shards(ctx, s.src.table.arn, "")
	if err != nil {
		return err
	}
	s.st = state{Stream: s.src.table.arn, Table: s.src.table.id, Profile: s.src.sample}
	s.st.Columns = item.Columns(nil, s.src.table.keys, s.st.Profile, s.src.pins)
	s.tree, s.fresh = shard.New(nil), s.src.config.Export.Bucket == "" // an export takes longer than an iterator lives
	s.tree.Begin(l.shards, l.at.Add(-slack))
	if first {
		s.pos = position{start: l.at.Unix()}
		if err := s.out.Start(ctx, s.pos.text()); err != nil {
			return err
		}
	}
	s.effects(s.tree.Listed(l.shards, l.at))
	s.known(l)
	return s.settle(ctx)
}

// resume goes on where the last owner stood.
func (s *stream) resume(ctx context.Context, resume ingest.Resume) (err error) {
	if s.st, err = parseState(resume.State); err != nil {
		return err
	}
	if s.st.Table != s.src.table.id {
		return s.src.lost("the table was deleted and made anew")
	}
	s.tree = shard.New(s.st.Shards)
	if s.st.Round == s.pos.round { // it was emitted whole
		for _, p := range s.st.Plan {
			s.tree.Advance(p.Shard, p.Last)
		}
		s.st.Plan = nil
	} else if err := s.replay(ctx); err != nil {
		// The durable half of a round cannot be completed, so increments cannot go on from it; a whole export replaces it.
		if own, ok := errors.AsType[*Error](err); ok && own.Cause == Lost && s.src.config.Export.Bucket != "" {
			own.anew = true
		}
		return err
	}
	_, begun := resume.Loads[s.name]
	if !begun && s.st.Begun { // a new generation: what the profile has learned counts (item, invariant 4)
		s.st.Columns = nil
		s.st.Profile.Join(s.src.sample)
		s.st.Repair = nil // it is loaded whole; increments hold what has changed, and nothing else
	}
	if s.st.Repair != nil && s.src.config.Export.Bucket == "" {
		return s.src.lost("records that are gone from the stream were being mended by exports, and export is not set any more")
	}
	s.st.Begun = begun
	s.st.Columns = slices.DeleteFunc(s.st.Columns, func(c item.Column) bool { return s.src.pins[c.Attribute].Drop && !c.Key })
	s.st.Columns = item.Columns(s.st.Columns, s.src.table.keys, s.st.Profile, s.src.pins)
	s.effects(s.tree.Resume())
	return s.settle(ctx)
}

// loop runs until ctx ends.
func (s *stream) loop(ctx context.Context) error {
	for {
		if err := s.turn(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(s.dispatch(ctx))
		select {
		case f := <-s.results:
			if err := s.take(f); err != nil {
				return err
			}
		case l := <-s.listings:
			if err := s.listed(ctx, l); err != nil {
				return err
			}
		case c := <-s.ready():
			if err := s.load(ctx, c); err != nil {
				return err
			}
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
		if err := s.drain(ctx); err != nil {
			return err
		}
	}
}

// drain takes what else has come meanwhile.
func (s *stream) drain(ctx context.Context) error {
	for {
		select {
		case f := <-s.results:
			if err := s.take(f); err != nil {
				return err
			}
		case l := <-s.listings:
			if err := s.listed(ctx, l); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// turn does what is due between rounds, and rounds.
func (s *stream) turn(ctx context.Context) error {
	if s.loss != nil {
		return s.mend(ctx)
	}
	now := time.Now()
	s.finish()
	if now.Sub(s.rounded) >= s.src.pace.round || s.held >= s.src.pace.bytes/4 {
		s.rounded = now
		did, err := s.round(ctx)
		if err != nil {
			return err
		}
		if !did && s.tree.Changed() && now.Sub(s.settled) >= s.src.pace.round {
			// Shards that came or ended without a record: a table that is quiet for a day must not look like a loss.
			if err := s.settle(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.windows(ctx); err != nil {
		return err
	}
	if err := s.loaded(ctx); err != nil {
		return err
	}
	if err := s.over(ctx); err != nil {
		return err
	}
	s.meters.hand(ctx, s)
	return s.out.Tick(ctx)
}

// windows completes the windows whose end every shard has passed (invariant 3).
func (s *stream) windows(ctx context.Context) error {
	for {
		end := s.out.Window().End
		if s.st.Repair != nil || !s.proven(end) {
			return nil
		}
		if err := s.out.Complete(ctx, end); err != nil {
			return err
		}
		if !s.out.Window().End.After(end) {
			return nil // something durable is still ahead, so nothing is decided
		}
	}
}

// proven reports whether everything that was written before t has been emitted: every shard has passed t and has nothing from
// before it waiting, and the list of shards was read after t and after the last shard ended, and has the children of that.
func (s *stream) proven(t time.Time) bool {
	grace := s.src.config.Grace
	now := s.clock()
	if now.Before(t.Add(grace)) || s.listedAt.Before(t) || len(s.children) > 0 || s.listedAt.Before(s.finished) {
		return false
	}
	if !s.off && s.tree.Heirless(now) || s.gated() {
		return false
	}
	for _, r := range s.readers {
		if !r.passed(t, grace) || r.emittable(t.Unix()) > 0 {
			return false
		}
	}
	return true
}

// clock is the service's time, as far as we know it.
func (s *stream) clock() time.Time {
	if s.src.now != nil {
		return s.src.now()
	}
	return time.Now().Add(s.skew)
}

// dispatch gives workers what is due and says how long there is to wait.
func (s *stream) dispatch(ctx context.Context) time.Duration {
	now := time.Now()
	wake := now.Add(s.src.pace.tick)
	end := s.limit().Unix()
	for _, r := range s.readers {
		if s.gated() {
			break
		}
		due, ok := r.next(now, &s.src.pace, s.held, end)
		switch {
		case !ok:
		case due.After(now):
			if due.Before(wake) {
				wake = due
			}
		default:
			at := *r
			if s.submit(func() { s.send(ctx, s.fetch(ctx, r, at)) }) {
				r.busy = true
			} else {
				wake = now.Add(time.Millisecond)
			}
		}
	}
	s.ask(ctx, now)
	return max(time.Until(wake), 0)
}

func (s *stream) send(ctx context.Context, f fetched) {
	select {
	case s.results <- f:
	case <-ctx.Done():
	}
}

// submit hands work to a worker that has none.
func (s *stream) submit(do func()) bool {
	select {
	case s.work <- do:
		return true
	default:
		return false
	}
}

// fewParents is for how many shards that have ended their children are asked for one by one. When a whole generation ends at
// once, one listing of all shards is less.
const fewParents = 4

// ask lists the shards when it is time, and the children of shards that have ended.
func (s *stream) ask(ctx context.Context, now time.Time) {
	if end := s.out.Window().End; s.listedAt.Before(end) && !s.clock().Before(end.Add(s.src.config.Grace)) && now.Sub(s.asked) >= s.src.pace.empty {
		s.nextList = now // a window waits for it
	}
	if s.listing || s.off && len(s.children) == 0 && s.tree.Drained() {
		return
	}
	for len(s.children) > 0 && s.tree.HasChild(s.children[0]) {
		s.children = s.children[1:]
	}
	parent := ""
	switch {
	case len(s.children) > 0 && len(s.children) < fewParents:
		parent = s.children[0]
	case len(s.children) == 0 && now.Before(s.nextList):
		return
	}
	arn := s.st.Stream
	if s.submit(func() {
		l, err := s.client.shards(ctx, arn, parent)
		select {
		case s.listings <- listed{l, parent, err}:
		case <-ctx.Done():
		}
	}) {
		s.listing, s.asked = true, now
	}
}

// listed takes a listing.
func (s *stream) listed(ctx context.Context, l listed) error {
	s.listing = false
	now := time.Now()
	if l.err != nil {
		s.nextList = now.Add(s.src.pace.list / 2)
		switch causeOf(l.err) {
		case Gone:
			return s.gone("", l.err)
		case Throttled:
			s.heard = now
		case Unreachable, Failed:
		default:
			return l.err
		}
		if now.Sub(s.heard) > s.src.pace.patient {
			return l.err
		}
		if l.parent != "" { // the next whole listing has them, too
			s.children, s.nextList = nil, now
		}
		s.complain(l.err)
		return ctx.Err()
	}
	s.heard = now
	if l.parent != "" {
		s.children = slices.DeleteFunc(s.children, func(id string) bool { return id == l.parent })
		s.effects(s.tree.Children(l.shards))
		return nil
	}
	s.children = nil // what it does not show yet, the next one does
	s.effects(s.tree.Listed(l.shards, l.at))
	s.known(l.listing)
	return nil
}

// known notes what a whole listing says besides the shards.
func (s *stream) known(l listing) {
	s.listedAt, s.off = l.at, l.disabled
	s.nextList = time.Now().Add(s.src.pace.list)
	if !s.off && s.tree.Heirless(s.clock()) { // it is behind
		s.nextList = time.Now().Add(s.src.pace.empty)
	}
	s.skew = 0
	if d := time.Until(l.at); d > 5*time.Second || d < -5*time.Second-callTimeout { // the clocks differ by more than a call takes
		s.skew = d
	}
}

// complain logs a failure, each kind once a minute: a service that is down for long makes no storm.
func (s *stream) complain(err error) {
	kind := causeOf(err).String()
	if now := time.Now(); now.Sub(s.said[kind]) >= time.Minute {
		s.said[kind] = now
		s.src.log.Warn("the stream is read again in a moment", "cause", kind, "error", err.Error())
	}
}
