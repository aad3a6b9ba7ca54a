package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/sim"
)

var errCrash = errors.New("crashed")

// simLog is a log in memory whose owners are processes of a simulated world.
type simLog struct {
	*sim.Log
	world *sim.World // nil: no faults
	harm  harm
	asked int
	wrong error // a checkpoint was ahead of the log
}

var (
	claimsLane   = sim.Lane{Topic: ClaimsTopic}
	requestsLane = sim.Lane{Topic: RequestsTopic}
)

func newSimLog() *simLog {
	l := &simLog{Log: sim.NewLog()}
	for _, t := range []string{ClaimsTopic, PositionsTopic, RegistryTopic, RequestsTopic} {
		l.Ensure(t, 1)
	}
	return l
}

// ask appends a request, as a daemon does that owns nothing.
func (l *simLog) ask(r Request) {
	l.asked++
	r.ID = fmt.Sprint("request-", l.asked)
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	l.Append(requestsLane, sim.Record{Value: text})
}

// epoch is that of the newest claim.
func (l *simLog) epoch() int64 { return int64(len(l.Records(claimsLane))) }

// env is the log as the process p sees it. One that is deaf does not notice that it is superseded.
func (l *simLog) env(p *sim.Process, deaf bool) env {
	call := func(ctx context.Context, kind, where string, do func()) error {
		return p.Call(ctx, sim.Op{Kind: kind, Where: where, Faults: true, Do: func() error { do(); return nil }})
	}
	return env{
		claim: func(ctx context.Context, unit, _ string) (epoch int64, err error) {
			err = p.Call(ctx, sim.Op{Kind: "claim", Where: unit, Faults: true, Late: true, Do: func() error {
				epoch = l.Append(claimsLane, sim.Record{Key: unit}) + 1
				if l.world != nil && l.world.Fault(40) {
					l.Append(claimsLane, sim.Record{Key: unit})
				}
				return nil
			}})
			return epoch, err
		},
		owner: func(ctx context.Context, unit string) (epoch int64, err error) {
			err = call(ctx, "owner", unit, func() { epoch = l.epoch() })
			if l.harm.blind {
				epoch = 0
			}
			return epoch, err
		},
		superseded: func(ctx context.Context, unit string, epoch int64) error {
			err := p.Call(ctx, sim.Op{Kind: "watch", Where: unit, Ready: func() bool { return !deaf && !l.harm.blind && l.epoch() > epoch }})
			if err == nil {
				err = fmt.Errorf("%w: test", ErrSuperseded)
			}
			return err
		},
		requested: func(ctx context.Context, source string, from int64) (next int64, err error) {
			about := func(r sim.Record) bool {
				_, ours := parseRequest(source, r.Value)
				return ours
			}
			err = p.Call(ctx, sim.Op{Kind: "listen", Ready: func() bool {
				i := slices.IndexFunc(l.Records(requestsLane)[from:], about)
				next = from + int64(i) + 1
				return i >= 0
			}})
			return next, err
		},
		ensure: func(ctx context.Context, topics ...kafka.Topic) error {
			return call(ctx, "ensure", topics[0].Name, func() {
				for _, t := range topics {
					l.Ensure(t.Name, t.Partitions)
				}
			})
		},
		identify: func(context.Context, ...string) (kafka.Identity, error) { return kafka.Identity{}, nil },
		bounds: func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			out := map[string][]kafka.Bounds{}
			return out, call(ctx, "bounds", topics[0], func() {
				for _, t := range topics {
					for n := range l.Partitions(t) {
						out[t] = append(out[t], kafka.Bounds{End: int64(len(l.Records(sim.Lane{Topic: t, Partition: n})))})
					}
				}
			})
		},
		read: func(ctx context.Context, ranges []kafka.Range, fn func(int, int64, []byte) error) error {
			for i, r := range ranges {
				at := sim.Lane{Topic: r.Topic, Partition: r.Partition}
				var records []sim.Record
				if i%4 == 0 { // partitions are read side by side
					if err := call(ctx, "read", at.String(), func() {}); err != nil {
						return err
					}
				}
				records = l.Records(at)[r.From:r.To]
				for n, rec := range records {
					if err := fn(i, r.From+int64(n), rec.Value); err != nil {
						return err
					}
				}
			}
			return nil
		},
		keyed: func(ctx context.Context, topic string) (out []keyed, err error) {
			return out, call(ctx, "keyed", topic, func() {
				records := l.Records(sim.Lane{Topic: topic})
				if topic == PositionsTopic {
					records = compacted(records)
				}
				for n, r := range records {
					out = append(out, keyed{int64(n), r.Key, r.Value})
				}
			})
		},
		append: func(_ context.Context, e entry, done func(int64, error)) {
			at := sim.Lane{Topic: e.topic, Partition: e.partition}
			r := sim.Record{Key: string(e.key), Value: slices.Clone(e.value)}
			f := sim.Flight{
				Do: func() int64 { return l.write(at, r) }, Done: done,
				Twice:  r.Key == "" && len(r.Value) > 0, // the broker's idempotence may fail
				Detail: func() string { return describeRecord(r) },
			}
			if l.harm.hasty && at.Topic != PositionsTopic && at.Topic != RegistryTopic && !isMarker(r.Value) {
				f.Done = func(int64, error) {}
				done(int64(len(l.Records(at))), nil)
			}
			p.Post(at, f)
		},
		close: func() {},
	}
}

