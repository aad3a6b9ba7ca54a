package rows

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// textColumns is one column of each way to parse, with a good value.
var textColumns = []struct {
	native, data, value string
	col                 CatalogueColumn
}{
	{"int", "int", "7", CatalogueColumn{}},
	{"varchar(20)", "varchar", "key", CatalogueColumn{Charset: "utf8mb4", Octets: 80}},
	{"tinyint", "tinyint", "-128", CatalogueColumn{}},
	{"int(7) unsigned zerofill", "int", "0000042", CatalogueColumn{}},
	{"bigint", "bigint", "-9223372036854775808", CatalogueColumn{}},
	{"bigint unsigned", "bigint", "18446744073709551615", CatalogueColumn{}},
	{"decimal(10,2)", "decimal", "-12.30", CatalogueColumn{Precision: 10, Scale: 2}},
	{"decimal(38,0)", "decimal", "-99999999999999999999999999999999999999", CatalogueColumn{Precision: 38}},
	{"decimal(65,30)", "decimal", "-0.500000000000000000000000000000", CatalogueColumn{Precision: 65, Scale: 30}},
	{"float", "float", "0.10000000149011612", CatalogueColumn{}},
	{"double", "double", "-0", CatalogueColumn{}},
	{"bit(1)", "bit", "\x01", CatalogueColumn{Precision: 1}},
	{"bit(64)", "bit", "\xff\xff\xff\xff\xff\xff\xff\xff", CatalogueColumn{Precision: 64}},
	{"year", "year", "2155", CatalogueColumn{}},
	{"date", "date", "2024-02-29", CatalogueColumn{}},
	{"datetime(6)", "datetime", "9999-12-31 23:59:59.999999", CatalogueColumn{Fraction: 6}},
	{"timestamp", "timestamp", "1970-01-01 00:00:01", CatalogueColumn{}},
	{"time(3)", "time", "-838:59:59.001", CatalogueColumn{Fraction: 3}},
	{"char(5)", "char", "ab", CatalogueColumn{Charset: "latin1", Octets: 5}},
	{"binary(4)", "binary", "ab\x00\x00", CatalogueColumn{Octets: 4}},
	{"blob", "blob", "\x00\xff", CatalogueColumn{}},
	{"enum('a','b')", "enum", "a", CatalogueColumn{Charset: "latin1", Octets: 1}},
	{"json", "json", `{"a": 1}`, CatalogueColumn{}},
	{"uuid", "uuid", "0123456789abcdef", CatalogueColumn{}},
	{"inet6", "inet6", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", CatalogueColumn{}},
	{"inet4", "inet4", "\x7f\x00\x00\x01", CatalogueColumn{}},
}

var textRow = func() (out []string) {
	for _, c := range textColumns {
		out = append(out, c.value)
	}
	return out
}()

func textCatalogue() Catalogue {
	c := Catalogue{Key: []string{"b", "a"}}
	for i, tc := range textColumns {
		col := tc.col
		col.Name, col.ColumnType, col.DataType, col.Nullable = string(rune('a'+i)), tc.native, tc.data, i > 1
		c.Columns = append(c.Columns, col)
	}
	return c
}

// textPacket is a row packet; "NULL" is NULL.
func textPacket(values ...string) []byte {
	var out []byte
	for _, v := range values {
		if v == "NULL" {
			out = append(out, 0xfb)
			continue
		}
		if len(v) > 0xfa {
			out = append(out, 0xfc, byte(len(v)), byte(len(v)>>8))
		} else {
			out = append(out, byte(len(v)))
		}
		out = append(out, v...)
	}
	return out
}

func TestTextRow(t *testing.T) {
	p, err := NewTextPlan(tableName("x"), textCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	b := ingest.NewBuilder(p.Schema())
	nulls := append([]string{"7", "key"}, slices.Repeat([]string{"NULL"}, len(textRow)-2)...)
	for _, row := range [][]string{textRow, nulls} {
		if err := p.TextRow(textPacket(row...), b); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"7", "key", "-128", "42", "-9223372036854775808", "18446744073709551615", "-12.30", "-99999999999999999999999999999999999999",
		"-0.500000000000000000000000000000", "0x1.99999ap-04", "-0x0p+00", "true", "18446744073709551615", "2155", "2024-02-29", "9999-12-31 23:59:59.999999",
		"1970-01-01 00:00:01.000000", "-838:59:59.001", "ab", "61620000", "00FF", "a", `{"a": 1}`, "30313233-3435-3637-3839-616263646566", "::1", "127.0.0.1", "1"}
	if got := render(t, b); !slices.Equal(got[0], want) || !slices.Equal(got[1], append(nulls, "1")) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	packet := textPacket(textRow...)
	if n := testing.AllocsPerRun(50, func() {
		b.Reset()
		if _, err := p.TextKey(packet); err != nil {
			t.Fatal(err)
		}
		if err := p.TextRow(packet, b); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations per row", n)
	}
}

func TestTextRowRefuses(t *testing.T) {
	p, err := NewTextPlan(tableName("x"), textCatalogue())
	if err != nil {
		t.Fatal(err)
	}
	b := ingest.NewBuilder(p.Schema())
	good := textPacket(textRow...)
	var malformed *MalformedError
	for n := range good {
		if err := p.TextRow(good[:n], b); err == nil {
			t.Fatalf("a packet cut to %d bytes was taken", n)
		}
	}
	if err := p.TextRow(append(slices.Clone(good), 0xfb), b); !errors.As(err, &malformed) {
		t.Errorf("one column too many: %v", err)
	}
	var value *ValueError
	for col, bad := range map[int][]string{
		0: {"NULL", "", "x", "1x", "2147483648", "-2147483649"}, 1: {"NULL"}, 2: {"-32769", "32768", "--1", "-"}, 5: {"-1x", "", "18446744073709551616x"},
		6: {"12.345", "12.3", "1", ".", "a.00", ""}, 8: {"0.5"}, 9: {"", "0x1p", "nan?"}, 12: {"", "123456789"}, 14: {"2024-02-2", "2024/02/01", "2024-0x-01"},
		15: {"2024-02-01 24:00:00", "2024-02-01T00:00:00", "2024-02-01 00:60:00", "2024-02-01 00:00:00.", "2024-02-01"}, 17: {"", "-", "1:00:00", "00:00:60", "x00:00:00"},
		19: {"12345"}, 23: {"short"}, 24: {"12345678901234567"},
	} {
		for _, v := range bad {
			row := slices.Clone(textRow)
			row[col] = v
			if err := p.TextRow(textPacket(row...), b); !errors.As(err, &value) || value.Column != p.Schema().Columns[col].Name {
				t.Errorf("%s %q: got %v, want a ValueError", textColumns[col].native, v, err)
			}
		}
	}
	if b.Rows() != 0 {
		t.Errorf("%d rows were left behind", b.Rows())
	}
	checkWhole(t, b)
}

// TestInvalidKey refuses values without a canonical form in the key, where they would make two rows one.
func TestInvalidKey(t *testing.T) {
	p, err := NewTextPlan(tableName("x"), Catalogue{Key: []string{"a", "b"}, Columns: []CatalogueColumn{
		{Name: "a", ColumnType: "date", DataType: "date"}, {Name: "b", ColumnType: "char(5)", DataType: "char", Charset: "utf8mb4", Octets: 20},
		{Name: "c", ColumnType: "date", DataType: "date"}, {Name: "d", ColumnType: "text", DataType: "text", Charset: "greek"}}})
	if err != nil {
		t.Fatal(err)
	}
	b := ingest.NewBuilder(p.Schema())
	var value *ValueError
	for _, row := range [][]string{{"0000-00-00", "x", "2024-01-01", ""}, {"2024-01-01", "\xff", "2024-01-01", ""}} {
		if err := p.TextRow(textPacket(row...), b); !errors.As(err, &value) {
			t.Errorf("%q: got %v, want a ValueError", row, err)
		}
		if _, err := p.TextKey(textPacket(row...)); !errors.As(err, &value) {
			t.Errorf("key of %q: got %v, want a ValueError", row, err)
		}
	}
	if err := p.TextRow(textPacket("2024-01-01", "x", "2023-02-29", "a\xffb"), b); err != nil {
		t.Fatal(err)
	}
	if got := render(t, b); len(got) != 1 || !slices.Equal(got[0], []string{"2024-01-01", "x", "NULL", "a\ufffdb", "1"}) {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(p.Invalid(), []int64{0, 0, 1, 1}) {
		t.Errorf("invalid %v", p.Invalid())
	}
}
