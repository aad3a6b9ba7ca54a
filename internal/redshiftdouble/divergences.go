package redshiftdouble

import (
	_ "embed"
	"strings"
)

//go:embed README.md
var readme string

// Divergences is what the double does not do as Redshift does: the list in README.md.
func Divergences() string {
	const from = "## Known divergences\n"
	_, rest, _ := strings.Cut(readme, from)
	list, _, _ := strings.Cut(rest, "\n## ")
	return strings.TrimSpace(list) + "\n"
}
