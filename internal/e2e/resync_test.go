package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	project "github.com/tidemill/tidemill/internal/daemon"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
)

// TestResync: what cannot be followed stops narrowly and says which command mends it; that command, typed as it stands
// there, brings everything back to what the sources hold.
func TestResync(t *testing.T) {
	e := newEnv(t, combo{"embedded", "duckdb", "folder", "mariadb", "mysql", ""})
	d := e.run(t)
	e.underLoad(t, 2)

	t.Log("a table is truncated, and one changed by a session whose statements are logged, not its rows")
	stop := e.busy(t, 150)
	var last int64
	if err := e.db[0].QueryRowContext(t.Context(), "select max(appointment_id) from clinic.appointments").Scan(&last); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Sprintf("appointment_id %% 5 = 0 and appointment_id <= %d", last)
	realtest.Exec(t, e.db[1], "truncate pharmacy.payments")
	session(t, e.db[0], "set session binlog_format = 'STATEMENT'", "delete from clinic.appointments where "+gone)
	e.mend(t, "tidemill resync pharmacy.pharmacy.payments")
	for _, table := range []string{"appointments", "doctors", "patients"} { // without TRIGGER nobody can tell which one it was
		e.mend(t, "tidemill resync consult.clinic."+table)
	}
	stop()
	e.equal(t, "of appointments that a session deleted while they were parked", gone)

	t.Log("the server has thrown away the part of its log that a stopped daemon had not read")
	d.stop(t)
	e.checker.Replays["consult"].(*oracle.Replay).Close() // a server keeps what is being read
	e.steps(t, 200)
	purge(t, e.db[0])
	e.steps(t, 50)
	d = e.run(t)
	stop = e.busy(t, 150)
	e.mend(t, "tidemill resync consult")
	stop()
	e.equal(t, "of the time that nobody has read", gone)

	t.Log("the warehouse and the pipeline's state are lost, and the log behind them is trimmed")
	e.trimmed(t)
	d.stop(t)
	for _, lost := range []string{"data/warehouse.db", "data/pipelines/care", "data/lake/care/_state"} {
		if err := os.RemoveAll(filepath.Join(e.dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	d = e.run(t)
	stop = e.busy(t, 150)
	e.mend(t, "tidemill resync care")
	stop()
	e.equal(t, "after all that", gone)
	d.stop(t)
}

// session runs statements on one connection that is not used again.
func session(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range statements {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := conn.Raw(func(any) error { return fmt.Errorf("not for the pool") }); err == nil {
		t.Fatal("the connection stayed open")
	}
}

// purge makes a MariaDB server forget its log up to now.
func purge(t *testing.T, db *sql.DB) {
	t.Helper()
	realtest.Exec(t, db, "flush binary logs")
	var name string
	var rest any
	if err := db.QueryRowContext(t.Context(), "show master status").Scan(&name, &rest, &rest, &rest); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the old log files are gone", func() bool {
		realtest.Exec(t, db, "purge binary logs to '"+name+"'", "analyze table clinic.doctors") // what it writes tells it who has gone
		var first string
		rows, err := db.QueryContext(t.Context(), "show binary logs")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if rows.Next() {
			if err := rows.Scan(&first, &rest); err != nil {
				t.Fatal(err)
			}
		}
		return first == name
	})
}

var remedy = regexp.MustCompile(`tidemill resync [^\s";,]+`)

// mend waits until the daemon names the command, runs it word for word, and waits until nothing names it any more and the
// pipeline goes on.
func (e *env) mend(t *testing.T, command string) {
	t.Helper()
	eventually(t, time.Minute, "the daemon names "+command, func() bool { return e.names(t, command) })
	args := strings.Fields(command)[1:]
	out, errs, code := tidemill(t.Context(), e.vars, append(args, "--config", e.dir, "--dry-run")...)
	if code != 0 || !strings.Contains(out, "would load") {
		t.Fatalf("%s --dry-run: exit %d\n%s%s", command, code, out, errs)
	}
	out, errs, code = tidemill(t.Context(), e.vars, append(args, "--config", e.dir)...)
	t.Logf("$ %s\n%s%s", command, out, errs)
	if code != 0 || !strings.Contains(out, "requested") || !strings.Contains(out, "tidemill status") {
		t.Fatalf("%s: exit %d", command, code)
	}
	eventually(t, 2*time.Minute, command+" has mended it", func() bool { return !e.names(t, command) })
}

// names reports whether anything in the status has the command as its remedy.
func (e *env) names(t *testing.T, command string) bool {
	t.Helper()
	s, err := e.status(t)
	if err != nil {
		return false
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range remedy.FindAllString(string(text), -1) {
		if found == command {
			return true
		}
	}
	return false
}

func (e *env) status(t *testing.T) (s console.Status, err error) {
	t.Helper()
	out, errs, code := tidemill(t.Context(), e.vars, "status", "--json", "--config", e.dir)
	if code != 0 {
		return s, fmt.Errorf("status: exit %d: %s", code, errs)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// equal checks that every replica is its source's table at one cut, none left out, and that the view is what its SQL gives
// over the replicas; it needs the clinic to rest. No row of the view may match gone.
func (e *env) equal(t *testing.T, what, gone string) {
	t.Helper()
	var out string
	defer func() { t.Logf("%s", out) }()
	eventually(t, 90*time.Second, "every table is published and equal "+what, func() bool {
		var errs string
		var code int
		out, errs, code = tidemill(t.Context(), e.vars, "verify", "--config", e.dir)
		if code != 0 && !strings.Contains(errs, "nothing was compared") {
			t.Fatalf("verify %s: exit %d\n%s%s", what, code, out, errs)
		}
		return !strings.Contains(out, "skipped") && strings.Count(out, "equal ") == 6
	})
	over := strings.NewReplacer("consult.", "raw_consult.", "pharmacy.", "raw_pharmacy.").Replace(visits)
	rows, err := e.ask(t.Context(), fmt.Sprintf(`with want as (%s), have as (select appointment_id, scheduled_at, status, patient_id, city, notes, doctor_id, doctor, orders, ordered from mart.visits)
select (select count(*) from have) as n, (select count(*) from (select * from want except select * from have)) as missing,
 (select count(*) from (select * from have except select * from want)) as extra, (select count(*) from have where %s) as gone`, over, gone))
	if err != nil {
		t.Fatal(err)
	}
	if r := rows[0]; r["missing"] != "0" || r["extra"] != "0" || r["n"] == "0" || r["gone"] != "0" {
		t.Errorf("the view, %s: %v", what, r)
	}
}

// trimmed waits until the log has given something back.
func (e *env) trimmed(t *testing.T) {
	t.Helper()
	info, err := project.ReadInfo(filepath.Join(e.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kafka.New(kafka.Config{Brokers: []string{info.Broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const topic = "tm.consult.clinic.appointments"
	eventually(t, 2*time.Minute, "the log is trimmed", func() bool {
		bounds, err := kafka.Offsets(t.Context(), cl, topic)
		return err == nil && bounds[topic][0].Start > 0
	})
}
