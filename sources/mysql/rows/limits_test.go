package rows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
)

func tableName(name string) ingest.TableName { return ingest.TableName{Schema: "t", Name: name} }

// planOf makes a plan for the last event about a table since from.
func planOf(s *server, from mysql.Position, table string, hint *Catalogue) (*Plan, []event, error) {
	s.t.Helper()
	events := s.events(from, table)
	if len(events) == 0 {
		s.t.Fatalf("no rows event about %s", table)
	}
	p, err := NewPlan(events[len(events)-1].table, hint)
	return p, events, err
}

// testHints makes each table that cannot be carried, and runs the hint: afterwards it can be.
func testHints(t *testing.T, s *server) {
	type limit struct{ name, ddl, flavor, column string }
	limits := []limit{
		{"nokey", "CREATE TABLE nokey (a INT)", "", ""},
		{"charset", "CREATE TABLE charset (id INT PRIMARY KEY, a VARCHAR(10) CHARACTER SET big5 NOT NULL)", "", "a"},
		{"comp", "CREATE TABLE comp (id INT PRIMARY KEY, a VARCHAR(100) COMPRESSED, b INT)", mysql.MariaDBFlavor, "a"},
		{"compblob", "CREATE TABLE compblob (id INT PRIMARY KEY, a BLOB COMPRESSED NOT NULL, b INT)", mysql.MariaDBFlavor, "a"},
		{"oldtime", "CREATE TABLE oldtime (id INT PRIMARY KEY, a TIME(3), b DATETIME)", mysql.MariaDBFlavor, "a"},
		{"versioned", "CREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", mysql.MariaDBFlavor, ""},
	}
	for _, l := range limits {
		if l.flavor != "" && l.flavor != s.flavor {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			if l.name == "oldtime" {
				s.exec("SET GLOBAL mysql56_temporal_format = OFF")
			}
			s.exec(l.ddl)
			_, err := SchemaFrom(tableName(l.name), s.catalogue(l.name))
			var u *UnsupportedError
			if !errors.As(err, &u) || u.Column != l.column || u.Table != tableName(l.name) {
				t.Fatalf("got %v, want an UnsupportedError of column %q", err, l.column)
			}
			hint, _, _ := strings.Cut(u.Hint, " (")
			if strings.Contains(u.Hint, "tm_id") {
				hint = u.Hint
			}
			s.exec(strings.Split(hint, "; ")...)
			if _, err := SchemaFrom(tableName(l.name), s.catalogue(l.name)); err != nil {
				t.Errorf("after %s: %v", hint, err)
			}
		})
	}
}

// testUnsupportedTableMaps refuses the same tables when only their table map is at hand.
func testUnsupportedTableMaps(t *testing.T, s *server) {
	s.exec("SET GLOBAL mysql56_temporal_format = OFF")
	defer s.exec("SET GLOBAL mysql56_temporal_format = ON")
	for name, ddl := range map[string]string{
		"wcomp": "a VARCHAR(100) COMPRESSED", "wcompblob": "a BLOB COMPRESSED", "olddatetime": "a DATETIME(6)", "woldtime": "a TIME", "oldstamp": "a TIMESTAMP NULL",
		"wcharset": "a VARCHAR(10) CHARACTER SET ujis",
	} {
		from := s.position()
		s.exec("CREATE TABLE "+name+" (id INT PRIMARY KEY, "+ddl+", b VARCHAR(300))", "INSERT INTO "+name+" (id) VALUES (1)")
		_, _, err := planOf(s, from, name, nil)
		var u *UnsupportedError
		if !errors.As(err, &u) || u.Column != "a" {
			t.Errorf("%s: got %v, want an UnsupportedError of column a", name, err)
		}
	}
	from := s.position()
	s.exec("CREATE TABLE wnokey (a INT)", "INSERT INTO wnokey VALUES (1)")
	var u *UnsupportedError
	if _, _, err := planOf(s, from, "wnokey", nil); !errors.As(err, &u) || u.Column != "" {
		t.Errorf("no key: got %v", err)
	}
}

