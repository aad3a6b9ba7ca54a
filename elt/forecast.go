package elt

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Forecast is when an interval that is not there is likely to be: by how long after their ends earlier ones were first
// published. It is no promise, and nothing is decided by it.
type Forecast struct {
	Usual  time.Time // half of the earlier ones were there by then
	Latest time.Time // 95 % of them
	Of     int       // how many earlier ones; 0: too few to say anything, and the times are zero
}

const (
	forecastLeast = 3
	forecastMost  = 28
)

// Forecast looks at the newest intervals before w. What ended before the job was there was caught up, and says nothing of
// how long an interval takes.
func (s *Situation) Forecast(j *Job, w grid.Window) Forecast {
	h := s.Committed.History(j.Name)
	if h == nil || h.Of(w).Generation() > 0 {
		return Forecast{}
	}
	var delays []time.Duration
	for _, e := range h.Published(w, 4*forecastMost) {
		r := h.Of(e.Interval)
		if r == nil || r.Interval.End.Before(h.Registered) || len(delays) == forecastMost {
			continue
		}
		delays = append(delays, r.First.Sub(r.Interval.End))
	}
	n := len(delays)
	if n < forecastLeast {
		return Forecast{}
	}
	slices.Sort(delays)
	return Forecast{w.End.Add(delays[(n-1)/2]), w.End.Add(delays[(95*n+99)/100-1]), n}
}
