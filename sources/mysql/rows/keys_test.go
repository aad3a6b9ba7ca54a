package rows

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
)

// keyCases are types that can be a primary key, three values each; the third is where an update moves the first.
var keyCases = []struct{ ddl, a, b, c, only string }{
	{"TINYINT", "-128", "0", "127", ""}, {"MEDIUMINT UNSIGNED", "0", "1", "16777215", ""}, {"BIGINT UNSIGNED", "0", "1", "18446744073709551615", ""},
	{"DECIMAL(38,10)", "-0.5", "0", "0.5", ""}, {"DECIMAL(65,30)", "-0.5", "0", "0.5", ""}, {"FLOAT", "0.1", "0", "-0.25", ""}, {"DOUBLE", "0.1", "0", "1e300", ""},
	{"BIT(1)", "0", "NULL", "1", ""}, {"BIT(12)", "5", "6", "7", ""}, {"BIT(64)", "5", "6", "0xffffffffffffffff", ""}, {"YEAR", "0", "1999", "2155", ""},
	{"DATE", "'2024-02-29'", "'1000-01-01'", "'9999-12-31'", ""}, {"DATETIME(3)", "'2024-02-29 12:00:00.123'", "'1000-01-01'", "'9999-12-31'", ""},
	{"TIMESTAMP(6)", "'2024-02-29 12:00:00.123456'", "'1971-01-01'", "'2037-12-31'", ""}, {"TIME(3)", "'-838:59:59'", "'-00:00:00.001'", "'00:00:00'", ""},
	{"CHAR(10) CHARACTER SET utf8mb4", "'a '", "''", "'日本'", ""}, {"VARCHAR(10) CHARACTER SET latin1", "'é'", "''", "'É1'", ""}, {"VARCHAR(10) CHARACTER SET utf16", "'é'", "''", "'🐟'", ""},
	{"VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "'a'", "'b'", "'A'", ""}, {"BINARY(8)", "'a'", "''", "0x0000000000000001", ""}, {"VARBINARY(300)", "'a'", "''", "REPEAT('x', 290)", ""},
	{"ENUM('x','y','ü') CHARACTER SET latin1", "'x'", "'y'", "'ü'", ""}, {"SET('x','y','ü') CHARACTER SET latin1", "'x,y'", "''", "7", ""},
	{"UUID", "'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'01890a5d-ac96-774b-bcce-b302099a8057'", mysql.MariaDBFlavor},
	{"INET6", "'::'", "'::1'", "'2001:db8::'", mysql.MariaDBFlavor}, {"INET4", "'0.0.0.0'", "'1.2.3.4'", "'10.0.0.0'", mysql.MariaDBFlavor},
}

// testKeys inserts, moves and deletes under a key of each type, with a second key column before it in the row: the canonical
// keys and partitions of the binlog are those of the text rows.
func testKeys(t *testing.T, s *server) {
	for i, c := range keyCases {
		if c.only != "" && c.only != s.flavor {
			continue
		}
		table := fmt.Sprintf("key%d", i)
		from := s.position()
		s.exec("CREATE TABLE "+table+" (n INT, v TEXT, k "+c.ddl+" NOT NULL, PRIMARY KEY (k, n))", "INSERT INTO "+table+" VALUES (1, 'v', "+c.a+")")
		if c.b != "NULL" {
			s.exec("INSERT INTO " + table + " VALUES (2, NULL, " + c.b + ")")
		}
		cat := s.catalogue(table)
		text, err := NewTextPlan(tableName(table), cat)
		if err != nil {
			t.Fatal(err)
		}
		first := snapshotBy(t, s, text, table, "n")
		s.exec("UPDATE "+table+" SET k = "+c.c+" WHERE n = 1", "UPDATE "+table+" SET v = 'w' WHERE n = 2", "DELETE FROM "+table+" WHERE n = 2")
		moved := snapshotBy(t, s, text, table, "n").touched[0]

		want := slices.Concat(first.touched, []string{first.touched[0], moved})
		if c.b != "NULL" {
			want = append(want, first.touched[1], first.touched[1])
		}
		checkKeys(t, s.events(from, table), &cat, c.ddl, want)
	}
}

// checkKeys replays the events and compares the keys in their order, and the partition of every row.
func checkKeys(t *testing.T, events []event, cat *Catalogue, ddl string, want []string) {
	t.Helper()
	const partitions = 3
	var to *target
	for _, e := range events {
		p, err := NewPlan(e.table, cat)
		if err != nil {
			t.Fatal(err)
		}
		if to == nil {
			to = newTarget(p.Schema(), partitions)
		}
		if _, err := p.Rows(e.Kind, e.Body, to); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(to.touched, want) {
		t.Errorf("%s: keys %x, want %x", ddl, to.touched, want)
	}
	rows := make([]int, partitions)
	for _, k := range want {
		rows[ingest.PartitionOf(Hash([]byte(k)), partitions)]++
	}
	for i, b := range to.builders {
		if b.Rows() != rows[i] {
			t.Errorf("%s: %d rows in partition %d, want %d", ddl, b.Rows(), i, rows[i])
		}
		for _, row := range render(t, b) {
			if row[0] == "NULL" || row[2] == "NULL" {
				t.Errorf("%s: a row without its key: %s", ddl, strings.Join(row, " "))
			}
		}
	}
}
