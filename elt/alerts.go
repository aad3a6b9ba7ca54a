package elt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// AlertKind is what an alert is about.
type AlertKind string

// The kinds.
const (
	AlertFail AlertKind = "fail"       // a run has failed for good
	AlertLate AlertKind = "late"       // a deadline has passed, or a run takes too long
	AlertWarn AlertKind = "check_warn" // a check warns
)

// AlertKey names what an alert is about. A project-wide alert has no job.
type AlertKey struct {
	Job   string
	Start int64
	Kind  AlertKind
	What  string // tells alerts of one kind and interval apart: the deadline, the definitions
}

// String is the key as it is written to the outbox.
func (k AlertKey) String() string {
	return fmt.Sprintf("%s/%s/%s/%s", cmp.Or(k.Job, "-"), time.Unix(k.Start, 0).UTC().Format(time.RFC3339), k.Kind, k.What)
}

// Condition is a state of affairs that somebody should know of.
type Condition struct {
	Key      AlertKey
	Name     string // of the interval
	Owner    string
	Text     string // without any value of a row
	Cause    string // one cause makes one message, however many suffer from it
	Channels []string
	Group    time.Duration
	Warning  bool // not an error
	Over     bool // it has ended by itself, and is told all the same
}

// Conditions are what holds now, in a stable order.
func (s *Situation) Conditions(statuses []*Status, deadlines map[DeadlineKey]Deadline, owners map[string][]string) []Condition {
	var out []Condition
	add := func(j *Job, w grid.Window, kind AlertKind, what, text, cause string, change func(*Condition)) {
		c := Condition{Key: AlertKey{j.Name, w.Start.Unix(), kind, what}, Name: j.IntervalName(w), Owner: j.Spec.Owner, Text: text,
			Cause: cmp.Or(cause, "job/"+j.Name), Channels: j.Routes(kind, owners), Group: j.Spec.Alerts.Group, Warning: kind == AlertWarn}
		if change != nil {
			change(&c)
		}
		out = append(out, c)
	}
	for _, st := range statuses {
		j := s.Graph.Job(st.Job)
		if st.State == Failed {
			add(j, st.Interval, AlertFail, "", st.Reasons[len(st.Reasons)-1].Text, "", nil)
		}
		if rec := s.Committed.History(j.Name).Of(st.Interval); rec != nil && rec.Published != nil {
			for _, r := range rec.Published.Results {
				if r.Outcome == Warned {
					add(j, st.Interval, AlertWarn, r.Check, fmt.Sprintf("check %s warns: %s, limit %s", r.Check, r.reading(), r.Limit), "", nil)
				}
			}
		}
	}
	for _, d := range deadlines {
		s.missed(d, add)
	}
	for _, e := range s.Overrun() {
		j := s.Graph.Job(e.Job)
		add(j, e.Interval, AlertLate, "runtime", fmt.Sprintf("runs longer than %s", j.Spec.SLA.MaxRuntime.text), "", func(c *Condition) { c.Warning = true })
	}
	slices.SortFunc(out, func(a, b Condition) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}

// missed adds the condition of a deadline that was missed. It holds until the interval is there.
func (s *Situation) missed(d Deadline, add func(*Job, grid.Window, AlertKind, string, string, string, func(*Condition))) {
	j := s.Graph.Job(d.Job)
	if d.Met || j == nil {
		return
	}
	rec := s.Committed.History(d.Job).Of(d.Interval)
	due := d.Due.In(j.Calendar.Zone()).Format("2006-01-02 15:04 MST")
	if rec != nil && (rec.Published != nil || rec.Skip != nil) {
		if d.Kind == DeadlineLate {
			add(j, d.Interval, AlertLate, d.Kind, fmt.Sprintf("was not there by %s; it is now", due), "", func(c *Condition) { c.Over = true })
		}
		return
	}
	st := s.Assess(j, d.Interval)
	text, cause := fmt.Sprintf("is not there by %s: it is %s", due, st.State), ""
	if len(st.Reasons) > 0 {
		text, cause = text+"; "+st.Reasons[0].Text, st.Reasons[0].Cause
	}
	add(j, d.Interval, AlertLate, d.Kind, text, cause, func(c *Condition) { c.Warning = d.Kind == DeadlineWarn })
}

func (r Result) reading() string {
	if r.Total > 0 && r.Kind != "row_count" {
		return fmt.Sprintf("%g of %g", r.Value, r.Total)
	}
	return fmt.Sprintf("%g", r.Value)
}

// AlertEvent is a row of the outbox.
type AlertEvent struct {
	Key     AlertKey
	Episode int    // how often it has been opened
	Event   string // open or resolve, and what people do: ack, silence
	At      time.Time
	Name    string
	Owner   string
	Text    string
	Cause   string
	Actor   string
	Warning bool
	Over    bool
}

// The events.
const (
	EventOpen    = "open"
	EventResolve = "resolve"
	EventAck     = "ack"
	EventSilence = "silence"
)

// Alert is what the outbox says of one episode.
type Alert struct {
	AlertEvent // of its opening
	Resolved   time.Time
	Acked      string // by whom
	Silenced   bool
}

// Alerts works out the newest episode of every key.
func Alerts(events []AlertEvent) map[AlertKey]*Alert {
	out := map[AlertKey]*Alert{}
	for _, e := range events {
		a := out[e.Key]
		switch {
		case e.Event == EventOpen && (a == nil || e.Episode > a.Episode):
			out[e.Key] = &Alert{AlertEvent: e}
		case a == nil || e.Episode != a.Episode:
		case e.Event == EventResolve:
			a.Resolved = e.At
		case e.Event == EventAck:
			a.Acked = e.Actor
		case e.Event == EventSilence:
			a.Silenced = true
		}
	}
	return out
}

// Reconcile says which alerts to open and which to resolve, given what holds now. It is idempotent: the same conditions open
// nothing twice.
func Reconcile(conditions []Condition, events []AlertEvent, now time.Time) []AlertEvent {
	alerts := Alerts(events)
	holds := map[AlertKey]bool{}
	var out []AlertEvent
	for _, c := range conditions {
		holds[c.Key] = true
		a := alerts[c.Key]
		open := AlertEvent{Key: c.Key, Episode: 1, Event: EventOpen, At: now, Name: c.Name, Owner: c.Owner, Text: c.Text, Cause: c.Cause, Warning: c.Warning, Over: c.Over}
		switch {
		case a == nil:
			out = append(out, open)
		case a.Resolved.IsZero() && !c.Over:
			continue
		case a.Resolved.IsZero(): // it was open and has ended
		case c.Over:
			continue
		default:
			open.Episode = a.Episode + 1
			out = append(out, open)
			continue
		}
		if c.Over {
			episode := 1
			if a != nil {
				episode = a.Episode
			}
			out = append(out, AlertEvent{Key: c.Key, Episode: episode, Event: EventResolve, At: now, Name: c.Name, Text: c.Text})
		}
	}
	for k, a := range alerts {
		if !holds[k] && a.Resolved.IsZero() {
			out = append(out, AlertEvent{Key: k, Episode: a.Episode, Event: EventResolve, At: now, Name: a.Name})
		}
	}
	slices.SortStableFunc(out, func(a, b AlertEvent) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	return out
}
