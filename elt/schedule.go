package elt

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Start is a run that is to be begun now.
type Start struct {
	Job         *Job
	Interval    grid.Window
	Generation  int
	Attempt     int
	Provisional bool
	Request     string
	Inputs      Fingerprint
	Reason      string // why a published interval is built again
	// Upstream are the jobs that it reads, as they are when it is begun.
	Upstream map[string]*Job
}

// Decision is what a look at the situation comes to. Rows are appended first, then runs are begun.
type Decision struct {
	Rows     []Entry // transitions that nobody has to run anything for
	Start    []Start
	Statuses []*Status // of the intervals that were looked at
}

// Decide looks at every job (invariant 1).
func (s *Situation) Decide() Decision {
	var d Decision
	var due []*Status
	for _, j := range s.Graph.Jobs {
		list := s.interesting(j)
		d.Statuses = append(d.Statuses, list...)
		rows, mine := s.passOver(j, list)
		d.Rows = append(d.Rows, rows...)
		due = append(due, mine...)
	}
	d.Rows = append(d.Rows, s.lost()...)
	for _, st := range d.Statuses {
		if e, ok := s.staleRow(st); ok {
			d.Rows = append(d.Rows, e)
		}
	}
	d.Start = s.choose(due)
	return d
}

// interesting lists the intervals of a job that may be in need of anything, oldest first: those that have not been
// published, those that may still be built again, and those that somebody has asked for.
func (s *Situation) interesting(j *Job) []*Status {
	h := s.Committed.History(j.Name)
	until := s.now()
	horizon := s.Now.Add(-j.Spec.Late.Horizon.Duration)
	pending := s.requests().pending[j.Name]
	w := j.First
	if !s.Deep {
		w = h.settled(j, horizon)
	}
	if from := j.Calendar.At(horizon); j.Spec.Run.Catchup != "all" && from.Start.After(w.Start) {
		w = from // what is before it is passed over, or published and old
	}
	var out []*Status
	for start, r := range pending { // asked for, wherever it is
		if start < w.Start.Unix() && !r.Interval.End.After(until) {
			out = append(out, s.Assess(j, r.Interval))
		}
	}
	slices.SortFunc(out, func(a, b *Status) int { return a.Interval.Start.Compare(b.Interval.Start) })
	for ; !w.End.After(until); w = j.Calendar.Next(w) {
		_, wanted := pending[w.Start.Unix()]
		rec := h.Of(w)
		switch {
		case wanted, rec != nil && rec.Open != nil:
		case rec == nil && s.passedOver(j, w) != "":
			continue
		case !s.Deep && rec != nil && w.End.Before(horizon) && (rec.Published != nil || rec.Skip != nil):
			continue
		}
		out = append(out, s.Assess(j, w))
	}
	return out
}

// passOver writes off what overlap does not want, and returns what is due.
func (s *Situation) passOver(j *Job, list []*Status) (rows []Entry, due []*Status) {
	busy := s.busy(j.Name)
	for _, st := range list {
		switch {
		case !st.Due:
		case j.Spec.Run.Overlap == "skip" && busy && st.Generation == 0 && st.Request == "":
			rows = append(rows, Entry{Job: j.Name, Interval: st.Interval, Generation: 1, Attempt: st.Attempts, State: Skipped, Actor: "tidemill",
				Reason: "overlap: skip, and the job was running", Epoch: s.Epoch})
		default:
			due = append(due, st)
		}
	}
	return rows, due
}

// busy reports whether the job runs.
func (s *Situation) busy(job string) bool {
	for k := range s.Live {
		if k.Job == job {
			return true
		}
	}
	return false
}

// lost ends runs that nobody runs: their runner was killed, or has lost its lease.
func (s *Situation) lost() []Entry {
	var out []Entry
	for _, j := range s.Graph.Jobs {
		for _, r := range s.Committed.History(j.Name).records {
			if r.Open == nil || s.alive(r.Open) {
				continue
			}
			e := *r.Open
			e.State, e.Class, e.Reason, e.Epoch, e.Results = Failed, Lost, "its runner ended in the middle of it", s.Epoch, nil
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Job, b.Job), compareKeys(a.key(), b.key())) })
	return out
}

// staleRow notes once that a published generation is stale, so that it is not forgotten (invariant 7).
func (s *Situation) staleRow(st *Status) (Entry, bool) {
	if st.State != Stale {
		return Entry{}, false
	}
	rec := s.Committed.History(st.Job).Of(st.Interval)
	if rec == nil || rec.Stale != nil || rec.Open != nil || rec.Published == nil {
		return Entry{}, false
	}
	return Entry{Job: st.Job, Interval: st.Interval, Generation: st.Generation, Attempt: rec.Published.Attempt, State: Stale, Actor: "tidemill",
		Reason: st.Reasons[0].Text, Definition: rec.Published.Definition, Inputs: st.Inputs, Epoch: s.Epoch}, true
}

// class is who wants a run: the calendar, or a backfill.
type class bool

const (
	live     class = false
	backfill class = true
)

