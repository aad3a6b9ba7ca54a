package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Range is a part of a partition: offsets in [From, To).
type Range struct {
	Topic     string // plain name
	Partition int
	From, To  int64
}

// Read calls fn with every record of the ranges, in order within each. It returns when all have been read to their end.
// The record at To-1 must exist (it does when To is a partition's end). fn gets the index of the range.
func Read(ctx context.Context, cfg Config, ranges []Range, fn func(i int, r *kgo.Record) error) error {
	type place struct {
		topic     string
		partition int32
	}
	at := map[string]map[int32]kgo.Offset{}
	left := map[place]int{}
	for i, r := range ranges {
		if r.From >= r.To {
			continue
		}
		name := cfg.Prefix + r.Topic
		if at[name] == nil {
			at[name] = map[int32]kgo.Offset{}
		}
		at[name][int32(r.Partition)] = kgo.NewOffset().At(r.From)
		left[place{name, int32(r.Partition)}] = i
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := New(cfg, kgo.ConsumePartitions(at))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			where := place{r.Topic, r.Partition}
			i, reading := left[where]
			if !reading || r.Offset >= ranges[i].To {
				continue
			}
			if err := fn(i, r); err != nil {
				return err
			}
			if r.Offset == ranges[i].To-1 {
				delete(left, where)
				cl.PauseFetchPartitions(map[string][]int32{r.Topic: {r.Partition}})
			}
		}
	}
	return nil
}

// ReadPartition is Read for one partition.
func ReadPartition(ctx context.Context, cfg Config, topic string, partition int, from, to int64, fn func(*kgo.Record) error) error {
	return Read(ctx, cfg, []Range{{topic, partition, from, to}}, func(_ int, r *kgo.Record) error { return fn(r) })
}

// Follow calls fn with the records of a partition from an offset on, those that come included, until fn returns false or ctx
// ends.
func Follow(ctx context.Context, cfg Config, topic string, partition int, from int64, fn func(*kgo.Record) bool) error {
	at := map[string]map[int32]kgo.Offset{cfg.Prefix + topic: {int32(partition): kgo.NewOffset().At(from)}}
	cl, err := New(cfg, kgo.ConsumePartitions(at))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if !fn(it.Next()) {
				return nil
			}
		}
	}
}

// ReadAll returns all records of a small topic with one partition, up to its present end. A topic that is not there is
// empty.
func ReadAll(ctx context.Context, cfg Config, topic string) ([]*kgo.Record, error) {
	cl, err := New(cfg)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	have, err := partitionCounts(ctx, cl, []string{cl.Name(topic)})
	if err != nil {
		return nil, err
	}
	if _, ok := have[cl.Name(topic)]; !ok {
		return nil, nil
	}
	bounds, err := Offsets(ctx, cl, topic)
	if err != nil {
		return nil, fmt.Errorf("reading topic %s: %w", cl.Name(topic), err)
	}
	var out []*kgo.Record
	err = ReadPartition(ctx, cfg, topic, 0, bounds[topic][0].Start, bounds[topic][0].End, func(r *kgo.Record) error {
		out = append(out, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading topic %s: %w", cl.Name(topic), err)
	}
	return out, nil
}

// fetchError returns ctx's error or the first error of the fetches that does not go away by itself.
func fetchError(ctx context.Context, fetches kgo.Fetches) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return fmt.Errorf("reading partition %d of topic %s: the records asked for have been trimmed or the topic was made anew: %w", e.Partition, e.Topic, e.Err)
		case e.Topic != "" && !kerr.IsRetriable(e.Err):
			return fmt.Errorf("reading partition %d of topic %s: %w", e.Partition, e.Topic, e.Err)
		case e.Topic == "":
			return fmt.Errorf("reading: %w", e.Err)
		}
	}
	return nil
}
