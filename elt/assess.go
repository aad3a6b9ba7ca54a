package elt

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Situation is all that decisions are made of. It is made anew for every look, and keeps what it has worked out.
type Situation struct {
	Graph     *Graph
	Committed *Committed
	Grid      grid.Grid
	Now       time.Time
	// Epoch is the runner's: an open run of an older epoch has no one who runs it. Live are the runs of this process.
	Epoch int64
	Live  map[RunKey]bool
	Pools map[string]int
	// Deep also looks at what ended before its job's horizon: it can only be marked, so that need not be done at every look.
	Deep bool

	asks *asked
	memo map[RunKey]*Status
	last map[string]lastRun
}

// RunKey names an interval of a job.
type RunKey struct {
	Job   string
	Start int64
}

func keyOf(job string, w grid.Window) RunKey { return RunKey{job, w.Start.Unix()} }

// Status is what an interval is in, why, and what is to be done about it.
type Status struct {
	Job         string
	Interval    grid.Window
	Name        string
	State       State
	Reasons     []Reason
	Due         bool // to be run now, as soon as there is room
	Generation  int  // published, 0 without one
	Provisional bool // what is published, or what a run would publish
	Attempts    int  // that have failed since it was published or asked for
	NotBefore   time.Time
	Request     string // the backfill that wants it
	Paused      bool   // by a person
	Inputs      Fingerprint
	Entry       *Entry // the newest row
	Missed      bool   // a whole interval is missing that should be there: a gap

	settled bool // published, and not about to be built again, by its own or by an interval that it is built from
}

// Reason is one thing that an interval waits for.
type Reason struct {
	Input   string        `json:"input,omitempty"`
	Text    string        `json:"text"`
	Have    int           `json:"have,omitempty"`
	Want    int           `json:"want,omitempty"`
	Missing []grid.Window `json:"missing,omitempty"` // ranges
	// Cause is the job or pipeline that stands behind it: one failed upstream is one cause of many late ones.
	Cause string `json:"cause,omitempty"`

	gaveUp bool // the job has said that this is a failure
}

func (s *Situation) requests() *asked {
	if s.asks == nil {
		a := s.Committed.asked(s.Graph)
		s.asks = &a
	}
	return s.asks
}

// now is the later of the clock and what the sources have told: a slow clock does not hold up what is committed.
func (s *Situation) now() time.Time {
	if t := s.Committed.Through(); t.After(s.Now) {
		return t
	}
	return s.Now
}

// Assess says what an interval is in. It is a function of the situation alone (invariant 1).
func (s *Situation) Assess(j *Job, w grid.Window) *Status {
	k := keyOf(j.Name, w)
	if st := s.memo[k]; st != nil {
		return st
	}
	if s.memo == nil {
		s.memo = map[RunKey]*Status{}
	}
	st := s.assess(j, w)
	s.memo[k] = st
	return st
}

func (s *Situation) assess(j *Job, w grid.Window) *Status {
	rec := s.Committed.History(j.Name).Of(w)
	st := &Status{Job: j.Name, Interval: w, Name: j.IntervalName(w), State: Waiting, Generation: rec.Generation()}
	if rec != nil {
		st.Entry = rec.Last
	}
	ask, wanted := s.requests().pending[j.Name][w.Start.Unix()]
	if wanted {
		st.Request = ask.ID
	}
	switch {
	case rec != nil && rec.Open != nil && s.alive(rec.Open):
		st.State, st.Provisional = rec.Open.State, rec.Open.Provisional
		return st
	case rec != nil && rec.Open != nil: // its row says running until Decide has written that it is not
		st.Reasons = []Reason{{Text: "its runner has gone in the middle of it"}}
		return st
	case rec != nil && rec.Skip != nil && !wanted:
		st.State = Skipped
		st.Reasons = []Reason{{Text: "skipped by " + rec.Skip.Actor + ": " + rec.Skip.Reason}}
		return st
	}
	if why := s.passedOver(j, w); why != "" && !wanted && (rec == nil || rec.Last == nil) {
		st.State, st.Reasons = Skipped, []Reason{{Text: why}}
		return st
	}
	look := s.look(j, w)
	st.Inputs = look.inputs
	if rec.Generation() > 0 {
		st.Provisional = rec.Published.Provisional
		if !s.outdated(j, w, rec, look, st) && !wanted {
			st.settled = !look.moving || j.Spec.Late.OnRestate != "rerun" || s.old(j, w)
			return st
		}
	}
	st.Missed = rec.Generation() == 0 && !w.End.After(s.now())
	s.mayRun(j, w, rec, look, st)
	return st
}

// passedOver says why the job's catchup does not want an interval that nothing has happened to. It is no row of the ledger: a
// job that begins long ago would write one for each.
func (s *Situation) passedOver(j *Job, w grid.Window) string {
	switch j.Spec.Run.Catchup {
	case "latest":
		if !j.Calendar.Next(w).End.After(s.now()) {
			return "catchup: latest, and a later interval has ended"
		}
	case "none":
		if at := s.Committed.History(j.Name).Registered; !at.IsZero() && w.End.Before(at) {
			return "catchup: none, and it ended before the job was there"
		}
	}
	return ""
}

// alive reports whether somebody runs an open run. A row of another epoch than ours is of a runner that has gone, or of one
// that has overtaken us: then it is not for us to judge.
func (s *Situation) alive(e *Entry) bool {
	return e.Epoch > s.Epoch || e.Epoch == s.Epoch && s.Live[keyOf(e.Job, e.Interval)]
}

