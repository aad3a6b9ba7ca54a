package elt

import (
	"context"
	"fmt"
	"strings"
)

// checksFailed is the failure of a run whose rows do not pass.
type checksFailed struct {
	results []Result
	text    string
}

func (e *checksFailed) Error() string { return e.text }

// check asks every check of the staged rows. failing are the probes that fail; they are nil when the rows may be published.
func (x *execution) check(ctx context.Context, t *target) (results []Result, failing []*Probe, err error) {
	if err := t.inspect(ctx); err != nil {
		return nil, nil, err
	}
	for i := range t.job.Probes {
		p := &t.job.Probes[i]
		r := Result{Check: p.Name, Kind: p.Kind, Outcome: Pass}
		if p.Kind == "schema" {
			r = p.schema(t.staged)
		} else if err := x.measure(ctx, t, p, &r); err != nil {
			return nil, nil, fmt.Errorf("check %s: %w", p.Name, err)
		}
		results = append(results, r)
		if r.Outcome == Fails {
			failing = append(failing, p)
		}
	}
	return results, failing, nil
}

// measure asks one check.
func (x *execution) measure(ctx context.Context, t *target, p *Probe, r *Result) error {
	q := "SELECT CAST(q.v AS DOUBLE PRECISION), CAST(q.n AS DOUBLE PRECISION) FROM (" + p.SQL(t.job.probing(t.interval, stageTable, t.dialect)) + ") AS q(v, n)"
	err := t.Query(ctx, q, func(row []any) error {
		v, ok1 := row[0].(float64)
		n, ok2 := row[1].(float64)
		if !ok1 || !ok2 {
			return refused("mend the check", "it gives no number")
		}
		r.Value, r.Total = v, n
		return nil
	})
	if err != nil {
		return err
	}
	past := x.past(p.Name)
	for _, l := range []struct {
		limit   Limit
		outcome string
	}{{p.Fail, Fails}, {p.Warn, Warned}} {
		crossed, known := l.limit.Crossed(reading(p.Kind, r.Value, r.Total), past)
		switch {
		case crossed:
			r.Outcome, r.Limit = l.outcome, l.limit.String()
			return nil
		case !known:
			r.Outcome, r.Limit = Unknown, l.limit.String()
		}
	}
	return nil
}

// schema compares columns and types, in order.
func (p *Probe) schema(staged []Column) Result {
	r := Result{Check: p.Name, Kind: p.Kind, Outcome: Pass, Total: float64(len(p.columns))}
	for i := range max(len(staged), len(p.columns)) {
		if i >= len(staged) || i >= len(p.columns) || !strings.EqualFold(staged[i].Name+" "+staged[i].Type, strings.Join(strings.Fields(p.columns[i]), " ")) {
			r.Value++
		}
	}
	if r.Value > 0 {
		r.Outcome, r.Limit = Fails, "> 0"
		if p.Fail.text == noFault.text && !p.Warn.IsZero() {
			r.Outcome = Warned
		}
	}
	return r
}

// keep stores the keys of failing rows, in the warehouse and nowhere else (invariant 9), and returns the failure.
func (x *execution) keep(ctx context.Context, t *target, failing []*Probe, results []Result) error {
	var texts []string
	for _, r := range results {
		if r.Outcome == Fails {
			texts = append(texts, fmt.Sprintf("check %s fails: %s, limit %s", r.Check, r.reading(), r.Limit))
		}
	}
	failure := &Error{Class: BadRows, Err: &checksFailed{results, strings.Join(texts, "; ")}}
	key := t.key()
	if key == "" || t.job.Spec.Data.KeepFailedRows == 0 {
		return failure
	}
	for _, p := range failing {
		q := p.Keys(t.job.probing(t.interval, stageTable, t.dialect), key+" AS k", int(t.job.Spec.Data.KeepFailedRows))
		if q == "" {
			continue
		}
		err := x.again(ctx, func() error {
			return t.Transact(ctx, Write, func() error {
				_, err := t.Exec(ctx, fmt.Sprintf(`INSERT INTO tidemill.job_failures (job, interval_start, generation, attempt, check_name, row_key, written_at)
 SELECT CAST($1 AS %[1]s), CAST($2 AS TIMESTAMP WITH TIME ZONE), CAST($3 AS INTEGER), CAST($4 AS INTEGER), CAST($5 AS %[1]s), k.k, %[2]s FROM (%[3]s) k`, t.dialect.text(), t.dialect.Now, q),
					t.job.Name, t.interval.Start.UTC(), int64(t.generation), int64(x.start.Attempt), p.Name)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("keeping the keys that check %s refuses: %w", p.Name, err)
		}
	}
	return failure
}

// key is an expression that names a staged row: the output's key, or the columns of a unique check. Masked columns are
// hashes. Empty when nothing names a row.
func (t *target) key() string {
	columns := t.job.Spec.Output.Key
	for _, p := range t.job.Probes {
		if len(columns) == 0 && p.Kind == "unique" {
			columns = p.groups
		}
	}
	for _, p := range t.job.Probes {
		if len(columns) == 0 && p.Kind == "not_null" {
			columns = p.notNull
		}
	}
	if len(columns) == 0 {
		return ""
	}
	parts := make([]string, len(columns))
	for i, c := range columns {
		text := "CAST(" + quoteIdent(c) + " AS " + t.dialect.text() + ")"
		for _, m := range t.job.Spec.Data.Mask {
			if strings.EqualFold(m, c) {
				text = "MD5(" + text + ")"
			}
		}
		parts[i] = "COALESCE(" + text + ", 'NULL')"
	}
	return strings.Join(parts, " || ', ' || ")
}
