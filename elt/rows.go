package elt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// store reads and writes the relations of the jobs.
type store struct {
	Session
	dialect Dialect
}

func (s store) now(ctx context.Context) (t time.Time, err error) {
	err = s.Query(ctx, "SELECT "+s.dialect.Now, func(row []any) error { t = instant(row[0]); return nil })
	return t, err
}

func instant(v any) time.Time {
	t, _ := v.(time.Time) // NULL is no time
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// insert writes one row. JSON values are given as jsonText.
func (s store) insert(ctx context.Context, table, columns string, values ...any) error {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = fmt.Sprintf("$%d", i+1)
		if j, ok := v.(jsonText); ok {
			marks[i] = fmt.Sprintf("CAST($%d AS %s)", i+1, s.dialect.JSON)
			values[i] = string(j)
		}
	}
	_, err := s.Exec(ctx, "INSERT INTO tidemill."+table+" ("+columns+") VALUES ("+strings.Join(marks, ", ")+")", values...)
	return err
}

type jsonText string

func toJSON(v any) jsonText {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain values
	}
	return jsonText(b)
}

// epoch reads who may write, and in a transaction of Write keeps it so until its end (invariant 5).
func (s store) epoch(ctx context.Context, hold bool) (epoch int64, err error) {
	q := "SELECT epoch FROM tidemill.job_runner WHERE id = 1"
	if hold {
		q += s.dialect.Hold
	}
	err = s.Query(ctx, q, func(row []any) error { epoch = row[0].(int64); return nil })
	return epoch, err
}

// take makes epoch the one that may write.
func (s store) take(ctx context.Context, epoch int64, actor string) error {
	return s.Transact(ctx, Write, func() error {
		have, err := s.epoch(ctx, false)
		if err != nil {
			return err
		}
		at, err := s.now(ctx)
		if err != nil {
			return err
		}
		switch {
		case have > epoch:
			return ErrSuperseded
		case have == 0:
			return s.insert(ctx, "job_runner", "id, epoch, actor, taken_at", int64(1), epoch, actor, at)
		}
		n, err := s.Exec(ctx, "UPDATE tidemill.job_runner SET epoch = $1, actor = $2, taken_at = $3 WHERE id = 1 AND epoch <= $1", epoch, actor, at)
		if err == nil && n != 1 {
			return ErrSuperseded
		}
		return err
	})
}

const ledgerColumns = `job, interval_start, interval_end, generation, attempt, state, provisional, written_at, actor, reason, class, definition, inputs, trace_id, epoch, request, rows_out, took_ms, results`

// append writes a row of the ledger, in a transaction of Write. The epoch must be the writer's.
func (s store) append(ctx context.Context, e *Entry) error {
	epoch, err := s.epoch(ctx, true)
	if err != nil {
		return err
	}
	if epoch != e.Epoch {
		return fmt.Errorf("%w: epoch %d, this is %d", ErrSuperseded, epoch, e.Epoch)
	}
	if err := s.arbiter(ctx, e); err != nil {
		return err
	}
	if e.At, err = s.now(ctx); err != nil {
		return err
	}
	results := e.Results
	if results == nil {
		results = []Result{}
	}
	inputs := e.Inputs
	if inputs == nil {
		inputs = Fingerprint{}
	}
	return s.insert(ctx, "job_ledger", ledgerColumns, e.Job, e.Interval.Start.UTC(), e.Interval.End.UTC(), int64(e.Generation), int64(e.Attempt), string(e.State),
		e.Provisional, e.At, e.Actor, e.Reason, e.Class, e.Definition, toJSON(inputs), e.Trace, e.Epoch, e.Request, e.Rows, e.Took.Milliseconds(), toJSON(results))
}

// arbiter refuses a second published or running row where no index does (invariant 4).
func (s store) arbiter(ctx context.Context, e *Entry) error {
	if s.dialect.Constraints || e.State != Published && e.State != Running {
		return nil
	}
	q := "SELECT count(*) FROM tidemill.job_ledger WHERE job = $1 AND interval_start = $2 AND generation = $3 AND state = $4"
	args := []any{e.Job, e.Interval.Start.UTC(), int64(e.Generation), string(e.State)}
	if e.State == Running {
		q, args = q+" AND attempt = $5", append(args, int64(e.Attempt))
	}
	return s.Query(ctx, q, func(row []any) error {
		if row[0].(int64) > 0 {
			return &Error{Class: Overtaken, Err: errors.New(e.describe() + " is in the ledger already")}
		}
		return nil
	}, args...)
}

