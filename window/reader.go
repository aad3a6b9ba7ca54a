package window

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/failpoint"
)

// pollRecords bounds what is decoded between two looks at the memory budget: a record is at most a few MB.
const pollRecords = 64

// read follows the partitions until ctx ends. It is the only goroutine that feeds the order and the buffer.
func (s *session) read(ctx context.Context) error {
	for {
		fetches := s.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return nil
		}
		if err := s.fetchError(fetches); err != nil {
			return err
		}
		failpoint.Hit(failpoint.AfterRead)
		for it := fetches.RecordIter(); !it.Done(); {
			if err := s.record(ctx, it.Next()); err != nil {
				return err
			}
		}
		if err := s.relieve(ctx); err != nil {
			return err
		}
		s.wake()
	}
}

// fetchError turns what cannot get better by waiting into an error with its remedy.
func (s *session) fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, kerr.OffsetOutOfRange): // H7, H11, H20: never jump, never skip
			return s.trimmed(fmt.Sprintf("topic %s partition %d: the log no longer holds, or does not yet hold, the offset that pipeline %s needs next", e.Topic, e.Partition, s.cfg.Name), e.Err)
		case e.Topic != "" && !kerr.IsRetriable(e.Err):
			return fmt.Errorf("reading topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
		case e.Topic == "":
			return fmt.Errorf("reading the log: %w", e.Err)
		}
	}
	return nil
}

// record feeds one record. The seal of a slice is fed after its batches have been decoded and buffered, so a step that
// the order gives has all its rows.
func (s *session) record(ctx context.Context, r *kgo.Record) error {
	topic := s.client.Plain(r.Topic)
	where := func(err error) error {
		return fmt.Errorf("reading topic %s partition %d offset %d: %w", topic, r.Partition, r.Offset, err)
	}
	h, payload, err := ingest.ParseRecord(r.Value)
	if err != nil {
		return where(integrity("%v", err))
	}
	var seal ingest.Seal
	if h.Kind == ingest.SealRecord {
		if err := json.Unmarshal(payload, &seal); err != nil {
			return where(integrity("the seal is not JSON: %v", err))
		}
	}
	s.mu.Lock()
	v, skip, err := s.order.take(s.topics[topic], position{topic, int(r.Partition), r.Offset}, &h, seal)
	s.news = s.news || v == accepted && h.Kind == ingest.SealRecord
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.counters(ctx, v, skip, &h)
	if v != accepted || h.Kind != ingest.BatchRecord {
		return nil
	}
	if err := s.batch(ctx, r, topic, &h, payload, skip); err != nil {
		return where(err)
	}
	return nil
}

// batch decodes the rows of an accepted batch and buffers them.
func (s *session) batch(ctx context.Context, r *kgo.Record, topic string, h *ingest.Header, payload []byte, skip int64) error {
	if h.Flags&ingest.FlagClaim != 0 {
		var err error
		if payload, err = s.redeem(ctx, payload); err != nil {
			return err
		}
	}
	rec, err := ingest.DecodeBatch(payload)
	if err != nil {
		return integrity("%v", err)
	}
	schema, err := ingest.SchemaOf(rec.Schema())
	if err != nil {
		rec.Release()
		return integrity("%v", err)
	}
	if rec.NumRows() != h.Rows || schema.Fingerprint() != h.Fingerprint {
		rec.Release()
		return integrity("the batch holds %d rows of schema %016x, its header says %d of %016x", rec.NumRows(), schema.Fingerprint(), h.Rows, h.Fingerprint)
	}
	if skip > 0 {
		whole := rec
		rec = whole.NewSlice(skip, h.Rows)
		whole.Release()
	}
	key := s.turn(topic, int(r.Partition), h)
	b := rowBatch{partition: int(r.Partition), first: h.Seq + skip, record: rec, bytes: int64(len(payload))}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began[key.id].IsZero() {
		s.began[key.id] = time.Now()
	}
	s.buffer.add(key, schema, b, linkOf(ctx, r))
	return nil
}

// turn is the bucket of a batch.
func (s *session) turn(topic string, partition int, h *ingest.Header) bucketKey {
	at := partitionName{topic, partition}
	last, seen := s.turns[at]
	now := bucketKey{topic: topic, id: headerSlice(h), print: h.Fingerprint}
	if seen && last.id == now.id {
		now.turn = last.turn
		if last.print != now.print {
			now.turn++
		}
	}
	s.turns[at] = now
	return now
}

