package dynamodb

import (
	"context"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// limit is up to where records are emitted now: the open window's end, or the end of a repair.
func (s *stream) limit() time.Time {
	if r := s.st.Repair; r != nil {
		return time.Unix(r.Until, 0)
	}
	return s.out.Window().End
}

// gated reports whether the stream has to wait for exports.
func (s *stream) gated() bool { return s.loader != nil && s.loader.gated }

// late is how much before the open window's start a repair begins: what was late for a window is not in the log either.
const late = 5 * time.Minute

// mend begins a repair of records that are gone, or ends the run when there is nothing to repair them by.
//
// Increments bring, of every item that changed since the last window that is complete, what it is at their end. Then the stream goes
// on from a little before that end: what it brings again ends in the same. All of it goes into the window that is open, which
// is not completed before: the cut of that window is the table as it is then, and the windows of the outage are empty.
func (s *stream) mend(ctx context.Context) error {
	if s.src.config.Export.Bucket == "" || s.parked != "" || s.loader != nil || s.st.Repair != nil {
		return s.loss
	}
	l, err := s.client.shards(ctx, s.st.Stream, "")
	if err != nil {
		return err
	}
	w := s.out.Window()
	to := l.at.Truncate(time.Second)
	s.src.log.Warn("the stream has lost records: incremental exports bring what changed meanwhile", "from", w.Start.Add(-late), "to", to, "error", s.loss.Error())
	s.loss, s.held, s.children = nil, 0, nil
	clear(s.readers)
	s.st.Repair = &repair{From: w.Start.Add(-late).Unix(), To: to.Unix(), Until: to.Add(2 * slack).Unix(), Window: w.End.Unix() - 1}
	s.tree, s.fresh = shard.New(nil), false
	s.tree.Again(l.shards, to.Add(-2*slack))
	s.effects(s.tree.Listed(l.shards, l.at))
	s.known(l)
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.out.Reload(ctx, s.name); err != nil {
		return err
	}
	if s.loader, err = s.newLoader(ingest.Load{}); err != nil {
		return err
	}
	s.begin(s.loader)
	return nil
}
