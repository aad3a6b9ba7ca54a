package dynamofake_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// rig is a fake with real SDK clients on it.
type rig struct {
	t       *testing.T
	clock   *dynamofake.Clock
	srv     *dynamofake.Server
	db      *dynamodb.Client
	streams *dynamodbstreams.Client
}

func newRig(t *testing.T, o dynamofake.Options) *rig {
	t.Helper()
	clock := dynamofake.NewClock(start)
	if o.Clock == nil {
		o.Clock = clock.Now
	}
	srv, err := dynamofake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, clock: clock, srv: srv}
	r.db, r.streams = clients(srv.Endpoint(), "key", "secret")
	return r
}

// clients are the SDK's own, with as many attempts as each test can do without waiting: one.
func clients(endpoint, key, secret string) (*dynamodb.Client, *dynamodbstreams.Client) {
	creds := credentials.NewStaticCredentialsProvider(key, secret, "")
	return dynamodb.New(dynamodb.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: creds, RetryMaxAttempts: 1}),
		dynamodbstreams.New(dynamodbstreams.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: creds, RetryMaxAttempts: 1})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// table makes a table with a string key id and a stream.
func (r *rig) table(name string) string {
	r.t.Helper()
	out := must[*dynamodb.CreateTableOutput](r.t)(r.db.CreateTable(r.t.Context(), &dynamodb.CreateTableInput{
		TableName:            &name,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		BillingMode:          types.BillingModePayPerRequest,
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	}))
	return *out.TableDescription.LatestStreamArn
}

func (r *rig) put(table, itemJSON string, args ...any) {
	r.t.Helper()
	r.ok(r.srv.Put(table, fmt.Sprintf(itemJSON, args...)))
}

// read reads a shard from an iterator to its end, or to the first empty page of an open one.
func (r *rig) read(iterator *string) (records []st.Record, next *string) {
	r.t.Helper()
	for iterator != nil {
		out := must[*dynamodbstreams.GetRecordsOutput](r.t)(r.streams.GetRecords(r.t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}))
		records, iterator = append(records, out.Records...), out.NextShardIterator
		if len(out.Records) == 0 {
			break
		}
	}
	return records, iterator
}

func (r *rig) horizon(arn, shard string) *string {
	r.t.Helper()
	return must[*dynamodbstreams.GetShardIteratorOutput](r.t)(r.streams.GetShardIterator(r.t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &arn, ShardId: &shard, ShardIteratorType: st.ShardIteratorTypeTrimHorizon,
	})).ShardIterator
}

// describe lists all shards, page by page.
func (r *rig) describe(arn string) (shards []st.Shard, pages int) {
	r.t.Helper()
	var from *string
	for {
		out := must[*dynamodbstreams.DescribeStreamOutput](r.t)(r.streams.DescribeStream(r.t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &arn, ExclusiveStartShardId: from}))
		shards, pages = append(shards, out.StreamDescription.Shards...), pages+1
		if from = out.StreamDescription.LastEvaluatedShardId; from == nil {
			return shards, pages
		}
	}
}

// readAll reads every shard, parents first.
func (r *rig) readAll(arn string) []st.Record {
	r.t.Helper()
	var all []st.Record
	shards, _ := r.describe(arn)
	for _, sh := range shards {
		records, _ := r.read(r.horizon(arn, *sh.ShardId))
		all = append(all, records...)
	}
	return all
}