// redeem fetches a batch that was too large for the log and checks it against its claim.
func (s *session) redeem(ctx context.Context, payload []byte) ([]byte, error) {
	var c ingest.Claim
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, integrity("the claim is not JSON: %v", err)
	}
	path := filepath.Join(s.cfg.dir(runsFolder), uuid.NewString()+".claim")
	if err := s.cfg.Store.Get(ctx, c.Key, path); err != nil {
		return nil, fmt.Errorf("fetching the batch %s: %w", c.Key, err)
	}
	b, err := os.ReadFile(path)
	if err = errors.Join(err, os.Remove(path)); err != nil {
		return nil, fmt.Errorf("fetching the batch %s: %w", c.Key, err)
	}
	if sum := sha256.Sum256(b); int64(len(b)) != c.Bytes || hex.EncodeToString(sum[:]) != c.SHA256 {
		return nil, integrity("the batch %s in the store is not the one that its claim names", c.Key)
	}
	return b, nil
}

// relieve keeps memory under its budget (invariant 9). First the partitions that are ahead of the next step stop being
// fetched; what the next step needs is never paused, or nothing would ever free memory again. What is still too much goes
// to local runs.
func (s *session) relieve(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffer.bytes > s.cfg.Memory {
		s.pauseAhead()
	}
	for s.buffer.bytes > s.cfg.Memory {
		b := s.buffer.largest()
		if b == nil {
			return nil // what is left belongs to the step in work
		}
		if err := s.spill(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) spill(ctx context.Context, b *bucket) error {
	if s.buffer.spilled+b.bytes > s.cfg.SpillQuota {
		return &RefusedError{
			What: fmt.Sprintf("pipeline %s: one step needs more than the %d bytes of local runs that it may use", s.cfg.Name, s.cfg.SpillQuota),
			Hint: "raise window.spill_quota, or lower the source's slice_bytes so that steps are smaller",
		}
	}
	run := spillRun{path: filepath.Join(s.cfg.dir(runsFolder), uuid.NewString()+".run")}
	var err error
	if run.bytes, err = s.state.spill(ctx, run.path, b); err != nil {
		return fmt.Errorf("writing a local run of topic %s: %w", b.key.topic, err)
	}
	s.meter.spilled.Add(ctx, run.bytes, s.attrs)
	s.buffer.moved(b, run)
	failpoint.Hit(failpoint.AfterSpill)
	return nil
}

// pauseAhead stops fetching the partitions that have given the next step all they have.
func (s *session) pauseAhead() {
	w, ok := s.order.due()
	if !ok {
		return
	}
	pause := map[string][]int32{}
	for _, src := range s.order.sources {
		for topic, parts := range src.parts {
			for i, p := range parts {
				if p.sealed != nil && p.final && !p.sealed.end.Before(w) {
					name := s.client.Name(topic)
					pause[name] = append(pause[name], int32(i))
				}
			}
		}
	}
	if len(pause) > 0 {
		s.client.PauseFetchPartitions(pause)
		s.paused = true
	}
}

// resume lets everything be fetched again, once there is room or the next step may need it.
func (s *session) resume() {
	if s.paused {
		s.client.ResumeFetchPartitions(s.client.PauseFetchPartitions(nil))
		s.paused = false
	}
}

// linkOf is the span that produced the batch, from the record's traceparent header.
func linkOf(ctx context.Context, r *kgo.Record) trace.SpanContext {
	for _, h := range r.Headers {
		if h.Key == "traceparent" {
			c := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": string(h.Value)})
			return trace.SpanContextFromContext(c)
		}
	}
	return trace.SpanContext{}
}

// learn reads the registry topic to its end and begins to read the partitions that it names. It runs before reading
// starts, and when a seal names a version that is not known.
func (s *session) learn(ctx context.Context) error {
	registries, err := s.readRegistry(ctx)
	if err != nil {
		return err
	}
	have, err := s.generations(ctx, registries)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.have = have
	parts, err := s.order.learn(registries...)
	if err != nil {
		return err
	}
	sources := s.sourceOf()
	add := map[string]map[int32]kgo.Offset{}
	for _, p := range parts {
		s.topics[p.topic] = sources[p.topic]
		name := s.client.Name(p.topic)
		if add[name] == nil {
			add[name] = map[int32]kgo.Offset{}
		}
		add[name][int32(p.partition)] = kgo.NewOffset().At(p.offset)
	}
	if len(add) > 0 {
		s.client.AddConsumePartitions(add)
	}
	s.news = true
	return nil
}
