package ledger

import (
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/window"
)

// MoveStanding returns the statements that note which tables stand still with p. A table that did not stand before is as of
// the window before p.
func MoveStanding(p *window.Publication) []Statement {
	var out []Statement
	args := []any{p.Pipeline}
	var others strings.Builder
	for _, s := range p.Stats.Stands {
		out = append(out, Statement{`UPDATE tidemill.tables SET stands_since = COALESCE(stands_since, CAST($2 AS TIMESTAMP WITH TIME ZONE)), stands_because = $3
 WHERE pipeline = $1 AND table_schema = $4 AND table_name = $5`, []any{p.Pipeline, p.Prev.End.UTC(), s.Why, s.Table.Schema, s.Table.Name}})
		fmt.Fprintf(&others, " AND NOT (table_schema = $%d AND table_name = $%d)", len(args)+1, len(args)+2)
		args = append(args, s.Table.Schema, s.Table.Name)
	}
	return append(out, Statement{`UPDATE tidemill.tables SET stands_since = NULL, stands_because = NULL
 WHERE pipeline = $1 AND stands_because IS NOT NULL` + others.String(), args})
}
