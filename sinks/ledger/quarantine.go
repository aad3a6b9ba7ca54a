package ledger

import (
	"time"

	"github.com/tidemill/tidemill/window"
)

// SelectQuarantined lists what is in quarantine: schema, table, key. Argument: pipeline.
const SelectQuarantined = `SELECT table_schema, table_name, row_key FROM tidemill.quarantine WHERE pipeline = $1 AND resolved_at IS NULL`

// Statement is one with its arguments.
type Statement struct {
	SQL  string
	Args []any
}

// MoveQuarantine returns the statements that bring the quarantine to where p is, in order. staged is the table that holds
// the parts of its manifest's quarantine; it is not read when there are none. An entry ends when its table is replaced or
// when the publish says anything new of its row; a row that is bad again has an entry again (invariant 5).
func (d Dialect) MoveQuarantine(p *window.Publication, staged string, at time.Time) []Statement {
	const end = `UPDATE tidemill.quarantine SET resolved_window_end = $2, resolved_at = $3 WHERE pipeline = $1 AND resolved_at IS NULL`
	var out []Statement
	for _, t := range p.Manifest.Tables {
		if t.Replace {
			out = append(out, Statement{end + ` AND table_schema = $4 AND table_name = $5`, []any{p.Pipeline, p.Step.End.UTC(), at.UTC(), t.Table.Schema, t.Table.Name}})
		}
	}
	if p.Manifest.Quarantine == nil {
		return out
	}
	return append(out,
		Statement{end + ` AND (table_schema, table_name, row_key) IN (SELECT table_schema, table_name, row_key FROM ` + staged + `)`,
			[]any{p.Pipeline, p.Step.End.UTC(), at.UTC()}},
		Statement{`INSERT INTO tidemill.quarantine (pipeline, table_schema, table_name, row_key, column_name, fault, row_image, window_start, window_end, slice, quarantined_at)
 SELECT CAST($1 AS ` + d.text() + `), table_schema, table_name, row_key, column_name, fault, row_image,
  CAST($2 AS TIMESTAMP WITH TIME ZONE), CAST($3 AS TIMESTAMP WITH TIME ZONE), CAST($4 AS INTEGER), CAST($5 AS TIMESTAMP WITH TIME ZONE)
 FROM ` + staged + ` WHERE _op = 1`,
			[]any{p.Pipeline, p.Step.Start.UTC(), p.Step.End.UTC(), int64(p.Step.Slice), at.UTC()}})
}
