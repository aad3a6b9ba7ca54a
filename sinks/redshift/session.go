package redshift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// session is one connection. One goroutine uses it, one statement at a time (invariant 6).
type session struct {
	conn   *pgx.Conn
	commit time.Duration // of the last transaction: it waits in the cluster's one queue
}

var _ ledger.Tx = (*session)(nil)

// Exec runs a statement. Without arguments it goes as a simple query, which is what COPY and DDL have to be.
func (c *session) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	for _, a := range args {
		if s, ok := a.(string); ok && len(s) > maxVarchar {
			return 0, &window.RefusedError{What: fmt.Sprintf("the ledger would hold a text of %d bytes, and a VARCHAR holds %d", len(s), maxVarchar),
				Hint: "make several pipelines of this one: what it notes of each publish grows with its tables"}
		}
	}
	tag, err := c.conn.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// row reads one row.
func (c *session) row(ctx context.Context, sql string, dest []any, args ...any) error {
	return c.conn.QueryRow(ctx, sql, args...).Scan(dest...)
}

// How often and how long a conflict is waited for: concurrent readers in a serializable database can hold a publish up for
// as long as their transactions take.
const (
	conflictTries = 12
	firstPause    = 200 * time.Millisecond
	longestPause  = 20 * time.Second
)

// repeat runs fn again while it ends with a conflict (invariant 4).
func (c *session) repeat(ctx context.Context, fn func() error) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: firstPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: longestPause}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := fn()
		if err != nil && !conflict(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(conflictTries))
	return err
}

// unknownError is a COMMIT whose answer was lost.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return "the answer to COMMIT was lost: " + e.err.Error() }

func (e *unknownError) Unwrap() error { return e.err }

// transaction runs fn between BEGIN and COMMIT.
func (c *session) transaction(ctx context.Context, fn func() error) error {
	if _, err := c.Exec(ctx, "BEGIN"); err != nil {
		return classify(err)
	}
	if err := fn(); err != nil {
		err = classify(err)
		if _, rerr := c.Exec(ctx, "ROLLBACK"); rerr != nil && !conflict(err) {
			return err
		} else if rerr != nil {
			return fmt.Errorf("rolling back: %w", classify(rerr)) // no second try on a session of unknown state
		}
		return err
	}
	committed, start := ledger.Commit(ctx), time.Now()
	_, err := c.Exec(ctx, "COMMIT")
	c.commit = time.Since(start)
	committed(classify(err))
	if err == nil {
		return nil
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Severity != "FATAL" {
		if _, rerr := c.Exec(ctx, "ROLLBACK"); rerr != nil {
			return fmt.Errorf("rolling back: %w", classify(rerr))
		}
		return classify(err)
	}
	return &unknownError{classify(err)}
}

// locked runs fn in a transaction under the lock of all publishers (invariant 1), again after a conflict.
func (c *session) locked(ctx context.Context, fn func() error) error {
	return c.repeat(ctx, func() error {
		return c.transaction(ctx, func() error {
			failpoint.Hit(failpoint.BeforeLock)
			if _, err := c.Exec(ctx, lockSQL); err != nil {
				if missing(err) {
					return fmt.Errorf("%w, %w", window.ErrNoFence, window.ErrFenced)
				}
				return err
			}
			return fn()
		})
	})
}
