package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// column is a column of a table that is there.
type column struct {
	name    string
	typ     string // format_type()
	notNull bool
}

// table is what the catalogue says about a table.
type table struct {
	columns []column
	key     []string // columns of the primary key, in its order; nil without one
	keyName string   // of its constraint
}

func (t *table) column(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

func idents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = ident(n)
	}
	return strings.Join(out, ", ")
}

// describe reads a table from the catalogue; nil when there is none.
func describe(ctx context.Context, tx pgx.Tx, t window.WarehouseTable) (*table, error) {
	var oid uint32
	var kind string
	err := tx.QueryRow(ctx, `SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2`, t.Schema, t.Name).Scan(&oid, &kind)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if kind != "r" && kind != "p" {
		return nil, &window.RefusedError{What: fmt.Sprintf("%s is not a table", t), Hint: "drop or rename what is there, or publish under another name"}
	}
	out := &table{}
	rows, err := tx.Query(ctx, `SELECT attname, pg_catalog.format_type(atttypid, atttypmod), attnotnull FROM pg_catalog.pg_attribute
 WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, oid)
	if err != nil {
		return nil, err
	}
	out.columns, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (c column, err error) {
		return c, r.Scan(&c.name, &c.typ, &c.notNull)
	})
	if err != nil {
		return nil, err
	}
	rows, err = tx.Query(ctx, `SELECT con.conname, a.attname FROM pg_catalog.pg_constraint con
 CROSS JOIN LATERAL unnest(con.conkey) WITH ORDINALITY AS k(attnum, n)
 JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum
 WHERE con.conrelid = $1 AND con.contype = 'p' ORDER BY k.n`, oid)
	if err != nil {
		return nil, err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&out.keyName, &name}, func() error { out.key = append(out.key, name); return nil })
	return out, err
}

// prepared is a table that is ready for its load.
type prepared struct {
	exact bool // its columns have exactly the wanted types: parts may be copied straight into it
	empty bool
	keyed bool // its primary key is there
}

// prepare makes the table fit the load: creates it, adds columns, widens types; empties it for a replacing load. ours
// says that this pipeline has published it before.
func prepare(ctx context.Context, tx pgx.Tx, t *window.TableLoad, ours bool, pipeline string) (prepared, error) {
	have, err := describe(ctx, tx, t.Table)
	if err != nil {
		return prepared{}, err
	}
	if have == nil {
		return prepared{exact: true, empty: true}, create(ctx, tx, t)
	}
	name := ident(t.Table.Schema, t.Table.Name)
	if !ours {
		if err := wantEmpty(ctx, tx, t, name); err != nil {
			return prepared{}, err
		}
	}
	if t.Replace {
		if _, err := tx.Exec(ctx, "DELETE FROM "+name); err != nil { // not TRUNCATE: it would block readers
			return prepared{}, err
		}
	}
	changes, exact, err := alterations(t, have, pipeline)
	if err != nil {
		return prepared{}, err
	}
	for _, c := range changes {
		if _, err := tx.Exec(ctx, "ALTER TABLE "+name+" "+c); err != nil {
			return prepared{}, err
		}
	}
	return prepared{exact: exact, empty: t.Replace, keyed: true}, nil
}

// wantEmpty protects a table that somebody else made: the first publish of a pipeline would delete its rows.
func wantEmpty(ctx context.Context, tx pgx.Tx, t *window.TableLoad, name string) error {
	var filled bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name+")").Scan(&filled); err != nil || !filled {
		return err
	}
	return &window.RefusedError{
		What: fmt.Sprintf("the table %s is there, holds rows and was not published by tidemill", t.Table),
		Hint: fmt.Sprintf("publish under another name, or: ALTER TABLE %s RENAME TO %s", name, ident(t.Table.Name+"_old")),
	}
}

func create(ctx context.Context, tx pgx.Tx, t *window.TableLoad) error {
	if err := createSchema(ctx, tx, t.Table.Schema); err != nil {
		return err
	}
	defs := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		defs[i] = ident(c.Name) + " " + columnType(c.Type)
		if slices.Contains(t.Key, c.Name) {
			defs[i] += " NOT NULL"
		}
	}
	_, err := tx.Exec(ctx, "CREATE TABLE "+ident(t.Table.Schema, t.Table.Name)+" ("+strings.Join(defs, ", ")+")")
	return err
}

// createLock is the advisory lock under which schemas are made, until the end of the transaction: CREATE IF NOT EXISTS is
// not safe against itself.
const createLock = 0x7469_6465_6d69_6c6c

// createSchema makes a schema that is missing. It asks first: CREATE SCHEMA IF NOT EXISTS wants the privilege even for a
// schema that is there.
func createSchema(ctx context.Context, tx pgx.Tx, name string) error {
	const exists = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"
	var there bool
	if err := tx.QueryRow(ctx, exists, name).Scan(&there); err != nil || there {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_catalog.pg_advisory_xact_lock($1)", int64(createLock)); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, exists, name).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, "CREATE SCHEMA "+ident(name))
	return err
}

// alterations is the pure part of prepare: what to ALTER so that the load fits, and whether the wanted columns then have
// exactly the wanted types. A table that is emptied first may change in any way.
func alterations(t *window.TableLoad, have *table, pipeline string) (changes []string, exact bool, err error) {
	rekey := !slices.Equal(have.key, t.Key)
	if rekey && have.key != nil {
		if !t.Replace {
			return nil, false, &window.RefusedError{
				What: fmt.Sprintf("the table %s has the primary key (%s), the view gives (%s)", t.Table, strings.Join(have.key, ", "), strings.Join(t.Key, ", ")),
				Hint: "restore the view's key, or rebuild the table: " + ledger.Rebuild(ident(t.Table.Schema, t.Table.Name), pipeline),
			}
		}
		changes = append(changes, "DROP CONSTRAINT "+ident(have.keyName))
	}
	exact = true
	for _, c := range t.Columns {
		want := columnType(c.Type)
		h, there := have.column(c.Name)
		if !there {
			changes = append(changes, "ADD COLUMN "+ident(c.Name)+" "+want)
			continue
		}
		change, asWanted, err := alterType(t, h, want, pipeline)
		if err != nil {
			return nil, false, err
		}
		if change != "" {
			changes = append(changes, change)
		}
		exact = exact && asWanted
	}
	for _, h := range have.columns { // rows of this load leave them NULL
		if h.notNull && !slices.Contains(t.Key, h.name) {
			changes = append(changes, "ALTER COLUMN "+ident(h.name)+" DROP NOT NULL")
		}
	}
	if rekey {
		changes = append(changes, "ADD PRIMARY KEY ("+idents(t.Key)+")")
	}
	return changes, exact, nil
}

func alterType(t *window.TableLoad, h column, want, pipeline string) (change string, asWanted bool, err error) {
	switch compare(h.typ, want) {
	case same:
		return "", true, nil
	case holds:
		return "", false, nil
	case widen:
		return "ALTER COLUMN " + ident(h.name) + " TYPE " + want, true, nil
	}
	if t.Replace {
		return "ALTER COLUMN " + ident(h.name) + " TYPE " + want + " USING NULL", true, nil // no row is left
	}
	return "", false, &window.RefusedError{
		What: fmt.Sprintf("the column %s of %s is %s, the view gives %s", h.name, t.Table, h.typ, want),
		Hint: fmt.Sprintf("cast it in the view, or: ALTER TABLE %s ALTER COLUMN %s TYPE %s USING ..., or rebuild the table: %s",
			ident(t.Table.Schema, t.Table.Name), ident(h.name), want, ledger.Rebuild(ident(t.Table.Schema, t.Table.Name), pipeline)),
	}
}
