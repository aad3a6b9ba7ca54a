package redshiftdouble

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// plan is what a statement makes the session do.
type plan struct {
	verb    string
	sql     string   // for PostgreSQL
	writes  []string // tables whose write lock it takes, as PostgreSQL names them
	changes bool     // writes without such a lock: DDL
	alone   bool     // Redshift refuses it in a transaction block and beside other statements
	control bool     // begins or ends a transaction, or must not be in one of PostgreSQL's
	prepare bool     // may come by the extended protocol
	do      func(context.Context) (tag string, err error)
	after   func(context.Context) error     // in the same transaction
	fields  []pgproto3.FieldDescription     // of the result of do
	count   func(tag string) (shown string) // when the tag is not PostgreSQL's
}

// done is a do that does nothing: the statement is about something that the double does not have, such as encodings.
func done(tag string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return tag, nil }
}

// plan reads one statement.
func (s *session) plan(ts []token) (*plan, error) {
	if len(ts) == 0 {
		return nil, unexpected(ts, 0)
	}
	first := ts[0]
	if first.is("(") {
		return s.planQuery(ts)
	}
	if first.kind != word {
		return nil, unexpected(ts, 0)
	}
	switch first.val {
	case "select", "with":
		return s.planQuery(ts)
	case "insert":
		return s.planInsert(ts)
	case "update":
		return s.planUpdate(ts)
	case "delete":
		return s.planDelete(ts)
	case "merge":
		return s.planMerge(ts)
	case "copy":
		return s.planCopy(ts)
	case "unload":
		return s.planUnload(ts)
	case "create":
		return s.planCreate(ts)
	case "alter":
		return s.planAlter(ts)
	case "drop":
		return s.planDrop(ts)
	case "truncate":
		return s.planTruncate(ts)
	case "lock":
		return s.planLock(ts)
	case "set":
		return s.planSet(ts)
	case "reset":
		return s.planReset(ts)
	case "show":
		return s.planShow(ts)
	}
	return s.planOther(ts)
}

// planOther is for the statements that need little: transaction control, maintenance, rights.
func (s *session) planOther(ts []token) (*plan, error) {
	switch ts[0].val {
	case "begin", "start":
		return s.planBegin(ts)
	case "commit", "end":
		return s.planEnd(ts, "COMMIT")
	case "rollback", "abort":
		return s.planEnd(ts, "ROLLBACK")
	case "vacuum":
		return s.planVacuum(ts)
	case "analyze", "analyse":
		return s.planAnalyze(ts)
	case "grant", "revoke":
		return &plan{verb: ts[0].val, do: done(strings.ToUpper(ts[0].val))}, nil
	case "comment":
		return s.planComment(ts)
	case "explain":
		return s.planExplain(ts)
	case "declare", "fetch", "close":
		return s.planCursor(ts)
	case "prepare":
		if len(ts) > 1 && ts[1].is("transaction") {
			return nil, nearby("transaction")
		}
		return nil, unsupported("PREPARE")
	case "refresh":
		for i, t := range ts {
			if t.is("concurrently") {
				return nil, unexpected(ts, i)
			}
		}
		return nil, unsupported("REFRESH MATERIALIZED VIEW")
	case "call", "cancel", "use", "execute", "deallocate", "desc", "describe", "attach", "detach":
		return nil, unsupported("%s", strings.ToUpper(ts[0].val))
	case "savepoint", "release":
		return nil, refuse("0A000", "SQL command %q not supported.", strings.ToUpper(ts[0].val))
	}
	return nil, nearby(ts[0].val)
}

func (s *session) planBegin(ts []token) (*plan, error) {
	readOnly := false
	rest := ts[1:]
	if ts[0].is("start") {
		if len(rest) == 0 || !rest[0].is("transaction") {
			return nil, unexpected(ts, 1)
		}
	}
	for i := 0; i < len(rest); i++ {
		switch t := rest[i]; {
		case t.is("work", "transaction", ",", "isolation", "level", "serializable", "snapshot", "repeatable", "committed", "uncommitted", "write"):
		case t.is("read"):
			readOnly = i+1 < len(rest) && rest[i+1].is("only") || readOnly
		case t.is("only"):
		default:
			return nil, unexpected(rest, i)
		}
	}
	return &plan{verb: "begin", control: true, prepare: true, do: func(ctx context.Context) (string, error) {
		tag := "BEGIN"
		if ts[0].is("start") {
			tag = "START TRANSACTION"
		}
		if s.tx == block {
			s.notice("WARNING", "25001", "there is already a transaction in progress")
			return tag, nil
		}
		s.readOnly = readOnly
		return tag, s.enter(ctx, block)
	}}, nil
}

// planEnd is COMMIT or ROLLBACK; there are no savepoints to go back to.
func (s *session) planEnd(ts []token, verb string) (*plan, error) {
	for i, t := range ts[1:] {
		if t.is("to") {
			return nil, refuse("0A000", "SQL command \"ROLLBACK TO SAVEPOINT\" not supported.")
		}
		if !t.is("work", "transaction") {
			return nil, unexpected(ts, i+1)
		}
	}
	return &plan{verb: lower(verb), control: true, prepare: true, do: func(ctx context.Context) (string, error) {
		if s.tx == idle {
			s.notice("WARNING", "25P01", "there is no transaction in progress")
			return verb, nil
		}
		if verb == "ROLLBACK" || s.tx == failed {
			return "ROLLBACK", s.rollback(ctx)
		}
		return verb, s.commit(ctx)
	}}, nil
}
