package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/sim"
)

// simLog is the log that the owners of sources and of pipelines share.
type simLog struct {
	*sim.Log
	world *sim.World
	harm  harm
	owner map[*sim.Process]int64 // epochs
}

var errTrimmed = errors.New("the records have been trimmed")

var (
	claimsLane   = sim.Lane{Topic: ingest.ClaimsTopic}
	requestsLane = sim.Lane{Topic: ingest.RequestsTopic}
)

func newSimLog(w *sim.World, h harm) *simLog {
	l := &simLog{sim.NewLog(), w, h, map[*sim.Process]int64{}}
	for _, t := range []string{ingest.ClaimsTopic, ingest.PositionsTopic, ingest.RegistryTopic, ingest.RequestsTopic} {
		l.Ensure(t, 1)
	}
	return l
}

// epoch is that of a unit's newest claim.
func (l *simLog) epoch(unit string) int64 {
	claims := l.Records(claimsLane)
	for n := len(claims) - 1; n >= 0; n-- {
		if claims[n].Key == unit {
			return int64(n) + 1
		}
	}
	return 0
}

func (l *simLog) claim(ctx context.Context, p *sim.Process, unit string) (epoch int64, err error) {
	err = p.Call(ctx, sim.Op{Kind: "claim", Where: unit, Faults: true, Late: true, Do: func() error {
		epoch = l.Append(claimsLane, sim.Record{Key: unit}) + 1
		l.owner[p] = epoch
		return nil
	}})
	return epoch, err
}

// records are those of a partition from an offset on, as a broker gives them.
func (l *simLog) records(at sim.Lane, from, to int64) []*kgo.Record {
	var out []*kgo.Record
	for n, r := range l.Records(at)[from:to] {
		out = append(out, &kgo.Record{Topic: at.Topic, Partition: int32(at.Partition), Offset: from + int64(n), Key: []byte(r.Key), Value: r.Value})
	}
	return out
}

func (l *simLog) readAll(ctx context.Context, p *sim.Process, topic string) (out []*kgo.Record, err error) {
	return out, p.Call(ctx, sim.Op{Kind: "keyed", Where: topic, Faults: true, Do: func() error {
		records := l.Records(sim.Lane{Topic: topic})
		if topic == ingest.PositionsTopic {
			records = compacted(records)
		}
		for n, r := range records {
			out = append(out, &kgo.Record{Topic: topic, Offset: int64(n), Key: []byte(r.Key), Value: r.Value})
		}
		return nil
	}})
}

func (l *simLog) bounds(ctx context.Context, p *sim.Process, topics []string) (map[string][]kafka.Bounds, error) {
	out := map[string][]kafka.Bounds{}
	return out, p.Call(ctx, sim.Op{Kind: "bounds", Where: fmt.Sprint(len(topics)), Faults: true, Do: func() error {
		for _, t := range topics {
			for n := range l.Partitions(t) {
				at := sim.Lane{Topic: t, Partition: n}
				out[t] = append(out[t], kafka.Bounds{Start: l.Start(at), End: int64(len(l.Records(at)))})
			}
		}
		return nil
	}})
}

// simIdentity is the same for ever: another log of the same name is another test's.
func simIdentity(context.Context, ...string) (kafka.Identity, error) {
	return kafka.Identity{Cluster: "simulated"}, nil
}

