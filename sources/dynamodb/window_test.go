package dynamodb

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// Rule 7(c): a window waits for the shard that lags, and then holds exactly the records of its time.
func TestAWindowWaitsForEveryShard(t *testing.T) {
	r := clocked(t, dynamofake.Options{Shards: 4})
	r.window = time.Minute
	r.create(images)
	s := r.loadedAt()
	shards, err := r.srv.Shards(table)
	r.ok(err)
	first := s.sealed
	for round := range 5 {
		r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Operation: "GetRecords", Shard: shards[round%4].ID})
		for i := range 24 {
			r.put(fmt.Sprint("item-", i), round)
		}
		s.mu.Lock()
		sealed := s.sealed
		s.mu.Unlock()
		r.clock.Advance(90 * time.Second) // the window's end and its grace are over
		calls := r.srv.Calls("GetRecords")
		r.await(s, "the other shards", func() bool { return r.srv.Calls("GetRecords") > calls+60 })
		s.mu.Lock()
		now := s.sealed
		s.mu.Unlock()
		if now.After(sealed) && round > 0 {
			t.Errorf("round %d: the window was complete without a shard: %s, %s", round, sealed, now)
		}
		r.srv.ClearFaults()
		end := r.clock.Now().Truncate(time.Minute)
		r.await(s, "the window", func() bool { return !s.sealed.Before(end) })
	}
	r.end(s)
	rows := r.equal()
	r.strict(rows, 0)
	if first.Equal(s.sealed) {
		t.Error("no window was complete")
	}
	for _, row := range rows {
		if row.commit.Before(row.window) || !row.commit.Before(row.end) {
			t.Errorf("a record of %s is in the window %s", row.commit, row.window)
		}
	}
}

// A record that AWS shows later than the grace is in the open window, counted late, and not lost.
func TestALateRecord(t *testing.T) {
	r := clocked(t, dynamofake.Options{})
	r.window = time.Minute
	r.create(images)
	s := r.loadedAt()
	r.ok(r.srv.EmptyPages(table, 1_000_000))
	r.put("a", 0)
	at := r.clock.Now()
	r.clock.Advance(2 * time.Minute)
	r.await(s, "the window", func() bool { return s.sealed.After(at) })
	r.ok(r.srv.EmptyPages(table, 0))
	r.await(s, "the record", func() bool { return s.rows == 1 })
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if len(rows) != 1 || !rows[0].commit.Before(rows[0].window) {
		t.Errorf("%+v", rows)
	}
	if n := r.late(); n != 1 {
		t.Errorf("%d late groups are counted in the seals", n)
	}
}

// What is idle is complete by itself, window by window, and every window has its seal.
func TestIdleWindows(t *testing.T) {
	r := clocked(t, dynamofake.Options{Shards: 2})
	r.window = time.Minute
	r.create(images)
	s := r.loadedAt()
	from := s.sealed
	r.clock.Advance(30 * time.Minute)
	end := r.clock.Now().Add(-r.config.Grace).Truncate(time.Minute)
	r.await(s, "the windows", func() bool { return !s.sealed.Before(end) })
	r.end(s)
	_, seals := r.content()
	for w := from; w.Before(end) && !w.IsZero(); w = w.Add(time.Minute) {
		if _, ok := seals[w]; !ok {
			t.Errorf("window %s has no seal", w)
		}
	}
	if len(seals) < 29 {
		t.Errorf("%d seals", len(seals))
	}
}
