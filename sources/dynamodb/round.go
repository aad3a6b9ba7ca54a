package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// entry is a run of records of one shard in a round.
type entry struct {
	shard   string
	records []item.Record
}

// round plans, settles and emits what waits (invariant 1). It reports whether there was anything.
func (s *stream) round(ctx context.Context) (bool, error) {
	entries, seen := s.plan(s.limit())
	if len(entries) == 0 {
		return false, nil
	}
	s.grow(seen)
	s.st.Round++
	s.st.Plan = s.st.Plan[:0]
	for _, e := range entries {
		s.st.Plan = append(s.st.Plan, planned{e.shard, e.records[0].Sequence, e.records[len(e.records)-1].Sequence, len(e.records)})
	}
	if err := s.settle(ctx); err != nil {
		return false, err
	}
	if err := s.emit(ctx, entries, 0); err != nil {
		return false, err
	}
	s.consume(entries)
	return true, nil
}

// plan takes from every shard what was written before the window's end. The order of the shards is free, since it is settled;
// every round begins with another one, so that none starves behind others when a round is full.
func (s *stream) plan(end time.Time) ([]entry, item.Profile) {
	var out []entry
	seen := item.Profile{}
	rows, bytes := 0, 0
	ids := slices.Sorted(maps.Keys(s.readers))
	if len(ids) > 0 {
		first := int(s.st.Round) % len(ids)
		ids = append(ids[first:], ids[:first]...)
	}
	for _, id := range ids {
		r := s.readers[id]
		n := min(r.emittable(end.Unix()), s.src.pace.rows-rows)
		if n <= 0 || bytes >= s.src.pace.bytes {
			continue
		}
		e := entry{shard: id}
		for _, p := range r.pages {
			k := min(n-len(e.records), len(p.records))
			if k == 0 || bytes >= s.src.pace.bytes {
				break
			}
			e.records = append(e.records, p.records[:k]...)
			seen.Join(p.seen)
			bytes += p.bytes
		}
		rows += len(e.records)
		out = append(out, e)
	}
	return out, seen
}

// consume drops what was emitted from the queues, and finishes shards that have nothing left (invariant 2).
func (s *stream) consume(entries []entry) {
	for _, e := range entries {
		r, n := s.readers[e.shard], len(e.records)
		s.tree.Advance(e.shard, e.records[n-1].Sequence)
		for n > 0 {
			p := r.pages[0]
			k := min(n, len(p.records))
			p.records, n = p.records[k:], n-k
			if len(p.records) == 0 {
				r.bytes -= p.bytes
				s.held -= p.bytes
				r.pages = r.pages[1:]
			}
		}
	}
	s.st.Plan = s.st.Plan[:0]
	s.finish()
}

// finish ends the shards that the server has ended and of which everything is emitted.
func (s *stream) finish() {
	for _, id := range slices.Sorted(maps.Keys(s.readers)) {
		if r := s.readers[id]; r.ended && len(r.pages) == 0 {
			delete(s.readers, id)
			s.pass(r)
			s.finished = s.clock()
			if soon := time.Now().Add(s.src.pace.empty); s.nextList.After(soon) {
				s.nextList = soon
			}
			s.effects(s.tree.Ended(id, s.clock()))
		}
	}
}

// settle makes the state durable.
func (s *stream) settle(ctx context.Context) error {
	s.st.Shards = s.tree.Shards()
	s.tree.Changed()
	text, err := json.Marshal(&s.st)
	if err != nil {
		return fmt.Errorf("writing the state of the source: %w", err)
	}
	s.settled = time.Now()
	return s.out.Settle(ctx, text)
}

// grow widens the profile, and the columns by attributes that are new. The caller settles before a row depends on it.
func (s *stream) grow(seen item.Profile) bool {
	if !s.st.Profile.Join(seen) {
		return false
	}
	before := len(s.st.Columns)
	s.st.Columns = item.Columns(s.st.Columns, s.src.table.keys, s.st.Profile, s.src.pins)
	return len(s.st.Columns) > before
}

// declare tells the emitter the columns, when they have changed.
func (s *stream) declare(ctx context.Context) error {
	if s.decoder != nil && slices.Equal(s.decoder.ColumnsOf(), s.st.Columns) {
		return nil
	}
	schema := item.Schema(s.name, s.st.Columns)
	id, err := s.out.Table(ctx, schema)
	if err != nil {
		return err
	}
	s.id, s.schema, s.decoder = id, schema, item.NewTable(s.st.Columns, s.src.pins)
	return nil
}

