package dynamodb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/telemetry"
)

func TestB7Row09TimeToLive(t *testing.T) {
	r := clocked(t, dynamofake.Options{})
	r.create(images)
	_, err := r.db.db.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String(table),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)}})
	r.ok(err)
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(t.Context())
	r.meter = provider.Meter(telemetry.Scope)
	s := r.loadedAt()
	r.item(fmt.Sprintf(`{"id":{"S":"a"},"v":{"N":"0"},"ttl":{"N":"%d"}}`, r.clock.Now().Unix()+60))
	r.put("b", 0)
	r.put("c", 0)
	r.delete("c") // by a person: not counted
	r.clock.Advance(10 * time.Minute)
	r.caughtUp(s)
	r.end(s)
	rows := r.equal()
	if last := rows[len(rows)-1]; len(rows) != 5 || replica(rows)["a|"] != nil {
		t.Errorf("%d rows, the last is %+v", len(rows), last)
	}
	var data metricdata.ResourceMetrics
	r.ok(reader.Collect(t.Context(), &data))
	expired := int64(0)
	for _, m := range data.ScopeMetrics[0].Metrics {
		if m.Name == telemetry.MetricSourceExpired {
			expired = m.Data.(metricdata.Sum[int64]).DataPoints[0].Value
		}
	}
	if expired != 1 {
		t.Errorf("%s counts %d, want 1", telemetry.MetricSourceExpired, expired)
	}
}

// The old stream is read to its end, then the new one from its beginning. What was written in between is in none: the table
// stands still until it is loaded anew.
func TestB7Row10TheStreamIsSwitchedOffAndOn(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 2})
	r.create(images)
	s := r.loaded()
	for i := range 20 {
		r.put(fmt.Sprint("old-", i), 0)
	}
	r.end(s)
	r.put("old-0", 1) // still in the old stream
	r.stream("")
	r.ok(r.srv.Delete(table, `{"id":{"S":"old-1"}}`)) // in none
	s = r.run(nil)
	r.fails(s, "its stream is off")
	if !strings.Contains(s.err.Error(), "aws dynamodb update-table --region us-east-1 --table-name sessions --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES") {
		t.Errorf("no remedy in: %v", s.err)
	}
	r.stream(images)
	r.put("new", 0)
	s = r.run(nil)
	r.await(s, "the table to stand still", func() bool { return s.parked != "" })
	if !strings.Contains(s.parked, "switched off and on") || !strings.Contains(s.parked, "tidemill resync s.dynamodb.sessions") {
		t.Errorf("parked: %s", s.parked)
	}
	r.end(s)
	rows, _ := r.content()
	if replica(rows)["old-0|"]["v"] != "1" {
		t.Error("the old stream was not read to its end")
	}
	// What the remedy does: a generation begins, and with it only what it holds counts.
	_, epoch := since(rows, 0)
	r.ask("dynamodb.sessions")
	s = r.run(nil)
	<-s.done
	s = r.run(nil)
	s.loads.Done = false
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.put("after", 0)
	r.caughtUp(s)
	r.end(s)
	rows, _ = r.content()
	rows, _ = since(rows, epoch)
	got := replica(rows)
	for _, id := range []string{"new|", "after|", "old-0|"} {
		if got[id] == nil {
			t.Errorf("%s is missing", id)
		}
	}
	if got["old-1|"] != nil {
		t.Error("an item that was deleted in between is there")
	}
}

// stream switches the table's stream.
func (r *rig) stream(view types.StreamViewType) {
	r.t.Helper()
	spec := &types.StreamSpecification{StreamEnabled: aws.Bool(view != ""), StreamViewType: view}
	_, err := r.db.db.UpdateTable(r.t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String(table), StreamSpecification: spec})
	r.ok(err)
}

