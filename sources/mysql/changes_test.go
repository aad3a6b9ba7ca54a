package mysql

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
)

// changeCase is what some statements must become. Lines of one server only are marked "mariadb:" or "mysql:".
type changeCase struct {
	name   string
	tables []string // captured; default t
	before []string // before the source starts
	run    []string // one session
	want   []string
	parked string // part of the reason, if the first table is parked at the end
	only   flavor // the other server refuses the statements
	reload bool   // the first table must be loaded again
	later  string // a table that the statements create and that is loaded then
}

const plainTable = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))"

var changeCases = []changeCase{
	{name: "insert_update_delete", before: []string{plainTable},
		run:  []string{"INSERT INTO t VALUES (1,'a'),(2,'b')", "UPDATE t SET v='c' WHERE id=2", "DELETE FROM t WHERE id=1"},
		want: []string{"begin", "upsert t 1|a", "upsert t 2|b", "end", "begin", "upsert t 2|c", "end", "begin", "delete t 1", "end"}},
	{name: "several_tables_one_group", tables: []string{"t", "u"}, before: []string{plainTable, "CREATE TABLE u (id INT PRIMARY KEY)"},
		run:  []string{"BEGIN", "INSERT INTO t VALUES (1,'a')", "INSERT INTO u VALUES (7)", "DELETE FROM t", "COMMIT"},
		want: []string{"begin", "upsert t 1|a", "delete t 1", "upsert u 7", "end"}},
	{name: "uncaptured_tables_pass", before: []string{plainTable, "CREATE TABLE x (id INT PRIMARY KEY, g GEOMETRY)"},
		run:  []string{"INSERT INTO x VALUES (1,NULL)", "BEGIN", "INSERT INTO x VALUES (2,NULL)", "INSERT INTO t VALUES (1,'a')", "COMMIT", "DELETE FROM x"},
		want: []string{"begin", "upsert t 1|a", "end"}},
	{name: "savepoint", before: []string{plainTable},
		run:  []string{"BEGIN", "INSERT INTO t VALUES (1,'a')", "SAVEPOINT s", "INSERT INTO t VALUES (2,'b')", "ROLLBACK TO s", "INSERT INTO t VALUES (3,'c')", "COMMIT"},
		want: []string{"begin", "upsert t 1|a", "upsert t 3|c", "end"}},
	{name: "rollback", before: []string{plainTable},
		run:  []string{"BEGIN", "INSERT INTO t VALUES (1,'a')", "ROLLBACK", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"begin", "upsert t 2|b", "end"}},
	{name: "mixed_engines_rolled_back", only: mariadb, tables: []string{"t", "m"}, before: []string{plainTable, "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM"},
		run:  []string{"BEGIN", "INSERT INTO t VALUES (1,'a')", "INSERT INTO m VALUES (9)", "ROLLBACK", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"begin", "upsert m 9", "end", "begin", "upsert t 2|b", "end"}},
	{name: "key_change", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"},
		run:  []string{"UPDATE t SET id=5 WHERE id=1"},
		want: []string{"begin", "delete t 1", "upsert t 5|a", "end"}},
	{name: "swap_of_two_keys", before: []string{plainTable, "INSERT INTO t VALUES (1,'a'),(2,'b')"},
		run:  []string{"BEGIN", "UPDATE t SET id=-1 WHERE id=1", "UPDATE t SET id=1 WHERE id=2", "UPDATE t SET id=2 WHERE id=-1", "COMMIT"},
		want: []string{"begin", "delete t 1", "upsert t -1|a", "delete t 2", "upsert t 1|b", "delete t -1", "upsert t 2|a", "end"}},
	{name: "replace_two_unique_keys", before: []string{"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20) UNIQUE)", "INSERT INTO t VALUES (1,'a'),(2,'b')"},
		run: []string{"REPLACE INTO t VALUES (1,'b')"}},
	{name: "create_table_select", later: "copy", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, tables: []string{"*"},
		run:  []string{"CREATE TABLE copy (id INT PRIMARY KEY, v VARCHAR(20)) SELECT * FROM t"},
		want: []string{"begin", "upsert copy 1|a", "end"}},
	{name: "alter_add_and_drop", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"},
		run: []string{"ALTER TABLE t ADD COLUMN n INT NULL FIRST", "INSERT INTO t VALUES (7,2,'b')", "ALTER TABLE t DROP COLUMN v", "INSERT INTO t VALUES (8,3)", "ALTER TABLE t MODIFY n BIGINT", "INSERT INTO t VALUES (9,4)"},
		want: []string{"begin", "table t (n int32, id int32, v text) key id", "upsert t 7|2|b", "end", "begin", "table t (n int32, id int32) key id", "upsert t 8|3", "end",
			"begin", "table t (n int64, id int32) key id", "upsert t 9|4", "end"}},
	{name: "alter_fills_old_rows", reload: true, before: []string{plainTable, "INSERT INTO t VALUES (1,'a'),(2,'b')"},
		run: []string{"ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 5, ADD COLUMN g INT AS (id + 1) VIRTUAL", "INSERT INTO t (id, v, n) VALUES (3,'c',6)"}},
	{name: "alter_converts_old_rows", reload: true, before: []string{"CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a','b'), s VARCHAR(9))", "INSERT INTO t VALUES (1,'a',NULL),(2,'b','x')"},
		run: []string{"SET SESSION sql_mode=''", "ALTER TABLE t MODIFY e ENUM('b','a'), MODIFY s VARCHAR(9) NOT NULL"}},
	{name: "alter_renames", reload: true, before: []string{plainTable, "INSERT INTO t VALUES (1,'a'),(2,'b')"}, run: []string{"ALTER TABLE t CHANGE v w VARCHAR(20)"}},
	{name: "alter_swaps_names", reload: true, before: []string{"CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)", "INSERT INTO t VALUES (1,2,3)"},
		run: []string{"ALTER TABLE t CHANGE a b INT, CHANGE b a INT"}},
	{name: "alter_drops_and_adds", reload: true, before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, run: []string{"ALTER TABLE t DROP COLUMN v, ADD COLUMN v VARCHAR(20)"}},
	{name: "alter_drops_then_adds", reload: true, before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, run: []string{"ALTER TABLE t DROP v", "ALTER TABLE t ADD v VARCHAR(20)"}},
	{name: "alter_new_expression", reload: true, before: []string{"CREATE TABLE t (id INT PRIMARY KEY, g INT AS (id * 2) STORED)", "INSERT INTO t (id) VALUES (1)"},
		run: []string{"ALTER TABLE t DROP g, ADD g INT AS (id * 3) STORED"}},
	{name: "alter_adds_cascade", before: []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, p INT)", "INSERT INTO p VALUES (1)", "INSERT INTO t VALUES (1,1)"},
		tables: []string{"t", "p"}, parked: "mariadb:cascade",
		run:  []string{"ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL", "DELETE FROM p"},
		want: []string{"begin", "delete p 1", "mysql:upsert t 1|(null)", "end", "mariadb:park t"}},
	{name: "alter_adds_versioning", only: mariadb, before: []string{plainTable, "INSERT INTO t VALUES (1,'a')", "CREATE TABLE u (id INT PRIMARY KEY)"}, tables: []string{"t", "u"}, parked: "its primary key changed",
		run:  []string{"ALTER TABLE t ADD SYSTEM VERSIONING", "UPDATE t SET v='b'"},
		want: []string{"park t"}},
	{name: "alter_type_parks", before: []string{plainTable}, parked: "the type of column `v` changed",
		run:  []string{"INSERT INTO t VALUES (1,'2')", "ALTER TABLE t MODIFY v INT", "INSERT INTO t VALUES (2,3)"},
		want: []string{"begin", "upsert t 1|2", "end", "park t"}},
	{name: "truncate", before: []string{plainTable}, parked: "truncated; then run: tidemill resync test.db_truncate.t",
		run:  []string{"INSERT INTO t VALUES (1,'a')", "TRUNCATE t", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"begin", "upsert t 1|a", "end", "park t"}},
	{name: "drop_and_create", before: []string{plainTable}, parked: "dropped",
		run:  []string{"DROP TABLE t", plainTable, "INSERT INTO t VALUES (2,'b')"},
		want: []string{"park t"}},
	{name: "rename_away", before: []string{plainTable}, parked: "renamed",
		run:  []string{"RENAME TABLE t TO gone", "INSERT INTO gone VALUES (2,'b')"},
		want: []string{"park t"}},
	{name: "online_schema_change", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, tables: []string{"*"},
		run: []string{"CREATE TABLE _t_gho (id INT PRIMARY KEY, v VARCHAR(20), w INT NULL)", "INSERT INTO _t_gho SELECT id, v, NULL FROM t", "INSERT INTO t VALUES (2,'b')",
			"REPLACE INTO _t_gho VALUES (2,'b',NULL)", "RENAME TABLE t TO _t_del, _t_gho TO t", "INSERT INTO t VALUES (3,'c',5)", "DROP TABLE _t_del"},
		parked: "loaded anew by itself",
		want:   []string{"begin", "upsert t 2|b", "end", "anew t"}},
	{name: "away_and_back", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"},
		run:  []string{"RENAME TABLE t TO x, x TO t", "ALTER TABLE t RENAME TO t, ADD INDEX (v)", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"begin", "upsert t 2|b", "end"}},
	{name: "made_again_unseen", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, parked: "loaded anew by itself",
		run:  []string{"CREATE TABLE IF NOT EXISTS t (id INT)", "SET sql_log_bin=0", "DROP TABLE t", "SET sql_log_bin=1", plainTable, "INSERT INTO t VALUES (2,'b')"},
		want: []string{"anew t"}},
	{name: "partition_truncated", before: []string{"CREATE TABLE t (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))"},
		run: []string{"INSERT INTO t VALUES (1,1),(11,1)", "ALTER TABLE t TRUNCATE PARTITION p0"}, parked: "partition",
		want: []string{"begin", "upsert t 1|1", "upsert t 11|1", "end", "park t"}},
	{name: "partition_exchanged", tables: []string{"u", "t"}, parked: "partition", before: []string{"CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10))",
		"CREATE TABLE u (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (2)"},
		run:  []string{"ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE u"},
		want: []string{"park t", "park u"}},
	{name: "partition_converted", only: mariadb, tables: []string{"*"}, later: "made", parked: "partition",
		before: []string{"CREATE TABLE t (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))", "INSERT INTO t VALUES (1),(11)"},
		run:    []string{"ALTER TABLE t CONVERT PARTITION p0 TO TABLE made"},
		want:   []string{"park t"}},
	{name: "set_statement", only: mariadb, before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, parked: "truncated",
		run:  []string{"SET STATEMENT lock_wait_timeout=5, max_statement_time=(1+8) FOR TRUNCATE TABLE t"},
		want: []string{"park t"}},
	{name: "set_statement_alter", only: mariadb, reload: true, before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"},
		run: []string{"SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE t ADD n INT NOT NULL DEFAULT 7"}},
	{name: "alter_ignore_deletes", only: mariadb, before: []string{plainTable, "INSERT INTO t VALUES (1,'a'),(2,'a')"}, parked: "IGNORE",
		run:  []string{"ALTER IGNORE TABLE t ADD UNIQUE KEY (v)"},
		want: []string{"park t"}},
	{name: "latin1_session", tables: []string{"größe"}, before: []string{"CREATE TABLE größe (id INT PRIMARY KEY)", "INSERT INTO größe VALUES (1)"}, parked: "truncated",
		run:  []string{"SET NAMES latin1", "TRUNCATE TABLE gr\xf6\xdfe"},
		want: []string{"park größe"}},
	{name: "statement_through_a_view", tables: []string{"t", "u"}, parked: "STATEMENT",
		before: []string{plainTable, "INSERT INTO t VALUES (1,'a')", "CREATE TABLE u (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t"},
		run:    []string{"SET SESSION binlog_format='STATEMENT'", "UPDATE v SET v='b'"},
		want:   []string{"park t", "park u"}},
	{name: "statement_that_cascades", tables: []string{"t", "u"}, parked: "STATEMENT",
		before: []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
			"CREATE TABLE u (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id))", "INSERT INTO p VALUES (1)", "INSERT INTO t VALUES (1,1)"},
		run:  []string{"SET SESSION binlog_format='STATEMENT'", "DELETE FROM p"},
		want: []string{"park t"}},
	{name: "statement_session", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')", "CREATE TABLE u (id INT PRIMARY KEY)"}, tables: []string{"t", "u"}, parked: "STATEMENT",
		run:  []string{"SET SESSION binlog_format='STATEMENT'", "UPDATE t SET v='" + realtest.Canary + "'", "INSERT INTO t VALUES (3,'c')", "SET SESSION binlog_format='ROW'", "INSERT INTO u VALUES (1)", "INSERT INTO t VALUES (4,'d')"},
		want: []string{"park t", "begin", "upsert u 1", "end"}},
	{name: "statement_session_of_others", before: []string{plainTable, "CREATE TABLE x (id INT PRIMARY KEY)"},
		run:  []string{"SET SESSION binlog_format='STATEMENT'", "REPLACE INTO x SELECT id FROM t", "INSERT INTO x VALUES (3)", "SET SESSION binlog_format='ROW'", "INSERT INTO t VALUES (1,'a')"},
		want: []string{"begin", "upsert t 1|a", "end"}},
	{name: "minimal_image", before: []string{plainTable, "INSERT INTO t VALUES (1,'a')"}, parked: "binlog_row_image",
		run:  []string{"SET SESSION binlog_row_image='MINIMAL'", "UPDATE t SET v='" + realtest.Canary + "'", "SET SESSION binlog_row_image='FULL'", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"park t"}},
	{name: "no_primary_key_later", before: []string{plainTable}, parked: "no primary key",
		run:  []string{"ALTER TABLE t DROP PRIMARY KEY", "INSERT INTO t VALUES (1,'a')"},
		want: []string{"park t"}},
	{name: "names", before: []string{"CREATE TABLE `we``ird.ünï` (`i``d` INT PRIMARY KEY)"}, tables: []string{"we`ird.ünï"},
		run:  []string{"INSERT INTO `we``ird.ünï` VALUES (1)", "SET SESSION sql_mode='ANSI_QUOTES'", `ALTER TABLE "we` + "`" + `ird.ünï" ADD COLUMN "a b" INT`, `INSERT INTO "we` + "`" + `ird.ünï" VALUES (2,3)`},
		want: []string{"begin", "upsert we`ird.ünï 1", "end", "begin", "table we`ird.ünï (i`d int32, a b int32) key i`d", "upsert we`ird.ünï 2|3", "end"}},
	{name: "new_table_of_a_pattern", later: "later", before: []string{plainTable}, tables: []string{"*"},
		run:  []string{"CREATE TABLE later (id INT PRIMARY KEY)", "INSERT INTO later VALUES (1)"},
		want: nil}, // its load comes when it comes: checked by state
	{name: "xa", before: []string{plainTable, "CREATE TABLE u (id INT PRIMARY KEY)"}, tables: []string{"t", "u"}, parked: "XA",
		run:  []string{"XA START 'x'", "INSERT INTO t VALUES (1,'a')", "XA END 'x'", "XA PREPARE 'x'", "XA ROLLBACK 'x'", "INSERT INTO u VALUES (1)"},
		want: []string{"park t", "begin", "upsert u 1", "end"}},
	{name: "timestamp_of_the_session", before: []string{plainTable},
		run:  []string{"SET SESSION timestamp=1000000000", "INSERT INTO t VALUES (1,'a')", "SET SESSION timestamp=DEFAULT", "INSERT INTO t VALUES (2,'b')"},
		want: []string{"begin", "upsert t 1|a", "end", "begin", "upsert t 2|b", "end"}},
	{name: "time_zones", before: []string{"CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3))"},
		run:  []string{"SET SESSION time_zone='+07:00'", "INSERT INTO t VALUES (1,'2026-01-02 07:00:00.5','2026-01-02 07:00:00.5')"},
		want: []string{"begin", "upsert t 1|2026-01-02T00:00:00.5Z|2026-01-02T07:00:00.5", "end"}},
	{name: "cascade", before: []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
		"INSERT INTO p VALUES (1),(2)", "INSERT INTO t VALUES (1,1),(2,2)"}, tables: []string{"t", "p"},
		run:    []string{"INSERT INTO p VALUES (3)", "DELETE FROM p WHERE id=1"},
		parked: "mariadb:cascade",
		want:   []string{"begin", "upsert p 3", "end", "begin", "delete p 1", "mysql:delete t 1", "end", "mariadb:park t"}},
	{name: "foreign_key_without_effect", before: []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)"},
		tables: []string{"t", "p"},
		run:    []string{"INSERT INTO p VALUES (3)", "INSERT INTO t VALUES (1,3)", "DELETE FROM t"},
		want:   []string{"begin", "upsert p 3", "end", "begin", "upsert t 1|3", "end", "begin", "delete t 1", "end"}},
	{name: "dropped_column", before: []string{"CREATE TABLE t (id INT PRIMARY KEY, secret VARCHAR(99), v INT)", "INSERT INTO t VALUES (1,'s',2)"},
		run:  []string{"UPDATE t SET v=3, secret='z'"},
		want: []string{"begin", "upsert t 1|3", "end"}},
	{name: "load_data_and_replace_into_select", before: []string{plainTable, "INSERT INTO t VALUES (1,'a'),(2,'b')"},
		run:  []string{"REPLACE INTO t SELECT id+1, v FROM t WHERE id=2", "INSERT INTO t VALUES (1,'z') ON DUPLICATE KEY UPDATE v='dup'", "DELETE a FROM t a JOIN t b ON a.id=b.id WHERE a.id=2"},
		want: []string{"begin", "upsert t 3|b", "end", "begin", "upsert t 1|dup", "end", "begin", "delete t 2", "end"}},
}

