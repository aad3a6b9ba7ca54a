package mysql

import (
	"testing"
	"time"
)

// A proof of idleness is passed on when the stream is behind the end of the log that it names, and not before (invariant 7): what
// lies between may have been committed before its time.
func TestProofWaitsForTheStream(t *testing.T) {
	r := newRecorder(t, 1)
	at := time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC)
	s := &stream{out: r, status: &board{}, calls: make(chan call), at: coord{7, 100}, proof: &proof{time: at, at: coord{7, 200}}}
	for _, c := range []struct {
		at   coord
		want time.Time
	}{{coord{7, 100}, time.Time{}}, {coord{6, 900}, time.Time{}}, {coord{7, 199}, time.Time{}}, {coord{7, 200}, at}} {
		s.at = c.at
		if err := s.between(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !r.idle.Equal(c.want) {
			t.Errorf("at %v the proof for %v gave %s, want %s", c.at, coord{7, 200}, r.idle, c.want)
		}
	}
}
