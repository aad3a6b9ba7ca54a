package grid

import (
	"fmt"
	"time"
)

// Grid is a window length that divides a day. The zero value is not usable: call New.
type Grid struct{ length time.Duration }

// New returns the grid of windows of the given length. The length must be at least one second, whole seconds, and
// divide 24 hours (invariant 2).
func New(length time.Duration) (Grid, error) {
	if length < time.Second || length%time.Second != 0 || (24*time.Hour)%length != 0 {
		return Grid{}, fmt.Errorf("window length %s does not divide a day into equal windows of whole seconds", length)
	}
	return Grid{length}, nil
}

// Length is the duration of every window of the grid.
func (g Grid) Length() time.Duration { return g.length }

// Window is the half-open interval [Start, End) in UTC.
type Window struct{ Start, End time.Time }

// At returns the window that holds t.
func (g Grid) At(t time.Time) Window {
	// Truncate works since the zero time, which is a whole number of days before the Unix epoch: lengths that divide
	// a day give the same grid from either (invariant 1).
	s := t.UTC().Truncate(g.length)
	return Window{s, s.Add(g.length)}
}

// Next returns the window after w.
func (g Grid) Next(w Window) Window { return Window{w.End, w.End.Add(g.length)} }

// Prev returns the window before w.
func (g Grid) Prev(w Window) Window { return Window{w.Start.Add(-g.length), w.Start} }

// Contains reports whether t is in [Start, End).
func (w Window) Contains(t time.Time) bool { return !t.Before(w.Start) && t.Before(w.End) }

// String renders the window's start in RFC 3339, the form used in paths, logs and tables.
func (w Window) String() string { return w.Start.UTC().Format(time.RFC3339) }
