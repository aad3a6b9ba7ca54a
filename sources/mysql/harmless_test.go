package mysql

import (
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// harmlessStatements change no row of the captured table t and no table that is captured. A server may refuse some.
var harmlessStatements = []string{
	"CREATE USER u1@localhost IDENTIFIED BY 'Drop_Table_t_1'", "ALTER USER u1@localhost IDENTIFIED BY 'x_Y9_zz_1'", "GRANT SELECT ON *.* TO u1@localhost", "REVOKE SELECT ON *.* FROM u1@localhost",
	"SET PASSWORD FOR u1@localhost = PASSWORD('x')", "SET PASSWORD FOR u1@localhost = 'x_Y9_zz_2'", "CREATE ROLE r1", "GRANT r1 TO u1@localhost", "SET DEFAULT ROLE r1 FOR u1@localhost", "SET DEFAULT ROLE r1 TO u1@localhost",
	"RENAME USER u1@localhost TO u2@localhost", "DROP ROLE r1", "DROP USER u2@localhost",
	"CREATE VIEW v AS SELECT * FROM t", "CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW v AS SELECT id FROM t", "ALTER VIEW v AS SELECT * FROM t", "DROP VIEW v",
	"CREATE PROCEDURE p() BEGIN TRUNCATE t; END", "ALTER PROCEDURE p COMMENT 'x'", "DROP PROCEDURE p",
	"CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "DROP FUNCTION f",
	"CREATE EVENT e ON SCHEDULE EVERY 1 YEAR STARTS '2036-01-01' DO TRUNCATE t", "ALTER EVENT e DISABLE", "DROP EVENT e",
	"CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1')", "DROP SERVER s",
	"CREATE DATABASE IF NOT EXISTS harmless2 CHARACTER SET latin1", "ALTER DATABASE harmless2 CHARACTER SET utf8mb4", "DROP DATABASE harmless2",
	"CREATE SEQUENCE sq", "ALTER SEQUENCE sq RESTART 5", "SELECT NEXTVAL(sq)", "DROP SEQUENCE sq",
	"ANALYZE TABLE t", "OPTIMIZE TABLE t", "CHECK TABLE t", "CHECKSUM TABLE t", "FLUSH TABLES", "FLUSH PRIVILEGES", "FLUSH LOCAL STATUS", "FLUSH BINARY LOGS",
	"CREATE TEMPORARY TABLE tmp (id INT)", "INSERT INTO tmp VALUES (1)", "TRUNCATE tmp", "ALTER TABLE tmp ADD x INT", "DROP TEMPORARY TABLE tmp",
	"CREATE TEMPORARY TABLE t (id INT)", "INSERT INTO t VALUES (1)", "TRUNCATE TABLE t", "ALTER TABLE t ADD x INT DEFAULT 3", "DROP TEMPORARY TABLE t",
	"CREATE TABLE other (id INT PRIMARY KEY)", "ALTER TABLE other ADD x INT DEFAULT 4", "CREATE INDEX i ON other (x)", "DROP INDEX i ON other", "TRUNCATE other", "RENAME TABLE other TO other2", "DROP TABLE other2",
	"CREATE TABLE other LIKE t", "CREATE OR REPLACE TABLE other (id INT PRIMARY KEY)", "DROP TABLE IF EXISTS other, nobody",
	"ALTER TABLE t COMMENT 'TRUNCATE PARTITION'", "ALTER TABLE t AUTO_INCREMENT = 900", "ALTER TABLE t ENGINE=InnoDB", "ALTER TABLE t FORCE", "ALTER TABLE t ROW_FORMAT=COMPACT, ALGORITHM=COPY",
	"ALTER TABLE t ADD INDEX iv (v), LOCK=NONE", "ALTER TABLE t RENAME INDEX iv TO iw", "ALTER TABLE t DROP INDEX iw", "ALTER TABLE t ALTER COLUMN v SET DEFAULT 'x'", "ALTER TABLE t DISABLE KEYS", "ALTER TABLE t ENABLE KEYS",
	"ALTER TABLE t ADD CONSTRAINT c CHECK (id > -5)", "ALTER TABLE t DROP CONSTRAINT c", "ALTER TABLE t DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "ALTER TABLE t STATS_PERSISTENT=1 STATS_AUTO_RECALC=0, ORDER BY id",
	"ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 3", "ALTER TABLE t ADD PARTITION PARTITIONS 2", "ALTER TABLE t COALESCE PARTITION 1", "ALTER TABLE t REBUILD PARTITION ALL", "ALTER TABLE t ANALYZE PARTITION ALL", "ALTER TABLE t REMOVE PARTITIONING",
	"SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE t COMMENT 'x'", "SET STATEMENT max_statement_time=5 FOR CREATE USER u3@localhost", "DROP USER IF EXISTS u3@localhost",
	"INSTALL SONAME 'ha_blackhole'", "UNINSTALL SONAME 'ha_blackhole'", "XA RECOVER", "SAVEPOINT s",
	"/* a comment */ ANALYZE /* TABLE x */ TABLE t", "/*!50000 ANALYZE */ TABLE t", "-- x\nFLUSH TABLES",
	"BEGIN NOT ATOMIC SELECT 1; END", "EXECUTE IMMEDIATE 'ANALYZE TABLE t'", "IF 1 THEN ANALYZE TABLE t; END IF",
	"CREATE TABLE percona_sums (id INT PRIMARY KEY, crc CHAR(32))",
	"SET SESSION binlog_format = 'STATEMENT'", "REPLACE INTO percona_sums SELECT 1, COUNT(*) FROM t", "INSERT INTO percona_sums VALUES (2, 'x')", "UPDATE percona_sums SET crc = 'y' WHERE id = 2", "DELETE FROM percona_sums",
	"ANALYZE FORMAT=JSON UPDATE percona_sums SET crc = 'z'", "SET SESSION binlog_format = 'ROW'", "DROP TABLE percona_sums",
	"CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v", "DROP TRIGGER tr", // last: a database with triggers is in more doubt
}

// TestHarmlessStatements: what changes nothing stops nothing. The classification lists what is harmless, so a kind of statement that
// is missing in the list would park every table of whoever uses it.
func TestHarmlessStatements(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "harmless")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
		rec := newRecorder(t, 1)
		run := l.run(l.config("t"), rec, ingest.Resume{})
		l.settleLoads(rec, "t")
		conn, err := l.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		refused := 0
		for _, q := range harmlessStatements {
			if _, err := conn.ExecContext(t.Context(), q); err != nil {
				refused++
				t.Logf("refused: %s: %v", q, err)
			}
			l.settle(rec)
			if why := rec.parked[l.table("t")]; why != "" {
				t.Fatalf("%s: parked, %s", q, why)
			}
		}
		l.same(rec, "t")
		run.end(t)
		t.Logf("%d statements, %d refused", len(harmlessStatements), refused)
	})
}
