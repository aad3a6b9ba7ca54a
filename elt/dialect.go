package elt

import (
	"fmt"
	"slices"
	"strings"
)

// Dialect is where the warehouses' SQL differs for jobs.
type Dialect struct {
	Name string // of the warehouse, in errors
	JSON string // type of JSON columns
	Text string // type of texts of any length; empty for TEXT
	// Schemas is the query of a schema by its name, $1; empty for the information schema.
	Schemas string
	// Constraints says that unique indexes are enforced: the warehouse itself is the last arbiter (invariant 4). Where they are
	// not, one transaction of Write at a time is what the adapter promises, and the transaction asks before it writes.
	Constraints bool
	// Hold is the suffix of a SELECT that keeps its rows from being changed until the transaction ends.
	Hold string
	// Now is the warehouse's clock.
	Now string
	// MatchFunction is the function that searches a pattern in a text; empty for the operator ~.
	MatchFunction string
	// Via lists the ways of a result into its table, the first is the default.
	Via []string
}

// noWay says that a warehouse lacks a way of rows; empty when it has it.
func (d Dialect) noWay(via string) (what, remedy string) {
	if slices.Contains(d.Via, via) {
		return "", ""
	}
	return fmt.Sprintf("%s has no way of rows called %s", d.Name, via), "write output.via: " + strings.Join(d.Via, " or ")
}

// text is the type of texts.
func (d Dialect) text() string {
	if d.Text == "" {
		return "TEXT"
	}
	return d.Text
}

// Matches is the condition that a column holds a match of a pattern.
func (d Dialect) Matches(column, pattern string) string {
	if d.MatchFunction != "" {
		return d.MatchFunction + "(" + column + ", " + quoteText(pattern) + ")"
	}
	return "(" + column + " ~ " + quoteText(pattern) + ")"
}
