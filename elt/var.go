package elt

import (
	"fmt"
	"regexp"
	"strings"
)

// Var is a constant of a job's SQL, typed by how it is written: 10 and 1.5 are numbers, true a boolean, 2026-01-31 a date,
// everything else and everything quoted is text.
type Var struct {
	kind varKind
	text string
}

type varKind int

const (
	varText varKind = iota
	varNumber
	varBool
	varDate
)

var (
	numberPattern = regexp.MustCompile(`^-?(0|[1-9]\d{0,37})(\.\d{1,38})?$`)
	datePattern   = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$`)
)

// UnmarshalLiteral types the value. A reference to a secret is refused: SQL is shown to people.
func (v *Var) UnmarshalLiteral(text string, quoted bool) error {
	switch {
	case strings.Contains(text, "${"):
		return fmt.Errorf("must not refer to the environment or to a file: SQL is shown in the console and may hold no secret")
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("must not hold U+0000")
	}
	*v = Var{varText, text}
	switch {
	case quoted:
	case numberPattern.MatchString(text):
		v.kind = varNumber
	case text == "true" || text == "false":
		v.kind = varBool
	case datePattern.MatchString(text):
		v.kind = varDate
	}
	return nil
}

// MarshalText is the value.
func (v Var) MarshalText() ([]byte, error) { return []byte(v.text), nil }

// Literal is the value in SQL.
func (v Var) Literal() string {
	switch v.kind {
	case varNumber:
		return v.text
	case varBool:
		return strings.ToUpper(v.text)
	case varDate:
		return "DATE '" + v.text + "'"
	}
	return quoteText(v.text)
}

// quoteText writes a text constant. A backslash is doubled nowhere: all warehouses read standard strings.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// quoteIdent writes a name.
func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteTable writes schema.table.
func quoteTable(s string) string {
	schema, name, _ := strings.Cut(s, ".")
	return quoteIdent(schema) + "." + quoteIdent(name)
}

func quoteIdents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quoteIdent(n)
	}
	return strings.Join(out, ", ")
}
