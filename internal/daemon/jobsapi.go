package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/elt/alert"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// jobsAPI answers about jobs from what is committed: any daemon of the project can, whoever looks after them.
type jobsAPI struct {
	r *runtime
	w elt.Warehouse
}

var _ console.Jobs = jobsAPI{}

// situation reads what is committed.
func (a jobsAPI) situation(ctx context.Context) (*elt.Situation, *elt.Book, error) {
	g := a.r.daemon.graph()
	if g == nil || len(g.Jobs) == 0 {
		return nil, nil, errors.New("the project has no jobs: write one with tidemill new job")
	}
	book, err := elt.Read(ctx, a.w, g)
	if err != nil {
		return nil, nil, err
	}
	return observe(g, book, a.r.project())
}

// observe is the situation of somebody who runs nothing himself: what is open, somebody else runs.
func observe(g *elt.Graph, book *elt.Book, p *config.Project) (*elt.Situation, *elt.Book, error) {
	windows, err := grid.New(p.Window)
	if err != nil {
		return nil, nil, err
	}
	return &elt.Situation{Graph: g, Committed: book.Committed, Grid: windows, Now: time.Now(), Epoch: -1, Pools: p.Pools, Deep: true}, book, nil
}

func (a jobsAPI) job(g *elt.Graph, name string) (*elt.Job, error) {
	if j := g.Job(name); j != nil {
		return j, nil
	}
	var names []string
	for _, j := range g.Jobs {
		names = append(names, j.Name)
	}
	return nil, fmt.Errorf("there is no job %q%s", name, config.DidYouMean(name, names))
}

// List implements console.Jobs.
func (a jobsAPI) List(ctx context.Context, q console.JobsRequest) (out console.JobsAnswer, err error) {
	s, _, err := a.situation(ctx)
	if err != nil {
		return out, err
	}
	d := s.Decide()
	for _, b := range s.Backfills() {
		out.Backfills = append(out.Backfills, console.BackfillStatus{ID: b.ID, Job: b.Job, Actor: b.Actor, At: b.At, Total: b.Total, Done: b.Done, Failed: b.Failed, Running: b.Running, Cancelled: b.Cancelled, Paused: b.Paused})
	}
	if q.Job != "" {
		j, err := a.job(s.Graph, q.Job)
		if err != nil {
			return out, err
		}
		for _, st := range slices.Backward(d.Statuses) {
			if st.Job == j.Name && len(out.Intervals) < cmp.Or(q.Limit, 50) {
				out.Intervals = append(out.Intervals, a.interval(st))
			}
		}
		return out, nil
	}
	for _, j := range s.Graph.Jobs {
		out.Jobs = append(out.Jobs, a.status(s, j, d.Statuses, q.Definitions))
	}
	return out, nil
}

func (a jobsAPI) status(s *elt.Situation, j *elt.Job, all []*elt.Status, definitions map[string]string) console.JobStatus {
	x := console.JobStatus{Name: j.Name, Owner: j.Spec.Owner, Every: j.Calendar.Every(), Zone: j.Calendar.Zone().String(), Table: j.Output, Definition: j.Definition,
		Counts: map[string]int{}, Downstream: s.Graph.Downstream(j.Name)}
	for _, in := range j.Inputs {
		x.Reads = append(x.Reads, in.Table)
	}
	about := cmp.Or(definitions[j.Name], j.Definition)
	var first *elt.Status // what it waits for
	var redefined []grid.Window
	for _, st := range all {
		if st.Job != j.Name {
			continue
		}
		x.Counts[string(st.State)]++
		if st.Missed {
			x.Missing++
		}
		if e := s.Committed.History(j.Name).Of(st.Interval); e != nil && e.Published != nil {
			x.Newest, x.NewestEnd, x.Published = st.Name, st.Interval.End, e.Published.At
			if e.Published.Definition != about {
				x.Redefined++
				x.Rows += e.Published.Rows
				redefined = append(redefined, st.Interval)
			}
		}
		if first == nil && st.State != elt.Published && st.State != elt.Skipped {
			first = st
		}
	}
	x.Touched = touched(s, s.Touches(j, redefined))
	if first != nil {
		x.Now = fmt.Sprintf("%s is %s", first.Name, first.State)
		if len(first.Reasons) > 0 {
			x.Now += ": " + first.Reasons[0].Text
		}
	}
	return x
}

// touched names intervals of other jobs that change with a job's.
func touched(s *elt.Situation, list []elt.Touched) (out []console.Downstream) {
	for _, t := range list {
		d := console.Downstream{Job: t.Job, Policy: t.Policy}
		for _, w := range t.Intervals {
			d.Intervals = append(d.Intervals, s.Graph.Job(t.Job).IntervalName(w))
		}
		out = append(out, d)
	}
	return out
}

func (a jobsAPI) interval(st *elt.Status) console.IntervalStatus {
	x := console.IntervalStatus{Job: st.Job, Name: st.Name, Start: st.Interval.Start, End: st.Interval.End, State: string(st.State), Generation: st.Generation, Provisional: st.Provisional, NotBefore: st.NotBefore}
	for _, r := range st.Reasons {
		y := console.Reason{Input: r.Input, Text: r.Text, Have: r.Have, Want: r.Want, Cause: r.Cause, CauseText: a.cause(r.Cause)}
		for _, m := range r.Missing {
			y.Missing = append(y.Missing, m.Start.UTC().Format(time.RFC3339)+"/"+m.End.UTC().Format(time.RFC3339))
		}
		x.Reasons = append(x.Reasons, y)
	}
	return x
}

