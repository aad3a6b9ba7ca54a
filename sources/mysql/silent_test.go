package mysql

import (
	"database/sql/driver"
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// silentSetup is made for each of the statements: t, u, parted, ex and größe are captured, p is not.
var silentSetup = []string{
	"CREATE TABLE p (id INT PRIMARY KEY)", "INSERT INTO p VALUES (1),(2)",
	"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT)", "INSERT INTO t VALUES (1,'abcdefgh',7),(2,'b',7),(3,'c',8)",
	"CREATE TABLE u (id INT PRIMARY KEY, p_id INT, FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)", "INSERT INTO u VALUES (1,1),(2,2)",
	"CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))", "INSERT INTO parted VALUES (1),(2),(11)",
	"CREATE TABLE ex (id INT PRIMARY KEY)", "INSERT INTO ex VALUES (5)",
	"CREATE TABLE größe (id INT PRIMARY KEY)", "INSERT INTO größe VALUES (1)",
	"CREATE VIEW w AS SELECT * FROM t",
}

// silentSessions change rows in ways that the log of rows does not show, or that a reader of texts may misread. A server may refuse
// some of them.
var silentSessions = [][]string{
	{"SET STATEMENT lock_wait_timeout=5 FOR TRUNCATE t"}, {"SET STATEMENT sql_mode='ANSI_QUOTES' FOR TRUNCATE `t`"}, {"SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE t ADD z INT NOT NULL DEFAULT 7"},
	{"/*!50000 TRUNCATE */ TABLE t"}, {"/*M!100100 TRUNCATE TABLE */ t"}, {"TRUNCATE/**/TABLE/* x */`t`"}, {"truncate\ttable\nt -- x"}, {"TRUNCATE t # x"},
	{"DROP TABLE t"}, {"DROP TABLE IF EXISTS nobody, t"}, {"DROP /* x */ TABLE t CASCADE"}, {"DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (9)"},
	{"RENAME TABLE t TO t2"}, {"RENAME TABLE t TO t2, ex TO t"}, {"RENAME TABLE t TO x1, ex TO t, x1 TO ex"}, {"ALTER TABLE t RENAME t2"}, {"ALTER TABLE t RENAME AS t2, ADD z INT DEFAULT 4"}, {"ALTER TABLE t ADD z INT DEFAULT 4, RENAME TO t2"},
	{"CREATE TABLE _t_new LIKE t", "INSERT INTO _t_new SELECT * FROM t WHERE id > 1", "RENAME TABLE t TO _t_old, _t_new TO t", "UPDATE t SET n = n + 1"},
	{"CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho DROP n, ADD n INT DEFAULT 5", "INSERT INTO _t_gho (id, v) SELECT id, v FROM t", "RENAME TABLE t TO _t_del, _t_gho TO t", "DROP TABLE _t_del"},
	{"CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho DROP n, ADD n INT GENERATED ALWAYS AS (id * 5) VIRTUAL", "INSERT INTO _t_gho (id, v) SELECT id, v FROM t", "RENAME TABLE t TO _t_del, _t_gho TO t"},
	{"CREATE TABLE _t_new LIKE t", "ALTER TABLE _t_new ADD UNIQUE (n)", "INSERT IGNORE INTO _t_new SELECT * FROM t", "RENAME TABLE t TO _t_old, _t_new TO t"},
	{"CREATE TABLE y LIKE t", "RENAME TABLE t TO x, y TO t, x TO y"}, {"CREATE TABLE y LIKE t", "RENAME TABLE t TO x, x TO z, y TO t"}, {"CREATE TABLE y LIKE t", "RENAME TABLE IF EXISTS nobody TO x, t TO z, y TO t"}, {"RENAME TABLE t TO x, w TO t"},
	{"RENAME TABLE t TO x, x TO t", "UPDATE t SET n = 1"}, {"RENAME TABLE t TO x", "DELETE FROM x WHERE id = 1", "RENAME TABLE x TO t"}, {"CREATE TABLE y LIKE t", "DROP TABLE t", "ALTER TABLE y RENAME TO t"}, {"RENAME TABLE t TO x, ex TO t, parted TO ex, x TO parted"},
	{"CREATE TABLE y LIKE t", "SET sql_log_bin = 0", "DROP TABLE t", "SET sql_log_bin = 1", "RENAME TABLE y TO t"}, {"SET sql_log_bin = 0", "DROP TABLE t", "SET sql_log_bin = 1", "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n INT) SELECT 9 AS id"},
	{"SET sql_log_bin = 0", "DROP TABLE t", "SET sql_log_bin = 1", "CREATE TABLE t LIKE ex"}, {"ALTER TABLE t RENAME TO t, ADD z INT DEFAULT 4"}, {"ALTER TABLE t RENAME TO t2, ENGINE=BLACKHOLE"}, {"LOCK TABLES t WRITE, ex WRITE", "RENAME TABLE t TO x, ex TO t", "UNLOCK TABLES"},
	{"ALTER TABLE t DISCARD TABLESPACE"}, {"FLUSH TABLES t FOR EXPORT", "UNLOCK TABLES", "ALTER TABLE t DISCARD TABLESPACE", "ALTER TABLE t IMPORT TABLESPACE"},
	{"SELECT 70, 'x', 3 INTO OUTFILE '../silent_x.txt'", "SET SESSION binlog_format='STATEMENT'", "LOAD DATA INFILE '../silent_x.txt' INTO TABLE t"}, {"SET SESSION binlog_format='STATEMENT'", "CREATE TABLE IF NOT EXISTS t SELECT 70 AS id", "INSERT INTO t SELECT 71, 'x', 1"},
	{"CREATE OR REPLACE TABLE t LIKE ex"}, {"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY)"}, {"CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) SELECT 5 AS id"},
	{"ALTER IGNORE TABLE t ADD UNIQUE (n)"}, {"ALTER ONLINE IGNORE TABLE t ADD UNIQUE (n)"},
	{"ALTER TABLE t ADD z INT NOT NULL"}, {"ALTER TABLE t ADD z INT DEFAULT (1 + 1)"}, {"ALTER TABLE t ADD COLUMN (z INT NOT NULL, y INT)"}, {"ALTER TABLE t ADD z INT DEFAULT 12 COMMENT 'x'"},
	{"ALTER TABLE t ADD z INT GENERATED ALWAYS AS (n + 1) STORED"}, {"ALTER TABLE t ADD z INT AS (n + 1) VIRTUAL"}, {"ALTER TABLE t ADD z ENUM('a','b') NOT NULL FIRST"}, {"ALTER TABLE t ADD `z ADD y INT` INT DEFAULT 3"},
	{"SET SESSION sql_mode='NO_BACKSLASH_ESCAPES'", `ALTER TABLE t COMMENT 'x\', ADD z INT NOT NULL DEFAULT 7`}, {`ALTER TABLE t COMMENT 'x\', ADD y INT', ADD z INT NOT NULL DEFAULT 7`},
	{"SET SESSION sql_mode='NO_BACKSLASH_ESCAPES'", `ALTER TABLE t COMMENT 'x\', RENAME COLUMN n TO m`}, {"SET SESSION sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES'", `ALTER TABLE "t" COMMENT 'x\', CHANGE "n" "m" INT`},
	{"ALTER TABLE t MODIFY n BIGINT"}, {"SET SESSION sql_mode=''", "ALTER TABLE t MODIFY v VARCHAR(3)"}, {"ALTER TABLE t CHANGE n m INT"}, {"ALTER TABLE t RENAME COLUMN n TO m"}, {"ALTER TABLE t CHANGE v x VARCHAR(20), CHANGE n v INT, CHANGE id id INT"},
	{"ALTER TABLE t DROP n", "UPDATE t SET v = 'y'"}, {"ALTER TABLE t DROP n, ADD n INT"}, {"ALTER TABLE t DROP n", "ALTER TABLE t ADD n INT"}, {"ALTER TABLE t DROP n, ADD N INT"}, {"ALTER TABLE t CONVERT TO CHARACTER SET latin1"},
	{"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, n)"}, {"ALTER TABLE t DROP PRIMARY KEY"}, {"ALTER TABLE t ADD SYSTEM VERSIONING", "UPDATE t SET n = 1", "DELETE FROM t WHERE id = 1"},
	{"ALTER TABLE parted TRUNCATE PARTITION p0"}, {"ALTER TABLE parted DROP PARTITION p0"}, {"ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE ex"}, {"ALTER TABLE parted CONVERT PARTITION p0 TO TABLE made"},
	{"ALTER TABLE parted REORGANIZE PARTITION p0 INTO (PARTITION pa VALUES LESS THAN (2), PARTITION pb VALUES LESS THAN (10))"}, {"ALTER TABLE parted REMOVE PARTITIONING"}, {"ALTER TABLE parted CONVERT TABLE ex TO PARTITION p5 VALUES LESS THAN (90)"},
	{"ALTER TABLE t ENGINE=MyISAM", "INSERT INTO t VALUES (4,'d',4)", "REPAIR TABLE t"}, {"ALTER TABLE t ENGINE=BLACKHOLE"}, {"ALTER TABLE t ENGINE=Aria", "UPDATE t SET n = 4"}, {"ALTER TABLE t ENGINE=MEMORY", "DELETE FROM t WHERE id = 2"},
	{"SET SESSION binlog_format='STATEMENT'", "UPDATE t SET n=n+1"}, {"SET SESSION binlog_format='STATEMENT'", "UPDATE w SET n=n+1"}, {"SET SESSION binlog_format='STATEMENT'", "INSERT INTO w VALUES (9,'i',9)"},
	{"SET SESSION binlog_format='STATEMENT'", "UPDATE t, ex SET t.n=9, ex.id=8"}, {"SET SESSION binlog_format='STATEMENT'", "DELETE t FROM t JOIN ex WHERE t.id = 1"}, {"SET SESSION binlog_format='STATEMENT'", "DELETE FROM p WHERE id = 1"},
	{"SET SESSION binlog_format='STATEMENT'", "REPLACE INTO t SELECT id, 'x', 1 FROM ex"}, {"SET SESSION binlog_format='STATEMENT'", "ANALYZE UPDATE t SET n = 4"}, {"ANALYZE FORMAT=JSON DELETE FROM t WHERE id = 1"},
	{"SET SESSION binlog_format='STATEMENT'", "UPDATE `t` SET n = 5 ORDER BY id LIMIT 1"}, {"SET SESSION binlog_format='STATEMENT'", "INSERT DELAYED IGNORE t VALUES (9,'x',1)"}, {"SET SESSION binlog_format='STATEMENT'", "WITH x AS (SELECT 1) UPDATE t, x SET n = 3"},
	{"CREATE PROCEDURE q() UPDATE t SET n = 33", "SET SESSION binlog_format='STATEMENT'", "CALL q()"}, {"CREATE PROCEDURE q() TRUNCATE t", "CALL q()"}, {"CREATE PROCEDURE q() ALTER TABLE t ADD z INT DEFAULT 5", "CALL q()"},
	{"CREATE FUNCTION q() RETURNS INT MODIFIES SQL DATA BEGIN UPDATE t SET n = 34; RETURN 1; END", "SELECT q()"}, {"CREATE FUNCTION q() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN UPDATE t SET n = 34; RETURN 1; END", "SET SESSION binlog_format='STATEMENT'", "SELECT q()"},
	{"CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW UPDATE t SET n = n + 1", "INSERT INTO p VALUES (9)"}, {"CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW UPDATE t SET n = n + 1", "SET SESSION binlog_format='STATEMENT'", "INSERT INTO p VALUES (9)"},
	{"EXECUTE IMMEDIATE 'TRUNCATE t'"}, {"PREPARE s FROM 'TRUNCATE t'", "EXECUTE s"}, {"BEGIN NOT ATOMIC TRUNCATE t; END"}, {"IF 1 THEN TRUNCATE t; END IF"},
	{"SET NAMES latin1", "TRUNCATE TABLE gr\xf6\xdfe"}, {"SET NAMES latin1", "ALTER TABLE gr\xf6\xdfe ADD z INT NOT NULL DEFAULT 7"}, {"SET NAMES gbk", "ALTER TABLE t COMMENT '\xc1\xaa\xcd\xa8', ADD z INT NOT NULL DEFAULT 7"}, {"SET NAMES latin1", "DROP TABLE gr\xf6\xdfe"},
	{"SET SESSION sql_mode='ANSI_QUOTES'", `TRUNCATE "t"`}, {"SET SESSION sql_mode='ANSI_QUOTES'", `ALTER TABLE "t" ADD "z" INT NOT NULL DEFAULT 7`},
	{"DELETE FROM p WHERE id = 1"}, {"BEGIN", "DELETE FROM p WHERE id = 1", "INSERT INTO p VALUES (1)", "INSERT INTO u VALUES (1,1)", "COMMIT"}, {"SET foreign_key_checks = 0", "DELETE FROM p WHERE id = 1"},
	{"BEGIN", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1,'again',1)", "UPDATE t SET id = 10 WHERE id = 1", "INSERT INTO t VALUES (1,'new',2)", "COMMIT"}, {"CREATE TEMPORARY TABLE t (id INT)", "TRUNCATE t", "DROP TEMPORARY TABLE t", "UPDATE t SET n = 1"},
	{"LOCK TABLES t WRITE", "ALTER TABLE t ADD z INT DEFAULT 6", "UNLOCK TABLES"}, {"DROP DATABASE silent_x", "CREATE DATABASE silent_x"}, {"VALUES (1)", "DO 1", "HANDLER t OPEN", "UPDATE t SET n = 12"},
	{"SET SESSION binlog_row_image='MINIMAL'", "UPDATE t SET n = 1"}, {"SET SESSION binlog_row_image='NOBLOB'", "UPDATE t SET n = 1"},
}

// TestNothingSilent: whatever is run, a captured table is parked, with a reason, or equals its source.
func TestNothingSilent(t *testing.T) {
	names := []string{"t", "u", "parted", "ex", "größe"}
	eachServer(t, nil, func(t *testing.T, l *lab) {
		accepted := 0
		for i, session := range silentSessions {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				l := l.in(t, "silent_x")
				l.exec(silentSetup...)
				rec := newRecorder(t, 1)
				run := l.run(l.config(names...), rec, ingest.Resume{})
				l.settleLoads(rec, names...)
				if l.mostly(session) {
					accepted++
				}
				l.settle(rec)
				var alive []string
				for _, n := range names {
					if rec.parked[l.table(n)] == "" {
						alive = append(alive, n)
					}
				}
				l.settleLoads(rec, alive...)
				for _, n := range alive {
					l.same(rec, n)
				}
				if t.Failed() {
					t.Logf("after %q", session)
				}
				run.end(t)
			})
		}
		t.Logf("%d sessions, %d accepted whole", len(silentSessions), accepted)
	})
}

// mostly runs statements on one connection and reports whether the server took them all.
func (l *lab) mostly(statements []string) (all bool) {
	l.t.Helper()
	conn, err := l.db.Conn(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }() // its settings must not reach the next test
	for _, q := range statements {
		if _, err := conn.ExecContext(l.t.Context(), q); err != nil {
			return false
		}
	}
	return true
}
