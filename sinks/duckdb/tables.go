package duckdb

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// column is a column of a table that is there.
type column struct {
	name    string
	typ     string
	notNull bool
}

func qualified(t window.WarehouseTable) string {
	return duck.Ident(t.Schema) + "." + duck.Ident(t.Name)
}

// describe reads a table's columns from the catalogue; nil when there is none.
func describe(ctx context.Context, c *duck.Conn, t window.WarehouseTable) ([]column, error) {
	views, err := duck.Scalar[int64](ctx, c, `SELECT count(*) FROM duckdb_views()
 WHERE database_name = current_database() AND schema_name = $1 AND view_name = $2`, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	if views > 0 {
		return nil, &window.RefusedError{What: fmt.Sprintf("%s is a view", t), Hint: "drop or rename it, or publish under another name"}
	}
	var out []column
	err = c.Rows(ctx, `SELECT column_name, data_type, NOT is_nullable FROM duckdb_columns()
 WHERE database_name = current_database() AND schema_name = $1 AND table_name = $2 ORDER BY column_index`, func(row []driver.Value) error {
		out = append(out, column{name: row[0].(string), typ: row[1].(string), notNull: row[2].(bool)})
		return nil
	}, t.Schema, t.Name)
	return out, err
}

// owner is what the ledger knows about a table.
type owner struct {
	pipeline string
	key      []string
}

func readOwner(ctx context.Context, c *duck.Conn, t window.WarehouseTable) (*owner, error) {
	row, err := c.Row(ctx, dialect.SelectTable(), t.Schema, t.Name)
	if errors.Is(err, duck.ErrNoRow) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := &owner{pipeline: row[0].(string)}
	if err := json.Unmarshal([]byte(row[1].(string)), &o.key); err != nil {
		return nil, fmt.Errorf("reading tidemill.tables: key_columns is not JSON: %w", err)
	}
	return o, nil
}

// prepared is how a table fits a load.
type prepared struct {
	empty bool
	exact bool // it has exactly the load's columns, in order, in their types
}

// prepare makes the table fit the load: creates it, makes it anew for a replacing load, adds columns, widens types.
func prepare(ctx context.Context, c *duck.Conn, t *window.TableLoad, o *owner, pipeline string) (f prepared, err error) {
	have, err := describe(ctx, c, t.Table)
	if err != nil {
		return f, err
	}
	if have != nil && o == nil {
		if err := wantEmpty(ctx, c, t); err != nil {
			return f, err
		}
	}
	if have == nil || t.Replace {
		return prepared{empty: true, exact: true}, create(ctx, c, t)
	}
	if o != nil && !slices.Equal(o.key, t.Key) {
		return f, &window.RefusedError{
			What: fmt.Sprintf("the table %s has the key (%s), the view gives (%s)", t.Table, strings.Join(o.key, ", "), strings.Join(t.Key, ", ")),
			Hint: "restore the view's key, or rebuild the table: " + ledger.Rebuild(qualified(t.Table), pipeline),
		}
	}
	changes, err := alterations(t, have, pipeline)
	if err != nil {
		return f, err
	}
	for _, a := range changes {
		if _, err := c.Exec(ctx, "ALTER TABLE "+qualified(t.Table)+" "+a); err != nil {
			return f, err
		}
	}
	f.exact = len(changes) == 0 && slices.EqualFunc(have, t.Columns, func(h column, c ingest.Column) bool {
		return h.name == c.Name && compare(h.typ, duck.ColumnType(c.Type)) == same
	})
	return f, nil
}

// wantEmpty protects a table that somebody else made: the first publish of a pipeline would delete its rows.
func wantEmpty(ctx context.Context, c *duck.Conn, t *window.TableLoad) error {
	n, err := duck.Scalar[int64](ctx, c, "SELECT count(*) FROM "+qualified(t.Table))
	if err != nil || n == 0 {
		return err
	}
	return &window.RefusedError{
		What: fmt.Sprintf("the table %s is there, holds rows and was not published by tidemill", t.Table),
		Hint: fmt.Sprintf("publish under another name, or: ALTER TABLE %s RENAME TO %s", qualified(t.Table), duck.Ident(t.Table.Name+"_old")),
	}
}

// create makes the table new. Readers see the old one until the commit; dropping it gives its space back.
func create(ctx context.Context, c *duck.Conn, t *window.TableLoad) error {
	defs := make([]string, len(t.Columns))
	for i, col := range t.Columns {
		defs[i] = duck.Ident(col.Name) + " " + duck.ColumnType(col.Type)
		if slices.Contains(t.Key, col.Name) {
			defs[i] += " NOT NULL"
		}
	}
	for _, q := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + duck.Ident(t.Table.Schema),
		"CREATE OR REPLACE TABLE " + qualified(t.Table) + " (" + strings.Join(defs, ", ") + ")",
	} {
		if _, err := c.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// alterations is the pure part of prepare: what to ALTER so that the load fits.
func alterations(t *window.TableLoad, have []column, pipeline string) (changes []string, err error) {
	for _, c := range t.Columns {
		want := duck.ColumnType(c.Type)
		i := slices.IndexFunc(have, func(h column) bool { return strings.EqualFold(h.name, c.Name) })
		if i < 0 {
			changes = append(changes, "ADD COLUMN "+duck.Ident(c.Name)+" "+want)
			continue
		}
		switch compare(have[i].typ, want) {
		case same, holds:
		case widen:
			changes = append(changes, "ALTER COLUMN "+duck.Ident(c.Name)+" TYPE "+want)
		default:
			return nil, &window.RefusedError{
				What: fmt.Sprintf("the column %s of %s is %s, the view gives %s", c.Name, t.Table, have[i].typ, want),
				Hint: fmt.Sprintf("cast it in the view, or: ALTER TABLE %s ALTER COLUMN %s TYPE %s, or rebuild the table: %s",
					qualified(t.Table), duck.Ident(c.Name), want, ledger.Rebuild(qualified(t.Table), pipeline)),
			}
		}
	}
	for _, h := range have { // rows of this load leave them NULL
		if h.notNull && !slices.Contains(t.Key, h.name) {
			changes = append(changes, "ALTER COLUMN "+duck.Ident(h.name)+" DROP NOT NULL")
		}
	}
	return changes, nil
}
