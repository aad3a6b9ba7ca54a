package dynamofake_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

func TestDescribeStreamIsPaged(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 250})
	arn := r.table("sessions")
	shards, pages := r.describe(arn)
	if len(shards) != 250 || pages != 3 {
		t.Errorf("%d shards in %d pages, want 250 in 3", len(shards), pages)
	}
	r.ok(r.srv.SplitTo("sessions", 684))
	shards, pages = r.describe(arn)
	open := 0
	for _, sh := range shards {
		if sh.SequenceNumberRange.EndingSequenceNumber == nil {
			open++
		}
	}
	if open != 684 || len(shards) != 684+434 || pages != 12 {
		t.Errorf("%d open of %d shards in %d pages, want 684 of 1118 in 12", open, len(shards), pages)
	}
	for i := range 500 {
		r.put("sessions", `{"id":{"S":"%d"}}`, i)
	}
	out := must[*dynamodbstreams.DescribeStreamOutput](t)(r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &arn, Limit: ptr(int32(3))}))
	if d := out.StreamDescription; len(d.Shards) != 3 || *d.LastEvaluatedShardId != *d.Shards[2].ShardId || *d.TableName != "sessions" || d.StreamViewType != st.StreamViewTypeNewAndOldImages || len(d.KeySchema) != 1 {
		t.Errorf("a page of three: %+v", d)
	}
}

func TestChildrenOfOneShard(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 3})
	arn := r.table("sessions")
	shards, _ := r.describe(arn)
	parent := *shards[1].ShardId
	children := func(of string) []st.Shard {
		t.Helper()
		out := must[*dynamodbstreams.DescribeStreamOutput](t)(r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{
			StreamArn: &arn, ShardFilter: &st.ShardFilter{Type: st.ShardFilterTypeChildShards, ShardId: &of},
		}))
		return out.StreamDescription.Shards
	}
	if got := children(parent); len(got) != 0 {
		t.Errorf("children of an open shard: %+v", got)
	}
	r.ok(r.srv.Split("sessions", parent))
	r.ok(r.srv.Rotate("sessions", *shards[2].ShardId))
	if got := children(parent); len(got) != 2 || *got[0].ParentShardId != parent || *got[1].ParentShardId != parent {
		t.Errorf("children of a split shard: %+v", got)
	}
	if got := children(*shards[2].ShardId); len(got) != 1 {
		t.Errorf("children of a rotated shard: %+v", got)
	}
	if err := r.srv.Split("sessions", parent); err == nil {
		t.Error("a closed shard was split again")
	}
	_, err := r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &arn, ShardFilter: &st.ShardFilter{Type: "PARENT_SHARDS", ShardId: &parent}})
	r.wantCode(err, "ValidationException")
}

func TestDescribeStreamLagsBehindByScript(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.ok(r.srv.Inconsistent("sessions", dynamofake.Inconsistency{OpenParents: 2}))
	r.ok(r.srv.Split("sessions", ""))
	for i, closed := range []bool{false, false, true} {
		shards, _ := r.describe(arn)
		if len(shards) != 3 || (shards[0].SequenceNumberRange.EndingSequenceNumber != nil) != closed {
			t.Errorf("listing %d: %d shards, the first %+v; want 3 and closed %v", i, len(shards), shards[0], closed)
		}
	}
	r.ok(r.srv.Inconsistent("sessions", dynamofake.Inconsistency{HideChildren: 1}))
	if shards, _ := r.describe(arn); len(shards) != 1 || shards[0].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("children are to be hidden, their parent closed: %+v", shards)
	}
	if shards, _ := r.describe(arn); len(shards) != 3 {
		t.Errorf("%d shards in the end", len(shards))
	}
}

func (r *rig) stream(table string, on bool) error {
	spec := &types.StreamSpecification{StreamEnabled: &on}
	if on {
		spec.StreamViewType = types.StreamViewTypeNewImage
	}
	_, err := r.db.UpdateTable(r.t.Context(), &dynamodb.UpdateTableInput{TableName: &table, StreamSpecification: spec})
	return err
}

