package dynamofake_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
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

// cpu is the processor time of this process, both sides of the wire. Unlike the clock it can be read on a busy machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, records int, used time.Duration) {
	b.Helper()
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(records)/1e3, "cpu-us/record")
}

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
	n, used := 0, cpu()
	for b.Loop() {
		if err := srv.Put("sessions", fmt.Sprintf(session, n%100_000, n)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	report(b, n, cpu()-used)
}

// BenchmarkRead is one reader of one shard over HTTP that doesn't decode: what the fake itself can serve of records
// that were written, and of a flood.
func BenchmarkRead(b *testing.B) {
	b.Run("written", func(b *testing.B) {
		srv, arn := filled(b)
		for i := range benchRecords {
			if err := srv.Put("sessions", fmt.Sprintf(session, i, i)); err != nil {
				b.Fatal(err)
			}
		}
		readOn(b, srv, arn, 0)
	})
	b.Run("flood", func(b *testing.B) {
		srv, arn := filled(b)
		if err := srv.Flood("sessions", flood(benchRecords)); err != nil {
			b.Fatal(err)
		}
		readOn(b, srv, arn, 1)
	})
}

func flood(records int64) dynamofake.Flood {
	return dynamofake.Flood{
		Records: records, Step: time.Millisecond,
		Key: func(b []byte, i int64) []byte {
			return append(strconv.AppendInt(append(b, `{"id":{"S":"s-`...), i, 10), `"}}`...)
		},
		Image: func(b []byte, i int64) []byte {
			b = append(strconv.AppendInt(append(b, `{"id":{"S":"s-`...), i, 10), `"},"patient":{"N":"`...)
			b = append(strconv.AppendInt(b, i%1000, 10), `"},"started":{"S":"2026-03-01T08:15:00Z"},"device":{"S":"ward tablet"},"active":{"BOOL":true},`...)
			return append(b, `"pages":{"N":"17"},"score":{"N":"0.8125"},"tags":{"SS":["a","b","c"]},"note":{"S":"follow-up on Thursday"},"meta":{"M":{"v":{"N":"3"}}}}`...)
		},
	}
}

// readOn reads a shard of the stream to its end, as often as the benchmark wants.
func readOn(b *testing.B, srv *dynamofake.Server, arn string, shard int) {
	b.Helper()
	_, streams := clients(b, srv.Endpoint(), "key", "secret")
	shards, err := srv.Shards("sessions")
	if err != nil {
		b.Fatal(err)
	}
	records, bytesRead, used := 0, 0, cpu()
	for b.Loop() {
		it, err := streams.GetShardIterator(b.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &shards[shard].ID, ShardIteratorType: st.ShardIteratorTypeTrimHorizon})
		if err != nil {
			b.Fatal(err)
		}
		for next := *it.ShardIterator; next != ""; {
			body := rawRecords(b, srv.Endpoint(), next)
			n := bytes.Count(body, []byte(`"eventID"`))
			records, bytesRead, next = records+n, bytesRead+len(body), ""
			if m := nextIterator.FindSubmatch(body); m != nil && n > 0 {
				next = string(m[1])
			}
		}
	}
	report(b, records, cpu()-used)
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
	records, used := 0, cpu()
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
	report(b, records, cpu()-used)
}
