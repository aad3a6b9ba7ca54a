package rows

import (
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// A catalogue only hints (invariant 3): it was read before or after an ALTER as often as not. A column that looks otherwise on the
// wire than the catalogue says takes nothing from it; one that looks the same does.
func TestHintOfAnotherColumn(t *testing.T) {
	u := charsets["utf8mb4"]
	wire := func() []wireColumn {
		return []wireColumn{{column: column{name: "doc", family: famText, long: true, octets: 1<<32 - 1, charset: u}}}
	}
	hint := func(data string) *Catalogue {
		return &Catalogue{Columns: []CatalogueColumn{{Name: "doc", ColumnType: data, DataType: data, Nullable: true, Charset: "utf8mb4", Octets: octetsOf[data], JSON: true}}}
	}
	table := ingest.TableName{Schema: "d", Name: "t"}
	same := wire()
	if adopt(table, same, nil, hint("longtext")) || same[0].logical != isJSON {
		t.Errorf("the catalogue's own column is %v, want JSON", same[0].logical)
	}
	other := wire()
	if !adopt(table, other, nil, hint("tinytext")) || other[0].logical == isJSON || other[0].nullable {
		t.Errorf("of another column %v was taken, nullable %v", other[0].logical, other[0].nullable)
	}
}

var octetsOf = map[string]int64{"longtext": 1<<32 - 1, "tinytext": 255}