// testImages refuses everything less than full images, and names the setting.
func testImages(t *testing.T, s *server) {
	s.exec("CREATE TABLE img (id INT PRIMARY KEY, a INT, b TEXT)", "INSERT INTO img VALUES (1, 2, 'x')")
	for _, c := range []struct{ set, do string }{
		{"SET SESSION binlog_row_image = MINIMAL", "UPDATE img SET a = a + 1"},
		{"SET SESSION binlog_row_image = NOBLOB", "UPDATE img SET a = a + 1"},
		{"SET SESSION binlog_row_image = MINIMAL", "INSERT INTO img (id) VALUES (7)"},
		{"SET SESSION binlog_row_image = MINIMAL", "DELETE FROM img WHERE id = 7"},
	} {
		from := s.position()
		s.exec(c.set, c.do, "SET SESSION binlog_row_image = FULL")
		p, events, err := planOf(s, from, "img", nil)
		if err != nil {
			t.Fatal(err)
		}
		var image *ImageError
		for _, e := range events {
			to := newTarget(p.Schema(), 1)
			n, err := p.Rows(e.Kind, e.Body, to)
			full := s.flavor == mysql.MariaDBFlavor && e.Kind == Write // MINIMAL of MariaDB still logs full inserts
			if !errors.As(err, &image) && !full || n != 0 && !full || len(to.render(t)) != n {
				t.Errorf("%s; %s: got %d rows and %v, want an ImageError", c.set, c.do, n, err)
			}
		}
	}
	if image := (&ImageError{}); !strings.Contains(image.Error(), "binlog_row_image = FULL") {
		t.Error("the error does not name the setting")
	}
	if s.flavor != mysql.MySQLFlavor {
		return
	}
	s.exec("CREATE TABLE pj (id INT PRIMARY KEY, j JSON)", `INSERT INTO pj VALUES (1, JSON_OBJECT('a', 1, 'b', REPEAT('x', 1000)))`)
	from := s.position()
	s.exec("SET SESSION binlog_row_value_options = PARTIAL_JSON", "UPDATE pj SET j = JSON_SET(j, '$.a', 2)", "SET SESSION binlog_row_value_options = ''")
	p, events, err := planOf(s, from, "pj", nil)
	if err != nil {
		t.Fatal(err)
	}
	var image *ImageError
	if _, err := p.Rows(events[0].Kind, events[0].Body, newTarget(p.Schema(), 1)); !errors.As(err, &image) || !image.Partial {
		t.Errorf("partial JSON: got %v", err)
	}
}

// testMetadata refuses table maps that do not name their columns.
func testMetadata(t *testing.T, s *server) {
	s.exec("CREATE TABLE meta (id INT PRIMARY KEY, a VARCHAR(10))")
	from := s.position()
	s.exec("SET GLOBAL binlog_row_metadata = MINIMAL", "INSERT INTO meta VALUES (1, 'x')")
	_, _, err := planOf(s, from, "meta", nil)
	var m *MetadataError
	if !errors.As(err, &m) {
		t.Fatalf("got %v, want a MetadataError", err)
	}
	from = s.position()
	s.exec(m.Hint(), "INSERT INTO meta VALUES (2, 'x')")
	if _, _, err := planOf(s, from, "meta", nil); err != nil {
		t.Errorf("after the hint: %v", err)
	}
}

// testHiddenColumns leaves out what the server adds by itself and keeps what the user has, generated or invisible.
func testHiddenColumns(t *testing.T, s *server) {
	ddl := "CREATE TABLE hid (id INT PRIMARY KEY, a INT, v INT GENERATED ALWAYS AS (a + 1) VIRTUAL, s INT GENERATED ALWAYS AS (a + 2) STORED, inv INT INVISIBLE, "
	if s.flavor == mysql.MariaDBFlavor {
		ddl += "u VARCHAR(3000) CHARACTER SET utf8mb4, UNIQUE KEY (u) USING HASH)"
	} else {
		ddl += "u VARCHAR(3000) CHARACTER SET utf8mb4, KEY ((a * 2)), j JSON, KEY ((CAST(j->'$.x' AS UNSIGNED ARRAY))))"
	}
	from := s.position()
	s.exec(ddl, "INSERT INTO hid (id, a, inv, u) VALUES (1, 10, 5, 'é'), (2, 20, NULL, NULL)")
	cat := s.catalogue("hid")
	text, err := NewTextPlan(tableName("hid"), cat)
	if err != nil {
		t.Fatal(err)
	}
	plan, wire := decodeAll(t, s.events(from, "hid"), &cat)
	if plan.Stale() || plan.Schema().Fingerprint() != text.Schema().Fingerprint() {
		t.Errorf("the plan's columns %v are not the catalogue's %v", plan.Schema().Columns, text.Schema().Columns)
	}
	compare(t, text.Schema(), wire.render(t), snapshotBy(t, s, text, "hid", "id").render(t))
	if got := wire.render(t)[0]; !slices.Equal(got[:6], []string{"1", "10", "11", "12", "5", "é"}) {
		t.Errorf("row is %q", got)
	}
}

