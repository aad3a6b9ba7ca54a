package parquet

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
)

// Schema says what the columns of a file are.
type Schema struct {
	Columns []ingest.Column
	Op      bool // an ingest.OpColumn (INT32: 1 upsert, 2 delete) follows the columns
}

// Arrow is the Arrow schema that Read gives and that the file holds. All columns are optional but the operation.
func (s Schema) Arrow() *arrow.Schema {
	fields := make([]arrow.Field, 0, len(s.Columns)+1)
	for _, c := range s.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: true})
	}
	if s.Op {
		fields = append(fields, arrow.Field{Name: ingest.OpColumn, Type: arrow.PrimitiveTypes.Int32})
	}
	return arrow.NewSchema(fields, nil)
}

// match reports whether a batch's columns are the schema's, in order. Nullability is not compared, and the operation may
// be the uint8 of a log batch.
func (s Schema) match(got *arrow.Schema) error {
	want := s.Arrow()
	if got.NumFields() != want.NumFields() {
		return fmt.Errorf("batch has %d columns, want %d", got.NumFields(), want.NumFields())
	}
	for i, w := range want.Fields() {
		g := got.Field(i)
		if g.Name != w.Name {
			return fmt.Errorf("column %d of the batch is %s, want %s", i, g.Name, w.Name)
		}
		op := s.Op && i == len(s.Columns) && arrow.TypeEqual(g.Type, arrow.PrimitiveTypes.Uint8)
		if !op && !arrow.TypeEqual(g.Type, w.Type) {
			return fmt.Errorf("column %s of the batch is %s, want %s", g.Name, g.Type, w.Type)
		}
	}
	return nil
}
