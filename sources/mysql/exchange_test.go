package mysql

import (
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// exchanges give a captured name the content of another table. The log has no row of it.
var exchanges = []struct {
	name string
	run  []string
}{
	{"part_of_it", []string{"CREATE TABLE _t_new LIKE t", "INSERT INTO _t_new (id, touched, a) SELECT id, touched, a FROM t WHERE id > 20", "RENAME TABLE t TO _t_old, _t_new TO t"}},
	{"other_values", []string{"CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho DROP a, ADD a INT DEFAULT 5", "INSERT INTO _t_gho (id, touched) SELECT id, touched FROM t",
		"RENAME TABLE t TO _t_del, _t_gho TO t", "DROP TABLE _t_del"}},
	{"other_expression", []string{"CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho DROP g, ADD g INT GENERATED ALWAYS AS (touched * 5) VIRTUAL",
		"INSERT INTO _t_gho (id, touched, a) SELECT id, touched, a FROM t", "RENAME TABLE t TO _t_del, _t_gho TO t"}},
	{"fewer_rows", []string{"CREATE TABLE _t_new LIKE t", "ALTER TABLE _t_new ADD UNIQUE (a)", "INSERT IGNORE INTO _t_new (id, touched, a) SELECT id, touched, a FROM t",
		"RENAME TABLE t TO _t_old, _t_new TO t"}},
	{"no_work_tables", []string{"CREATE TABLE other LIKE t", "INSERT INTO other (id, touched, a) VALUES (5, 6, 7), (9000, 1, 1)", "RENAME TABLE t TO gone, other TO t"}},
	{"captured_both", []string{"RENAME TABLE t TO x, u TO t, x TO u"}},
	{"another_key_and_type", []string{"CREATE TABLE _t_new (id BIGINT, a DATE, b VARCHAR(9), PRIMARY KEY (id, b))", "INSERT INTO _t_new SELECT id, '2026-01-02', 'x' FROM t", "RENAME TABLE t TO _t_old, _t_new TO t"}},
	{"alter_renames_to_it", []string{"CREATE TABLE other LIKE t", "SET sql_log_bin = 0", "DROP TABLE t", "SET sql_log_bin = 1", "ALTER TABLE other RENAME TO t"}},
	{"made_again", []string{"SET sql_log_bin = 0", "DROP TABLE t", "SET sql_log_bin = 1", "CREATE TABLE t (id INT PRIMARY KEY, a INT)"}},
}

// exchangeSetup makes t and u, both captured, with n rows each.
var exchangeSetup = []string{
	"CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, touched INT, a INT, g INT GENERATED ALWAYS AS (touched * 3) VIRTUAL)",
	"INSERT INTO t (touched, a) VALUES (1,1),(2,2),(3,3),(4,4),(5,5),(6,6),(7,7),(8,7)",
	"INSERT INTO t (touched, a) SELECT touched + 8, a FROM t", "INSERT INTO t (touched, a) SELECT touched + 16, a FROM t", "INSERT INTO t (touched, a) SELECT touched + 32, a FROM t",
	"CREATE TABLE u (id INT PRIMARY KEY, touched INT, v VARCHAR(9))", "INSERT INTO u SELECT id + 40, touched, 'u' FROM t",
}

// A table that takes a captured name is loaded anew, and what the table before it had is gone: while the source runs, when it comes
// back after the exchange, and in the middle of a first load.
func TestExchange(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		for _, when := range []string{"running", "stopped", "loading"} {
			for _, c := range exchanges {
				t.Run(when+"/"+c.name, func(t *testing.T) {
					l := l.in(t, "exchange")
					l.exec(exchangeSetup...)
					g := newLogged(t, l, "t", "u")
					loaded := func(p ingest.Checkpoint) bool { return g.loaded("t")(p) && g.loaded("u")(p) }
					if when == "loading" {
						g.config.ChunkRows = 1
					}
					owner := g.own(t)
					if when == "loading" {
						g.until(t, "a first chunk", func(p ingest.Checkpoint) bool { return p.Loads[l.table("t").String()].Rows > 0 })
					} else {
						g.until(t, "the first loads", loaded)
					}
					if when == "stopped" {
						owner.stop()
						<-owner.done
					}
					l.session(c.run...)
					l.exec("DELETE FROM t WHERE id = 30")
					if when == "stopped" {
						owner = g.own(t)
					}
					g.anew(t, "t", 1)
					if c.name == "captured_both" {
						g.anew(t, "u", 1)
					}
					l.exec("DELETE FROM t WHERE id = 31", "UPDATE u SET touched = 1000")
					g.until(t, "the loads", loaded)
					g.same(t, "t")
					g.same(t, "u")
					owner.stop()
					<-owner.done
				})
			}
		}
	})
}
