package rows

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// hintFor is the catalogue that the recorded table of all types had, as far as a plan takes hints from it.
func hintFor(p *Plan, flavor string) *Catalogue {
	c := &Catalogue{Key: p.Schema().Key}
	for _, col := range p.Schema().Columns {
		cc := CatalogueColumn{Name: col.Name, ColumnType: col.Native, DataType: strings.Fields(strings.SplitN(col.Native, "(", 2)[0])[0]}
		var i int
		if n, _ := fmt.Sscanf(col.Name, "c%d", &i); n == 1 {
			ddl := smallCases(flavor)[i].ddl
			cc.DataType = strings.ToLower(strings.Fields(ddl)[0])
			cc.ColumnType = cc.DataType
			if cc.DataType == "json" && flavor == "mariadb" {
				cc.DataType, cc.ColumnType, cc.JSON, cc.Charset = "longtext", "longtext", true, "utf8mb4"
			}
		}
		c.Columns = append(c.Columns, cc)
	}
	return c
}

// planFixture makes the plan that the recorded events of all types need.
func planFixture(t testing.TB, f *fixture, e event) *Plan {
	t.Helper()
	p, err := NewPlan(e.table, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = NewPlan(e.table, hintFor(p, f.flavor)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGolden decodes recorded events without a server. The golden text was compared with the servers' own by testTypes when
// it was written: go test -run TestGolden -record, after TestRecord.
func TestGolden(t *testing.T) {
	for _, flavor := range flavors {
		f := loadFixture(t, flavor, "types")
		events := f.events(t)
		p := planFixture(t, f, events[0])
		to := newTarget(p.Schema(), 1)
		rows := 0
		for _, e := range events {
			n, err := p.Rows(e.Kind, e.Body, to)
			if err != nil {
				t.Fatal(err)
			}
			rows += n
		}
		var out strings.Builder
		for r, row := range to.render(t) {
			for c, v := range row[:len(row)-1] {
				fmt.Fprintf(&out, "%d %s %s: %q\n", r, row[len(row)-1], p.Schema().Columns[c].Native, v)
			}
		}
		fmt.Fprintf(&out, "%d source rows, invalid %v\n", rows, p.Invalid())
		path := filepath.Join("testdata", flavor+"-types.golden")
		if *record {
			if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != out.String() {
			t.Errorf("%s: decoded rows differ from %s", flavor, path)
		}
	}
}

// TestNoAllocations decodes every type, and the ten-column table, without one allocation per event once buffers have grown.
func TestNoAllocations(t *testing.T) {
	for _, flavor := range flavors {
		for _, name := range []string{"types", "bench"} {
			for _, partitions := range []int{1, 3} {
				f := loadFixture(t, flavor, name)
				events := f.events(t)
				p, err := NewPlan(events[0].table, nil)
				if err != nil {
					t.Fatal(err)
				}
				if name == "types" {
					p = planFixture(t, f, events[0])
				}
				to := &plainTarget{newTarget(p.Schema(), partitions).builders}
				work := func() {
					for _, b := range to.builders {
						b.Reset()
					}
					for _, e := range events {
						if _, err := p.Rows(e.Kind, e.Body, to); err != nil {
							t.Fatal(err)
						}
					}
				}
				work()
				if n := testing.AllocsPerRun(20, work); n > 0 {
					t.Errorf("%s %s in %d partitions: %v allocations for %d events", flavor, name, partitions, n, len(events))
				}
			}
		}
	}
}

// TestPartitions sends a row to the partition of its key's hash, the same from the binlog and from text.
func TestPartitions(t *testing.T) {
	f := loadFixture(t, "mysql", "bench")
	events := f.events(t)
	p, err := NewPlan(events[0].table, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := NewTextPlan(tableName("bench"), Catalogue{Key: []string{"id"}, Columns: []CatalogueColumn{{Name: "id", ColumnType: "bigint unsigned", DataType: "bigint"}}})
	if err != nil {
		t.Fatal(err)
	}
	to := newTarget(p.Schema(), 5)
	if _, err := p.Rows(events[0].Kind, events[0].Body, to); err != nil {
		t.Fatal(err)
	}
	used := 0
	for i, b := range to.builders {
		if b.Rows() > 0 {
			used++
		}
		for _, row := range render(t, b) {
			key, err := text.TextKey(append([]byte{byte(len(row[0]))}, row[0]...))
			if err != nil {
				t.Fatal(err)
			}
			if got := ingest.PartitionOf(Hash(key), 5); got != i {
				t.Fatalf("key %s is in partition %d, its text in %d", row[0], i, got)
			}
		}
	}
	if used != 5 {
		t.Errorf("rows went to %d of 5 partitions", used)
	}
}

// TestRowsAfter resumes inside events as if the rows before had never been there.
func TestRowsAfter(t *testing.T) {
	for _, e := range loadFixture(t, "mariadb", "bench").events(t) {
		p, err := NewPlan(e.table, nil)
		if err != nil {
			t.Fatal(err)
		}
		all := newTarget(p.Schema(), 1)
		n, err := p.Rows(e.Kind, e.Body, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, skip := range []int{1, n / 2, n, n + 3} {
			to := newTarget(p.Schema(), 1)
			skipped, rest, err := p.RowsAfter(e.Kind, e.Body, skip, to)
			if err != nil || skipped != min(skip, n) || skipped+rest != n {
				t.Fatalf("skipping %d of %d: %d, %d, %v", skip, n, skipped, rest, err)
			}
			compare(t, p.Schema(), to.render(t), all.render(t)[skipped:])
		}
	}
}
