package rows

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/tidemill/tidemill/ingest"
)

// checkWhole verifies that a builder holds whole rows and valid text: what Arrow readers take for granted.
func checkWhole(t *testing.T, b *ingest.Builder) {
	t.Helper()
	rec := b.Record()
	defer rec.Release()
	for i := range int(rec.NumCols()) {
		if rec.Column(i).Len() != b.Rows() {
			t.Fatalf("column %d holds %d values in %d rows", i, rec.Column(i).Len(), b.Rows())
		}
	}
	for r, row := range render(t, b) {
		for c, v := range row[:len(row)-1] {
			if k := b.Schema().Columns[c].Type.Kind; (k == ingest.Text || k == ingest.JSON) && !utf8.ValidString(v) {
				t.Fatalf("row %d column %d is not UTF-8", r, c)
			}
		}
	}
}

// FuzzRows damages recorded rows events of every type (invariants 4 and 6).
func FuzzRows(f *testing.F) {
	plans := make([]*Plan, len(flavors))
	for i, flavor := range flavors {
		fix := loadFixture(f, flavor, "types")
		events := fix.events(f)
		plans[i] = planFixture(f, fix, events[0])
		for _, e := range events {
			f.Add(i, byte(e.Kind), 0, e.Body)
		}
	}
	f.Fuzz(func(t *testing.T, plan int, kind byte, skip int, body []byte) {
		p := plans[uint(plan)%uint(len(plans))]
		to := newTarget(p.Schema(), 2)
		before := bytes.Clone(body)
		_, n, err := p.RowsAfter(Kind(kind), body, skip%8, to)
		if err == nil && n > len(body) {
			t.Fatalf("%d rows in %d bytes", n, len(body))
		}
		for _, b := range to.builders {
			checkWhole(t, b)
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the event was written to")
		}
	})
}

// FuzzTableMap damages recorded table maps, then decodes with what came of them.
func FuzzTableMap(f *testing.F) {
	var bodies [][]event
	var fixtures []*fixture
	for i, flavor := range flavors {
		fix := loadFixture(f, flavor, "types")
		bodies, fixtures = append(bodies, fix.events(f)), append(fixtures, fix)
		seed := fix.raw[0][replication.EventHeaderSize : len(fix.raw[0])-fix.sums]
		if tm, ok := fix.tableMap(seed); !ok || string(tm.Table) != "all_types" {
			f.Fatal("the recorded table map does not parse")
		}
		f.Add(i, seed)
	}
	f.Fuzz(func(t *testing.T, flavor int, data []byte) {
		i := uint(flavor) % uint(len(flavors))
		tm, ok := fixtures[i].tableMap(data)
		if !ok {
			return
		}
		p, err := NewPlan(tm, nil)
		if err != nil {
			return
		}
		to := newTarget(p.Schema(), 2)
		for _, e := range bodies[i] {
			_, _ = p.Rows(e.Kind, e.Body, to)
		}
		for _, b := range to.builders {
			checkWhole(t, b)
		}
	})
}

// tableMap lets go-mysql read a table map; its own panics are not ours to test.
func (f *fixture) tableMap(data []byte) (tm *replication.TableMapEvent, ok bool) {
	defer func() { ok = recover() == nil && ok }()
	raw := make([]byte, replication.EventHeaderSize, replication.EventHeaderSize+len(data)+f.sums)
	raw = append(append(raw, data...), make([]byte, f.sums)...)
	raw[4] = byte(replication.TABLE_MAP_EVENT)
	binary.LittleEndian.PutUint32(raw[9:], uint32(len(raw)))
	e, err := f.parser.Parse(raw)
	if err != nil {
		return nil, false
	}
	return e.Event.(*replication.TableMapEvent), true
}

// FuzzText damages row packets.
func FuzzText(f *testing.F) {
	p, err := NewTextPlan(tableName("x"), textCatalogue())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(textPacket(textRow...))
	f.Fuzz(func(t *testing.T, packet []byte) {
		b := ingest.NewBuilder(p.Schema())
		key, kerr := p.TextKey(packet)
		if err := p.TextRow(packet, b); err == nil {
			if kerr != nil {
				t.Fatalf("a row whose key does not decode: %v", kerr)
			}
			if len(key) == 0 || b.Rows() != 1 {
				t.Fatal("no key or no row")
			}
		}
		checkWhole(t, b)
	})
}

// FuzzJSON renders damaged documents: no panic, no endless output.
func FuzzJSON(f *testing.F) {
	for _, doc := range [][]byte{
		{}, {4, 0}, {5, 1, 0}, {12, 1, 'x'}, {2, 2, 0, 12, 0, 5, 1, 0, 4, 1, 0, 0, 0}, {0, 1, 0, 12, 0, 11, 0, 1, 0, 5, 7, 0, 'a'},
		{15, 246, 7, 11, 2, 127, 255, 255, 255, 205}, {15, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0}, {11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f},
		{2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0}, // both elements are the array itself
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var j jsonRenderer
		if j.render(doc) && len(j.out) > 64*len(doc)+64 {
			t.Fatalf("%d bytes became %d", len(doc), len(j.out))
		}
	})
}

// TestErrorsHoldNoValues plants a canary in values that cannot be decoded (invariant 5).
func TestErrorsHoldNoValues(t *testing.T) {
	const canary = "canary7Qx"
	p, err := NewTextPlan(tableName("x"), textCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	b := ingest.NewBuilder(p.Schema())
	for i := range textRow {
		row := append([]string(nil), textRow...)
		row[i] = canary
		err := p.TextRow(textPacket(row...), b)
		if err == nil {
			if k := p.Schema().Columns[i].Type.Kind; k != ingest.Text && k != ingest.Bytes && k != ingest.JSON && k != ingest.Bool && k != ingest.Int64 {
				t.Errorf("column %d took the canary", i)
			}
			continue
		}
		for _, must := range []string{"t.x", p.Schema().Columns[i].Name, p.Schema().Columns[i].Native} {
			if !strings.Contains(err.Error(), must) {
				t.Errorf("%q does not name %q", err, must)
			}
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%q holds the value", err)
		}
	}
	checkWhole(t, b)
}
