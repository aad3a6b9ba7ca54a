package dynamofake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

func (r *rig) list() error {
	_, err := r.streams.ListStreams(r.t.Context(), &dynamodbstreams.ListStreamsInput{})
	return err
}

func is[T error](err error) bool {
	var e T
	return errors.As(err, &e)
}

func TestFailuresAreTheSDKsErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	shard := r.only(arn)
	status := map[dynamofake.Failure]int{dynamofake.InternalServerError: 500, dynamofake.ServiceUnavailable: 503}
	for _, f := range []dynamofake.Failure{
		dynamofake.ProvisionedThroughputExceeded, dynamofake.LimitExceeded, dynamofake.RequestLimitExceeded, dynamofake.InternalServerError,
		dynamofake.ExpiredIterator, dynamofake.TrimmedDataAccess, dynamofake.ResourceNotFound, dynamofake.Throttling, dynamofake.ServiceUnavailable,
		dynamofake.AccessDenied, dynamofake.ExpiredToken, dynamofake.UnrecognizedClient, dynamofake.InvalidSignature, dynamofake.RequestTimeTooSkewed,
	} {
		r.srv.Fail(dynamofake.Fault{Failure: f, Times: 1})
		call := r.list
		if f == dynamofake.ProvisionedThroughputExceeded || f == dynamofake.RequestLimitExceeded { // the streams' model has neither
			call = func() error {
				_, err := r.db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
				return err
			}
		}
		err := call()
		r.wantCode(err, string(f))
		var resp *smithyhttp.ResponseError
		if want := max(status[f], 400); !errors.As(err, &resp) || resp.HTTPStatusCode() != want {
			t.Errorf("%s: %v, want status %d", f, err, want)
		}
		r.wantCode(r.list(), "")
	}
	it := r.horizon(arn, shard)
	read := func() error {
		_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		return err
	}
	for f, typed := range map[dynamofake.Failure]func(error) bool{
		dynamofake.LimitExceeded: is[*st.LimitExceededException], dynamofake.ExpiredIterator: is[*st.ExpiredIteratorException],
		dynamofake.TrimmedDataAccess: is[*st.TrimmedDataAccessException], dynamofake.ResourceNotFound: is[*st.ResourceNotFoundException],
		dynamofake.InternalServerError: is[*st.InternalServerError],
	} {
		r.srv.Fail(dynamofake.Fault{Failure: f, Shard: shard, Times: 1})
		if err := read(); !typed(err) {
			t.Errorf("%s is %T", f, err)
		}
	}
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.ProvisionedThroughputExceeded, Times: 1})
	if err := r.putItem(attrs{"id": str("a")}); !is[*types.ProvisionedThroughputExceededException](err) {
		t.Errorf("a put: %v", err)
	}
}

func TestFaultsAreAimed(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Shards: 2})
	arn, other := r.table("sessions"), r.table("other")
	a, b := *first(r.describe(arn))[0].ShardId, *first(r.describe(arn))[1].ShardId
	itA, itB, itO := r.horizon(arn, a), r.horizon(arn, b), r.horizon(other, *first(r.describe(other))[0].ShardId)
	read := func(it *string) string {
		_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		return code(err)
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	const slow, limit = "ThrottlingException", "LimitExceededException"
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Shard: a})
	want("one shard", []string{read(itA), read(itB), read(itO), read(itA)}, slow, "", "", slow)
	r.srv.ClearFaults()
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.LimitExceeded, Table: "sessions", Operation: "GetRecords"})
	want("one table", []string{read(itA), read(itB), read(itO), code(r.list())}, limit, limit, "", "")
	r.srv.ClearFaults()
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Operation: "GetRecords", Skip: 1, Times: 2})
	want("skip one, fail two", []string{read(itA), read(itA), read(itA), read(itA)}, "", slow, slow, "")
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Operation: "GetRecords", Every: 3})
	want("every third", []string{read(itA), read(itA), read(itA), read(itA), read(itA), read(itA)}, "", "", slow, "", "", slow)
	r.srv.ClearFaults()
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, For: 10 * time.Minute})
	want("for a time", []string{read(itA), code(r.list())}, slow, slow)
	r.clock.Advance(10 * time.Minute)
	want("after that time", []string{read(itA), code(r.list())}, "", "")
}

