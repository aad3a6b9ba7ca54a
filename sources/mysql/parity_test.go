package mysql

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/clinic"
)

// The server lives in one zone and writing sessions in another: neither may be seen in a byte.
var parityServer = []string{"default-time-zone=+07:00"}

const paritySession = "SET SESSION time_zone = '-03:30', sql_mode = 'ALLOW_INVALID_DATES'"

// parityPartitions: so many that rows of one partition nearly have one hash.
const parityPartitions = 128

// TestParity is guarantee 4 of the design through the source as it runs. What is emitted for a row that the first load reads
// and what is emitted for it from the change log, by its insert, by an update's images, by its delete, are the same
// bytes in the same partition, for every type, and so is the schema. That the bytes are also right is for the tests of rows
// to say, which compare them with the server's text; only instants are compared with the server here, where zones differ.
func TestParity(t *testing.T) {
	eachServer(t, parityServer, func(t *testing.T, l *lab) {
		t.Run("types", func(t *testing.T) { parityOfTypes(t, l.in(t, "parity")) })
		t.Run("clinic", func(t *testing.T) { parityOfClinic(t, l) })
	})
}

// parityOfTypes streams every row before any load sees one, then loads, then again after updates.
func parityOfTypes(t *testing.T, l *lab) {
	tables := parityTables(l.flavor)
	var names []string
	for _, p := range tables {
		l.session("SET SESSION sql_mode = ''", p.create())
		names = append(names, p.name)
	}
	l.exec("CREATE TABLE instants (id INT PRIMARY KEY, at TIMESTAMP(6) NULL, said_at BIGINT, made TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6), said_made BIGINT, wall DATETIME(6), said_wall BIGINT)")
	names = append(names, "instants")
	log := l.stream(names)

	for _, p := range tables {
		even, odd := p.inserts()
		l.session(append([]string{paritySession}, even...)...)
		l.session(append([]string{"SET SESSION sql_mode = 'ALLOW_INVALID_DATES'"}, odd...)...) // in the server's own zone
	}
	l.instants()
	log.settle()
	rows := 0
	for _, kept := range log.rows {
		rows += len(kept)
	}
	columns := l.sameAs(log, "its insert", names)

	l.compressLog()
	for _, p := range tables {
		statements := []string{paritySession, "UPDATE " + p.name + " SET touch = touch + 1"}
		if p.key == "" {
			statements = append(statements, "UPDATE "+p.name+" SET id = id + 1000 WHERE id % 2 = 0")
		}
		l.session(statements...)
	}
	log.settle()
	l.sameAs(log, "its update", names)
	said(t, log.rows[l.table("instants")])

	for _, n := range names {
		l.exec("DELETE FROM " + n)
	}
	log.settle()
	for _, n := range names {
		if left := len(log.rows[l.table(n)]); left > 0 {
			t.Errorf("%d rows of %s were deleted under no key that they were inserted under", left, n)
		}
	}
	if log.rec.loaded > 0 {
		t.Errorf("%d rows of the stream came from a load", log.rec.loaded)
	}
	t.Logf("%s: %d tables, %d columns, %d rows: stream and load are the same", l.flavor, len(names), columns, rows)
}

