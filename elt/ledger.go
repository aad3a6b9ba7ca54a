package elt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// State is what an interval of a job is in.
type State string

// The states. Waiting, ready and stale are found by looking at what is committed; the others are rows of the ledger.
const (
	Waiting   State = "waiting"
	Ready     State = "ready"
	Running   State = "running"
	Checking  State = "checking"
	Published State = "published"
	Failed    State = "failed"
	Skipped   State = "skipped"
	Stale     State = "stale"
)

// moves lists what may follow a state. A row that may not follow is a fault of tidemill, and is refused before it is written.
var moves = map[State][]State{
	Waiting:   {Running, Skipped},
	Running:   {Checking, Failed},
	Checking:  {Published, Failed},
	Published: {Stale, Running},
	Failed:    {Running, Skipped},
	Skipped:   {Running},
	Stale:     {Running, Stale},
}

// May reports whether a row of the state next may follow one of the state s.
func (s State) May(next State) bool { return slices.Contains(moves[s], next) }

// Entry is one row of the ledger: a transition of an interval. Rows are never changed.
type Entry struct {
	Job         string
	Interval    grid.Window
	Generation  int // that is being made, from 1; of a stale row: the one that is stale
	Attempt     int // from 1; of a skipped or stale row: the last one before it
	State       State
	Provisional bool
	At          time.Time // the warehouse's clock
	Actor       string    // the daemon, or the person who asked
	Reason      string
	Class       string // of a failure
	Definition  string
	Inputs      Fingerprint
	Trace       string
	Epoch       int64  // of the runner that wrote it
	Request     string // backfill that asked for it; empty: it was due
	Rows        int64
	Took        time.Duration
	Results     []Result
}

// Result is what a check has found, without any value of a row.
type Result struct {
	Check   string  `json:"check"`
	Kind    string  `json:"kind"`
	Value   float64 `json:"value"`
	Total   float64 `json:"total"`
	Outcome string  `json:"outcome"` // pass, warn, fail, or unknown: no baseline yet
	Limit   string  `json:"limit,omitempty"`
}

// The outcomes.
const (
	Pass    = "pass"
	Warned  = "warn"
	Fails   = "fail"
	Unknown = "unknown"
)

// key orders the rows of an interval and tells equal ones.
type key struct {
	start               int64
	generation, attempt int
	rank                int
	at                  int64 // of rows that may come twice: stale and skipped
}

func (e *Entry) key() key {
	// An attempt that was taken for lost and was published all the same is published.
	ranks := map[State]int{Running: 1, Checking: 2, Failed: 3, Published: 4, Skipped: 5, Stale: 6}
	k := key{start: e.Interval.Start.Unix(), generation: e.Generation, attempt: e.Attempt, rank: ranks[e.State]}
	if e.State == Skipped || e.State == Stale {
		k.at = e.At.UnixMicro()
	}
	return k
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.generation, b.generation), cmp.Compare(a.attempt, b.attempt), cmp.Compare(a.rank, b.rank), cmp.Compare(a.at, b.at))
}

// Record is what the ledger says of one interval.
type Record struct {
	Interval  grid.Window
	Published *Entry    // the newest generation
	First     time.Time // when the first generation was published
	Open      *Entry    // running or checking, and not ended
	Failures  []*Entry  // of the generation after Published, in order
	Skip      *Entry    // nothing has happened since
	Stale     *Entry    // of the generation Published
	Last      *Entry    // the newest row
}

// Generation is the newest published one; 0 without any.
func (r *Record) Generation() int {
	if r == nil || r.Published == nil {
		return 0
	}
	return r.Published.Generation
}

// State is what the rows alone say.
func (r *Record) State() State {
	switch {
	case r == nil || r.Last == nil:
		return Waiting
	case r.Open != nil:
		return r.Open.State
	}
	return r.Last.State
}

// History is the ledger of one job.
type History struct {
	Registered time.Time // when the job was first seen
	rows       map[key]*Entry
	starts     map[int64][]*Entry // rows by interval
	records    map[int64]*Record
	newest     time.Time // At of the newest row
	top        *Record   // of the newest published interval
	low        lowWater
}

// lowWater is where the intervals end that are published or skipped from the job's first one on without a gap, and that ended
// before its horizon: a look need not go over years of them. It is thrown away when a row of one of them comes.
type lowWater struct {
	first grid.Window
	every string
	at    grid.Window
}

