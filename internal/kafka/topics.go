package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic describes a topic that must exist.
type Topic struct {
	Name        string
	Partitions  int
	Replication int  // 0: the cluster's default
	Compacted   bool // keep the last value of each key; otherwise everything is kept until it is trimmed
}

// EnsureTopics creates the topics that are missing. A topic that exists with another number of partitions is an error:
// rows are placed by the hash of their key, so the number can't change under them.
func EnsureTopics(ctx context.Context, cl *Client, topics ...Topic) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = cl.Name(t.Name)
	}
	have, err := partitionCounts(ctx, cl, names)
	if err != nil {
		return err
	}
	for _, t := range topics {
		if n, ok := have[cl.Name(t.Name)]; ok {
			err = checkPartitions(cl.Name(t.Name), n, t.Partitions)
		} else {
			err = createTopic(ctx, cl, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partitionCounts asks the cluster, not the client's cache, for the named topics; nil names means all. Topics that are
// not there are left out.
func partitionCounts(ctx context.Context, cl *Client, names []string) (map[string]int, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, cl.Client)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	out := map[string]int{}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case t.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition):
		case err != nil && !kerr.IsRetriable(err):
			return nil, fmt.Errorf("listing topic %s: %w", *t.Topic, err)
		default:
			out[*t.Topic] = len(t.Partitions)
		}
	}
	return out, nil
}

func createTopic(ctx context.Context, cl *Client, t Topic) error {
	text := func(s string) *string { return &s }
	configs := map[string]*string{"cleanup.policy": text("delete"), "retention.ms": text("-1"), "retention.bytes": text("-1")}
	if t.Compacted {
		configs["cleanup.policy"] = text("compact")
	}
	if t.Replication >= 3 { // the cluster's default is usually 1: then acks=all is content with the leader alone
		configs["min.insync.replicas"] = text("2")
	}
	replication := int16(t.Replication)
	if replication == 0 {
		replication = -1
	}
	_, err := cl.admin().CreateTopic(ctx, int32(t.Partitions), replication, configs, cl.Name(t.Name))
	if errors.Is(err, kerr.TopicAlreadyExists) { // another owner was quicker
		return madeElsewhere(ctx, cl, t)
	}
	if errors.Is(err, kerr.InvalidReplicationFactor) {
		return fmt.Errorf("creating topic %s: the cluster has fewer brokers than the %d copies that its topics should have: set log.replication in tidemill.yaml to what it can keep (1 on a single broker, where a lost disk loses the log), or add brokers", cl.Name(t.Name), t.Replication)
	}
	if err != nil {
		return fmt.Errorf("creating topic %s with %d partitions and replication factor %d: %w", cl.Name(t.Name), t.Partitions, t.Replication, err)
	}
	return nil
}

// appearance is how long a topic that the controller has made may stay unknown to a broker that is busy.
const appearance = 30 * time.Second

// madeElsewhere checks a topic that somebody else has just made. The controller knows it before the brokers do.
func madeElsewhere(ctx context.Context, cl *Client, t Topic) error {
	name := cl.Name(t.Name)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		have, err := partitionCounts(ctx, cl, []string{name})
		if err != nil {
			return err
		}
		if n, ok := have[name]; ok {
			return checkPartitions(name, n, t.Partitions)
		}
		if time.Since(began) > appearance {
			return fmt.Errorf("topic %s was created by another owner, and no broker has shown it within %s", name, appearance)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func checkPartitions(name string, have, want int) error {
	if have != want {
		return fmt.Errorf("topic %s has %d partitions where %d are expected; the number of a topic that holds rows can't change: set log.partitions back", name, have, want)
	}
	return nil
}

// Bounds are the first and the next offset of a partition.
type Bounds struct{ Start, End int64 }

// propagation is how long a new topic may be unknown to some broker, or to a client's cache.
const propagation = 2 * time.Second

// Offsets reads the bounds of every partition of the topics, by plain topic name and partition.
func Offsets(ctx context.Context, cl *Client, topics ...string) (map[string][]Bounds, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		out, err := offsets(ctx, cl, topics)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || time.Since(began) > propagation {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func offsets(ctx context.Context, cl *Client, topics []string) (map[string][]Bounds, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = cl.Name(t)
	}
	starts, err := cl.admin().ListStartOffsets(ctx, names...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing start offsets: %w", err)
	}
	ends, err := cl.admin().ListEndOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("listing end offsets: %w", err)
	}
	out := map[string][]Bounds{}
	for i, name := range names {
		b := make([]Bounds, len(ends[name]))
		for p := range b {
			s, begun := starts.Lookup(name, int32(p))
			e, ended := ends.Lookup(name, int32(p))
			if !begun || !ended {
				return nil, fmt.Errorf("listing offsets of partition %d of topic %s: %w", p, name, kerr.UnknownTopicOrPartition)
			}
			b[p] = Bounds{s.Offset, e.Offset}
		}
		if len(b) == 0 {
			return nil, fmt.Errorf("listing offsets of topic %s: %w", name, kerr.UnknownTopicOrPartition)
		}
		out[topics[i]] = b
	}
	return out, nil
}

// Topics lists the plain names of the topics that begin with the given text.
func Topics(ctx context.Context, cl *Client, beginning string) ([]string, error) {
	have, err := partitionCounts(ctx, cl, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for name := range have {
		if strings.HasPrefix(name, cl.Name(beginning)) {
			out = append(out, cl.Plain(name))
		}
	}
	slices.Sort(out)
	return out, nil
}

// Trim gives the records below the offsets back to the broker. Offsets are by plain topic name and partition, 0 means
// nothing. The last record of a partition always stays (invariant 3).
func Trim(ctx context.Context, cl *Client, below map[string][]int64) error {
	names := make([]string, 0, len(below))
	for t := range below {
		names = append(names, t)
	}
	if len(names) == 0 {
		return nil
	}
	bounds, err := Offsets(ctx, cl, names...)
	if err != nil {
		return fmt.Errorf("trimming the log: %w", err)
	}
	var req kadm.Offsets
	for t, offsets := range below {
		for p, to := range offsets {
			if p >= len(bounds[t]) {
				return fmt.Errorf("trimming the log: topic %s has no partition %d", t, p)
			}
			if to = min(to, bounds[t][p].End-1); to > bounds[t][p].Start {
				req.AddOffset(cl.Name(t), int32(p), to, -1)
			}
		}
	}
	if len(req) == 0 {
		return nil
	}
	resp, err := cl.admin().DeleteRecords(ctx, req)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("trimming the log: %w", err)
	}
	return nil
}
