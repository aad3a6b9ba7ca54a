//go:build duckdb_arrow

package duck

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// ColumnType is the DuckDB type of a column of type t.
func ColumnType(t ingest.Type) string {
	switch t.Kind {
	case ingest.Bool:
		return "BOOLEAN"
	case ingest.Int16:
		return "SMALLINT"
	case ingest.Int32:
		return "INTEGER"
	case ingest.Int64:
		return "BIGINT"
	case ingest.Float32:
		return "FLOAT"
	case ingest.Float64:
		return "DOUBLE"
	case ingest.Decimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case ingest.Text:
		return "VARCHAR"
	case ingest.JSON:
		return "JSON"
	case ingest.Bytes:
		return "BLOB"
	case ingest.Date:
		return "DATE"
	case ingest.Timestamp:
		return "TIMESTAMP"
	case ingest.TimestampTZ:
		return "TIMESTAMP WITH TIME ZONE"
	}
	panic("duck: no DuckDB type for " + t.Kind.String())
}

// TypeError is a result column whose type has no kind.
type TypeError struct {
	Column string
	Type   string // DuckDB's name
	Cast   string // the type to cast to
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("column %s has the type %s, which no warehouse column holds; write CAST(... AS %s) AS %s", e.Column, e.Type, e.Cast, Ident(e.Column))
}

var kindOf = map[string]ingest.Kind{
	"BOOLEAN": ingest.Bool, "SMALLINT": ingest.Int16, "INTEGER": ingest.Int32, "BIGINT": ingest.Int64,
	"FLOAT": ingest.Float32, "DOUBLE": ingest.Float64, "VARCHAR": ingest.Text, "JSON": ingest.JSON, "BLOB": ingest.Bytes,
	"DATE": ingest.Date, "TIMESTAMP": ingest.Timestamp, "TIMESTAMP WITH TIME ZONE": ingest.TimestampTZ,
}

// casts names the nearest supported type of the others.
var casts = map[string]string{
	"TINYINT": "SMALLINT", "UTINYINT": "SMALLINT", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT", "UBIGINT": "DECIMAL(20,0)",
	"UHUGEINT": "DECIMAL(38,0)", "BIGNUM": "DECIMAL(38,0)", "TIMESTAMP_S": "TIMESTAMP", "TIMESTAMP_MS": "TIMESTAMP", "TIMESTAMP_NS": "TIMESTAMP",
	`"NULL"`: "VARCHAR",
}

// TypeOf is the kind of a result column that DuckDB describes with the given type name.
func TypeOf(column, duckType string) (ingest.Type, error) {
	if k, ok := kindOf[duckType]; ok {
		return ingest.Type{Kind: k}, nil
	}
	if duckType == "HUGEINT" { // what sum() of integers gives; leaves DuckDB as decimal(38,0)
		return ingest.Type{Kind: ingest.Decimal, Precision: 38}, nil
	}
	var p, s int32
	if n, err := fmt.Sscanf(duckType, "DECIMAL(%d,%d)", &p, &s); n == 2 && err == nil && strings.HasSuffix(duckType, ")") && !strings.Contains(duckType, "[") {
		return ingest.Type{Kind: ingest.Decimal, Precision: p, Scale: s}, nil
	}
	cast, ok := casts[duckType]
	if !ok {
		cast = "VARCHAR"
	}
	return ingest.Type{}, &TypeError{Column: column, Type: duckType, Cast: cast}
}

// Described is one result column of a query as DuckDB names it.
type Described struct{ Name, Type string }

// Describe returns the result columns of a query without running it.
func (c *Conn) Describe(ctx context.Context, query string) ([]Described, error) {
	var out []Described
	err := c.Rows(ctx, "DESCRIBE "+query, func(row []driver.Value) error {
		out = append(out, Described{Name: row[0].(string), Type: row[1].(string)})
		return nil
	})
	return out, err
}
