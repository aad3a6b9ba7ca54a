package grid

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Calendar cuts time into the intervals of a job: hours, days, weeks or months of a zone, or a fixed length that divides a
// day. Intervals are half-open, touch, and are never empty (invariant 4). The zero value is not usable: call NewCalendar.
type Calendar struct {
	every  string
	unit   unit
	grid   Grid         // of fixed
	starts time.Weekday // of week
	zone   *time.Location
}

type unit int

const (
	fixed unit = iota
	hour
	day
	week
	month
)

var weekPattern = regexp.MustCompile(`^week(?:\(([a-z]+)\))?$`)

// NewCalendar returns the calendar of every: hour, day, week, week(sunday), month, or a length such as 15m that divides a
// day. Fixed lengths are cut in UTC, as windows are; the others by the zone's clock.
func NewCalendar(every string, zone *time.Location) (Calendar, error) {
	c := Calendar{every: every, zone: zone, starts: time.Monday}
	switch {
	case every == "hour":
		c.unit = hour
	case every == "day":
		c.unit = day
	case every == "month":
		c.unit = month
	case weekPattern.MatchString(every):
		c.unit = week
		if name := weekPattern.FindStringSubmatch(every)[1]; name != "" {
			d, ok := weekday(name)
			if !ok {
				return c, fmt.Errorf("%q is no day of the week", name)
			}
			c.starts = d
		}
	default:
		d, err := time.ParseDuration(every)
		if err == nil {
			c.grid, err = New(d)
		}
		if err != nil {
			return c, fmt.Errorf("must be hour, day, week, week(sunday), month, or a length that divides a day, like 15m")
		}
	}
	return c, nil
}

func weekday(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), name) {
			return d, true
		}
	}
	return 0, false
}

// Every is the text that the calendar was made of.
func (c Calendar) Every() string { return c.every }

// Zone is the zone whose clock cuts the intervals.
func (c Calendar) Zone() *time.Location { return c.zone }

// At returns the interval that holds t.
func (c Calendar) At(t time.Time) Window {
	switch c.unit {
	case fixed:
		return c.grid.At(t)
	case hour:
		s := hourOf(t, c.zone)
		return Window{s.UTC(), nextHour(s, c.zone).UTC()}
	}
	d := c.civil(t)
	for { // a clock that went back over midnight shows yesterday's date inside of today
		s, n := dayStart(d, c.zone), c.after(d)
		e := dayStart(n, c.zone)
		if t.Before(e) {
			return Window{s.UTC(), e.UTC()}
		}
		d = n
	}
}

// Next returns the interval after w, which must be one of the calendar's.
func (c Calendar) Next(w Window) Window { return c.At(w.End) }

// Prev returns the interval before w, which must be one of the calendar's.
func (c Calendar) Prev(w Window) Window { return c.At(w.Start.Add(-time.Nanosecond)) }

// Is reports whether w is an interval of the calendar.
func (c Calendar) Is(w Window) bool {
	at := c.At(w.Start)
	return at.Start.Equal(w.Start) && at.End.Equal(w.End)
}

// date is a day of the civil calendar, in no zone.
type date struct {
	y int
	m time.Month
	d int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

func (d date) utc() time.Time { return time.Date(d.y, d.m, d.d, 0, 0, 0, 0, time.UTC) }

func (d date) add(days int) date { return dateOf(d.utc().AddDate(0, 0, days)) }

func (d date) before(o date) bool { return d.utc().Before(o.utc()) }

// civil is the first day of the day, week or month that the zone's clock shows at t.
func (c Calendar) civil(t time.Time) date {
	d := dateOf(t.In(c.zone))
	switch c.unit {
	case week:
		return d.add(-((int(d.utc().Weekday()) - int(c.starts) + 7) % 7))
	case month:
		return date{d.y, d.m, 1}
	}
	return d
}

// after is the first day of the next day, week or month.
func (c Calendar) after(d date) date {
	switch c.unit {
	case week:
		return d.add(7)
	case month:
		return dateOf(time.Date(d.y, d.m+1, 1, 0, 0, 0, 0, time.UTC))
	}
	return d.add(1)
}

// DayStart is the first instant at which the zone's clock shows the day of t, whatever changes of the clock there are around
// midnight: some zones have no midnight on some days, and some have skipped a day.
func DayStart(t time.Time, zone *time.Location) time.Time { return dayStart(dateOf(t.In(zone)), zone) }

func dayStart(d date, zone *time.Location) time.Time {
	midnight := d.utc()
	// No zone is further from UTC than 14 hours: at this instant it shows a day before d.
	at := midnight.Add(-26 * time.Hour).In(zone)
	for {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		first := midnight.Add(-time.Duration(offset) * time.Second)
		if start := at; first.Before(start) { // the clock has jumped over midnight
			first = start
		}
		if end.IsZero() || first.Before(end) {
			return first.In(zone)
		}
		at = end.In(zone)
	}
}

// hourOf is the last instant up to t at which the zone's clock shows a full hour.
func hourOf(t time.Time, zone *time.Location) time.Time {
	at := t.In(zone)
	for {
		full := at.Add(-past(at))
		start, _ := at.ZoneBounds()
		if start.IsZero() || !full.Before(start) {
			return full
		}
		at = start.Add(-time.Nanosecond).In(zone) // the clock was changed since the full hour
	}
}

// nextHour is the first instant after s, a full hour, at which the zone's clock shows a full hour.
func nextHour(s time.Time, zone *time.Location) time.Time {
	at := s.In(zone)
	for {
		full := at.Add(time.Hour - past(at))
		if past(at) == 0 && !at.Equal(s) {
			full = at
		}
		_, end := at.ZoneBounds()
		if end.IsZero() || full.Before(end) {
			return full
		}
		at = end.In(zone)
	}
}

// past is how long ago the clock showed a full hour.
func past(t time.Time) time.Duration {
	return time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}
