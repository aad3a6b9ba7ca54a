package ledger

import "strings"

// Schema is the schema of the warehouse that holds the ledger.
const Schema = "tidemill"

// Dialect is where the warehouses' SQL differs.
type Dialect struct {
	JSON        string // type of JSON columns
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
	fill := strings.NewReplacer("{json}", d.JSON, "{schema}", Schema,
		"{key:fence}", key("pipeline"),
		"{key:receipts}", key("pipeline, lineage, window_start, slice"),
		"{key:tables}", key("table_schema, table_name")).Replace
	return []string{fill(createFence), fill(createReceipts), fill(createTables), fill(createQuarantine), fill(createFreshness)}
}

// Relations are the names that Create makes, to ask whether it is needed.
var Relations = []string{"fence", "receipts", "tables", "quarantine", "freshness"}

// window_start to published_at are NULL until the first publish; final is false then.
const createFence = `CREATE TABLE IF NOT EXISTS {schema}.fence (
 pipeline TEXT NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE,
 window_end TIMESTAMP WITH TIME ZONE,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage TEXT NOT NULL,
 cut {json} NOT NULL,
 manifest TEXT NOT NULL,
 manifest_key TEXT NOT NULL,
 published_at TIMESTAMP WITH TIME ZONE{key:fence})`

const createReceipts = `CREATE TABLE IF NOT EXISTS {schema}.receipts (
 pipeline TEXT NOT NULL,
 window_start TIMESTAMP WITH TIME ZONE NOT NULL,
 window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 slice INTEGER NOT NULL,
 final BOOLEAN NOT NULL,
 epoch BIGINT NOT NULL,
 lineage TEXT NOT NULL,
 cut {json} NOT NULL,
 tables {json} NOT NULL,
 rows_in BIGINT NOT NULL,
 late BIGINT NOT NULL,
 parked {json} NOT NULL,
 changed_values BIGINT NOT NULL,
 quarantined BIGINT NOT NULL,
 resolved BIGINT NOT NULL,
 durations_ms {json} NOT NULL,
 attempt TEXT NOT NULL,
 manifest TEXT NOT NULL,
 manifest_key TEXT NOT NULL,
 trace_id TEXT NOT NULL,
 committed_at TIMESTAMP WITH TIME ZONE NOT NULL{key:receipts})`

const createTables = `CREATE TABLE IF NOT EXISTS {schema}.tables (
 table_schema TEXT NOT NULL,
 table_name TEXT NOT NULL,
 pipeline TEXT NOT NULL,
 key_columns {json} NOT NULL,
 changed_window_end TIMESTAMP WITH TIME ZONE NOT NULL,
 stands_since TIMESTAMP WITH TIME ZONE,
 stands_because TEXT{key:tables})`

// The quarantine has no key: a row's own may be too long for one. A row is in quarantine while resolved_at is NULL, in one
// entry at a time. An entry is never deleted.
const createQuarantine = `CREATE TABLE IF NOT EXISTS {schema}.quarantine (
 pipeline TEXT NOT NULL,
 table_schema TEXT NOT NULL,
 table_name TEXT NOT NULL,
 row_key TEXT NOT NULL,
 column_name TEXT NOT NULL,
 fault TEXT NOT NULL,
 row_image TEXT NOT NULL,
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
  CAST(EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP - COALESCE(t.stands_since, f.window_end))) AS BIGINT) AS seconds_behind, t.stands_because
 FROM {schema}.fence f JOIN {schema}.tables t ON t.pipeline = f.pipeline`
