package console

import (
	"context"
	"net/http"
	"time"
)

// Jobs answers about jobs and takes requests about them.
type Jobs interface {
	// List tells what each job is in; with a job, each of its intervals, newest first.
	List(ctx context.Context, r JobsRequest) (JobsAnswer, error)
	// Why tells what an interval waits for, and what has happened to it.
	Why(ctx context.Context, r WhyRequest) (WhyAnswer, error)
	// Backfill asks for intervals to be made, or only says which.
	Backfill(ctx context.Context, r BackfillRequest) (BackfillAnswer, error)
	// Act does what a person asks for: it returns when that is durable.
	Act(ctx context.Context, r ActRequest) error
}

// JobsRequest is the body of POST /v1/jobs.
type JobsRequest struct {
	Job   string `json:"job,omitempty"`   // its intervals, not all jobs
	Limit int    `json:"limit,omitempty"` // of intervals; default 50
	// Definitions are those of another folder, by job: the answer says how many intervals were built by others.
	Definitions map[string]string `json:"definitions,omitempty"`
}

// JobsAnswer says what jobs are in.
type JobsAnswer struct {
	Jobs      []JobStatus      `json:"jobs,omitempty"`
	Intervals []IntervalStatus `json:"intervals,omitempty"`
	Backfills []BackfillStatus `json:"backfills,omitempty"`
}

// JobStatus is one job.
type JobStatus struct {
	Name       string         `json:"name"`
	Owner      string         `json:"owner"`
	Every      string         `json:"every"`
	Zone       string         `json:"zone"`
	Table      string         `json:"table,omitempty"`
	Definition string         `json:"definition"`
	Newest     string         `json:"newest,omitempty"` // published interval
	NewestEnd  time.Time      `json:"newest_end,omitzero"`
	Published  time.Time      `json:"published,omitzero"` // when
	Counts     map[string]int `json:"counts"`             // intervals by state
	Missing    int            `json:"missing"`            // ended and not published: gaps
	Redefined  int            `json:"redefined"`          // published by another definition than the one asked about
	Rows       int64          `json:"rows,omitempty"`     // of those
	Touched    []Downstream   `json:"touched,omitempty"`  // what is built from those, nearest first
	Now        string         `json:"now,omitempty"`      // what it does or waits for, in a line
	Reads      []string       `json:"reads"`
	Downstream []string       `json:"downstream,omitempty"`
}

// IntervalStatus is one interval.
type IntervalStatus struct {
	Job         string    `json:"job"`
	Name        string    `json:"interval"`
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	State       string    `json:"state"`
	Generation  int       `json:"generation,omitempty"`
	Provisional bool      `json:"provisional,omitempty"`
	Reasons     []Reason  `json:"reasons,omitempty"`
	NotBefore   time.Time `json:"not_before,omitzero"`
}

// Reason is one thing that an interval waits for.
type Reason struct {
	Input   string   `json:"input,omitempty"`
	Text    string   `json:"text"`
	Have    int      `json:"have,omitempty"`
	Want    int      `json:"want,omitempty"`
	Missing []string `json:"missing,omitempty"` // from/to, in UTC
	Cause   string   `json:"cause,omitempty"`
	// CauseText is what the cause itself says: why the pipeline behind it stands still.
	CauseText string `json:"cause_text,omitempty"`
}

// WhyRequest is the body of POST /v1/jobs/why.
type WhyRequest struct {
	Job      string `json:"job"`
	Interval string `json:"interval,omitempty"` // default: the oldest that is not published
}