// emit emits the records of the round that was settled, but for the first skip ones, which are durable and checkpointed. A run of
// records that one shard has of one second is a group.
func (s *stream) emit(ctx context.Context, entries []entry, skip int) error {
	if err := s.declare(ctx); err != nil {
		return err
	}
	total := 0
	for _, e := range entries {
		total += len(e.records)
	}
	s.pos.rows = 0
	for _, e := range entries {
		for rest := e.records; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].At == rest[0].At {
				n++
			}
			if s.pos.rows += n; s.pos.rows > skip {
				if err := s.group(ctx, e.shard, rest[:n], s.pos.rows == total); err != nil {
					return err
				}
			}
			rest = rest[n:]
		}
	}
	return nil
}

// group emits records of one second. The last one of a round ends it.
func (s *stream) group(ctx context.Context, id string, records []item.Record, last bool) error {
	at := time.Unix(records[0].At, 0).UTC()
	if r := s.st.Repair; r != nil { // all of it is in one window
		at = time.Unix(min(records[0].At, r.Window), 0).UTC()
	}
	if err := s.out.Begin(ctx, at); err != nil {
		return err
	}
	for i := range records {
		if s.parked != "" {
			break
		}
		if err := s.row(&records[i]); err != nil {
			s.parked = s.poison(id, &records[i], err)
		}
	}
	s.asOf = at
	if last {
		s.pos.round, s.pos.rows = s.st.Round, 0
	}
	if err := s.out.End(ctx, s.pos.text()); err != nil {
		return err
	}
	if s.parked != "" && !s.told {
		s.told = true
		return s.out.Park(ctx, s.name, s.parked)
	}
	return nil
}

// poison is why a table stands still after a record that is no row.
func (s *stream) poison(id string, r *item.Record, err error) string {
	why := fmt.Sprintf("the record with sequence number %s of shard %s cannot become a row: %v", r.Sequence, id, err)
	if key, ok := errors.AsType[*item.KeyError](err); ok && key.Tag != item.Unknown {
		why += fmt.Sprintf(`; set columns: {%s: text} in the source's file, then`, key.Attribute)
	} else {
		why += ";"
	}
	return why + " run: " + ingest.ResyncCommand(s.src.name+"."+s.name.String())
}

// row decodes one record into the builder of its partition.
func (s *stream) row(r *item.Record) error {
	text := r.Image
	if r.Remove {
		text = r.Keys
	} else if text == nil {
		return errors.New("it has no new image")
	}
	hash, err := s.decoder.Item(text)
	if err != nil {
		return err
	}
	b := s.out.Builder(s.id, ingest.PartitionOf(hash.Lo, s.out.Partitions(s.id)))
	if r.Remove {
		err = s.decoder.Delete(b)
	} else {
		err = s.decoder.Row(b)
	}
	if err != nil {
		return err
	}
	s.touch(hash)
	s.meters.record(r, len(text))
	return nil
}

// replay reads the planned round again from the service and emits what is not checkpointed of it (invariant 1).
func (s *stream) replay(ctx context.Context) error {
	entries := make([]entry, len(s.st.Plan))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(s.src.pace.workers)
	for i, p := range s.st.Plan {
		g.Go(func() (err error) {
			entries[i], err = s.again(inner, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	skip := s.pos.rows
	if err := s.emit(ctx, entries, skip); err != nil {
		return err
	}
	for _, e := range entries {
		s.tree.Advance(e.shard, e.records[len(e.records)-1].Sequence)
	}
	s.st.Plan = s.st.Plan[:0]
	return nil
}

// again reads a planned run of records.
func (s *stream) again(ctx context.Context, p planned) (entry, error) {
	e := entry{shard: p.Shard}
	for attempt := 0; ; attempt++ {
		iterator, err := s.client.iterator(ctx, s.st.Stream, p.Shard, atSequence, p.First)
		for err == nil && iterator != "" && len(e.records) < p.Rows {
			var records []item.Record
			if records, _, iterator, _, err = s.client.records(ctx, p.Shard, iterator); err == nil {
				e.records = append(e.records, records...)
			}
		}
		switch cause := causeOf(err); {
		case err == nil && len(e.records) < p.Rows, cause == Trimmed, cause == Gone:
			return e, s.src.lost("records of shard " + p.Shard + " that were being written when the source was stopped are gone from the stream")
		case err == nil:
			if e.records = e.records[:p.Rows]; e.records[0].Sequence != p.First || e.records[p.Rows-1].Sequence != p.Last {
				return e, s.src.lost("shard " + p.Shard + " holds other records than before")
			}
			return e, nil
		case cause == Throttled, cause == Unreachable: // however long it is away
		case cause != Expired && cause != Failed || attempt > 20:
			return e, err
		}
		e.records = nil
		select {
		case <-time.After(min(time.Duration(attempt+1)*s.src.pace.busy, s.src.pace.backoff)):
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}