func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Dropped, Times: 1})
	if err := r.list(); !errors.Is(err, io.EOF) {
		t.Errorf("a cut connection: %v", err)
	}
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Hanging, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.streams.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	r.wantCode(r.list(), "")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Limits: dynamofake.Limits{GetRecordsRate: 5, DescribeRate: 10, WriteUnitsPerSec: 30, RecordsPerPage: 20}})
	arn := r.table("sessions")
	shard := r.only(arn)
	for i := range 30 {
		r.put("sessions", `{"id":{"S":"%d"}}`, i)
	}
	if err := r.putItem(attrs{"id": str("x")}); !is[*types.ProvisionedThroughputExceededException](err) {
		t.Errorf("write 31 of a second: %v", err)
	}
	it := r.horizon(arn, shard)
	for i := range 6 {
		out, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		if (i == 5) != is[*st.LimitExceededException](err) {
			t.Errorf("read %d of a second: %v", i+1, err)
		}
		if i == 0 && len(out.Records) != 20 {
			t.Errorf("a page of %d records, want 20", len(out.Records))
		}
	}
	for i := range 10 { // one was used above
		_, err := r.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &arn})
		if (i == 9) != is[*st.LimitExceededException](err) {
			t.Errorf("description %d of a second: %v", i+2, err)
		}
	}
	r.clock.Advance(time.Second)
	r.ok(r.putItem(attrs{"id": str("x")}))
	if _, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it}); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