// compacted is what compaction leaves of a keyed topic.
func compacted(records []sim.Record) []sim.Record {
	last := map[string]int{}
	for n, r := range records {
		last[r.Key] = n
	}
	var out []sim.Record
	for n, r := range records {
		if last[r.Key] == n {
			out = append(out, r)
		}
	}
	return out
}

// write makes a record durable, unless the log is harmed.
func (l *simLog) write(at sim.Lane, r sim.Record) int64 {
	if at.Topic == PositionsTopic && l.Grown()%3 == 0 { // reading them all takes longer than it finds more
		l.covers(r)
	}
	return l.harm.write(l.Log, at, r)
}

// covers checks that a checkpoint names nothing that is not in the log yet (invariant 5).
func (l *simLog) covers(r sim.Record) {
	var c Checkpoint
	if l.wrong != nil || r.Value == nil || json.Unmarshal(r.Value, &c) != nil {
		return
	}
	for topic, marks := range c.Partitions {
		for n, m := range marks {
			if have := len(l.Records(sim.Lane{Topic: topic, Partition: n})); int(m.Offset) > have {
				l.wrong = fmt.Errorf("checkpoint %s number %d covers %s/%d up to offset %d, the log has %d records", r.Key, c.Number, topic, n, m.Offset, have)
			}
		}
	}
}

func isMarker(value []byte) bool {
	h, _, err := ParseRecord(value)
	return err == nil && h.Kind == EpochRecord
}

func describeRecord(r sim.Record) string {
	if r.Key != "" {
		if r.Value == nil {
			return r.Key + " deleted"
		}
		var c Checkpoint
		if json.Unmarshal(r.Value, &c) == nil && c.Number > 0 {
			return fmt.Sprintf("checkpoint %s number %d at %s, %s.%d, registry %d", r.Key, c.Number, c.Position, c.Window.Format("15:04:05"), c.Slice, c.Registry)
		}
		return r.Key
	}
	h, payload, err := ParseRecord(r.Value)
	if err != nil {
		return err.Error()
	}
	switch h.Kind {
	case EpochRecord:
		return fmt.Sprintf("EPOCH %d", h.Epoch)
	case SealRecord:
		s, err := ParseSeal(payload)
		return fmt.Sprintf("SEAL %s epoch %d: %d rows to seq %d, ordinal %d at %s, registry %d, loads %d %v%v", sliceOf(&h), h.Epoch, h.Rows, h.Seq, h.Ordinal, h.Position, s.Registry, s.Loads, strings.Repeat("final", int(h.Flags&FlagFinal)/int(FlagFinal)), text(err))
	}
	return fmt.Sprintf("batch %s epoch %d: seq %d rows %d, ordinal %d to %s, flags %d", sliceOf(&h), h.Epoch, h.Seq, h.Rows, h.Ordinal, h.Position, h.Flags)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
