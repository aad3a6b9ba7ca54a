package ledger

import "github.com/tidemill/tidemill/ingest"

// Rebuild is what an operator runs when a publish cannot make a table fit: the publish that was refused makes the table new,
// and loading its inputs anew brings the rows that the refused publish does not hold. table is quoted.
func Rebuild(table, pipeline string) string {
	return "DROP TABLE " + table + "; then: " + ingest.ResyncCommand(pipeline)
}
