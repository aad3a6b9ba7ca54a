package elt

// Dialect is where the warehouses' SQL differs for jobs.
type Dialect struct {
	JSON string // type of JSON columns
	// Constraints says that PRIMARY KEY and UNIQUE are enforced: the warehouse itself is the last arbiter (invariant 4). Where
	// they are not, one publish at a time of a table is what its adapter promises, and the transaction asks before it writes.
	Constraints bool
	// MatchFunction is the function that searches a pattern in a text; empty for the operator ~.
	MatchFunction string
	// Temporary is put before the name of a table of the session.
	Temporary string
}

// Matches is the condition that a column holds a match of a pattern.
func (d Dialect) Matches(column, pattern string) string {
	if d.MatchFunction != "" {
		return d.MatchFunction + "(" + column + ", " + quoteText(pattern) + ")"
	}
	return "(" + column + " ~ " + quoteText(pattern) + ")"
}
