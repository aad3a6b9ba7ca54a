package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window"
)

// errNotSelect is the refusal of anything that is not one statement that only reads.
var errNotSelect = &window.RefusedError{What: "only one SELECT (or EXPLAIN, DESCRIBE, SHOW, SUMMARIZE) is answered", Hint: "remove other statements"}

// tableFunctions are the functions that a query may call in FROM. What is not listed is refused, because DuckDB has some
// that read files, some that change the whole process (enable_logging), and even some that abort it; versions add more.
var tableFunctions = map[string]bool{
	"generate_series": true, "range": true, "unnest": true, "repeat": true, "repeat_row": true, "summary": true,
	"json_each": true, "json_tree": true, "histogram": true, "histogram_values": true,
	"duckdb_columns": true, "duckdb_constraints": true, "duckdb_databases": true, "duckdb_functions": true, "duckdb_indexes": true,
	"duckdb_keywords": true, "duckdb_memory": true, "duckdb_schemas": true, "duckdb_sequences": true, "duckdb_settings": true,
	"duckdb_tables": true, "duckdb_temporary_files": true, "duckdb_types": true, "duckdb_views": true,
	"pragma_database_size": true, "pragma_show": true, "pragma_storage_info": true, "pragma_table_info": true, "pragma_version": true,
}

// explain is a statement about another one. EXPLAIN ANALYZE runs it, so it must be a SELECT all the same.
var explain = regexp.MustCompile(`(?is)^\s*EXPLAIN(?:\s+ANALYZE)?\s+(.*)$`)

// wantSelect refuses what is not one SELECT. DuckDB's own parser decides: json_serialize_sql takes SELECT statements (and
// DESCRIBE, SHOW and SUMMARIZE, which are SELECTs to it) and nothing else, and does not run them.
func wantSelect(ctx context.Context, c *duck.Conn, sql string) error {
	rest := sql
	if m := explain.FindStringSubmatch(sql); m != nil {
		rest = m[1]
	}
	text, err := duck.Scalar[string](ctx, c, "SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR)) AS VARCHAR)", rest)
	if err != nil {
		return err
	}
	var tree struct {
		Error      bool   `json:"error"`
		ErrorType  string `json:"error_type"`
		Position   string `json:"position"`
		Statements []any  `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return errors.New("reading the parsed query: it is not JSON")
	}
	if tree.Error && tree.ErrorType == "parser" {
		at, _ := strconv.Atoi(tree.Position) // absent for some errors: then the beginning
		return &window.RefusedError{What: "the query has a syntax error", Hint: fmt.Sprintf("look at character %d", at+1+len(sql)-len(rest))}
	}
	if tree.Error || len(tree.Statements) != 1 {
		return errNotSelect
	}
	if name := forbidden(tree.Statements[0]); name != "" {
		return &window.RefusedError{What: "the function " + name + " cannot be used in FROM here", Hint: "query tables; files are read with DuckDB's own shell"}
	}
	return nil
}

// forbidden searches a parsed statement for a table function that is not listed.
func forbidden(node any) string {
	switch n := node.(type) {
	case map[string]any:
		if n["type"] == "TABLE_FUNCTION" {
			f, _ := n["function"].(map[string]any)
			if name, ok := f["function_name"].(string); !ok || !tableFunctions[strings.ToLower(name)] {
				return strconv.Quote(name)
			}
		}
		for _, v := range n {
			if name := forbidden(v); name != "" {
				return name
			}
		}
	case []any:
		for _, v := range n {
			if name := forbidden(v); name != "" {
				return name
			}
		}
	}
	return ""
}

// withhold removes from an error what quotes the query's own text, since that may hold a value (invariant 5): the lines
// after the first, which show where, and texts in quotes.
func withhold(err error) error {
	var de *driver.Error
	if !errors.As(err, &de) {
		return err
	}
	text, _, _ := strings.Cut(de.Msg, "\n")
	text = quoted.ReplaceAllString(text, `"..."`)
	return &driver.Error{Type: de.Type, Msg: text}
}

var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)
