package dynamofake_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

func TestFirst(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"1.50"},"s":{"SS":["x","y"]}}`)
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"2"}}`)
	r.put("sessions", `{"id":{"S":"a"},"n":{"N":"2.0"}}`)
	r.ok(r.srv.Split("sessions", ""))
	r.put("sessions", `{"id":{"S":"b"}}`)
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"b"}}`))
	for _, rec := range r.readAll(arn) {
		t.Logf("%s %s %+v %v", rec.EventName, *rec.Dynamodb.SequenceNumber, rec.Dynamodb.NewImage, rec.Dynamodb.ApproximateCreationDateTime)
	}
	shards, _ := r.describe(arn)
	for _, s := range shards {
		t.Logf("%v %v %v", *s.ShardId, s.ParentShardId, *s.SequenceNumberRange)
	}
	out := must[*dynamodb.ScanOutput](t)(r.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: ptr("sessions")}))
	t.Log(out.Items, *out, out.LastEvaluatedKey)
}

func ptr[T any](v T) *T { return &v }
