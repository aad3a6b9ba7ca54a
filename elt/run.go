package elt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// execution makes one interval: a row that says running, staging in a snapshot, checks, and one short transaction that
// publishes. Whatever fails, a row says so.
type execution struct {
	warehouse Warehouse
	tracer    trace.Tracer
	start     Start
	actor     string
	epoch     int64
	past      func(check string) []Past // what checks have found before
	first     bool                      // the job has published nothing yet
	wrote     func(Entry)               // told of every row
	conflicts time.Duration             // first wait before a transaction that met another is run again
}

func (x *execution) entry(state State) Entry {
	s := x.start
	return Entry{Job: s.Job.Name, Interval: s.Interval, Generation: s.Generation, Attempt: s.Attempt, State: state, Provisional: s.Provisional,
		Actor: x.actor, Reason: s.Reason, Definition: s.Job.Definition, Inputs: s.Inputs, Epoch: x.epoch, Request: s.Request}
}

// run makes the interval. The error is ErrSuperseded when another runner has taken over; every other failure is in the
// ledger and not returned.
func (x *execution) run(ctx context.Context) error {
	ctx, span := x.tracer.Start(ctx, telemetry.SpanJob, trace.WithAttributes(attribute.String(telemetry.KeyJob, x.start.Job.Name), attribute.String(telemetry.KeyInterval, x.start.Job.IntervalName(x.start.Interval)),
		attribute.Int(telemetry.KeyGeneration, x.start.Generation), attribute.Int(telemetry.KeyAttempt, x.start.Attempt)))
	defer span.End()
	began := time.Now()
	traceID := ""
	if id := span.SpanContext().TraceID(); id.IsValid() {
		traceID = id.String()
	}
	work, cancel := context.WithTimeout(ctx, x.start.Job.Spec.Limits.Timeout)
	defer cancel()
	e := x.entry(Running)
	e.Trace = traceID
	if err := x.note(ctx, e); err != nil {
		if classOf(err) == Overtaken { // somebody else has begun it: nothing was wrong
			return nil
		}
		return err
	}
	err := x.warehouse.JobSession(work, func(s Session) error {
		t := &target{store: store{s, x.warehouse.JobDialect()}, job: x.start.Job, interval: x.start.Interval, generation: x.start.Generation}
		return x.make(work, t, e, began)
	})
	if err == nil || errors.Is(err, ErrSuperseded) {
		return err
	}
	span.SetStatus(codes.Error, err.Error())
	return x.failed(ctx, work, e, err, began)
}

// failed writes the row of a failure, whatever has ended the run.
func (x *execution) failed(ctx, work context.Context, e Entry, err error, began time.Time) error {
	e.State, e.Class, e.Reason, e.Took = Failed, classOf(err), err.Error(), time.Since(began)
	var bad *checksFailed
	switch {
	case errors.As(err, &bad):
		e.Results = bad.results
	case ctx.Err() != nil:
		e.Class, e.Reason = Stopped, "the daemon was stopped"
	case work.Err() != nil:
		e.Class, e.Reason = TimedOut, fmt.Sprintf("it took longer than limits.timeout, %s", short(x.start.Job.Spec.Limits.Timeout))
	case e.Class == Overtaken:
		e.Reason = "another runner has published it"
	}
	// Detached: what ended the run must not keep its end from being told.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return x.note(last, e)
}

// note writes a row in a transaction of its own.
func (x *execution) note(ctx context.Context, e Entry) error {
	err := x.warehouse.JobSession(ctx, func(s Session) error {
		st := store{s, x.warehouse.JobDialect()}
		return x.again(ctx, func() error { return s.Transact(ctx, Write, func() error { return st.append(ctx, &e) }) })
	})
	if err == nil {
		x.wrote(e)
	}
	return err
}

