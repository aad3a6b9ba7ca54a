package dynamofake_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// Writers, scans, readers and a script at the same time: each item's versions come out in order, once, whatever splits.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 2, Seed: 3})
	arn := r.table("sessions")
	const writers, versions = 4, 100
	var wg, scans sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for v := range versions {
				_, err := r.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: ptr("sessions"), Item: attrs{"id": str(fmt.Sprint(w)), "n": num(strconv.Itoa(v)), "tags": set("a", "b", "c")}})
				if err != nil {
					t.Error(err)
					return
				}
				if w == 0 && v%25 == 24 {
					if err := r.srv.Split("sessions", ""); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	scans.Go(func() {
		for range 100 {
			select {
			case <-done:
				return
			default:
			}
			if _, err := r.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: ptr("sessions")}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	next := map[string]int{}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	follow(t, r, arn, finished, func(rec st.Record) {
		id, _ := rec.Dynamodb.Keys["id"].(*st.AttributeValueMemberS)
		n, _ := rec.Dynamodb.NewImage["n"].(*st.AttributeValueMemberN)
		if n.Value != strconv.Itoa(next[id.Value]) {
			t.Errorf("item %s: version %s, want %d", id.Value, n.Value, next[id.Value])
		}
		next[id.Value]++
	})
	close(done)
	scans.Wait()
	for w := range writers {
		if got := next[fmt.Sprint(w)]; got != versions {
			t.Errorf("item %d: %d versions, want %d", w, got, versions)
		}
	}
}

// follow reads a stream as a reader must, a shard after its parent, until the writers have finished and all is read.
func follow(t *testing.T, r *rig, arn string, finished <-chan struct{}, take func(st.Record)) {
	t.Helper()
	places, ended := map[string]*string{}, map[string]bool{}
	for last := false; ; {
		select {
		case <-finished:
			if last {
				return
			}
			last = true // one more round: all was written before it
		default:
		}
		shards, _ := r.describe(arn)
		for _, sh := range shards {
			id := *sh.ShardId
			if parent := aws.ToString(sh.ParentShardId); ended[id] || parent != "" && !ended[parent] {
				continue
			}
			if places[id] == nil {
				places[id] = r.horizon(arn, id)
			}
			records, next := r.read(places[id])
			for _, rec := range records {
				take(rec)
			}
			places[id], ended[id] = next, next == nil
		}
	}
}
