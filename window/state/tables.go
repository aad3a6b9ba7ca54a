//go:build duckdb_arrow

package state

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// tableName is the SQL name of an input's table.
func tableName(input string) string { return duck.Ident("in:" + input) }

// columnType is how a kind is stored. JSON is kept as text: DuckDB would parse every value to store it as JSON.
func columnType(t ingest.Type) string {
	if t.Kind == ingest.JSON {
		t.Kind = ingest.Text
	}
	return duck.ColumnType(t)
}

// SchemaError is a change of a table that the state cannot follow. The caller parks the table.
type SchemaError struct {
	Input, What string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("table %s: %s; resync the table", e.Input, e.What)
}

// NotPrimedError says that a view reads tables whose rows the state does not have.
type NotPrimedError struct {
	View   string
	Inputs []string
}

func (e *NotPrimedError) Error() string {
	return fmt.Sprintf("view %s reads %s, whose rows are not in the state", e.View, strings.Join(e.Inputs, ", "))
}

// Missing lists the inputs of the plan's views that must be primed before Prepare.
func (f *File) Missing(p Plan) []string {
	var out []string
	for _, o := range p.Outputs {
		out = append(out, f.missing(o)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (f *File) missing(o Output) []string {
	var out []string
	if o.View != nil && !o.Hold {
		for _, r := range o.View.Relations {
			if f.tables[r.Input] == nil {
				out = append(out, r.Input)
			}
		}
	}
	return out
}

// Prime fills a table with its rows as of the cut that the state stands at. read calls its argument with batches of the
// schema's columns, in order; a nil read starts the table empty, which is right before anything of it was published.
func (f *File) Prime(ctx context.Context, input string, s *ingest.Schema, read func(func(arrow.RecordBatch) error) error) error {
	fresh := *s
	fresh.Columns = slices.Clone(s.Columns)
	err := f.conn.Tx(ctx, func() error {
		if _, err := f.conn.Exec(ctx, "DROP TABLE IF EXISTS "+tableName(input)); err != nil {
			return err
		}
		if err := f.createTable(ctx, input, &fresh); err != nil {
			return err
		}
		if read == nil {
			return nil
		}
		want := primeSchema(&fresh)
		return read(func(b arrow.RecordBatch) error {
			if err := sameColumns(b.Schema(), want); err != nil {
				return err
			}
			_, err := f.conn.LoadArrow(ctx, duck.Append, tableName(input), b.Schema(), b)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("priming table %s: %w", input, err)
	}
	f.tables[input] = &fresh
	return nil
}

// primeSchema is the Arrow schema of a table's columns without the operation.
func primeSchema(s *ingest.Schema) *arrow.Schema {
	fields := s.Arrow().Fields()
	return arrow.NewSchema(fields[:len(fields)-1], nil)
}

func sameColumns(got, want *arrow.Schema) error {
	if got.NumFields() != want.NumFields() {
		return fmt.Errorf("batch has %d columns, want %d", got.NumFields(), want.NumFields())
	}
	for i, w := range want.Fields() {
		if g := got.Field(i); g.Name != w.Name || !arrow.TypeEqual(g.Type, w.Type) {
			return fmt.Errorf("column %d of the batch is %s %s, want %s %s", i, g.Name, g.Type, w.Name, w.Type)
		}
	}
	return nil
}

func (f *File) createTable(ctx context.Context, input string, s *ingest.Schema) error {
	var cols []string
	for _, c := range s.Columns {
		cols = append(cols, duck.Ident(c.Name)+" "+columnType(c.Type))
	}
	if _, err := f.conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s)", tableName(input), strings.Join(cols, ", "))); err != nil {
		return err
	}
	return f.saveSchema(ctx, input, s)
}

func (f *File) saveSchema(ctx context.Context, input string, s *ingest.Schema) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := f.conn.Exec(ctx, "DELETE FROM tm_tables WHERE input = ?", input); err != nil {
		return err
	}
	_, err = f.conn.Exec(ctx, "INSERT INTO tm_tables VALUES (?, ?)", input, string(b))
	return err
}

// union is the columns of two schemas of one table by name: the first's in order, then what the second adds. The same
// column with another type, or another key, is a *SchemaError.
func union(input string, a, b *ingest.Schema) (*ingest.Schema, error) {
	if !slices.Equal(a.Key, b.Key) {
		return nil, &SchemaError{Input: input, What: fmt.Sprintf("its primary key changed from (%s) to (%s)", strings.Join(a.Key, ", "), strings.Join(b.Key, ", "))}
	}
	out := *a
	out.Columns = slices.Clone(a.Columns)
	for _, c := range b.Columns {
		i := a.Column(c.Name)
		if i < 0 {
			out.Columns = append(out.Columns, c)
			continue
		}
		old := a.Columns[i].Type
		if old.Kind != c.Type.Kind || old.Precision != c.Type.Precision || old.Scale != c.Type.Scale {
			return nil, &SchemaError{Input: input, What: fmt.Sprintf("column %s changed from %s to %s", c.Name, typeText(old), typeText(c.Type))}
		}
		out.Columns[i] = c
	}
	return &out, nil
}

func typeText(t ingest.Type) string {
	if t.Kind == ingest.Decimal {
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	}
	return t.Kind.String()
}

// widen adds the columns to a table that a newer schema has, and returns the table's schema after that.
func (f *File) widen(ctx context.Context, input string, s *ingest.Schema) (*ingest.Schema, error) {
	old := f.tables[input]
	wide, err := union(input, old, s)
	if err != nil {
		return nil, err
	}
	for _, c := range wide.Columns[len(old.Columns):] {
		if _, err := f.conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", tableName(input), duck.Ident(c.Name), columnType(c.Type))); err != nil {
			return nil, fmt.Errorf("adding column %s: %w", c.Name, err)
		}
	}
	return wide, f.saveSchema(ctx, input, wide)
}

// columnNames lists a schema's columns.
func columnNames(s *ingest.Schema) []string {
	out := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		out[i] = c.Name
	}
	return out
}
