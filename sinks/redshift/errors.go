package redshift

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/window"
)

// Error is an error of the server without what may hold values (invariant 5).
type Error struct {
	Code    string // SQLSTATE; Redshift gives XX000 to most
	Number  string // of Redshift's own: 1023, 15007, 8001 and so on; empty when there is none
	Message string // of ours, or of the server where its texts hold names only

	passing bool // S3 had no time: the same again may succeed
	misfit  bool // a file is not as its staging table is
	absent  bool // a file or a manifest is not where COPY was told to look
}

func (e *Error) Error() string {
	s := "redshift: SQLSTATE " + e.Code
	if e.Number != "" {
		s += ", code " + e.Number
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

var (
	detailCode = regexp.MustCompile(`code:\s+(\d+)`)
	plainCode  = regexp.MustCompile(`^(?:ERROR: *)?(\d{4})\b`)
	oidOf      = regexp.MustCompile(`violation on table - (\d+)`)
	tooLong    = regexp.MustCompile(`length of the data column (.+?) is longer than the length defined in the table\. Table: (\d+), Data: (\d+)`)
	unmatched  = regexp.MustCompile(`Unmatched number of columns between table and file\. Table columns: (\d+), Data columns: (\d+)`)
	badSchema  = regexp.MustCompile(`incompatible Parquet schema for column '?([^'\s]+)'?`)
	badLength  = regexp.MustCompile(`invalid type length\. Expecting: (\d+) len in file: (\d+)`)
	s3Said     = regexp.MustCompile(`S3ServiceException:.*?Status (\d+),\s?Error (\w+)`)
	notThere   = regexp.MustCompile(`The specified S3 prefix '([^']*)' does not exist`)
	quotedName = regexp.MustCompile(`"[^"]*"`)
)

// Classes of SQLSTATE whose messages speak of connections, users, locks and names in the catalogue.
var namesOnly = regexp.MustCompile(`^(08|25|28|3D|3F|40|42|53|54|55|57|58)`)

// Those of them that quote the text of the statement.
var quotesStatement = map[string]bool{"42601": true, "42602": true, "42622": true, "42703": true, "42883": true, "42P02": true}

// clean reduces what the server said to what may be shown: known sentences are read for their names and numbers.
func clean(pe *pgconn.PgError) *Error {
	e := &Error{Code: pe.Code}
	all := strings.Join(strings.Fields(pe.Message+" "+pe.Detail), " ") // the detail is a block of broken lines
	for _, m := range [][]string{detailCode.FindStringSubmatch(pe.Detail), plainCode.FindStringSubmatch(pe.Message)} {
		if m != nil && e.Number == "" {
			e.Number = m[1]
		}
	}
	switch {
	case tooLong.MatchString(all):
		e.misfit = true
		m := tooLong.FindStringSubmatch(all)
		e.Message = fmt.Sprintf("a text of column %s has %s bytes, the staging table takes %s", m[1], m[3], m[2])
	case unmatched.MatchString(all):
		e.misfit = true
		m := unmatched.FindStringSubmatch(all)
		e.Message = fmt.Sprintf("the file has %s columns, the staging table %s", m[2], m[1])
	case badLength.MatchString(all):
		e.misfit = true
		m := badLength.FindStringSubmatch(all)
		e.Message = fmt.Sprintf("a decimal of the file has %s bytes, Redshift wants %s", m[2], m[1])
	case badSchema.MatchString(all):
		e.misfit = true
		e.Message = "the file's type of column " + badSchema.FindStringSubmatch(all)[1] + " is not the staging table's"
	case s3Said.MatchString(all):
		m := s3Said.FindStringSubmatch(all)
		e.Message, e.passing = fmt.Sprintf("S3 answers with status %s (%s)", m[1], m[2]), m[1] >= "500" || m[2] == "SlowDown" || m[2] == "RequestTimeout"
	case notThere.MatchString(all): // with the code of a value that is too long
		e.absent = true
		e.Message = "S3 has nothing at " + notThere.FindStringSubmatch(all)[1]
	case oidOf.MatchString(all):
		e.Message = "serializable isolation violation on table " + oidOf.FindStringSubmatch(all)[1]
	case isConflict(pe):
		e.Message = "conflict with a concurrent transaction"
	case namesOnly.MatchString(pe.Code):
		e.Message = pe.Message
		if quotesStatement[pe.Code] {
			e.Message = quotedName.ReplaceAllString(pe.Message, `"..."`)
		}
	default:
		e.Message = numbers[e.Number]
	}
	return e
}

// numbers words the codes that a publish may meet and whose own text is withheld.
var numbers = map[string]string{
	"1204": "a value is too long for its column", "1213": "a value is missing in a column that is NOT NULL", "1216": "a row has more than 4 MB", "1224": "a SUPER value is not valid",
	"8001": "a value is too long for its type", "1058": "a number is out of the range of its column", "15001": "S3 or a file cannot be read", "15003": "the manifest is not as COPY wants it", "15007": "a file does not fit the staging table",
}

// isConflict reports whether the transaction has been undone because of another one: the same again may succeed. Redshift's
// SQLSTATE says nothing, its text does.
func isConflict(pe *pgconn.PgError) bool {
	all := pe.Message + "\n" + pe.Detail
	for _, text := range []string{"Serializable isolation violation", "conflict with concurrent transaction", "could not open relation with OID", "deadlock detected"} {
		if strings.Contains(all, text) {
			return true
		}
	}
	m := plainCode.FindStringSubmatch(pe.Message)
	return m != nil && (m[1] == "1023" || m[1] == "1018") || pe.Code == "40P01" || pe.Code == "40001"
}

// conflict finds such an error in a tree.
func conflict(err error) bool {
	var pe *pgconn.PgError
	var c *conflictError
	return errors.As(err, &c) || errors.As(err, &pe) && isConflict(pe)
}

// conflictError keeps that an error was a conflict after it has been cleaned.
type conflictError struct{ err *Error }

func (e *conflictError) Error() string { return e.err.Error() }

func (e *conflictError) Unwrap() error { return e.err }

// refusals are errors that stay until a person acts.
var refusals = map[string]struct{ what, hint string }{
	"42501": {"Redshift refuses access", "grant the user of the warehouse address what docs/warehouses/redshift.md lists"},
	"28000": {"Redshift does not accept the login", "check user and password of the warehouse address"},
	"28P01": {"Redshift does not accept the login", "check user and password of the warehouse address"},
	"3D000": {"the database does not exist", "CREATE DATABASE, or mend the warehouse address"},
	"2BP01": {"Redshift cannot change the table while something depends on it", "drop the view that depends on it and make it again afterwards, WITH NO SCHEMA BINDING"},
	"0A000": {"Redshift does not do that", "see the message"},
	"15001": {"COPY failed", "allow the role s3:GetObject and s3:ListBucket on the store's bucket, and kms:Decrypt on its key; the bucket has to be in the warehouse's region"},
	"15003": {"COPY refuses the manifest", "please report it with the manifest"},
	"15007": {"COPY refuses a file", "tidemill check --files shows what is wrong with it; please report it"},
	"8001":  {"a value does not fit its column", "cast it in the view to what its type holds"},
	"1058":  {"a number does not fit its column", "cast it in the view to what its type holds"},
	"1204":  {"a value does not fit its column", "cast it in the view to what its type holds"},
	"1213":  {"a row has NULL in a key column", "choose a key that is never NULL, or filter these rows in the view"},
	"1216":  {"a row is too large for Redshift", "publish fewer or shorter columns"},
	"1224":  {"a document does not fit a SUPER", "use json=varchar in the warehouse address, or text in the view"},
}

// classify cleans an error and marks what stays until a person acts.
func classify(err error) error {
	var refused *window.RefusedError
	var c *conflictError
	var copying *copyError // is explained when its transaction has been rolled back
	if err == nil || errors.As(err, &refused) || errors.As(err, &c) || errors.As(err, &copying) || errors.Is(err, window.ErrFenced) || errors.Is(err, window.ErrNoFence) {
		return err
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return classifyLogin(err)
	}
	e := clean(pe)
	if isConflict(pe) {
		return &conflictError{e}
	}
	if e.passing {
		return e
	}
	if strings.Contains(strings.ToLower(pe.Message), "json") && (pe.Code == "XX000" || strings.HasPrefix(pe.Code, "22")) {
		return &window.RefusedError{What: "Redshift cannot parse a document", Hint: "use json=varchar in the warehouse address, or mend the document in the view", Err: e}
	}
	if e.misfit {
		e.Number = "15007"
	}
	if e.absent {
		return &window.RefusedError{What: "COPY finds no file", Hint: "somebody has deleted it: a lifecycle rule must leave what is not published yet; then start tidemill again", Err: e}
	}
	for _, key := range []string{e.Number, e.Code} {
		if r, ok := refusals[key]; ok {
			return &window.RefusedError{What: r.what, Hint: r.hint, Err: e}
		}
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "22", "21", "23":
		return &window.RefusedError{What: "Redshift cannot hold a value of the table", Hint: "cast the column in the view to what its type holds", Err: e}
	case "42", "54":
		if e.Code != "42P01" && e.Code != "42703" && e.Code != "42701" && e.Code != "42P07" { // the catalogue changed under us
			return &window.RefusedError{What: "Redshift refuses the statement", Hint: "see the message", Err: e}
		}
	}
	return e
}

// classifyLogin knows the one login that PostgreSQL's drivers do not, and what an end of the connection means.
func classifyLogin(err error) error {
	if strings.Contains(err.Error(), "authentication") && regexp.MustCompile(`\b1[34]\b`).MatchString(err.Error()) {
		return &window.RefusedError{What: "Redshift asks for a login by SHA-256, which PostgreSQL's protocol does not have",
			Hint: "set the user's password with md5 or in clear text (ALTER USER name PASSWORD '...'), or use auth=cluster or auth=serverless"}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the server has ended the session (a restart, a resize, a session timeout; STL_CONNECTION_LOG or SYS_CONNECTION_LOG tells): %w", err)
	}
	return err
}
