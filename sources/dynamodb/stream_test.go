package dynamodb

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

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
