package window

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/kafka"
)

// env is what a pipeline asks of the log. Topic names are plain.
type env struct {
	identify func(ctx context.Context, topics ...string) (kafka.Identity, error)
	claim    func(ctx context.Context, unit, owner string) (int64, error)
	// readAll returns the records of a small topic with one partition, up to its present end.
	readAll func(ctx context.Context, topic string) ([]*kgo.Record, error)
	bounds  func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error)
	// follow begins to read: nothing, until partitions are added.
	follow func() (follower, error)
}

// follower reads partitions as they grow. A kafka.Client is one.
type follower interface {
	PollRecords(ctx context.Context, most int) kgo.Fetches
	AddConsumePartitions(partitions map[string]map[int32]kgo.Offset)
	PauseFetchPartitions(partitions map[string][]int32) map[string][]int32
	ResumeFetchPartitions(partitions map[string][]int32)
	PurgeTopicsFromClient(topics ...string)
	Close()
	// Name is the topic's name on the cluster, Plain the reverse.
	Name(topic string) string
	Plain(name string) string
}

// kafkaEnv is the log on a Kafka cluster.
func kafkaEnv(cfg kafka.Config) *env {
	return &env{
		identify: func(ctx context.Context, topics ...string) (kafka.Identity, error) {
			return with(cfg, func(cl *kafka.Client) (kafka.Identity, error) { return kafka.Identify(ctx, cl, topics...) })
		},
		claim: func(ctx context.Context, unit, owner string) (int64, error) {
			return with(cfg, func(cl *kafka.Client) (int64, error) { return kafka.Claim(ctx, cl, unit, owner) })
		},
		readAll: func(ctx context.Context, topic string) ([]*kgo.Record, error) { return kafka.ReadAll(ctx, cfg, topic) },
		bounds: func(ctx context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			return with(cfg, func(cl *kafka.Client) (map[string][]kafka.Bounds, error) { return kafka.Offsets(ctx, cl, topics...) })
		},
		follow: func() (follower, error) { return kafka.New(cfg, kgo.FetchMaxWait(fetchWait)) },
	}
}

// with calls fn with a client of its own.
func with[T any](cfg kafka.Config, fn func(cl *kafka.Client) (T, error)) (none T, _ error) {
	cl, err := kafka.New(cfg)
	if err != nil {
		return none, err
	}
	defer cl.Close()
	return fn(cl)
}