func TestB7Row14AttributeOfManyTypes(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	s := r.loaded()
	r.item(`{"id":{"S":"1"},"x":{"N":"1"}}`)
	r.await(s, "the first row", func() bool { return s.rows == 1 })
	r.item(`{"id":{"S":"2"},"x":{"S":"one"}}`)
	r.item(`{"id":{"S":"3"},"x":{"M":{"a":{"NS":["2","1"]}}},"y":{"NULL":true}}`)
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	got := replica(rows)
	for id, want := range map[string][2]string{"1|": {"1", "(null)"}, "2|": {"(null)", `{"x":"one"}`}, "3|": {"(null)", `{"x":{"a":[1,2]},"y":null}`}} {
		if got[id]["x"] != want[0] || got[id]["_extra"] != want[1] {
			t.Errorf("item %s is %v", id, got[id])
		}
	}
	// A new generation has a column that holds them all.
	r.ask("dynamodb.sessions")
	s = r.run(nil)
	<-s.done
	s = r.run(nil)
	s.loads.Done = false
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.end(s)
	rows, _ = r.content()
	got = replica(rows)
	if got["1|"]["x"] != "1" || got["2|"]["x"] != `"one"` || got["3|"]["x"] != `{"a":[1,2]}` || got["3|"]["_extra"] != `{"y":null}` {
		t.Errorf("after the load: %v", got)
	}
}

// An owner that is killed before its load has begun leaves a generation behind, not a new one: the columns stay.
func TestKilledBeforeTheLoad(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	r.item(`{"id":{"S":"0"},"x":{"N":"1"}}`)
	s := r.run(func(call string, _ int) bool { return call == "Load" })
	r.fails(s, errKilled.Error())
	r.item(`{"id":{"S":"1"},"x":{"N":"1.5"}}`)
	s = r.run(nil)
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	if got := replica(rows); got["0|"]["x"] != "1" || got["1|"]["x"] != "(null)" || got["1|"]["_extra"] != `{"x":1.5}` {
		t.Errorf("the column has changed: %v", got)
	}
}

func TestB7Row15LargeItems(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	s := r.loaded()
	for v := range 8 {
		r.item(fmt.Sprintf(`{"id":{"S":"a"},"v":{"N":"%d"},"text":{"S":%q}}`, v, strings.Repeat("x", 399_000)))
	}
	r.caughtUp(s)
	r.end(s)
	r.strict(r.equal(), 0)
}

func TestB7Row16ClearStates(t *testing.T) {
	t.Run("no table", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.fails(r.run(nil), "there is no such table in region us-east-1; correct table and region")
	})
	t.Run("keys only", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create(types.StreamViewTypeKeysOnly)
		r.fails(r.run(nil), "its stream holds KEYS_ONLY, which does not say what an item is after a change; a stream's view cannot be changed, so run: aws dynamodb update-table --region us-east-1 --table-name sessions --stream-specification StreamEnabled=false && aws dynamodb")
	})
	t.Run("off", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create("")
		r.fails(r.run(nil), "its stream is off")
	})
	t.Run("new images are enough", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create(types.StreamViewTypeNewImage)
		s := r.loaded()
		r.put("a", 0)
		r.caughtUp(s)
		r.end(s)
		r.equal()
	})
	t.Run("switched off while it is read", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create(images)
		s := r.loaded()
		r.put("a", 0)
		r.stream("")
		r.fails(s, "its stream is off")
		rows, _ := r.content()
		if len(rows) != 1 {
			t.Errorf("%d rows of the old stream", len(rows))
		}
	})
	t.Run("deleted while it is read", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create(images)
		s := r.loaded()
		r.put("a", 0)
		_, err := r.db.db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(table)})
		r.ok(err)
		r.fails(s, "the table was deleted")
	})
	t.Run("deleted and made anew", func(t *testing.T) {
		r := newRig(t, dynamofake.Options{})
		r.create(images)
		r.end(r.loaded())
		_, err := r.db.db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String(table)})
		r.ok(err)
		r.create(images)
		r.fails(r.run(nil), "the table was deleted and made anew; to load the table anew, run: tidemill resync s")
	})
}

