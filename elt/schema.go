package elt

import (
	"context"
	"strings"
)

// The relations of the jobs in the schema tidemill. All but job_runner are only ever added to (invariant 4).
const (
	createLedger = `CREATE TABLE IF NOT EXISTS tidemill.job_ledger (
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 interval_end TIMESTAMP WITH TIME ZONE NOT NULL,
 generation INTEGER NOT NULL,
 attempt INTEGER NOT NULL,
 state TEXT NOT NULL,
 provisional BOOLEAN NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL,
 actor TEXT NOT NULL,
 reason TEXT NOT NULL,
 class TEXT NOT NULL,
 definition TEXT NOT NULL,
 inputs {json} NOT NULL,
 trace_id TEXT NOT NULL,
 epoch BIGINT NOT NULL,
 request TEXT NOT NULL,
 rows_out BIGINT NOT NULL,
 took_ms BIGINT NOT NULL,
 results {json} NOT NULL)`
	createRequests = `CREATE TABLE IF NOT EXISTS tidemill.job_requests (
 id TEXT NOT NULL,
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 interval_end TIMESTAMP WITH TIME ZONE NOT NULL,
 action TEXT NOT NULL,
 actor TEXT NOT NULL,
 reason TEXT NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL)`
	createDeadlines = `CREATE TABLE IF NOT EXISTS tidemill.job_deadlines (
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 interval_end TIMESTAMP WITH TIME ZONE NOT NULL,
 kind TEXT NOT NULL,
 due TIMESTAMP WITH TIME ZONE NOT NULL,
 met BOOLEAN NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL{key:job, interval_start, kind})`
	createAlerts = `CREATE TABLE IF NOT EXISTS tidemill.job_alerts (
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 kind TEXT NOT NULL,
 what TEXT NOT NULL,
 episode INTEGER NOT NULL,
 event TEXT NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL,
 name TEXT NOT NULL,
 owner TEXT NOT NULL,
 text TEXT NOT NULL,
 cause TEXT NOT NULL,
 actor TEXT NOT NULL,
 warning BOOLEAN NOT NULL,
 ended BOOLEAN NOT NULL{key:job, interval_start, kind, what, episode, event})`
	createSends = `CREATE TABLE IF NOT EXISTS tidemill.job_sends (
 channel TEXT NOT NULL,
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 kind TEXT NOT NULL,
 what TEXT NOT NULL,
 episode INTEGER NOT NULL,
 event TEXT NOT NULL,
 attempt INTEGER NOT NULL,
 outcome TEXT NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL,
 why TEXT NOT NULL{key:channel, job, interval_start, kind, what, episode, event, attempt, outcome})`
	// The keys are of rows that a check refused. Masked columns are hashes. It holds values otherwise, as the tables do.
	createFailures = `CREATE TABLE IF NOT EXISTS tidemill.job_failures (
 job TEXT NOT NULL,
 interval_start TIMESTAMP WITH TIME ZONE NOT NULL,
 generation INTEGER NOT NULL,
 attempt INTEGER NOT NULL,
 check_name TEXT NOT NULL,
 row_key TEXT NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL)`
	createRegister = `CREATE TABLE IF NOT EXISTS tidemill.job_register (
 job TEXT NOT NULL,
 written_at TIMESTAMP WITH TIME ZONE NOT NULL{key:job})`
	createRunner = `CREATE TABLE IF NOT EXISTS tidemill.job_runner (
 id INTEGER NOT NULL,
 epoch BIGINT NOT NULL,
 actor TEXT NOT NULL,
 taken_at TIMESTAMP WITH TIME ZONE NOT NULL{key:id})`
	uniquePublished = `CREATE UNIQUE INDEX IF NOT EXISTS job_ledger_published ON tidemill.job_ledger (job, interval_start, generation) WHERE state = 'published'`
	uniqueRunning   = `CREATE UNIQUE INDEX IF NOT EXISTS job_ledger_running ON tidemill.job_ledger (job, interval_start, generation, attempt) WHERE state = 'running'`
)

// Create returns the statements that make the relations where they are missing, in a schema that is there.
func (d Dialect) Create() []string {
	var out []string
	for _, q := range []string{createLedger, createRequests, createDeadlines, createAlerts, createSends, createFailures, createRegister, createRunner} {
		q = strings.ReplaceAll(strings.ReplaceAll(q, "{json}", d.JSON), " TEXT NOT NULL", " "+d.text()+" NOT NULL")
		if at := strings.Index(q, "{key:"); at >= 0 {
			key := ",\n PRIMARY KEY (" + strings.TrimSuffix(q[at+len("{key:"):], "})") + ")"
			if !d.Constraints {
				key = ""
			}
			q = q[:at] + key + ")"
		}
		out = append(out, q)
	}
	if d.Constraints {
		out = append(out, uniquePublished, uniqueRunning)
	}
	return out
}

// ensure makes the relations where they are missing.
func ensure(ctx context.Context, s Session, d Dialect) error {
	have, err := s.Columns(ctx, "tidemill.job_runner") // the last of them
	if err != nil || have != nil {
		return err
	}
	return s.Transact(ctx, Write, func() error {
		if err := ensureSchema(ctx, s, d, "tidemill"); err != nil {
			return err
		}
		for _, q := range d.Create() {
			if _, err := s.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// ensureSchema asks first: CREATE SCHEMA IF NOT EXISTS may want a privilege even for a schema that is there.
func ensureSchema(ctx context.Context, s Session, d Dialect, name string) error {
	there, q := false, "SELECT schema_name FROM information_schema.schemata WHERE schema_name = $1"
	if d.Schemas != "" {
		q = d.Schemas
	}
	err := s.Query(ctx, q, func([]any) error { there = true; return nil }, name)
	if err != nil || there {
		return err
	}
	_, err = s.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoteIdent(name))
	return err
}
