package dynamofake_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// events writes records as "INSERT a", "MODIFY a", ...
func events(records []st.Record) []string {
	out := []string{}
	for _, r := range records {
		id, _ := r.Dynamodb.Keys["id"].(*st.AttributeValueMemberS)
		out = append(out, string(r.EventName)+" "+id.Value)
	}
	return out
}

func (r *rig) wantEvents(records []st.Record, want ...string) {
	r.t.Helper()
	if got := events(records); !slices.Equal(got, want) {
		r.t.Errorf("records %q, want %q", got, want)
	}
}

func TestAPutThatChangesNothingWritesNoRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"1"},"tags":{"SS":["x","y"]}}`)
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"1.0"},"tags":{"SS":["y","x"]}}`)
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"2"},"tags":{"SS":["y","x"]}}`)
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"a"}}`))
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"a"}}`))
	r.wantEvents(r.readAll(arn), "INSERT a", "MODIFY a", "REMOVE a")
}

// A record that is larger than a page is a page: an empty one would come again for ever.
func TestARecordLargerThanAPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Limits: dynamofake.Limits{BytesPerPage: 100}})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"},"note":{"S":"%s"}}`, strings.Repeat("x", 500))
	r.put("sessions", `{"id":{"S":"b"}}`)
	r.wantEvents(r.readAll(arn), "INSERT a", "INSERT b")
}

func TestUpdateOfAMissingKeyIsOneInsert(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	up := func(key, expression string, values map[string]types.AttributeValue) {
		t.Helper()
		_, err := r.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: ptr("sessions"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: key}},
			UpdateExpression: &expression, ExpressionAttributeValues: values,
		})
		r.ok(err)
	}
	one := map[string]types.AttributeValue{":one": &types.AttributeValueMemberN{Value: "1"}}
	up("a", "SET n = :one", one)
	up("a", "SET n = :one", one)          // nothing changes
	up("b", "REMOVE n", nil)              // nothing is made
	up("a", "REMOVE n", nil)              // changes
	up("a", "REMOVE n SET m = :one", one) // changes
	records := r.readAll(arn)
	r.wantEvents(records, "INSERT a", "MODIFY a", "MODIFY a")
	if image := records[0].Dynamodb.NewImage; len(image) != 2 {
		t.Errorf("the first image has %d attributes, want id and n", len(image))
	}
	if image := records[1].Dynamodb.NewImage; len(image) != 1 {
		t.Errorf("the second image has %d attributes, want id", len(image))
	}
}

