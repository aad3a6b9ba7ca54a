package clinic

import (
	"container/heap"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// place writes an order and its items in one transaction. One in four is bought over the counter, without a visit.
func (c *Clinic) place(ctx context.Context) error {
	patient, ok := c.patients.some(c.rng)
	if !ok {
		return errNothing
	}
	var appointment any
	if v, there := c.visits.some(c.rng); there && c.rng.IntN(4) > 0 {
		appointment, patient = v.appointment, v.patient
	}
	lines, amount := basket(c.rng)
	var order int64
	err := inTx(ctx, c.pharmacy, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "insert into pharmacy.orders (appointment_id, patient_id, status, amount, placed_at) values (?,?,'new',?,?)",
			appointment, patient, money(amount), c.now())
		if err != nil {
			return err
		}
		if order, err = result.LastInsertId(); err != nil {
			return err
		}
		var rows [][]any
		for i, l := range lines {
			rows = append(rows, append([]any{order, i + 1}, l...))
		}
		query, args := insertSQL("pharmacy.order_items (order_id, line_no, sku, quantity, unit_price)", rows)
		_, err = tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return err
	}
	c.placed.add(uint64(order))
	c.open.add(uint64(order))
	c.owe(uint64(order))
	return nil
}

// pay pays the order that has waited longest, one in four by halves; it may have been cancelled meanwhile.
func (c *Clinic) pay(ctx context.Context) error {
	if len(c.owing) == 0 {
		return errNothing
	}
	order := c.owing[0].order
	var payment int64
	var settled bool
	err := inTx(ctx, c.pharmacy, func(tx *sql.Tx) error {
		amount, paid, err := c.balance(ctx, tx, order)
		if err != nil {
			return err
		}
		rest := max(amount-paid, 0) // a transfer may have brought too much
		if settled = rest < 100 || c.rng.IntN(4) > 0; !settled {
			rest /= 2
		}
		payment, err = c.addPayment(ctx, tx, order, rest, settled)
		return err
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	heap.Pop(&c.owing)
	switch {
	case err != nil:
		return err
	case settled:
		c.open.drop(order)
	default:
		c.owe(order)
	}
	c.payments.add(uint64(payment))
	return nil
}

// balance locks an unpaid order and reads what it costs and what came in, in cents.
func (c *Clinic) balance(ctx context.Context, tx *sql.Tx, order uint64) (amount, paid int64, err error) {
	var a, p string
	err = tx.QueryRowContext(ctx, "select amount, paid from pharmacy.orders where order_id = ? and status = 'new' for update", order).Scan(&a, &p)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, errNothing
	}
	if err != nil {
		return 0, 0, err
	}
	amount, err = cents(a)
	if err != nil {
		return 0, 0, err
	}
	paid, err = cents(p)
	return amount, paid, err
}

func (c *Clinic) addPayment(ctx context.Context, tx *sql.Tx, order uint64, value int64, settled bool) (int64, error) {
	result, err := tx.ExecContext(ctx, "insert into pharmacy.payments (order_id, method, amount, reference, paid_at) values (?,?,?,?,?)",
		order, pick(c.rng, methods()), money(value), reference(c.rng), c.now())
	if err != nil {
		return 0, err
	}
	status := "new"
	if settled {
		status = "paid"
	}
	if _, err := tx.ExecContext(ctx, "update pharmacy.orders set paid = paid + ?, status = ? where order_id = ?", money(value), status, order); err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// cents reads a decimal with two places.
func cents(decimal string) (int64, error) {
	n, err := strconv.ParseInt(strings.Replace(decimal, ".", "", 1), 10, 64)
	if err != nil || len(decimal) < 4 || decimal[len(decimal)-3] != '.' {
		return 0, fmt.Errorf("%q is no amount with two decimal places", decimal)
	}
	return n, nil
}

// changeItems edits the basket of an unpaid order and its total, in one transaction. Renumbering a line changes a
// primary key, which is a delete and an insert to whoever keeps rows by key.
func (c *Clinic) changeItems(ctx context.Context) error {
	order, ok := c.open.some(c.rng)
	if !ok {
		return errNothing
	}
	what := c.rng.IntN(4)
	p, quantity := pick(c.rng, products()), 1+c.rng.IntN(9)
	return inTx(ctx, c.pharmacy, func(tx *sql.Tx) error {
		if _, paid, err := c.balance(ctx, tx, order); err != nil || paid > 0 {
			return errors.Join(err, errNothing) // what is partly paid is no longer changed
		}
		var lines, last int
		if err := tx.QueryRowContext(ctx, "select count(*), coalesce(max(line_no), 0) from pharmacy.order_items where order_id = ?", order).Scan(&lines, &last); err != nil {
			return err
		}
		var err error
		switch {
		case what == 0 || lines == 0:
			_, err = tx.ExecContext(ctx, "insert into pharmacy.order_items values (?,?,?,?,?)", order, last+1, p.sku, quantity, money(p.price))
		case what == 1 && lines > 1:
			_, err = tx.ExecContext(ctx, "delete from pharmacy.order_items where order_id = ? and line_no = ?", order, last)
		case what == 2:
			_, err = tx.ExecContext(ctx, "update pharmacy.order_items set line_no = ? where order_id = ? and line_no = ?", last+2, order, last)
		default:
			_, err = tx.ExecContext(ctx, "update pharmacy.order_items set quantity = ? where order_id = ? and line_no = ?", quantity, order, last)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "update pharmacy.orders set amount = (select coalesce(sum(quantity * unit_price), 0) from pharmacy.order_items where order_id = ?) where order_id = ?", order, order)
		return err
	})
}

// moveOrder hangs an order on another visit: a foreign key that moves across servers.
func (c *Clinic) moveOrder(ctx context.Context) error {
	order, ok := c.placed.some(c.rng)
	v, there := c.visits.some(c.rng)
	if !ok || !there {
		return errNothing
	}
	_, err := c.pharmacy.ExecContext(ctx, "update pharmacy.orders set appointment_id = ?, patient_id = ? where order_id = ?", v.appointment, v.patient, order)
	return err
}

// cancelOrder deletes an unpaid order from three tables in one transaction.
func (c *Clinic) cancelOrder(ctx context.Context) error {
	order, ok := c.open.some(c.rng)
	if !ok {
		return errNothing
	}
	err := inTx(ctx, c.pharmacy, func(tx *sql.Tx) error {
		for _, table := range []string{"payments", "order_items", "orders"} {
			if _, err := tx.ExecContext(ctx, "delete from pharmacy."+table+" where order_id = ?", order); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.open.drop(order)
	c.placed.drop(order)
	return nil
}

// transfer moves half of one payment to another, and the orders' sums with it: four updates, one transaction, nothing
// gained or lost.
func (c *Clinic) transfer(ctx context.Context) error {
	from, ok := c.payments.some(c.rng)
	to, _ := c.payments.some(c.rng)
	if !ok || from == to {
		return errNothing
	}
	missing := from
	err := inTx(ctx, c.pharmacy, func(tx *sql.Tx) error {
		orderFrom, has, err := payment(ctx, tx, from)
		if err != nil {
			return err
		}
		missing = to
		orderTo, _, err := payment(ctx, tx, to)
		if err != nil {
			return err
		}
		for _, m := range []struct {
			payment, order uint64
			value          int64
		}{{from, orderFrom, -(has / 2)}, {to, orderTo, has / 2}} {
			if err := addTo(ctx, tx, m.payment, m.order, m.value); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errNothing) { // it was cancelled with its order
		c.payments.drop(missing)
	}
	return err
}

func payment(ctx context.Context, tx *sql.Tx, id uint64) (order uint64, value int64, err error) {
	var amount string
	err = tx.QueryRowContext(ctx, "select order_id, amount from pharmacy.payments where payment_id = ? for update", id).Scan(&order, &amount)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, errNothing
	}
	if err != nil {
		return 0, 0, err
	}
	value, err = cents(amount)
	return order, value, err
}

func addTo(ctx context.Context, tx *sql.Tx, payment, order uint64, value int64) error {
	if _, err := tx.ExecContext(ctx, "update pharmacy.payments set amount = amount + ? where payment_id = ?", money(value), payment); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "update pharmacy.orders set paid = paid + ? where order_id = ?", money(value), order)
	return err
}
