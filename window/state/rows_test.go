//go:build duckdb_arrow

package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
)

// batches builds log batches of n rows.
func batches(s *ingest.Schema, rows []change, n int) []arrow.RecordBatch {
	var out []arrow.RecordBatch
	for len(rows) > 0 {
		m := min(n, len(rows))
		b := ingest.NewBuilder(s)
		for _, c := range rows[:m] {
			for i := range b.Cols {
				appendValue(&b.Cols[i], c.row[i])
			}
			b.End(c.op)
		}
		out = append(out, b.Record())
		rows = rows[m:]
	}
	return out
}

func appendValue(c *ingest.ColumnBuilder, v any) {
	switch v := v.(type) {
	case nil:
		c.Null()
	case int64:
		if c.Type().Kind == ingest.Decimal {
			c.Decimal(v>>63, uint64(v))
			return
		}
		c.Int64(v)
	case int32:
		c.Int32(v)
	case int16:
		c.Int16(v)
	case float32:
		c.Float32(v)
	case float64:
		c.Float64(v)
	case bool:
		c.Bool(v)
	case string:
		c.Bytes([]byte(v))
	default:
		panic(fmt.Sprintf("value %T", v))
	}
}

func newBatch(s *arrow.Schema, cols []arrow.Array, rows int64) arrow.RecordBatch {
	return array.NewRecordBatch(s, cols, rows)
}

// valueText is a value as Arrow prints it.
func valueText(v any, t ingest.Type) string {
	switch v := v.(type) {
	case nil:
		return "(null)"
	case int64:
		if t.Kind == ingest.Decimal {
			return decimalText(v)
		}
	}
	return fmt.Sprint(v)
}

// decimalText prints an unscaled decimal of scale 2 without trailing zeros, as Arrow does.
func decimalText(v int64) string { return strconv.FormatFloat(float64(v)/100, 'f', -1, 64) }

// sql writes the world as statements that create and fill its tables.
func (w *world) sql(columnType func(ingest.Type) string) []string {
	out := []string{"CREATE SCHEMA east", "CREATE SCHEMA west"}
	for _, t := range w.tables {
		var cols []string
		for _, c := range t.schema.Columns {
			cols = append(cols, c.Name+" "+columnType(c.Type))
		}
		out = append(out, fmt.Sprintf("CREATE TABLE %s (%s)", t.input, strings.Join(cols, ", ")))
		for _, row := range t.rows {
			var values []string
			for i, v := range row {
				text := valueText(v, t.schema.Columns[i].Type)
				switch {
				case v == nil:
					text = "NULL"
				case t.schema.Columns[i].Type.Kind == ingest.Text:
					text = "'" + strings.ReplaceAll(text, "'", "''") + "'"
				}
				values = append(values, text)
			}
			out = append(out, fmt.Sprintf("INSERT INTO %s VALUES (%s)", t.input, strings.Join(values, ", ")))
		}
	}
	return out
}