func TestRecordsLookLikeAWS(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.clock.Advance(1700 * time.Millisecond)
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"12"}}`)
	rec := r.readAll(arn)[0]
	if got := rec.Dynamodb.ApproximateCreationDateTime; !got.Equal(start.Add(time.Second)) {
		t.Errorf("created %v, want whole seconds", got)
	}
	// Keys 2+1, new image 2+1 and 1+2: names and values, a number at half a byte a digit and one more.
	if got := *rec.Dynamodb.SizeBytes; got != 9 {
		t.Errorf("size %d, want 9", got)
	}
	if *rec.EventSource != "aws:dynamodb" || *rec.AwsRegion != "us-east-1" || len(*rec.EventID) != 32 || rec.UserIdentity != nil {
		t.Errorf("record %+v", rec)
	}
}

func number(t *testing.T, text *string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(*text, 10)
	if !ok || len(*text) < 21 || len(*text) > 40 {
		t.Fatalf("sequence number %q", *text)
	}
	return n
}

func TestSequenceNumbers(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 8})
	arn := r.table("sessions")
	for i := range 300 {
		if i%100 == 50 {
			r.ok(r.srv.Split("sessions", ""))
		}
		r.put("sessions", `{"id":{"S":"%d"}}`, i%50)
		r.ok(r.srv.Delete("sessions", fmt.Sprintf(`{"id":{"S":"%d"}}`, i%50)))
	}
	seen, asText := map[string]bool{}, true
	perItem := map[string]*big.Int{}
	for _, sh := range first(r.describe(arn)) {
		records, _ := r.read(r.horizon(arn, *sh.ShardId))
		last := number(t, sh.SequenceNumberRange.StartingSequenceNumber)
		lastText := ""
		for _, rec := range records {
			n, id := number(t, rec.Dynamodb.SequenceNumber), strings.Fields(events([]st.Record{rec})[0])[1]
			if n.Cmp(last) <= 0 || perItem[id] != nil && n.Cmp(perItem[id]) <= 0 || seen[n.String()] {
				t.Fatalf("%v is not above %v, or not unique", n, last)
			}
			asText = asText && *rec.Dynamodb.SequenceNumber > lastText
			seen[n.String()], perItem[id], last, lastText = true, n, n, *rec.Dynamodb.SequenceNumber
		}
		if end := sh.SequenceNumberRange.EndingSequenceNumber; end != nil && number(t, end).Cmp(last) < 0 {
			t.Errorf("%s ends at %s, before its last record", *sh.ShardId, *end)
		}
	}
	if asText {
		t.Error("the numbers sort as text: a reader that does so would not be found out")
	}
	if len(seen) != 600 {
		t.Errorf("%d records, want 600", len(seen))
	}
}

func first[A, B any](a A, _ B) A { return a }

func TestOneItemsRecordsAreOneLineageInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	arn := r.table("sessions")
	for i := range 1000 {
		r.put("sessions", `{"id":{"S":"a"},"n":{"N":"%d"}}`, i)
		r.clock.Advance(time.Minute) // four rotations and two splits
		if i%500 == 499 {
			r.ok(r.srv.Split("sessions", ""))
		}
	}
	shards, _ := r.describe(arn)
	parent, rotations := map[string]string{}, 0
	var lineage []string
	n := 0
	for _, sh := range shards {
		parent[*sh.ShardId] = aws.ToString(sh.ParentShardId)
		records, next := r.read(r.horizon(arn, *sh.ShardId))
		if (next == nil) != (sh.SequenceNumberRange.EndingSequenceNumber != nil) {
			t.Errorf("shard %s: next iterator %v, range %+v", *sh.ShardId, next, sh.SequenceNumberRange)
		}
		for _, rec := range records {
			v, _ := rec.Dynamodb.NewImage["n"].(*st.AttributeValueMemberN)
			if v.Value != fmt.Sprint(n) {
				t.Fatalf("record %d holds %s", n, v.Value)
			}
			n++
		}
		if len(records) > 0 {
			if len(lineage) > 0 && !descends(parent, *sh.ShardId, lineage[len(lineage)-1]) {
				t.Errorf("%s holds the item after %v, but doesn't descend from it", *sh.ShardId, lineage)
			}
			lineage = append(lineage, *sh.ShardId)
		}
		rotations++
	}
	if n != 1000 || len(lineage) < 6 {
		t.Errorf("%d records in %d of %d shards", n, len(lineage), rotations)
	}
}

func descends(parent map[string]string, id, from string) bool {
	for ; id != ""; id = parent[id] {
		if id == from {
			return true
		}
	}
	return false
}

func TestRotationCatchesUpInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{RotateEvery: 4 * time.Hour})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	r.clock.Advance(13 * time.Hour)
	r.put("sessions", `{"id":{"S":"b"}}`)
	shards, _ := r.describe(arn)
	if len(shards) != 4 {
		t.Fatalf("%d shards after 13 h, want 4", len(shards))
	}
	for i, sh := range shards[1:] {
		if *sh.ParentShardId != *shards[i].ShardId {
			t.Errorf("shard %d descends from %s", i+1, *sh.ParentShardId)
		}
		var ms int64
		if _, err := fmt.Sscanf(*sh.ShardId, "shardId-%d-", &ms); err != nil || ms != start.Add(time.Duration(4*(i+1))*time.Hour).UnixMilli() {
			t.Errorf("id %s holds the time %d: %v", *sh.ShardId, ms, err)
		}
	}
	r.wantEvents(r.readAll(arn), "INSERT a", "INSERT b")
}

func TestTrimming(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	shard := r.only(arn)
	early := r.horizon(arn, shard)
	a := r.readAll(arn)[0].Dynamodb.SequenceNumber
	r.clock.Advance(12 * time.Hour)
	r.put("sessions", `{"id":{"S":"b"}}`)
	b := r.readAll(arn)[1].Dynamodb.SequenceNumber
	r.clock.Advance(12*time.Hour - 10*time.Minute)
	late := r.horizon(arn, shard)
	r.clock.Advance(10 * time.Minute)
	r.wantEvents(r.readAll(arn), "INSERT b")

	_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: early})
	r.wantCode(err, "ExpiredIteratorException") // older than both limits: expiry is checked first
	_, err = r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: late})
	r.wantCode(err, "TrimmedDataAccessException")
	for _, kind := range []st.ShardIteratorType{st.ShardIteratorTypeAtSequenceNumber, st.ShardIteratorTypeAfterSequenceNumber} {
		_, err = r.streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard, ShardIteratorType: kind, SequenceNumber: a})
		r.wantCode(err, "TrimmedDataAccessException")
		_, err = r.streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard, ShardIteratorType: kind, SequenceNumber: b})
		r.wantCode(err, "")
	}

	r.ok(r.srv.Rotate("sessions", ""))
	r.clock.Advance(24 * time.Hour)
	shards, _ := r.describe(arn)
	if len(shards) != 1 || aws.ToString(shards[0].ParentShardId) != shard {
		t.Errorf("after a day the closed parent %s is to be gone and still named by its child: %+v", shard, shards)
	}
	_, err = r.streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard, ShardIteratorType: st.ShardIteratorTypeTrimHorizon})
	r.wantCode(err, "ResourceNotFoundException")
}

func TestTrimByScript(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	for i := range 5 {
		r.put("sessions", `{"id":{"S":"%d"}}`, i)
	}
	shard := r.only(arn)
	it := r.horizon(arn, shard)
	r.ok(r.srv.Trim("sessions", 2))
	_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
	r.wantCode(err, "TrimmedDataAccessException")
	r.wantEvents(r.readAll(arn), "INSERT 3", "INSERT 4")
	r.ok(r.srv.Rotate("sessions", ""))
	it = r.horizon(arn, shard)
	r.ok(r.srv.Trim("sessions", 0))
	_, err = r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
	r.wantCode(err, "TrimmedDataAccessException")
	if views := must[[]dynamofake.ShardView](t)(r.srv.Shards("sessions")); len(views) != 2 || !views[0].Trimmed || views[1].Trimmed {
		t.Errorf("shards %+v, want the closed one trimmed", views)
	}
}

func TestIteratorTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	for i := range 3 {
		r.put("sessions", `{"id":{"S":"%d"}}`, i)
		r.clock.Advance(10 * time.Second)
	}
	shard := r.only(arn)
	one := r.readAll(arn)[1].Dynamodb.SequenceNumber
	get := func(in dynamodbstreams.GetShardIteratorInput) (*string, error) {
		in.StreamArn, in.ShardId = &arn, &shard
		out, err := r.streams.GetShardIterator(t.Context(), &in)
		if err != nil {
			return nil, err
		}
		return out.ShardIterator, nil
	}
	latest := must[*string](t)(get(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeLatest}))
	for _, c := range []struct {
		in   dynamodbstreams.GetShardIteratorInput
		want []string
	}{
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeTrimHorizon}, []string{"INSERT 0", "INSERT 1", "INSERT 2"}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeLatest}, []string{}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAtSequenceNumber, SequenceNumber: one}, []string{"INSERT 1", "INSERT 2"}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: one}, []string{"INSERT 2"}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAtTimestamp, Timestamp: ptr(start.Add(10 * time.Second))}, []string{"INSERT 1", "INSERT 2"}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAtTimestamp, Timestamp: ptr(start.Add(11 * time.Second))}, []string{"INSERT 2"}},
		{dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAtTimestamp, Timestamp: ptr(start.Add(-time.Hour))}, []string{"INSERT 0", "INSERT 1", "INSERT 2"}},
	} {
		records, _ := r.read(must[*string](t)(get(c.in)))
		r.wantEvents(records, c.want...)
	}
	for _, in := range []dynamodbstreams.GetShardIteratorInput{
		{ShardIteratorType: st.ShardIteratorTypeAtTimestamp, Timestamp: ptr(start.Add(time.Hour))},
		{ShardIteratorType: st.ShardIteratorTypeAtSequenceNumber},
		{ShardIteratorType: st.ShardIteratorTypeAtSequenceNumber, SequenceNumber: ptr("100000000000000000000")}, // below the shard
		{ShardIteratorType: st.ShardIteratorTypeAtSequenceNumber, SequenceNumber: ptr("12345678901234567890a")},
		{ShardIteratorType: "AT_LAST"},
	} {
		_, err := get(in)
		r.wantCode(err, "ValidationException")
	}
	r.put("sessions", `{"id":{"S":"new"}}`)
	records, _ := r.read(latest)
	r.wantEvents(records, "INSERT new")
}

func TestIteratorsExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	shard := r.only(arn)
	read := func(it *string) error {
		_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		return err
	}
	it := r.horizon(arn, shard)
	r.clock.Advance(15*time.Minute - time.Millisecond)
	r.wantCode(read(it), "")
	r.clock.Advance(time.Millisecond)
	r.wantCode(read(it), "ExpiredIteratorException")
	it = r.horizon(arn, shard)
	r.srv.ExpireIterators()
	r.wantCode(read(it), "ExpiredIteratorException")
	r.wantCode(read(r.horizon(arn, shard)), "")
	r.wantCode(read(ptr("nonsense")), "ValidationException")
	r.wantCode(read(ptr("a|1|b")), "ValidationException")
}

func TestPagesOfRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	shard := r.only(arn)
	for i := range 1500 {
		r.put("sessions", `{"id":{"S":"%d"}}`, i)
	}
	page := func(it *string, limit *int32) *dynamodbstreams.GetRecordsOutput {
		t.Helper()
		return must[*dynamodbstreams.GetRecordsOutput](t)(r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it, Limit: limit}))
	}
	out := page(r.horizon(arn, shard), nil)
	rest := page(out.NextShardIterator, nil)
	few := page(r.horizon(arn, shard), ptr(int32(7)))
	if len(out.Records) != 1000 || len(rest.Records) != 500 || len(few.Records) != 7 {
		t.Errorf("pages of %d, %d and %d records, want 1000, 500 and 7", len(out.Records), len(rest.Records), len(few.Records))
	}
	_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: out.NextShardIterator, Limit: ptr(int32(1001))})
	r.wantCode(err, "ValidationException")

	// The open shard goes on for ever, the closed one ends with its last record.
	if tip := page(rest.NextShardIterator, nil); len(tip.Records) != 0 || tip.NextShardIterator == nil {
		t.Errorf("at the tip of an open shard: %d records, next %v", len(tip.Records), tip.NextShardIterator)
	}
	r.ok(r.srv.Rotate("sessions", ""))
	if end := page(out.NextShardIterator, nil); len(end.Records) != 500 || end.NextShardIterator != nil {
		t.Errorf("the last page of a closed shard: %d records, next %v", len(end.Records), end.NextShardIterator)
	}
	if end := page(rest.NextShardIterator, nil); len(end.Records) != 0 || end.NextShardIterator != nil {
		t.Errorf("behind the end of a closed shard: %d records, next %v", len(end.Records), end.NextShardIterator)
	}
}

func TestPagesAreCutAt1MB(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	for i := range 10 {
		r.put("sessions", `{"id":{"S":"a"},"s":{"S":"%s"}}`, strings.Repeat(fmt.Sprint(i), 300<<10))
	}
	it, sizes := r.horizon(arn, r.only(arn)), []int{}
	for n := 0; n < 10; {
		out := must[*dynamodbstreams.GetRecordsOutput](t)(r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it}))
		n, it, sizes = n+len(out.Records), out.NextShardIterator, append(sizes, len(out.Records))
	}
	if want := []int{2, 1, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %v records, want %v: an insert and an update are 900 KB", sizes, want)
	}
}

func TestEmptyPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	r.ok(r.srv.Rotate("sessions", ""))
	r.ok(r.srv.EmptyPages("sessions", 2))
	parent := *first(r.describe(arn))[0].ShardId
	it := r.horizon(arn, parent)
	for range 2 {
		out := must[*dynamodbstreams.GetRecordsOutput](t)(r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it}))
		if it = out.NextShardIterator; len(out.Records) != 0 || it == nil {
			t.Fatalf("an empty page has %d records, next %v", len(out.Records), it)
		}
	}
	records, next := r.read(it)
	r.wantEvents(records, "INSERT a")
	if next != nil {
		t.Error("the closed shard has no end")
	}
}

func TestFlood(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 2})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"before"}}`)
	f := flood(2501)
	f.Step = time.Second
	r.ok(r.srv.Flood("sessions", f))
	r.put("sessions", `{"id":{"S":"after"}}`)
	shards, _ := r.describe(arn)
	if len(shards) != 6 {
		t.Fatalf("%d shards, want 2 closed, 2 with the flood and 2 open ones", len(shards))
	}
	seen := map[string]bool{}
	last := (*big.Int)(nil)
	var created []time.Time
	for _, sh := range shards {
		records, next := r.read(r.horizon(arn, *sh.ShardId))
		if open := sh.SequenceNumberRange.EndingSequenceNumber == nil; open != (next != nil) {
			t.Errorf("shard %+v ends with the iterator %v", sh, next)
		}
		last = number(t, sh.SequenceNumberRange.StartingSequenceNumber)
		for i, rec := range records {
			if n := number(t, rec.Dynamodb.SequenceNumber); n.Cmp(last) <= 0 {
				t.Fatalf("record %d: %v is not above %v", i, n, last)
			} else {
				last = n
			}
			seen[strings.Fields(events(records[i : i+1])[0])[1]] = true
			created = append(created, *rec.Dynamodb.ApproximateCreationDateTime)
		}
		if end := sh.SequenceNumberRange.EndingSequenceNumber; end != nil && number(t, end).Cmp(last) < 0 {
			t.Errorf("%s ends before its last record", *sh.ShardId)
		}
	}
	if len(seen) != 2503 || !seen["s-0"] || !seen["s-2500"] || !seen["after"] {
		t.Errorf("%d different records, want 2503", len(seen))
	}
	slices.SortFunc(created, time.Time.Compare)
	if !created[0].Equal(start.Add(-2500*time.Second)) || !created[2502].Equal(start) {
		t.Errorf("created from %v to %v, want one a second until now", created[0], created[2502])
	}
	again := must[*dynamodbstreams.GetRecordsOutput](t)(r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{Limit: ptr(int32(1)), ShardIterator: must[*dynamodbstreams.GetShardIteratorOutput](t)(
		r.streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: shards[2].ShardId, ShardIteratorType: st.ShardIteratorTypeAtTimestamp, Timestamp: ptr(start.Add(-2000 * time.Second))}),
	).ShardIterator}))
	if got := events(again.Records); len(got) != 1 || got[0] != "INSERT s-500" {
		t.Errorf("from 2000 s ago: %v", got)
	}
}
