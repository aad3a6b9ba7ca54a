package ingest

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/kafka"
)

// Log is what the owner of a source asks of the log, for a log that is not a Kafka cluster: simulations bring their own. Topic
// names are plain; every field must be set.
type Log struct {
	// Claim takes a unit and returns the epoch. Owner is the epoch of a unit's newest claim. Superseded blocks until there is
	// a newer one than epoch, and returns an error then, or until ctx ends.
	Claim      func(ctx context.Context, unit, owner string) (epoch int64, err error)
	Owner      func(ctx context.Context, unit string) (epoch int64, err error)
	Superseded func(ctx context.Context, unit string, epoch int64) error
	// Requested blocks until the record of RequestsTopic at from, or one behind it, is about the source, and returns the
	// offset after it.
	Requested func(ctx context.Context, source string, from int64) (next int64, err error)
	Ensure    func(ctx context.Context, topics ...kafka.Topic) error
	Bounds    func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error)
	Identify  func(ctx context.Context, topics ...string) (kafka.Identity, error)
	// Read calls fn with the records of the ranges, in order within each.
	Read func(ctx context.Context, ranges []kafka.Range, fn func(i int, r *kgo.Record) error) error
	// ReadAll returns the records of a small topic with one partition.
	ReadAll func(ctx context.Context, topic string) ([]*kgo.Record, error)
	// Append appends r and calls done, from any goroutine, with its offset once it is durable. Records of one partition are
	// appended in the order of the calls; after one has failed none of the partition follows. r.Value may be used until then.
	Append func(ctx context.Context, r *kgo.Record, done func(offset int64, err error))
}

// StreamTo is Stream on another log.
func StreamTo(ctx context.Context, cfg Config, l Log, src Source) error {
	return stream(ctx, cfg.withDefaults(), l.env(), src)
}

func (l Log) env() env {
	return env{
		claim: l.Claim, owner: l.Owner, superseded: l.Superseded, requested: l.Requested,
		ensure: l.Ensure, bounds: l.Bounds, identify: l.Identify,
		read: func(ctx context.Context, ranges []kafka.Range, fn func(i int, offset int64, value []byte) error) error {
			return l.Read(ctx, ranges, func(i int, r *kgo.Record) error { return fn(i, r.Offset, r.Value) })
		},
		keyed: func(ctx context.Context, topic string) ([]keyed, error) {
			records, err := l.ReadAll(ctx, topic)
			out := make([]keyed, len(records))
			for i, r := range records {
				out[i] = keyed{r.Offset, string(r.Key), r.Value}
			}
			return out, err
		},
		append: func(ctx context.Context, e entry, done func(int64, error)) {
			l.Append(ctx, &kgo.Record{Topic: e.topic, Partition: int32(e.partition), Key: e.key, Value: e.value, Headers: e.headers}, done)
		},
		close: func() {},
	}
}
