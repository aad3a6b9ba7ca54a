package dynamodb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
)

// The rows of the test matrix, by their numbers. What is about values alone is in package item: 11, 12, 13.

const images = types.StreamViewTypeNewAndOldImages

// loaded begins an owner on a table without items, so that all rows come from the stream.
func (r *rig) loaded() *spy {
	r.t.Helper()
	s := r.run(nil)
	r.await(s, "the load", func() bool { return s.loads.Done })
	return s
}

func TestB7Row01PutUpdateSamePut(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	s := r.loaded()
	r.put("a", 0)
	r.put("a", 1)
	r.put("a", 1) // changes nothing, so nothing is in the stream
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if len(rows) != 2 {
		t.Errorf("%d rows", len(rows))
	}
	r.strict(rows, 0)
}

func TestB7Row02OneItemAcrossRotations(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	s := r.loaded()
	for i := range 1000 {
		r.put("a", i)
		if i%250 == 249 {
			r.ok(r.srv.Rotate(table, ""))
		}
	}
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if len(rows) != 1000 {
		t.Errorf("%d rows", len(rows))
	}
	r.strict(rows, 0)
}

// Shards split from 1 to 4 while owners are killed at every kind of call, before it and after it.
func TestB7Row03SplitsAndKills(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t, dynamofake.Options{Seed: seed, Limits: dynamofake.Limits{RecordsPerPage: 20}})
			r.create(images)
			r.pace.rows = 30
			r.end(r.loaded())
			rng := rand.New(rand.NewPCG(seed, 7))
			versions, kills := map[string]int{}, 0
			for round := range 12 {
				lives := 3 + rng.IntN(60)
				at := []string{"", "after "}[rng.IntN(2)] + []string{"Settle", "End", "Begin", "Complete", "Tick"}[rng.IntN(5)]
				s := r.run(func(call string, n int) bool { return n >= lives && call == at || n > lives+200 })
				for range 40 {
					id := fmt.Sprint("item-", rng.IntN(10))
					r.put(id, versions[id])
					versions[id]++
				}
				if round == 3 || round == 7 {
					r.ok(r.srv.Split(table, ""))
				}
				r.fails(s, errKilled.Error())
				kills++
			}
			s := r.run(nil)
			s.loads.Done = true
			r.caughtUp(s)
			r.end(s)
			rows := r.equal()
			if len(rows) != 12*40 {
				t.Errorf("%d rows of %d", len(rows), 12*40)
			}
			r.strict(rows, 0)
		})
	}
}

func TestB7Row04ManyShards(t *testing.T) {
	for _, n := range []int{250, 684} {
		if n > 250 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := newRig(t, dynamofake.Options{})
			r.create(images)
			r.pace.round = 200 * time.Millisecond // as it is: a state of so many shards is large
			s := r.loaded()
			r.ok(r.srv.SplitTo(table, n))
			for i := range 2 * n {
				r.put(fmt.Sprint("item-", i), 0)
			}
			r.caughtUp(s)
			r.end(s)
			rows := r.equal()
			if len(rows) != 2*n {
				t.Errorf("%d rows of %d", len(rows), 2*n)
			}
			r.strict(rows, 0)
		})
	}
}

func TestB7Row05ChildListedBeforeItsParentIsClosed(t *testing.T) {
	r := newRig(t, dynamofake.Options{Limits: dynamofake.Limits{RecordsPerPage: 10}})
	r.create(images)
	s := r.loaded()
	for i := range 200 {
		r.put("a", i)
	}
	r.ok(r.srv.Inconsistent(table, dynamofake.Inconsistency{OpenParents: 4}))
	r.ok(r.srv.Split(table, ""))
	for i := range 50 {
		r.put("a", 200+i)
	}
	r.ok(r.srv.Inconsistent(table, dynamofake.Inconsistency{HideChildren: 3}))
	r.ok(r.srv.Rotate(table, ""))
	for i := range 50 {
		r.put("a", 250+i)
	}
	r.caughtUp(s)
	r.end(s)
	r.strict(r.equal(), 0)
}

// clocked is a rig whose time stands still but for what the test does.
func clocked(t *testing.T, o dynamofake.Options) *rig {
	clock := dynamofake.NewClock(time.Date(2026, 3, 1, 0, 0, 10, 0, time.UTC))
	o.Clock = clock.Now
	r := newRig(t, o)
	r.clock, r.window = clock, time.Hour
	return r
}