// WhyAnswer tells about an interval.
type WhyAnswer struct {
	Interval IntervalStatus `json:"interval"`
	History  []LedgerRow    `json:"history"`
	// Usual and Latest are when half and 95 % of the Earlier intervals were first there, put onto this one; zero when it is
	// there, or when too few were.
	Usual    time.Time `json:"usual,omitzero"`
	Latest   time.Time `json:"latest,omitzero"`
	Earlier  int       `json:"earlier,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	SQL      string    `json:"sql"`
}

// LedgerRow is a transition.
type LedgerRow struct {
	At         time.Time         `json:"at"`
	State      string            `json:"state"`
	Generation int               `json:"generation"`
	Attempt    int               `json:"attempt"`
	Actor      string            `json:"actor"`
	Reason     string            `json:"reason,omitempty"`
	Class      string            `json:"class,omitempty"`
	Definition string            `json:"definition,omitempty"`
	Inputs     map[string]string `json:"inputs,omitempty"`
	Trace      string            `json:"trace_id,omitempty"`
	Rows       int64             `json:"rows,omitempty"`
	Took       time.Duration     `json:"took,omitempty"`
	Checks     []CheckResult     `json:"checks,omitempty"`
}

// CheckResult is what a check has found.
type CheckResult struct {
	Check   string  `json:"check"`
	Outcome string  `json:"outcome"`
	Value   float64 `json:"value"`
	Total   float64 `json:"total"`
	Limit   string  `json:"limit,omitempty"`
}

// BackfillRequest is the body of POST /v1/backfill.
type BackfillRequest struct {
	Job    string `json:"job"`
	From   string `json:"from"` // an interval
	To     string `json:"to"`   // the last interval, included
	Only   string `json:"only"` // missing, failed, stale or all
	DryRun bool   `json:"dry_run,omitempty"`
	ID     string `json:"id,omitempty"`
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// BackfillAnswer says what is made.
type BackfillAnswer struct {
	ID         string           `json:"id,omitempty"`
	Intervals  []IntervalStatus `json:"intervals"`
	Rows       int64            `json:"rows"` // a guess
	Downstream []Downstream     `json:"downstream,omitempty"`
}

// Downstream are the intervals of a job that change with it.
type Downstream struct {
	Job       string   `json:"job"`
	Intervals []string `json:"intervals"`
	Policy    string   `json:"policy"` // rerun, mark or ignore
}

// BackfillStatus is how far a backfill is.
type BackfillStatus struct {
	ID        string    `json:"id"`
	Job       string    `json:"job"`
	Actor     string    `json:"actor"`
	At        time.Time `json:"at"`
	Total     int       `json:"total"`
	Done      int       `json:"done"`
	Failed    int       `json:"failed"`
	Running   int       `json:"running"`
	Cancelled bool      `json:"cancelled,omitempty"`
	Paused    bool      `json:"paused,omitempty"`
}

// ActRequest is the body of POST /v1/jobs/act.
type ActRequest struct {
	// Action is cancel, pause or resume (a backfill), hold or release (a job), skip (an interval), ack or silence (its alerts), or
	// test_alert (a channel).
	Action   string `json:"action"`
	Backfill string `json:"backfill,omitempty"`
	Job      string `json:"job,omitempty"`
	Interval string `json:"interval,omitempty"`
	Channel  string `json:"channel,omitempty"`
	Actor    string `json:"actor,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// jobRoute decodes, asks and answers.
func jobRoute[Q, A any](s *Server, ask func(Jobs, context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if !decode(w, r, &q) {
			return
		}
		if s.Jobs == nil {
			fail(w, http.StatusNotImplemented, "this daemon looks after no jobs")
			return
		}
		a, err := ask(s.Jobs, r.Context(), q)
		if err != nil {
			fail(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		answer(w, a)
	}
}

func (s *Server) jobRoutes(m *http.ServeMux) {
	m.HandleFunc("POST /v1/jobs", s.guard(jobRoute(s, Jobs.List)))
	m.HandleFunc("POST /v1/jobs/why", s.guard(jobRoute(s, Jobs.Why)))
	m.HandleFunc("POST /v1/backfill", s.guard(jobRoute(s, Jobs.Backfill)))
	m.HandleFunc("POST /v1/jobs/act", s.guard(jobRoute(s, func(j Jobs, ctx context.Context, q ActRequest) (struct{}, error) { return struct{}{}, j.Act(ctx, q) })))
}
