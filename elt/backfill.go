package elt

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// The choices of a backfill.
const (
	OnlyMissing = "missing"
	OnlyFailed  = "failed"
	OnlyStale   = "stale"
	OnlyAll     = "all"
)

// Onlys are the choices in the order in which they are offered.
var Onlys = []string{OnlyMissing, OnlyFailed, OnlyStale, OnlyAll}

// Preview is what a backfill would do.
type Preview struct {
	Job       string
	Intervals []*Status
	// Downstream are the intervals of other jobs that will be stale when it is done, by job, nearest first.
	Downstream []Touched
	// Rows is a guess, by what the newest published intervals had; 0 when there are none.
	Rows int64
}

// Touched are the intervals of a job that change with another's.
type Touched struct {
	Job       string
	Intervals []grid.Window
	Policy    string // what the job does about it
}

// Preview selects the intervals of a job in [from, to) that a backfill would run.
func (s *Situation) Preview(j *Job, from, to time.Time, only string) (*Preview, error) {
	if !slices.Contains(Onlys, only) {
		return nil, fmt.Errorf("--only %s: must be missing, failed, stale or all", only)
	}
	p := &Preview{Job: j.Name}
	w := j.Calendar.At(from)
	if w.Start.Before(j.First.Start) {
		w = j.First
	}
	for ; w.Start.Before(to) && !w.End.After(s.now()); w = j.Calendar.Next(w) {
		if st := s.Assess(j, w); s.selected(j, st, only) {
			p.Intervals = append(p.Intervals, st)
		}
	}
	done := s.Committed.History(j.Name).Published(grid.Window{Start: time.Unix(1<<40, 0)}, 10)
	for _, e := range done {
		p.Rows += e.Rows
	}
	if n := int64(len(done)); n > 0 {
		p.Rows = p.Rows / n * int64(len(p.Intervals))
	}
	var list []grid.Window
	for _, st := range p.Intervals {
		list = append(list, st.Interval)
	}
	p.Downstream = s.Touches(j, list)
	return p, nil
}

// selected reports whether a backfill wants an interval. What was built by another definition is stale to it: a change of a
// definition builds nothing by itself.
func (s *Situation) selected(j *Job, st *Status, only string) bool {
	switch only {
	case OnlyMissing:
		return st.Generation == 0 && st.State != Failed
	case OnlyFailed:
		return st.State == Failed
	case OnlyStale:
		return st.State == Stale || st.Generation > 0 && s.Redefined(j, st)
	}
	return true
}

// Redefined reports whether an interval was published by another definition than the job has now.
func (s *Situation) Redefined(j *Job, st *Status) bool {
	r := s.Committed.History(j.Name).Of(st.Interval)
	return r != nil && r.Published != nil && r.Published.Definition != j.Definition
}

// Touches lists what is built from intervals of a job, transitively, and is published already.
func (s *Situation) Touches(j *Job, list []grid.Window) []Touched {
	touched := map[string][]grid.Window{j.Name: list}
	var out []Touched
	for _, d := range s.Graph.Jobs { // every job comes after those that it reads
		if d == j {
			continue
		}
		hit := map[int64]grid.Window{}
		for _, in := range d.Inputs {
			if in.Need.Is == Latest {
				continue
			}
			for _, w := range touched[in.Job] {
				for _, x := range s.reads(d, in, w) {
					hit[x.Start.Unix()] = x
				}
			}
		}
		if len(hit) == 0 {
			continue
		}
		var all []grid.Window
		for _, x := range hit {
			all = append(all, x)
		}
		slices.SortFunc(all, func(a, b grid.Window) int { return a.Start.Compare(b.Start) })
		touched[d.Name] = all
		out = append(out, Touched{Job: d.Name, Intervals: all, Policy: d.Spec.Late.OnRestate})
	}
	return out
}

// reads lists the published intervals of a job whose slice of an input overlaps w.
func (s *Situation) reads(d *Job, in Needed, w grid.Window) []grid.Window {
	var out []grid.Window
	for _, r := range s.Committed.History(d.Name).records {
		if r.Published == nil || s.Committed.History(d.Name).Of(r.Interval) == nil {
			continue
		}
		slice := in.Slice.Of(r.Interval, d.Calendar.Zone())
		if slice.Start.Before(w.End) && w.Start.Before(slice.End) {
			out = append(out, r.Interval)
		}
	}
	return out
}

// Requests are the rows that make a backfill of what was selected.
func (p *Preview) Requests(id, actor, reason string) []Request {
	out := make([]Request, len(p.Intervals))
	for i, st := range p.Intervals {
		out[i] = Request{ID: id, Job: p.Job, Interval: st.Interval, Action: ActRun, Actor: actor, Reason: reason}
	}
	return out
}

// Progress is how far a backfill is.
type Progress struct {
	ID        string
	Job       string
	Actor     string
	At        time.Time
	Total     int
	Done      int
	Failed    int
	Running   int
	Cancelled bool
	Paused    bool
}

// Left is what is still to be done.
func (p Progress) Left() int { return p.Total - p.Done - p.Failed }

// Backfills tells how far each backfill is, newest first.
func (s *Situation) Backfills() []Progress {
	by := map[string]*Progress{}
	var order []string
	for _, r := range s.Committed.Requests {
		p := by[r.ID]
		switch r.Action {
		case ActRun:
			if p == nil {
				p = &Progress{ID: r.ID, Job: r.Job, Actor: r.Actor, At: r.At}
				by[r.ID] = p
				order = append(order, r.ID)
			}
			s.count(p, r)
		case ActCancel:
			if p != nil {
				p.Cancelled = true
			}
		}
	}
	var out []Progress
	for _, id := range slices.Backward(order) {
		by[id].Paused = s.requests().paused[id]
		out = append(out, *by[id])
	}
	return out
}

func (s *Situation) count(p *Progress, r Request) {
	p.Total++
	rec := s.Committed.History(r.Job).Of(r.Interval)
	j := s.Graph.Job(r.Job)
	switch {
	case rec == nil || j == nil:
	case rec.Open != nil && rec.Open.Request == r.ID:
		p.Running++
	case rec.Published != nil && rec.Published.At.After(r.At) && rec.startedAfter(r.At):
		p.Done++
	case rec.exhausted(j, r.At):
		p.Failed++
	}
}