func TestChanges(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		for _, c := range changeCases {
			t.Run(c.name, func(t *testing.T) { c.check(t, l.in(t, "db_"+c.name)) })
		}
	})
}

// The same statements must give the same rows when the server compresses what it logs.
func TestChangesCompressed(t *testing.T) {
	check := func(t *testing.T, l *lab) {
		for _, c := range changeCases {
			switch c.name {
			case "insert_update_delete", "several_tables_one_group", "savepoint", "key_change", "statement_session", "alter_add_and_drop", "create_table_select", "xa", "mixed_engines_rolled_back":
				t.Run(c.name, func(t *testing.T) { c.check(t, l.in(t, "db_"+c.name)) })
			}
		}
	}
	t.Run("mariadb", func(t *testing.T) {
		check(t, serverLab(t, mariadb, "log_bin_compress=ON", "log_bin_compress_min_len=10"))
	})
	t.Run("mysql", func(t *testing.T) { check(t, serverLab(t, mysql, "binlog-transaction-compression=ON")) })
}

// A server that keeps names in lower case logs them as they were written. MariaDB alone: MySQL wants the setting when its
// data directory is made, and logs the same texts.
func TestFoldedNames(t *testing.T) {
	cases := []changeCase{
		{name: "truncate", tables: []string{"aa"}, before: []string{"CREATE TABLE Aa (id INT PRIMARY KEY)", "INSERT INTO aA VALUES (1)"}, parked: "truncated",
			run: []string{"INSERT INTO AA VALUES (2)", "TRUNCATE TABLE AA"}, want: []string{"begin", "upsert aa 2", "end", "park aa"}},
		{name: "alter", reload: true, before: []string{"CREATE TABLE T (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)"},
			run: []string{"ALTER TABLE DB_Alter.T ADD n INT NOT NULL DEFAULT 7"}},
		{name: "statement", tables: []string{"t", "u"}, before: []string{"CREATE TABLE T (id INT PRIMARY KEY)", "CREATE TABLE U (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)"}, parked: "STATEMENT",
			run: []string{"SET SESSION binlog_format='STATEMENT'", "DELETE FROM T"}, want: []string{"park t"}},
	}
	l := serverLab(t, mariadb, "lower_case_table_names=1")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t, l.in(t, "db_"+c.name)) })
	}
}

