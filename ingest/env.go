package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/kafka"
)

// env is what the Writer asks of the log. Topic names are plain.
type env struct {
	// claim takes the unit and returns the epoch, owner is the epoch of its newest claim; superseded blocks until
	// somebody else has taken it, or ctx ends.
	claim      func(ctx context.Context, unit, owner string) (int64, error)
	owner      func(ctx context.Context, unit string) (int64, error)
	superseded func(ctx context.Context, unit string, epoch int64) error
	ensure     func(ctx context.Context, topics ...kafka.Topic) error
	bounds     func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error)
	identify   func(ctx context.Context, topics ...string) (kafka.Identity, error)
	// read calls fn for the records of the ranges, in order within each.
	read func(ctx context.Context, ranges []kafka.Range, fn func(i int, offset int64, value []byte) error) error
	// requested blocks until the topic of requests holds one about the source at from or behind, and returns the offset
	// after it.
	requested func(ctx context.Context, source string, from int64) (int64, error)
	// keyed reads a whole small topic.
	keyed func(ctx context.Context, topic string) ([]keyed, error)
	// append appends a record and calls done, from any goroutine, with its offset once it is durable. Records of one
	// partition are appended in the order of the calls; after one has failed none of the partition follows.
	append func(ctx context.Context, e entry, done func(offset int64, err error))
	close  func()
}

// entry is a record to be appended.
type entry struct {
	topic     string
	partition int
	key       []byte
	value     []byte
	headers   []kgo.RecordHeader
}

// keyed is a record of a keyed topic.
type keyed struct {
	offset int64
	key    string
	value  []byte // nil: deleted
}

// appendAll appends records of any topics and waits until all are durable; it returns their offsets.
func (e *env) appendAll(ctx context.Context, entries ...entry) ([]int64, error) {
	type result struct {
		i      int
		offset int64
		err    error
	}
	results := make(chan result, len(entries))
	for i, x := range entries {
		e.append(ctx, x, func(offset int64, err error) { results <- result{i, offset, err} })
	}
	offsets := make([]int64, len(entries))
	var errs error
	for range entries {
		var r result
		select {
		case r = <-results:
		case <-ctx.Done(): // a broker that is gone must not hold up a stop
			return nil, ctx.Err()
		}
		offsets[r.i] = r.offset
		if r.err != nil && errs == nil {
			errs = fmt.Errorf("appending to topic %s: %w", entries[r.i].topic, r.err)
		}
	}
	return offsets, errs
}

func readKeyed(ctx context.Context, cfg kafka.Config, topic string) ([]keyed, error) {
	records, err := kafka.ReadAll(ctx, cfg, topic)
	if err != nil {
		return nil, err
	}
	out := make([]keyed, len(records))
	for i, r := range records {
		out[i] = keyed{r.Offset, string(r.Key), r.Value}
	}
	return out, nil
}

// claims is what is known of the claims topic. A source that settles looks at it several times a second, and almost never has
// anything come: its end says so, and is asked for on the connection that is there.
type claims struct {
	cl  *kafka.Client
	cfg kafka.Config

	mu     sync.Mutex
	end    int64 // of the topic, before latest was read
	latest map[string]kafka.ClaimRecord
}

// owner is env.owner on a cluster.
func (c *claims) owner(ctx context.Context, unit string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := kafka.Offsets(ctx, c.cl, ClaimsTopic)
	if err != nil {
		return 0, err
	}
	if end := now[ClaimsTopic][0].End; c.latest == nil || end != c.end {
		if c.latest, err = kafka.LatestClaims(ctx, c.cfg); err != nil {
			return 0, err
		}
		c.end = end
	}
	return c.latest[unit].Epoch, nil
}

// kafkaEnv is the log on a Kafka cluster.
func kafkaEnv(cfg kafka.Config, maxBuffered int) (env, error) {
	cl, err := kafka.New(cfg,
		kgo.MaxBufferedRecords(1<<20), // the appender's limit is the one that counts
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(1), kgo.Lz4Compression(), kgo.NoCompression()),
	)
	if err != nil {
		return env{}, err
	}
	out := kafka.NewAppender(cl, maxBuffered)
	return env{
		claim: func(ctx context.Context, unit, owner string) (int64, error) { return kafka.Claim(ctx, cl, unit, owner) },
		owner: (&claims{cl: cl, cfg: cfg}).owner,
		superseded: func(ctx context.Context, unit string, epoch int64) error {
			return kafka.WatchClaim(ctx, cfg, unit, epoch)
		},
		requested: func(ctx context.Context, source string, from int64) (int64, error) {
			return awaitRequest(ctx, cfg, source, from)
		},
		ensure: func(ctx context.Context, topics ...kafka.Topic) error { return kafka.EnsureTopics(ctx, cl, topics...) },
		bounds: func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			return kafka.Offsets(ctx, cl, topics...)
		},
		identify: func(ctx context.Context, topics ...string) (kafka.Identity, error) {
			return kafka.Identify(ctx, cl, topics...)
		},
		read: func(ctx context.Context, ranges []kafka.Range, fn func(i int, offset int64, value []byte) error) error {
			return kafka.Read(ctx, cfg, ranges, func(i int, r *kgo.Record) error { return fn(i, r.Offset, r.Value) })
		},
		keyed: func(ctx context.Context, topic string) ([]keyed, error) { return readKeyed(ctx, cfg, topic) },
		append: func(ctx context.Context, e entry, done func(int64, error)) {
			r := &kgo.Record{Topic: e.topic, Partition: int32(e.partition), Key: e.key, Value: e.value, Headers: e.headers}
			out.Append(ctx, r, func(offset int64, err error) {
				if errors.Is(err, kgo.ErrClientClosed) {
					err = errors.Join(err, context.Canceled)
				}
				done(offset, err)
			})
		},
		close: cl.Close,
	}, nil
}
