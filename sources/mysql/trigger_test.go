package mysql

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
)

func TestTriggerGrants(t *testing.T) {
	for _, c := range []struct {
		grants string // lines of SHOW GRANTS
		sees   string // of clinic, my_db and other
	}{
		{"GRANT ALL PRIVILEGES ON *.* TO `a`@`%`", "clinic my_db other"},
		{"GRANT SELECT, TRIGGER ON *.* TO `a`@`%` WITH GRANT OPTION", "clinic my_db other"},
		{"GRANT SELECT ON *.* TO `TRIGGER`@`%`", ""},
		{"GRANT USAGE ON *.* TO `a`@`%`\nGRANT SELECT, TRIGGER ON `clinic`.* TO `a`@`%`", "clinic"},
		{"GRANT ALL PRIVILEGES ON `my\\_db`.* TO `a`@`%`", "my_db"},
		{"GRANT TRIGGER ON `my_db`.* TO `a`@`%`", "my_db"},
		{"GRANT TRIGGER ON `clinic`.`patients` TO `a`@`%`", ""},
		{"GRANT TRIGGER ON *.* TO `a`@`%`\nREVOKE TRIGGER ON `other`.* FROM `a`@`%`", "clinic my_db"},
		{"GRANT `TRIGGER`@`%` TO `a`@`%`", ""},
	} {
		var g triggerGrants
		for line := range strings.Lines(c.grants) {
			g.read(strings.TrimSpace(line))
		}
		got := slices.DeleteFunc([]string{"clinic", "my_db", "other"}, func(s string) bool { return !g.show(s) })
		if strings.Join(got, " ") != c.sees {
			t.Errorf("%s: shows %v", c.grants, got)
		}
	}
}

// A statement parks what it may have changed: its table and what triggers, those of uncaptured tables too, and foreign keys
// may reach. Of triggers an account sees those of the databases on which it has TRIGGER; elsewhere each table may have one.
func TestStatementReach(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		for _, c := range []struct{ name, grant, statement, parked string }{
			{"seen", "*.*", "UPDATE u SET n = 2", "u"},
			{"seen_in_database", "reach.*", "UPDATE u SET n = 2", "u"},
			{"charset_and_set", "*.*", "UPDATE u SET n = 2", "u"},
			{"trigger", "*.*", "UPDATE t SET n = 2", "t u w"},
			{"trigger_renamed", "*.*", "UPDATE t2 SET n = 2", "t u w"},
			{"trigger_elsewhere", "*.*", "INSERT INTO reach_other.x VALUES (2)", "t u w"},
			{"no_trigger_elsewhere", "*.*", "INSERT INTO reach_other.y VALUES (2)", ""},
			{"unseen", "", "UPDATE u SET n = 2", "t u w"},
			{"unseen_elsewhere", "reach.*", "INSERT INTO reach_other.y VALUES (2)", "t u w"},
		} {
			t.Run(c.name, func(t *testing.T) {
				l := l.in(t, "reach")
				l.exec("DROP DATABASE IF EXISTS reach_other", "CREATE DATABASE reach_other", "CREATE TABLE reach_other.x (id INT PRIMARY KEY)", "CREATE TABLE reach_other.y (id INT PRIMARY KEY)",
					"CREATE TABLE t (id INT PRIMARY KEY, n INT)", "CREATE TABLE u (id INT PRIMARY KEY, n INT)", "CREATE TABLE w (id INT PRIMARY KEY, n INT)",
					"INSERT INTO t VALUES (1, 1)", "INSERT INTO u VALUES (1, 1)", "INSERT INTO w VALUES (1, 1)",
					"CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW UPDATE w SET n = n + 1",
					"CREATE TRIGGER reach_other.tr AFTER INSERT ON reach_other.x FOR EACH ROW UPDATE reach.w SET n = n + 1",
					"DROP USER IF EXISTS few@'%'", "CREATE USER few@'%' IDENTIFIED BY 'few'", "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO few@'%'")
				if c.grant != "" {
					l.exec("GRANT TRIGGER ON " + c.grant + " TO few@'%'")
				}
				cfg := l.config("t", "u", "w")
				cfg.User, cfg.Password = "few", config.NewSecret("few")
				rec := newRecorder(t, 1)
				run := l.run(cfg, rec, ingest.Resume{})
				l.settleLoads(rec, "t", "u", "w")
				switch c.name {
				case "trigger_renamed":
					l.exec("RENAME TABLE t TO t2")
				case "charset_and_set":
					l.exec("ALTER TABLE w ADD s SET('a','b') NULL, ADD j VARCHAR(9) CHARACTER SET sjis NULL")
				}
				l.session("SET SESSION binlog_format = 'STATEMENT'", c.statement)
				l.settle(rec)
				var got []string
				for _, n := range []string{"t", "u", "w"} {
					if why := rec.parked[l.table(n)]; why != "" {
						got = append(got, n)
						if strings.Contains(why, "STATEMENT changed it") && !strings.Contains(c.statement, " "+n+" ") {
							t.Errorf("%s did not change %s: %s", c.statement, n, why)
						}
					}
				}
				if strings.Join(got, " ") != c.parked {
					t.Errorf("%v are parked, want %s", got, c.parked)
				}
				for _, n := range []string{"t", "u", "w"} {
					if !slices.Contains(got, n) && c.name != "charset_and_set" { // whose new columns are in no row
						l.same(rec, n)
					}
				}
				run.end(t)
			})
		}
	})
}