// Statements that a two-phase ALTER logs twice change the schema once.
func TestTwoPhaseAlter(t *testing.T) {
	l := serverLab(t, mariadb, "binlog_alter_two_phase=ON")
	for _, c := range changeCases {
		if strings.HasPrefix(c.name, "alter_") || c.name == "rename_away" {
			t.Run(c.name, func(t *testing.T) { c.check(t, l.in(t, "db_"+c.name)) })
		}
	}
}

func (c changeCase) check(t *testing.T, l *lab) {
	if c.only != "" && c.only != l.flavor {
		return
	}
	tables := c.tables
	if tables == nil {
		tables = []string{"t"}
	}
	l.exec(c.before...)
	rec := newRecorder(t, 1)
	cfg := l.config(tables...)
	if c.name == "dropped_column" {
		cfg.Tables[l.name+".t"] = Table{Columns: map[string]string{"secret": actionDrop}}
	}
	run := l.run(cfg, rec, ingest.Resume{})
	l.settleLoads(rec, existing(l, tables)...)
	rec.take()
	l.session(c.run...)
	l.settle(rec)
	if c.reload {
		rec.await("the second load", func() bool {
			return slices.Contains(rec.lines, "reload "+l.name+".t") && rec.loads[l.table("t")].Done
		})
	}
	if c.later != "" {
		l.settleLoads(rec, c.later)
		l.same(rec, c.later)
	}
	got := c.relevant(rec.take(), l.name)
	if want := c.wanted(l.flavor); c.want != nil && !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	c.checkParked(t, l, rec, tables)
	run.end(t)
	c.replay(t, l, cfg, rec)
}

