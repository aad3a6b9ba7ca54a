package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// table is a captured table as of the point of the log that the stream has reached. The stream's goroutine owns it.
type table struct {
	name      ingest.TableName
	drop      []string           // columns that are not captured
	catalogue *rows.Catalogue    // the newest that was read; a hint only
	parents   []ingest.TableName // tables whose changes foreign keys cascade to this one
	orphan    bool               // there are others that the catalogue does not show yet
	schema    *ingest.Schema     // as declared last; nil before
	print     uint64             // its fingerprint
	id        ingest.TableID
	ahead     bool      // schema is from a catalogue, which may be newer than the log
	gone      []string  // columns that it had before
	defined   coord     // of the last statement that may have changed the definition
	fresh     bool      // it was found by a start behind a position at which it was not captured
	parked    string    // why the table stands still
	exchanged bool      // parked only until it is loaded anew
	touched   *touchLog // while chunks of its load are under way
	loading   bool      // its load has begun and is not complete
	again     bool      // the load under way must begin anew
}

// tables is the captured tables by name.
type tables struct {
	capture  capture
	byName   map[ingest.TableName]*table
	triggers map[ingest.TableName]bool // tables with triggers
	unseen   func(schema string) bool  // the account cannot see whether the tables of a database have some
	views    map[ingest.TableName]bool
	logged   bool // what foreign keys cascade to is in the log
}

func newTables(c capture) *tables {
	return &tables{capture: c, byName: map[ingest.TableName]*table{}, triggers: map[ingest.TableName]bool{}, unseen: func(string) bool { return false }, views: map[ingest.TableName]bool{}}
}

// add registers a table that the configuration captures.
func (ts *tables) add(name ingest.TableName) *table {
	t := &table{name: name, drop: ts.dropped(name)}
	ts.byName[name] = t
	return t
}

// dropped lists the columns of a table that are not captured.
func (ts *tables) dropped(name ingest.TableName) []string {
	cfg, _ := ts.capture.match(name)
	return sortedKeys(cfg.Columns)
}

// The world of the group machine.
var _ world = (*tables)(nil)

func (ts *tables) captured(n ingest.TableName) bool {
	t := ts.byName[n]
	return t != nil && t.parked == ""
}

func (ts *tables) known(n ingest.TableName) bool {
	t := ts.byName[n]
	return t != nil && !t.fresh
}

func (ts *tables) wanted(n ingest.TableName) bool {
	_, ok := ts.capture.match(n)
	return ok
}

func (ts *tables) all() []ingest.TableName {
	return ts.which(func(*table) bool { return true })
}

func (ts *tables) inDatabase(schema string) []ingest.TableName {
	return ts.which(func(t *table) bool { return t.name.Schema == schema })
}

