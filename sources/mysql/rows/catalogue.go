package rows

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
)

// Catalogue is what information_schema says about one table.
type Catalogue struct {
	Columns   []CatalogueColumn
	Key       []string // primary key columns in key order
	Versioned bool     // MariaDB WITH SYSTEM VERSIONING
	Drop      []string // columns that are not carried: schemas and plans are without them. The caller sets it
}

// CatalogueColumn is one row of information_schema.columns, in ordinal order.
type CatalogueColumn struct {
	Name       string
	ColumnType string // "bigint(20) unsigned"
	DataType   string // "bigint"
	Nullable   bool
	Charset    string // empty for columns without one
	Octets     int64  // character_octet_length
	Precision  int64  // numeric_precision; bits of a BIT
	Scale      int64
	Fraction   int64 // datetime_precision
	Extra      string
	JSON       bool // MariaDB: the column has the check json_valid(column) that the type JSON implies
}

// CatalogueQuery is the query that reads the catalogue of one table, for ReadCatalogue. Flavor is go-mysql's: "mysql" or
// "mariadb". The result has no rows when the table does not exist or cannot be seen.
func CatalogueQuery(flavor string, t ingest.TableName) (query string, args []any) {
	json, join := "0", ""
	if flavor == mysql.MariaDBFlavor {
		// JSON is an alias of LONGTEXT with a column check; nothing else tells it apart.
		json = "COALESCE(k.check_clause = CONCAT('json_valid(`', REPLACE(c.column_name, '`', '``'), '`)'), 0)"
		join = " LEFT JOIN (SELECT constraint_name, check_clause FROM information_schema.check_constraints" +
			" WHERE constraint_schema = ? AND table_name = ? AND level = 'Column') k ON k.constraint_name = c.column_name"
	}
	query = "SELECT c.column_name, c.column_type, c.data_type, c.is_nullable = 'YES', c.character_set_name," +
		" c.character_octet_length, c.numeric_precision, c.numeric_scale, c.datetime_precision, c.extra, " + json + "," +
		" s.seq_in_index, t.table_type = 'SYSTEM VERSIONED'" +
		" FROM information_schema.columns c" +
		" JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name" +
		" LEFT JOIN (SELECT column_name, seq_in_index FROM information_schema.statistics" +
		" WHERE table_schema = ? AND table_name = ? AND index_name = 'PRIMARY') s ON s.column_name = c.column_name" + join +
		" WHERE c.table_schema = ? AND c.table_name = ? AND t.table_schema = ? AND t.table_name = ?" +
		" ORDER BY c.ordinal_position"
	for range strings.Count(query, "?") / 2 {
		args = append(args, t.Schema, t.Name)
	}
	return query, args
}

// Result is the part of *sql.Rows that ReadCatalogue needs.
type Result interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}

// ReadCatalogue scans the result of CatalogueQuery. The caller closes the result.
func ReadCatalogue(r Result) (Catalogue, error) {
	var out Catalogue
	type keyPart struct {
		seq  int64
		name string
	}
	var key []keyPart
	for r.Next() {
		var c CatalogueColumn
		var charset, extra sql.NullString
		var octets, precision, scale, fraction, seq sql.NullInt64
		err := r.Scan(&c.Name, &c.ColumnType, &c.DataType, &c.Nullable, &charset, &octets, &precision, &scale, &fraction, &extra, &c.JSON, &seq, &out.Versioned)
		if err != nil {
			return Catalogue{}, fmt.Errorf("reading the catalogue: %w", err)
		}
		c.Charset, c.Extra = charset.String, extra.String
		c.Octets, c.Precision, c.Scale, c.Fraction = octets.Int64, precision.Int64, scale.Int64, fraction.Int64
		out.Columns = append(out.Columns, c)
		if seq.Valid {
			key = append(key, keyPart{seq.Int64, c.Name})
		}
	}
	if err := r.Err(); err != nil {
		return Catalogue{}, fmt.Errorf("reading the catalogue: %w", err)
	}
	slices.SortFunc(key, func(a, b keyPart) int { return int(a.seq - b.seq) })
	for _, k := range key {
		out.Key = append(out.Key, k.name)
	}
	return out, nil
}

// SchemaFrom derives the canonical schema of a table from its catalogue.
func SchemaFrom(table ingest.TableName, c Catalogue) (*ingest.Schema, error) {
	cols, err := c.describe(table)
	if err != nil {
		return nil, err
	}
	return schemaOf(table, cols, c.Key)
}
