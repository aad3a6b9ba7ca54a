package dynamodb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/realtest"
)

// The drills. Kills between a settled round and its rows, and between rows, are TestB7Row03SplitsAndKills.

// Whatever passes by itself passes: nothing is lost, and no storm of errors is printed.
func TestB8Faults(t *testing.T) {
	for name, f := range map[string]dynamofake.Fault{
		"GetRecords 500":                  {Failure: dynamofake.InternalServerError, Operation: "GetRecords", Every: 2, Times: 60},
		"GetRecords 503":                  {Failure: dynamofake.ServiceUnavailable, Operation: "GetRecords", Every: 3, Times: 40},
		"connections cut":                 {Failure: dynamofake.Dropped, Every: 5, Times: 40},
		"listing throttled":               {Failure: dynamofake.LimitExceeded, Operation: "DescribeStream", Times: 6},
		"iterators throttled":             {Failure: dynamofake.ProvisionedThroughputExceeded, Operation: "GetShardIterator", Times: 6},
		"iterators expire":                {Failure: dynamofake.ExpiredIterator, Operation: "GetRecords", Every: 2, Times: 30},
		"the endpoint is away for long":   {Failure: dynamofake.Dropped, Times: 120},
		"credentials expire and are back": {Failure: dynamofake.ExpiredToken, Operation: "GetRecords", Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, dynamofake.Options{Shards: 2})
			r.create(images)
			s := r.loaded()
			r.srv.Fail(f)
			for i := range 60 {
				r.put(fmt.Sprint("item-", i%3), i/3)
				if i == 30 {
					r.ok(r.srv.Rotate(table, ""))
				}
			}
			if f.Failure == dynamofake.ExpiredToken { // ends the run, and the daemon begins again
				<-s.done
				if !ingest.Retryable(s.err) || !strings.Contains(s.err.Error(), "credentials have expired") {
					t.Errorf("it ended with %v", s.err)
				}
				r.srv.ClearFaults()
				s = r.run(nil)
				s.loads.Done = true
			}
			r.caughtUp(s)
			r.end(s)
			r.strict(r.equal(), 0)
			if n := strings.Count(r.logged.String(), "\n"); n > 4 {
				t.Errorf("%d lines were logged:\n%s", n, r.logged)
			}
		})
	}
}

// What needs a person says what to do, and is not tried again for ever.
func TestB8NeedsAPerson(t *testing.T) {
	for name, c := range map[string]struct {
		fault dynamofake.Fault
		want  string
	}{
		"no permission to describe": {dynamofake.Fault{Failure: dynamofake.AccessDenied, Operation: "DescribeTable"}, "allow the action dynamodb:DescribeTable"},
		"no permission to scan":     {dynamofake.Fault{Failure: dynamofake.AccessDenied, Operation: "Scan"}, "allow the action dynamodb:Scan"},
		"no permission to list":     {dynamofake.Fault{Failure: dynamofake.AccessDenied, Operation: "DescribeStream"}, "allow the action dynamodb:DescribeStream"},
		"no permission to open":     {dynamofake.Fault{Failure: dynamofake.AccessDenied, Operation: "GetShardIterator"}, "allow the action dynamodb:GetShardIterator"},
		"no permission to read":     {dynamofake.Fault{Failure: dynamofake.AccessDenied, Operation: "GetRecords"}, "allow the action dynamodb:GetRecords"},
		"unknown key":               {dynamofake.Fault{Failure: dynamofake.UnrecognizedClient}, "aws sts get-caller-identity"},
		"wrong signature":           {dynamofake.Fault{Failure: dynamofake.InvalidSignature}, "set this machine's clock"},
		"trimmed":                   {dynamofake.Fault{Failure: dynamofake.TrimmedDataAccess, Operation: "GetRecords"}, "DATA LOSS"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, dynamofake.Options{})
			r.create(images)
			r.put("a", 0)
			r.srv.Fail(c.fault)
			s := r.run(nil)
			r.fails(s, c.want)
			if ingest.Retryable(s.err) {
				t.Errorf("it would be tried again: %v", s.err)
			}
		})
	}
}

// Our clock is ten minutes off: the SDK signs by the server's date, and windows go by it. When ours is ahead, the first windows
// stay open until the server's clock has come to them.
func TestB8ClockSkew(t *testing.T) {
	for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			clock := func() time.Time { return time.Now().Add(ahead) }
			r := newRig(t, dynamofake.Options{Clock: clock})
			r.srv.SkewClock(ahead)
			r.create(images)
			s := r.run(nil)
			r.await(s, "the load", func() bool { return s.loads.Done })
			r.put("a", 0)
			now := clock()
			r.await(s, "the row", func() bool { return s.rows == 1 && (ahead < 0 || s.sealed.After(now)) })
			r.end(s)
			r.strict(r.equal(), 0)
		})
	}
}

// A record that is no row parks the table, and neither the reason nor a log line holds a value (invariant 6).
func TestB8PoisonItem(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.numberKey()
	s := r.loaded()
	r.item(fmt.Sprintf(`{"id":{"N":"1"},"note":{"S":%q}}`, realtest.Canary))
	r.item(fmt.Sprintf(`{"id":{"N":"1.5"},"note":{"S":%q}}`, realtest.Canary))
	r.item(`{"id":{"N":"2"}}`)
	r.await(s, "the table to stand still", func() bool { return s.parked != "" })
	for _, want := range []string{`key attribute "id" does not fit its column, which is int64`, "set columns: {id: text}", "tidemill resync s.dynamodb.sessions"} {
		if !strings.Contains(s.parked, want) {
			t.Errorf("%q is not in: %s", want, s.parked)
		}
	}
	if strings.Contains(s.parked, "1.5") {
		t.Errorf("a value is in: %s", s.parked)
	}
	r.end(s)
	realtest.NoCanary(t, "the log and the reason", r.logged.String()+s.parked)
	// The remedy.
	r.config.Columns = map[string]string{"id": "text"}
	r.ask("dynamodb.sessions")
	s = r.run(nil)
	<-s.done
	s = r.run(nil)
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.end(s)
	rows, _ := r.content()
	got := replica(rows)
	if got["1.5|"] == nil || got["2|"] == nil {
		t.Errorf("after the remedy: %v", got)
	}
}

// What answers 200 and is not DynamoDB (a proxy, a health page) is refused by name.
func TestB8AnswersThatAreNone(t *testing.T) {
	for _, answer := range []string{"", "{}", "<html>", `{"Table":null}`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		c := Default()
		c.Table, c.Region, c.Endpoint = table, "us-east-1", s.URL
		_, err := New("s", c, nil, nil).Prepare(t.Context())
		s.Close()
		if err == nil || ingest.Retryable(err) && answer != "<html>" || !strings.Contains(err.Error(), "check endpoint in the source's file") && answer != "<html>" {
			t.Errorf("%q is answered with %v", answer, err)
		}
	}
	c := Default()
	c.Table, c.Region, c.Endpoint = table, "ap-southest-1", "http://127.0.0.1:1"
	_, err := New("s", c, nil, nil).Prepare(t.Context())
	if err == nil || !ingest.Retryable(err) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "check region and endpoint") {
		t.Errorf("an endpoint that is not there: %v", err)
	}
}
