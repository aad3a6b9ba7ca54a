package rows

import (
	"fmt"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/tidemill/tidemill/ingest"
)

func benchRow(i int) string {
	note := "NULL"
	if i%4 != 0 {
		note = fmt.Sprintf("'note for row number %d, some text'", i)
	}
	return fmt.Sprintf("(%d, %d, %d, %d.%04d, 'customer name %d', %s, '2024-05-%02d 12:34:%02d.%06d', '2024-05-%02d 01:02:03', '%s', %d.25)",
		1000000+i, i*7, i%60000, i*13, i%10000, i, note, 1+i%28, i%60, i%1000000, 1+i%28, []string{"new", "open", "done"}[i%3], i)
}

// BenchmarkRows decodes the inserts of the ten-column table with one partition (no key work), with four (every key
// hashed), and with go-mysql's own decoder in its fastest setting.
func BenchmarkRows(b *testing.B) {
	for _, flavor := range flavors {
		f := loadFixture(b, flavor, "bench")
		for _, partitions := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/tidemill-%d", flavor, partitions), func(b *testing.B) { benchTidemill(b, f, partitions) })
		}
		b.Run(flavor+"/go-mysql", func(b *testing.B) { benchGoMySQL(b, f) })
	}
}

// plainTarget is a Target that no Toucher.
type plainTarget struct{ builders []*ingest.Builder }

func (t *plainTarget) Partitions() int               { return len(t.builders) }
func (t *plainTarget) Builder(p int) *ingest.Builder { return t.builders[p] }

func benchTidemill(b *testing.B, f *fixture, partitions int) {
	var inserts []event
	size := 0
	for _, e := range f.events(b) {
		if e.Kind == Write {
			inserts = append(inserts, e)
			size += len(e.Body)
		}
	}
	p, err := NewPlan(inserts[0].table, nil)
	if err != nil {
		b.Fatal(err)
	}
	to := &plainTarget{newTarget(p.Schema(), partitions).builders}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	rows := 0
	for b.Loop() {
		for _, t := range to.builders {
			if t.Rows() > 20000 {
				t.Reset()
			}
		}
		for _, e := range inserts {
			n, err := p.Rows(e.Kind, e.Body, to)
			if err != nil {
				b.Fatal(err)
			}
			rows += n
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func benchGoMySQL(b *testing.B, f *fixture) {
	f.parser.SetParseTime(true)
	var inserts [][]byte // with their table map, which the parser forgets at the end of a statement
	size := 0
	for _, raw := range f.raw {
		k := replication.EventType(raw[4])
		if len(inserts) > 0 && k != replication.WRITE_ROWS_EVENTv1 && k != replication.WRITE_ROWS_EVENTv2 {
			break
		}
		inserts = append(inserts, raw)
		size += len(raw)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	rows := 0
	for b.Loop() {
		for _, raw := range inserts {
			e, err := f.parser.Parse(raw)
			if err != nil {
				b.Fatal("go-mysql cannot decode the fixture")
			}
			if r, ok := e.Event.(*replication.RowsEvent); ok {
				rows += len(r.Rows)
			}
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkText decodes text-protocol rows of the ten-column table, key included.
func BenchmarkText(b *testing.B) {
	p, err := NewTextPlan(tableName("bench"), Catalogue{Key: []string{"id"}, Columns: []CatalogueColumn{
		{Name: "id", ColumnType: "bigint unsigned", DataType: "bigint"}, {Name: "k", ColumnType: "int", DataType: "int"},
		{Name: "small", ColumnType: "smallint unsigned", DataType: "smallint"}, {Name: "amount", ColumnType: "decimal(18,4)", DataType: "decimal", Precision: 18, Scale: 4},
		{Name: "name", ColumnType: "varchar(64)", DataType: "varchar", Charset: "utf8mb4", Octets: 256}, {Name: "note", ColumnType: "varchar(255)", DataType: "varchar", Charset: "utf8mb4", Octets: 1020},
		{Name: "created", ColumnType: "datetime(6)", DataType: "datetime", Fraction: 6}, {Name: "updated", ColumnType: "timestamp", DataType: "timestamp"},
		{Name: "status", ColumnType: "enum('new')", DataType: "enum", Charset: "utf8mb4"}, {Name: "ratio", ColumnType: "double", DataType: "double"}}})
	if err != nil {
		b.Fatal(err)
	}
	packet := textPacket("1000042", "-294", "60000", "123456.7891", "customer name 42", "note for row number 42, some text", "2024-05-12 12:34:56.123456", "2024-05-12 01:02:03", "open", "42.25")
	to := ingest.NewBuilder(p.Schema())
	b.ReportAllocs()
	b.SetBytes(int64(len(packet)))
	rows := 0
	for b.Loop() {
		if to.Rows() > 20000 {
			to.Reset()
		}
		if _, err := p.TextKey(packet); err != nil {
			b.Fatal(err)
		}
		if err := p.TextRow(packet, to); err != nil {
			b.Fatal(err)
		}
		rows++
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
