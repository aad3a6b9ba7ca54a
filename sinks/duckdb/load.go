package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// tableLoad is one table of a publish on its way into the warehouse.
type tableLoad struct {
	*window.TableLoad
	files []string
	stage string
	prepared
	unordered bool // an attempt has found that the parts cannot be appended
	loaded    bool // the rows are in the table: there is no staging
}

func (l *tableLoad) columns() string {
	names := make([]string, len(l.Columns))
	for i, c := range l.Columns {
		names[i] = c.Name
	}
	return duck.Idents(names)
}

// load brings the parts into the table, if nothing there can meet them, or else into staging.
func (l *tableLoad) load(ctx context.Context, c *duck.Conn) (err error) {
	if l.loaded = len(l.files) == 0; l.loaded {
		return nil
	}
	if l.loaded = l.empty && l.exact; l.loaded {
		return l.copyTo(ctx, c, qualified(l.Table), false)
	}
	if l.loaded, err = l.beyond(ctx, c); err != nil {
		return fmt.Errorf("loading %s: %w", l.Table, classify(err))
	}
	if l.loaded {
		return l.copyTo(ctx, c, qualified(l.Table), true)
	}
	return l.copyTo(ctx, c, l.stage, false)
}

// beyond reports whether the first key of the parts is beyond the last one of the table: rows of a table with a growing
// key that are all new need no staging. The parts are sorted by key; copyTo holds them to it.
func (l *tableLoad) beyond(ctx context.Context, c *duck.Conn) (bool, error) {
	if l.unordered || !l.exact || l.Deletes > 0 || len(l.Key) != 1 {
		return false, nil
	}
	first, ok, err := ledger.FirstKey(ctx, l.TableLoad, l.files[0])
	if err != nil || !ok {
		return false, err
	}
	key := l.Columns[(&ingest.Schema{Columns: l.Columns, Key: l.Key}).KeyColumns()[0]]
	met, err := duck.Scalar[bool](ctx, c, "SELECT EXISTS (SELECT 1 FROM "+qualified(l.Table)+" WHERE "+duck.Ident(key.Name)+" >= CAST($1 AS "+duck.ColumnType(key.Type)+"))", first)
	return !met, err
}

// errUnordered says that parts were appended to a filled table whose keys do not grow: they may meet rows that are there.
var errUnordered = errors.New("the keys of the parts do not grow")

// copyTo copies the parts and compares counts and keys (invariant 3). What is appended to rows that are there has to grow
// (invariant 6).
func (l *tableLoad) copyTo(ctx context.Context, c *duck.Conn, to string, growing bool) error {
	how := duck.Append
	if !l.loaded {
		how = duck.CreateTemp
	}
	p := openParts(ctx, l.TableLoad, l.files, !l.loaded)
	n, err := c.LoadReader(ctx, how, to, p)
	p.Close()
	if p.counts.NullKeys > 0 { // said better than by the constraint that a straight load meets
		return ledger.CheckCounts(l.TableLoad, ledger.Counts{Upserts: l.Upserts, Deletes: l.Deletes, NullKeys: p.counts.NullKeys})
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", l.Table, classify(err))
	}
	if growing && !p.grows() {
		l.unordered = true
		return errUnordered
	}
	if !p.grows() { // keys that grow are different
		distinct, err := duck.Scalar[int64](ctx, c, "SELECT count(*) FROM (SELECT DISTINCT "+duck.Idents(l.Key)+" FROM "+to+")")
		if err != nil {
			return fmt.Errorf("counting the keys of %s: %w", l.Table, classify(err))
		}
		p.counts.RepeatedKeys = n - distinct
	}
	p.counts.Other = n - p.counts.Upserts - p.counts.Deletes
	return ledger.CheckCounts(l.TableLoad, p.counts)
}

// apply moves staging into the table: every key of it goes, then the upserts come.
func (l *tableLoad) apply(ctx context.Context, c *duck.Conn) error {
	if l.loaded {
		return nil
	}
	on := make([]string, len(l.Key))
	for i, k := range l.Key {
		on[i] = "t." + duck.Ident(k) + " = s." + duck.Ident(k)
	}
	if _, err := c.Exec(ctx, "DELETE FROM "+qualified(l.Table)+" t USING "+l.stage+" s WHERE "+strings.Join(on, " AND ")); err != nil {
		return err
	}
	n, err := c.Exec(ctx, "INSERT INTO "+qualified(l.Table)+" ("+l.columns()+") SELECT "+l.columns()+" FROM "+l.stage+" WHERE _op = 1")
	if err != nil {
		return err
	}
	if n != l.Upserts {
		return fmt.Errorf("applying %s: %d rows were inserted of %d", l.Table, n, l.Upserts)
	}
	_, err = c.Exec(ctx, "DROP TABLE "+l.stage) // its memory is wanted for the next table
	return err
}
