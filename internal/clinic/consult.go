package clinic

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

func (c *Clinic) register(ctx context.Context) error {
	result, err := c.consult.ExecContext(ctx,
		"insert into clinic.patients (full_name, email, phone, birth_date, sex, city, consented, notes, created_at) values (?,?,?,?,?,?,?,?,?)",
		fullName(c.rng), email(c.rng), phone(c.rng), birthDate(c.rng), pick(c.rng, []string{"f", "m", "x"}),
		pick(c.rng, cities()), c.rng.IntN(2), notes(c.rng), c.now())
	return remember(&c.patients, result, err)
}

// remember adds the number that an insert was given.
func remember(b *bag[uint64], result sql.Result, err error) error {
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err == nil {
		b.add(uint64(id))
	}
	return err
}

func (c *Clinic) editPatient(ctx context.Context) error {
	patient, ok := c.patients.some(c.rng)
	if !ok {
		return errNothing
	}
	var err error
	switch c.rng.IntN(4) {
	case 0:
		_, err = c.consult.ExecContext(ctx, "update clinic.patients set phone = ?, city = ? where patient_id = ?", phone(c.rng), pick(c.rng, cities()), patient)
	case 1:
		_, err = c.consult.ExecContext(ctx, "update clinic.patients set notes = ? where patient_id = ?", notes(c.rng), patient)
	case 2:
		_, err = c.consult.ExecContext(ctx, "update clinic.patients set email = ?, birth_date = ? where patient_id = ?", email(c.rng), birthDate(c.rng), patient)
	default:
		_, err = c.consult.ExecContext(ctx, "update clinic.patients set full_name = ?, consented = 1 - consented where patient_id = ?", fullName(c.rng), patient)
	}
	return err
}

// mergePatients folds a double entry into another: visits move (a foreign key within the server), the double goes,
// and the pharmacy's orders follow in a transaction of their own, as across two servers they must.
func (c *Clinic) mergePatients(ctx context.Context) error {
	double, ok := c.patients.some(c.rng)
	kept, _ := c.patients.some(c.rng)
	if !ok || double == kept {
		return errNothing
	}
	err := inTx(ctx, c.consult, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "update clinic.appointments set patient_id = ? where patient_id = ?", kept, double); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "delete from clinic.patients where patient_id = ?", double)
		return err
	})
	if err != nil {
		return err
	}
	c.patients.drop(double)
	for i := range c.visits.all {
		if c.visits.all[i].patient == double {
			c.visits.all[i].patient = kept
		}
	}
	_, err = c.pharmacy.ExecContext(ctx, "update pharmacy.orders set patient_id = ? where patient_id = ?", kept, double)
	return err
}

const insertVisit = "insert into clinic.appointments (patient_id, doctor_id, status, channel, scheduled_at, fee, notes) values (?,?,?,?,?,?,?)"

// newVisit is the arguments of insertVisit, some days ahead.
func (c *Clinic) newVisit(patient, doctor uint64) []any {
	at := c.now().Add(time.Duration(c.rng.IntN(21*24*60)) * time.Minute).Truncate(time.Minute)
	return []any{patient, doctor, "booked", pick(c.rng, channels()), at, money(fee(c.rng)), notes(c.rng)}
}

func (c *Clinic) book(ctx context.Context) error {
	patient, ok := c.patients.some(c.rng)
	doctor, there := c.doctors.some(c.rng)
	if !ok || !there {
		return errNothing
	}
	result, err := c.consult.ExecContext(ctx, insertVisit, c.newVisit(patient, doctor)...)
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err == nil {
		c.visits.add(visit{appointment: uint64(id), patient: patient})
	}
	return err
}

// bookByMistake is a row that is born and gone in one transaction: no window may ever show it.
func (c *Clinic) bookByMistake(ctx context.Context) error {
	patient, ok := c.patients.some(c.rng)
	doctor, there := c.doctors.some(c.rng)
	if !ok || !there {
		return errNothing
	}
	return inTx(ctx, c.consult, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, insertVisit, c.newVisit(patient, doctor)...)
		if err != nil {
			return err
		}
		id, err := result.LastInsertId()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "delete from clinic.appointments where appointment_id = ?", id)
		return err
	})
}

func (c *Clinic) advance(ctx context.Context) error {
	v, ok := c.visits.some(c.rng)
	if !ok {
		return errNothing
	}
	_, err := c.consult.ExecContext(ctx, "update clinic.appointments set status = ? where appointment_id = ?", pick(c.rng, statuses()), v.appointment)
	return err
}

// see changes one row three times and another once in one transaction: only the last state counts.
func (c *Clinic) see(ctx context.Context) error {
	v, ok := c.visits.some(c.rng)
	if !ok {
		return errNothing
	}
	return inTx(ctx, c.consult, func(tx *sql.Tx) error {
		for _, status := range []string{"checked_in", "no_show", "done"} {
			if _, err := tx.ExecContext(ctx, "update clinic.appointments set status = ?, notes = ? where appointment_id = ?", status, notes(c.rng), v.appointment); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "update clinic.patients set notes = ? where patient_id = ?", notes(c.rng), v.patient)
		return err
	})
}

func (c *Clinic) reassign(ctx context.Context) error {
	v, ok := c.visits.some(c.rng)
	doctor, there := c.doctors.some(c.rng)
	if !ok || !there {
		return errNothing
	}
	_, err := c.consult.ExecContext(ctx, "update clinic.appointments set doctor_id = ? where appointment_id = ?", doctor, v.appointment)
	return err
}

// removeVisit deletes an appointment; orders that name it are cut loose on the other server a moment later.
func (c *Clinic) removeVisit(ctx context.Context) error {
	v, ok := c.visits.some(c.rng)
	if !ok {
		return errNothing
	}
	if _, err := c.consult.ExecContext(ctx, "delete from clinic.appointments where appointment_id = ?", v.appointment); err != nil {
		return err
	}
	c.visits.drop(v)
	_, err := c.pharmacy.ExecContext(ctx, "update pharmacy.orders set appointment_id = null where appointment_id = ?", v.appointment)
	return err
}

// hire is an upsert: a new doctor, or a new fee for one whose licence is known.
func (c *Clinic) hire(ctx context.Context) error {
	number := 1 + c.rng.IntN(len(c.doctors.all)+3)
	price := money(fee(c.rng))
	result, err := c.consult.ExecContext(ctx,
		"insert into clinic.doctors (full_name, specialty, licence_no, fee, hired_on) values (?,?,?,?,?) on duplicate key update fee = ?, active = 1",
		"dr. "+fullName(c.rng), pick(c.rng, specialties()), licence(number), price, c.now().Format(time.DateOnly), price)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 { // 1 is an insert, 2 an update, 0 neither
		return err
	}
	return remember(&c.doctors, result, nil)
}

// setFee changes many rows by one statement.
func (c *Clinic) setFee(ctx context.Context) error {
	_, err := c.consult.ExecContext(ctx, "update clinic.doctors set fee = ?, active = 1 where specialty = ?", money(fee(c.rng)), pick(c.rng, specialties()))
	return err
}

// changeOfMind writes and rolls back: the log must hold nothing of it.
func (c *Clinic) changeOfMind(ctx context.Context) error {
	patient, ok := c.patients.some(c.rng)
	if !ok {
		return errNothing
	}
	tx, err := c.consult.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "update clinic.patients set city = 'nowhere' where patient_id = ?", patient); err != nil {
		return fmt.Errorf("before a rollback: %w", err)
	}
	return rollback(tx)
}