func TestB7Row06DownForFiveHours(t *testing.T) {
	r := clocked(t, dynamofake.Options{Shards: 2, RotateEvery: 4 * time.Hour})
	r.create(images)
	r.end(r.loadedAt())
	for h := range 5 { // a rotation during the outage
		for i := range 20 {
			r.put(fmt.Sprint("item-", i), h)
		}
		r.clock.Advance(time.Hour)
	}
	s := r.run(nil)
	s.loads.Done = true
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if len(rows) != 100 {
		t.Errorf("%d rows", len(rows))
	}
	r.strict(rows, 0)
}

// loadedAt is loaded with a clock that stands: the proof needs it to go on.
func (r *rig) loadedAt() *spy {
	r.t.Helper()
	s := r.run(nil)
	r.await(s, "the scan", func() bool { return s.loads.Cursor != nil })
	r.clock.Advance(10 * time.Second)
	r.await(s, "the load", func() bool { return s.loads.Done })
	return s
}

func TestB7Row07DownForTwentyFiveHours(t *testing.T) {
	r := clocked(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	r.create(images)
	s := r.loadedAt()
	r.put("a", 0)
	r.caughtUp(s)
	r.end(s)
	r.put("b", 0)
	r.clock.Advance(25 * time.Hour)
	r.put("c", 0)
	s = r.run(nil)
	r.fails(s, "DATA LOSS")
	for _, want := range []string{"tidemill resync s", table, "24 hours"} {
		if !strings.Contains(s.err.Error(), want) {
			t.Errorf("%q is not in: %v", want, s.err)
		}
	}
	if ingest.Retryable(s.err) {
		t.Error("it would be tried again for ever")
	}
	// What the remedy does.
	r.ask("")
	s = r.run(nil)
	r.await(s, "the scan", func() bool { return s.loads.Cursor != nil })
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	got := replica(rows)
	for _, id := range []string{"a|", "b|", "c|"} {
		if got[id] == nil {
			t.Errorf("item %s is missing", id)
		}
	}
}

// The shards cannot be read while records come, and then their iterators have expired: a new one goes on behind the last record.
func TestB7Row08AnIteratorExpires(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 2})
	r.create(images)
	s := r.loaded()
	for round := range 4 {
		r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Operation: "GetRecords"})
		for i := range 14 {
			r.put(fmt.Sprint("item-", i%7), round*2+i/7)
		}
		r.srv.ExpireIterators()
		r.srv.ClearFaults()
		r.await(s, "the records", func() bool { return s.rows == r.rows })
	}
	r.caughtUp(s)
	r.end(s)
	r.strict(r.equal(), 0)
}

// A checkpoint may lie in the middle of a round; who resumes there emits the rest of it and nothing twice. The clock runs a
// thousand times as fast, so that records have many seconds and a round many groups.
func TestKilledInsideARound(t *testing.T) {
	began := time.Now()
	fast := func() time.Time {
		return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(1000 * time.Since(began))
	}
	r := newRig(t, dynamofake.Options{Clock: fast, Shards: 2})
	r.now, r.window, r.config.Grace = fast, time.Hour, time.Minute
	r.create(images)
	r.end(r.loaded())
	inside, second := 0, time.NewTicker(time.Millisecond)
	defer second.Stop()
	for round := range 12 {
		for i := range 60 {
			r.put(fmt.Sprint("item-", i%6), round*10+i/6)
			<-second.C
		}
		ends := 0
		s := r.run(func(call string, _ int) bool {
			if call == "after End" {
				ends++
			}
			if ends != 20+round {
				return false
			}
			for range 200 { // until a checkpoint that was begun at an earlier end is written
				if strings.Contains(string(r.checkpoint()), "+") {
					inside++
					break
				}
				<-second.C
			}
			return true
		})
		r.fails(s, errKilled.Error())
	}
	if inside < 6 {
		t.Errorf("only %d checkpoints were inside a round", inside)
	}
	s := r.run(nil)
	s.loads.Done = true
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if len(rows) != 12*60 {
		t.Errorf("%d rows of %d", len(rows), 12*60)
	}
	r.strict(rows, 0)
}