// which lists the captured tables that f picks, sorted.
func (ts *tables) which(f func(*table) bool) []ingest.TableName {
	var out []ingest.TableName
	for n, t := range ts.byName {
		if t.parked == "" && f(t) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

// hasTriggers is true where nobody can tell. The server's own database can have none.
func (ts *tables) hasTriggers(n ingest.TableName) bool {
	return ts.triggers[n] || n.Schema != "mysql" && ts.unseen(n.Schema)
}

func (ts *tables) view(n ingest.TableName) bool { return ts.views[n] }

// below follows the foreign keys of captured tables. Those of other tables are not known: any table of its database may be
// above a parent that is not captured.
func (ts *tables) below(n ingest.TableName) []ingest.TableName {
	above := map[ingest.TableName]bool{n: true}
	reached := func(t *table) bool {
		return t.orphan || slices.ContainsFunc(t.parents, func(p ingest.TableName) bool {
			return above[p] || ts.byName[p] == nil && ts.byName[n] == nil && p.Schema == n.Schema
		})
	}
	for before := 0; before < len(above); {
		before = len(above)
		for _, t := range ts.byName {
			if reached(t) {
				above[t.name] = true
			}
		}
	}
	return ts.which(func(t *table) bool { return t.name != n && above[t.name] })
}

// child reports whether rows of the table change by foreign keys without being logged.
func (ts *tables) child(t *table) bool { return !ts.logged && (t.orphan || len(t.parents) > 0) }

func compareNames(a, b ingest.TableName) int {
	return slices.Compare([]string{a.Schema, a.Name}, []string{b.Schema, b.Name})
}

// readCatalogue reads what the server says about a table. ok is false when the table does not exist or cannot be seen.
func readCatalogue(ctx context.Context, db *sql.DB, f flavor, name ingest.TableName, drop []string) (c *rows.Catalogue, ok bool, err error) {
	query, args := rows.CatalogueQuery(string(f), name)
	r, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer r.Close()
	read, err := rows.ReadCatalogue(r)
	if err != nil {
		return nil, false, err
	}
	read.Drop = drop
	return &read, len(read.Columns) > 0, nil
}

// tableProblem turns what the row codec says about a table into the reason for parking it. Its errors hold no values.
func (c *Config) tableProblem(t ingest.TableName, err error) string {
	text := err.Error()
	var unsupported *rows.UnsupportedError
	if errors.As(err, &unsupported) {
		what := unsupported.Type
		if unsupported.Column != "" {
			what = fmt.Sprintf("column %s is %s", quoteName(unsupported.Column), unsupported.Type)
		}
		return fmt.Sprintf("%s; run: %s; then: %s", what, unsupported.Hint, c.resyncCommand(t))
	}
	return text + "; then run: " + c.resyncCommand(t)
}

// changeable says whether a declared table can go on as next: columns may come and go, a type may widen. It returns why not.
func changeable(old, next *ingest.Schema) string {
	if !slices.Equal(old.Key, next.Key) {
		return "its primary key changed"
	}
	for _, c := range next.Columns {
		i := old.Column(c.Name)
		if i < 0 {
			continue
		}
		if was := old.Columns[i].Type; !widens(was, c.Type) {
			return fmt.Sprintf("the type of column %s changed from %s to %s", quoteName(c.Name), old.Columns[i].Native, c.Native)
		} else if slices.Contains(old.Key, c.Name) && was.Kind != c.Type.Kind {
			return fmt.Sprintf("the type of key column %s changed from %s to %s", quoteName(c.Name), old.Columns[i].Native, c.Native)
		}
	}
	return ""
}

// widens reports whether every value of a is a value of b.
func widens(a, b ingest.Type) bool {
	if a.Kind == b.Kind {
		return a.Kind != ingest.Decimal || b.Scale >= a.Scale && b.Precision-b.Scale >= a.Precision-a.Scale
	}
	rank := map[ingest.Kind]int{ingest.Int16: 1, ingest.Int32: 2, ingest.Int64: 3}
	switch {
	case rank[a.Kind] > 0 && rank[b.Kind] > 0:
		return rank[a.Kind] < rank[b.Kind]
	case a.Kind == ingest.Float32:
		return b.Kind == ingest.Float64
	case a.Kind == ingest.JSON:
		return b.Kind == ingest.Text
	case a.Kind == ingest.Int64 && b.Kind == ingest.Decimal: // BIGINT became BIGINT UNSIGNED or a wide DECIMAL
		return b.Precision-b.Scale >= 19
	}
	return false
}

// hasColumn reports whether the table has the column now. Names of columns have no case.
func hasColumn(c *rows.Catalogue) func(name string) bool {
	return func(name string) bool {
		return c != nil && slices.ContainsFunc(c.Columns, func(col rows.CatalogueColumn) bool { return strings.EqualFold(col.Name, name) })
	}
}

// compareCatalogues says what an ALTER may have done to rows without logging them: rewritten when a column that stays has
// another type, charset or refuses NULL now, so that its values may have been converted, or when columns went and came or
// changed places, which may have been a rename; added lists the new columns, which hold their default in old rows.
func compareCatalogues(before, after *rows.Catalogue) (rewritten bool, added []string) {
	if before == nil || after == nil {
		return false, nil
	}
	stayed, last := 0, -1
	for _, c := range after.Columns {
		i := slices.IndexFunc(before.Columns, func(b rows.CatalogueColumn) bool { return b.Name == c.Name })
		if i >= 0 {
			b := before.Columns[i]
			moved := i < last
			stayed, last = stayed+1, i
			rewritten = rewritten || moved || !slices.Contains(after.Drop, c.Name) && (b.ColumnType != c.ColumnType || b.Charset != c.Charset || b.Nullable && !c.Nullable)
		} else if !slices.Contains(after.Drop, c.Name) {
			added = append(added, c.Name)
		}
	}
	renamed := len(added) > 0 && stayed < len(before.Columns)
	return rewritten || renamed, added
}

// lost lists the columns of before that after has not.
func lost(before, after *rows.Catalogue) []string {
	var out []string
	if before != nil && after != nil {
		for _, c := range before.Columns {
			if !hasColumn(after)(c.Name) {
				out = append(out, c.Name)
			}
		}
	}
	return out
}