// outdated decides what a published interval is in, and reports whether it is to be built again.
func (s *Situation) outdated(j *Job, w grid.Window, rec *Record, look look, st *Status) bool {
	st.State = Published
	old := s.old(j, w)
	if rec.Published.Provisional && look.ready && !look.provisional { // repairs itself, whatever the policy
		st.State, st.Reasons = Stale, []Reason{{Text: "published provisionally; its inputs are complete now"}}
		return !old
	}
	if why := rec.Published.Inputs.changed(look.inputs, s.inputName(j, w)); why != "" && j.Spec.Late.OnRestate != "ignore" {
		st.State, st.Reasons = Stale, []Reason{{Text: why}}
		if old {
			st.Reasons = append(st.Reasons, Reason{Text: "it ended before the horizon of " + string(must(j.Spec.Late.Horizon.MarshalText())) + ": ask for it with tidemill backfill"})
		}
		return j.Spec.Late.OnRestate == "rerun" && !old
	}
	if j.Spec.Late.Lookback > 0 && !old {
		if newer := s.lookback(j, w, rec); newer != "" {
			st.State, st.Reasons = Stale, []Reason{{Text: "within the lookback of " + newer + ", which was published after it"}}
			return true
		}
	}
	return false
}

// old reports whether an interval ended before the horizon: nothing builds it again by itself.
func (s *Situation) old(j *Job, w grid.Window) bool {
	return w.End.Before(s.Now.Add(-j.Spec.Late.Horizon.Duration))
}

func must(b []byte, _ error) []byte { return b }

// lookback names the newest interval when w is one of the few before it and was built before it came. Intervals further back
// are left alone, so that catching up does not build each of them again and again.
func (s *Situation) lookback(j *Job, w grid.Window, rec *Record) string {
	newest := s.Committed.History(j.Name).top
	if newest == nil || !newest.First.After(rec.Published.At) {
		return ""
	}
	at := newest.Interval
	for range j.Spec.Late.Lookback {
		if at = j.Calendar.Prev(at); at.Start.Equal(w.Start) {
			return j.IntervalName(newest.Interval)
		}
	}
	return ""
}

// inputName words the n-th interval of an input of a job.
func (s *Situation) inputName(j *Job, w grid.Window) func(table string, n int) string {
	return func(table string, n int) string {
		for _, in := range j.Inputs {
			if up := s.Graph.Job(in.Job); up != nil && in.Table == table {
				if list := expected(up, in.Slice.Of(w, j.Calendar.Zone())); n < len(list) {
					return up.IntervalName(list[n])
				}
			}
		}
		return fmt.Sprintf("interval %d", n+1)
	}
}

// mayRun decides whether an interval that is to be made may be started now, and says what it waits for.
func (s *Situation) mayRun(j *Job, w grid.Window, rec *Record, look look, st *Status) {
	stale := st.State == Stale
	reset := s.requests().reset[j.Name][w.Start.Unix()]
	if rec != nil {
		st.Attempts = counted(rec.since(reset))
	}
	if rec != nil && rec.Open == nil && rec.exhausted(j, reset) && !s.revived(rec, look) {
		last := rec.Failures[len(rec.Failures)-1]
		st.State = Failed
		st.Reasons = []Reason{{Text: fmt.Sprintf("failed after %d of %d attempts: %s", st.Attempts, j.Spec.Retry.Attempts, last.Reason)}}
		return
	}
	reasons := look.reasons
	if at := s.earliest(j, w, rec, st); at.After(s.now()) {
		st.NotBefore = at
		reasons = append(reasons, Reason{Text: "not before " + at.UTC().Format(time.RFC3339)})
	}
	if held := s.requests().held[j.Name]; held != nil {
		st.Paused = true
		reasons = append(reasons, Reason{Text: "the job is held by " + held.Actor + ": " + held.Reason})
	}
	if st.Request != "" && s.requests().paused[st.Request] {
		st.Paused = true
		reasons = append(reasons, Reason{Text: "the backfill " + st.Request + " is paused"})
	}
	st.Provisional = look.provisional
	switch {
	case slices.ContainsFunc(reasons, func(r Reason) bool { return r.gaveUp }):
		st.State, st.Reasons = Failed, append(st.Reasons, reasons...)
	case len(reasons) > 0 && stale:
		st.Reasons = append(st.Reasons, reasons...)
	case len(reasons) > 0:
		st.State, st.Reasons = Waiting, reasons
	case stale:
		st.Due = true
	default:
		st.State, st.Due = Ready, true
	}
}

// revived reports whether what a failed run was built from has changed since: other data may pass.
func (s *Situation) revived(rec *Record, look look) bool {
	last := rec.Failures[len(rec.Failures)-1]
	return last.Inputs != nil && last.Inputs.changed(look.inputs, func(string, int) string { return "" }) != ""
}

// earliest is when the clock and the backoff let the interval run.
func (s *Situation) earliest(j *Job, w grid.Window, rec *Record, st *Status) time.Time {
	at := w.End
	if t := j.Spec.Run.NotBefore.Of(w, j.Calendar.Zone()); t.After(at) && st.Request == "" {
		at = t
	}
	if rec == nil || len(rec.Failures) == 0 {
		return at
	}
	last := rec.Failures[len(rec.Failures)-1]
	if last.Class == Stopped || last.At.Before(s.requests().reset[j.Name][w.Start.Unix()]) {
		return at
	}
	if t := last.At.Add(j.Spec.Retry.Backoff.After(max(st.Attempts, 1))); t.After(at) {
		at = t
	}
	return at
}
