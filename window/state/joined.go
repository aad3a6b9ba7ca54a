//go:build duckdb_arrow

package state

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window/view"
)

// joined is what of a view's delta was found before the changes were applied.
type joined struct {
	replace  bool
	none     bool   // no change reaches the view
	full     bool   // after is still to be evaluated, over the new state
	before   string // temp table: the affected rows of the view over the old state
	after    string // temp table: the same over the new state
	affected int64
}

// beforeApply does everything that needs the old state (invariant 3).
func (s *step) beforeApply(ctx context.Context, p Plan) ([]joined, error) {
	defer s.clock(&s.stats.Join)()
	out := make([]joined, len(p.Outputs))
	olds := map[string]string{}
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
		for _, r := range o.View.Relations {
			if s.staged[r.Input] != nil && olds[r.Input] == "" {
				if olds[r.Input], err = s.oldImages(ctx, r.Input); err != nil {
					return nil, err
				}
			}
		}
		if out[i], err = s.join(ctx, o, olds); err != nil {
			return nil, fmt.Errorf("joining view %s: %w", o.Name, err)
		}
	}
	return out, nil
}

// oldImages copies the rows that the changes of an input replace or delete.
func (s *step) oldImages(ctx context.Context, input string) (string, error) {
	table := s.temp("old")
	st := s.staged[input]
	_, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS FROM %s AS t SEMI JOIN %s AS c ON %s", table, tableName(input), st.table, equal("t", "c", st.schema.Key)))
	if err != nil {
		return "", fmt.Errorf("reading old images of %s: %w", input, err)
	}
	return table, nil
}

// join finds the affected anchors of a view (rule 18) and evaluates the view on them in both states (rule 19).
func (s *step) join(ctx context.Context, o Output, olds map[string]string) (joined, error) {
	v := o.View
	state := make([]string, len(v.Relations))
	for i, r := range v.Relations {
		state[i] = tableName(r.Input)
	}
	keys, affected, err := s.affected(ctx, v, olds, state)
	if err != nil {
		return joined{}, err
	}
	anchors, err := duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+state[0])
	if err != nil {
		return joined{}, err
	}
	j := joined{none: affected == 0, affected: affected, full: float64(affected) > s.fullShare*float64(anchors)}
	s.stats.Views[o.Name] = ViewStats{Affected: affected, Anchors: anchors, Full: j.full && !j.none}
	switch {
	case j.none:
		return j, nil
	case j.full:
		j.before, err = s.evaluate(ctx, v, state)
		return j, err
	}
	before, after, err := s.neighbours(ctx, v, keys, state)
	if err != nil {
		return j, err
	}
	if j.before, err = s.evaluate(ctx, v, before); err != nil {
		return j, err
	}
	j.after, err = s.evaluate(ctx, v, after)
	return j, err
}

func (s *step) evaluate(ctx context.Context, v *view.View, tables []string) (string, error) {
	out := s.temp("view")
	_, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", out, v.Evaluate(tables)))
	return out, err
}

// affected collects the keys of the affected anchors.
func (s *step) affected(ctx context.Context, v *view.View, olds map[string]string, state []string) (string, int64, error) {
	var parts []string
	for i, r := range v.Relations {
		if s.staged[r.Input] == nil {
			continue
		}
		changed, err := s.changed(ctx, r, olds[r.Input])
		if err != nil {
			return "", 0, err
		}
		parts = append(parts, v.Affected(i, changed, state))
	}
	if len(parts) == 0 {
		return "", 0, nil
	}
	keys := s.temp("keys")
	if _, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", keys, strings.Join(parts, " UNION "))); err != nil {
		return "", 0, err
	}
	n, err := duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+keys)
	return keys, n, err
}

// changed makes a table of the old and the new images of the rows of a relation that differ in a column the view reads
// (rule 17).
func (s *step) changed(ctx context.Context, r view.Relation, old string) (string, error) {
	st := s.staged[r.Input]
	out := s.temp("changed")
	key := r.Schema.Key
	newCols, oldCols, differ := make([]string, len(r.Columns)), make([]string, len(r.Columns)), []string{"n.tm_there IS NULL", "o.tm_there IS NULL"}
	for i, c := range r.Columns {
		id := duck.Ident(c)
		newCols[i], oldCols[i] = s.column(st, c), id
		differ = append(differ, fmt.Sprintf("n.%s IS DISTINCT FROM o.%s", id, id))
	}
	images := []string{
		fmt.Sprintf("SELECT %s FROM o SEMI JOIN d ON %s", strings.Join(oldCols, ", "), equal("o", "d", key)),
		fmt.Sprintf("SELECT %s FROM n SEMI JOIN d ON %s", strings.Join(oldCols, ", "), equal("n", "d", key)),
	}
	if s.mutate == mutateNewOnly {
		images = images[1:]
	}
	var keys []string
	for _, k := range key {
		keys = append(keys, fmt.Sprintf("coalesce(n.%s, o.%s) AS %s", duck.Ident(k), duck.Ident(k), duck.Ident(k)))
	}
	_, err := s.conn.Exec(ctx, fmt.Sprintf(`CREATE TEMP TABLE %s AS
		WITH n AS MATERIALIZED (SELECT %s, true AS tm_there FROM %s WHERE %s = %d),
		     o AS MATERIALIZED (SELECT %s, true AS tm_there FROM %s),
		     d AS MATERIALIZED (SELECT %s FROM n FULL JOIN o ON %s WHERE %s)
		%s`, out, strings.Join(newCols, ", "), st.table, ingest.OpColumn, ingest.Upsert, strings.Join(oldCols, ", "), old,
		strings.Join(keys, ", "), equal("n", "o", key), strings.Join(differ, " OR "), strings.Join(images, " UNION ALL ")))
	return out, err
}

