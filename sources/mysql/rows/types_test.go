package rows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
)

// typeCase is one column of the table of all types. check is an expression whose text must equal the rendered cell; %s
// is the column. Empty: not compared with the server's text (only wire against text rows).
type typeCase struct {
	ddl    string
	kind   ingest.Type
	check  string
	values []string // SQL expressions
	only   string   // flavor
}

func kind(k ingest.Kind) ingest.Type { return ingest.Type{Kind: k} }
func dec(p, s int32) ingest.Type     { return ingest.Type{Kind: ingest.Decimal, Precision: p, Scale: s} }

const micros6 = "DATE_FORMAT(%s, '%%Y-%%m-%%d %%H:%%i:%%s.%%f')"

var typeCases = []typeCase{
	{"TINYINT", kind(ingest.Int16), "%s", []string{"-128", "127", "0"}, ""},
	{"TINYINT(1)", kind(ingest.Int16), "%s", []string{"1", "0", "-5"}, ""},
	{"TINYINT UNSIGNED", kind(ingest.Int16), "%s", []string{"255", "128", "0"}, ""},
	{"SMALLINT", kind(ingest.Int16), "%s", []string{"-32768", "32767", "-1"}, ""},
	{"SMALLINT UNSIGNED", kind(ingest.Int32), "%s", []string{"65535", "32768", "0"}, ""},
	{"MEDIUMINT", kind(ingest.Int32), "%s", []string{"-8388608", "8388607", "-1"}, ""},
	{"MEDIUMINT UNSIGNED", kind(ingest.Int32), "%s", []string{"16777215", "8388608", "0"}, ""},
	{"INT", kind(ingest.Int32), "%s", []string{"-2147483648", "2147483647", "-1"}, ""},
	{"INT UNSIGNED", kind(ingest.Int64), "%s", []string{"4294967295", "2147483648", "0"}, ""},
	{"INT(7) ZEROFILL", kind(ingest.Int64), "%s + 0", []string{"42", "0", "4294967295"}, ""},
	{"BIGINT", kind(ingest.Int64), "%s", []string{"-9223372036854775808", "9223372036854775807", "-1"}, ""},
	{"BIGINT UNSIGNED", dec(20, 0), "%s", []string{"18446744073709551615", "9223372036854775808", "0"}, ""},
	{"DECIMAL(18,4)", dec(18, 4), "%s", []string{"-99999999999999.9999", "99999999999999.9999", "-0.0001", "0", "-1234.5"}, ""},
	{"DECIMAL(5,5)", dec(5, 5), "%s", []string{"-0.99999", "0.00001", "0"}, ""},
	{"DECIMAL(9,0)", dec(9, 0), "%s", []string{"-999999999", "100000000", "7"}, ""},
	{"DECIMAL(10,2) ZEROFILL", dec(10, 2), "%s + 0", []string{"12.5", "0", "99999999.99"}, ""},
	{"DECIMAL(38,0)", dec(38, 0), "%s", []string{"-99999999999999999999999999999999999999", "99999999999999999999999999999999999999", "1"}, ""},
	{"DECIMAL(38,10)", dec(38, 10), "%s", []string{"-1234567890123456789012345678.0123456789", "0.0000000001", "-0.5"}, ""},
	{"DECIMAL(38,38)", dec(38, 38), "%s", []string{"-0.99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001"}, mysql.MariaDBFlavor},
	{"DECIMAL(38,30)", dec(38, 30), "%s", []string{"-99999999.999999999999999999999999999999", "0.000000000000000000000000000001"}, ""},
	{"DECIMAL(19,2)", dec(19, 2), "%s", []string{"-99999999999999999.99", "0.01"}, ""},
	{"DECIMAL(39,0)", kind(ingest.Text), "%s", []string{"-999999999999999999999999999999999999999", "0", "17"}, ""},
	{"DECIMAL(65,30)", kind(ingest.Text), "%s", []string{"-99999999999999999999999999999999999.999999999999999999999999999999", "0.000000000000000000000000000001", "-0.5", "0"}, ""},
	{"FLOAT", kind(ingest.Float32), "", []string{"16777217", "0.1", "-0.0", "3.4028234e38", "1.17549435e-38", "1e-45"}, ""},
	{"FLOAT(7,3)", kind(ingest.Float32), "", []string{"1234.567", "-0.001", "0.3"}, ""},
	{"DOUBLE", kind(ingest.Float64), "", []string{"0.1", "-0e0", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "1e15", "123456789012345678", "1/3"}, ""},
	{"DOUBLE(12,3)", kind(ingest.Float64), "", []string{"123456789.123", "-0.001", "0.3"}, ""},
	{"BIT(1)", kind(ingest.Bool), "ELT(%s + 1, 'false', 'true')", []string{"b'1'", "b'0'"}, ""},
	{"BIT(12)", kind(ingest.Int64), "%s + 0", []string{"b'111111111111'", "b'100000000001'", "0"}, ""},
	{"BIT(63)", kind(ingest.Int64), "%s + 0", []string{"0x7FFFFFFFFFFFFFFF", "1"}, ""},
	{"BIT(64)", dec(20, 0), "%s + 0", []string{"0xFFFFFFFFFFFFFFFF", "0x8000000000000000", "0"}, ""},
	{"YEAR", kind(ingest.Int16), "%s + 0", []string{"'0000'", "1901", "2155", "2024"}, ""},
	{"DATE", kind(ingest.Date), "%s", []string{"'0000-00-00'", "'2024-00-15'", "'2024-02-29'", "'9999-12-31'", "'1000-01-01'", "'0001-01-01'", "'1970-01-01'", "'1969-12-31'", "'1900-02-28'"}, ""},
	{"DATETIME", kind(ingest.Timestamp), micros6, []string{"'0000-00-00'", "'1969-12-31 23:59:59'", "'9999-12-31 23:59:59'", "'1000-01-01 00:00:00'"}, ""},
	{"DATETIME(1)", kind(ingest.Timestamp), micros6, []string{"'2024-02-29 23:59:59.9'", "'1969-12-31 23:59:59.1'"}, ""},
	{"DATETIME(3)", kind(ingest.Timestamp), micros6, []string{"'2024-02-29 23:59:59.999'", "'1969-12-31 23:59:59.001'", "'2024-00-01 10:00:00.5'"}, ""},
	{"DATETIME(6)", kind(ingest.Timestamp), micros6, []string{"'9999-12-31 23:59:59.999999'", "'0000-00-00'", "'1583-01-01 00:00:00.000001'"}, ""},
	{"TIMESTAMP NULL", kind(ingest.TimestampTZ), micros6, []string{"'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"}, ""},
	{"TIMESTAMP(2) NULL", kind(ingest.TimestampTZ), micros6, []string{"'2001-09-09 01:46:40.25'", "'1970-01-01 00:00:01.99'"}, ""},
	{"TIMESTAMP(6) NULL", kind(ingest.TimestampTZ), micros6, []string{"'2038-01-19 03:14:07.999999'", "'0000-00-00'"}, ""},
	{"TIME", kind(ingest.Text), "%s", []string{"'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'99:00:00'"}, ""},
	{"TIME(1)", kind(ingest.Text), "%s", []string{"'-00:00:00.1'", "'-01:00:00.9'", "'00:00:00.5'", "'00:00:00'"}, ""},
	{"TIME(3)", kind(ingest.Text), "%s", []string{"'-00:00:00.001'", "'-100:00:00.999'", "'12:34:56.789'", "'-12:00:00'"}, ""},
	{"TIME(4)", kind(ingest.Text), "%s", []string{"'-00:00:00.0001'", "'12:34:56.7891'"}, ""},
	{"TIME(6)", kind(ingest.Text), "%s", []string{"'-00:00:00.000001'", "'-838:59:59.000000'", "'838:59:58.999999'", "'-00:00:01'"}, ""},
	{"CHAR(10) CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"'ab  '", "''", "'日本🐟'", "'   x'"}, ""},
	{"CHAR(255) CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"REPEAT('🐟', 255)", "'a'", "''"}, ""},
	{"CHAR(5) CHARACTER SET ucs2", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'ab '", "'日本'"}, ""},
	{"VARCHAR(20) CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"'trailing  '", "''", "'🐟'", "'nul\\0nul'"}, ""},
	{"VARCHAR(300) CHARACTER SET utf8mb3", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"REPEAT('é', 300)", "'日本'"}, ""},
	{"VARCHAR(20) CHARACTER SET latin1", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"_binary 0x636166C3A980E981", "_binary 0x8D8F909D"}, ""},
	{"VARCHAR(20) CHARACTER SET utf16", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'🐟é'", "'plain'"}, ""},
	{"VARCHAR(20) CHARACTER SET utf16le", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'🐟é'", "'plain'"}, ""},
	{"VARCHAR(20) CHARACTER SET utf32", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'🐟é'", "'plain'"}, ""},
	{"VARCHAR(20) CHARACTER SET koi8r", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'привет'", "'plain'"}, ""},
	{"VARCHAR(20) CHARACTER SET ascii", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'plain'", "'~'"}, ""},
	{"TINYTEXT CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"'tiny'", "''"}, ""},
	{"TEXT CHARACTER SET latin1", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"_binary 0xE9E8", "''"}, ""},
	{"MEDIUMTEXT CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"REPEAT('long🐟', 20000)", "''"}, ""},
	{"LONGTEXT CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"'x'", "''"}, ""},
	{"BINARY(8)", kind(ingest.Bytes), "HEX(%s)", []string{"0x01020000", "0x0000000000000000", "0x2020202020202020", "''"}, ""},
	{"BINARY(255)", kind(ingest.Bytes), "HEX(%s)", []string{"0x01", "REPEAT(0xFF, 255)"}, ""},
	{"VARBINARY(300)", kind(ingest.Bytes), "HEX(%s)", []string{"0x01020000", "''", "REPEAT(0xFE, 300)"}, ""},
	{"TINYBLOB", kind(ingest.Bytes), "HEX(%s)", []string{"0x00", "''"}, ""},
	{"BLOB", kind(ingest.Bytes), "HEX(%s)", []string{"0x00FF", "REPEAT(0x07, 60000)"}, ""},
	{"LONGBLOB", kind(ingest.Bytes), "HEX(%s)", []string{"0x00FF", "''"}, ""},
	{"GEOMETRY", kind(ingest.Bytes), "HEX(%s)", []string{"ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('LINESTRING(0 0,1 1)')"}, ""},
	{"POINT", kind(ingest.Bytes), "HEX(%s)", []string{"ST_GeomFromText('POINT(1 2)')"}, ""},
	{"ENUM('a','it''s','日本🐟','back\\\\slash') CHARACTER SET utf8mb4", kind(ingest.Text), "%s", []string{"'a'", "4", "3", "0", "2"}, ""},
	{"ENUM('é','b') CHARACTER SET latin1", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'é'", "'b'"}, ""},
	{"SET('x','y','ü') CHARACTER SET latin1", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'x,ü'", "''", "7"}, ""},
	{"ENUM('p','q') CHARACTER SET binary", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'q'"}, ""},
	{"ENUM('p','q') CHARACTER SET sjis", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'q'"}, ""},
	{"SET('日','本') CHARACTER SET sjis", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'日,本'"}, ""},
	{"INT INVISIBLE", kind(ingest.Int32), "%s", []string{"1", "2"}, ""},
	{"JSON", kind(ingest.JSON), "%s", []string{`'{"b": 1, "a": [1.0, 2, null, true]}'`, `'[]'`, `'"\\u0000\\u001f\\"\\\\/é🐟"'`}, ""},

	{"UUID", kind(ingest.Text), "%s", uuids, mysql.MariaDBFlavor},
	{"INET6", kind(ingest.Text), "%s", []string{"'::'", "'::1'", "'2001:db8::'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:0:0:2:0:0:0:3'", "'fe80::1:0:0:1'", "'1:2:3:4:5:6:7:8'", "'::ffff:0:0'", "'0:0:0:0:1::'", "'1::'", "'1:0:2:0:3:0:4:0'", "'::2:0:0'", "'::abcd:1234'", "'::5:1.2.3.4'"}, mysql.MariaDBFlavor},
	{"INET4", kind(ingest.Text), "%s", []string{"'0.0.0.0'", "'255.255.255.255'", "'10.0.0.0'"}, mysql.MariaDBFlavor},
	{"LONGTEXT CHARACTER SET latin1", kind(ingest.Text), "CONVERT(%s USING utf8mb4)", []string{"'[1]'"}, mysql.MariaDBFlavor},
	{"VECTOR(3)", kind(ingest.Bytes), "HEX(%s)", []string{"STRING_TO_VECTOR('[1,2,0.5]')"}, mysql.MySQLFlavor},
	{"JSON", kind(ingest.JSON), "%s", jsons, mysql.MySQLFlavor},
}

var uuids = []string{
	"'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00000000-0000-0000-0000-000000000000'",
	"'01890a5d-ac96-774b-bcce-b302099a8057'", "'1ec9414c-232a-6b00-b3c8-9e6bdeced846'", "'c232ab00-9414-41ec-b3c8-9f6bdeced846'",
	"'123e4567-e89b-12d3-a456-000000000000'", "'00000000-0000-1000-8000-000000000000'", "'00000000-0000-7000-8000-000000000000'",
	"'12345678-1234-8234-5234-123456780000'", "'12345678-1234-0234-8234-123456780000'", "'12345678-1234-5234-0234-123456780000'", "'12345678-1234-f234-4234-123456780000'",
	"'aaaaaaaa-bbbb-8100-1fff-000000000001'", "'aaaaaaaa-bbbb-8100-5fff-000000000001'", "'aaaaaaaa-bbbb-8100-6fff-000000000001'", "'aaaaaaaa-bbbb-6100-bfff-000000000001'",
}

// jsons are documents for MySQL's binary form.
var jsons = []string{
	`'{"bb": 1, "a": 2, "ab": -3}'`, `'9223372036854775807'`, `'18446744073709551615'`, `'-9223372036854775808'`, `'1.0'`, `'1e400' IS NULL`,
	`'[0.1, 1e15, 1e16, 123456789012345680000, 1.5e-10, 1e-14, 1e-15, 1.25e-16, -0.0, 5e-324, 1.7976931348623157e308]'`,
	`'[32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483648, -2147483649, 4294967295, 4294967296]'`,
	`'"\\b\\t\\n\\f\\r\\u0001\\u007f"'`, `'null'`, `'true'`, `'""'`, `'{"": {}}'`,
	`CAST(CAST('123.4500' AS DECIMAL(20,4)) AS JSON)`, `JSON_ARRAY(CAST('-0.5' AS DECIMAL(10,2)), CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30)))`,
	`JSON_OBJECT('d', DATE '2024-02-29', 't', TIME '-12:34:56.000001', 'dt', TIMESTAMP '9999-12-31 23:59:59.999999', 't2', CAST('838:59:59' AS TIME), 'z', CAST('2024-01-01 00:00:00' AS DATETIME))`,
	`JSON_ARRAY(CAST(REPEAT('a', 300) AS BINARY), CAST(REPEAT('a', 57) AS BINARY), CAST(REPEAT('a', 114) AS BINARY), CAST(REPEAT('a', 58) AS BINARY), x'', b'101', CAST('x' AS BINARY))`,
	`JSON_ARRAY(CAST(2024 AS YEAR), ST_GeomFromText('POINT(1 2)'))`,
	`CONCAT('[', REPEAT('"0123456789012345678901234567890123456789", ', 3000), '70000, -70000, 3000000000]')`,
	`CONCAT(REPEAT('[', 99), REPEAT(']', 99))`,
	`CONCAT('{"k', REPEAT('é', 200), '": "', REPEAT('v', 200), '"}')`,
}

func casesOf(flavor string) []typeCase {
	return slices.DeleteFunc(slices.Clone(typeCases), func(c typeCase) bool { return c.only != "" && c.only != flavor })
}

// createAll makes the table of all types and fills it: row i holds value i of every column.
func createAll(s *server, cases []typeCase) (rows int) {
	ddl := []string{"k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "id INT UNSIGNED"}
	names := []string{"k", "id"}
	for i, c := range cases {
		names = append(names, fmt.Sprintf("c%d", i))
		ddl = append(ddl, names[i+2]+" "+c.ddl)
		rows = max(rows, len(c.values))
	}
	s.exec("CREATE TABLE all_types (" + strings.Join(ddl, ",\n") + ", PRIMARY KEY (id, k))")
	for r := range rows {
		vals := []string{fmt.Sprintf("'kéy%d'", r), fmt.Sprint(4294967295 - r)}
		for i, c := range cases {
			v := "NULL"
			if r < len(c.values) {
				v = c.values[r]
			}
			if v == `'1e400' IS NULL` {
				v = "NULL"
			}
			vals = append(vals, v)
			names[i+2] = fmt.Sprintf("c%d", i)
		}
		s.exec("INSERT IGNORE INTO all_types (" + strings.Join(names, ",") + ") VALUES (" + strings.Join(vals, ",\n") + ")")
	}
	return rows
}

// testTypes reads every type through the binlog and through the snapshot and compares both with each other and with the server's
// own text (invariants 1 and 2, guarantee 4 of the design).
func testTypes(t *testing.T, s *server) {
	cases := casesOf(s.flavor)
	from := s.position()
	rows := createAll(s, cases)
	cat := s.catalogue("all_types")
	text, err := NewTextPlan(ingest.TableName{Schema: "t", Name: "all_types"}, cat)
	if err != nil {
		t.Fatal(err)
	}
	checkKinds(t, text.Schema(), cases)

	plan, wire := decodeAll(t, s.events(from, "all_types"), &cat)
	if plan.Stale() {
		t.Error("the plan holds the catalogue for stale")
	}
	if a, b := plan.Schema().Fingerprint(), text.Schema().Fingerprint(); a != b {
		t.Errorf("fingerprints differ: table map %x, catalogue %x", a, b)
	}
	snap := snapshot(t, s, text, "all_types")
	compare(t, text.Schema(), wire.render(t), snap.render(t))
	if !slices.Equal(wire.touched, snap.touched) {
		t.Errorf("keys differ:\n%q\n%q", wire.touched, snap.touched)
	}
	if !slices.Equal(plan.Invalid(), text.Invalid()) {
		t.Errorf("invalid counts differ: %v, %v", plan.Invalid(), text.Invalid())
	}
	if len(wire.render(t)) != rows {
		t.Fatalf("%d rows, want %d", len(wire.render(t)), rows)
	}
	checkTexts(t, s, cases, wire.render(t), plan.Invalid())
	changes(t, s, &cat, text)
}

func checkKinds(t *testing.T, s *ingest.Schema, cases []typeCase) {
	for i, c := range cases {
		got := s.Columns[i+2].Type
		got.MaxBytes = 0
		if got != c.kind {
			t.Errorf("%s is %+v, want %+v", c.ddl, got, c.kind)
		}
	}
}

func decodeAll(t *testing.T, events []event, cat *Catalogue) (*Plan, *target) {
	t.Helper()
	var plan *Plan
	var to *target
	for _, e := range events {
		p, err := NewPlan(e.table, cat)
		if err != nil {
			t.Fatal(err)
		}
		if plan == nil {
			plan, to = p, newTarget(p.Schema(), 1)
		}
		if _, err := plan.Rows(e.Kind, e.Body, to); err != nil {
			t.Fatal(err)
		}
	}
	return plan, to
}

func snapshot(t *testing.T, s *server, p *TextPlan, table string) *target {
	t.Helper()
	return snapshotBy(t, s, p, table, "id DESC, k")
}

func snapshotBy(t *testing.T, s *server, p *TextPlan, table, order string) *target {
	t.Helper()
	to := newTarget(p.Schema(), 1)
	for _, packet := range s.packets("SELECT " + strings.Join(p.SelectList(), ", ") + " FROM " + table + " ORDER BY " + order) {
		key, err := p.TextKey(packet)
		if err != nil {
			t.Fatal(err)
		}
		to.Touched(key)
		if err := p.TextRow(packet, to.Builder(0)); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func short(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}

func compare(t *testing.T, s *ingest.Schema, wire, text [][]string) {
	t.Helper()
	if len(wire) != len(text) {
		t.Fatalf("%d rows from the binlog, %d from the snapshot", len(wire), len(text))
	}
	for r := range wire {
		for c := range s.Columns {
			if wire[r][c] != text[r][c] {
				t.Errorf("row %d %s (%s): binlog %q, snapshot %q", r, s.Columns[c].Name, s.Columns[c].Native, short(wire[r][c]), short(text[r][c]))
			}
		}
	}
}

// checkTexts compares with what the server prints. Values without canonical form must be NULL and counted.
func checkTexts(t *testing.T, s *server, cases []typeCase, got [][]string, invalid []int64) {
	t.Helper()
	for i, c := range cases {
		if c.check == "" {
			continue
		}
		nulls := int64(0)
		for r, row := range s.strings(fmt.Sprintf("SELECT "+c.check+" FROM all_types ORDER BY id DESC", fmt.Sprintf("c%d", i))) {
			want := row[0]
			if strings.HasPrefix(want, "0000-") || strings.Contains(want, "-00-") {
				want = "NULL"
				nulls++
			}
			if got[r][i+2] != want {
				t.Errorf("row %d %s: decoded %q, server %q", r, c.ddl, short(got[r][i+2]), short(want))
			}
		}
		if invalid[i+2] != nulls {
			t.Errorf("%s: %d invalid values counted, want %d", c.ddl, invalid[i+2], nulls)
		}
	}
}

// changes updates and deletes, and compares the state that the events lead to with the table's.
func changes(t *testing.T, s *server, cat *Catalogue, text *TextPlan) {
	t.Helper()
	from := s.position()
	s.exec("UPDATE all_types SET c0 = 5", "UPDATE all_types SET k = CONCAT(k, '+') WHERE id % 3 = 0", "UPDATE all_types SET id = id - 1000000 WHERE id % 3 = 1",
		"DELETE FROM all_types WHERE id % 4 = 2")
	_, wire := decodeAll(t, s.events(from, "all_types"), cat)
	state := map[string][]string{}
	for _, row := range wire.render(t) {
		key := row[1] + "/" + row[0]
		if row[len(row)-1] == fmt.Sprint(ingest.Delete) {
			for c, v := range row[2 : len(row)-1] {
				if v != "NULL" {
					t.Errorf("a delete carries column %d", c+2)
				}
			}
			delete(state, key)
			continue
		}
		state[key] = row
	}
	want := snapshot(t, s, text, "all_types").render(t)
	var got [][]string
	for _, row := range want {
		got = append(got, state[row[1]+"/"+row[0]])
		if got[len(got)-1] == nil {
			t.Fatalf("row %s/%s is missing after the changes; have %v", row[1], row[0], slices.Collect(maps.Keys(state)))
		}
	}
	if len(state) != len(want) {
		t.Errorf("%d rows after the changes, want %d", len(state), len(want))
	}
	compare(t, text.Schema(), got, want)
}

// smallCases leaves out the long values, which would bloat testdata and slow the fuzzer.
func smallCases(flavor string) []typeCase {
	cases := casesOf(flavor)
	for i := range cases {
		cases[i].values = slices.DeleteFunc(slices.Clone(cases[i].values), func(v string) bool {
			return strings.Contains(v, "REPEAT") && (strings.Contains(v, "20000") || strings.Contains(v, "60000") || strings.Contains(v, "3000"))
		})
	}
	return cases
}
