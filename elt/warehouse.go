package elt

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Warehouse is where jobs run. Implementations live in sinks/*.
type Warehouse interface {
	// JobDialect says how its SQL differs.
	JobDialect() Dialect
	// JobSession runs fn with a session of its own, which ends with it; temporary tables live as long. Sessions may be used at
	// the same time, each by one goroutine. The session's time zone is UTC.
	JobSession(ctx context.Context, fn func(Session) error) error
}

// Session is one session of a warehouse. Errors are of type *Error where their class is known, and never hold a value of a
// row (invariant 9).
type Session interface {
	// Exec runs one statement and returns the rows that it changed. Arguments are $1, $2, …: strings, int64, bool, time.Time.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// Query calls fn with each row; the slice is reused. Values are string, int64, float64, bool, time.Time or nil.
	Query(ctx context.Context, sql string, fn func(row []any) error, args ...any) error
	// Columns describes a table, or a temporary one by its bare name; nil when there is none.
	Columns(ctx context.Context, table string) ([]Column, error)
	// Transact runs fn in a transaction, which commits when fn returns nil.
	Transact(ctx context.Context, mode Mode, fn func() error) error
}

// Mode says what a transaction is for.
type Mode int

// The modes.
const (
	// Snapshot sees one committed state throughout, and writes nothing but temporary tables. It may take long.
	Snapshot Mode = iota
	// Write changes tables and the ledger. It is short. What one commits, the next one sees.
	Write
)

// Stager is a session that stages the rows of a SELECT in a way of its own: to see that it is one SELECT, or by UNLOAD and
// COPY. Without it they are staged by CREATE TEMP TABLE … AS.
type Stager interface {
	// Stage makes the temporary table of the result of a SELECT and returns how many rows it has. via is the job's.
	Stage(ctx context.Context, table, query, via string) (int64, error)
}

// Column is a column of a table, with the type as the warehouse calls it.
type Column struct {
	Name, Type string
	Kind       string // of the type, where types of one kind go together whatever else they say; empty: only the same type does
}

// like reports whether values of a column go into another.
func (c Column) like(o Column) bool {
	return strings.EqualFold(c.Type, o.Type) || c.Kind != "" && c.Kind == o.Kind
}

// Error is an error whose class is known: it decides whether a run is tried again.
type Error struct {
	Class string // Transient, Conflict, BadSQL, Overtaken, …
	Hint  string // what helps
	Err   error
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Err.Error() + "; " + e.Hint
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// refused is a result that the job must not have.
func refused(hint, format string, args ...any) error {
	return &Error{Class: BadSQL, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// classOf is the class of an error. What is not known may pass: it is tried again a few times.
func classOf(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Class
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Transient
}

// ErrSuperseded says that another runner has taken over.
var ErrSuperseded = errors.New("another daemon looks after the jobs")
