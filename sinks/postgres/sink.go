package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Sink is a PostgreSQL warehouse.
type Sink struct {
	config *pgxpool.Config

	mu   sync.Mutex
	pool *pgxpool.Pool // made at first use
}

var (
	_ window.Sink        = (*Sink)(nil)
	_ window.TableReader = (*Sink)(nil)
	_ window.Querier     = (*Sink)(nil)
)

var (
	dialect = ledger.Dialect{JSON: "jsonb", Constraints: true, Lock: " FOR UPDATE"}
	limits  = ledger.Limits{NameBytes: 63, MaxColumns: 1600,
		NoColumns: []string{"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}}
)

// New returns the warehouse of an address.
func New(address string) (*Sink, error) {
	c, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("postgres warehouse: %w", parseError(err))
	}
	rp := c.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name": "tidemill",
		// An ALTER that waits for a long query makes all later readers wait too: it gives up and is tried again.
		"lock_timeout": "30s",
		// A publisher whose machine hangs gives the fence's lock back.
		"idle_in_transaction_session_timeout": "60s",
	} {
		if rp[name] == "" {
			rp[name] = value
		}
	}
	rp["timezone"], rp["datestyle"] = "UTC", "ISO"
	// A cancelled publish tells the server, which would else go on with its statement and hold the fence's lock.
	c.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
	}
	return &Sink{config: c}, nil
}

// parseError drops the address from the error: its redaction by the driver is a promise that we need not test.
func parseError(err error) error {
	var pe *pgconn.ParseConfigError
	if errors.As(err, &pe) && pe.Unwrap() == nil {
		return errors.New("the address is not postgres://user:password@host:port/database?sslmode=...")
	}
	return errors.New("the address is not postgres://user:password@host:port/database?sslmode=..., or names a file that cannot be read")
}

func (s *Sink) open(ctx context.Context) (*pgxpool.Pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool != nil {
		return s.pool, nil
	}
	// The pool outlives the call: Close ends its goroutine.
	p, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), s.config)
	if err != nil {
		return nil, fmt.Errorf("opening PostgreSQL: %w", classify(err))
	}
	s.pool = p
	return p, nil
}

// Close closes all connections. Calls that are under way must have ended.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool != nil {
		s.pool.Close()
		s.pool = nil
	}
	return nil
}

// inTx runs fn in a transaction that commits when fn returns nil.
func (s *Sink) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	pool, err := s.open(ctx)
	if err != nil {
		return err
	}
	// READ COMMITTED, not stricter: a statement after the fence's lock must see what the holder before us committed.
	committed := func(error) {}
	err = classify(pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		err := fn(tx)
		if err == nil {
			committed = ledger.Commit(ctx)
		}
		return err
	}))
	committed(err)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // the server only says that it was cancelled
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// Acquire makes epoch the owner of the pipeline.
func (s *Sink) Acquire(ctx context.Context, pipeline string, epoch int64) (f window.Fence, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if err := makeLedger(ctx, tx); err != nil {
			return err
		}
		f, err = readFence(ctx, tx, pipeline, true)
		if errors.Is(err, window.ErrNoFence) {
			if _, err := tx.Exec(ctx, dialect.InsertFence()+" ON CONFLICT DO NOTHING", pipeline, epoch, uuid.NewString()); err != nil {
				return err
			}
			f, err = readFence(ctx, tx, pipeline, true) // another owner may have been first
		}
		if err != nil {
			return err
		}
		if err := ledger.CheckAcquire(f, epoch); err != nil {
			return err
		}
		f.Epoch = epoch
		_, err := tx.Exec(ctx, ledger.TakeFence, pipeline, epoch)
		return err
	})
	if err != nil {
		return window.Fence{}, fmt.Errorf("acquiring pipeline %s: %w", pipeline, err)
	}
	return f, nil
}

func makeLedger(ctx context.Context, tx pgx.Tx) error {
	const missing = `SELECT EXISTS (SELECT FROM unnest($1::text[]) r WHERE pg_catalog.to_regclass($2 || '.' || r) IS NULL)`
	var need bool
	if err := tx.QueryRow(ctx, missing, ledger.Relations, ledger.Schema).Scan(&need); err != nil || !need {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_catalog.pg_advisory_xact_lock($1)", int64(createLock)); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, missing, ledger.Relations, ledger.Schema).Scan(&need); err != nil || !need {
		return err
	}
	if err := createSchema(ctx, tx, ledger.Schema); err != nil {
		return err
	}
	for _, q := range dialect.Create() {
		if _, err := tx.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readFence(ctx context.Context, q querier, pipeline string, lock bool) (window.Fence, error) {
	var r ledger.Row
	err := q.QueryRow(ctx, dialect.SelectFence(lock), pipeline).
		Scan(&r.Start, &r.End, &r.Slice, &r.Final, &r.Epoch, &r.Lineage, &r.Cut, &r.Manifest, &r.At)
	var pe *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pe) && (pe.Code == "42P01" || pe.Code == "3F000") {
		return window.Fence{}, fmt.Errorf("pipeline %s: %w", pipeline, window.ErrNoFence)
	}
	if err != nil {
		return window.Fence{}, err
	}
	return r.Fence(pipeline)
}

// Forget removes the pipeline's fence row. A publish under way holds the row, so it waits for it.
func (s *Sink) Forget(ctx context.Context, pipeline string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('tidemill.fence') IS NOT NULL").Scan(&there); err != nil || !there {
			return err
		}
		_, err := tx.Exec(ctx, ledger.DeleteFence, pipeline)
		return err
	})
	if err != nil {
		return fmt.Errorf("forgetting the fence of pipeline %s: %w", pipeline, err)
	}
	return nil
}

// Fence reads the pipeline's fence row.
func (s *Sink) Fence(ctx context.Context, pipeline string) (window.Fence, error) {
	pool, err := s.open(ctx)
	if err != nil {
		return window.Fence{}, err
	}
	f, err := readFence(ctx, pool, pipeline, false)
	if err != nil {
		return window.Fence{}, fmt.Errorf("reading the fence: %w", classify(err))
	}
	return f, nil
}
