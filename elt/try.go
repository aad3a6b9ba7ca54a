package elt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/grid"
)

// Try makes an interval in a warehouse that holds what the job reads, without a ledger: for tests with made-up rows. It
// returns what the checks have found; the error is a refusal, of the warehouse or of a check.
func Try(ctx context.Context, w Warehouse, j *Job, at grid.Window) ([]Result, error) {
	var results []Result
	err := w.JobSession(ctx, func(s Session) error {
		t := &target{store: store{s, w.JobDialect()}, job: j, interval: at, generation: 1}
		x := &execution{start: Start{Job: j, Interval: at, Generation: 1, Attempt: 1}, past: func(string) []Past { return nil }}
		if j.SQL == nil {
			return errors.New("a job that only checks has no rows of its own to try")
		}
		if _, err := stageRows(ctx, s, t.query(), w.JobDialect().Via[0]); err != nil {
			return err
		}
		var err error
		if t.staged, err = s.Columns(ctx, stageTable); err != nil {
			return err
		}
		var failing []*Probe
		if results, failing, err = x.check(ctx, t); err != nil {
			return err
		}
		if len(failing) > 0 {
			return fmt.Errorf("%d checks fail", len(failing))
		}
		return s.Transact(ctx, Write, func() error {
			if err := t.prepare(ctx, true); err != nil {
				return err
			}
			return t.replace(ctx)
		})
	})
	return results, err
}