// parityOfClinic: the schema that users are shown, filled by its generator in the server's zone.
func parityOfClinic(t *testing.T, l *lab) {
	for _, database := range []string{"pharmacy", "clinic"} {
		l = l.in(t, database)
	}
	if err := clinic.Create(t.Context(), l.db, l.db); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range []string{"patients", "doctors", "appointments"} {
		names = append(names, "clinic."+n)
	}
	for _, n := range []string{"orders", "order_items", "payments"} {
		names = append(names, "pharmacy."+n)
	}
	log := l.stream(names)
	if _, err := clinic.Seed(t.Context(), l.db, l.db, clinic.Size{Patients: 200, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	c, err := clinic.Open(t.Context(), l.db, l.db, clinic.Options{Seed: 4, PayWithin: 100})
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if _, err := c.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	log.settle()
	columns := l.sameAs(log, "the log", names)
	t.Logf("%s: %d tables, %d columns: stream and load are the same", l.flavor, len(names), columns)
}

// create is the table's statement. Columns that have no name get their number.
func (p *parityTable) create() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (id INT NOT NULL, touch INT NOT NULL DEFAULT 0", p.name)
	for i, c := range p.columns {
		b.WriteString(",\n")
		if c.ddl[0] < 'a' {
			fmt.Fprintf(&b, "c%d ", i)
		}
		b.WriteString(c.ddl)
	}
	key := p.key
	if key == "" {
		key = "id"
	}
	fmt.Fprintf(&b, ",\nPRIMARY KEY (%s))", key)
	return b.String()
}

// inserts deal the values out; in the last row is nothing but NULLs, where they may be.
func (p *parityTable) inserts() (even, odd []string) {
	rows := 0
	for _, c := range p.columns {
		rows = max(rows, len(c.values))
	}
	if p.key == "" {
		rows++
	}
	for r := range rows {
		names, values := []string{"id"}, []string{fmt.Sprint(r + 1)}
		for i, c := range p.columns {
			empty := p.key == "" && r == rows-1 && !strings.Contains(c.ddl, "NOT NULL")
			if len(c.values) == 0 || empty { // generated ones among them
				continue
			}
			name := fmt.Sprintf("c%d", i)
			if c.ddl[0] >= 'a' {
				name = strings.Fields(c.ddl)[0]
			}
			names, values = append(names, name), append(values, c.values[r%len(c.values)])
		}
		// IGNORE lets in what the column does not hold exactly: the error value of ENUM, '?' for a foreign character.
		q := fmt.Sprintf("INSERT IGNORE INTO %s (%s) VALUES (%s)", p.name, strings.Join(names, ", "), strings.Join(values, ",\n"))
		if r%2 == 0 {
			even = append(even, q)
		} else {
			odd = append(odd, q)
		}
	}
	return even, odd
}

// instants are moments of which the server itself says in a BIGINT what they are, by functions that know zones.
func (l *lab) instants() {
	for i, zone := range []string{"-03:30", "+00:00", "+07:00", "+13:00"} {
		l.session(fmt.Sprintf("SET SESSION time_zone = '%s'", zone),
			fmt.Sprintf("INSERT INTO instants (id, at, wall) VALUES (%d, '2026-03-04 05:06:07.123456', '2026-03-04 05:06:07.123456')", i),
			fmt.Sprintf("INSERT INTO instants (id, at, wall) VALUES (%d, '1971-01-01 00:00:00.000001', '1000-01-01 00:00:00.000001')", i+10),
			"UPDATE instants SET said_at = CAST(UNIX_TIMESTAMP(at) * 1000000 AS SIGNED), said_made = CAST(UNIX_TIMESTAMP(made) * 1000000 AS SIGNED),"+
				" said_wall = TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', wall), made = made WHERE said_at IS NULL")
	}
}

// said compares each moment with what the server says of it: both are microseconds since 1970.
func said(t *testing.T, rows map[string]*image) {
	t.Helper()
	if len(rows) != 8 {
		t.Errorf("%d instants, want 8", len(rows))
	}
	for _, r := range rows {
		for c := 1; c < len(r.cells); c += 2 {
			if r.cells[c] == "" || r.cells[c] != r.cells[c+1] {
				t.Errorf("instants.%s is %x, the server says %x", r.schema.Columns[c].Name, r.cells[c], r.cells[c+1])
			}
		}
	}
}

// compressLog lets the server compress what it logs from here on: the same rows in another form.
func (l *lab) compressLog() {
	if l.flavor == mariadb {
		l.exec("SET GLOBAL log_bin_compress_min_len = 10", "SET GLOBAL log_bin_compress = ON")
		return
	}
	l.exec("SET GLOBAL binlog_transaction_compression = ON")
}

// image is a row as it was emitted: the bytes of its cells in Arrow's buffers. A cell is "" when it is NULL, and has a mark
// before its bytes when not.
type image struct {
	schema    *ingest.Schema
	arrow     *arrow.Schema
	partition int
	cells     []string
}

// reading is a source that runs and the images it has emitted, by table and key.
type reading struct {
	lab  *lab
	rec  *recorder
	run  *running
	rows map[ingest.TableName]map[string]*image
}

// read starts a reading of tables. Those named with their database may lie in several.
func (l *lab) read(names []string) *reading {
	l.t.Helper()
	r := &reading{lab: l, rec: newRecorder(l.t, parityPartitions), rows: map[ingest.TableName]map[string]*image{}}
	r.rec.onBatch = r.keep
	cfg := l.config()
	for _, n := range names {
		cfg.Tables[l.named(n).String()] = Table{}
	}
	cfg.ChunkRows = 3 // of the first chunk, too: keys of every type go through a cursor
	r.run = l.run(cfg, r.rec, ingest.Resume{})
	return r
}

func (l *lab) named(name string) ingest.TableName {
	if schema, table, ok := strings.Cut(name, "."); ok {
		return ingest.TableName{Schema: schema, Name: table}
	}
	return l.table(name)
}

// stream is a reading whose loads end before there is a row.
func (l *lab) stream(names []string) *reading {
	l.t.Helper()
	r := l.read(names)
	r.loaded(names)
	return r
}

func (r *reading) loaded(names []string) {
	r.lab.t.Helper()
	for _, n := range names {
		table := r.lab.named(n)
		r.rec.await("the load of "+n, func() bool { return r.rec.loads[table].Done || r.rec.parked[table] != "" })
		if why := r.rec.parked[table]; why != "" {
			r.lab.t.Fatalf("%s is parked: %s", n, why)
		}
	}
}

func (r *reading) settle() {
	r.lab.t.Helper()
	r.lab.settle(r.rec)
	if len(r.rec.parked) > 0 {
		r.lab.t.Fatalf("parked: %v", r.rec.parked)
	}
}

// keep notes the images of a batch. A key stays in its partition, and a delete names a row that is there.
func (r *reading) keep(partition int, b *ingest.Builder) {
	rec, s, t := b.Record(), b.Schema(), r.lab.t
	defer rec.Release()
	kept := r.rows[s.Table]
	if kept == nil {
		kept = map[string]*image{}
		r.rows[s.Table] = kept
	}
	ops := rec.Column(len(s.Columns)).(*array.Uint8)
	for i := range int(rec.NumRows()) {
		m := &image{s, rec.Schema(), partition, make([]string, len(s.Columns))}
		for c := range m.cells {
			m.cells[c] = cellBytes(rec.Column(c), i)
		}
		key := ""
		for _, c := range s.KeyColumns() {
			key += fmt.Sprintf("%q ", m.cells[c])
		}
		old := kept[key]
		if old != nil && old.partition != partition {
			t.Errorf("%s: the key %s is in the partitions %d and %d", s.Table, key, old.partition, partition)
		}
		if ingest.Op(ops.Value(i)) == ingest.Upsert {
			kept[key] = m
			continue
		}
		if old == nil {
			t.Errorf("%s: the key %s is deleted and was never inserted", s.Table, key)
		}
		delete(kept, key)
	}
}

// cellBytes is a cell in Arrow's own bytes. Those below a NULL are looked at as well: they are in the log's records.
func cellBytes(a arrow.Array, i int) string {
	var raw []byte
	switch a := a.(type) {
	case *array.String:
		raw = []byte(a.Value(i))
	case *array.Binary:
		raw = slices.Clone(a.Value(i))
	case *array.Boolean:
		raw = []byte{0}
		if a.Value(i) {
			raw[0] = 1
		}
	default:
		width := a.DataType().(arrow.FixedWidthDataType).Bytes()
		raw = slices.Clone(a.Data().Buffers()[1].Bytes()[i*width : (i+1)*width])
	}
	if !a.IsNull(i) {
		return "=" + string(raw)
	}
	return string(bytes.TrimLeft(raw, "\x00"))
}

// sameAs loads the tables once more, from nothing, and compares with what the log has led to. It returns the columns that
// were compared.
func (l *lab) sameAs(log *reading, what string, names []string) (columns int) {
	l.t.Helper()
	other := *l
	other.source = "load" // the server sends its log to one reader of a name
	load := other.read(names)
	load.loaded(names)
	load.run.end(l.t)
	rows := 0
	for _, n := range names {
		table := l.named(n)
		streamed, loaded := log.rows[table], load.rows[table]
		rows += len(loaded)
		if len(streamed) != len(loaded) || len(loaded) == 0 {
			l.t.Errorf("%s: %d rows by %s, %d by the load", n, len(streamed), what, len(loaded))
		}
		first := true
		for key, a := range loaded {
			b := streamed[key]
			if b == nil {
				l.t.Errorf("%s: the load has the key %s, %s has not", n, key, what)
				continue
			}
			if first {
				sameSchema(l.t, n, b, a)
				columns += len(a.cells)
				first = false
			}
			sameImage(l.t, n, key, what, b, a)
		}
	}
	if load.rec.loaded != int64(rows) {
		l.t.Errorf("%d of %d rows came from the load", load.rec.loaded, rows)
	}
	return columns
}

// sameSchema: names, kinds, key and Arrow types. A table map and a catalogue word Native in their own ways.
func sameSchema(t *testing.T, table string, stream, load *image) {
	t.Helper()
	if stream.schema.Fingerprint() != load.schema.Fingerprint() || !reflect.DeepEqual(stream.schema.Key, load.schema.Key) {
		t.Errorf("%s: the log has the schema %+v, the load %+v", table, stream.schema, load.schema)
	}
	for i, f := range stream.arrow.Fields() {
		if g := load.arrow.Field(i); !f.Equal(g) {
			t.Errorf("%s: the log has the Arrow field %v, the load %v", table, f, g)
		}
		if i < len(stream.schema.Columns) {
			if a, b := stream.schema.Columns[i], load.schema.Columns[i]; !reflect.DeepEqual(a, b) {
				t.Errorf("%s: the log has the column %+v, the load %+v", table, a, b)
			}
		}
	}
}

func sameImage(t *testing.T, table, key, what string, stream, load *image) {
	t.Helper()
	if stream.partition != load.partition {
		t.Errorf("%s: the key %s is in partition %d by %s, in %d by the load", table, key, stream.partition, what, load.partition)
	}
	for c, column := range load.schema.Columns {
		if a, b := stream.cells[c], load.cells[c]; a != b {
			t.Errorf("%s.%s (%s): by %s %s, by the load %s", table, column.Name, column.Native, what, brief(a), brief(b))
		}
	}
}

func brief(cell string) string {
	if cell == "" {
		return "NULL"
	}
	if len(cell) > 200 {
		return fmt.Sprintf("%x... of %d bytes", cell[1:200], len(cell)-1)
	}
	return fmt.Sprintf("%x", cell[1:])
}

// TestParityKnowsEveryType reads TYPES.md: a type or charset that is added there is added to TestParity too.
func TestParityKnowsEveryType(t *testing.T) {
	text, err := os.ReadFile("TYPES.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range []flavor{mariadb, mysql} {
		for _, p := range parityTables(f) {
			for _, c := range p.columns {
				all = append(all, c.ddl)
			}
		}
	}
	has := func(want string) bool {
		re := regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(want) + `(\W|$)`)
		return slices.ContainsFunc(all, re.MatchString)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	arguments := regexp.MustCompile(`\([a-z,]+\)`) // DECIMAL(p,s): any will do
	types, charsets := 0, 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			for _, m := range quoted.FindAllStringSubmatch(strings.SplitN(line, "|", 3)[1], -1) {
				if want := arguments.ReplaceAllString(m[1], ""); !has(want) && m[1] != "SELECT *" {
					t.Errorf("TYPES.md has %s, TestParity has no column of it", m[1])
				}
				types++
			}
		}
		if strings.HasPrefix(line, "Carried:") {
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				if !has("CHARACTER SET " + m[1]) {
					t.Errorf("TYPES.md carries %s, TestParity has no column of it", m[1])
				}
				charsets++
			}
		}
		if strings.HasPrefix(line, "## Refused") {
			break
		}
	}
	if types < 40 || charsets < 10 {
		t.Errorf("TYPES.md was read as %d types and %d charsets", types, charsets)
	}
}
