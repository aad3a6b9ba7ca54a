package grid_test

import (
	"testing"
	"testing/quick"
	"time"
	_ "time/tzdata"

	"github.com/tidemill/tidemill/internal/grid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func calendar(t testing.TB, every, name string) grid.Calendar {
	t.Helper()
	c, err := grid.NewCalendar(every, zone(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func quarter(t testing.TB) grid.Grid {
	t.Helper()
	g, err := grid.New(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Days of every length that a clock makes: the number of quarter-hour windows that tile them.
func TestDaysInWindows(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		start     string // UTC
		windows   int
	}{
		{"UTC", "2026-03-29", "2026-03-29T00:00:00Z", 96},
		{"Asia/Jakarta", "2026-03-29", "2026-03-28T17:00:00Z", 96},
		{"Asia/Kathmandu", "2026-03-29", "2026-03-28T18:15:00Z", 96}, // +5:45
		{"Asia/Kolkata", "2026-03-29", "2026-03-28T18:30:00Z", 96},
		{"Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 92},
		{"Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 100},
		{"America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", 92},
		{"America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", 100},
		{"Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", 98}, // the clock moves by half an hour
		{"Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00Z", 94},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", 92}, // no midnight: the day begins at 01:00
		{"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", 100},
		{"Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 92},
		{"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", 96},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", 96}, // the 30th did not happen
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", 100},
	} {
		cal := calendar(t, "day", c.zone)
		w, err := cal.Parse(c.day)
		if err != nil {
			t.Fatal(err)
		}
		n, ok := quarter(t).Tile(w)
		if got := w.Start.UTC().Format(time.RFC3339); got != c.start || n != c.windows || !ok || cal.Name(w) != c.day {
			t.Errorf("%s %s: starts %s with %d windows (%v), called %s; want %s, %d", c.zone, c.day, got, n, ok, cal.Name(w), c.start, c.windows)
		}
		if len(quarter(t).Windows(w)) != c.windows {
			t.Errorf("%s %s: %d windows are listed", c.zone, c.day, len(quarter(t).Windows(w)))
		}
	}
}

func TestSkippedDayIsNoInterval(t *testing.T) {
	cal := calendar(t, "day", "Pacific/Apia")
	w, err := cal.Parse("2011-12-29")
	if err != nil {
		t.Fatal(err)
	}
	if n := cal.Next(w); cal.Name(n) != "2011-12-31" || !cal.Prev(n).Start.Equal(w.Start) {
		t.Errorf("after the 29th comes %s, before it %s", cal.Name(n), cal.Name(cal.Prev(n)))
	}
}

func TestHoursOfDaysThatChange(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		hours     []time.Duration // that are not an hour long
		count     int
	}{
		{"Europe/Berlin", "2026-03-29", nil, 23},
		{"Europe/Berlin", "2026-10-25", nil, 25},
		{"Australia/Lord_Howe", "2026-04-05", []time.Duration{90 * time.Minute}, 24},
		{"Australia/Lord_Howe", "2026-10-04", []time.Duration{90 * time.Minute}, 23},
		{"Asia/Kathmandu", "2026-10-04", nil, 24},
	} {
		days, hours := calendar(t, "day", c.zone), calendar(t, "hour", c.zone)
		d, err := days.Parse(c.day)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var odd []time.Duration
		for h := hours.At(d.Start); h.Start.Before(d.End); h = hours.Next(h) {
			n++
			if l := h.End.Sub(h.Start); l != time.Hour {
				odd = append(odd, l)
			}
			if _, ok := quarter(t).Tile(h); !ok {
				t.Errorf("%s: windows do not tile the hour %s", c.zone, hours.Name(h))
			}
		}
		if n != c.count || len(odd) != len(c.hours) || len(odd) > 0 && odd[0] != c.hours[0] {
			t.Errorf("%s %s has %d hours, odd ones %v; want %d, %v", c.zone, c.day, n, odd, c.count, c.hours)
		}
	}
}

func TestWeeksAndMonths(t *testing.T) {
	w, err := calendar(t, "week", "Europe/Berlin").Parse("2026-04-01")
	if err != nil || w.Start.Format(time.RFC3339) != "2026-03-29T22:00:00Z" || w.End.Sub(w.Start) != 7*24*time.Hour {
		t.Errorf("week of 2026-04-01: %v %v", w, err)
	}
	w, err = calendar(t, "week(sunday)", "Europe/Berlin").Parse("2026-04-01")
	if err != nil || w.Start.Format(time.RFC3339) != "2026-03-28T23:00:00Z" || w.End.Sub(w.Start) != 7*24*time.Hour-time.Hour {
		t.Errorf("week from sunday of 2026-04-01: %v to %v %v", w, w.End, err)
	}
	c := calendar(t, "month", "Europe/Berlin")
	w, err = c.Parse("2026-03")
	if err != nil || c.Name(w) != "2026-03" || w.End.Sub(w.Start) != 31*24*time.Hour-time.Hour {
		t.Errorf("month 2026-03: %v to %v %v", w, w.End, err)
	}
	for _, bad := range []string{"", "days", "week(someday)", "7m", "year", "week()", "-15m"} {
		if _, err := grid.NewCalendar(bad, time.UTC); err == nil {
			t.Errorf("every %q was accepted", bad)
		}
	}
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo",
	"Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Asia/Tehran", "Pacific/Chatham", "America/Havana", "Antarctica/Troll", "Asia/Gaza"}

// Intervals of any calendar in any zone tile time, and names lead back.
func TestCalendarsTileTime(t *testing.T) {
	units := []string{"15m", "1h", "5m", "10s", "90s", "hour", "day", "week", "week(sunday)", "month"}
	tile := func(sec uint32, pick, where uint8) bool {
		c := calendar(t, units[int(pick)%len(units)], zones[int(where)%len(zones)])
		at := time.Unix(int64(sec%(70*365*86400)), 0)
		w := c.At(at)
		n, p := c.Next(w), c.Prev(w)
		back, err := c.Parse(c.Name(w))
		ok := w.Contains(at) && w.Start.Before(w.End) && n.Start.Equal(w.End) && p.End.Equal(w.Start) && c.Is(w) && err == nil && back.Start.Equal(w.Start)
		if !ok {
			t.Logf("%s in %s at %s: %v to %v, next %v, prev to %v, name %s (%v)", c.Every(), c.Zone(), at.UTC(), w, w.End, n, p.End, c.Name(w), err)
		}
		return ok
	}
	if err := quick.Check(tile, &quick.Config{MaxCount: 30000}); err != nil {
		t.Error(err)
	}
}

func TestShift(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct{ shift, from, want string }{
		{"0", "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z"},
		{"-1d", "2026-03-29T22:00:00Z", "2026-03-28T23:00:00Z"}, // 23 hours
		{"-24h", "2026-03-29T22:00:00Z", "2026-03-28T22:00:00Z"},
		{"-1w", "2026-03-29T22:00:00Z", "2026-03-22T23:00:00Z"},
		{"-1mo", "2026-03-31T22:00:00Z", "2026-02-28T23:00:00Z"},
		{"+1d", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"-1d", "2026-03-29T12:30:00Z", "2026-03-28T13:30:00Z"},
	} {
		s, err := grid.ParseShift(c.shift)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.From(at(c.from), berlin).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s from %s is %s, want %s", c.shift, c.from, got, c.want)
		}
	}
	for _, bad := range []string{"", "1", "d", "-1y", "1.5h", "--1d"} {
		if _, err := grid.ParseShift(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct{ zone, from, of, want string }{
		{"Europe/Berlin", "2026-03-28T23:00:00Z", "6h", "2026-03-29T04:00:00Z"},
		{"Europe/Berlin", "2026-03-28T23:00:00Z", "2h30m", "2026-03-29T01:00:00Z"}, // 02:30 is not shown: the jump
		{"Europe/Berlin", "2026-10-24T22:00:00Z", "2h30m", "2026-10-25T00:30:00Z"}, // shown twice: the first
		{"Europe/Berlin", "2026-03-29T05:00:00Z", "6h", "2026-03-30T04:00:00Z"},
		{"America/Sao_Paulo", "2018-11-04T03:00:00Z", "0s", "2018-11-04T03:00:00Z"},
	} {
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		of, err := time.ParseDuration(c.of)
		if err != nil {
			t.Fatal(err)
		}
		if got := grid.Clock(from, zone(t, c.zone), of).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s from %s on is %s, want %s", c.zone, c.of, c.from, got, c.want)
		}
	}
}

func FuzzCalendarParse(f *testing.F) {
	for _, s := range []string{"2026-03-29", "2026-03", "2026-03-29T01:00+01:00", "2026-03-29T01:00", "x", "9999-99-99"} {
		f.Add(s)
	}
	cal := calendar(f, "day", "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		if w, err := cal.Parse(s); err == nil && !cal.Is(w) {
			t.Errorf("%q gives %v to %v", s, w, w.End)
		}
	})
}
