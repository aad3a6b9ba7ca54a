package elt

import (
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Deadline is a deadline that has passed, met or missed. It is written once and never changed (invariant 6).
type Deadline struct {
	Job      string
	Interval grid.Window
	Kind     string // late or warn
	Due      time.Time
	Met      bool
	At       time.Time // when it was latched
}

// DeadlineKey names a deadline.
type DeadlineKey struct {
	Job   string
	Start int64
	Kind  string
}

// Key names the deadline.
func (d Deadline) Key() DeadlineKey { return DeadlineKey{d.Job, d.Interval.Start.Unix(), d.Kind} }

// The kinds of deadlines.
const (
	DeadlineLate = "late"
	DeadlineWarn = "warn"
)

// Deadlines are those that have passed and are not known yet. They come from the calendar, so an interval that never ran
// misses its own; whether it was met is told by when it was first published, however late somebody looks.
func (s *Situation) Deadlines(known map[DeadlineKey]Deadline) []Deadline {
	var out []Deadline
	for _, j := range s.Graph.Jobs {
		if j.Spec.SLA.ReadyBy.IsZero() {
			continue
		}
		h := s.Committed.History(j.Name)
		from := s.Now.Add(-j.Spec.Late.Horizon.Duration)
		w := j.First
		if j.First.Start.Before(from) {
			w = j.Calendar.At(from)
		}
		for ; !w.End.After(s.Now); w = j.Calendar.Next(w) {
			for _, x := range []struct {
				kind string
				due  Due
			}{{DeadlineWarn, j.Spec.SLA.WarnBy}, {DeadlineLate, j.Spec.SLA.ReadyBy}} {
				d := Deadline{Job: j.Name, Interval: w, Kind: x.kind, Due: x.due.Of(w, j.Calendar.Zone()), At: s.Now}
				_, have := known[d.Key()]
				if x.due.IsZero() || have || d.Due.After(s.Now) || d.Due.Before(h.Registered) { // what passed before the job was there is nobody's fault
					continue
				}
				rec := h.Of(w)
				d.Met = rec != nil && (!rec.First.IsZero() && !rec.First.After(d.Due) || rec.Skip != nil && !rec.Skip.At.After(d.Due))
				out = append(out, d)
			}
		}
	}
	return out
}

// Overrun lists the runs of this process that take longer than their job's max_runtime.
func (s *Situation) Overrun() []*Entry {
	var out []*Entry
	for _, j := range s.Graph.Jobs {
		h := s.Committed.History(j.Name)
		bound := j.Spec.SLA.MaxRuntime.Of(h.Runtimes(20))
		if bound == 0 {
			continue
		}
		for _, r := range h.records {
			if r.Open != nil && s.alive(r.Open) && s.Now.Sub(h.began(r.Open)) > bound {
				out = append(out, r.Open)
			}
		}
	}
	return out
}

// began is when the run of an entry began.
func (h *History) began(e *Entry) time.Time {
	k := e.key()
	k.rank = 1
	if first := h.rows[k]; first != nil {
		return first.At
	}
	return e.At
}
