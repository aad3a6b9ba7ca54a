package oracle_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

// The judge is judged first: its replay at a quiet position equals what the server itself holds, on both flavours, and an
// earlier position does not.
func TestReplayEqualsTheServer(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *servers.Server{gomysql.MariaDBFlavor: realtest.MariaDB, gomysql.MySQLFlavor: realtest.MySQL} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			db := realtest.Open(t, s, "")
			c := open(t, db)
			early := position(t, db, name)
			for range 300 {
				if _, err := c.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r, err := oracle.NewReplay(oracle.Server{Flavor: name, Host: servers.Loopback, Port: uint16(s.Port), User: s.User, Password: s.Password, Database: "clinic", ServerID: 77})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.To(t.Context(), early); err != nil {
				t.Fatal(err)
			}
			if err := compare(t, db, r); err == nil {
				t.Error("the replay to an early position equals the server's present content: it does not stop at its position")
			}
			if err := r.To(t.Context(), position(t, db, name)); err != nil {
				t.Fatal(err)
			}
			if err := compare(t, db, r); err != nil {
				t.Error(err)
			}
		})
	}
}

// open plays both roles on one server: the databases are apart.
func open(t *testing.T, db *sql.DB) *clinic.Clinic {
	t.Helper()
	if err := clinic.Create(t.Context(), db, db); err != nil {
		t.Fatal(err)
	}
	if _, err := clinic.Seed(t.Context(), db, db, clinic.Size{Patients: 100, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	c, err := clinic.Open(t.Context(), db, db, clinic.Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func position(t *testing.T, db *sql.DB, flavor string) string {
	t.Helper()
	q := "select @@gtid_binlog_pos"
	if flavor == gomysql.MySQLFlavor {
		q = "select @@gtid_executed"
	}
	var pos string
	if err := db.QueryRowContext(t.Context(), q).Scan(&pos); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(pos, "\n", "")
}

// compare reads the tables as text, the way the server words it.
func compare(t *testing.T, db *sql.DB, r *oracle.Replay) error {
	t.Helper()
	for _, name := range []string{"patients", "doctors", "appointments"} {
		tab := r.Tables[name]
		if tab == nil {
			return fmt.Errorf("%s was not replayed", name)
		}
		want, err := readAll(t, db, name, tab)
		if err != nil {
			return err
		}
		var cols []string
		for _, c := range tab.Columns {
			cols = append(cols, c.Name)
		}
		if err := oracle.Diff(name, cols, want, tab.Rows); err != nil {
			return err
		}
	}
	return nil
}

func readAll(t *testing.T, db *sql.DB, name string, tab *oracle.Table) (map[string][]oracle.Val, error) {
	t.Helper()
	sel := make([]string, len(tab.Columns))
	for i, c := range tab.Columns {
		sel[i] = "cast(" + c.Name + " as char)"
	}
	rows, err := db.QueryContext(t.Context(), "select "+strings.Join(sel, ",")+" from clinic."+name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string][]oracle.Val{}
	for rows.Next() {
		vals := make([]sql.NullString, len(sel))
		dst := make([]any, len(sel))
		for i := range vals {
			dst[i] = &vals[i]
		}
		if err := rows.Scan(dst...); err != nil {
			return nil, err
		}
		row := make([]oracle.Val, len(sel))
		for i, v := range vals {
			row[i] = oracle.Val{Text: v.String, Null: !v.Valid}
			if strings.HasPrefix(tab.Columns[i].PG, "timestamp") {
				row[i].Text = oracle.TrimFraction(v.String)
			}
		}
		out[fmt.Sprintf("%d:%s,", len(row[0].Text), row[0].Text)] = row
	}
	return out, rows.Err()
}

// The engine holds what the replay holds, and evaluates a view on it.
func TestEngineFollowsTheReplay(t *testing.T) {
	s, pg := realtest.MariaDB(t), realtest.Postgres(t)
	db := realtest.Open(t, s, "")
	c := open(t, db)
	r, err := oracle.NewReplay(oracle.Server{Flavor: gomysql.MariaDBFlavor, Host: servers.Loopback, Port: uint16(s.Port), User: s.User, Password: s.Password, Database: "clinic", ServerID: 78})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conn, err := pgx.Connect(t.Context(), pg.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	e, err := oracle.NewEngine(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	const q = "select a.appointment_id, a.status, p.full_name, count(*) as n from consult.appointments a join consult.patients p on p.patient_id = a.patient_id group by 1,2,3"
	for range 5 {
		for range 40 {
			if _, err := c.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.To(t.Context(), position(t, db, gomysql.MariaDBFlavor)); err != nil {
			t.Fatal(err)
		}
		if err := e.Sync(t.Context(), "consult", r); err != nil {
			t.Fatal(err)
		}
		cols := []string{"appointment_id", "status", "full_name", "n"}
		got, err := e.Evaluate(t.Context(), q, cols, cols[:1])
		if err != nil {
			t.Fatal(err)
		}
		if err := oracle.Diff("view", cols, byHand(r), got); err != nil {
			t.Fatal(err)
		}
	}
}

func byHand(r *oracle.Replay) map[string][]oracle.Val {
	a, p := r.Tables["appointments"], r.Tables["patients"]
	out := map[string][]oracle.Val{}
	for k, row := range a.Rows {
		name := p.Rows[fmt.Sprintf("%d:%s,", len(row[1].Text), row[1].Text)][1]
		out[k] = []oracle.Val{row[0], row[3], name, {Text: "1"}}
	}
	return out
}

func TestFoldRefusesWhatAMinimalDeltaMayNotHold(t *testing.T) {
	row := func(k, v string) []oracle.Val { return []oracle.Val{{Text: k}, {Text: v}} }
	key := []int{0}
	for name, c := range map[string]struct {
		ops    []oracle.Op
		strict bool
		want   string
	}{
		"two operations":                {[]oracle.Op{{Row: row("1", "b")}, {Delete: true, Row: row("1", "")}}, false, "two operations"},
		"delete of an absent key":       {[]oracle.Op{{Delete: true, Row: row("9", "")}}, true, "was not there"},
		"the same for a replica is ok":  {[]oracle.Op{{Delete: true, Row: row("9", "")}}, false, ""},
		"upsert of an equal row":        {[]oracle.Op{{Row: row("1", "a")}}, true, "equal row"},
		"upsert, delete, insert are ok": {[]oracle.Op{{Row: row("1", "b")}, {Row: row("2", "c")}}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rows := map[string][]oracle.Val{"1:1,": row("1", "a")}
			err := oracle.Fold(rows, key, c.ops, c.strict)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