// entries reads the rows of the ledger from an instant on.
func (s store) entries(ctx context.Context, since time.Time, fn func(Entry)) error {
	cols := strings.ReplaceAll(strings.ReplaceAll(ledgerColumns, " inputs,", " CAST(inputs AS "+s.dialect.text()+"),"), " results", " CAST(results AS "+s.dialect.text()+")")
	q := "SELECT " + cols + " FROM tidemill.job_ledger"
	var args []any
	if !since.IsZero() {
		q, args = q+" WHERE written_at >= $1", []any{since.UTC()}
	}
	return s.Query(ctx, q+" ORDER BY written_at", func(row []any) error {
		e := Entry{
			Job: row[0].(string), Interval: grid.Window{Start: instant(row[1]), End: instant(row[2])}, Generation: int(row[3].(int64)), Attempt: int(row[4].(int64)),
			State: State(row[5].(string)), Provisional: row[6].(bool), At: instant(row[7]), Actor: row[8].(string), Reason: row[9].(string), Class: row[10].(string),
			Definition: row[11].(string), Trace: row[13].(string), Epoch: row[14].(int64), Request: row[15].(string), Rows: row[16].(int64),
			Took: time.Duration(row[17].(int64)) * time.Millisecond,
		}
		if err := json.Unmarshal([]byte(row[12].(string)), &e.Inputs); err != nil {
			return fmt.Errorf("reading the ledger: inputs of %s are not JSON: %w", e.describe(), err)
		}
		if err := json.Unmarshal([]byte(row[18].(string)), &e.Results); err != nil {
			return fmt.Errorf("reading the ledger: results of %s are not JSON: %w", e.describe(), err)
		}
		fn(e)
		return nil
	}, args...)
}

// register notes when jobs were first seen, and returns that of all.
func (s store) register(ctx context.Context, jobs []string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	read := func() error {
		return s.Query(ctx, "SELECT job, written_at FROM tidemill.job_register", func(row []any) error { out[row[0].(string)] = instant(row[1]); return nil })
	}
	if err := read(); err != nil {
		return nil, err
	}
	missing := false
	for _, j := range jobs {
		_, ok := out[j]
		missing = missing || !ok
	}
	if !missing {
		return out, nil
	}
	err := s.Transact(ctx, Write, func() error {
		clear(out)
		if err := read(); err != nil {
			return err
		}
		at, err := s.now(ctx)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if _, ok := out[j]; !ok {
				if err := s.insert(ctx, "job_register", "job, written_at", j, at); err != nil {
					return err
				}
				out[j] = at
			}
		}
		return nil
	})
	return out, err
}

// Ask writes requests. They are stamped with the warehouse's clock.
func (s store) ask(ctx context.Context, requests []Request) error {
	return s.Transact(ctx, Write, func() error {
		at, err := s.now(ctx)
		if err != nil {
			return err
		}
		for _, r := range requests {
			start, end := r.Interval.Start, r.Interval.End
			if start.IsZero() { // about a backfill or a job, not about an interval
				start, end = at, at
			}
			if err := s.insert(ctx, "job_requests", "id, job, interval_start, interval_end, action, actor, reason, written_at", r.ID, r.Job, start.UTC(), end.UTC(), string(r.Action), r.Actor, r.Reason, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s store) requests(ctx context.Context) (out []Request, err error) {
	err = s.Query(ctx, "SELECT id, job, interval_start, interval_end, action, actor, reason, written_at FROM tidemill.job_requests ORDER BY written_at, job, interval_start", func(row []any) error {
		out = append(out, Request{ID: row[0].(string), Job: row[1].(string), Interval: grid.Window{Start: instant(row[2]), End: instant(row[3])},
			Action: Action(row[4].(string)), Actor: row[5].(string), Reason: row[6].(string), At: instant(row[7])})
		return nil
	})
	return out, err
}
