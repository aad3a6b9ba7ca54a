package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
)

// TestViewAddedByEditingTwoFiles is the newcomer's path: with the daemon running, a new .sql file and three lines of YAML
// put a joined view into the warehouse, proved from its first window on.
func TestViewAddedByEditingTwoFiles(t *testing.T) {
	e := newEnv(t, combos[0])
	d := e.run(t)
	e.underLoad(t, 2)
	const busiest = `SELECT d.doctor_id, d.full_name, d.specialty, COUNT(a.appointment_id) AS visits
FROM consult.doctors d LEFT JOIN consult.appointments a ON a.doctor_id = d.doctor_id
GROUP BY d.doctor_id, d.full_name, d.specialty`
	write(t, e.dir, "pipelines/busiest.sql", busiest)
	care := filepath.Join(e.dir, "pipelines", "care.yaml")
	old, err := os.ReadFile(care)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.dir, "pipelines/care.yaml", string(old)+"  - name: mart.busiest\n    sql: busiest.sql\n    key: [doctor_id]\n")
	eventually(t, time.Minute, "the new view is in the warehouse", func() bool {
		rows, err := e.ask(t.Context(), "select count(*) as n from mart.busiest")
		return err == nil && rows[0]["n"] != "0"
	})
	e.underLoad(t, 2) // the windows up to here are judged without the view ...
	e.checker.Outputs = append(e.checker.Outputs, oracle.Output{Name: "mart.busiest", SQL: busiest})
	e.underLoad(t, 2) // ... and from here on with it
	e.settled(t, time.Minute)
	e.warehouseEquals(t)
	d.stop(t)
}

// TestOneClearError: each ordinary mistake gives one error that names what, where and what to do, with the exit code of its
// class (2 config, 3 environment), and no password in it.
func TestOneClearError(t *testing.T) {
	e := newEnv(t, combos[0])
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		code  int
		want  []string
	}{
		{"a typo in YAML", func(t *testing.T, dir string) {
			replace(t, dir, "pipelines/care.yaml", "replicate: consult", "replicat: consult")
		}, 2, []string{"care.yaml", "replicat", "replicate"}},
		{"a view over an unknown column", func(t *testing.T, dir string) {
			replace(t, dir, "pipelines/visits.sql", "p.city, p.notes, d.doctor_id, d.full_name AS doctor", "p.town, p.notes, d.doctor_id, d.full_name AS doctor")
		}, 2, []string{"visits.sql", "town"}},
		{"a wrong password", func(t *testing.T, dir string) {
			replace(t, dir, "sources/consult.yaml", "${env:SOURCE_PASSWORD}", "wrong-"+realtest.Canary)
		}, 3, []string{"consult", e.consult.Addr(), "password"}},
		{"an unreachable broker", func(t *testing.T, dir string) {
			replace(t, dir, "tidemill.yaml", "{embedded: ./data/log, partitions: 2}", "{brokers: ['127.0.0.1:1'], replication: 1}")
		}, 3, []string{"127.0.0.1:1"}},
		{"a port in use", func(t *testing.T, dir string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			replace(t, dir, "tidemill.yaml", "listen: 127.0.0.1:", "listen: "+l.Addr().String()+" # ")
		}, 3, []string{"listen", "in use"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyProject(t, e.dir, dir)
			c.spoil(t, dir)
			e.failsClearly(t, dir, c.code, c.want)
		})
	}
}

// failsClearly runs the daemon until it gives up by itself.
func (e *env) failsClearly(t *testing.T, dir string, code int, want []string) {
	t.Helper()
	log := &logBuffer{}
	d := start(t, dir, log, e.vars...)
	d.died(t, time.Minute)
	out := withoutSpans(log.String())
	if got := d.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("the error does not name %q", w)
		}
	}
	if n := strings.Count(strings.ToLower(out), "error"); n > 3 || len(out) > 2500 {
		t.Errorf("that is not one clear error (%d bytes)", len(out))
	}
	realtest.NoCanary(t, "the error", log.String())
	t.Logf("\n%s", out)
}

// TestStatementFormatIsRefused needs a server of its own.
func TestStatementFormatIsRefused(t *testing.T) {
	e := newEnv(t, combos[0])
	other := realtest.MariaDB(t, "binlog_format=STATEMENT")
	replace(t, e.dir, "sources/consult.yaml", e.consult.Addr(), other.Addr())
	db := realtest.Open(t, other, "")
	realtest.Exec(t, db, "create database clinic", "create table clinic.patients (patient_id int primary key)",
		"create user tidemill identified by '"+password+"'", "grant replication slave, replication client, select on *.* to tidemill")
	e.failsClearly(t, e.dir, 3, []string{"binlog_format", "STATEMENT", "SET GLOBAL binlog_format"})
}

func replace(t *testing.T, dir, name, old, with string) {
	t.Helper()
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	write(t, dir, name, strings.Replace(string(text), old, with, 1))
}

func copyProject(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"tidemill.yaml", "sources/consult.yaml", "sources/pharmacy.yaml", "pipelines/care.yaml", "pipelines/visits.sql"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, name, string(text))
	}
}
