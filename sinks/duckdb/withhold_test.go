//go:build duckdb_arrow

package duckdb

import (
	"testing"

	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/tidemill/tidemill/internal/realtest"
)

// What DuckDB says of a query quotes the query: names in quotes, and the line below (invariant 5).
func TestWithhold(t *testing.T) {
	for _, text := range []string{
		`Binder Error: Referenced column "` + realtest.Canary + `" not found in FROM clause!`,
		"Parser Error: syntax error at or near \"x\"\n\nLINE 1: SELECT '" + realtest.Canary + "' x",
		`Catalog Error: Table with name '` + realtest.Canary + `' does not exist!`,
	} {
		realtest.NoCanary(t, "an error", withhold(&driver.Error{Type: driver.ErrorTypeBinder, Msg: text}).Error())
	}
}
