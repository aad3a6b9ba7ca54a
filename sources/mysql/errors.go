package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	driver "github.com/go-sql-driver/mysql"
)

// Cause classifies an error at the place where it is known.
type Cause uint8

// The causes of an Error.
const (
	Unreachable Cause = iota + 1 // network or server down, restart, kill: start again from the checkpoint
	Refused                      // the server or the configuration must be changed first
	Purged                       // the server no longer has the log that follows our position
	Diverged                     // our position was never executed by this server
	DuplicateID                  // another reader uses our server id
	Lost                         // the log itself says that something is missing or cannot be read
	Failed                       // the server could not do it and says nothing that we know: it may pass
)

var causeNames = [...]string{"", "unreachable", "refused", "purged", "diverged", "duplicate server id", "lost", "failed"}

func (c Cause) String() string { return causeNames[c] }

// Error is what Prepare and Run return: what happened, where, and what mends it. Its text holds no row value and no
// secret.
type Error struct {
	Cause  Cause
	Server string // address
	What   string
	Remedy string // a statement or a command, empty when waiting helps
	Err    error  // what lies below, already free of values; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Server)
	b.WriteString(": ")
	b.WriteString(e.What)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Remedy != "" {
		b.WriteString("; ")
		b.WriteString(e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Retryable says that starting again from the checkpoint may succeed without anybody's help.
func (e *Error) Retryable() bool { return e.Cause == Unreachable || e.Cause == Failed }

// Hint is the remedy alone.
func (e *Error) Hint() string { return e.Remedy }

// Refusals is an Error made of everything that is wrong with a server.
type Refusals []*Error

func (r Refusals) Error() string {
	lines := make([]string, len(r))
	for i, e := range r {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Retryable is false: each of them needs a change.
func (Refusals) Retryable() bool { return false }

// Unwrap lists the single errors.
func (r Refusals) Unwrap() []error {
	out := make([]error, len(r))
	for i, e := range r {
		out[i] = e
	}
	return out
}

// Server error numbers. The two families share the old ones.
const (
	codeTooManyConnections = 1040
	codeHostBlocked        = 1129
	codeHostDenied         = 1130
	codeDatabaseDenied     = 1044
	codeAccessDenied       = 1045
	codeShutdown           = 1053
	codeNoSuchTable        = 1146
	codeLockWait           = 1205
	codeDeadlock           = 1213
	codeSpecificDenied     = 1227
	codeSelectDenied       = 1142
	codeColumnDenied       = 1143
	codeUnknownColumn      = 1054
	codeUnknownSystemVar   = 1193
	codeUnknownDatabase    = 1049
	codeMasterFatal        = 1236
	codeParse              = 1064
	codeKilled             = 1317
	codeConnectionKilled   = 1927
	codeTableDefChanged    = 1412
	codeMaxUserConnections = 1203
	codeMySQLShutdown      = 3032
	codeMySQLUserLimit     = 1226
	codeMariaDuplicateID   = 4052
	codeNeedSecure         = 3159
	codeUnsupportedAuth    = 1251
)

// serverCode returns the number of an error that the server sent.
func serverCode(err error) (uint16, bool) {
	if my, ok := errors.AsType[*gomysql.MyError](err); ok {
		return my.Code, true
	}
	if my, ok := errors.AsType[*driver.MySQLError](err); ok {
		return my.Number, true
	}
	return 0, false
}

// serverText is an error from the server as it may be shown. The text of the server is kept for statements that we wrote
// without values; for the others only the number is.
func serverText(err error) error {
	if my, ok := errors.AsType[*gomysql.MyError](err); ok {
		return fmt.Errorf("server error %d: %s", my.Code, my.Message)
	}
	if my, ok := errors.AsType[*driver.MySQLError](err); ok {
		return fmt.Errorf("server error %d: %s", my.Number, my.Message)
	}
	return err
}

func serverNumber(err error) error {
	if code, ok := serverCode(err); ok {
		return &statementError{code}
	}
	return err
}

// statementError is the server's refusal of one statement, without its text: that may quote values.
type statementError struct{ code uint16 }

func (e *statementError) Error() string {
	return fmt.Sprintf("server error %d (%s)", e.code, strings.ToLower(gomysql.MySQLState[e.code]))
}

// networkError reports whether err came from the connection rather than from the server's answer.
func networkError(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gomysql.ErrBadConn) ||
		errors.Is(err, driver.ErrInvalidConn) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, context.DeadlineExceeded)
}

// transientCode lists the server's answers that pass by themselves.
func transientCode(code uint16) bool {
	switch code {
	case codeTooManyConnections, codeShutdown, codeLockWait, codeDeadlock, codeKilled, codeConnectionKilled,
		codeMaxUserConnections, codeMySQLShutdown:
		return true
	}
	return false
}

// failure wraps an error of a statement or a connection, classified. What is a gerund.
func (c *Config) failure(what string, err error) error { return c.classify(what, err, serverText(err)) }

// quietFailure is failure for statements that hold values: of the server's answer only the number is shown.
func (c *Config) quietFailure(what string, err error) error {
	return c.classify(what, err, serverNumber(err))
}

func (c *Config) classify(what string, err, shown error) error {
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	e := &Error{Cause: Refused, Server: c.Address, What: what, Err: shown}
	code, answered := serverCode(err)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		e.What, e.Err = "the server's certificate is not trusted", untrusted.Err
		e.Remedy = "name the file of the authority that signed it in tls.ca, and in tls.server_name the name it is for when that is not the address's"
	case answered && transientCode(code):
		e.Cause = Unreachable
	case !answered && networkError(err):
		e.Cause = Unreachable
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			e.Remedy = c.reach()
		}
	case code == codeAccessDenied:
		e.What, e.Err = fmt.Sprintf("access denied for user %q", c.User), nil
		e.Remedy = "check user and password in the source's file, and that the account may log in from this host" + c.TLS.denied()
	case code == codeHostDenied || code == codeHostBlocked:
		e.Remedy = "allow this host to connect to the server"
	case code == codeNeedSecure:
		e.Remedy = "set tls.mode to verify in the source's file"
	case code == codeSpecificDenied || code == codeSelectDenied || code == codeDatabaseDenied || code == codeColumnDenied:
		e.Remedy = "run: " + c.grantStatement()
	case answered:
		e.Cause = Failed
	}
	return e
}

// reach is what to look at when no connection comes about.
func (c *Config) reach() string {
	if c.network() == "unix" {
		return "check that the server runs, and that address in the source's file is its socket"
	}
	return "check that the server runs and listens on this address (bind_address), that address in the source's file is right, and that no firewall or security group stands between"
}

// denied is what else may be wrong: a server refuses a connection that is not protected as its account demands like one with
// a wrong password.
func (t TLS) denied() string {
	switch {
	case t.Mode == tlsOff:
		return "; if it REQUIREs SSL, set tls.mode: verify"
	case t.Cert == "":
		return "; if it REQUIREs X509, set tls.cert and tls.key"
	}
	return ""
}

// grantStatement is understood by both families: MariaDB takes REPLICATION CLIENT as the old name of BINLOG MONITOR.
func (c *Config) grantStatement() string {
	return fmt.Sprintf("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO %s@'%%'", quoteText(c.User))
}
