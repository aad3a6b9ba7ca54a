package redshift

import (
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/window"
)

// Trace has every statement of the sink's connections seen.
func (s *Sink) Trace(t pgx.QueryTracer) { s.config.ConnConfig.Tracer = t }

// Templates are all statements that the sink can send, for a load with everything in it, by the name of their golden file.
func Templates(t *window.TableLoad, longest map[string]int) (map[string][]string, error) {
	o := options{role: "arn:aws:iam::123456789012:role/load", distStyle: "auto", sortKey: "auto", queryGroup: `it's \ here`, statementTimeout: 3600e9}
	keyed := options{super: true, distStyle: "key", sortKey: "key"}
	narrow := &shape{owner: "care", key: t.Key, columns: []column{}}
	for _, c := range t.Columns[:len(t.Columns)-1] { // the last is missing
		h := column{name: fold(c.Name), typ: wantType(c.Type, 1, false), notNull: c.Name == t.Key[0] || c.Name == "tag"}
		if h.typ.name == "bigint" {
			h.typ.name = "smallint"
		}
		narrow.columns = append(narrow.columns, h)
	}
	created, err := (&shape{}).plan(t, longest, o, "care")
	if err != nil {
		return nil, err
	}
	bySuper, err := (&shape{}).plan(t, longest, keyed, "care")
	if err != nil {
		return nil, err
	}
	laid := o
	laid.layout = func(window.WarehouseTable) window.Layout {
		return window.Layout{Dist: "Code", Sort: []string{"day", "ID"}}
	}
	arranged, err := (&shape{}).plan(t, longest, laid, "care")
	if err != nil {
		return nil, err
	}
	altered, err := narrow.plan(t, longest, o, "care")
	if err != nil {
		return nil, err
	}
	have := map[string]colType{}
	for _, c := range t.Columns {
		have[fold(c.Name)] = wantType(c.Type, 1, true)
	}
	stage := "tidemill_stage"
	return map[string][]string{
		"session": append(o.settings(), caseSQL),
		"ledger":  append(ledgerSQL(), lockSQL),
		"stage": {stageSQL(stage, t, longest), copySQL(stage, `s3://lake/pre'fix\care/copy-00.json`, o.role), copySQL(stage, "s3://lake/care/copy-00.json", "default"), countSQL,
			countsSQL(stage, t), repeatsSQL(stage, t), dropSQL(ident(stage)), whySQL},
		"table": {kindSQL, shapeSQL, schemaSQL(t.Table.Schema), created.alter[0], bySuper.alter[0], arranged.alter[0], filledSQL(t.Table)},
		"alter": altered.alter,
		"widen": altered.widen,
		"merge": {deleteSQL(stage, t), insertSQL(stage, t, nil), insertSQL(stage, t, bySuper.supers), clearSQL(t.Table)},
		"read":  {readSQL(t.Table, t.Columns, have), readSQL(t.Table, t.Columns, nil)},
	}, nil
}

// LedgerTemplates are the ledger's statements in Redshift's SQL.
func LedgerTemplates(p *window.Publication) ([]string, error) { return ledgerTemplates(p) }
