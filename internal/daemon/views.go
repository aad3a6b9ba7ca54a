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
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/window"
	"github.com/tidemill/tidemill/window/view"
)

// reference is a table as a view names it: source.table or source.schema.table.
type reference struct{ source, schema, table string }

// input is what the view reads: a table of this name, in any schema when none is named.
func (r reference) input(by string) input {
	return input{r.source, sources.Want{Schema: cmp.Or(r.schema, "*"), Table: r.table, AnyCase: true, By: by}}
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

// readBy is what the pipelines of a project read, by source, and what is wrong with the views whatever their
// tables hold.
func readBy(ctx context.Context, p *config.Project) (map[string][]sources.Want, config.Problems, error) {
	names := []string{}
	for _, s := range p.Sources {
		names = append(names, s.Name)
	}
	if p.SourcesUnread {
		names = nil
	}
	wants := map[string][]sources.Want{}
	var problems config.Problems
	for i := range p.Pipelines {
		pl := &p.Pipelines[i]
		for _, t := range pl.Tables {
			if in, ok := replicated(pl, t); ok {
				wants[in.source] = append(wants[in.source], in.Want)
			}
			if t.Query == "" {
				continue
			}
			refs, found, err := references(ctx, t)
			if err != nil {
				return nil, nil, err
			}
			if len(found) == 0 { // it is SQL
				if found, err = refusals(t, view.Check(ctx, view.Spec{Name: t.Name, SQL: t.Query, Key: t.Key}, names)); err != nil {
					return nil, nil, err
				}
			}
			problems = append(problems, found...)
			for _, r := range refs {
				wants[r.source] = append(wants[r.source], r.input(t.QueryFile).Want)
			}
		}
	}
	return wants, problems, nil
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
		found, err := refusals(t, err)
		if err != nil {
			return nil, nil, err
		}
		if len(found) > 0 {
			problems = append(problems, found...)
			continue
		}
		schema, name, _ := strings.Cut(t.Name, ".")
		out = append(out, window.JoinedView{Table: window.WarehouseTable{Schema: schema, Name: name}, View: v})
	}
	return out, problems, nil
}

// refusals are the problems of a refused view, at their places in its file; any other error is given back.
func refusals(t config.Table, err error) (config.Problems, error) {
	var refused *view.Error
	if !errors.As(err, &refused) {
		return nil, err
	}
	var out config.Problems
	for _, p := range refused.Problems {
		out = append(out, config.Problem{File: t.QueryFile, Line: p.Line, Column: p.Column, Message: refusalText(p)})
	}
	return out, nil
}

// refusalText is a view's problem without its line, which the place says.
func refusalText(p view.Problem) string {
	if p.Instead == "" {
		return p.What
	}
	return p.What + "; " + p.Instead
}
