package dynamofake

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// A server that is started on its journal again is the one that wrote it, though others have read it in between.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	clock := NewClock(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC))
	start := func(reads bool) (*Server, string) {
		s, err := Start(Options{Journal: path, Seed: 4, Shards: 2, Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return s, view(t, s, reads)
	}
	s, err := Start(Options{Journal: path, Seed: 4, Shards: 2, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateTable("sessions", "id"); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		clock.Advance(1500 * time.Millisecond)
		if err := s.Put("sessions", fmt.Sprintf(`{"id":{"S":"s%d"},"v":{"N":"%d"},"tags":{"SS":["c","b","a"]}}`, i%20, i)); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			view(t, s, true)
		}
	}
	if err := s.Delete("sessions", `{"id":{"S":"s3"}}`); err != nil {
		t.Fatal(err)
	}
	want := view(t, s, false)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"at":1,"op":"Put`); err != nil { // a kill in the middle of a line
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Hour)
		var got string
		if s, got = start(true); got != want {
			t.Fatalf("after a restart:\n%s\nbefore:\n%s", got, want)
		}
	}
	if err := s.Put("sessions", `{"id":{"S":"new"}}`); err != nil {
		t.Fatal(err)
	}
	want = view(t, s, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, got := start(false)
	if got != want {
		t.Errorf("what was written after a restart is not kept:\n%s\nbefore:\n%s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{\"at\":1,\"op\":\"Sing\",\"in\":{}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Journal: path}); err == nil {
		t.Error("a journal of something else is taken")
	}
}

// view is everything that a server shows: table, shards, records.
func view(t *testing.T, s *Server, alsoReads bool) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	tab := s.tables["sessions"]
	out := fmt.Sprintf("%s %s %d items\n", tab.id, tab.arn, tab.count)
	for _, rows := range tab.rows {
		for _, r := range rows {
			out += fmt.Sprintln(reflect.ValueOf(r.item).Len(), r.key)
		}
	}
	st := s.streams[len(s.streams)-1]
	out += st.arn + "\n"
	for _, sh := range st.shards {
		out += sh.id + "\n"
		for _, r := range sh.records {
			out += fmt.Sprintf("%s %s %s\n", r.seq, r.at, r.json)
		}
	}
	if alsoReads {
		for range 3 {
			_ = s.fork()
		}
	}
	return out
}
