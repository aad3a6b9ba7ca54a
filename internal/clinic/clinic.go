package clinic

import (
	"container/heap"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Clinic makes changes, one operation per Step. It is not safe for concurrent use: one clinic, one writer, so that
// its steps have an order.
type Clinic struct {
	consult, pharmacy *sql.DB
	rng               *rand.Rand
	options           Options
	steps             int
	done              map[string]int

	// What it may act on. Rows are known by number only; amounts are read where they are needed.
	patients, doctors bag[uint64]
	visits            bag[visit]
	open              bag[uint64] // orders that are not fully paid
	placed            bag[uint64] // all orders
	payments          bag[uint64]
	chats             bag[*chat] // that it has opened itself
	owing             schedule
}

type visit struct{ appointment, patient uint64 }

// Options of a Clinic.
type Options struct {
	// Seed of all choices.
	Seed uint64
	// Now is the clock of what is written. Nil: the real one. Tests that compare two runs give one of their own.
	Now func() time.Time
	// PayWithin is after how many steps an order is paid at the latest; most are paid evenly over that time. Default
	// 2400: a minute at 40 operations a second, which is six windows of the demo.
	PayWithin int
	// Chats is where sessions are kept; nil: the clinic has no chat rooms.
	Chats Chats
}

// known bounds what Open reads of each table: enough for variety, small for a database that has run for weeks.
const known = 20000

// Open reads which rows there are, the newest of each table, and is ready to Step.
func Open(ctx context.Context, consult, pharmacy *sql.DB, o Options) (*Clinic, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PayWithin <= 0 {
		o.PayWithin = 2400
	}
	c := &Clinic{consult: consult, pharmacy: pharmacy, rng: newRand(o.Seed + 1), options: o, done: map[string]int{}}
	if err := c.look(ctx); err != nil {
		return nil, fmt.Errorf("looking at the clinic's tables: %w", err)
	}
	return c, nil
}

// look fills the bags from the tables.
func (c *Clinic) look(ctx context.Context) error {
	c.owing = nil
	reads := []struct {
		db    *sql.DB
		query string
		into  *bag[uint64]
	}{
		{c.consult, "select patient_id from clinic.patients order by 1 desc", &c.patients},
		{c.consult, "select doctor_id from clinic.doctors order by 1 desc", &c.doctors},
		{c.pharmacy, "select order_id from pharmacy.orders order by 1 desc", &c.placed},
		{c.pharmacy, "select order_id from pharmacy.orders where status = 'new' order by 1 desc", &c.open},
		{c.pharmacy, "select payment_id from pharmacy.payments order by 1 desc", &c.payments},
	}
	for _, r := range reads {
		if err := c.lookAt(ctx, r.db, r.query, r.into); err != nil {
			return err
		}
	}
	for _, order := range c.open.all {
		c.owe(order)
	}
	return c.lookAtVisits(ctx)
}

func (c *Clinic) lookAt(ctx context.Context, db *sql.DB, query string, into *bag[uint64]) error {
	into.all = nil
	return each(ctx, db, fmt.Sprintf("%s limit %d", query, known), func(rows *sql.Rows) error {
		var id uint64
		err := rows.Scan(&id)
		into.add(id)
		return err
	})
}

func (c *Clinic) lookAtVisits(ctx context.Context) error {
	c.visits.all = nil
	query := fmt.Sprintf("select appointment_id, patient_id from clinic.appointments order by 1 desc limit %d", known)
	return each(ctx, c.consult, query, func(rows *sql.Rows) error {
		var v visit
		err := rows.Scan(&v.appointment, &v.patient)
		c.visits.add(v)
		return err
	})
}

func each(ctx context.Context, db *sql.DB, query string, row func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// operation is one thing that happens at a clinic. Its weight is how often, relative to the others.
type operation struct {
	name   string
	weight int
	do     func(*Clinic, context.Context) error
}

// operations in a fixed order: the draw depends on it. Payments are not drawn, they fall due (see owe).
func operations() []operation {
	return []operation{
		{"register patient", 8, (*Clinic).register},
		{"edit patient", 9, (*Clinic).editPatient},
		{"merge patients", 2, (*Clinic).mergePatients},
		{"book appointment", 14, (*Clinic).book},
		{"advance appointment", 14, (*Clinic).advance},
		{"see patient", 5, (*Clinic).see},
		{"reassign doctor", 6, (*Clinic).reassign},
		{"remove appointment", 3, (*Clinic).removeVisit},
		{"book by mistake", 2, (*Clinic).bookByMistake},
		{"hire or renew doctor", 2, (*Clinic).hire},
		{"set specialty fee", 1, (*Clinic).setFee},
		{"change of mind", 1, (*Clinic).changeOfMind},
		{"place order", 14, (*Clinic).place},
		{"change items", 7, (*Clinic).changeItems},
		{"move order", 4, (*Clinic).moveOrder},
		{"cancel order", 3, (*Clinic).cancelOrder},
		{"transfer payment", 5, (*Clinic).transfer},
	}
}

// errNothing says that an operation found nothing to act on; another is drawn.
var errNothing = errors.New("nothing to act on")

// Step does one operation and returns its name. After an error the clinic may know less than the tables hold;
// Load looks again, a test gives up.
func (c *Clinic) Step(ctx context.Context) (string, error) {
	c.steps++
	for {
		op := c.draw()
		err := op.do(c, ctx)
		if errors.Is(err, errNothing) {
			continue // register always finds something, so this ends
		}
		if err != nil {
			return op.name, fmt.Errorf("operation %q: %w", op.name, err)
		}
		c.done[op.name]++
		return op.name, nil
	}
}

func (c *Clinic) draw() operation {
	if len(c.owing) > 0 && c.owing[0].due <= c.steps {
		return operation{name: "pay", do: (*Clinic).pay}
	}
	all, total := operations(), 0
	if c.options.Chats != nil {
		all = append(all, chatOperations()...)
	}
	for _, op := range all {
		total += op.weight
	}
	at := c.rng.IntN(total)
	for _, op := range all {
		if at -= op.weight; at < 0 {
			return op
		}
	}
	return all[0]
}

// Done counts the operations since Open, by name.
func (c *Clinic) Done() map[string]int {
	out := make(map[string]int, len(c.done))
	for name, n := range c.done {
		out[name] = n
	}
	return out
}

func (c *Clinic) now() time.Time { return c.options.Now().UTC().Truncate(time.Microsecond) }

// inTx runs a transaction; anything but nil from f rolls it back.
func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// rollback of a connection that is gone already is done.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// bag is a set to draw from.
type bag[T comparable] struct{ all []T }

func (b *bag[T]) add(x T) { b.all = append(b.all, x) }

// some returns a random member; false when there is none.
func (b *bag[T]) some(rng *rand.Rand) (T, bool) {
	if len(b.all) == 0 {
		var none T
		return none, false
	}
	return pick(rng, b.all), true
}

// drop removes a member; the last takes its place, so that the order stays a function of the steps.
func (b *bag[T]) drop(x T) {
	for i := range b.all {
		if b.all[i] == x {
			b.all[i] = b.all[len(b.all)-1]
			b.all = b.all[:len(b.all)-1]
			return
		}
	}
}

// schedule holds orders by the step at which they are paid, earliest first.
type schedule []struct {
	order uint64
	due   int
}

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].due < s[j].due || s[i].due == s[j].due && s[i].order < s[j].order
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any) {
	*s = append(*s, x.(struct {
		order uint64
		due   int
	}))
}

func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// owe plans the payment of an order: one in three soon, the others evenly over PayWithin.
func (c *Clinic) owe(order uint64) {
	within := c.options.PayWithin
	if c.rng.IntN(3) == 0 {
		within = max(1, within/100)
	}
	heap.Push(&c.owing, struct {
		order uint64
		due   int
	}{order, c.steps + 1 + c.rng.IntN(within)})
}
