package elt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// stageTable is the temporary table of a run.
const stageTable = "tidemill_staged"

// Columns that append_once adds, to find what it has appended.
const (
	intervalColumn   = "_job_interval"
	generationColumn = "_job_generation"
)

// target puts staged rows into a job's table.
type target struct {
	store
	job        *Job
	interval   grid.Window
	generation int
	staged     []Column
}

// query is the statement that is staged.
func (t *target) query() string {
	q := t.job.Statement(t.interval)
	if t.job.SQL != nil && t.job.Spec.Output.Mode == AppendOnce {
		q = fmt.Sprintf("SELECT q.*, %s AS %s, CAST(%d AS INTEGER) AS %s FROM (\n%s\n) q", Timestamp(t.interval.Start), intervalColumn, t.generation, generationColumn, q)
	}
	return q
}

func (t *target) column(name string) (Column, bool) {
	i := slices.IndexFunc(t.staged, func(c Column) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return Column{}, false
	}
	return t.staged[i], true
}

func (t *target) names() []string {
	out := make([]string, len(t.staged))
	for i, c := range t.staged {
		out[i] = c.Name
	}
	return out
}

// within is the condition that a row of a table with the time column is of the interval. A DATE is a day of the job's zone;
// a timestamp without a zone is UTC, as everywhere.
func within(c Column, w grid.Window, zone *time.Location) (string, error) {
	name := quoteIdent(c.Name)
	switch kind := strings.ToLower(c.Type); {
	case kind == "date":
		for _, edge := range []time.Time{w.Start, w.End} {
			if !grid.DayStart(edge, zone).Equal(edge) {
				return "", refused("give the SELECT a timestamp as "+c.Name, "the time column %s is a DATE, which does not tell intervals apart that are shorter than a day", c.Name)
			}
		}
		return fmt.Sprintf("%s >= DATE '%s' AND %s < DATE '%s'", name, w.Start.In(zone).Format(time.DateOnly), name, w.End.In(zone).Format(time.DateOnly)), nil
	case strings.HasPrefix(kind, "timestamp"):
		return fmt.Sprintf("%s >= %s AND %s < %s", name, Timestamp(w.Start), name, Timestamp(w.End)), nil
	}
	return "", refused("choose a column that is a DATE or a TIMESTAMP", "the time column %s is %s", c.Name, c.Type)
}

// inspect refuses staged rows that the mode cannot keep apart: the next run would leave or double them.
func (t *target) inspect(ctx context.Context) error {
	o := t.job.Spec.Output
	for _, c := range t.job.Probes {
		for _, name := range c.groups {
			if _, ok := t.column(name); !ok {
				return refused("mend the check "+c.Name, "%s", unknownColumn(name, t.names()))
			}
		}
	}
	switch {
	case t.job.SQL == nil:
	case o.Mode == ReplaceInterval:
		c, ok := t.column(o.TimeColumn)
		if !ok {
			return refused("mend output.time_column", "%s", unknownColumn(o.TimeColumn, t.names()))
		}
		cond, err := within(c, t.interval, t.job.Calendar.Zone())
		if err != nil {
			return err
		}
		return t.none(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE NOT (%s) OR %s IS NULL", stageTable, cond, quoteIdent(c.Name)),
			"filter them in the SELECT by {{ interval.start }} and {{ interval.end }}", "%d rows have a "+o.TimeColumn+" outside of the interval, or none")
	case o.Mode == Merge:
		for _, k := range o.Key {
			if _, ok := t.column(k); !ok {
				return refused("mend output.key", "%s", unknownColumn(k, t.names()))
			}
		}
		if err := t.none(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", stageTable, strings.Join(each(o.Key, "%s IS NULL"), " OR ")),
			"filter them in the SELECT, or choose another key", "%d rows have NULL in the key"); err != nil {
			return err
		}
		keys := quoteIdents(o.Key)
		return t.none(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT %s FROM %s GROUP BY %s HAVING count(*) > 1) d", keys, stageTable, keys),
			"choose a key that is unique in the result", "%d keys are there more than once")
	}
	return nil
}