// again runs a transaction again as a whole while it meets others, with jitter.
func (x *execution) again(ctx context.Context, fn func() error) error {
	wait := x.conflicts
	for try := 1; ; try++ {
		err := fn()
		if err == nil || classOf(err) != Conflict || try == 8 {
			return err
		}
		t := time.NewTimer(wait/2 + rand.N(wait))
		wait *= 2
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// make does everything between the first and the last row.
func (x *execution) make(ctx context.Context, t *target, e Entry, began time.Time) error {
	if err := x.again(ctx, func() error { return t.Transact(ctx, Snapshot, func() error { return x.stage(ctx, t, &e) }) }); err != nil {
		return err
	}
	e.State = Checking
	if err := x.again(ctx, func() error { return t.Transact(ctx, Write, func() error { return t.append(ctx, &e) }) }); err != nil {
		return err
	}
	x.wrote(e)
	results, failing, err := x.check(ctx, t)
	if err != nil {
		return err
	}
	e.Results = results
	if failing != nil {
		return x.keep(ctx, t, failing, results)
	}
	e.State, e.Took = Published, time.Since(began)
	err = x.again(ctx, func() error {
		return t.Transact(ctx, Write, func() error { // invariant 3
			if t.job.SQL != nil {
				if err := t.prepare(ctx, x.first); err != nil {
					return err
				}
				if err := t.replace(ctx); err != nil {
					return err
				}
			}
			return t.append(ctx, &e)
		})
	})
	if err == nil {
		x.wrote(e)
	}
	return err
}

// stage looks at the inputs once more and stages the result, in one snapshot: the fingerprint is of the rows that were read.
func (x *execution) stage(ctx context.Context, t *target, e *Entry) error {
	now, complete, err := x.inputs(ctx, t)
	if err != nil {
		return err
	}
	if !complete && !e.Provisional {
		return &Error{Class: NotReady, Err: errors.New("its inputs are not complete any more")}
	}
	e.Inputs = now
	query := t.query()
	if t.job.SQL == nil { // the time column's type decides how an interval is told
		in := t.job.Inputs[0]
		cols, err := t.Columns(ctx, in.Table)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(cols, func(c Column) bool { return strings.EqualFold(c.Name, t.job.Spec.Output.TimeColumn) })
		if i < 0 {
			return refused("mend output.time_column", "the table %s has no column %s", in.Table, t.job.Spec.Output.TimeColumn)
		}
		cond, err := within(cols[i], in.Slice.Of(t.interval, t.job.Calendar.Zone()), t.job.Calendar.Zone())
		if err != nil {
			return err
		}
		query = "SELECT * FROM " + quoteTable(in.Table) + " WHERE " + cond
	}
	if _, err := t.Exec(ctx, "DROP TABLE IF EXISTS "+stageTable); err != nil { // of a transaction that is run again
		return err
	}
	if what, remedy := t.dialect.noWay(t.job.Spec.Output.Via); what != "" { // the definition was compiled without a warehouse
		return refused(remedy, "%s", what)
	}
	if e.Rows, err = stageRows(ctx, t.Session, query, t.job.Spec.Output.Via); err != nil {
		return err
	}
	if most := int64(t.job.Spec.Limits.MaxCostRows); most > 0 && e.Rows > most {
		return refused("raise limits.max_cost_rows, or mend the SELECT", "the result has %d rows, limits.max_cost_rows is %d", e.Rows, most)
	}
	t.staged, err = t.Columns(ctx, stageTable)
	return err
}

// stageRows is the one place where a session is asked whether it stages in a way of its own.
func stageRows(ctx context.Context, s Session, query, via string) (int64, error) {
	if own, ok := s.(Stager); ok {
		return own.Stage(ctx, stageTable, query, via)
	}
	if _, err := s.Exec(ctx, "CREATE TEMPORARY TABLE "+stageTable+" AS "+query); err != nil {
		return 0, err
	}
	var n int64
	err := s.Query(ctx, "SELECT count(*) FROM "+stageTable, func(row []any) error { n = row[0].(int64); return nil })
	return n, err
}

// inputs reads what the interval is built from as this snapshot shows it.
func (x *execution) inputs(ctx context.Context, t *target) (Fingerprint, bool, error) {
	tables, err := t.tables(ctx, &bases{})
	if err != nil {
		return nil, false, err
	}
	out, complete := Fingerprint{}, true
	for _, in := range t.job.Inputs {
		if in.Need.Is == Latest {
			continue
		}
		slice := in.Slice.Of(t.interval, t.job.Calendar.Zone())
		if in.Job == "" {
			state, ok := tables[in.Table]
			out[in.Table] = "b:" + state.Base
			if !ok {
				out[in.Table] = "b:none"
			}
			complete = complete && ok && !state.Through.Before(slice.End)
			continue
		}
		gens, err := t.generations(ctx, in.Job, slice, x.start.Upstream[in.Job])
		if err != nil {
			return nil, false, err
		}
		out[in.Table] = generations(gens)
		complete = complete && !slices.Contains(gens, 0)
	}
	return out, complete, nil
}

// generations reads the newest published generation of each interval of an input.
func (t *target) generations(ctx context.Context, job string, slice grid.Window, up *Job) ([]int, error) {
	list := expected(up, slice)
	if len(list) == 0 {
		return []int{}, nil
	}
	have := map[int64]int{}
	err := t.Query(ctx, `SELECT interval_start, interval_end, max(generation) FROM tidemill.job_ledger
 WHERE job = $1 AND state = 'published' AND interval_start >= $2 AND interval_start < $3 GROUP BY interval_start, interval_end`, func(row []any) error {
		have[instant(row[0]).Unix()^instant(row[1]).Unix()<<20] = int(row[2].(int64))
		return nil
	}, job, list[0].Start.UTC(), slice.End.UTC())
	out := make([]int, len(list))
	for i, w := range list {
		out[i] = have[w.Start.Unix()^w.End.Unix()<<20]
	}
	return out, err
}