// source is the log as the owner of a source sees it.
func (l *simLog) source(p *sim.Process, deaf bool) ingest.Log {
	return ingest.Log{
		Claim:    func(ctx context.Context, unit, _ string) (int64, error) { return l.claim(ctx, p, unit) },
		Identify: simIdentity,
		Owner: func(ctx context.Context, unit string) (epoch int64, err error) {
			return epoch, p.Call(ctx, sim.Op{Kind: "owner", Where: unit, Faults: true, Do: func() error {
				if !l.harm.blind {
					epoch = l.epoch(unit)
				}
				return nil
			}})
		},
		Superseded: func(ctx context.Context, unit string, epoch int64) error {
			if err := p.Call(ctx, sim.Op{Kind: "watch", Where: unit, Ready: func() bool { return !deaf && !l.harm.blind && l.epoch(unit) > epoch }}); err != nil {
				return err
			}
			return fmt.Errorf("%w: simulated", ingest.ErrSuperseded)
		},
		Requested: func(ctx context.Context, source string, from int64) (next int64, err error) {
			return next, p.Call(ctx, sim.Op{Kind: "listen", Where: source, Ready: func() bool {
				i := slices.IndexFunc(l.Records(requestsLane)[from:], func(r sim.Record) bool { return r.Key == source })
				next = from + int64(i) + 1
				return i >= 0
			}})
		},
		Ensure: func(ctx context.Context, topics ...kafka.Topic) error {
			return p.Call(ctx, sim.Op{Kind: "ensure", Where: topics[0].Name, Faults: true, Do: func() error {
				for _, t := range topics {
					l.Ensure(t.Name, t.Partitions)
				}
				return nil
			}})
		},
		Bounds: func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			return l.bounds(ctx, p, topics)
		},
		Read: func(ctx context.Context, ranges []kafka.Range, fn func(int, *kgo.Record) error) error {
			for i, r := range ranges {
				at := sim.Lane{Topic: r.Topic, Partition: r.Partition}
				if i == 0 {
					if err := p.Call(ctx, sim.Op{Kind: "read", Where: at.String(), Faults: true}); err != nil {
						return err
					}
				}
				if r.From < l.Start(at) {
					return fmt.Errorf("reading %s from offset %d: %w up to %d", at, r.From, errTrimmed, l.Start(at))
				}
				for _, rec := range l.records(at, r.From, r.To) {
					if err := fn(i, rec); err != nil {
						return err
					}
				}
			}
			return nil
		},
		ReadAll: func(ctx context.Context, topic string) ([]*kgo.Record, error) { return l.readAll(ctx, p, topic) },
		Append: func(_ context.Context, r *kgo.Record, done func(int64, error)) {
			at := sim.Lane{Topic: r.Topic, Partition: int(r.Partition)}
			rec := sim.Record{Key: string(r.Key), Value: slices.Clone(r.Value)}
			if l.harm.hasty && l.Partitions(at.Topic) > 1 && rec.Value[8] != byte(ingest.EpochRecord) {
				done(int64(len(l.Records(at))), nil)
				done = func(int64, error) {}
			}
			p.Post(at, sim.Flight{
				Do: func() int64 { return l.harm.append(l.Log, at, rec) }, Done: done, Twice: rec.Key == "" && len(rec.Value) > 0,
				Detail: func() string { return describeRecord(rec) },
			})
		},
	}
}

// pipeline is the log as the owner of a pipeline sees it.
func (l *simLog) pipeline(p *sim.Process) *env {
	return &env{
		identify: simIdentity,
		claim:    func(ctx context.Context, unit, _ string) (int64, error) { return l.claim(ctx, p, unit) },
		readAll:  func(ctx context.Context, topic string) ([]*kgo.Record, error) { return l.readAll(ctx, p, topic) },
		bounds: func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			return l.bounds(ctx, p, topics)
		},
		follow: func() (follower, error) {
			return &simFollower{log: l, p: p, next: map[sim.Lane]int64{}, paused: map[sim.Lane]bool{}}, nil
		},
	}
}

// simFollower gives what has been appended in lots of any size, from any of the partitions.
type simFollower struct {
	log    *simLog
	p      *sim.Process
	next   map[sim.Lane]int64
	paused map[sim.Lane]bool
	lanes  []sim.Lane // in order
}

func (f *simFollower) Name(topic string) string { return topic }
func (f *simFollower) Plain(name string) string { return name }
func (f *simFollower) Close()                   {}

func (f *simFollower) PurgeTopicsFromClient(...string) {}

func (f *simFollower) AddConsumePartitions(partitions map[string]map[int32]kgo.Offset) {
	for topic, parts := range partitions {
		for n, o := range parts {
			at := sim.Lane{Topic: topic, Partition: int(n)}
			f.next[at] = o.EpochOffset().Offset
			f.lanes = append(f.lanes, at)
		}
	}
	slices.SortFunc(f.lanes, func(a, b sim.Lane) int { return strings.Compare(a.String(), b.String()) })
}