// cause says why the pipeline behind a missing window stands still, as far as this daemon knows.
func (a jobsAPI) cause(name string) string {
	pipeline, ok := strings.CutPrefix(name, "pipeline/")
	if !ok {
		return ""
	}
	for _, p := range a.r.daemon.Status().Pipelines {
		if p.Name != pipeline {
			continue
		}
		text := fmt.Sprintf("pipeline %s is %s", p.Name, p.State)
		switch {
		case p.Error != "":
			text += ": " + p.Error
		case p.Waiting != "":
			text += ", waiting for " + p.Waiting
		case !p.WindowEnd.IsZero():
			text += ", published up to " + p.WindowEnd.UTC().Format(time.RFC3339)
		}
		return text
	}
	return "there is no pipeline " + pipeline + " any more"
}

// Why implements console.Jobs.
func (a jobsAPI) Why(ctx context.Context, q console.WhyRequest) (out console.WhyAnswer, err error) {
	s, _, err := a.situation(ctx)
	if err != nil {
		return out, err
	}
	j, err := a.job(s.Graph, q.Job)
	if err != nil {
		return out, err
	}
	w := s.Oldest(j)
	if q.Interval != "" {
		if w, err = j.Calendar.Parse(q.Interval); err != nil {
			return out, err
		}
	}
	if w.Start.Before(j.First.Start) {
		return out, fmt.Errorf("job %s begins with %s", j.Name, j.IntervalName(j.First))
	}
	out.Interval = a.interval(s.Assess(j, w))
	f := s.Forecast(j, w)
	out.Usual, out.Latest, out.Earlier = f.Usual, f.Latest, f.Of
	out.Deadline, out.SQL = j.Spec.SLA.ReadyBy.Of(w, j.Calendar.Zone()), j.Statement(w)
	for _, e := range s.Committed.History(j.Name).Rows(w) {
		row := console.LedgerRow{At: e.At, State: string(e.State), Generation: e.Generation, Attempt: e.Attempt, Actor: e.Actor, Reason: e.Reason, Class: e.Class, Definition: e.Definition,
			Inputs: e.Inputs, Trace: e.Trace, Rows: e.Rows, Took: e.Took}
		for _, c := range e.Results {
			row.Checks = append(row.Checks, console.CheckResult{Check: c.Check, Outcome: c.Outcome, Value: c.Value, Total: c.Total, Limit: c.Limit})
		}
		out.History = append(out.History, row)
	}
	return out, nil
}

// Backfill implements console.Jobs.
func (a jobsAPI) Backfill(ctx context.Context, q console.BackfillRequest) (out console.BackfillAnswer, err error) {
	s, _, err := a.situation(ctx)
	if err != nil {
		return out, err
	}
	j, err := a.job(s.Graph, q.Job)
	if err != nil {
		return out, err
	}
	from, err := j.Calendar.Parse(q.From)
	if err != nil {
		return out, fmt.Errorf("--from: %w", err)
	}
	to, err := j.Calendar.Parse(cmp.Or(q.To, q.From))
	if err != nil {
		return out, fmt.Errorf("--to: %w", err)
	}
	if to.End.Before(from.End) {
		return out, fmt.Errorf("--to %s is before --from %s", q.To, q.From)
	}
	p, err := s.Preview(j, from.Start, to.End, cmp.Or(q.Only, elt.OnlyMissing))
	if err != nil {
		return out, err
	}
	out.Rows, out.Intervals = p.Rows, []console.IntervalStatus{}
	for _, st := range p.Intervals {
		out.Intervals = append(out.Intervals, a.interval(st))
	}
	out.Downstream = touched(s, p.Downstream)
	if q.DryRun || len(p.Intervals) == 0 {
		return out, nil
	}
	out.ID = cmp.Or(q.ID, uuid.NewString()[:8])
	err = elt.Ask(ctx, a.w, p.Requests(out.ID, cmp.Or(q.Actor, "the API"), q.Reason))
	a.r.nudgeJobs()
	return out, err
}

// Act implements console.Jobs.
func (a jobsAPI) Act(ctx context.Context, q console.ActRequest) error {
	actor := cmp.Or(q.Actor, "the API")
	if q.Action == "test_alert" {
		p := a.r.project()
		return alert.New(p.Name, p.Alerts).Test(ctx, q.Channel)
	}
	s, book, err := a.situation(ctx)
	if err != nil {
		return err
	}
	defer a.r.nudgeJobs()
	switch act := elt.Action(q.Action); act {
	case elt.ActCancel, elt.ActPause, elt.ActResume:
		if !slices.ContainsFunc(s.Backfills(), func(b elt.Progress) bool { return b.ID == q.Backfill }) {
			return fmt.Errorf("there is no backfill %q: tidemill job list shows them", q.Backfill)
		}
		return elt.Ask(ctx, a.w, []elt.Request{{ID: q.Backfill, Action: act, Actor: actor, Reason: q.Reason}})
	case elt.ActHold, elt.ActRelease:
		if _, err := a.job(s.Graph, q.Job); err != nil {
			return err
		}
		return elt.Ask(ctx, a.w, []elt.Request{{Job: q.Job, Action: act, Actor: actor, Reason: cmp.Or(q.Reason, "no reason given")}})
	}
	j, err := a.job(s.Graph, q.Job)
	if err != nil {
		return err
	}
	w, err := j.Calendar.Parse(q.Interval)
	if err != nil {
		return err
	}
	switch q.Action {
	case "skip":
		return elt.Skip(ctx, a.w, s, j, w, actor, cmp.Or(q.Reason, "no reason given"))
	case elt.EventAck, elt.EventSilence:
		return elt.Answer(ctx, a.w, book, j, w, q.Action, actor)
	}
	return fmt.Errorf("there is no action %q", q.Action)
}
