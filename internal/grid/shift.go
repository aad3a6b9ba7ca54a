package grid

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Shift is a distance on a zone's clock: -1d is the same time of the clock a day before, however long that day was.
type Shift struct {
	Months, Days int
	Exact        time.Duration
}

var shiftPattern = regexp.MustCompile(`^([+-]?)(\d{1,6})(m|h|d|w|mo)$`)

// ParseShift reads 0, -1d, +2w, -3mo, -90m or 2h.
func ParseShift(text string) (Shift, error) {
	if text == "0" {
		return Shift{}, nil
	}
	m := shiftPattern.FindStringSubmatch(text)
	if m == nil {
		return Shift{}, fmt.Errorf("must be 0 or a distance like -1d, -2h, -90m, -1w or -1mo")
	}
	n, err := strconv.Atoi(m[1] + m[2])
	if err != nil {
		return Shift{}, fmt.Errorf("must be 0 or a distance like -1d: %q is no number", m[2])
	}
	switch m[3] {
	case "m":
		return Shift{Exact: time.Duration(n) * time.Minute}, nil
	case "h":
		return Shift{Exact: time.Duration(n) * time.Hour}, nil
	case "d":
		return Shift{Days: n}, nil
	case "w":
		return Shift{Days: 7 * n}, nil
	}
	return Shift{Months: n}, nil
}

// IsZero reports whether the shift goes nowhere.
func (s Shift) IsZero() bool { return s == Shift{} }

// From is the instant at the distance from t. The start of a day moves to the start of another day.
func (s Shift) From(t time.Time, zone *time.Location) time.Time {
	if s.Months == 0 && s.Days == 0 {
		return t.Add(s.Exact)
	}
	local := t.In(zone)
	if DayStart(t, zone).Equal(t) {
		d := dateOf(local)
		moved := dateOf(time.Date(d.y, d.m+time.Month(s.Months), d.d+s.Days, 0, 0, 0, 0, time.UTC))
		return dayStart(moved, zone).UTC()
	}
	return local.AddDate(0, s.Months, s.Days).UTC()
}

// Clock is the first instant from t on at which the zone's clock shows the time of day, given as since midnight. When the
// clock jumps over it, it is the instant of the jump.
func Clock(t time.Time, zone *time.Location, of time.Duration) time.Time {
	for d := dateOf(t.In(zone)); ; d = d.add(1) {
		at := clockOn(d, zone, of)
		if !at.Before(t) {
			return at.UTC()
		}
	}
}

// clockOn is the first instant of a day at which the clock shows the time, or a later one.
func clockOn(d date, zone *time.Location, of time.Duration) time.Time {
	at := dayStart(d, zone)
	end := dayStart(d.add(1), zone)
	for {
		shown := time.Duration(at.Hour())*time.Hour + past(at)
		_, change := at.ZoneBounds()
		if shown >= of && !at.Before(dayStart(d, zone)) {
			return at
		}
		next := at.Add(of - shown)
		if change.IsZero() || next.Before(change) {
			if next.After(end) {
				return end
			}
			return next
		}
		if !change.Before(end) {
			return end
		}
		at = change.In(zone)
	}
}