func TestDisabledStreamIsReadableForADayAndTheNextHasAnotherARN(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	old := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	r.wantCode(r.stream("sessions", true), "ValidationException")
	r.ok(r.stream("sessions", false))
	r.put("sessions", `{"id":{"S":"unseen"}}`)
	r.wantCode(r.stream("sessions", false), "ValidationException")
	d := must[*dynamodbstreams.DescribeStreamOutput](t)(r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &old})).StreamDescription
	if d.StreamStatus != st.StreamStatusDisabled || d.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("the disabled stream: %+v", d)
	}
	table := must[*dynamodb.DescribeTableOutput](t)(r.db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: ptr("sessions")})).Table
	if table.StreamSpecification != nil || *table.LatestStreamArn != old {
		t.Errorf("the table without a stream: %+v %v", table.StreamSpecification, table.LatestStreamArn)
	}
	r.ok(r.stream("sessions", true))
	r.put("sessions", `{"id":{"S":"b"}}`)
	fresh := must[string](t)(r.srv.StreamArn("sessions"))
	if fresh == old {
		t.Fatal("the new stream has the old ARN")
	}
	r.wantEvents(r.readAll(old), "INSERT a")
	r.wantEvents(r.readAll(fresh), "INSERT b")
	list := must[*dynamodbstreams.ListStreamsOutput](t)(r.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{TableName: ptr("sessions")})).Streams
	if len(list) != 2 || *list[0].StreamArn != old || *list[1].StreamArn != fresh {
		t.Errorf("streams %+v", list)
	}
	r.clock.Advance(24 * time.Hour)
	_, err := r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &old})
	r.wantCode(err, "ResourceNotFoundException")
	if list := must[*dynamodbstreams.ListStreamsOutput](t)(r.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{})).Streams; len(list) != 1 {
		t.Errorf("streams a day later: %+v", list)
	}
}

func TestDeletedTableLeavesItsStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	old := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	_, err := r.db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: ptr("sessions")})
	r.ok(err)
	_, err = r.db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: ptr("sessions")})
	r.wantCode(err, "ResourceNotFoundException")
	r.wantEvents(r.readAll(old), "INSERT a") // no REMOVE
	fresh := r.table("sessions")
	if fresh == old {
		t.Error("the new table's stream has the old ARN")
	}
	if out := must[*dynamodb.ScanOutput](t)(r.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: ptr("sessions")})); out.Count != 0 {
		t.Errorf("%d items in the new table", out.Count)
	}
}

func TestListStreamsIsPaged(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	want := []string{r.table("aaa"), r.table("bbb"), r.table("ccc")}
	var got []string
	var from *string
	for {
		out := must[*dynamodbstreams.ListStreamsOutput](t)(r.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{Limit: ptr(int32(2)), ExclusiveStartStreamArn: from}))
		for _, s := range out.Streams {
			got = append(got, *s.StreamArn)
		}
		if from = out.LastEvaluatedStreamArn; from == nil {
			break
		}
	}
	if len(got) != 3 || got[0] != want[0] || got[2] != want[2] {
		t.Errorf("streams %v, want %v", got, want)
	}
}

func TestStatusesTakeTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{SettleDelay: time.Minute})
	arn := r.table("sessions")
	status := func(table types.TableStatus, stream st.StreamStatus) {
		t.Helper()
		if got := must[*dynamodb.DescribeTableOutput](t)(r.db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: ptr("sessions")})).Table.TableStatus; got != table {
			t.Errorf("table is %s, want %s", got, table)
		}
		if got := must[*dynamodbstreams.DescribeStreamOutput](t)(r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &arn})).StreamDescription.StreamStatus; got != stream {
			t.Errorf("stream is %s, want %s", got, stream)
		}
	}
	status(types.TableStatusCreating, st.StreamStatusEnabling)
	if err := r.srv.Put("sessions", `{"id":{"S":"a"}}`); err == nil {
		t.Error("a table that is being created took a write")
	}
	r.clock.Advance(time.Minute)
	status(types.TableStatusActive, st.StreamStatusEnabled)
	r.ok(r.stream("sessions", false))
	status(types.TableStatusUpdating, st.StreamStatusDisabling)
	r.put("sessions", `{"id":{"S":"a"}}`) // an updating table takes writes
	r.wantCode(r.stream("sessions", true), "ResourceInUseException")
	r.clock.Advance(time.Minute)
	status(types.TableStatusActive, st.StreamStatusDisabled)
	_, err := r.db.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: ptr("sessions")})
	r.ok(err)
	status(types.TableStatusDeleting, st.StreamStatusDisabled)
	r.clock.Advance(time.Minute)
	_, err = r.db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: ptr("sessions")})
	r.wantCode(err, "ResourceNotFoundException")
}
