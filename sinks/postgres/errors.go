package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/window"
)

// Error is an error of the server without what may hold values (invariant 5).
type Error struct {
	Code       string // SQLSTATE
	Message    string // of the server, for the classes whose texts hold names only; else empty
	Relation   string
	Column     string
	Constraint string
	Position   int32 // in the text of a user's query, from 1; else 0
}

func (e *Error) Error() string {
	s := "postgresql: SQLSTATE " + e.Code
	if e.Message != "" {
		s += ": " + e.Message
	}
	for _, p := range []struct{ word, name string }{{"relation", e.Relation}, {"column", e.Column}, {"constraint", e.Constraint}} {
		if p.name != "" {
			s += ", " + p.word + " " + p.name
		}
	}
	if e.Position > 0 {
		s += fmt.Sprintf(", at character %d", e.Position)
	}
	return s
}

// Classes of SQLSTATE whose messages speak of connections, users, locks, limits and names. The others (22 data, 23
// constraint, P0 raised by a trigger, XX internal, ...) quote values.
var namesOnly = regexp.MustCompile(`^(08|25|28|3D|3F|40|42|53|54|55|57|58)`)

// Messages of class 42 that quote the text of the statement instead of a name in the catalogue. A user's query may hold
// a value there, in quotes of the wrong kind.
var quotesStatement = map[string]bool{"42601": true, "42602": true, "42622": true, "42703": true, "42883": true, "42P02": true}

var quoted = regexp.MustCompile(`"[^"]*"`)

// clean reduces what the server said to what may be shown.
func clean(pe *pgconn.PgError) *Error {
	e := &Error{Code: pe.Code, Relation: pe.TableName, Column: pe.ColumnName, Constraint: pe.ConstraintName, Position: pe.Position}
	if pe.SchemaName != "" && pe.TableName != "" {
		e.Relation = pe.SchemaName + "." + pe.TableName
	}
	if namesOnly.MatchString(pe.Code) {
		e.Message = pe.Message
		if quotesStatement[pe.Code] {
			e.Message = quoted.ReplaceAllString(pe.Message, `"..."`)
		}
	} else if text := conditions[pe.Code]; text != "" {
		e.Message = text
	}
	return e
}

// conditions words the codes that a publish may meet and whose own message is withheld.
var conditions = map[string]string{
	"22001": "a text is too long for its column", "22003": "a number is out of the range of its column",
	"22007": "a date or time is malformed", "22008": "a date or time is out of range", "22021": "a text is not valid in the database's encoding",
	"22P02": "a value is malformed for its type", "22P03": "a value is malformed for its type", "22P05": "a character has no equivalent in the database's encoding",
	"22012": "division by zero", "22030": "a JSON document repeats a key", "22032": "a JSON document is malformed",
	"23502": "NULL in a column that is NOT NULL", "23505": "a key is there twice", "23503": "a foreign key is violated",
	"23514": "a check constraint is violated", "21000": "a key is there twice in one step", "P0001": "a trigger or function raised an error",
}

// classify cleans an error and marks what stays until a person acts. Everything else (serialization, deadlock, connection,
// timeout, concurrent DDL) is returned plain: it may have happened or not, and may be tried again.
func classify(err error) error {
	var refused *window.RefusedError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	e := clean(pe)
	what, hint := refusal(e)
	if what == "" {
		return e
	}
	return &window.RefusedError{What: what, Hint: hint, Err: e}
}

func refusal(e *Error) (what, hint string) {
	switch e.Code {
	case "42501":
		return "PostgreSQL refuses access", "grant the user of the warehouse address CREATE and TEMPORARY on the database, and ownership of the published tables"
	case "28000", "28P01":
		return "PostgreSQL does not accept the login", "check user, password and pg_hba.conf"
	case "3D000":
		return "the database does not exist", "CREATE DATABASE, or mend the warehouse address"
	case "53100", "58030":
		return "PostgreSQL cannot write to its disk", "make room on the server's disk"
	case "2BP01", "0A000":
		return "PostgreSQL cannot change the table while something depends on it", "drop the view or rule that the message names, and make it again afterwards"
	case "23505", "21000":
		return "two rows have the same key", "choose a key that is unique in the view's result"
	case "23502":
		return "a row has NULL in a key column", "choose a key that is never NULL, or filter these rows in the view"
	case "42P01", "42703", "42P07", "42701", "42704", "3F000": // the catalogue changed under us: the next try sees it
		return "", ""
	}
	if strings.HasPrefix(e.Relation, "pg_catalog.") { // two sessions made the same thing: the next try sees it
		return "", ""
	}
	switch e.Code[:2] {
	case "22", "21":
		return "PostgreSQL cannot hold a value of the table", "cast the column in the view to what its type holds"
	case "23", "P0", "44":
		return "a constraint or trigger of the table refuses a row", "published tables must not have constraints or triggers of their own; drop it, or filter the rows in the view"
	case "42", "54":
		return "PostgreSQL refuses the statement", "see the message"
	}
	return "", ""
}
