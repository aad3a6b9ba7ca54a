//go:build duckdb_arrow

package state

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/window/view"
)

// TestPropertyPostgres judges by another engine: PostgreSQL evaluates the views over the same images.
func TestPropertyPostgres(t *testing.T) {
	s := realtest.Postgres(t)
	admin := realtest.Open(t, s, "postgres")
	realtest.Exec(t, admin, "CREATE DATABASE oracle TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'")
	db := realtest.Open(t, s, "oracle")
	for seed := range uint64(12) {
		if err := runSeed(t, seed+1001, mutateNone, pgOracle{db}); err != nil {
			t.Fatal(err)
		}
	}
}

type pgOracle struct{ db *sql.DB }

func pgType(t ingest.Type) string {
	switch t.Kind {
	case ingest.Int64:
		return "bigint"
	case ingest.Int32:
		return "integer"
	case ingest.Bool:
		return "boolean"
	case ingest.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	}
	return "text"
}

func (o pgOracle) evaluate(t *testing.T, w *world, spec view.Spec, v *view.View) (out map[string]string, err error) {
	tx, err := o.db.BeginTx(t.Context(), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	for _, stmt := range w.sql(pgType) {
		if _, err := tx.ExecContext(t.Context(), stmt); err != nil {
			return nil, fmt.Errorf("%s: %w", stmt, err)
		}
	}
	var cols []string
	for _, c := range v.Columns {
		cols = append(cols, c.Name+"::text")
	}
	rows, err := tx.QueryContext(t.Context(), "SELECT "+strings.Join(cols, ", ")+" FROM ("+spec.SQL+") AS v")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out = map[string]string{}
	for rows.Next() {
		values := make([]sql.NullString, len(cols))
		into := make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var key, row []string
		for i, x := range values {
			text := x.String
			if !x.Valid {
				text = "(null)"
			} else if v.Columns[i].Type.Kind == ingest.Decimal {
				f, err := strconv.ParseFloat(text, 64)
				if err != nil {
					return nil, err
				}
				text = strconv.FormatFloat(f, 'f', -1, 64)
			}
			row = append(row, text)
		}
		for _, k := range spec.Key {
			for i, c := range v.Columns {
				if c.Name == k {
					key = append(key, row[i])
				}
			}
		}
		out[strings.Join(key, "|")] = strings.Join(row, "|")
	}
	return out, rows.Err()
}
