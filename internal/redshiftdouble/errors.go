package redshiftdouble

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// refusal is an error that the client gets as an ErrorResponse.
type refusal struct {
	severity string // empty: ERROR
	code     string
	message  string
	detail   string
	hint     string
}

func (r *refusal) Error() string { return r.message + " (" + r.code + ")" }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...)}
}

// nearby is the parser's complaint.
func nearby(what string) *refusal {
	return refuse("42601", "syntax error at or near %q", what)
}

// unexpected complains about the token at i, or about the end.
func unexpected(ts []token, i int) *refusal {
	if i < 0 || i >= len(ts) {
		return refuse("42601", "syntax error at end of input")
	}
	return nearby(ts[i].val)
}

// unsupportedHint marks what Redshift can do and the double cannot (invariant 2).
const unsupportedHint = "This is the redshiftdouble test server. Redshift has this; the double does not emulate it. See its README for the list."

func unsupported(format string, args ...any) *refusal {
	r := refuse("0A000", "not emulated: "+format, args...)
	r.hint = unsupportedHint
	return r
}

func fatal(code, format string, args ...any) *refusal {
	r := refuse(code, format, args...)
	r.severity = "FATAL"
	return r
}

// response is the error on the wire: only the fields that a server of version 8.0 sends.
func (r *refusal) response() *pgproto3.ErrorResponse {
	severity := r.severity
	if severity == "" {
		severity = "ERROR"
	}
	return &pgproto3.ErrorResponse{Severity: severity, Code: r.code, Message: r.message, Detail: r.detail, Hint: r.hint}
}

// detailBlock is the detail that Redshift's execution engine attaches to its errors.
func detailBlock(message string, code int, context string, query int64) string {
	const rule = "-----------------------------------------------"
	return fmt.Sprintf("\n  %s\n  error:  %s\n  code:      %d\n  context:   %s\n  query:     %d\n  location:  redshiftdouble:1\n  process:   padbmaster [pid=1]\n  %s\n",
		rule, message, code, context, query, rule)
}

// engine is an error of the execution engine: XX000 with the useful text in the detail.
func engine(message string, code int, context string, query int64) *refusal {
	r := refuse("XX000", "%s", message)
	r.detail = detailBlock(message, code, context, query)
	return r
}

// translate turns an error of PostgreSQL into Redshift's. What PostgreSQL says in details, which may hold values, is dropped.
func (s *session) translate(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return refuse("XX000", "redshiftdouble: %v", err)
	}
	message := s.server.names.originals(strings.ReplaceAll(pg.Message, "rs.", ""))
	switch {
	case pg.Code == "40001":
		return s.conflict()
	case pg.Code == "22001", pg.Code == "23514" && strings.HasPrefix(pg.ConstraintName, lengthCheck):
		return engine("Value too long for character type", 8001, "Value too long for type character varying", s.queryID())
	case pg.Code == "21000" && strings.HasPrefix(pg.Message, "MERGE"):
		return refuse("XX000", "Found multiple matches to update the same tuple.")
	case pg.Code == "23502":
		return refuse("23502", "Cannot insert a NULL value into column %s", s.server.names.original(pg.ColumnName))
	case pg.Code == "22003":
		return engine("Numeric data overflow (result precision)", 1058, message, s.queryID())
	}
	return refuse(pg.Code, "%s", message)
}

// conflict is the error of a transaction that cannot be serialised, in the words of the isolation level.
func (s *session) conflict() *refusal {
	if s.server.isolation() == Serializable {
		return serializableConflict(s.queryID())
	}
	return snapshotConflict()
}

func serializableConflict(query int64) *refusal {
	r := refuse("XX000", "1023")
	r.detail = fmt.Sprintf("Serializable isolation violation on table - 100167, transactions forming the cycle are: %d, %d (pid:1)", query, query+1)
	return r
}

func snapshotConflict() *refusal {
	return refuse("XX000", "could not complete because of conflict with concurrent transaction")
}