func TestB7Row17Throttled(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 4})
	r.create(images)
	s := r.loaded()
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.ProvisionedThroughputExceeded, Operation: "GetRecords"})
	before := r.srv.Calls("GetRecords")
	for i := range 40 {
		r.put(fmt.Sprint("item-", i%4), i/4)
	}
	r.await(s, "some patience", func() bool { return r.srv.Calls("GetRecords")-before > 60 })
	if n := strings.Count(r.logged.String(), "throttled"); n > 1 {
		t.Errorf("%d complaints", n)
	}
	r.srv.ClearFaults()
	r.caughtUp(s)
	r.end(s)
	r.strict(r.equal(), 0)
}

// Two owners of one source: the second fences the first, which stops, and the log has every row once.
func TestB7Row19TwoOwners(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 2, Limits: dynamofake.Limits{RecordsPerPage: 10}})
	r.create(images)
	first := r.loaded()
	for i := range 100 {
		r.put(fmt.Sprint("item-", i%5), i/5)
	}
	second := r.run(nil)
	for i := range 100 {
		r.put(fmt.Sprint("item-", i%5), 20+i/5)
	}
	r.fails(first, ingest.ErrSuperseded.Error())
	second.loads.Done = true
	r.caughtUp(second)
	r.end(second)
	rows := r.equal()
	if len(rows) != 200 {
		t.Errorf("%d rows", len(rows))
	}
	r.strict(rows, 0)
}

// B7.7, where nothing tells of the loss: the service begins a shard that no record was read of behind what it has deleted, and says nothing.
func TestB7Row07AQuietShardLosesItsFront(t *testing.T) {
	for _, k := range []struct {
		down time.Duration
		lost bool
	}{{20 * time.Hour, false}, {25 * time.Hour, true}} {
		t.Run(k.down.String(), func(t *testing.T) {
			r := clocked(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
			r.create(images)
			r.end(r.loadedAt())
			r.put("b", 0) // into a shard that nothing was read of
			r.clock.Advance(210 * time.Minute)
			r.put("c", 0)
			r.clock.Advance(k.down - 210*time.Minute)
			s := r.run(nil)
			s.loads.Done = true
			if k.lost {
				r.fails(s, "DATA LOSS: what was written to shard")
				return
			}
			r.caughtUp(s)
			r.end(s)
			r.equal()
		})
	}
}

// A table that is quiet for longer than the stream's memory, while it is read and over a restart, has lost nothing.
func TestB7Row07AQuietTableHasLostNothing(t *testing.T) {
	r := clocked(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	r.create(images)
	s := r.loadedAt()
	for range 30 {
		r.clock.Advance(time.Hour)
		r.caughtUp(s)
	}
	r.end(s)
	s = r.run(nil)
	s.loads.Done = true
	r.caughtUp(s)
	r.put("a", 1)
	r.caughtUp(s)
	r.end(s)
	r.equal()
}

// A shard's only child was never listed before the stop and is gone after it: the grandchild does not begin as if nothing were missing.
func TestB7Row07AGenerationIsGone(t *testing.T) {
	r := clocked(t, dynamofake.Options{})
	r.create(images)
	s := r.loadedAt()
	r.put("a", 0)
	r.caughtUp(s)
	r.ok(r.srv.Inconsistent(table, dynamofake.Inconsistency{HideChildren: 1000}))
	r.ok(r.srv.Rotate(table, ""))
	r.clock.Advance(2 * time.Second)
	r.await(s, "the shard's end", func() bool { return s.calls > 0 })
	r.end(s)
	r.put("b", 0)
	r.clock.Advance(time.Hour)
	r.ok(r.srv.Rotate(table, ""))
	r.clock.Advance(26 * time.Hour)
	r.put("c", 0)
	r.ok(r.srv.Inconsistent(table, dynamofake.Inconsistency{}))
	s = r.run(nil)
	s.loads.Done = true
	r.fails(s, "DATA LOSS")
}
