//go:build duckdb_arrow

package state

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window/view"
)

// joined is what of a view's delta was found before the changes were applied. before and after are SQL: table names or
// queries over temp tables, which the apply does not touch.
type joined struct {
	replace bool
	none    bool   // no change reaches the view
	full    bool   // after is still to be evaluated, over the new state
	before  string // the affected rows of the view over the old state
	after   string // the same over the new state
}

// beforeApply does everything that needs the old state (invariant 3).
func (s *step) beforeApply(ctx context.Context, p Plan) ([]joined, error) {
	defer s.clock(&s.stats.Join)()
	out := make([]joined, len(p.Outputs))
	for i, o := range p.Outputs {
		if o.View == nil || o.Hold {
			continue
		}
		same, err := s.published(ctx, o)
		if err != nil {
			return nil, err
		}
		if o.Replace || !same {
			out[i] = joined{replace: true, full: true}
			s.stats.Views[o.Name] = ViewStats{Affected: -1, Full: true}
			continue
		}
		if out[i], err = s.join(ctx, o); err != nil {
			return nil, fmt.Errorf("joining view %s: %w", o.Name, inView(o.Name, err))
		}
	}
	return out, nil
}

// join finds the affected anchors of a view (rule 18) and evaluates the view on them in both states (rule 19).
func (s *step) join(ctx context.Context, o Output) (joined, error) {
	v := o.View
	state := stateTables(v)
	keys, affected, err := s.affected(ctx, v, state)
	if err != nil {
		return joined{}, err
	}
	anchors, err := duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+state[0])
	if err != nil {
		return joined{}, err
	}
	j := joined{none: affected == 0, full: float64(affected) > s.fullShare*float64(anchors)}
	s.stats.Views[o.Name] = ViewStats{Affected: affected, Anchors: anchors, Full: j.full && !j.none}
	switch {
	case j.none:
	case j.full:
		var table string
		table, err = s.evaluate(ctx, v, state)
		j.before = "FROM " + table
	default:
		var before, after []string
		before, after, err = s.neighbours(ctx, v, keys, state)
		j.before, j.after = v.Evaluate(before), v.Evaluate(after)
	}
	return j, err
}

func stateTables(v *view.View) []string {
	out := make([]string, len(v.Relations))
	for i, r := range v.Relations {
		out[i] = tableName(r.Input)
	}
	return out
}

// evaluate copies the view over the given tables into a temp table.
func (s *step) evaluate(ctx context.Context, v *view.View, tables []string) (string, error) {
	return s.materialize(ctx, "view", v.Evaluate(tables))
}

func (s *step) materialize(ctx context.Context, what, query string) (string, error) {
	out := s.temp(what)
	_, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", out, query))
	return out, err
}

// affected collects the keys of the affected anchors.
func (s *step) affected(ctx context.Context, v *view.View, state []string) (string, int64, error) {
	var parts []string
	for i, r := range v.Relations {
		st := s.staged[r.Input]
		if st == nil {
			continue
		}
		changed := st.table // of the anchor itself, the keys are enough
		if i > 0 {
			columns, few := v.Reach(i)
			query := s.images(r, st, columns)
			if !few {
				query = s.differing(r, st)
			}
			var err error
			if changed, err = s.materialize(ctx, "changed", query); err != nil {
				return "", 0, err
			}
		}
		parts = append(parts, v.Affected(i, changed, state))
	}
	if len(parts) == 0 {
		return "", 0, nil
	}
	keys, err := s.materialize(ctx, "keys", strings.Join(parts, " UNION "))
	if err != nil {
		return "", 0, err
	}
	n, err := duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+keys)
	return keys, n, err
}

// images selects columns of the old and of the new images of a relation's changed rows.
func (s *step) images(r view.Relation, st *staged, columns []string) string {
	old := fmt.Sprintf("SELECT %s FROM %s AS t SEMI JOIN %s AS c ON %s", duck.Idents(columns), tableName(r.Input), st.table, equal("t", "c", r.Schema.Key))
	if s.mutate == mutateNewImages {
		old += " WHERE false"
	}
	return old + " UNION ALL " + s.newImages(st, columns)
}

// newImages selects columns of the staged rows that are not deletes.
func (s *step) newImages(st *staged, columns []string) string {
	cols := make([]string, len(columns))
	for i, c := range columns {
		cols[i] = s.column(st, c)
	}
	return fmt.Sprintf("SELECT %s FROM %s AS c WHERE %s = %d", strings.Join(cols, ", "), st.table, ingest.OpColumn, ingest.Upsert)
}

// differing selects the old and the new images of the rows of a relation that differ in a column the view reads (rule 17).
func (s *step) differing(r view.Relation, st *staged) string {
	key := r.Schema.Key
	differ := []string{"n.tm_there IS NULL", "o.tm_there IS NULL"}
	for _, c := range r.Columns {
		differ = append(differ, fmt.Sprintf("n.%s IS DISTINCT FROM o.%s", duck.Ident(c), duck.Ident(c)))
	}
	var keys []string
	for _, k := range key {
		keys = append(keys, fmt.Sprintf("coalesce(n.%s, o.%s) AS %s", duck.Ident(k), duck.Ident(k), duck.Ident(k)))
	}
	cols := duck.Idents(r.Columns)
	old := fmt.Sprintf("SELECT %s FROM o SEMI JOIN d ON %s", cols, equal("o", "d", key))
	if s.mutate == mutateNewDiffering {
		old += " WHERE false"
	}
	return fmt.Sprintf(`WITH n AS MATERIALIZED (SELECT *, true AS tm_there FROM (%s)),
		o AS MATERIALIZED (SELECT %s, true AS tm_there FROM %s AS t SEMI JOIN %s AS c ON %s),
		d AS MATERIALIZED (SELECT %s FROM n FULL JOIN o ON %s WHERE %s)
		%s UNION ALL SELECT %s FROM n SEMI JOIN d ON %s`,
		s.newImages(st, r.Columns), cols, tableName(r.Input), st.table, equal("t", "c", key),
		strings.Join(keys, ", "), equal("n", "o", key), strings.Join(differ, " OR "), old, cols, equal("n", "d", key))
}