func existing(l *lab, tables []string) []string {
	var out []string
	for _, n := range tables {
		if n == "*" {
			n = "t"
		}
		out = append(out, n)
	}
	return out
}

// relevant keeps the lines about rows, without the database's name and the texts of parking.
func (c changeCase) relevant(lines []string, database string) []string {
	var out []string
	for _, line := range lines {
		line = strings.ReplaceAll(line, database+".", "")
		if strings.HasPrefix(line, "load ") || strings.HasPrefix(line, "reload ") || strings.HasPrefix(line, "table ") && (len(out) == 0 || out[len(out)-1] != "begin") {
			continue
		}
		if strings.HasPrefix(line, "table copy") {
			continue // declared by its CREATE TABLE or by its rows
		}
		if name, _, ok := strings.Cut(line, ": "); ok && (strings.HasPrefix(line, "park ") || strings.HasPrefix(line, "anew ")) {
			line = name
		}
		out = append(out, line)
	}
	return out
}

func (c changeCase) wanted(f flavor) []string {
	var out []string
	for _, line := range c.want {
		if server, rest, ok := strings.Cut(line, ":"); ok && (server == string(mariadb) || server == string(mysql)) {
			if server != string(f) {
				continue
			}
			line = rest
		}
		out = append(out, line)
	}
	return out
}

