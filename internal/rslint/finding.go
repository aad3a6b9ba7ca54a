package rslint

import "fmt"

// Rule is the id of a rule. Ids are stable: people cite them.
type Rule string

// Finding is one thing that Redshift does not run as it is written, or runs otherwise than it reads.
type Finding struct {
	Rule   Rule
	Line   int // from 1
	Col    int // in characters, from 1
	What   string
	Why    string
	Remedy string
	// Warning says that Redshift runs the statement: what it does may not be what was meant.
	Warning bool
}

func (f Finding) String() string {
	return fmt.Sprintf("%d:%d: %s", f.Line, f.Col, f.Text())
}

// Text is the finding without its place.
func (f Finding) Text() string {
	s := f.What
	if f.Why != "" {
		s += ": " + f.Why
	}
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	return s + " [" + string(f.Rule) + "]"
}