// settled moves the low water up to where it is now.
func (h *History) settled(j *Job, horizon time.Time) grid.Window {
	every := j.Calendar.Every() + j.Calendar.Zone().String()
	if h.low.every != every || !h.low.first.Start.Equal(j.First.Start) {
		h.low = lowWater{j.First, every, j.First}
	}
	for h.low.at.End.Before(horizon) {
		r := h.Of(h.low.at)
		if r == nil || r.Open != nil || r.Published == nil && r.Skip == nil {
			break
		}
		h.low.at = j.Calendar.Next(h.low.at)
	}
	return h.low.at
}

// NewHistory is the ledger of a job that has none yet.
func NewHistory() *History {
	return &History{rows: map[key]*Entry{}, starts: map[int64][]*Entry{}, records: map[int64]*Record{}}
}

// Add takes rows in; rows that are known already change nothing, and their order does not matter.
func (h *History) Add(entries ...Entry) {
	touched := map[int64]bool{}
	for i := range entries {
		e := &entries[i]
		if e.At.After(h.newest) {
			h.newest = e.At
		}
		if _, known := h.rows[e.key()]; known {
			continue
		}
		start := e.Interval.Start.Unix()
		h.rows[e.key()] = e
		h.starts[start] = append(h.starts[start], e)
		touched[start] = true
	}
	for start := range touched {
		if start < h.low.at.Start.Unix() {
			h.low = lowWater{}
		}
		r := fold(slices.Clone(h.starts[start]))
		h.records[start] = r
		if r.Published != nil && (h.top == nil || !r.Interval.Start.Before(h.top.Interval.Start)) {
			h.top = r
		}
	}
}

// fold works out what the rows of an interval say together.
func fold(rows []*Entry) *Record {
	slices.SortFunc(rows, func(a, b *Entry) int { return compareKeys(a.key(), b.key()) })
	r := &Record{Interval: rows[0].Interval}
	for _, e := range rows {
		if e.State != Stale {
			r.Interval = e.Interval
		}
		switch e.State {
		case Running, Checking:
			r.Open, r.Skip = e, nil
		case Published:
			r.Open, r.Failures, r.Skip, r.Stale, r.Published = nil, nil, nil, nil, e
			if e.Generation == 1 || r.First.IsZero() {
				r.First = e.At
			}
		case Failed:
			if r.Open != nil && r.Open.Generation == e.Generation && r.Open.Attempt == e.Attempt {
				r.Open = nil
			}
			r.Failures = append(r.Failures, e)
		case Skipped:
			r.Skip = e
		case Stale:
			if e.Generation == r.Generation() {
				r.Stale = e
			}
		}
		if r.Last == nil || !e.At.Before(r.Last.At) {
			r.Last = e
		}
	}
	return r
}

// Of is the record of an interval; nil when nothing has happened, or when what has was an interval of other bounds.
func (h *History) Of(w grid.Window) *Record {
	if h == nil {
		return nil
	}
	r := h.records[w.Start.Unix()]
	if r == nil || !r.Interval.End.Equal(w.End) { // the job's calendar has changed since
		return nil
	}
	return r
}

// Newest is when the newest row was written.
func (h *History) Newest() time.Time { return h.newest }

// Rows lists the rows of an interval in order.
func (h *History) Rows(w grid.Window) []*Entry {
	out := slices.Clone(h.starts[w.Start.Unix()])
	slices.SortFunc(out, func(a, b *Entry) int {
		return cmp.Or(a.At.Compare(b.At), compareKeys(a.key(), b.key()))
	})
	return out
}

// Published lists the newest published generations before an interval, newest first.
func (h *History) Published(before grid.Window, limit int) []*Entry {
	var out []*Entry
	for _, r := range h.records {
		if r.Published != nil && r.Interval.Start.Before(before.Start) {
			out = append(out, r.Published)
		}
	}
	slices.SortFunc(out, func(a, b *Entry) int { return b.Interval.Start.Compare(a.Interval.Start) })
	return out[:min(len(out), limit)]
}

// Past is what a check has found for the intervals before one, newest first.
func (h *History) Past(check string, w grid.Window, zone *time.Location) []Past {
	var out []Past
	for _, e := range h.Published(w, 1000) {
		for _, r := range e.Results {
			if r.Check == check {
				same := e.Interval.Start.In(zone).Weekday() == w.Start.In(zone).Weekday()
				out = append(out, Past{reading(r.Kind, r.Value, r.Total).compared(), same})
			}
		}
	}
	return out
}

// Runtimes are how long the newest published runs took.
func (h *History) Runtimes(limit int) []time.Duration {
	var out []time.Duration
	for _, e := range h.Published(grid.Window{Start: time.Unix(1<<40, 0)}, limit) {
		out = append(out, e.Took)
	}
	return out
}

// describe names a run in errors.
func (e *Entry) describe() string {
	return fmt.Sprintf("%s %s generation %d attempt %d", e.Job, e.Interval, e.Generation, e.Attempt)
}
