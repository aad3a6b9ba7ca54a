package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/kafka"
)

// mark is a checkpoint on its way: it is written when all that it covers is acknowledged.
type mark struct {
	point *Checkpoint   // nil: only the acknowledgement is waited for
	parts []*part       // in the order of last
	last  []*sent       // the last record of each partition below the mark, set by the encoder
	done  chan struct{} // closed when the checkpoint is durable; may be nil
}

// mark flushes everything and puts a mark behind it. Only at a group's end, and never while replaying: the log then
// reaches beyond the position (invariant 5).
func (w *Writer) mark(ctx context.Context, now time.Time, done chan struct{}) error {
	if err := w.flush(ctx, "checkpoint", w.dirty...); err != nil {
		return err
	}
	w.number++
	c := &Checkpoint{
		Source: w.cfg.Source, Epoch: w.epoch, Number: w.number, Position: w.end, State: w.state, Ordinal: w.ordinal,
		Window: w.open.window.Start, Slice: w.open.slice, Stamp: w.s.stamp, AsOf: w.asOf, Late: w.s.late, MaxLate: w.s.maxLate,
		Registry: w.reg.current.Version, Partitions: make(map[string][]PartMark, len(w.topics)),
		Loads: maps.Clone(w.loads), LoadCounts: maps.Clone(w.loadCounts), Parked: maps.Clone(w.parked), Requests: maps.Clone(w.done), Exchanged: slices.Sorted(maps.Keys(w.exchanged)), Log: w.log, At: now.UTC(),
	}
	for _, p := range w.parts {
		c.Partitions[p.topic] = append(c.Partitions[p.topic], PartMark{Seq: p.seq, Rows: p.rows, Epoch: w.epoch})
	}
	w.changed, w.due, w.nextMark = false, false, now.Add(w.cfg.CheckpointEvery)
	w.markBusy.Store(true)
	return w.enqueue(ctx, &mark{point: c, parts: w.parts[:len(w.parts):len(w.parts)], done: done})
}

// checkpointNow marks a checkpoint and waits until it is durable.
func (w *Writer) checkpointNow(ctx context.Context) error {
	done := make(chan struct{})
	if err := w.mark(ctx, w.cfg.Now(), done); err != nil {
		return err
	}
	return w.await(ctx, done)
}

// durable waits until everything that was given to the encoder is acknowledged.
func (w *Writer) durable(ctx context.Context) error {
	done := make(chan struct{})
	if err := w.enqueue(ctx, &mark{parts: w.parts[:len(w.parts):len(w.parts)], done: done}); err != nil {
		return err
	}
	return w.await(ctx, done)
}

func (w *Writer) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-w.failed:
		return w.failErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do notes, in the encoder's order, what the last records below the mark are.
func (m *mark) do(ctx context.Context, w *Writer) error {
	m.last = make([]*sent, len(m.parts))
	for i, p := range m.parts {
		m.last[i] = p.last
	}
	select {
	case w.marks <- m:
	case <-ctx.Done():
	}
	return nil
}

// checkpoints is the checkpointer.
func (w *Writer) checkpoints(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-w.marks:
			if err := w.acknowledged(ctx, m); err != nil {
				return err
			}
			if m.point != nil {
				if err := w.env.writeCheckpoint(ctx, m.point); err != nil {
					return err
				}
				w.markBusy.Store(false)
			}
			if m.done != nil {
				close(m.done)
			}
		}
	}
}

// acknowledged waits until every record below the mark is acknowledged (invariant 5), and notes their offsets.
func (w *Writer) acknowledged(ctx context.Context, m *mark) error {
	at := map[string]int{}
	for i, p := range m.parts {
		for m.last[i].next.Load() == 0 {
			select {
			case <-w.poke:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if m.point != nil {
			m.point.Partitions[p.topic][at[p.topic]].Offset = m.last[i].next.Load()
			at[p.topic]++
		}
	}
	return nil
}

func checkpointKey(source string, epoch int64) string { return fmt.Sprintf("%s@%d", source, epoch) }

// sourceOf is the reverse of checkpointKey.
func sourceOf(key string) string { return key[:max(0, strings.LastIndexByte(key, '@'))] }

func (e *env) writeCheckpoint(ctx context.Context, c *Checkpoint) error {
	v, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	if _, err := e.appendAll(ctx, entry{topic: PositionsTopic, key: []byte(checkpointKey(c.Source, c.Epoch)), value: v}); err != nil {
		return fmt.Errorf("writing checkpoint: %w", err)
	}
	return nil
}

// Floors are the offsets, by topic and partition, from which a new owner of each source would read. The log may be trimmed
// up to there and no further, whatever pipelines are done with.
func Floors(ctx context.Context, cfg kafka.Config) (map[string][]int64, error) {
	points, err := Checkpoints(ctx, cfg)
	if err != nil {
		return nil, err
	}
	out := map[string][]int64{}
	for _, c := range points {
		for topic, marks := range c.Partitions {
			for _, m := range marks {
				out[topic] = append(out[topic], m.Offset)
			}
		}
	}
	return out, nil
}

// Checkpoints reads the checkpoint that counts of every source.
func Checkpoints(ctx context.Context, cfg kafka.Config) (map[string]Checkpoint, error) {
	records, err := readKeyed(ctx, cfg, PositionsTopic)
	if err != nil {
		return nil, err
	}
	out := map[string]Checkpoint{}
	for _, r := range records {
		source := sourceOf(r.key)
		if _, known := out[source]; known {
			continue
		}
		c, _, err := newestCheckpoint(source, records)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out[source] = *c
		}
	}
	return out, nil
}

// newestCheckpoint picks the checkpoint that counts among the records of the positions topic: that of the highest epoch,
// and of those the highest number. It also lists the keys of the source's other epochs. nil when there is none.
func newestCheckpoint(source string, records []keyed) (*Checkpoint, []string, error) {
	var best *Checkpoint
	keys := map[string]bool{}
	for _, r := range records {
		if sourceOf(r.key) != source {
			continue
		}
		keys[r.key] = r.value != nil
		if r.value == nil {
			continue
		}
		var c Checkpoint
		if err := json.Unmarshal(r.value, &c); err != nil {
			return nil, nil, fmt.Errorf("reading checkpoint %s at offset %d of topic %s: %w", r.key, r.offset, PositionsTopic, err)
		}
		if c.Source == source && (best == nil || c.Epoch > best.Epoch || c.Epoch == best.Epoch && c.Number >= best.Number) {
			best = &c
		}
	}
	var old []string
	for k, live := range keys {
		if live && (best == nil || k != checkpointKey(source, best.Epoch)) {
			old = append(old, k)
		}
	}
	slices.Sort(old)
	return best, old, nil
}
