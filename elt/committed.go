package elt

import (
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// TableState is what the fences and receipts say of a table that a pipeline publishes. A pipeline publishes every window in
// order, the first one as a whole, so one instant says which windows are committed in a table.
type TableState struct {
	Table    string
	Pipeline string
	// Through is where what is committed in the table ends: every window that ends at or before it is in it, empty ones too.
	// For a table that stands still it is where it stands.
	Through time.Time
	// Base identifies the publish that made the table anew last: its first, or a resync. What was built from another base is
	// built from other rows.
	Base   string
	BaseAt time.Time // when that was committed
	// Standing is why the table stands still; empty when it moves.
	Standing  string
	Published time.Time // when Through was committed
}

// Action is what a request asks for.
type Action string

// The actions.
const (
	ActRun     Action = "run"     // make the interval, once more if it is there
	ActCancel  Action = "cancel"  // what a backfill has not started is not wanted any more
	ActPause   Action = "pause"   // a backfill starts nothing until it is resumed
	ActResume  Action = "resume"  //
	ActHold    Action = "hold"    // a job starts nothing until it is released
	ActRelease Action = "release" //
)

// Request is a row of the requests: what a person asked for. Rows are never changed.
type Request struct {
	ID       string // of the backfill
	Job      string
	Interval grid.Window // of ActRun
	Action   Action
	Actor    string
	Reason   string
	At       time.Time
}

// Committed is all that the warehouse says: what a decision is made of, besides the definitions and the time (invariant 1).
type Committed struct {
	Tables   map[string]TableState // by schema.table
	Ledger   map[string]*History   // by job
	Requests []Request             // in order
}

// NewCommitted is an empty warehouse.
func NewCommitted() *Committed {
	return &Committed{Tables: map[string]TableState{}, Ledger: map[string]*History{}}
}

// History is the ledger of a job, never nil.
func (c *Committed) History(job string) *History {
	if h := c.Ledger[job]; h != nil {
		return h
	}
	return NewHistory()
}

// Through is the newest instant that any pipeline has committed: time as the sources tell it.
func (c *Committed) Through() time.Time {
	var out time.Time
	for _, t := range c.Tables {
		if t.Through.After(out) {
			out = t.Through
		}
	}
	return out
}

// asked is what the requests come to.
type asked struct {
	held    map[string]*Request          // by job
	paused  map[string]bool              // by backfill
	pending map[string]map[int64]Request // runs that are wanted, by job and start; the newest of an interval
	reset   map[string]map[int64]time.Time
}

// asked works out which requests are open: an interval that was published or has failed for good after its request is not
// wanted any more.
func (c *Committed) asked(g *Graph) asked {
	out := asked{held: map[string]*Request{}, paused: map[string]bool{}, pending: map[string]map[int64]Request{}, reset: map[string]map[int64]time.Time{}}
	cancelled := map[string]time.Time{}
	for i := range c.Requests {
		r := &c.Requests[i]
		switch r.Action {
		case ActCancel:
			cancelled[r.ID] = r.At
		case ActPause, ActResume:
			out.paused[r.ID] = r.Action == ActPause
		case ActHold:
			out.held[r.Job] = r
		case ActRelease:
			delete(out.held, r.Job)
		}
	}
	for _, r := range c.Requests {
		if at, gone := cancelled[r.ID]; r.Action != ActRun || gone && !at.Before(r.At) && !c.begun(r) {
			continue
		}
		start := r.Interval.Start.Unix()
		if out.reset[r.Job] == nil {
			out.reset[r.Job], out.pending[r.Job] = map[int64]time.Time{}, map[int64]Request{}
		}
		if r.At.After(out.reset[r.Job][start]) {
			out.reset[r.Job][start] = r.At
		}
		if !c.fulfilled(g, r) {
			out.pending[r.Job][start] = r
		}
	}
	return out
}

// begun reports whether a run of the request was started: cancelling leaves it alone.
func (c *Committed) begun(r Request) bool {
	rec := c.History(r.Job).Of(r.Interval)
	return rec != nil && rec.Open != nil && rec.Open.Request == r.ID
}

// fulfilled reports whether nothing is left to do for the request.
func (c *Committed) fulfilled(g *Graph, r Request) bool {
	rec := c.History(r.Job).Of(r.Interval)
	if rec == nil {
		return false
	}
	if rec.Published != nil && rec.Published.At.After(r.At) && (rec.Published.Request == r.ID || rec.startedAfter(r.At)) {
		return true
	}
	if rec.Skip != nil && rec.Skip.At.After(r.At) {
		return true
	}
	j := g.Job(r.Job)
	return j != nil && rec.Open == nil && rec.exhausted(j, r.At)
}

// startedAfter reports whether the newest generation was begun after an instant: what began before does not see what the
// request wants seen.
func (r *Record) startedAfter(t time.Time) bool {
	return r.Published != nil && r.Published.At.Add(-r.Published.Took).After(t)
}

// since lists the failures after an instant: a request gives an interval all its attempts again.
func (r *Record) since(t time.Time) []*Entry {
	i := slices.IndexFunc(r.Failures, func(e *Entry) bool { return e.At.After(t) })
	if i < 0 {
		return nil
	}
	return r.Failures[i:]
}

// exhausted reports whether the interval has failed for good since an instant.
func (r *Record) exhausted(j *Job, t time.Time) bool {
	failures := r.since(t)
	if len(failures) == 0 {
		return false
	}
	last := failures[len(failures)-1]
	return counted(failures) >= j.Spec.Retry.Attempts || !j.retries(last.Class)
}

// counted is how many failures use up an attempt. One whose runner died does: the run itself may be what kills it.
func counted(failures []*Entry) (n int) {
	for _, e := range failures {
		if e.Class != NotReady && e.Class != Overtaken && e.Class != Stopped {
			n++
		}
	}
	return n
}

// The classes of failures beside Transient and Conflict.
const (
	Lost      = "lost"      // the runner ended in the middle of it
	TimedOut  = "timeout"   //
	BadSQL    = "sql"       // the statement or its result is refused
	BadRows   = "checks"    // a check fails
	NotReady  = "inputs"    // the inputs were not there any more when it began
	Overtaken = "overtaken" // another runner has made it
	Stopped   = "stopped"   // the daemon was stopped
)

// retries reports whether a failure may pass by itself.
func (j *Job) retries(class string) bool {
	switch class {
	case Lost, NotReady, Overtaken, Stopped: // nothing was wrong with the job
		return true
	case Transient, Conflict:
		return slices.Contains(j.Spec.Retry.On, class)
	}
	return false
}
