package ingest

import (
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Proofs of a seal: why its slice is complete.
const (
	proofStream = "stream" // a group past the window's end was read (rule 7a)
	proofIdle   = "idle"   // the server proved that nothing more comes (rule 7b)
	proofShards = "shards" // all logs of a source that is several have come to the window's end (rule 7c)
	proofSlice  = "slice"  // the slice grew too large, or a table's schema changed
)

// stamper is the pure part of stamping and sealing: which window a group belongs to, and which slices are complete. It
// reads no clock and does no I/O. The open slice always advances one step at a time, so every window that is passed is
// sealed, empty ones too.
type stamper struct {
	grid  grid.Grid
	skew  time.Duration // how far a commit time may lie ahead of our clock
	grace time.Duration // how far past a window's end an idle proof must lie

	open    grid.Window
	slice   int32
	stamp   time.Time     // of the last group: stamps never go back
	late    int64         // groups of the open slice that were committed before its window's start
	maxLate time.Duration // the latest of them
}

// sealing is the decision that a slice is complete.
type sealing struct {
	window  grid.Window
	slice   int32
	final   bool
	proof   string
	late    int64
	maxLate time.Duration
}

// openSlice is a slice that rows are written to.
type openSlice struct {
	window grid.Window
	slice  int32
}

// next is the slice that follows the sealed one.
func (x sealing) next() openSlice {
	if x.final {
		// Windows of one grid have one length.
		return openSlice{grid.Window{Start: x.window.End, End: x.window.End.Add(x.window.End.Sub(x.window.Start))}, 0}
	}
	return openSlice{x.window, x.slice + 1}
}

// begin stamps a group and returns the slices that it completes. In a replay only advance is called: the group's window was
// decided before (invariant 1).
func (s *stamper) begin(commit, now time.Time) []sealing {
	s.advance(commit, now)
	var out []sealing
	for !s.stamp.Before(s.open.End) {
		out = append(out, s.seal(true, proofStream))
	}
	return out
}

// idle returns the windows that are complete because everything committed before t has been emitted.
func (s *stamper) idle(t time.Time) []sealing {
	var out []sealing
	for !t.Before(s.open.End.Add(s.grace)) {
		out = append(out, s.seal(true, proofIdle))
	}
	return out
}

// complete returns the windows that end at t or before.
func (s *stamper) complete(t time.Time) []sealing {
	var out []sealing
	for !t.Before(s.open.End) {
		out = append(out, s.seal(true, proofShards))
	}
	return out
}

// cut completes the open slice before its window's end.
func (s *stamper) cut() sealing { return s.seal(false, proofSlice) }

// seal completes the open slice and opens the next.
func (s *stamper) seal(final bool, proof string) sealing {
	out := sealing{s.open, s.slice, final, proof, s.late, s.maxLate}
	s.late, s.maxLate = 0, 0
	if final {
		s.open, s.slice = s.grid.Next(s.open), 0
	} else {
		s.slice++
	}
	return out
}

// advance moves the stamp: max(previous stamp, commit time, open window), where a commit time from the future counts as
// at most skew ahead of our clock, because one wrong clock must not close tomorrow's windows.
func (s *stamper) advance(commit, now time.Time) {
	s.stamp = later(later(s.stamp, earlier(commit, now.Add(s.skew))), s.open.Start).UTC()
}

// end counts a group that was late for the slice that it is in.
func (s *stamper) end(commit time.Time) {
	if lateness := s.open.Start.Sub(commit); lateness > 0 {
		s.late++
		s.maxLate = max(s.maxLate, lateness)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
