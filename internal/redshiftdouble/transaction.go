package redshiftdouble

import (
	"context"
	"fmt"
)

// silently runs statements of our own on the client's session in PostgreSQL.
func (s *session) silently(ctx context.Context, sql string) error {
	_, err := s.backend.Exec(ctx, sql).ReadAll()
	return err
}

// value is the first value of a query of our own.
func (s *session) value(ctx context.Context, sql string) (string, error) {
	rows, err := s.values(ctx, sql)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

func (s *session) values(ctx context.Context, sql string) ([][]string, error) {
	results, err := s.backend.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return stringsOf(results[len(results)-1]), nil
}

// enter begins a transaction around what comes, unless there is one.
func (s *session) enter(ctx context.Context, to txState) error {
	if s.tx != idle {
		if to == block && s.tx == implicit {
			s.tx = block
		}
		return nil
	}
	level := "REPEATABLE READ"
	if s.server.isolation() == Serializable {
		level = "SERIALIZABLE"
	}
	if s.readOnly {
		level += " READ ONLY"
	}
	if err := s.silently(ctx, "BEGIN ISOLATION LEVEL "+level); err != nil {
		return err
	}
	s.tx, s.wrote = to, false
	return nil
}

// commit ends the transaction; it waits in the cluster's queue, and fails where a fault wants it to.
func (s *session) commit(ctx context.Context) error {
	if s.tx == failed {
		return s.rollback(ctx)
	}
	if s.tx == idle {
		return nil
	}
	if s.wrote {
		if s.kill(BeforeCommit) {
			return errKilled
		}
		s.server.commits.Lock()
		err := s.server.faults.queue(ctx)
		s.server.commits.Unlock()
		if err != nil {
			return err
		}
		if e, hit := s.server.faults.commit(); hit {
			if err := s.rollback(ctx); err != nil {
				return err
			}
			return e.refusal(s.queryID())
		}
	}
	wrote := s.wrote
	s.over()
	if err := s.silently(ctx, "COMMIT"); err != nil {
		return err
	}
	if wrote && s.kill(LostReply) {
		return errKilled
	}
	s.ended = wrote
	return nil
}

func (e CommitError) refusal(query int64) *refusal {
	switch e {
	case CommitSnapshot:
		return snapshotConflict()
	case CommitDeadlock:
		return refuse("40P01", "deadlock detected")
	}
	return serializableConflict(query)
}

func (s *session) rollback(ctx context.Context) error {
	if s.tx == idle {
		return nil
	}
	s.over()
	return s.silently(ctx, "ROLLBACK")
}

func (s *session) over() { s.tx, s.wrote, s.readOnly, s.cursor = idle, false, false, "" }

// failure records that a statement went wrong: an implicit transaction is over, a block waits for ROLLBACK.
func (s *session) failure(err error) *refusal {
	r := s.translate(err)
	switch {
	case s.tx == implicit:
		if err := s.rollback(context.Background()); err != nil && r == nil {
			r = s.translate(err)
		}
	case s.tx == block:
		s.tx = failed
	}
	return r
}

// lock queues for the tables that a statement writes. The snapshot is taken before, as in Redshift: who waited sees what
// was there when the statement began, and fails if the rows it wants have changed.
func (s *session) lock(ctx context.Context, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	if err := s.silently(ctx, "SELECT 1"); err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.silently(ctx, fmt.Sprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", t)); err != nil {
			return err
		}
	}
	return nil
}
