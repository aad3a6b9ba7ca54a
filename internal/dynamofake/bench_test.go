package dynamofake_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// A session as in the demo: 10 attributes, about 200 bytes; a record of it with one image is about 700 bytes of JSON.
const session = `{"id":{"S":"s-%08d"},"patient":{"N":"%d"},"started":{"S":"2026-03-01T08:15:00Z"},"device":{"S":"ward tablet"},"active":{"BOOL":true},
	"pages":{"N":"17"},"score":{"N":"0.8125"},"tags":{"SS":["a","b","c"]},"note":{"S":"follow-up on Thursday"},"meta":{"M":{"v":{"N":"3"}}}}`

const benchRecords = 50_000

func filled(b *testing.B) (*dynamofake.Server, string) {
	b.Helper()
	srv, err := dynamofake.Start(dynamofake.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close() })
	db, _ := clients(b, srv.Endpoint(), "key", "secret")
	if _, err := db.CreateTable(b.Context(), sessions()); err != nil {
		b.Fatal(err)
	}
	arn, err := srv.StreamArn("sessions")
	if err != nil {
		b.Fatal(err)
	}
	return srv, arn
}

// BenchmarkPut is the writing side of tests and the demo: parse, store, encode the record.
func BenchmarkPut(b *testing.B) {
	srv, _ := filled(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := srv.Put("sessions", fmt.Sprintf(session, n%100_000, n)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkRead is one reader of one shard over HTTP that doesn't decode: what the fake itself can serve.
func BenchmarkRead(b *testing.B) {
	srv, arn := filled(b)
	for i := range benchRecords {
		if err := srv.Put("sessions", fmt.Sprintf(session, i, i)); err != nil {
			b.Fatal(err)
		}
	}
	_, streams := clients(b, srv.Endpoint(), "key", "secret")
	shard, err := srv.Shards("sessions")
	if err != nil {
		b.Fatal(err)
	}
	records, bytesRead := 0, 0
	b.ResetTimer()
	for b.Loop() {
		it, err := streams.GetShardIterator(b.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard[0].ID, ShardIteratorType: st.ShardIteratorTypeTrimHorizon})
		if err != nil {
			b.Fatal(err)
		}
		for next := *it.ShardIterator; ; {
			body := rawRecords(b, srv.Endpoint(), next)
			n := bytes.Count(body, []byte(`"eventID"`))
			if n == 0 {
				break
			}
			records, bytesRead = records+n, bytesRead+len(body)
			next = string(nextIterator.FindSubmatch(body)[1])
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(bytesRead)/b.Elapsed().Seconds()/1e6, "MB/s")
}

var nextIterator = regexp.MustCompile(`"NextShardIterator":"([^"]+)"}$`)

func rawRecords(b *testing.B, endpoint, iterator string) []byte {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, endpoint, strings.NewReader(`{"ShardIterator":"`+iterator+`"}`))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	req.Header.Set("X-Amz-Target", "DynamoDBStreams_20120810.GetRecords")
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/"+now.Format("20060102")+"/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%s %v", body, err)
	}
	return body
}

// BenchmarkReadSDK is the same with the SDK's decoder in the reader.
func BenchmarkReadSDK(b *testing.B) {
	srv, arn := filled(b)
	for i := range benchRecords {
		if err := srv.Put("sessions", fmt.Sprintf(session, i, i)); err != nil {
			b.Fatal(err)
		}
	}
	endpoint := srv.Endpoint()
	streams := dynamodbstreams.New(dynamodbstreams.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: static()})
	shard, err := srv.Shards("sessions")
	if err != nil {
		b.Fatal(err)
	}
	records := 0
	for b.Loop() {
		it, err := streams.GetShardIterator(b.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shard[0].ID, ShardIteratorType: st.ShardIteratorTypeTrimHorizon})
		if err != nil {
			b.Fatal(err)
		}
		for next := it.ShardIterator; ; {
			out, err := streams.GetRecords(b.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: next})
			if err != nil {
				b.Fatal(err)
			}
			if len(out.Records) == 0 {
				break
			}
			records, next = records+len(out.Records), out.NextShardIterator
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