// choose picks the runs for which there is room. It looks only at what is committed and at what runs here, so another
// runner would pick the same.
func (s *Situation) choose(due []*Status) []Start {
	slices.SortStableFunc(due, func(a, b *Status) int { // missing before stale, then oldest first
		return cmp.Or(cmp.Compare(min(a.Generation, 1), min(b.Generation, 1)), a.Interval.Start.Compare(b.Interval.Start))
	})
	used := map[string]map[class]int{}
	begun := map[string]bool{}
	for k := range s.Live {
		j := s.Graph.Job(k.Job)
		if j == nil {
			continue
		}
		begun[k.Job] = true
		s.use(used, j, s.classOf(k))
	}
	var out []Start
	for len(due) > 0 {
		i := s.next(due, used, begun)
		if i < 0 {
			break
		}
		st := due[i]
		due = slices.Delete(slices.Clone(due), i, i+1)
		j := s.Graph.Job(st.Job)
		begun[j.Name] = true
		s.use(used, j, class(st.Request != ""))
		out = append(out, s.start(j, st))
	}
	return out
}

func (s *Situation) start(j *Job, st *Status) Start {
	attempt := 1
	if rec := s.Committed.History(j.Name).Of(st.Interval); rec != nil {
		for _, f := range rec.Failures {
			attempt = max(attempt, f.Attempt+1)
		}
	}
	out := Start{Job: j, Interval: st.Interval, Generation: st.Generation + 1, Attempt: attempt, Provisional: st.Provisional, Request: st.Request, Inputs: st.Inputs}
	if len(st.Reasons) > 0 {
		out.Reason = st.Reasons[0].Text
	}
	out.Upstream = map[string]*Job{}
	for _, in := range j.Inputs {
		if up := s.Graph.Job(in.Job); up != nil {
			out.Upstream[in.Job] = up
		}
	}
	return out
}

func (s *Situation) use(used map[string]map[class]int, j *Job, c class) {
	pool := j.Spec.Limits.Pool
	if used[pool] == nil {
		used[pool] = map[class]int{}
	}
	used[pool][c] += j.Spec.Limits.Weight
}

// classOf is the class of a run that is under way.
func (s *Situation) classOf(k RunKey) class {
	if r := s.Committed.History(k.Job).records[k.Start]; r != nil && r.Open != nil {
		return class(r.Open.Request != "")
	}
	return live
}

// next is the place in due of what fits, -1 when nothing does. A job runs one interval at a time: its table has one writer. A
// backfill takes its share of the pool and no more, and while there is one to run, live work leaves it that share: neither
// starves the other. Where a share is too small for a run, the two take turns.
func (s *Situation) next(due []*Status, used map[string]map[class]int, begun map[string]bool) int {
	waiting := map[string]map[class]bool{} // who wants the pool
	wants := map[string]map[class]bool{}   // who wants the job
	for _, st := range due {
		j := s.Graph.Job(st.Job)
		c := class(st.Request != "")
		for _, m := range []struct {
			of  map[string]map[class]bool
			key string
		}{{waiting, j.Spec.Limits.Pool}, {wants, j.Name}} {
			if m.of[m.key] == nil {
				m.of[m.key] = map[class]bool{}
			}
			m.of[m.key][c] = true
		}
	}
	for i, st := range due {
		j := s.Graph.Job(st.Job)
		c := class(st.Request != "")
		if begun[j.Name] || wants[j.Name][!c] && s.lastOf(func(o *Job) bool { return o == j }) == c {
			continue // the other kind is next for this job
		}
		if s.fits(j, c, used[j.Spec.Limits.Pool], waiting[j.Spec.Limits.Pool][!c]) {
			return i
		}
	}
	return -1
}

// fits reports whether a run has room in its pool. contended says that the other class wants the pool too.
func (s *Situation) fits(j *Job, c class, used map[class]int, contended bool) bool {
	pool, w := j.Spec.Limits.Pool, j.Spec.Limits.Weight
	capacity := s.Pools[pool]
	if used[live]+used[backfill]+w > capacity {
		return false
	}
	share := int(math.Round(float64(capacity) * float64(j.Spec.Limits.BackfillShare) / 100))
	if share < w || capacity-share < w { // nothing to divide
		if !contended {
			return c == live || used[backfill] == 0 || used[backfill]+w <= max(share, w)
		}
		return s.lastOf(func(o *Job) bool { return o.Spec.Limits.Pool == pool }) != c
	}
	if c == backfill {
		return used[backfill]+w <= share
	}
	return !contended || used[live]+w <= capacity-share
}

// lastOf is the class of the run that was begun last among some jobs; a backfill when there was none, so that live work
// comes first.
func (s *Situation) lastOf(among func(*Job) bool) class {
	if s.last == nil {
		s.last = map[string]lastRun{}
		for _, j := range s.Graph.Jobs {
			s.last[j.Name] = s.Committed.History(j.Name).lastRun()
		}
	}
	out := lastRun{class: backfill}
	for _, j := range s.Graph.Jobs {
		if l := s.last[j.Name]; among(j) && l.at.After(out.at) {
			out = l
		}
	}
	return out.class
}

// lastRun is when the newest run was begun, and for whom.
type lastRun struct {
	at    time.Time
	class class
}

func (h *History) lastRun() (out lastRun) {
	for _, e := range h.rows {
		if e.State == Running && e.At.After(out.at) {
			out = lastRun{e.At, class(e.Request != "")}
		}
	}
	return out
}
