package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Squeeze does to a keyed topic of one partition what compaction does: it appends the last value of each key again, waits
// until that is durable, and gives back everything before (invariant 4). A reader meanwhile sees values twice, and may see
// an older value of a key after a newer one that its owner wrote at the same time: values must say which of two is newer.
func Squeeze(ctx context.Context, cfg Config, topic string) error {
	records, err := ReadAll(ctx, cfg, topic)
	if err != nil {
		return err
	}
	last := map[string]*kgo.Record{}
	for _, r := range records {
		last[string(r.Key)] = r
	}
	if len(records) <= 2*len(last) { // nothing much to gain
		return nil
	}
	cl, err := New(cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	var again []*kgo.Record
	for _, r := range records { // in their order
		if last[string(r.Key)] == r && r.Value != nil {
			again = append(again, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value})
		}
	}
	if err := cl.ProduceSync(ctx, again...).FirstErr(); err != nil {
		return fmt.Errorf("squeezing topic %s: %w", cl.Name(topic), err)
	}
	return Trim(ctx, cl, map[string][]int64{topic: {records[len(records)-1].Offset + 1}})
}
