package dynamofake_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
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
	r.db, r.streams = clients(t, srv.Endpoint(), "key", "secret")
	return r
}

// clients are the SDK's own, with one attempt, so that a test sees each failure. Every answer is held against the SDK's
// own model of it.
func clients(t testing.TB, endpoint, key, secret string) (*dynamodb.Client, *dynamodbstreams.Client) {
	t.Helper()
	creds := credentials.NewStaticCredentialsProvider(key, secret, "")
	idle := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(idle.CloseIdleConnections)
	c := steady{&http.Client{Transport: idle}}
	return dynamodb.New(dynamodb.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: creds, RetryMaxAttempts: 1, HTTPClient: c},
			func(o *dynamodb.Options) { o.Protocol = modelled{o.Protocol, t} }),
		dynamodbstreams.New(dynamodbstreams.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: creds, RetryMaxAttempts: 1, HTTPClient: c},
			func(o *dynamodbstreams.Options) { o.Protocol = modelled{o.Protocol, t} })
}

// steady gives the transport a request body that stays open. The SDK closes its own as soon as the answer's header is
// there; the transport, which may still look whether the body goes on, takes that for an error and drops the connection
// under the answer (aws-sdk-go-v2 issue 2737; on AWS rare, on loopback one page of 1 MB in fifty).
type steady struct{ *http.Client }

func (s steady) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return s.Client.Do(req)
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
	in := sessions()
	in.TableName = &name
	return *must[*dynamodb.CreateTableOutput](r.t)(r.db.CreateTable(r.t.Context(), in)).TableDescription.LatestStreamArn
}

func sessions() *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            ptr("sessions"),
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		BillingMode:          types.BillingModePayPerRequest,
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	}
}

func static() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("key", "secret", "")
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

func ptr[T any](v T) *T { return &v }

// only is the one shard of a stream.
func (r *rig) only(arn string) string {
	r.t.Helper()
	shards, _ := r.describe(arn)
	if len(shards) != 1 {
		r.t.Fatalf("%d shards, want 1", len(shards))
	}
	return *shards[0].ShardId
}

// code is the error code of an API error, "" for none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (r *rig) wantCode(err error, want string) {
	r.t.Helper()
	if got := code(err); got != want {
		r.t.Errorf("error %q (%v), want %q", got, err, want)
	}
}