// column selects a column of staged changes that may be older than the column.
func (s *step) column(st *staged, name string) string {
	if st.schema.Column(name) >= 0 {
		return duck.Ident(name)
	}
	table := s.after[st.input]
	return fmt.Sprintf("NULL::%s AS %s", columnType(table.Columns[table.Column(name)].Type), duck.Ident(name))
}

// neighbours copies, for every relation, the rows that the affected anchors can meet, as they were; after is a query that
// brings the copy to the new state. Each table is read once; both evaluations then read only small tables.
func (s *step) neighbours(ctx context.Context, v *view.View, keys string, state []string) (before, after []string, err error) {
	before, after = make([]string, len(state)), make([]string, len(state))
	for i, r := range v.Relations {
		st := s.staged[r.Input]
		query := v.Neighbours(i, state[i], keys, before, after)
		if s.mutate == mutateWindowOnly && st == nil {
			query += " WHERE false"
		}
		if before[i], err = s.materialize(ctx, "before", query); err != nil {
			return nil, nil, err
		}
		after[i] = before[i]
		if st == nil {
			continue
		}
		images := s.newImages(st, r.Columns) // of the anchor, all are affected
		kept := fmt.Sprintf("SELECT b.* FROM %s AS b ANTI JOIN %s AS c ON %s", before[i], st.table, equal("b", "c", r.Schema.Key))
		if s.mutate == mutateWindowOnly {
			kept += " WHERE false"
		}
		after[i] = fmt.Sprintf("(%s UNION ALL %s)", kept, images)
	}
	return before, after, nil
}

// viewDelta writes the exact difference of a view (rule 19).
func (s *step) viewDelta(ctx context.Context, o Output, j joined, name string) (Delta, error) {
	v := o.View
	d := Delta{Output: o.Name, Columns: v.Columns, Key: v.Key, Replace: j.replace}
	if j.none {
		return d, nil
	}
	if j.full {
		j.after = v.Evaluate(stateTables(v))
	}
	rows, err := s.keyed(ctx, o, j.after)
	if err != nil {
		return d, err
	}
	rows += max(0, s.stats.Views[o.Name].Affected) // deletes, about
	query := difference(v, j.before, j.after)
	if j.replace {
		query = fmt.Sprintf("SELECT *, %d::INTEGER AS %s FROM (%s)", ingest.Upsert, ingest.OpColumn, j.after)
	}
	return d, s.write(ctx, &d, o, name, func(each func(arrow.RecordBatch) error) error { return s.sorted(ctx, query, &d, rows, each) })
}

// difference selects upserts and deletes that turn one result of a view into another (invariant 4). Keys are never NULL.
func difference(v *view.View, before, after string) string {
	var cols []string
	differ := []string{"n.tm_there IS NULL", "o.tm_there IS NULL"}
	for _, c := range v.Columns {
		id := duck.Ident(c.Name)
		if slices.Contains(v.Key, c.Name) {
			cols = append(cols, fmt.Sprintf("coalesce(n.%s, o.%s) AS %s", id, id, id))
			continue
		}
		cols = append(cols, fmt.Sprintf("n.%s AS %s", id, id))
		differ = append(differ, fmt.Sprintf("n.%s IS DISTINCT FROM o.%s", id, id))
	}
	return fmt.Sprintf("SELECT %s, CASE WHEN n.tm_there IS NULL THEN %d ELSE %d END::INTEGER AS %s FROM (SELECT *, true AS tm_there FROM (%s)) AS n FULL JOIN (SELECT *, true AS tm_there FROM (%s)) AS o ON %s WHERE %s",
		strings.Join(cols, ", "), ingest.Delete, ingest.Upsert, ingest.OpColumn, after, before, equal("n", "o", v.Key), strings.Join(differ, " OR "))
}

// keyed checks that the key identifies the rows of a view's result, and counts them. Only the key columns are computed.
func (s *step) keyed(ctx context.Context, o Output, query string) (int64, error) {
	defer s.clock(&s.stats.Join)()
	var null []string
	for _, k := range o.View.Key {
		null = append(null, duck.Ident(k)+" IS NULL")
	}
	isNull, key := strings.Join(null, " OR "), duck.Idents(o.View.Key)
	row, err := s.conn.Row(ctx, fmt.Sprintf(`SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER (%s), 0)::BIGINT, count(*) FILTER (n > 1)
		FROM (SELECT %s, count(*) AS n FROM (%s) GROUP BY %s)`, isNull, key, query, key))
	if err != nil {
		return 0, err
	}
	switch rows, nulls, shared := row[0].(int64), row[1].(int64), row[2].(int64); {
	case nulls > 0:
		return 0, &KeyError{View: o.Name, Key: o.View.Key, What: fmt.Sprintf("is NULL in %d rows", nulls)}
	case shared > 0:
		return 0, &KeyError{View: o.Name, Key: o.View.Key, What: fmt.Sprintf("is shared by several rows for %d of its values", shared)}
	default:
		return rows, nil
	}
}