func TestReadersPerShard(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Latency: 5 * time.Millisecond, Limits: dynamofake.Limits{ReadersPerShard: 2}})
	arn := r.table("sessions")
	it := r.horizon(arn, r.only(arn))
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for range 8 {
		wg.Go(func() {
			for range 10 {
				_, err := r.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it})
				mu.Lock()
				codes[code(err)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if codes[""] == 0 || codes["LimitExceededException"] == 0 || len(codes) != 2 {
		t.Errorf("eight readers: %v", codes)
	}
}

func TestObserverAndCounters(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	r := newRig(t, dynamofake.Options{Observe: func(c dynamofake.Call) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s %s %s %d", c.Operation, c.Table, c.Iterator, c.Error, c.Records))
	}})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`) // no request: not seen
	r.read(r.horizon(arn, r.only(arn)))
	r.wantCode(r.putItem(attrs{"no": str("a")}), "ValidationException")
	want := "CreateTable sessions   0|DescribeStream sessions   0|GetShardIterator sessions TRIM_HORIZON  0|GetRecords sessions   1|GetRecords sessions   0|PutItem sessions  ValidationException 0"
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("seen %s\nwant %s", got, want)
	}
	if r.srv.Calls("GetRecords") != 2 || r.srv.Calls("") != 6 {
		t.Errorf("%d reads of %d calls", r.srv.Calls("GetRecords"), r.srv.Calls(""))
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Secrets: map[string]string{"key": "secret"}})
	r.table("sessions")
	r.ok(r.putItem(attrs{"id": str("a")}))
	r.wantCode(r.list(), "")
	for want, pair := range map[string][2]string{"UnrecognizedClientException": {"other", "secret"}, "InvalidSignatureException": {"key", "guess"}} {
		db, streams := clients(t, r.srv.Endpoint(), pair[0], pair[1])
		_, err := streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{})
		r.wantCode(err, want)
		_, err = db.ListTables(t.Context(), &dynamodb.ListTablesInput{})
		r.wantCode(err, want)
	}
	_, err := r.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{}, func(o *dynamodbstreams.Options) { o.Region = "eu-west-1" })
	r.wantCode(err, "InvalidSignatureException")
}

// The SDK learns the server's time from the refusal's Date header and signs by it from then on.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for skew, want := range map[time.Duration]string{
		10 * time.Minute: "InvalidSignatureException", -10 * time.Minute: "InvalidSignatureException", 4 * time.Minute: "", -4 * time.Minute: "",
	} {
		r := newRig(t, dynamofake.Options{})
		r.srv.SkewClock(skew)
		r.wantCode(r.list(), want)
	}
	r := newRig(t, dynamofake.Options{})
	r.srv.SkewClock(10 * time.Minute)
	_, err := r.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{}, func(o *dynamodbstreams.Options) { o.RetryMaxAttempts = 3 })
	if err != nil || r.srv.Calls("") != 1 {
		t.Errorf("the SDK's own correction: %v", err)
	}
}

func TestSwallowsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	for _, c := range []struct{ target, body, want string }{
		{"DynamoDB_20120810.Nonsense", `{}`, "com.amazon.coral.service#UnknownOperationException"},
		{"DynamoDBStreams_20120810.PutItem", `{}`, "com.amazon.coral.service#UnknownOperationException"},
		{"DynamoDB_20111205.PutItem", `{}`, "com.amazon.coral.service#UnknownOperationException"},
		{"", `{}`, "com.amazon.coral.service#UnknownOperationException"},
		{"DynamoDB_20120810.Query", `{}`, "dynamofake#NotImplemented"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"S":"a"}},"Items":1}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"tablename":"sessions","Item":{"id":{"S":"a"}}}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":5}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"S":1}}}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"N":1}}}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"B":"*"}}}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":[]}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"X":"a"}}}`, "com.amazon.coral.validate#ValidationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"S":"a","N":"1"}}}`, "com.amazon.coral.validate#ValidationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{}}}`, "com.amazon.coral.validate#ValidationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions"}`, "com.amazon.coral.validate#ValidationException"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions","Item":{"id":{"S":"a"}},"Expected":{}}`, "dynamofake#NotImplemented"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"sessions"} {}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.PutItem", `null`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.Scan", `{"TableName":"sessions","Limit":"5"}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.Scan", `{"TableName":"sessions","Limit":1.5}`, "com.amazon.coral.service#SerializationException"},
		{"DynamoDB_20120810.Scan", `{"TableName":"sessions","ConsistentRead":"yes"}`, "com.amazon.coral.service#SerializationException"},
	} {
		if got := r.raw(c.target, c.body, nil); !strings.Contains(got, `"__type":"`+c.want+`"`) {
			t.Errorf("%s %s: %s, want %s", c.target, c.body, got, c.want)
		}
	}
	for name, edit := range map[string]func(http.Header){
		"MissingAuthenticationTokenException": func(h http.Header) { h.Del("Authorization") },
		"IncompleteSignatureException":        func(h http.Header) { h.Del("X-Amz-Date") },
		"InvalidSignatureException":           func(h http.Header) { h.Set("X-Amz-Date", "20200101T000000Z") },
		"SerializationException":              func(h http.Header) { h.Set("Content-Type", "application/json") },
	} {
		if got := r.raw("DynamoDB_20120810.ListTables", `{}`, edit); !strings.Contains(got, name) {
			t.Errorf("%s, want %s", got, name)
		}
	}
}

// raw sends a request of our own making and returns status and body.
func (r *rig) raw(target, body string, edit func(http.Header)) string {
	r.t.Helper()
	req := must[*http.Request](r.t)(http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.srv.Endpoint(), strings.NewReader(body)))
	now := time.Now().UTC()
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/"+now.Format("20060102")+"/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
	if edit != nil {
		edit(req.Header)
	}
	req.Close = true
	resp := must[*http.Response](r.t)(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	return resp.Status + " " + string(must[[]byte](r.t)(io.ReadAll(resp.Body)))
}

func TestListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	if !strings.HasPrefix(r.srv.Endpoint(), "http://127.0.0.1:") {
		t.Error(r.srv.Endpoint())
	}
	if _, err := dynamofake.Start(dynamofake.Options{Port: must[int](t)(portOf(r.srv.Endpoint()))}); err == nil {
		t.Error("a port in use was taken")
	}
}

func portOf(endpoint string) (port int, err error) {
	_, err = fmt.Sscanf(endpoint, "http://127.0.0.1:%d", &port)
	return port, err
}

func TestLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := dynamofake.New(dynamofake.Options{Latency: 3 * time.Second})
		from := time.Now()
		srv.ServeHTTP(discard{}, must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))))
		if got := time.Since(from); got != 3*time.Second {
			t.Errorf("answered after %v, want 3 s", got)
		}
	})
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
