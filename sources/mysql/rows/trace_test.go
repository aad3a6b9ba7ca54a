package rows

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// A row that is refused in its middle leaves nothing behind (invariant 4): the next one is what it would have been.
func TestRefusedRowLeavesNoTrace(t *testing.T) {
	p, err := NewTextPlan(tableName("x"), textCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	good := textPacket(textRow...)
	one := func(before ...[]byte) string {
		b := ingest.NewBuilder(p.Schema())
		for _, packet := range before {
			if err := p.TextRow(packet, b); err == nil {
				t.Fatal("a packet that is cut off was taken")
			}
		}
		if err := p.TextRow(good, b); err != nil {
			t.Fatal(err)
		}
		rec := b.Record()
		defer rec.Release()
		return fmt.Sprint(rec.NumRows(), rec.Columns())
	}
	other := slices.Clone(textRow)
	other[0] = "77"
	bad := textPacket(other...)
	if got, want := one(bad[:len(bad)/2], bad[:len(bad)-1]), one(); got != want {
		t.Errorf("after two rows that were refused:\n%s\nwant\n%s", got, want)
	}
}
