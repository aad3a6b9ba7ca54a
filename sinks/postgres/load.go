package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// tableLoad is one table of a publish on its way into the warehouse.
type tableLoad struct {
	*window.TableLoad
	files []string
	stage string // quoted name of its staging table
	prepared
	loaded bool // the rows are in the table: there is no staging
}

func (l *tableLoad) target() string { return ident(l.Table.Schema, l.Table.Name) }

func (l *tableLoad) columns() []string {
	out := make([]string, len(l.Columns))
	for i, c := range l.Columns {
		out[i] = c.Name
	}
	return out
}

// load brings the parts into the table, if nothing there can meet them, or else into staging.
func (l *tableLoad) load(ctx context.Context, tx pgx.Tx) error {
	if len(l.files) == 0 {
		l.loaded = true
		return nil
	}
	if l.exact && l.Deletes == 0 {
		var err error
		if l.empty {
			l.loaded, err = true, l.copyTo(ctx, tx, l.target(), false)
		} else {
			l.loaded, err = l.tryAppend(ctx, tx)
		}
		if err != nil || l.loaded {
			return err
		}
	}
	if err := l.makeStage(ctx, tx); err != nil {
		return err
	}
	return l.copyTo(ctx, tx, l.stage, true)
}

// copyTo copies the parts and compares the counts (invariant 3).
func (l *tableLoad) copyTo(ctx context.Context, tx pgx.Tx, to string, withOp bool) error {
	names := l.columns()
	if withOp {
		names = append(names, opColumn)
	}
	e := newEncoder(l.TableLoad, withOp)
	sql := "COPY " + to + " (" + idents(names) + ") FROM STDIN (FORMAT binary)"
	if err := copyFrom(ctx, tx.Conn().PgConn(), sql, e, l.files); err != nil {
		return fmt.Errorf("loading %s: %w", l.Table, classify(err))
	}
	return ledger.CheckCounts(l.TableLoad, e.counts)
}

// tryAppend copies the parts straight into a filled table when their first key is beyond its last: rows of a table with a
// growing key that are all new. It is three times as fast as staging and merging. A guess that is wrong (the parts are
// sorted by key, but not in PostgreSQL's order) meets the primary key and is undone.
func (l *tableLoad) tryAppend(ctx context.Context, tx pgx.Tx) (done bool, err error) {
	first, ok, err := ledger.FirstKey(ctx, l.TableLoad, l.files[0])
	if err != nil || !ok {
		return false, err
	}
	var beyond bool
	q := "SELECT coalesce(max(" + ident(l.Key[0]) + ") < $1::numeric, true) FROM " + l.target()
	if err := tx.QueryRow(ctx, q, first).Scan(&beyond); err != nil || !beyond {
		return false, err
	}
	if _, err := tx.Exec(ctx, "SAVEPOINT tidemill_append"); err != nil {
		return false, err
	}
	err = l.copyTo(ctx, tx, l.target(), false)
	var e *Error
	if errors.As(err, &e) && e.Code == "23505" && ctx.Err() == nil {
		_, err = tx.Exec(ctx, "ROLLBACK TO SAVEPOINT tidemill_append")
		return false, err
	}
	return err == nil, err
}

const opColumn = "_op"

func (l *tableLoad) makeStage(ctx context.Context, tx pgx.Tx) error {
	defs := make([]string, 0, len(l.Columns)+1)
	for _, c := range l.Columns {
		defs = append(defs, ident(c.Name)+" "+columnType(c.Type))
	}
	defs = append(defs, opColumn+" smallint")
	_, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE "+l.stage+" ("+strings.Join(defs, ", ")+") ON COMMIT DROP")
	return err
}

// apply moves staging into the table: deletes first, then upserts.
func (l *tableLoad) apply(ctx context.Context, tx pgx.Tx) error {
	if !l.loaded {
		if err := l.merge(ctx, tx); err != nil {
			return err
		}
	}
	if l.keyed {
		return nil
	}
	// A new table gets its key after its rows: one sorted build instead of an insert per row.
	_, err := tx.Exec(ctx, "ALTER TABLE "+l.target()+" ADD PRIMARY KEY ("+idents(l.Key)+")")
	return err
}

func (l *tableLoad) merge(ctx context.Context, tx pgx.Tx) error {
	if l.Deletes > 0 {
		if err := l.delete(ctx, tx); err != nil {
			return err
		}
	}
	if l.Upserts == 0 {
		return nil
	}
	if !l.keyed { // ON CONFLICT needs it
		if _, err := tx.Exec(ctx, "ALTER TABLE "+l.target()+" ADD PRIMARY KEY ("+idents(l.Key)+")"); err != nil {
			return err
		}
		l.keyed = true
	}
	tag, err := tx.Exec(ctx, "INSERT INTO "+l.target()+" ("+idents(l.columns())+") SELECT "+idents(l.columns())+
		" FROM "+l.stage+" WHERE "+opColumn+" = 1 ON CONFLICT ("+idents(l.Key)+") "+l.onConflict())
	if err != nil {
		return err
	}
	if tag.RowsAffected() != l.Upserts {
		return fmt.Errorf("applying %s: %d rows were upserted of %d", l.Table, tag.RowsAffected(), l.Upserts)
	}
	return nil
}

func (l *tableLoad) onConflict() string {
	var set []string
	for _, c := range l.columns() {
		if !slices.Contains(l.Key, c) {
			set = append(set, ident(c)+" = EXCLUDED."+ident(c))
		}
	}
	if set == nil { // all columns are key: the row is there and is equal; counted as a change all the same
		k := ident(l.Key[0])
		set = []string{k + " = EXCLUDED." + k}
	}
	return "DO UPDATE SET " + strings.Join(set, ", ")
}

func (l *tableLoad) delete(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "ANALYZE "+l.stage); err != nil { // it is empty to the planner otherwise
		return err
	}
	on := func(a, b string) string {
		terms := make([]string, len(l.Key))
		for i, k := range l.Key {
			terms[i] = a + "." + ident(k) + " = " + b + "." + ident(k)
		}
		return strings.Join(terms, " AND ")
	}
	var both int64
	err := tx.QueryRow(ctx, "SELECT count(*) FROM "+l.stage+" u JOIN "+l.stage+" d ON "+on("u", "d")+" WHERE u._op = 1 AND d._op = 2").Scan(&both)
	if err != nil {
		return err
	}
	if both > 0 {
		return ledger.CheckCounts(l.TableLoad, ledger.Counts{Upserts: l.Upserts, Deletes: l.Deletes, RepeatedKeys: both})
	}
	_, err = tx.Exec(ctx, "DELETE FROM "+l.target()+" t USING "+l.stage+" d WHERE d._op = 2 AND "+on("t", "d"))
	return err
}
