package dynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// offAndOn is why a table stands still whose stream was switched off: of what was written in between no stream tells, and
// items that were deleted in between would stay for ever.
const offAndOn = "its stream was switched off and on again, and what was written in between is in no stream; run: "

// over goes on to the table's next stream when this one has been switched off and everything in it is emitted.
func (s *stream) over(ctx context.Context) error {
	if !s.off || len(s.children) > 0 || s.listing || !s.tree.Drained() || len(s.readers) > 0 {
		return nil
	}
	if err := s.settle(ctx); err != nil { // durable before the run may end: the stream is kept for a day, and nobody reads it meanwhile
		return err
	}
	t, err := s.client.describe(ctx)
	if causeOf(err) == Gone {
		return &Error{Cause: Gone, Table: s.src.config.Table, What: "the table was deleted; everything in its stream has been read", Remedy: "remove the source, or make the table again and run: " + ingest.ResyncCommand(s.src.name)}
	}
	if err != nil {
		return err
	}
	d, err := s.src.check(t)
	if err != nil {
		return err // it is off: how to switch it on
	}
	switch {
	case d.id != s.st.Table:
		return s.src.lost("the table was deleted and made anew")
	case d.arn == s.st.Stream:
		s.off = false // it is being switched on
		return nil
	}
	s.src.log.Info("the old stream is read to its end; the new one begins", "stream", aws.ToString(t.LatestStreamLabel))
	s.src.table, s.st.Stream, s.off = d, d.arn, false
	s.tree, s.fresh = shard.New(nil), false
	l, err := s.client.shards(ctx, d.arn, "")
	if err != nil {
		return err
	}
	s.effects(s.tree.Listed(l.shards, l.at))
	s.known(l)
	if err := s.settle(ctx); err != nil || s.parked != "" {
		return err
	}
	s.parked, s.told = offAndOn+ingest.ResyncCommand(s.src.name+"."+s.name.String()), true
	return s.out.Park(ctx, s.name, s.parked)
}

// gone is a stream, or a shard of it, that the service does not know.
func (s *stream) gone(id string, err error) error {
	t, described := s.client.describe(context.Background())
	switch {
	case causeOf(described) == Gone:
		return &Error{Cause: Gone, Table: s.src.config.Table, What: "the table was deleted", Remedy: "remove the source, or make the table again and run: " + ingest.ResyncCommand(s.src.name)}
	case described != nil:
		return described
	case aws.ToString(t.TableId) != s.st.Table:
		return s.src.lost("the table was deleted and made anew")
	case id == "":
		return s.src.lost("its stream is gone: it was switched off for more than a day")
	}
	s.effects(s.tree.Trimmed(id))
	if s.loss != nil {
		return nil // as for records that are trimmed
	}
	return err
}
