package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window"
	"github.com/tidemill/tidemill/window/view"
)

// reference is a table as a view names it: source.table or source.schema.table.
type reference struct{ source, schema, table string }

func (r reference) matches(source string, t ingest.TableName) bool {
	return r.source == source && strings.EqualFold(r.table, t.Name) && (r.schema == "" || strings.EqualFold(r.schema, t.Schema))
}

// wrongSource says what is wrong with the source that a view names.
func (r reference) wrongSource(sources []string) string {
	switch {
	case slices.Contains(sources, r.source):
		return ""
	case r.source == "":
		return fmt.Sprintf("table %s names no source: write source.%s", r.table, r.table)
	}
	return fmt.Sprintf("table %s.%s: there is no source %q%s", r.source, r.table, r.source, config.DidYouMean(r.source, sources))
}

// references lists the tables that a view's SQL names. What is wrong with the text is a problem of its file; the rest is for
// view.Compile, which needs the tables.
func references(ctx context.Context, t config.Table) ([]reference, config.Problems, error) {
	text, err := syntaxTree(ctx, t.Query)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing %s: %w", t.QueryFile, err)
	}
	var tree struct {
		Error    bool   `json:"error"`
		Message  string `json:"error_message"`
		Position string `json:"position"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return nil, nil, fmt.Errorf("parsing %s: %w", t.QueryFile, err)
	}
	if tree.Error {
		p := config.Problem{File: t.QueryFile, Message: tree.Message + "; write one SELECT in DuckDB's dialect"}
		if at, err := strconv.Atoi(tree.Position); err == nil && at <= len(t.Query) {
			p.Line, p.Column = 1+strings.Count(t.Query[:at], "\n"), at-strings.LastIndexByte(t.Query[:at], '\n')
		}
		return nil, config.Problems{p}, nil
	}
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return nil, nil, fmt.Errorf("parsing %s: %w", t.QueryFile, err)
	}
	var out []reference
	baseTables(root, &out)
	slices.SortFunc(out, func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.schema, b.schema), cmp.Compare(a.table, b.table))
	})
	return out, nil, nil
}

func syntaxTree(ctx context.Context, sql string) (text string, err error) {
	db, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return duck.Scalar[string](ctx, c, "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR", sql)
}

// baseTables collects the tables of a syntax tree.
func baseTables(n any, out *[]reference) {
	switch n := n.(type) {
	case []any:
		for _, x := range n {
			baseTables(x, out)
		}
	case map[string]any:
		if n["type"] == "BASE_TABLE" {
			catalog, schema, table := text(n, "catalog_name"), text(n, "schema_name"), text(n, "table_name")
			r := reference{source: schema, table: table}
			if catalog != "" {
				r = reference{catalog, schema, table}
			}
			if !slices.Contains(*out, r) {
				*out = append(*out, r)
			}
		}
		for _, x := range n {
			baseTables(x, out)
		}
	}
}

func text(n map[string]any, key string) string {
	s, _ := n[key].(string)
	return s
}

// checkViews reports what is wrong with the views of a project without knowing its tables: syntax and sources.
func checkViews(ctx context.Context, p *config.Project) (config.Problems, error) {
	var sources []string
	for _, s := range p.Sources {
		sources = append(sources, s.Name)
	}
	var problems config.Problems
	for _, pl := range p.Pipelines {
		for _, t := range pl.Tables {
			if t.Query == "" {
				continue
			}
			refs, found, err := references(ctx, t)
			if err != nil {
				return nil, err
			}
			problems = append(problems, found...)
			for _, r := range refs {
				if wrong := r.wrongSource(sources); wrong != "" {
					problems = append(problems, config.Problem{File: t.QueryFile, Message: wrong})
				}
			}
		}
	}
	return problems, nil
}

// joined compiles the views of a pipeline against the tables that its sources have.
func joined(ctx context.Context, pl *config.Pipeline, registries map[string]*ingest.Registry, wants func(string, ingest.TableName) bool) ([]window.JoinedView, config.Problems, error) {
	var known []view.Table
	for source, r := range registries {
		for _, t := range tables(r) {
			if wants(source, t.Schema.Table) {
				known = append(known, view.Table{Input: t.Topic, Source: source, Schema: &t.Schema})
			}
		}
	}
	var out []window.JoinedView
	var problems config.Problems
	for _, t := range pl.Tables {
		if t.IsReplica() {
			continue
		}
		v, err := view.Compile(ctx, view.Spec{Name: t.Name, SQL: t.Query, Key: t.Key}, known)
		var refused *view.Error
		if errors.As(err, &refused) {
			for _, p := range refused.Problems {
				problems = append(problems, config.Problem{File: t.QueryFile, Line: p.Line, Column: min(p.Line, 1), Message: refusalText(p)})
			}
			continue
		} else if err != nil {
			return nil, nil, err
		}
		schema, name, _ := strings.Cut(t.Name, ".")
		out = append(out, window.JoinedView{Table: window.WarehouseTable{Schema: schema, Name: name}, View: v})
	}
	return out, problems, nil
}

// refusalText is a view's problem without its line, which the place says.
func refusalText(p view.Problem) string {
	if p.Instead == "" {
		return p.What
	}
	return p.What + "; " + p.Instead
}
