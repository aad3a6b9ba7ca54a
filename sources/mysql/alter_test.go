package mysql

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// An ALTER that comes while the source is stopped, or before a table has had a row since it was started, must have the same
// consequences as one that the source has seen: there the catalogue shows only what the table has become.
func TestAlterWhileStopped(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		for name, c := range map[string]struct {
			alter  []string
			parked string
			only   flavor
		}{
			"new_default":    {alter: []string{"ALTER TABLE t ADD k INT NOT NULL DEFAULT 7"}},
			"lost_default":   {alter: []string{"ALTER TABLE t ADD k INT NULL DEFAULT 7", "ALTER TABLE t ALTER k SET DEFAULT NULL"}},
			"narrowed":       {alter: []string{"SET SESSION sql_mode = ''", "ALTER TABLE t MODIFY n INT"}, parked: "the type of column `n` changed"},
			"narrowed_twice": {alter: []string{"SET SESSION sql_mode = ''", "ALTER TABLE t MODIFY v VARCHAR(1)", "ALTER TABLE t MODIFY v VARCHAR(20)"}},
			"renamed":        {alter: []string{"ALTER TABLE t CHANGE v w VARCHAR(20)"}},
			"renamed_back":   {alter: []string{"ALTER TABLE t CHANGE v w VARCHAR(20)", "UPDATE t SET w = 'between' WHERE id = 2", "ALTER TABLE t CHANGE w v VARCHAR(20)"}},
			"emptied":        {alter: []string{"ALTER TABLE t DROP v", "ALTER TABLE t ADD v VARCHAR(20)"}},
			"key":            {alter: []string{"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (n)"}, parked: "its primary key changed"},
			"versioned":      {alter: []string{"ALTER TABLE t ADD SYSTEM VERSIONING"}, parked: "its primary key changed", only: mariadb},
			"type":           {alter: []string{"ALTER TABLE t MODIFY n DATETIME NULL"}, parked: "the type of column `n` changed"},
		} {
			check := func(t *testing.T, l *lab, running bool) {
				l.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), n BIGINT NOT NULL)", "INSERT INTO t VALUES (1,'aa',20260102030405),(2,'bb',20270102030405)")
				rec := newRecorder(t, 2)
				run := l.run(l.config("*"), rec, ingest.Resume{})
				l.settleLoads(rec, "t")
				l.settle(rec)
				run.end(t)
				alter := func() {
					l.session(c.alter...)
					l.session("CREATE TABLE u (id INT PRIMARY KEY)", "DELETE FROM t WHERE id = 1")
				}
				rec = rec.again()
				if !running {
					alter()
				}
				run = l.run(l.config("*"), rec, rec.resume())
				if running {
					l.settle(rec)
					alter()
				}
				if c.parked != "" {
					rec.await("parking", func() bool { return strings.Contains(rec.parked[l.table("t")], c.parked) })
				} else {
					l.settle(rec) // every statement has been read, and with it every reload that it makes necessary
					rec.await("the load", func() bool { return rec.loads[l.table("t")].Done && rec.loaded > 0 })
					l.same(rec, "t")
				}
				run.end(t)
			}
			if c.only != "" && c.only != l.flavor {
				continue
			}
			t.Run(name+"/stopped", func(t *testing.T) { check(t, l.in(t, "stopped_"+name), false) })
			t.Run(name+"/restarted", func(t *testing.T) { check(t, l.in(t, "restarted_"+name), true) })
		}
	})
}
