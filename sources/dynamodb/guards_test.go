package dynamodb

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// Rule 7(c), condition by condition: with all of them a window is complete, without any one it is not.
func TestAWindowNeedsEveryProof(t *testing.T) {
	end := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	behind := end.Add(2 * time.Minute)
	whole := func() *stream {
		c := Default()
		s := &stream{src: &Source{config: c, now: func() time.Time { return behind }}, tree: shard.New(nil), listedAt: end.Add(time.Minute), readers: map[string]*reader{}}
		s.tree.Listed([]shard.Listing{{ID: "a"}, {ID: "b"}}, end)
		s.readers["a"] = &reader{id: "a", lastAt: end.Unix() + 1}
		s.readers["b"] = &reader{id: "b", empties: 3, asked: end.Add(c.Grace)}
		return s
	}
	if !whole().proven(end) {
		t.Fatal("a window with every proof is not complete")
	}
	for what, without := range map[string]func(*stream){
		"the grace":                     func(s *stream) { s.src.now = func() time.Time { return end.Add(s.src.config.Grace - 1) } },
		"a list of shards after it":     func(s *stream) { s.listedAt = end.Add(-1) },
		"the children that were asked":  func(s *stream) { s.children = []string{"a"} },
		"a list after the last end":     func(s *stream) { s.finished = s.listedAt.Add(1) },
		"the children of what ended":    func(s *stream) { s.tree.Ended("a", behind); delete(s.readers, "a") },
		"the end of a shard":            func(s *stream) { s.readers["a"].lastAt = end.Unix() - 1 },
		"a third empty page":            func(s *stream) { s.readers["b"].empties = 2 },
		"an empty page after the grace": func(s *stream) { s.readers["b"].asked = end.Add(s.src.config.Grace - 1) },
		"a queue that is empty":         func(s *stream) { s.readers["a"].pages = []*page{{records: []item.Record{{At: end.Unix() - 1}}}} },
		"exports that are imported":     func(s *stream) { s.loader = &loader{gated: true} },
	} {
		s := whole()
		if without(s); s.proven(end) {
			t.Errorf("a window is complete without %s", what)
		}
	}
	off := whole() // nobody's children will come
	off.off = true
	off.tree.Ended("a", behind)
	delete(off.readers, "a")
	if !off.proven(end) {
		t.Error("the last window of a stream that is off waits for children")
	}
}

// B3.5: the load is done when the stream has come to where its last page was read, and no earlier.
func TestB3TheLoadEndsWhereItsLastPageWasRead(t *testing.T) {
	r := clocked(t, dynamofake.Options{})
	r.create(images)
	r.put("a", 1)
	s := r.run(nil)
	r.await(s, "the scan", func() bool { return strings.Contains(string(s.loads.Cursor), `"done":true`) })
	from := 0
	r.await(s, "the source to go on", func() bool {
		if from == 0 {
			from = s.calls
		}
		return s.calls > from+30
	})
	if s.loads.Done {
		t.Error("the load is done, and the stream's clock has not come to the end of the scan")
	}
	if st, err := parseState(r.state()); err != nil || !st.Begun {
		t.Errorf("that the load has begun is not durable: %v", err)
	}
	r.clock.Advance(10 * time.Second)
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.end(s)
}

// B2: a listing whose cursor repeats would turn for ever, and hide what is behind it.
func TestB2ACursorThatRepeats(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		fmt.Fprint(w, `{"StreamDescription":{"StreamStatus":"ENABLED","Shards":[{"ShardId":"shardId-1"}],"LastEvaluatedShardId":"shardId-1"}}`)
	}))
	defer s.Close()
	c := Default()
	c.Table, c.Region, c.Endpoint = table, "us-east-1", s.URL
	cl, err := c.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := cl.shards(ctx, "arn", ""); err == nil || !strings.Contains(err.Error(), "turns in a circle") || calls > 3 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

// B1: an answer that was damaged on its way is not taken.
func TestB1AnAnswerIsHeldAgainstItsChecksum(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	r.put("a", 1)
	u, err := url.Parse(r.srv.Endpoint())
	r.ok(err)
	damaged := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(req *httputil.ProxyRequest) { req.SetURL(u); req.Out.Host = req.In.Host },
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Set("X-Amz-Crc32", "1")
			return nil
		},
	})
	defer damaged.Close()
	c := r.config
	c.Endpoint = damaged.URL
	cl, err := c.client(t.Context())
	r.ok(err)
	if items, _, _, err := cl.scan(t.Context(), 0, 1, nil, 0); err == nil {
		t.Errorf("%d items of an answer with a wrong checksum are taken", len(items))
	}
}

// A shard of the first discovery that begins at its oldest record, because no iterator at the present outlived a restart: what was written
// before is not wanted.
func TestRecordsOfBeforeTheDiscoveryAreLeftOut(t *testing.T) {
	r := clocked(t, dynamofake.Options{})
	r.create(images)
	r.put("old", 1)
	r.clock.Advance(10 * time.Minute)
	since := r.clock.Now().Unix()
	r.put("new", 1)
	src := New("s", r.config, nil, nil)
	src.pace, src.now = r.pace, r.clock.Now
	_, err := src.Prepare(t.Context())
	r.ok(err)
	s, err := newStream(src, nil)
	r.ok(err)
	s.st.Stream = src.table.arn
	shards, err := r.srv.Shards(table)
	r.ok(err)
	f := s.fetch(t.Context(), nil, reader{id: shards[0].ID, since: since})
	r.ok(f.err)
	if f.page == nil || len(f.page.records) != 1 || f.page.records[0].At < since {
		t.Errorf("fetched %+v", f.page)
	}
}

// When the children of a shard cannot be listed, the next whole listing has them, at once.
func TestAFailedListingOfChildrenIsMadeUpFor(t *testing.T) {
	s := &stream{src: &Source{pace: usualPace(), log: New("s", Default(), nil, nil).log}, children: []string{"p"}, heard: time.Now(), nextList: time.Now().Add(time.Hour), said: map[string]time.Time{}}
	if err := s.listed(t.Context(), listed{parent: "p", err: &Error{Cause: Throttled}}); err != nil {
		t.Fatal(err)
	}
	if len(s.children) > 0 || s.nextList.After(time.Now()) {
		t.Errorf("children %v, the next listing in %s", s.children, time.Until(s.nextList))
	}
}

// What the stream has brought is remembered while a page may show it as it was before, and no longer.
func TestKeysOfTheStreamAreForgotten(t *testing.T) {
	s := &stream{touched: map[xxh3.Uint128]uint64{}}
	l := &loader{total: 2, marks: make([]atomic.Uint64, 2), cursor: cursor{Segments: make([]segment, 2)}}
	s.loader = l
	for i := range 20_000 {
		s.touch(xxh3.Uint128{Lo: uint64(i)})
	}
	l.marks[0].Store(15_000)
	l.marks[1].Store(12_000)
	s.thin()
	if len(s.touched) != 8_000 {
		t.Errorf("%d keys are kept behind two pages, want 8000", len(s.touched))
	}
	l.cursor.Segments[1].Done = true
	for i := range 20_000 {
		s.touch(xxh3.Uint128{Lo: uint64(i)})
	}
	s.thin()
	if len(s.touched) != 20_000 { // all of them are younger than mark 15,000 by now
		t.Errorf("%d keys are kept", len(s.touched))
	}
	l.cursor.Segments[0].Done = true
	s.loader.kept = 0
	if s.thin(); len(s.touched) != 0 {
		t.Errorf("%d keys are kept behind the last page", len(s.touched))
	}
}
