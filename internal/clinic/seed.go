package clinic

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Size is how much Seed writes. From n patients it makes n/50+5 doctors, 2n appointments, n orders with about
// 2n items, and payments for about three orders in four.
type Size struct {
	Patients int
	Seed     uint64
	Now      time.Time // the day the history ends; zero means now
}

// seedBatch is the rows of one INSERT, each in its own transaction.
const seedBatch = 500

// Seed fills empty tables with a history. It does nothing, and says false, when there are patients already.
func Seed(ctx context.Context, consult, pharmacy *sql.DB, size Size) (bool, error) {
	var there bool
	if err := consult.QueryRowContext(ctx, "select exists (select 1 from clinic.patients)").Scan(&there); err != nil || there {
		return false, wrap("looking for patients", err)
	}
	if size.Now.IsZero() {
		size.Now = time.Now()
	}
	s := seeder{Size: size, rng: newRand(size.Seed)}
	s.consult(ctx, consult)
	s.pharmacy(ctx, pharmacy)
	return true, s.err
}

// seeder writes table after table; after the first error it does nothing more.
type seeder struct {
	Size
	rng *rand.Rand
	err error
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x7469646d696c6c)) }

func (s *seeder) doctors() int { return s.Patients/50 + 5 }

// ago is a moment in the last n days, to the microsecond that datetime(6) keeps.
func (s *seeder) ago(days int) time.Time {
	return s.Now.Add(-time.Duration(s.rng.Int64N(int64(days) * int64(24*time.Hour)))).UTC().Truncate(time.Microsecond)
}

func (s *seeder) consult(ctx context.Context, db *sql.DB) {
	s.table(ctx, db, "clinic.doctors (doctor_id, full_name, specialty, licence_no, fee, hired_on)", s.doctors(), func(id int) [][]any {
		return [][]any{{id, "dr. " + fullName(s.rng), pick(s.rng, specialties()), licence(id), money(fee(s.rng)), s.ago(3000).Format(time.DateOnly)}}
	})
	s.table(ctx, db, "clinic.patients (patient_id, full_name, email, phone, birth_date, sex, city, consented, notes, created_at)", s.Patients, func(id int) [][]any {
		return [][]any{append([]any{id}, s.person()...)}
	})
	s.table(ctx, db, "clinic.appointments (appointment_id, patient_id, doctor_id, status, channel, scheduled_at, fee, notes)", 2*s.Patients, func(id int) [][]any {
		return [][]any{{id, s.patientOf(id), 1 + s.rng.IntN(s.doctors()), pick(s.rng, statuses()), pick(s.rng, channels()), s.ago(90), money(fee(s.rng)), notes(s.rng)}}
	})
}

// patientOf ties an appointment's patient to its number, so that the pharmacy can name the same one.
func (s *seeder) patientOf(appointment int) int { return 1 + (appointment*7919)%s.Patients }

func (s *seeder) person() []any {
	return []any{fullName(s.rng), email(s.rng), phone(s.rng), birthDate(s.rng), pick(s.rng, []string{"f", "m", "x"}),
		pick(s.rng, cities()), s.rng.IntN(2), notes(s.rng), s.ago(700)}
}

func statuses() []string { return []string{"booked", "checked_in", "done", "cancelled", "no_show"} }
func channels() []string { return []string{"chat", "video", "visit"} }
func methods() []string  { return []string{"transfer", "card", "wallet", "cash"} }

func licence(n int) string { return fmt.Sprintf("ID-%06d", n) }

func (s *seeder) pharmacy(ctx context.Context, db *sql.DB) {
	var items, payments [][]any
	s.table(ctx, db, "pharmacy.orders (order_id, appointment_id, patient_id, status, amount, paid, placed_at)", s.Patients, func(id int) [][]any {
		lines, amount := basket(s.rng)
		for i, l := range lines {
			items = append(items, append([]any{id, i + 1}, l...))
		}
		status, paid := "new", int64(0)
		if s.rng.IntN(4) > 0 {
			status, paid = "paid", amount
			payments = append(payments, []any{id, pick(s.rng, methods()), money(paid), reference(s.rng), s.ago(60)})
		}
		visit := 1 + s.rng.IntN(2*s.Patients)
		return [][]any{{id, visit, s.patientOf(visit), status, money(amount), money(paid), s.ago(60)}}
	})
	s.rows(ctx, db, "pharmacy.order_items (order_id, line_no, sku, quantity, unit_price)", items)
	s.rows(ctx, db, "pharmacy.payments (order_id, method, amount, reference, paid_at)", payments)
}

// basket is one to three different lines {sku, quantity, unit price} and their sum in cents.
func basket(rng *rand.Rand) (lines [][]any, amount int64) {
	for range 1 + rng.IntN(3) {
		p, quantity := pick(rng, products()), int64(1+rng.IntN(4))
		lines = append(lines, []any{p.sku, quantity, money(p.price)})
		amount += quantity * p.price
	}
	return lines, amount
}

func reference(rng *rand.Rand) string { return fmt.Sprintf("TRX-%016x", rng.Uint64()) }

// table writes what row returns for 1..n.
func (s *seeder) table(ctx context.Context, db *sql.DB, into string, n int, row func(id int) [][]any) {
	var all [][]any
	for id := 1; id <= n && s.err == nil; id++ {
		all = append(all, row(id)...)
	}
	s.rows(ctx, db, into, all)
}

func (s *seeder) rows(ctx context.Context, db *sql.DB, into string, rows [][]any) {
	for len(rows) > 0 && s.err == nil {
		n := min(seedBatch, len(rows))
		s.insert(ctx, db, into, rows[:n])
		rows = rows[n:]
	}
}

func (s *seeder) insert(ctx context.Context, db *sql.DB, into string, rows [][]any) {
	query, args := insertSQL(into, rows)
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		s.err = fmt.Errorf("seeding %s: %w", strings.SplitN(into, " ", 2)[0], err)
	}
}

// insertSQL is one INSERT of all rows, which have the same length.
func insertSQL(into string, rows [][]any) (query string, args []any) {
	marks := "(" + strings.TrimSuffix(strings.Repeat("?,", len(rows[0])), ",") + ")"
	for _, r := range rows {
		args = append(args, r...)
	}
	return "insert into " + into + " values " + strings.TrimSuffix(strings.Repeat(marks+",", len(rows)), ","), args
}

// wrap adds what was being done to an error, and leaves nil alone.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
