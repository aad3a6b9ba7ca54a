package dynamodb

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// B7.18 with a scan in place of the export: a load beside writes ends in what a consistent Scan shows.
func TestLoadBesideWrites(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 3, Seed: 1, Limits: dynamofake.Limits{BytesPerPage: 4000}})
	r.create(images)
	for i := range 400 {
		r.put(fmt.Sprintf("old-%03d", i), 0)
	}
	r.rows = 0
	s := r.run(nil)
	for i := range 300 {
		r.put(fmt.Sprintf("old-%03d", i%150), 1+i/150)
		r.put(fmt.Sprintf("new-%03d", i), 0)
		if i%7 == 0 {
			r.delete(fmt.Sprintf("old-%03d", 399-i))
		}
	}
	r.await(s, "the load", func() bool { return s.loads.Done })
	for i := range 20 {
		r.put(fmt.Sprintf("late-%03d", i), 0)
	}
	r.srv.Split(table, "")
	r.put("last", 0)
	r.caughtUp(s)
	r.end(s)
	r.equal()
}

// A page of the first load that was read before a change and comes after it does not undo the change (invariant 4): the answers
// to Scan are held until the stream has brought newer versions.
func TestAPageOlderThanTheStream(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 2, Seed: 8})
	r.create(images)
	for i := range 40 {
		r.put(fmt.Sprintf("i-%02d", i), 0)
	}
	r.rows = 0
	asked, release := make(chan struct{}, 100), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(text))
		if !bytes.Contains(text, []byte("TotalSegments")) { // nor the sample
			r.srv.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		r.srv.ServeHTTP(answer, req)
		asked <- struct{}{}
		select {
		case <-release:
		case <-t.Context().Done():
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // a client that has gone is its own business
	}))
	t.Cleanup(slow.Close)
	r.config.Endpoint = slow.URL
	s := r.run(nil)
	for range r.config.Segments {
		<-asked
	}
	for i := range 30 {
		r.put(fmt.Sprintf("i-%02d", i), 1)
	}
	r.delete("i-39")
	r.await(s, "the changes", func() bool { return s.rows >= r.rows })
	close(release)
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.put("last", 0)
	r.caughtUp(s)
	r.end(s)
	r.equal()
}

// A planned round is read again however long the endpoint is away or wants fewer calls; what a person must mend is an error at once.
func TestAReplayOutlastsTheEndpoint(t *testing.T) {
	for failure, passes := range map[dynamofake.Failure]bool{dynamofake.Dropped: true, dynamofake.ProvisionedThroughputExceeded: true, dynamofake.AccessDenied: false} {
		t.Run(string(failure), func(t *testing.T) {
			r := newRig(t, dynamofake.Options{})
			r.create(images)
			r.put("a", 1)
			r.put("b", 2)
			src := New("s", r.config, nil, nil)
			src.pace = r.pace
			src.pace.busy, src.pace.backoff = time.Millisecond, 2*time.Millisecond
			_, err := src.Prepare(t.Context())
			r.ok(err)
			s, err := newStream(src, nil)
			r.ok(err)
			s.st.Stream = src.table.arn
			shards, err := r.srv.Shards(table)
			r.ok(err)
			p := planned{Shard: shards[0].ID, First: shards[0].First, Last: shards[0].Last, Rows: shards[0].Records}
			const calls = 46 // of 23 attempts: the SDK tries twice
			r.srv.Fail(dynamofake.Fault{Failure: failure, Operation: "GetRecords", Times: calls})
			e, err := s.again(t.Context(), p)
			if passes && (err != nil || len(e.records) != 2 || r.srv.Calls("GetRecords") <= calls) {
				t.Errorf("%d records after %d calls: %v", len(e.records), r.srv.Calls("GetRecords"), err)
			}
			if !passes && (err == nil || r.srv.Calls("GetRecords") > 2) {
				t.Errorf("after %d calls: %v", r.srv.Calls("GetRecords"), err)
			}
		})
	}
}
