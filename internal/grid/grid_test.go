package grid_test

import (
	"testing"
	"testing/quick"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

func TestNewRefusesLengthsThatDoNotDivideADay(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Minute, 500 * time.Millisecond, 7 * time.Minute, 1500 * time.Millisecond, 25 * time.Hour} {
		if _, err := grid.New(d); err == nil {
			t.Errorf("New(%s) was accepted", d)
		}
	}
	for _, d := range []time.Duration{time.Second, 10 * time.Second, 15 * time.Minute, time.Hour, 24 * time.Hour} {
		if _, err := grid.New(d); err != nil {
			t.Errorf("New(%s): %v", d, err)
		}
	}
}

func TestAtIsHalfOpenAndAlignedInUTC(t *testing.T) {
	g, err := grid.New(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	jakarta := time.FixedZone("WIB", 7*3600)
	for _, c := range []struct{ at, start string }{
		{"2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"},
		{"2026-11-23T10:14:59.999999999Z", "2026-11-23T10:00:00Z"},
		{"2026-11-23T10:15:00Z", "2026-11-23T10:15:00Z"},
		{"1969-12-31T23:59:59Z", "1969-12-31T23:45:00Z"},
	} {
		at, err := time.Parse(time.RFC3339Nano, c.at)
		if err != nil {
			t.Fatal(err)
		}
		w := g.At(at.In(jakarta))
		if w.String() != c.start || !w.Contains(at) || w.Contains(w.End) {
			t.Errorf("At(%s) = %s", c.at, w)
		}
	}
}

// Every instant is in exactly one window, neighbours touch, and a day is a whole number of windows.
func TestWindowsTileTime(t *testing.T) {
	lengths := []time.Duration{time.Second, 10 * time.Second, 15 * time.Minute, 6 * time.Hour, 24 * time.Hour}
	tile := func(sec int32, nsec uint32, pick uint8) bool {
		g, err := grid.New(lengths[int(pick)%len(lengths)])
		if err != nil {
			return false
		}
		at := time.Unix(int64(sec), int64(nsec%1e9))
		w := g.At(at)
		n, p := g.Next(w), g.Prev(w)
		return w.Contains(at) && !n.Contains(at) && !p.Contains(at) &&
			n.Start.Equal(w.End) && p.End.Equal(w.Start) && g.At(w.Start) == w &&
			w.Start.Unix()%int64(g.Length()/time.Second) == 0
	}
	if err := quick.Check(tile, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}