func (c changeCase) checkParked(t *testing.T, l *lab, rec *recorder, tables []string) {
	want := c.parked
	if server, rest, ok := strings.Cut(want, ":"); ok && (server == string(mariadb) || server == string(mysql)) {
		if want = rest; server != string(l.flavor) {
			want = ""
		}
	}
	first := existing(l, tables)[0]
	reason := rec.parked[l.table(first)]
	if want == "" && reason != "" || !strings.Contains(reason, want) {
		t.Errorf("parked: %q, want %q", reason, want)
	}
	realtest.NoCanary(t, "the reason", reason)
	if want != "" && !strings.Contains(reason, l.resync(first)) {
		t.Errorf("the reason does not say what to run: %q", reason)
	}
	for _, n := range tables {
		if n == "*" || c.name == "dropped_column" || rec.parked[l.table(n)] != "" || c.name == "time_zones" || c.name == "alter_add_and_drop" || strings.Contains(n, "`") {
			continue
		}
		l.same(rec, n)
	}
}

// replay runs the source again from the same start: the stream must be the same, though the catalogue is another by
// now (doc.go, invariant 1).
func (c changeCase) replay(t *testing.T, l *lab, cfg Config, first *recorder) {
	t.Helper()
	src, err := New("test", cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Prepare(t.Context()); err != nil {
		return // the only table is gone
	}
	resume := ingest.Resume{Position: first.started, Schemas: map[ingest.TableName]*ingest.Schema{}, Loads: map[ingest.TableName]ingest.Load{}}
	for n := range first.loads {
		if n != l.table(c.later) { // it was not there at the start
			resume.Loads[n] = ingest.Load{Done: true}
		}
	}
	for _, s := range slices.Backward(first.schemas) {
		resume.Schemas[s.Table] = s
	}
	rec := newRecorder(t, 1)
	run := l.run(cfg, rec, resume)
	l.settle(rec)
	run.end(t)
	rec.take()
	if want, got := onlyGroups(first.kept), onlyGroups(rec.kept); !slices.Equal(got, want) {
		t.Errorf("a second run from %s emitted\n  %s\nthe first\n  %s", first.started, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// onlyGroups keeps the rows, without the declarations: a second run declares tables where it first meets them.
func onlyGroups(lines []string) []string {
	var out []string
	for _, line := range lines {
		if line == "begin" || line == "end" || strings.HasPrefix(line, "upsert ") || strings.HasPrefix(line, "delete ") || strings.HasPrefix(line, "park ") || strings.HasPrefix(line, "anew ") {
			if line == "end" && out[len(out)-1] == "begin" {
				out = out[:len(out)-1] // a group whose only event could not be decoded
				continue
			}
			out = append(out, line)
		}
	}
	return out
}
