package kafka

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// After a record is refused for good, no later one of its partition is appended: the log of a partition never has a hole.
func TestNothingFollowsARefusedRecord(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.UnknownServerError, kerr.MessageTooLarge, kerr.CorruptMessage, kerr.InvalidRecord, kerr.KafkaStorageError, kerr.NotEnoughReplicas, kerr.RequestTimedOut} {
		t.Run(refusal.Message, func(t *testing.T) {
			e := broker(t, EmbeddedOptions{})
			cl := client(t, e.Config())
			if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 2}); err != nil {
				t.Fatal(err)
			}
			const n = 100
			seen := 0
			e.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: refusal, When: func(kmsg.Request) bool {
				seen++
				return seen == 6
			}})
			var all sync.WaitGroup
			var refused atomic.Int64
			out := NewAppender(cl, 1<<20)
			for i := range n {
				all.Add(1)
				v := binary.BigEndian.AppendUint64(make([]byte, 0, 20_000), uint64(i))
				out.Append(limit(t), &kgo.Record{Topic: "t", Partition: int32(i % 2), Value: v[:cap(v)]}, func(_ int64, err error) {
					if err != nil {
						refused.Add(1)
					}
					all.Done()
				})
			}
			all.Wait()
			bounds, err := Offsets(limit(t), client(t, e.Config()), "t")
			if err != nil {
				t.Fatal(err)
			}
			held := int64(0)
			for p, b := range bounds["t"] {
				next := uint64(p)
				err := ReadPartition(limit(t), e.Config(), "t", p, 0, b.End, func(r *kgo.Record) error {
					if got := binary.BigEndian.Uint64(r.Value); got != next {
						t.Fatalf("partition %d: %d follows %d", p, got, int64(next)-2)
					}
					next += 2
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				held += b.End
			}
			if held+refused.Load() != n {
				t.Errorf("%d records in the log and %d refused, want %d", held, refused.Load(), n)
			}
			passes := kerr.IsRetriable(refusal) && refusal != kerr.CorruptMessage // the client gives up on that one
			if passes != (refused.Load() == 0) {
				t.Errorf("%d records were refused", refused.Load())
			}
		})
	}
}
