//go:build duckdb_arrow

package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/internal/duck"
)

// node is one object of DuckDB's serialized syntax tree.
type node = map[string]any

func str(n node, field string) string {
	s, _ := n[field].(string)
	return s
}

func flag(n node, field string) bool {
	b, _ := n[field].(bool)
	return b
}

func child(n node, field string) node {
	c, _ := n[field].(node)
	return c
}

func list(n node, field string) []any {
	l, _ := n[field].([]any)
	return l
}

// names reads a list of strings.
func names(n node, field string) []string {
	var out []string
	for _, v := range list(n, field) {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

// clone copies a tree.
func clone(n node) node {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // it came from JSON
	}
	out, err := decode(b)
	if err != nil {
		panic(err)
	}
	return out
}

func decode(b []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // large integers and locations stay exact
	var n node
	err := d.Decode(&n)
	return n, err
}

// syntaxError is what DuckDB's parser says about a text.
type syntaxError struct {
	message string
	at      string
}

func (e *syntaxError) Error() string { return e.message }

// parse gives the tree of the statements of a text.
func parse(ctx context.Context, c *duck.Conn, sql string) ([]node, error) {
	text, err := duck.Scalar[string](ctx, c, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", sql)
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	root, err := decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	if flag(root, "error") {
		return nil, &syntaxError{message: str(root, "error_message"), at: str(root, "position")}
	}
	var out []node
	for _, s := range list(root, "statements") {
		out = append(out, s.(node))
	}
	return out, nil
}

// render gives the text of a statement.
func render(ctx context.Context, c *duck.Conn, statement node) (string, error) {
	b, err := json.Marshal(node{"error": false, "statements": []any{statement}})
	if err != nil {
		return "", fmt.Errorf("rendering: %w", err)
	}
	text, err := duck.Scalar[string](ctx, c, "SELECT json_deserialize_sql(?::JSON)", string(b))
	if err != nil {
		return "", fmt.Errorf("rendering: %w", err)
	}
	return text, nil
}

// renderExpr gives the text of one expression.
func renderExpr(ctx context.Context, c *duck.Conn, expr node) (string, error) {
	e := clone(expr)
	e["alias"] = ""
	statement := node{"named_param_map": []any{}, "node": node{
		"type": "SELECT_NODE", "modifiers": []any{}, "cte_map": node{"map": []any{}}, "select_list": []any{e},
		"from_table":   node{"type": "EMPTY", "alias": "", "sample": nil, "query_location": 0},
		"where_clause": nil, "group_expressions": []any{}, "group_sets": []any{}, "aggregate_handling": "STANDARD_HANDLING",
		"having": nil, "sample": nil, "qualify": nil,
	}}
	text, err := render(ctx, c, statement)
	return strings.TrimPrefix(text, "SELECT "), err
}

// columnRef makes a reference to a column of a relation.
func columnRef(alias, column string) node {
	return node{"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": []any{alias, column}}
}

// isRef reports whether an analysed expression is just that column.
func isRef(n node, alias, column string) bool {
	c := names(n, "column_names")
	return str(n, "class") == "COLUMN_REF" && len(c) == 2 && c[0] == alias && c[1] == column
}
