package redshiftdouble

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// simple answers a Query message.
func (s *session) simple(ctx context.Context, sql string) error {
	ctx, finished := s.begun(ctx)
	defer finished()
	plans, err := s.plans(sql)
	if err == nil && len(plans) == 0 {
		s.wire.Send(&pgproto3.EmptyQueryResponse{})
	}
	for i := 0; err == nil && i < len(plans); i++ {
		err = s.statement(ctx, plans[i], len(plans) > 1, i == len(plans)-1)
	}
	if s.killed.Load() {
		return errKilled
	}
	if err != nil {
		s.wire.Send(s.failure(err).response())
	}
	return s.finish()
}

// finish says that the session is ready, and cuts it where a fault wants that.
func (s *session) finish() error {
	err := s.readyNow()
	ended := s.ended
	s.ended = false
	if ended && s.kill(AfterCommit) {
		return errKilled
	}
	return err
}

// plans reads all statements before the first runs: a mistake in the last one keeps all from running.
func (s *session) plans(sql string) ([]*plan, error) {
	if err := s.server.faults.statement(sql); err != nil {
		return nil, err
	}
	ts, err := s.lex(sql)
	if err != nil {
		return nil, err
	}
	var out []*plan
	for _, st := range split(ts) {
		p, err := s.plan(st)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *session) lex(sql string) ([]token, error) {
	if strings.ContainsRune(sql, 0) {
		return nil, refuse("22021", "invalid byte sequence for encoding \"UTF8\": 0x00")
	}
	l := &lexer{src: sql, exact: s.settings.on("enable_case_sensitive_identifier"), names: s.server.names}
	return l.run()
}

// statement runs a plan in the transaction there is, or in one of its own, which ends with the last statement of a message.
func (s *session) statement(ctx context.Context, p *plan, several, last bool) error {
	if err := s.allowed(p, several); err != nil {
		return err
	}
	tag, err := s.perform(ctx, p, func(ctx context.Context) (string, error) { return s.forward(ctx, p.sql) })
	if err != nil {
		return err
	}
	return s.complete(ctx, p, tag, last)
}

// allowed holds a plan against the state of the transaction.
func (s *session) allowed(p *plan, several bool) error {
	if s.tx == failed && p.verb != "rollback" && p.verb != "commit" {
		return refuse("25P02", "current transaction is aborted, commands ignored until end of transaction block")
	}
	if p.alone && s.tx == block {
		return refuse("25001", "%s cannot run inside a transaction block", strings.ToUpper(p.verb))
	}
	if p.alone && several {
		return refuse("25001", "%s cannot be executed from a function or multi-command string", strings.ToUpper(p.verb))
	}
	return nil
}

// perform runs a plan but for its end; forward sends its SQL to PostgreSQL.
func (s *session) perform(ctx context.Context, p *plan, forward func(context.Context) (string, error)) (tag string, err error) {
	if err := s.server.names.save(ctx, s.server.admin); err != nil {
		return "", fmt.Errorf("keeping long names: %w", err)
	}
	if p.control {
		return p.do(ctx)
	}
	if err := s.enter(ctx, implicit); err != nil {
		return "", err
	}
	if p.verb == "copy" && s.tx == implicit && s.server.config.CopyOutlivesClient {
		s.mu.Lock()
		s.outlive = true
		s.mu.Unlock()
	}
	if err := s.lock(ctx, p.writes); err != nil {
		return "", err
	}
	if p.do != nil {
		tag, err = p.do(ctx)
	} else {
		tag, err = forward(ctx)
	}
	if err != nil {
		return "", err
	}
	s.wrote = s.wrote || len(p.writes) > 0 || p.changes
	if p.after != nil {
		err = p.after(ctx)
	}
	return tag, err
}

// complete commits what was implicit and tells the client.
func (s *session) complete(ctx context.Context, p *plan, tag string, last bool) error {
	if p.verb == "merge" && s.kill(DuringMerge) {
		return errKilled
	}
	if s.tx == implicit && last {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	if p.verb == "copy" && s.kill(AfterCopy) {
		return errKilled
	}
	if p.count != nil {
		tag = p.count(tag)
	}
	s.wire.Send(&pgproto3.CommandComplete{CommandTag: []byte(tagOf(tag))})
	return nil
}

// tagOf is a command tag as servers before 8.2 send it: only INSERT, DELETE, UPDATE and MOVE carry a count.
func tagOf(tag string) string {
	verb, _, _ := strings.Cut(tag, " ")
	switch verb {
	case "SELECT", "FETCH", "MERGE", "COPY":
		return verb
	}
	return tag
}
