package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/window"
)

// Tx is the open transaction of a publish. Exec returns how many rows a statement changed.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
}

// Record notes who publishes a table, and with which key.
func (d Dialect) Record(ctx context.Context, tx Tx, p *window.Publication, t *window.TableLoad) error {
	insert, args, err := d.InsertTable(p, t)
	if err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, DeleteTable, t.Table.Schema, t.Table.Name); err == nil {
		_, err = tx.Exec(ctx, insert, args...)
	}
	return err
}

// Move is the end of every publish: quarantine, standing tables, fence and receipt (invariant 4). staged is the table with the
// parts of the quarantine, empty when the publish has none.
func (d Dialect) Move(ctx context.Context, tx Tx, p *window.Publication, staged string, o Outcome, at time.Time) error {
	for _, q := range append(d.MoveQuarantine(p, staged, at), MoveStanding(p)...) {
		if _, err := tx.Exec(ctx, q.SQL, q.Args...); err != nil {
			return fmt.Errorf("writing the ledger: %w", err)
		}
	}
	update, args, err := d.MoveFence(p, at)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, update, args...)
	if err != nil {
		return fmt.Errorf("moving the fence: %w", err)
	}
	if n != 1 { // the row is locked and was checked: this is the belt to the braces
		return fmt.Errorf("moving the fence of pipeline %s changed %d rows: %w", p.Pipeline, n, window.ErrFenced)
	}
	insert, args, err := d.InsertReceipt(p, o, at)
	if err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, insert, args...); err != nil {
		return fmt.Errorf("appending the receipt: %w", err)
	}
	return nil
}