// column selects a column of staged changes that may be older than the column.
func (s *step) column(st *staged, name string) string {
	if st.schema.Column(name) >= 0 {
		return duck.Ident(name)
	}
	table := s.after[st.input]
	return fmt.Sprintf("NULL::%s AS %s", columnType(table.Columns[table.Column(name)].Type), duck.Ident(name))
}

// neighbours copies, for every relation, the rows that the affected anchors can meet: as they were, and as they are. Each
// table is read once; both evaluations then read only small tables.
func (s *step) neighbours(ctx context.Context, v *view.View, keys string, state []string) (before, after []string, err error) {
	before, after = make([]string, len(state)), make([]string, len(state))
	for i, r := range v.Relations {
		before[i] = s.temp("before")
		query := v.Neighbours(i, state[i], keys, before, after)
		if s.mutate == mutateWindowOnly && s.staged[r.Input] == nil {
			query += " WHERE false"
		}
		if _, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", before[i], query)); err != nil {
			return nil, nil, err
		}
		st := s.staged[r.Input]
		if st == nil {
			after[i] = before[i]
			continue
		}
		after[i] = s.temp("after")
		cols := make([]string, len(r.Columns))
		for c, name := range r.Columns {
			cols[c] = s.column(st, name)
		}
		images := fmt.Sprintf("SELECT %s FROM %s AS c", strings.Join(cols, ", "), st.table)
		if i == 0 { // of the anchor, only affected rows: another image must not appear in one state alone
			var on []string
			for k, name := range v.KeyNames() {
				on = append(on, fmt.Sprintf("c.%s = k.%s", duck.Ident(r.Schema.Key[k]), name))
			}
			images += fmt.Sprintf(" SEMI JOIN %s AS k ON %s", keys, strings.Join(on, " AND "))
		}
		kept := fmt.Sprintf("SELECT b.* FROM %s AS b ANTI JOIN %s AS c ON %s", before[i], st.table, equal("b", "c", r.Schema.Key))
		if s.mutate == mutateWindowOnly {
			kept += " WHERE false"
		}
		_, err := s.conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s UNION ALL %s WHERE c.%s = %d", after[i], kept, images, ingest.OpColumn, ingest.Upsert))
		if err != nil {
			return nil, nil, err
		}
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
		done := s.clock(&s.stats.Join)
		state := make([]string, len(v.Relations))
		for i, r := range v.Relations {
			state[i] = tableName(r.Input)
		}
		var err error
		j.after, err = s.evaluate(ctx, v, state)
		done()
		if err != nil {
			return d, err
		}
	}
	if err := s.keyed(ctx, o, j.after); err != nil {
		return d, err
	}
	rows, err := duck.Scalar[int64](ctx, s.conn, "SELECT count(*) FROM "+j.after)
	if err != nil {
		return d, err
	}
	if j.replace {
		err = s.write(ctx, &d, name, fmt.Sprintf("SELECT *, %d::INTEGER AS %s FROM %s", ingest.Upsert, ingest.OpColumn, j.after), rows)
	} else {
		err = s.write(ctx, &d, name, difference(v, j.before, j.after), rows)
	}
	if err != nil {
		return d, err
	}
	return d, s.drop(ctx, j.after, j.before)
}

// difference selects upserts and deletes that turn one result of a view into another (invariant 4). Keys are never NULL.
func difference(v *view.View, before, after string) string {
	isKey := map[string]bool{}
	for _, k := range v.Key {
		isKey[k] = true
	}
	var cols []string
	differ := []string{"n.rowid IS NULL", "o.rowid IS NULL"}
	for _, c := range v.Columns {
		id := duck.Ident(c.Name)
		if isKey[c.Name] {
			cols = append(cols, fmt.Sprintf("coalesce(n.%s, o.%s) AS %s", id, id, id))
			continue
		}
		cols = append(cols, fmt.Sprintf("n.%s AS %s", id, id))
		differ = append(differ, fmt.Sprintf("n.%s IS DISTINCT FROM o.%s", id, id))
	}
	return fmt.Sprintf("SELECT %s, CASE WHEN n.rowid IS NULL THEN %d ELSE %d END::INTEGER AS %s FROM %s AS n FULL JOIN %s AS o ON %s WHERE %s",
		strings.Join(cols, ", "), ingest.Delete, ingest.Upsert, ingest.OpColumn, after, before, equal("n", "o", v.Key), strings.Join(differ, " OR "))
}

// keyed checks that the key identifies the rows of a view's result.
func (s *step) keyed(ctx context.Context, o Output, table string) error {
	var null []string
	for _, k := range o.View.Key {
		null = append(null, duck.Ident(k)+" IS NULL")
	}
	n, err := duck.Scalar[int64](ctx, s.conn, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", table, strings.Join(null, " OR ")))
	if err != nil {
		return err
	}
	if n > 0 {
		return &KeyError{View: o.Name, Key: o.View.Key, What: fmt.Sprintf("is NULL in %d rows", n)}
	}
	n, err = duck.Scalar[int64](ctx, s.conn, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s GROUP BY %s HAVING count(*) > 1)", table, duck.Idents(o.View.Key)))
	if err != nil {
		return err
	}
	if n > 0 {
		return &KeyError{View: o.Name, Key: o.View.Key, What: fmt.Sprintf("is shared by several rows for %d of its values", n)}
	}
	return nil
}
