//go:build duckdb_arrow

package duck

import (
	"errors"
	"fmt"
	"io"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// Error is an error of DuckDB that might have quoted a row value: only its kind is kept (invariant 4).
type Error struct {
	Kind string // DuckDB's name of the kind, e.g. "Conversion Error"
}

func (e *Error) Error() string {
	return fmt.Sprintf("duckdb: %s (details withheld: they may quote row values)", e.Kind)
}

// quotes are the kinds of error whose text never quotes data: they speak of SQL text, of names, of files, of limits.
var harmless = map[duckdb.ErrorType]bool{
	duckdb.ErrorTypeParser: true, duckdb.ErrorTypeSyntax: true, duckdb.ErrorTypeBinder: true, duckdb.ErrorTypeCatalog: true,
	duckdb.ErrorTypePlanner: true, duckdb.ErrorTypeSettings: true, duckdb.ErrorTypeIO: true, duckdb.ErrorTypeTransaction: true,
	duckdb.ErrorTypeInterrupt: true, duckdb.ErrorTypeConnection: true, duckdb.ErrorTypeOutOfMemory: true,
	duckdb.ErrorTypePermission: true, duckdb.ErrorTypeNotImplemented: true, duckdb.ErrorTypeSerialization: true,
	duckdb.ErrorTypeFatal: true, duckdb.ErrorTypeInternal: true, duckdb.ErrorTypeMissingExtension: true,
	duckdb.ErrorTypeDependency: true,
}

// OutOfMemory reports whether a statement did not fit the memory limit, in spite of spilling.
func OutOfMemory(err error) bool {
	de, ok := errors.AsType[*duckdb.Error](err)
	return ok && de.Type == duckdb.ErrorTypeOutOfMemory
}

// redact keeps DuckDB's text for harmless kinds and only the kind for all others.
func redact(err error) error {
	var de *duckdb.Error
	if err == nil || errors.Is(err, io.EOF) || !errors.As(err, &de) {
		return err
	}
	if harmless[de.Type] {
		return err
	}
	kind, _, found := strings.Cut(de.Msg, ":")
	if !found || len(kind) > 40 {
		kind = fmt.Sprintf("error kind %d", de.Type)
	}
	return &Error{Kind: kind}
}
