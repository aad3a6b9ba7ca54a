package daemon

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// Fixture is a test of a job: rows that it reads, and rows that it must give.
type Fixture struct {
	Job      string            `yaml:"job"`
	Interval string            `yaml:"interval"`
	Given    map[string]string `yaml:"given"`
	Expect   string            `yaml:"expect"`
	Fails    []string          `yaml:"fails"`
}

// FixtureResult is what became of one.
type FixtureResult struct {
	File, Job, Interval string
	Err                 error
}

// TestJobs runs fixtures, each in a database of its own. Without names: all of jobs/tests.
func TestJobs(ctx context.Context, dir string, env func(string) (string, bool), kinds Kinds, names []string) ([]FixtureResult, error) {
	a, err := Assemble(ctx, dir, env, kinds)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Warehouse.Close() }() // never opened
	if len(names) == 0 {
		found, err := filepath.Glob(filepath.Join(dir, "jobs", "tests", "*.yaml"))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			rel, err := filepath.Rel(dir, f)
			if err != nil {
				return nil, err
			}
			names = append(names, filepath.ToSlash(rel))
		}
	}
	var out []FixtureResult
	for _, name := range names {
		var f Fixture
		if err := config.ReadFile(dir, name, env, &f); err != nil {
			return nil, err
		}
		out = append(out, FixtureResult{name, f.Job, f.Interval, f.run(ctx, a, kinds)})
	}
	return out, nil
}

func (f *Fixture) run(ctx context.Context, a *Assembly, kinds Kinds) (err error) {
	j := a.Jobs.Job(f.Job)
	if j == nil {
		return fmt.Errorf("there is no job %q", f.Job)
	}
	at, err := j.Calendar.Parse(f.Interval)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tidemill-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sink, err := kinds.Sinks.Warehouse("duckdb:" + filepath.Join(dir, "test.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	w := sink.(elt.Warehouse) // DuckDB's is one
	for _, in := range j.Inputs {
		if _, ok := f.Given[in.Table]; !ok {
			return fmt.Errorf("given lacks %s, which the job reads", in.Table)
		}
	}
	for table, text := range f.Given {
		if err := give(ctx, w, table, text); err != nil {
			return fmt.Errorf("given %s: %w", table, err)
		}
	}
	return f.compare(ctx, w, j, at)
}

func (f *Fixture) compare(ctx context.Context, w elt.Warehouse, j *elt.Job, at grid.Window) error {
	results, err := elt.Try(ctx, w, j, at)
	var failing []string
	for _, r := range results {
		if r.Outcome == elt.Fails {
			failing = append(failing, r.Check)
		}
	}
	if len(f.Fails) > 0 {
		if slices.Sort(failing); !slices.Equal(failing, slices.Sorted(slices.Values(f.Fails))) {
			return fmt.Errorf("the checks that fail are [%s], want [%s]", strings.Join(failing, ", "), strings.Join(f.Fails, ", "))
		}
		return nil
	}
	if len(failing) > 0 {
		return fmt.Errorf("checks fail: %s", strings.Join(failing, ", "))
	}
	if err != nil {
		return err
	}
	return w.JobSession(ctx, func(s elt.Session) error {
		head, rows, err := table(f.Expect)
		if err != nil {
			return fmt.Errorf("expect: %w", err)
		}
		have, err := s.Columns(ctx, j.Output)
		if err != nil {
			return err
		}
		for i, h := range head { // in the types of the result
			at := slices.IndexFunc(have, func(c elt.Column) bool { return strings.EqualFold(c.Name, h.Name) })
			if at < 0 {
				return fmt.Errorf("expect: the job gives no column %q", h.Name)
			}
			head[i].Type = have[at].Type
		}
		if err := create(ctx, s, "expected", head, rows); err != nil {
			return fmt.Errorf("expect: %w", err)
		}
		cols := make([]string, len(head))
		for i, h := range head {
			cols[i] = `"` + h.Name + `"`
		}
		list, schema, _ := strings.Cut(j.Output, ".")
		return differ(ctx, s, strings.Join(cols, ", "), `"`+list+`"."`+schema+`"`)
	})
}

// differ says how many rows are missing and how many are there that should not be, and shows the first ones: the rows are the
// test's own.
func differ(ctx context.Context, s elt.Session, cols, output string) error {
	var problems []string
	for _, d := range []struct{ word, a, b string }{{"missing", "expected", output}, {"not expected", output, "expected"}} {
		q := fmt.Sprintf("SELECT CAST(d AS VARCHAR) FROM (SELECT %s FROM %s EXCEPT ALL SELECT %s FROM %s) d ORDER BY 1", cols, d.a, cols, d.b)
		var rows []string
		if err := s.Query(ctx, q, func(row []any) error { rows = append(rows, row[0].(string)); return nil }); err != nil {
			return err
		}
		if len(rows) > 0 {
			problems = append(problems, fmt.Sprintf("%d rows are %s: %s", len(rows), d.word, strings.Join(rows[:min(len(rows), 3)], ", ")))
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// table reads CSV with a head of names, each with a type after a colon where it is not text.
func table(text string) ([]elt.Column, [][]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, nil, errors.Join(errors.New("must be CSV with a line of column names"), err)
	}
	head := make([]elt.Column, len(rows[0]))
	for i, h := range rows[0] {
		name, kind, typed := strings.Cut(strings.TrimSpace(h), ":")
		if !typed {
			kind = "VARCHAR"
		}
		head[i] = elt.Column{Name: name, Type: kind}
	}
	return head, rows[1:], nil
}

func give(ctx context.Context, w elt.Warehouse, name, text string) error {
	head, rows, err := table(text)
	if err != nil {
		return err
	}
	schema, table, _ := strings.Cut(name, ".")
	return w.JobSession(ctx, func(s elt.Session) error {
		if _, err := s.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS "`+schema+`"`); err != nil {
			return err
		}
		return create(ctx, s, `"`+schema+`"."`+table+`"`, head, rows)
	})
}

// create makes a table of texts in the given types; an empty one is NULL.
func create(ctx context.Context, s elt.Session, name string, head []elt.Column, rows [][]string) error {
	defs, marks := make([]string, len(head)), make([]string, len(head))
	for i, h := range head {
		defs[i] = `"` + h.Name + `" ` + h.Type
		marks[i] = fmt.Sprintf("CAST($%d AS %s)", i+1, h.Type)
	}
	if _, err := s.Exec(ctx, "CREATE OR REPLACE TABLE "+name+" ("+strings.Join(defs, ", ")+")"); err != nil {
		return err
	}
	for _, row := range rows {
		args := make([]any, len(row))
		for i, v := range row {
			if v != "" {
				args[i] = v
			}
		}
		if _, err := s.Exec(ctx, "INSERT INTO "+name+" VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			return err
		}
	}
	return nil
}
