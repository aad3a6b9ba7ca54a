package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/window"
)

// SelectFence reads the columns of Row. Argument: pipeline. lock also locks the row, where the dialect can.
func (d Dialect) SelectFence(lock bool) string {
	q := `SELECT window_start, window_end, slice, final, epoch, lineage, CAST(cut AS ` + d.text() + `), manifest, published_at
 FROM tidemill.fence WHERE pipeline = $1`
	if lock {
		q += d.Lock
	}
	return q
}

// InsertFence makes the row of a new pipeline. Arguments: pipeline, epoch, lineage.
func (d Dialect) InsertFence() string {
	return `INSERT INTO tidemill.fence (pipeline, slice, final, epoch, lineage, cut, manifest, manifest_key)
 VALUES ($1, 0, false, $2, $3, CAST('{}' AS ` + d.JSON + `), '', '')`
}

// TakeFence sets the owner. Arguments: pipeline, epoch.
const TakeFence = `UPDATE tidemill.fence SET epoch = $2 WHERE pipeline = $1 AND epoch <= $2`

// DeleteFence forgets where a pipeline stands: its next publish is a base. Argument: pipeline.
const DeleteFence = `DELETE FROM tidemill.fence WHERE pipeline = $1`

// MoveFence returns the statement that moves the fence to p and its arguments. It must change exactly one row.
func (d Dialect) MoveFence(p *window.Publication, at time.Time) (string, []any, error) {
	cut, err := text(p.Cut)
	if err != nil {
		return "", nil, err
	}
	return `UPDATE tidemill.fence SET window_start = $3, window_end = $4, slice = $5, final = $6, cut = CAST($7 AS ` + d.JSON + `),
 manifest = $8, manifest_key = $9, published_at = $10 WHERE pipeline = $1 AND epoch = $2`,
		[]any{p.Pipeline, p.Epoch, p.Step.Start.UTC(), p.Step.End.UTC(), int64(p.Step.Slice), p.Step.Final, cut, p.Hash, p.ManifestKey, at.UTC()}, nil
}

// Outcome is what a sink adds to the receipt.
type Outcome struct {
	Load    time.Duration // parts to staging
	Apply   time.Duration // staging to tables
	Bytes   int64         // that the warehouse read for it, where it reads parts by itself
	Changed int64         // values that the warehouse cannot hold and that were changed by its policy
}

type tableReceipt struct {
	Table   string `json:"table"`
	Upserts int64  `json:"upserts"`
	Deletes int64  `json:"deletes"`
	Parts   int    `json:"parts"`
	Bytes   int64  `json:"bytes"`
	Replace bool   `json:"replace,omitempty"`
}

// InsertReceipt returns the statement that appends the receipt of p and its arguments.
func (d Dialect) InsertReceipt(p *window.Publication, o Outcome, at time.Time) (string, []any, error) {
	tables := make([]tableReceipt, len(p.Manifest.Tables))
	for i, t := range p.Manifest.Tables {
		tables[i] = tableReceipt{Table: t.Table.String(), Upserts: t.Upserts, Deletes: t.Deletes, Parts: len(t.Parts), Replace: t.Replace}
		for _, part := range t.Parts {
			tables[i].Bytes += part.Bytes
		}
	}
	s := p.Stats
	parked := s.Parked
	if parked == nil {
		parked = map[string]string{}
	}
	durations := map[string]int64{
		"accumulate": s.Accum.Milliseconds(), "collapse": s.Collapse.Milliseconds(), "join": s.Join.Milliseconds(),
		"parquet": s.Parquet.Milliseconds(), "upload": s.Upload.Milliseconds(),
		"load": o.Load.Milliseconds(), "apply": o.Apply.Milliseconds(),
	}
	var docs [4]string
	for i, v := range []any{p.Cut, tables, parked, durations} {
		var err error
		if docs[i], err = text(v); err != nil {
			return "", nil, err
		}
	}
	var quarantined, resolved int64
	if b := p.Manifest.Quarantine; b != nil {
		quarantined, resolved = b.Upserts, b.Deletes
	}
	doc := func(n int) string { return fmt.Sprintf("CAST($%d AS %s)", n, d.JSON) }
	q := `INSERT INTO tidemill.receipts (pipeline, window_start, window_end, slice, final, epoch, lineage, cut, tables, rows_in, late,
 parked, changed_values, durations_ms, attempt, manifest, manifest_key, trace_id, committed_at, quarantined, resolved)
 VALUES ($1, $2, $3, $4, $5, $6, $7, ` + doc(8) + `, ` + doc(9) + `, $10, $11, ` + doc(12) + `, $13, ` + doc(14) + `, $15, $16, $17, $18, $19, $20, $21)`
	return q, []any{p.Pipeline, p.Step.Start.UTC(), p.Step.End.UTC(), int64(p.Step.Slice), p.Step.Final, p.Epoch, p.Lineage, docs[0], docs[1],
		s.RowsIn, s.Late, docs[2], s.Changed + o.Changed, docs[3], p.Manifest.Attempt, p.Hash, p.ManifestKey, s.TraceID, at.UTC(), quarantined, resolved}, nil
}

// SelectOwner reads which pipeline publishes a table. Arguments: schema, name.
const SelectOwner = `SELECT pipeline FROM tidemill.tables WHERE table_schema = $1 AND table_name = $2`

// CheckOwner refuses a table that another pipeline publishes (invariant 3).
func CheckOwner(t window.WarehouseTable, owner, pipeline string) error {
	if owner == pipeline {
		return nil
	}
	return &window.RefusedError{
		What: fmt.Sprintf("the table %s is published by pipeline %s", t, owner),
		Hint: fmt.Sprintf("publish it under another name, or, if %s is gone for good: DELETE FROM tidemill.tables WHERE pipeline = '%s'", owner, owner),
	}
}

// SelectTable reads which pipeline publishes a table, and its key as JSON. Arguments: schema, name.
func (d Dialect) SelectTable() string {
	return `SELECT pipeline, CAST(key_columns AS ` + d.text() + `) FROM tidemill.tables WHERE table_schema = $1 AND table_name = $2`
}

// DeleteTable forgets who publishes a table; InsertTable follows. Arguments: schema, name.
const DeleteTable = `DELETE FROM tidemill.tables WHERE table_schema = $1 AND table_name = $2`

// InsertTable returns the statement that records who publishes a table, and its arguments.
func (d Dialect) InsertTable(p *window.Publication, t *window.TableLoad) (string, []any, error) {
	key, err := text(t.Key)
	if err != nil {
		return "", nil, err
	}
	return `INSERT INTO tidemill.tables (table_schema, table_name, pipeline, key_columns, changed_window_end)
 VALUES ($1, $2, $3, CAST($4 AS ` + d.JSON + `), $5)`, []any{t.Table.Schema, t.Table.Name, p.Pipeline, key, p.Step.End.UTC()}, nil
}

func text(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("writing the ledger: %w", err)
	}
	return string(b), nil
}
