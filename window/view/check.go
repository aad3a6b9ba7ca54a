//go:build duckdb_arrow

package view

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// Check finds what is wrong with a view whatever columns its tables have: an *Error lists all of it, any other error is not
// the view's. sources are the names that FROM may use; nil means that they are not known. A view that passes may still be
// refused by Compile, which knows the columns; what Check refuses, Compile refuses too.
func Check(ctx context.Context, spec Spec, sources []string) (err error) {
	db, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return fmt.Errorf("checking view %s: %w", spec.Name, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("checking view %s: %w", spec.Name, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	a := &analysis{sql: spec.SQL, key: spec.Key, open: true, sources: sources}
	if err := a.text(ctx, c); err != nil {
		return fmt.Errorf("checking view %s: %w", spec.Name, err)
	}
	if len(a.problems) > 0 {
		return &Error{View: spec.Name, Problems: a.problems}
	}
	return nil
}

// openTable stands for a table of which only the name is known.
func openTable(source, schema, table, written string) Table {
	return Table{Input: written, Source: source, Schema: &ingest.Schema{Table: ingest.TableName{Schema: schema, Name: table}}}
}

// openColumn keeps a column as it is written: whether its table has it is not known.
func (a *analysis) openColumn(n node, p place, rel []*relation, parts []string) node {
	column := parts[len(parts)-1]
	if len(parts) > 1 {
		return a.place(n, columnRef(rel[0].alias, column))
	}
	low := strings.ToLower(column)
	if _, given := a.aliases[low]; given && p.aliases {
		return n // or a column of that name: what it stands for is not judged
	}
	if reserved[low] && !a.quoted(n) {
		a.refuseFunction(n, low)
	}
	return n
}

// reserved are the names of the present time that are no column unless they are quoted.
var reserved = set(`current_date current_time current_timestamp localtime localtimestamp`)

func (a *analysis) quoted(n node) bool {
	at, ok := a.offset(n)
	return ok && at < len(a.sql) && a.sql[at] == '"'
}

// place gives a node that replaces another one its place in the text.
func (a *analysis) place(from, to node) node {
	to["query_location"] = from["query_location"]
	return to
}

// mayHold reports whether one of the expressions is a column of the relation, or may be. The columns of an open table are
// not known: any of them may be its whole key.
func (a *analysis) mayHold(exprs []any, r *relation) bool {
	for _, e := range exprs {
		if c := names(e.(node), "column_names"); len(c) == 1 || len(c) == 2 && c[0] == r.alias {
			return true
		}
	}
	return false
}

// calls refuses the functions of a tree whose names cannot be resolved: they are wrong wherever they stand.
func (a *analysis) calls(n any) {
	contains(n, func(n node) bool {
		name := strings.ToLower(str(n, "function_name"))
		switch class := str(n, "class"); {
		case class == "FUNCTION" && (clocks[name] || chances[name]):
			a.refuseFunction(n, name)
		case class == "COLUMN_REF":
			if c := names(n, "column_names"); len(c) == 1 && reserved[strings.ToLower(c[0])] && !a.quoted(n) {
				a.refuseFunction(n, strings.ToLower(c[0]))
			}
		}
		return false
	})
}
