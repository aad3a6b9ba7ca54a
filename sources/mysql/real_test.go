package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a real server, a session on it and databases of its own for each test.
type lab struct {
	t      *testing.T
	flavor flavor
	server *servers.Server
	db     *sql.DB
	name   string // of the database
	source string // that run starts
	meter  metric.Meter
}

// eachServer runs the test on both servers, each started once for all tests of the name.
func eachServer(t *testing.T, settings []string, test func(t *testing.T, l *lab)) {
	t.Run("mariadb", func(t *testing.T) { test(t, serverLab(t, mariadb, settings...)) })
	t.Run("mysql", func(t *testing.T) { test(t, serverLab(t, mysql, settings...)) })
}

func serverLab(t *testing.T, f flavor, settings ...string) *lab {
	if f == mariadb {
		return newLab(t, f, realtest.MariaDB(t, settings...))
	}
	return newLab(t, f, realtest.MySQL(t, settings...))
}

const (
	testUser     = "tm"
	testPassword = "tm-" + realtest.Canary
)

func newLab(t *testing.T, f flavor, s *servers.Server) *lab {
	l := &lab{t: t, flavor: f, server: s, db: open(t, s, ""), source: "test"}
	l.exec("CREATE USER "+testUser+"@'%' IDENTIFIED BY '"+testPassword+"'",
		"GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, TRIGGER ON *.* TO "+testUser+"@'%'")
	return l
}

// in gives a subtest a fresh database.
func (l *lab) in(t *testing.T, name string) *lab {
	t.Helper()
	c := *l
	c.t, c.name = t, name
	c.exec("DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	c.db = open(t, l.server, name)
	return &c
}

// open is realtest.Open with dates as the server's text.
func open(t *testing.T, s *servers.Server, database string) *sql.DB {
	t.Helper()
	cfg, err := driver.ParseDSN(s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ParseTime, cfg.Logger = false, quiet{}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (l *lab) exec(statements ...string) {
	l.t.Helper()
	realtest.Exec(l.t, l.db, statements...)
}

// try runs statements in a goroutine of the test: a deadlock with another one is no failure.
func (l *lab) try(statements ...string) {
	for _, q := range statements {
		if _, err := l.db.Exec(q); err != nil {
			if code, _ := serverCode(err); code != codeDeadlock && code != codeLockWait {
				l.t.Errorf("%s: %v", q, err)
			}
		}
	}
}

// session runs statements on one connection.
func (l *lab) session(statements ...string) {
	l.t.Helper()
	conn, err := l.db.Conn(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	for _, q := range statements {
		if _, err := conn.ExecContext(l.t.Context(), q); err != nil {
			l.t.Fatalf("%s: %v", q, err)
		}
	}
	// Settings of a session must not reach the next test.
	if err := conn.Raw(func(any) error { return fmt.Errorf("closed") }); err == nil {
		l.t.Fatal("the connection stayed open")
	}
}

func (l *lab) config(tables ...string) Config {
	c := Default()
	c.Address, c.User, c.Password = l.server.Addr(), testUser, config.NewSecret(testPassword)
	c.Tables = map[string]Table{}
	for _, n := range tables {
		c.Tables[l.name+"."+n] = Table{}
	}
	return c
}

func (l *lab) table(name string) ingest.TableName {
	return ingest.TableName{Schema: l.name, Name: name}
}

// resync is what brings a table of the test's source back.
func (l *lab) resync(table string) string {
	return ingest.ResyncCommand(l.source + "." + l.table(table).String())
}

// run starts a source in the background.
func (l *lab) run(c Config, rec *recorder, resume ingest.Resume) *running {
	l.t.Helper()
	src, err := New(l.source, c, l.meter)
	if err != nil {
		l.t.Fatal(err)
	}
	src.interval = 20 * time.Millisecond
	if _, err := src.Prepare(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(l.t.Context())
	r := &running{source: src, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = src.Run(ctx, resume, rec)
	}()
	l.t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(30 * time.Second):
			l.t.Error("the source did not stop")
		}
	})
	return r
}

// settle waits until the source has proved that it has read everything up to now.
func (l *lab) settle(rec *recorder) {
	l.t.Helper()
	var text string
	if err := l.db.QueryRowContext(l.t.Context(), "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)").Scan(&text); err != nil {
		l.t.Fatal(err)
	}
	now, err := time.Parse("2006-01-02 15:04:05.000000", text)
	if err != nil {
		l.t.Fatal(err)
	}
	rec.await("a proof of idleness after "+text, func() bool { return rec.idle.After(now) })
}

// settleLoads also waits for the first loads of the tables.
func (l *lab) settleLoads(rec *recorder, tables ...string) {
	l.t.Helper()
	for _, n := range tables {
		rec.await("the load of "+n, func() bool { return rec.loads[l.table(n)].Done || rec.parked[l.table(n)] != "" })
	}
	l.settle(rec)
}

// rowsOf reads a table from the server in the recorder's form.
func (l *lab) rowsOf(table string) []string {
	l.t.Helper()
	rows, err := l.db.QueryContext(l.t.Context(), "SELECT * FROM "+l.name+"."+table)
	if err != nil {
		l.t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		l.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			l.t.Fatal(err)
		}
		text := make([]string, len(cols))
		for i, v := range values {
			if text[i] = v.String; !v.Valid {
				text[i] = "(null)"
			}
		}
		out = append(out, strings.Join(text, "|"))
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// same compares what was emitted with what the server holds.
func (l *lab) same(rec *recorder, table string) {
	l.t.Helper()
	got, want := rec.state(l.table(table)), l.rowsOf(table)
	if !slices.Equal(got, want) {
		l.t.Errorf("%s: emitted %d rows, the server has %d; first difference: %s", table, len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("got %v, want %v", got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
	return "none"
}

func TestFirstLoadThenChanges(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "clinic")
		l.exec("CREATE TABLE patients (id BIGINT PRIMARY KEY, name VARCHAR(40), born DATE)",
			"INSERT INTO patients VALUES (1, 'ann', '1980-01-02'), (2, 'bob', NULL), (3, 'cid', '1999-12-31')")
		rec := newRecorder(t, 2)
		run := l.run(l.config("patients"), rec, ingest.Resume{})
		l.settleLoads(rec, "patients")
		l.same(rec, "patients")
		l.exec("UPDATE patients SET name = 'bobby' WHERE id = 2", "DELETE FROM patients WHERE id = 1", "INSERT INTO patients VALUES (4, 'dee', NULL)",
			"UPDATE patients SET id = 5 WHERE id = 3")
		l.settle(rec)
		l.same(rec, "patients")
		status := run.source.Status()
		if status.Position != rec.resume().Position || status.Lag != 0 || len(status.Tables) != 1 || !status.Tables[0].Load.Done || status.AsOf.IsZero() {
			t.Errorf("status: %+v", status)
		}
		run.end(t)

		// A second run goes on where the first has ended and loads nothing again.
		l.exec("INSERT INTO patients VALUES (6, 'eve', NULL)")
		again := newRecorder(t, 2)
		again.rows = rec.rows
		run = l.run(l.config("patients"), again, rec.resume())
		l.settle(again)
		l.same(again, "patients")
		if again.loaded != 0 || again.groups != 1 {
			t.Errorf("the second run loaded %d rows and read %d groups", again.loaded, again.groups)
		}
		run.end(t)
	})
}
