package elt

import (
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// look is what the committed state says of the inputs of an interval.
type look struct {
	inputs      Fingerprint
	ready       bool
	moving      bool // an interval that is there is about to be built again
	provisional bool // not all is there, but enough, or the time to give up has come
	reasons     []Reason
}

// look asks for every input of an interval whether it is there: expected is contained in committed, nothing else.
func (s *Situation) look(j *Job, w grid.Window) look {
	out := look{inputs: Fingerprint{}}
	for _, in := range j.Inputs {
		slice := in.Slice.Of(w, j.Calendar.Zone())
		var r Reason
		var provisional bool
		switch up := s.Graph.Job(in.Job); {
		case in.Need.Is == Latest:
			r = s.latest(in, up)
		case up != nil:
			r, provisional = s.intervals(in, up, slice, &out)
		default:
			r = s.windows(in, slice, out.inputs)
		}
		if r.Text != "" && in.Need.Is == Coverage {
			if r = s.covered(j, w, in, r); r.Text == "" {
				provisional = true
			}
		}
		out.provisional = out.provisional || provisional
		if r.Text != "" {
			r.Input = in.Name
			out.reasons = append(out.reasons, r)
		}
	}
	out.ready = len(out.reasons) == 0
	return out
}

// windows asks for the windows of a table that a pipeline publishes.
func (s *Situation) windows(in Needed, slice grid.Window, inputs Fingerprint) Reason {
	t, ok := s.Committed.Tables[in.Table]
	want, _ := s.Grid.Tile(slice)
	if !ok {
		inputs[in.Table] = "b:none"
		return Reason{Text: in.Table + " has not been published yet", Want: want, Missing: []grid.Window{slice}, Cause: cause(in.Pipeline)}
	}
	inputs[in.Table] = "b:" + t.Base
	if !t.Through.Before(slice.End) {
		return Reason{}
	}
	from := slice.Start
	if t.Through.After(from) {
		from = t.Through
	}
	have := int(from.Sub(slice.Start) / s.Grid.Length())
	r := Reason{Have: have, Want: want, Missing: []grid.Window{{Start: from, End: slice.End}}, Cause: cause(t.Pipeline)}
	switch {
	case t.Standing != "":
		r.Text = fmt.Sprintf("%s stands still since %s: %s", in.Table, t.Through.UTC().Format(time.RFC3339), t.Standing)
	case slice.End.After(s.now()):
		r.Text = fmt.Sprintf("%s: %d of %d windows are committed, the interval has not ended", in.Table, have, want)
	default:
		r.Text = fmt.Sprintf("%s: %d of %d windows are committed, the next is %s", in.Table, have, want, s.Grid.At(from))
	}
	return r
}

func cause(pipeline string) string {
	if pipeline == "" {
		return ""
	}
	return "pipeline/" + pipeline
}

// expected lists the intervals of a job that a slice needs: all that overlap it.
func expected(up *Job, slice grid.Window) []grid.Window {
	var out []grid.Window
	for x := up.Calendar.At(slice.Start); x.Start.Before(slice.End); x = up.Calendar.Next(x) {
		if !x.Start.Before(up.First.Start) {
			out = append(out, x)
		}
	}
	return out
}

// intervals asks for the intervals of a job. One that is about to be built again is not there: what would be built from it would
// be stale at once.
func (s *Situation) intervals(in Needed, up *Job, slice grid.Window, out *look) (r Reason, provisional bool) {
	list := expected(up, slice)
	gens := make([]int, len(list))
	have := 0
	var missing []grid.Window
	var first *Status
	for i, x := range list {
		rec := s.Committed.History(up.Name).Of(x)
		gens[i] = rec.Generation()
		st := s.Assess(up, x)
		there := gens[i] > 0 && st.settled
		out.moving = out.moving || gens[i] > 0 && !st.settled
		if there && rec.Published.Provisional {
			there = in.Need.Is != Final
			provisional = provisional || there
		}
		if there {
			have++
			continue
		}
		if first == nil {
			first = st
		}
		if n := len(missing); n > 0 && missing[n-1].End.Equal(x.Start) {
			missing[n-1].End = x.End
		} else {
			missing = append(missing, x)
		}
	}
	out.inputs[in.Table] = generations(gens)
	if first == nil {
		return Reason{}, provisional
	}
	r = Reason{Have: have, Want: len(list), Missing: missing, Cause: "job/" + up.Name}
	r.Text = fmt.Sprintf("%s: %d of %d intervals are there; %s is %s", up.Name, have, len(list), first.Name, first.State)
	for _, why := range first.Reasons { // the root of it, however far up
		if why.Cause != "" {
			r.Cause = why.Cause
			break
		}
	}
	return r, provisional
}

// latest asks whether the table is there and young enough.
func (s *Situation) latest(in Needed, up *Job) Reason {
	var through time.Time
	if up != nil {
		if n := s.Committed.History(up.Name).top; n != nil {
			through = n.Interval.End
		}
	} else {
		through = s.Committed.Tables[in.Table].Through
	}
	switch {
	case through.IsZero():
		return Reason{Text: in.Table + " has not been published yet", Cause: origin(in)}
	case in.MaxAge > 0 && s.Now.Sub(through) > in.MaxAge:
		return Reason{Text: fmt.Sprintf("%s is as of %s, which is more than %s ago", in.Table, through.UTC().Format(time.RFC3339), short(in.MaxAge)), Cause: origin(in)}
	}
	return Reason{}
}

func origin(in Needed) string {
	if in.Job != "" {
		return "job/" + in.Job
	}
	return cause(in.Pipeline)
}

// covered lets an interval go when enough is there, or when the time to wait for more is over. What is missing makes it
// provisional, and it is built again when the rest has come.
func (s *Situation) covered(j *Job, w grid.Window, in Needed, r Reason) Reason {
	if r.Want > 0 && 100*float64(r.Have) >= float64(in.Need.Coverage)*float64(r.Want) {
		return Reason{}
	}
	up := in.Need.GiveUp.Of(w, j.Calendar.Zone())
	switch {
	case up.IsZero():
	case s.Now.Before(up):
		r.Text += "; goes on without the rest at " + up.UTC().Format(time.RFC3339)
		if in.Need.Then == "fail" {
			r.Text = fmt.Sprintf("%s; is given up at %s", r.Text, up.UTC().Format(time.RFC3339))
		}
	case in.Need.Then == "fail":
		r.Text += "; given up at " + up.UTC().Format(time.RFC3339)
		r.gaveUp = true
	case s.Committed.Tables[in.Table].Base == "" && in.Job == "": // there is no table to read
	default:
		return Reason{}
	}
	return r
}
