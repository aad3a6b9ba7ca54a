package dynamodb

import (
	"context"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/tidemill/tidemill/sources/dynamodb/item"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// reader is one shard that is read: where the next page is, and the pages that wait to be emitted. It is the stream's; a
// fetch that is under way works on a copy of its place.
type reader struct {
	id    string
	since int64 // records of before are not wanted
	fresh bool  // begins at the present: the first discovery, in the run that made it

	place  place
	pages  []*page
	bytes  int
	busy   bool // a fetch is under way
	due    time.Time
	pause  backoff.ExponentialBackOff
	ended  bool // the server has said that nothing follows
	opened bool // an iterator was made
	behind bool // the last page was full: there is more

	lastAt  int64     // latest creation time that was read
	empties int       // empty pages in a row
	asked   time.Time // when the last page was true
	quiet   time.Time // when the last empty page was true: everything of before was read then
}

// place is where the next page of a shard begins.
type place struct {
	iterator string
	after    string // sequence number of the last record read
}

// page is the records of one answer that are still to be emitted.
type page struct {
	records []item.Record
	seen    item.Profile // of all of them
	bytes   int
}

// fetched is the result of a fetch.
type fetched struct {
	of     *reader
	page   *page
	place  place
	at     time.Time
	full   bool
	ended  bool
	opened bool
	oldest bool // it begins with the oldest record that the service has
	err    error
}

// fullPage is from when on a page was cut by the server's limit of a megabyte.
const fullPage, fullRecords = 900 << 10, 1000

// fetch reads the next page of a shard. It is called by a worker.
func (s *stream) fetch(ctx context.Context, of *reader, r reader) fetched {
	out := fetched{of: of, place: r.place, opened: r.opened}
	if out.place.iterator == "" {
		kind, seq := trimHorizon, "" // a shard that is new to us is read from its beginning (B2)
		switch {
		case r.place.after != "":
			kind, seq = afterSequence, r.place.after
		case r.fresh && !r.opened:
			kind = latest
		}
		if out.place.iterator, out.err = s.client.iterator(ctx, s.st.Stream, r.id, kind, seq); out.err != nil {
			return out
		}
		out.opened, out.oldest = true, kind == trimHorizon
	}
	records, size, next, at, err := s.client.records(ctx, r.id, out.place.iterator)
	if err != nil {
		out.err = err
		return out
	}
	out.place.iterator, out.ended, out.at = next, next == "", at
	out.full = size >= fullPage || len(records) >= fullRecords
	if len(records) == 0 {
		return out
	}
	out.place.after = records[len(records)-1].Sequence
	for len(records) > 0 && r.lastAt == 0 && records[0].At < r.since {
		records = records[1:] // before the first discovery
	}
	if len(records) == 0 {
		out.full = true // there may be more of them
		return out
	}
	out.page = &page{records: records, bytes: size, seen: item.Profile{}}
	var attributes []item.Attribute
	for i := range records {
		if records[i].Image == nil {
			continue
		}
		if attributes, err = item.Parse(records[i].Image, attributes); err == nil {
			out.page.seen.Note(attributes)
		} // what cannot be read is found again when it is emitted
	}
	return out
}

// next decides whether the shard is to be asked now, or when.
func (r *reader) next(now time.Time, p *pace, held int, end int64) (time.Time, bool) {
	switch {
	case r.busy || r.ended || len(r.pages) >= p.ahead:
		return time.Time{}, false
	case len(r.pages) > 0 && (held >= p.held || r.lastAt >= end): // it has come to the window's end: that is enough
		return time.Time{}, false
	}
	return r.due, true
}

// take notes the result of a fetch.
func (s *stream) take(f fetched) error {
	r := f.of
	if s.readers[r.id] != r { // it was given up meanwhile
		return nil
	}
	r.busy, r.place, r.opened = false, f.place, f.opened
	now := time.Now()
	if f.err != nil {
		return s.failed(r, f.err, now)
	}
	if f.oldest && f.at.Sub(s.readTo(r)) > retention-slack { // invariant 5
		s.loss = s.src.lost("what was written to shard " + r.id + " was not read for more than 24 hours, which is what the stream keeps: AWS does not say whether something is gone")
		return nil // the next turn mends it, or ends the run
	}
	s.heard = now
	r.pause.Reset()
	r.ended, r.asked, r.behind = f.ended, f.at, f.full
	if f.page == nil && !f.full {
		r.quiet = f.at
		r.empties++
		r.due = now.Add(s.src.pace.empty)
		return nil
	}
	r.empties = 0
	r.due = now.Add(s.src.pace.busy)
	if f.full {
		r.due = now
	}
	if f.page != nil {
		r.pages = append(r.pages, f.page)
		r.bytes += f.page.bytes
		s.held += f.page.bytes
		for i := range f.page.records {
			r.lastAt = max(r.lastAt, f.page.records[i].At)
		}
	}
	return nil
}

// retention is how long AWS keeps a record.
const retention = 24 * time.Hour

// readTo is a time up to which nothing of a shard, which no record was read of, is missing: windows of before are complete, what was
// written before its parent's last record is in the parent, and records from before the first discovery are not wanted.
// Nothing of a shard's front that is gone is ever told: an iterator at TRIM_HORIZON just begins behind it.
func (s *stream) readTo(r *reader) time.Time {
	at := s.out.Window().Start
	for _, t := range []time.Time{time.Unix(r.since, 0), r.quiet, s.passed[s.tree.Get(r.id).Parent], s.whole} {
		if t.After(at) {
			at = t
		}
	}
	if rep := s.st.Repair; rep != nil && time.Unix(rep.To, 0).Add(-2*slack).After(at) {
		at = time.Unix(rep.To, 0).Add(-2 * slack)
	}
	return at
}

// pass notes how far a shard that has ended was read: its children begin there.
func (s *stream) pass(r *reader) {
	at := r.quiet
	if t := time.Unix(r.lastAt, 0); t.After(at) {
		at = t
	}
	maps.DeleteFunc(s.passed, func(_ string, t time.Time) bool { return at.Sub(t) > 2*retention })
	s.passed[r.id] = at
}

// failed decides what a failed fetch means. What passes by itself makes a pause that grows; an error of the run it is only when
// nothing at all has been answered for long.
func (s *stream) failed(r *reader, err error, now time.Time) error {
	switch causeOf(err) {
	case Expired: // a new one goes on after the last record read, and never at the present
		r.place.iterator, r.due = "", now
		return nil
	case Trimmed:
		s.effects(s.tree.Trimmed(r.id))
		return nil // the next turn mends it, or ends the run
	case Gone:
		return s.gone(r.id, err)
	case Throttled, Unreachable, Failed:
		r.place.iterator = "" // it may be what the service stumbles over
		r.due = now.Add(r.pause.NextBackOff())
		if causeOf(err) == Throttled {
			s.heard = now // it is there, and wants time
		}
		if now.Sub(s.heard) > s.src.pace.patient {
			return err
		}
		s.complain(err)
		return nil
	}
	return err
}

// passed reports whether everything of the shard that was written before t has been read.
func (r *reader) passed(t time.Time, grace time.Duration) bool {
	if r.ended {
		return true
	}
	return r.lastAt >= t.Unix() || r.empties >= 3 && !r.asked.Before(t.Add(grace))
}

// emittable is how many records at the front of the queue were written before end: one from behind it holds up what follows in
// its shard.
func (r *reader) emittable(end int64) int {
	n := 0
	for _, p := range r.pages {
		for i := range p.records {
			if p.records[i].At >= end {
				return n
			}
			n++
		}
	}
	return n
}

// open begins to read shards, or notes what else the tree wants.
func (s *stream) effects(effects []shard.Effect) {
	for _, e := range effects {
		switch e.Do {
		case shard.Open:
			r := &reader{id: e.Shard.ID, place: place{after: e.Shard.Seq}, fresh: s.fresh && e.Shard.Since > 0, due: time.Now()}
			r.pause = backoff.ExponentialBackOff{InitialInterval: s.src.pace.busy, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: s.src.pace.backoff}
			r.pause.Reset()
			if e.Shard.Seq == "" { // what follows an emitted record is wanted, whatever its time
				r.since = e.Shard.Since
			}
			s.readers[e.Shard.ID] = r
		case shard.Discover:
			s.children = append(s.children, e.Shard.ID)
		case shard.Lost:
			s.loss = s.src.lost("shard " + e.Shard.ID + " held records that were not read and are gone: the stream keeps 24 hours, and the source was down or behind for longer")
		}
	}
}
