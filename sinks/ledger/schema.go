package ledger

import "strings"

// Schema is the schema of the warehouse that holds the ledger.
const Schema = "tidemill"

// Dialect is where the warehouses' SQL differs.
type Dialect struct {
	JSON        string // type of JSON columns
	Text        string // type of a text of any length; empty is TEXT
	Behind      string // seconds since a time, which stands for {}; empty is standard SQL
	Constraints bool   // declare primary keys
	Lock        string // suffix of a SELECT that locks its rows until the transaction ends
}

// Create returns the statements that make the ledger's relations where they are missing, in a schema that is there.
func (d Dialect) Create() []string {
	key := func(columns string) string {
		if !d.Constraints {
			return ""
		}
		return ",\n PRIMARY KEY (" + columns + ")"
	}
	behind := d.Behind
	if behind == "" {
		behind = "CAST(EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP - {})) AS BIGINT)"
	}
	fill := strings.NewReplacer("{json}", d.JSON, "{text}", d.text(), "{schema}", Schema,
		"{behind}", strings.ReplaceAll(behind, "{}", "COALESCE(t.stands_since, f.window_end)"),
		"{key:fence}", key("pipeline"),
		"{key:receipts}", key("pipeline, lineage, window_start, slice"),
		"{key:tables}", key("table_schema, table_name")).Replace
	return []string{fill(createFence), fill(createReceipts), fill(createTables), fill(createQuarantine), fill(createFreshness)}
}

func (d Dialect) text() string {
	if d.Text == "" {
		return "TEXT"
	}
	return d.Text
}

// Relations are the names that Create makes, to ask whether it is needed.
var Relations = []string{"fence", "receipts", "tables", "quarantine", "freshness"}

// window_start to published_at are NULL until the first publish; final is false then.
const createFence = `CREATE TABLE IF NOT EXISTS {schema}.fence (
 pipeline {text} NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE,
 window_end TIMESTAMP WITH TIME ZONE,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage {text} NOT NULL,
 cut {json} NOT NULL,
 manifest {text} NOT NULL,
 manifest_key {text} NOT NULL,
 published_at TIMESTAMP WITH TIME ZONE{key:fence})`

const createReceipts = `CREATE TABLE IF NOT EXISTS {schema}.receipts (
 pipeline {text} NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE NOT NULL,
 window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage {text} NOT NULL,
 cut {json} NOT NULL,
 tables {json} NOT NULL,
 rows_in BIGINT NOT NULL,
 late BIGINT NOT NULL,
 parked {json} NOT NULL,
 changed_values BIGINT NOT NULL,
 quarantined BIGINT NOT NULL,
 resolved BIGINT NOT NULL,
 durations_ms {json} NOT NULL,
 attempt {text} NOT NULL,
 manifest {text} NOT NULL,
 manifest_key {text} NOT NULL,
 trace_id {text} NOT NULL,
 committed_at TIMESTAMP WITH TIME ZONE NOT NULL{key:receipts})`

const createTables = `CREATE TABLE IF NOT EXISTS {schema}.tables (
 table_schema {text} NOT NULL,
 table_name {text} NOT NULL,
 pipeline {text} NOT NULL,
 key_columns {json} NOT NULL,
 changed_window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 stands_since TIMESTAMP WITH TIME ZONE,
 stands_because {text}{key:tables})`

// The quarantine has no key: a row's own may be too long for one. A row is in quarantine while resolved_at is NULL, in one
// entry at a time. An entry is never deleted.
const createQuarantine = `CREATE TABLE IF NOT EXISTS {schema}.quarantine (
 pipeline {text} NOT NULL,
 table_schema {text} NOT NULL,
 table_name {text} NOT NULL,
 row_key {text} NOT NULL,
 column_name {text} NOT NULL,
 fault {text} NOT NULL,
 row_image {text} NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE NOT NULL,
 window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 slice INTEGER NOT NULL,
 quarantined_at TIMESTAMP WITH TIME ZONE NOT NULL,
 resolved_window_end TIMESTAMP WITH TIME ZONE,
 resolved_at TIMESTAMP WITH TIME ZONE)`

// A pipeline's tables move together, so the fence tells the age of each but those that stand still: they are as of the end
// of the last window that they moved with. Behind is measured from the window's end.
const createFreshness = `CREATE OR REPLACE VIEW {schema}.freshness AS
 SELECT f.pipeline, t.table_schema, t.table_name, COALESCE(t.stands_since, f.window_end) AS window_end, f.final, f.published_at, t.changed_window_end,
  {behind} AS seconds_behind, t.stands_because
 FROM {schema}.fence f JOIN {schema}.tables t ON t.pipeline = f.pipeline`