// testGeneratedKey carries MySQL's generated invisible primary key, which SELECT * would leave out.
func testGeneratedKey(t *testing.T, s *server) {
	from := s.position()
	s.exec("SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE gipk (a INT)", "INSERT INTO gipk VALUES (5), (6)")
	cat := s.catalogue("gipk")
	text, err := NewTextPlan(tableName("gipk"), cat)
	if err != nil {
		t.Fatal(err)
	}
	plan, wire := decodeAll(t, s.events(from, "gipk"), &cat)
	if plan.Stale() || !slices.Equal(plan.Schema().Key, []string{"my_row_id"}) {
		t.Errorf("key %v, stale %v", plan.Schema().Key, plan.Stale())
	}
	compare(t, text.Schema(), wire.render(t), snapshotBy(t, s, text, "gipk", "my_row_id").render(t))
}

// testCompressedEvents reads MariaDB's compressed rows events.
func testCompressedEvents(t *testing.T, s *server) {
	s.exec("SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10")
	defer s.exec("SET GLOBAL log_bin_compress = OFF")
	from := s.position()
	s.exec("CREATE TABLE z (id INT PRIMARY KEY, a TEXT)", "INSERT INTO z VALUES (1, REPEAT('x', 5000)), (2, NULL)", "UPDATE z SET id = id + 10", "DELETE FROM z WHERE id = 12")
	_, wire := decodeAll(t, s.events(from, "z"), nil)
	var ops []string
	for _, r := range wire.render(t) {
		ops = append(ops, r[0]+":"+r[2])
	}
	if want := []string{"1:1", "2:1", "1:2", "11:1", "2:2", "12:1", "12:2"}; !slices.Equal(ops, want) {
		t.Errorf("got %v, want %v", ops, want)
	}
}

// testStaleCatalogue plans with catalogues read before and after an ALTER (invariant 3).
func testStaleCatalogue(t *testing.T, s *server) {
	from := s.position()
	s.exec("CREATE TABLE st (id UUID PRIMARY KEY, a JSON, b BINARY(16), c LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)",
		"INSERT INTO st VALUES (UUID(), '[1]', UNHEX(REPLACE(UUID(), '-', '')), '[]')")
	old := s.catalogue("st")
	s.exec("ALTER TABLE st MODIFY b UUID, MODIFY c JSON, MODIFY a LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, ADD d INT FIRST", "INSERT INTO st VALUES (1, UUID(), '[1]', UUID(), '{}')")
	now := s.catalogue("st")
	events := s.events(from, "st")
	kinds := func(e event, hint *Catalogue) (out []ingest.Kind, stale bool) {
		p, err := NewPlan(e.table, hint)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Schema().Columns {
			out = append(out, c.Type.Kind)
		}
		return out, p.Stale()
	}
	for _, c := range []struct {
		name  string
		e     event
		hint  *Catalogue
		want  []ingest.Kind
		stale bool
	}{
		{"before, none", events[0], nil, []ingest.Kind{ingest.Bytes, ingest.Text, ingest.Bytes, ingest.Text}, true},
		{"before, old", events[0], &old, []ingest.Kind{ingest.Text, ingest.JSON, ingest.Bytes, ingest.Text}, false},
		{"after, new", events[1], &now, []ingest.Kind{ingest.Int32, ingest.Text, ingest.Text, ingest.Text, ingest.JSON}, false},
		{"after, old", events[1], &old, []ingest.Kind{ingest.Int32, ingest.Text, ingest.JSON, ingest.Bytes, ingest.Text}, true},
	} {
		if got, stale := kinds(c.e, c.hint); !slices.Equal(got, c.want) || stale != c.stale {
			t.Errorf("%s: kinds %v, stale %v; want %v, %v", c.name, got, stale, c.want, c.stale)
		}
	}
}

