package grid

import (
	"fmt"
	"time"
)

// Name is an interval as people call it: 2026-03-29 for a day or a week that begins then, 2026-03 for a month, and the start
// with its offset for what is shorter, because a clock that goes back shows an hour twice.
func (c Calendar) Name(w Window) string {
	local := w.Start.In(c.zone)
	switch c.unit {
	case day:
		// Not the start's own date: a day that has no midnight begins with a jump, and shows its date then.
		return local.Format(time.DateOnly)
	case week:
		return local.Format(time.DateOnly)
	case month:
		return local.Format("2006-01")
	}
	if c.unit == fixed && c.grid.length%time.Minute != 0 {
		return local.Format(time.RFC3339)
	}
	return local.Format("2006-01-02T15:04Z07:00")
}

// Parse finds the interval that a text names: what Name gives, a date, or any instant in RFC 3339.
func (c Calendar) Parse(text string) (Window, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return c.At(t), nil
		}
	}
	for _, layout := range []string{time.DateOnly, "2006-01"} {
		if t, err := time.Parse(layout, text); err == nil {
			return c.At(dayStart(dateOf(t), c.zone)), nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04", text, c.zone); err == nil {
		return c.At(t), nil
	}
	return Window{}, fmt.Errorf("%q names no interval: write a date like 2026-03-29, a month like 2026-03, or an instant like 2026-03-29T14:00Z", text)
}

// Tile reports whether windows of g tile w exactly, and how many there are.
func (g Grid) Tile(w Window) (n int, ok bool) {
	length := w.End.Sub(w.Start)
	if !g.At(w.Start).Start.Equal(w.Start) || length%g.length != 0 {
		return 0, false
	}
	return int(length / g.length), true
}

// Windows lists the windows that tile w; it must be tiled by them.
func (g Grid) Windows(w Window) []Window {
	var out []Window
	for x := g.At(w.Start); x.Start.Before(w.End); x = g.Next(x) {
		out = append(out, x)
	}
	return out
}
