package clinic_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// day is the fixed clock of these tests, a minute per reading.
func day() func() time.Time {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Minute); return at }
}

// both opens a clinic whose two databases share one server: enough for everything but a real cut.
func both(t *testing.T, s *servers.Server, steps int) *sql.DB {
	t.Helper()
	ctx := t.Context()
	db := realtest.Open(t, s, "")
	if err := clinic.Create(ctx, db, db); err != nil {
		t.Fatal(err)
	}
	size := clinic.Size{Patients: 120, Seed: 7, Now: day()()}
	if fresh, err := clinic.Seed(ctx, db, db, size); err != nil || !fresh {
		t.Fatalf("seeding: %v, %v", fresh, err)
	}
	if fresh, err := clinic.Seed(ctx, db, db, size); err != nil || fresh {
		t.Fatalf("seeding twice must do nothing: %v, %v", fresh, err)
	}
	c, err := clinic.Open(ctx, db, db, clinic.Options{Seed: 7, Now: day(), PayWithin: 200})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if _, err := c.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range c.Done() {
		t.Logf("%5d %s", n, name)
	}
	if n := len(c.Done()); steps >= 1000 && n != 18 {
		t.Errorf("%d kinds of operation happened, want all 18", n)
	}
	return db
}

func balanced(t *testing.T, db *sql.DB) {
	t.Helper()
	for what, query := range clinic.Balances("pharmacy") {
		var n int
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, error %v", what, n, err)
		}
	}
}

// fingerprint is the content of all tables but for the server's own clock.
func fingerprint(t *testing.T, db *sql.DB) string {
	t.Helper()
	var out strings.Builder
	for table, columns := range map[string]string{
		"clinic.doctors":       "doctor_id, full_name, specialty, licence_no, fee, active, hired_on",
		"clinic.patients":      "patient_id, full_name, coalesce(email, '~'), phone, coalesce(birth_date, '~'), sex, city, consented, coalesce(notes, '~'), created_at",
		"clinic.appointments":  "appointment_id, patient_id, doctor_id, status, channel, scheduled_at, fee, coalesce(notes, '~')",
		"pharmacy.orders":      "order_id, coalesce(appointment_id, 0), patient_id, status, amount, paid, currency, placed_at",
		"pharmacy.order_items": "order_id, line_no, sku, quantity, unit_price",
		"pharmacy.payments":    "payment_id, order_id, method, amount, reference, paid_at",
	} {
		var n int
		var sum string
		query := fmt.Sprintf("select count(*), coalesce(sum(crc32(concat_ws('|', %s))), 0) from %s", columns, table)
		if err := db.QueryRowContext(t.Context(), query).Scan(&n, &sum); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %d rows %s\n", table, n, sum)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestSameSeedSameRowsOnBothFlavours(t *testing.T) {
	t.Parallel()
	const steps = 1500
	prints := map[string]string{}
	for name, s := range map[string]*servers.Server{
		"MariaDB": realtest.MariaDB(t), "MariaDB again": realtest.MariaDB(t), "MySQL": realtest.MySQL(t),
	} {
		db := both(t, s, steps)
		balanced(t, db)
		prints[name] = fingerprint(t, db)
	}
	for name, p := range prints {
		if p != prints["MariaDB"] {
			t.Errorf("%s differs:\n%s\nMariaDB:\n%s", name, p, prints["MariaDB"])
		}
	}
}

func TestReaderHasExactlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start    func(testing.TB, ...string) *servers.Server
		position string // how this flavour is asked where its binlog ends
	}{
		"MariaDB": {realtest.MariaDB, "show binlog status"},
		"MySQL":   {realtest.MySQL, "show binary log status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.start(t)
			db := both(t, s, 0)
			for range 2 { // the second time the account is there
				if err := clinic.GrantReader(t.Context(), db, "tidemill", `it's \ secret`, "clinic"); err != nil {
					t.Fatal(err)
				}
			}
			as := login(t, s, "tidemill", `it's \ secret`)
			for query, allowed := range map[string]bool{
				c.position:                               true,
				"select count(*) from clinic.patients":   true,
				"select count(*) from pharmacy.orders":   false,
				"update clinic.patients set city = 'x'":  false,
				"set global binlog_format = 'STATEMENT'": false,
			} {
				_, err := as.ExecContext(t.Context(), query)
				if (err == nil) != allowed {
					t.Errorf("%s: allowed should be %v, error %v", query, allowed, err)
				}
			}
		})
	}
}

func login(t *testing.T, s *servers.Server, user, password string) *sql.DB {
	t.Helper()
	account := mysql.NewConfig()
	account.User, account.Passwd, account.Net, account.Addr = user, password, "tcp", s.Addr()
	db, err := sql.Open("mysql", account.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestLoadOutlivesADatabaseRestart crashes the server under load; the clinic must go on, and its sums still balance.
func TestLoadOutlivesADatabaseRestart(t *testing.T) {
	t.Parallel()
	s := realtest.MariaDB(t)
	db := both(t, s, 10)
	c, err := clinic.Open(t.Context(), db, db, clinic.Options{Seed: 9, PayWithin: 50})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var troubles atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- c.Load(ctx, 400, func(error) { troubles.Add(1) }) }()

	newest := func() (n int) {
		if err := db.QueryRowContext(t.Context(), "select coalesce(max(order_id), 0) from pharmacy.orders").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	awaitMore(t, newest)
	s.Kill()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitMore(t, newest)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if troubles.Load() == 0 {
		t.Error("the crash was not noticed")
	}
	balanced(t, db)
}

func awaitMore(t *testing.T, newest func() int) {
	t.Helper()
	first := newest()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for newest() < first+20 {
		select {
		case <-deadline:
			t.Fatal("no new orders: the load stands still")
		case <-ticker.C:
		}
	}
}