// none refuses when a count is not zero.
func (t *target) none(ctx context.Context, q, hint, what string) error {
	return t.Query(ctx, q, func(row []any) error {
		if n := row[0].(int64); n > 0 {
			return refused(hint, what, n)
		}
		return nil
	})
}

// prepare makes the table fit what was staged, in the transaction that publishes.
func (t *target) prepare(ctx context.Context, first bool) error {
	name := quoteTable(t.job.Output)
	have, err := t.Columns(ctx, t.job.Output)
	if err != nil {
		return err
	}
	if have == nil {
		schema, _, _ := strings.Cut(t.job.Output, ".")
		if err := ensureSchema(ctx, t.Session, t.dialect, schema); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "CREATE TABLE "+name+" AS SELECT * FROM "+stageTable+" WHERE 1 = 0")
		return err
	}
	if first {
		if err := t.none(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+name+" LIMIT 1) x", "name another table in output.table, or empty this one",
			"the table "+t.job.Output+" is there, holds rows (%d or more) and was not made by this job"); err != nil {
			return err
		}
	}
	add, err := t.fit(have)
	if err != nil {
		return err
	}
	for _, c := range add {
		if _, err := t.Exec(ctx, "ALTER TABLE "+name+" ADD COLUMN "+quoteIdent(c.Name)+" "+c.Type); err != nil {
			return err
		}
	}
	return nil
}

// fit is the pure part of prepare: the columns to add, or why the rows do not fit the table.
func (t *target) fit(have []Column) (add []Column, err error) {
	policy := t.job.Spec.Output.SchemaChange
	for _, c := range t.staged {
		i := slices.IndexFunc(have, func(h Column) bool { return strings.EqualFold(h.Name, c.Name) })
		switch {
		case i < 0 && policy == "add_columns":
			add = append(add, c)
		case i < 0:
			return nil, refused("write output.schema_change: add_columns, or ALTER TABLE "+t.job.Output+" ADD COLUMN "+quoteIdent(c.Name)+" "+c.Type,
				"the SELECT gives a column %s that the table %s does not have", c.Name, t.job.Output)
		case !have[i].like(c):
			return nil, refused(fmt.Sprintf("write CAST(… AS %s) AS %s in the SELECT", have[i].Type, quoteIdent(c.Name)),
				"the column %s of %s is %s, the SELECT gives %s", c.Name, t.job.Output, have[i].Type, c.Type)
		}
	}
	if policy == "freeze" {
		for _, h := range have {
			if _, ok := t.column(h.Name); !ok {
				return nil, refused("give it in the SELECT, or write output.schema_change: add_columns to leave it NULL", "the SELECT does not give the column %s of %s", h.Name, t.job.Output)
			}
		}
	}
	return add, nil
}

// replace puts the staged rows into the table in place of those that they supersede.
func (t *target) replace(ctx context.Context) error {
	name, o := quoteTable(t.job.Output), t.job.Spec.Output
	var del string
	switch o.Mode {
	case ReplaceInterval:
		c, _ := t.column(o.TimeColumn)
		cond, err := within(c, t.interval, t.job.Calendar.Zone())
		if err != nil {
			return err
		}
		del = "DELETE FROM " + name + " WHERE " + cond
	case Merge:
		on := make([]string, len(o.Key))
		for i, k := range o.Key {
			on[i] = name + "." + quoteIdent(k) + " = " + stageTable + "." + quoteIdent(k)
		}
		del = "DELETE FROM " + name + " USING " + stageTable + " WHERE " + strings.Join(on, " AND ") // Redshift gives the target no alias
	case ReplaceAll: // not TRUNCATE: it is seen by others before the commit, or makes them wait
		del = "DELETE FROM " + name
	case AppendOnce:
		del = "DELETE FROM " + name + " WHERE " + quoteIdent(intervalColumn) + " = " + Timestamp(t.interval.Start)
	}
	if _, err := t.Exec(ctx, del); err != nil {
		return err
	}
	cols := quoteIdents(t.names())
	_, err := t.Exec(ctx, "INSERT INTO "+name+" ("+cols+") SELECT "+cols+" FROM "+stageTable)
	return err
}
