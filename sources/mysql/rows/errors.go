package rows

import (
	"fmt"

	"github.com/tidemill/tidemill/ingest"
)

// UnsupportedError is a table or column that cannot be carried. The table must be parked or left out.
type UnsupportedError struct {
	Table  ingest.TableName
	Column string // empty: the table as a whole
	Type   string // what is unsupported, in the source's words
	Hint   string // the statement that mends it, or advice where no statement does
}

func (e *UnsupportedError) Error() string {
	what := "table " + e.Table.String()
	if e.Column != "" {
		what = "column " + e.Table.String() + "." + e.Column
	}
	return fmt.Sprintf("%s cannot be replicated: %s; remedy: %s", what, e.Type, e.Hint)
}

// MetadataError is a table map that does not describe its columns: the server, or one session, does not log the full
// row metadata. The rows cannot be decoded safely.
type MetadataError struct {
	Table   ingest.TableName
	Missing string
}

// Hint is the statement that mends it for the events to come.
func (e *MetadataError) Hint() string { return "SET GLOBAL binlog_row_metadata = FULL" }

func (e *MetadataError) Error() string {
	return fmt.Sprintf("table map of %s has no %s; remedy: %s, then resync the table", e.Table, e.Missing, e.Hint())
}

// ImageError is a rows event without full row images: changes of the table have been lost (invariant 7), so that the
// caller parks the table until it is read anew.
type ImageError struct {
	Table   ingest.TableName
	Partial bool // partial JSON updates rather than a minimal or noblob image
}

// Hint is the statement that mends it for the events to come.
func (e *ImageError) Hint() string {
	if e.Partial {
		return "SET GLOBAL binlog_row_value_options = ''"
	}
	return "SET GLOBAL binlog_row_image = FULL"
}

func (e *ImageError) Error() string {
	what := "leaves out columns"
	if e.Partial {
		what = "holds partial JSON"
	}
	return fmt.Sprintf("a row image of %s %s; remedy: %s (sessions may override it), then resync the table", e.Table, what, e.Hint())
}

// ValueError is one value that cannot be decoded. It never holds the value (invariant 5).
type ValueError struct {
	Table  ingest.TableName
	Column string
	Type   string
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("decoding %s.%s (%s): %s", e.Table, e.Column, e.Type, e.Reason)
}

// MalformedError is an event or packet whose structure does not fit its table map: truncated, or of another table.
type MalformedError struct {
	Table  ingest.TableName
	Reason string
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("decoding rows of %s: %s", e.Table, e.Reason)
}
