package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
	"github.com/tidemill/tidemill/sinks"
)

// jobsFolder holds what runs in the warehouse. Views run in DuckDB and are not judged here.
const jobsFolder = "jobs"

// lintJobs judges the SQL of the project's jobs by the grammar of its warehouse, if that has one.
func (c *cli) lintJobs(a *daemon.Assembly) (config.Problems, error) {
	if a == nil || a.Project == nil {
		return nil, nil
	}
	lint := kinds().Sinks.Linters[a.Project.Warehouse.Scheme()]
	if lint == nil {
		return nil, nil
	}
	files, err := sqlFiles(filepath.Join(c.dir, jobsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return c.lintFiles(lint, files, true)
}

// checkSQL judges the named files.
func (c *cli) checkSQL(cmd *cobra.Command, o checkOptions) error {
	dialect := o.dialect
	if dialect == "" {
		p, err := config.Load(c.dir, c.env)
		if p == nil || p.Warehouse.Scheme() == "" {
			return errors.Join(usage(cmd, errors.New("no project says which warehouse the SQL is for: add --dialect")), err)
		}
		dialect = p.Warehouse.Scheme()
	}
	linters := kinds().Sinks.Linters
	lint := linters[dialect]
	if lint == nil {
		known := slices.Sorted(maps.Keys(linters))
		return usage(cmd, fmt.Errorf("no grammar of %q%s; known: %s", dialect, config.DidYouMean(dialect, known), strings.Join(known, ", ")))
	}
	var files []string
	for _, name := range o.sql {
		found, err := sqlFiles(name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return usage(cmd, fmt.Errorf("there is no .sql file in %s", name))
		}
		files = append(files, found...)
	}
	problems, err := c.lintFiles(lint, files, false)
	if err = errors.Join(problems.Err(), err); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "ok: %s for %s\n", count(len(files), "SQL file"), dialect)
	return err
}

// sqlFiles is a file, or the .sql files in a folder and below it.
func sqlFiles(name string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (path == name || filepath.Ext(path) == ".sql") {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

// lintFiles judges files. Warnings are told at once; the rest is returned.
func (c *cli) lintFiles(lint sinks.Linter, files []string, oneSelect bool) (config.Problems, error) {
	var problems config.Problems
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := path
		if rel, err := filepath.Rel(c.dir, path); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
		for _, f := range lint(string(b), oneSelect) {
			p := config.Problem{File: filepath.ToSlash(name), Line: f.Line, Column: f.Col, Message: f.Text()}
			if f.Warning {
				fmt.Fprintf(c.err, "warning: %s\n", p)
				continue
			}
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// withProblems adds problems to an error that may hold some already.
func withProblems(err error, more config.Problems) error {
	var had config.Problems
	if err != nil && !errors.As(err, &had) {
		return err
	}
	return append(had[:len(had):len(had)], more...).Err()
}