func (f *simFollower) PauseFetchPartitions(partitions map[string][]int32) map[string][]int32 {
	for topic, parts := range partitions {
		for _, n := range parts {
			f.paused[sim.Lane{Topic: topic, Partition: int(n)}] = true
		}
	}
	out := map[string][]int32{}
	for at := range f.paused {
		out[at.Topic] = append(out[at.Topic], int32(at.Partition))
	}
	return out
}

func (f *simFollower) ResumeFetchPartitions(map[string][]int32) { clear(f.paused) }

// grown lists the partitions that have something to give.
func (f *simFollower) grown() (out []sim.Lane) {
	for _, at := range f.lanes {
		if !f.paused[at] && f.next[at] < int64(len(f.log.Records(at))) {
			out = append(out, at)
		}
	}
	return out
}

func (f *simFollower) PollRecords(ctx context.Context, most int) (out kgo.Fetches) {
	what := ""
	err := f.p.Call(ctx, sim.Op{Kind: "fetch", Ready: func() bool { return len(f.grown()) > 0 }, Detail: func() string { return what }, Do: func() error {
		lanes := f.grown()
		must := f.log.world.Rand.IntN(len(lanes))
		for i, at := range lanes {
			if i != must && f.log.world.Rand.IntN(2) == 0 {
				continue
			}
			end := int64(len(f.log.Records(at)))
			p := kgo.FetchPartition{Partition: int32(at.Partition)}
			if f.next[at] < f.log.Start(at) {
				p.Err = kerr.OffsetOutOfRange
			} else {
				n := min(1+int64(f.log.world.Rand.IntN(int(end-f.next[at]))), int64(most))
				p.Records = f.log.records(at, f.next[at], f.next[at]+n)
				f.next[at] += n
			}
			what += fmt.Sprintf(" %s<%d", at, f.next[at])
			out = append(out, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: at.Topic, Partitions: []kgo.FetchPartition{p}}}})
		}
		return nil
	}})
	if err != nil {
		return kgo.NewErrFetch(err)
	}
	return out
}

func describeRecord(r sim.Record) string {
	if r.Key != "" {
		var c ingest.Checkpoint
		if json.Unmarshal(r.Value, &c) == nil && c.Number > 0 {
			return fmt.Sprintf("checkpoint %s number %d at %s, %s.%d, registry %d", r.Key, c.Number, c.Position, c.Window.Format("15:04:05"), c.Slice, c.Registry)
		}
		return r.Key
	}
	h, _, err := ingest.ParseRecord(r.Value)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s.%d epoch %d: seq %d rows %d at %s, flags %d",
		map[ingest.RecordKind]string{ingest.BatchRecord: "batch", ingest.SealRecord: "SEAL", ingest.EpochRecord: "EPOCH"}[h.Kind], h.Window.Format("15:04:05"), h.Slice, h.Epoch, h.Seq, h.Rows, h.Position, h.Flags)
}

// ask appends a request, as a daemon does that owns nothing.
func (l *simLog) ask(r ingest.Request) {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	l.Append(requestsLane, sim.Record{Key: r.Source, Value: text})
}

// compacted is what compaction leaves of a keyed topic.
func compacted(records []sim.Record) (out []sim.Record) {
	last := map[string]int{}
	for n, r := range records {
		last[r.Key] = n
	}
	for n, r := range records {
		if last[r.Key] == n {
			out = append(out, r)
		}
	}
	return out
}

// checkpoints are those that count, by source.
func (l *simLog) checkpoints() map[string]ingest.Checkpoint {
	out := map[string]ingest.Checkpoint{}
	for _, r := range compacted(l.Records(sim.Lane{Topic: ingest.PositionsTopic})) {
		var c ingest.Checkpoint
		if r.Value == nil || json.Unmarshal(r.Value, &c) != nil {
			continue
		}
		if old, has := out[c.Source]; !has || c.Epoch > old.Epoch || c.Epoch == old.Epoch && c.Number >= old.Number {
			out[c.Source] = c
		}
	}
	return out
}

// floors are the offsets from which a new owner of a source would read.
func (l *simLog) floors() map[sim.Lane]int64 {
	out := map[sim.Lane]int64{}
	for _, c := range l.checkpoints() {
		for topic, marks := range c.Partitions {
			for n, m := range marks {
				out[sim.Lane{Topic: topic, Partition: n}] = m.Offset
			}
		}
	}
	return out
}