// testDrop leaves columns out of both schemas, whatever their type, and refuses to leave out the key.
func testDrop(t *testing.T, s *server) {
	from := s.position()
	s.exec("CREATE TABLE dr (id INT PRIMARY KEY, a VARCHAR(10) CHARACTER SET big5, b INT, c TEXT)", "INSERT INTO dr VALUES (1, 'secret', 2, 'secret')")
	cat := s.catalogue("dr")
	cat.Drop = []string{"a", "c"}
	text, err := NewTextPlan(tableName("dr"), cat)
	if err != nil {
		t.Fatal(err)
	}
	plan, wire := decodeAll(t, s.events(from, "dr"), &cat)
	if plan.Stale() || plan.Schema().Fingerprint() != text.Schema().Fingerprint() {
		t.Error("the schemas differ")
	}
	if got := wire.render(t); !slices.Equal(got[0], []string{"1", "2", "1"}) {
		t.Errorf("row is %q", got)
	}
	compare(t, text.Schema(), wire.render(t), snapshotBy(t, s, text, "dr", "id").render(t))
	cat.Drop = []string{"id"}
	var u *UnsupportedError
	if _, err := SchemaFrom(tableName("dr"), cat); !errors.As(err, &u) {
		t.Errorf("dropping the key: %v", err)
	}
	if _, err := NewPlan(s.events(from, "dr")[0].table, &cat); !errors.As(err, &u) {
		t.Errorf("dropping the key of a table map: %v", err)
	}
}

// testLongValues reads values longer than max_allowed_packet, which functions of the server turn into NULL.
func testLongValues(t *testing.T, s *server) {
	from := s.position()
	s.exec("CREATE TABLE lg (id INT PRIMARY KEY, a LONGTEXT CHARACTER SET latin1, b LONGTEXT CHARACTER SET utf8mb3, c LONGTEXT CHARACTER SET utf8mb4, d LONGBLOB)",
		"INSERT INTO lg VALUES (1, REPEAT(_latin1 0xe9, 3000000), REPEAT('é', 1500000), REPEAT('é', 1500000), REPEAT('x', 3000000))")
	was := s.strings("SELECT @@GLOBAL.max_allowed_packet")[0][0]
	s.exec("SET GLOBAL max_allowed_packet = 1048576")
	defer s.exec("SET GLOBAL max_allowed_packet = " + was)
	cat := s.catalogue("lg")
	text, err := NewTextPlan(tableName("lg"), cat)
	if err != nil {
		t.Fatal(err)
	}
	_, wire := decodeAll(t, s.events(from, "lg"), &cat)
	got := snapshotBy(t, connect(t, s.flavor, s.srv), text, "lg", "id").render(t)
	compare(t, text.Schema(), wire.render(t), got)
	if want := strings.Repeat("é", 3000000); got[0][1] != want {
		t.Errorf("latin1 text of %d bytes, want %d", len(got[0][1]), len(want))
	}
}

// testUUIDs decodes UUIDs of every version and variant, which decide how MariaDB stores them.
func testUUIDs(t *testing.T, s *server) {
	var vals, want []string
	for i := range 1024 {
		u := fmt.Sprintf("%08x-%04x-%x%03x-%x%03x-%012x", 0x12345678*uint32(i), i, i>>4&15, i, i&15, i, i*0x1234567)
		if i >= 512 { // zero tails, which are cut off
			u = fmt.Sprintf("%08x-%04x-%x000-%x000-000000000000", i>>8*0x01000000, 0, i>>4&15, i&15)
		}
		vals, want = append(vals, fmt.Sprintf("(%d, '%s')", i, u)), append(want, u)
	}
	from := s.position()
	s.exec("CREATE TABLE uu (id INT PRIMARY KEY, u UUID)", "INSERT INTO uu VALUES "+strings.Join(vals, ","))
	cat := s.catalogue("uu")
	text, err := NewTextPlan(tableName("uu"), cat)
	if err != nil {
		t.Fatal(err)
	}
	_, wire := decodeAll(t, s.events(from, "uu"), &cat)
	got := wire.render(t)
	compare(t, text.Schema(), got, snapshotBy(t, s, text, "uu", "id").render(t))
	refused := 0
	for i, row := range s.strings("SELECT u FROM uu ORDER BY id") {
		if row[0] == "NULL" { // the server refuses those whose own bits look swapped
			refused++
			want[i] = "NULL"
		}
		if got[i][1] != row[0] || row[0] != want[i] {
			t.Errorf("got %s, server %s, want %s", got[i][1], row[0], want[i])
		}
	}
	if refused > 300 {
		t.Errorf("only %d UUIDs compared", 1024-refused)
	}
}
