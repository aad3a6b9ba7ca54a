//go:build duckdb_arrow

package view

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// Problem is one reason why a view is refused.
type Problem struct {
	Line    int // in the SQL text, from 1; 0 when it has no place
	Column  int // in bytes, from 1
	What    string
	Instead string // what to write instead
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	b.WriteString(p.What)
	if p.Instead != "" {
		b.WriteString("; " + p.Instead)
	}
	return b.String()
}

// Error refuses a view (invariant 4).
type Error struct {
	View     string
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("view %s: %s", e.View, p)
	}
	return strings.Join(lines, "\n")
}

// nearest is ` (did you mean "x"?)` for the closest of the names, or nothing when none is close.
func nearest(name string, names []string) string {
	best, least := "", min(3, 1+len(name)/2) // a short name is near everything
	for _, n := range names {
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(n), nil); d > 0 && d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}
