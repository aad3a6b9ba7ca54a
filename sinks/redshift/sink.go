package redshift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Sink is a Redshift warehouse.
type Sink struct {
	options
	config *pgxpool.Config
	store  bucket // what COPY reads; nil until LoadFrom

	mu   sync.Mutex
	pool *pgxpool.Pool // made at first use
}

// bucket is a store that Redshift can read by itself.
type bucket interface {
	window.Store
	URL(key string) string // s3://bucket/key
}

var (
	_ window.Sink        = (*Sink)(nil)
	_ window.TableReader = (*Sink)(nil)
	_ window.Querier     = (*Sink)(nil)
	_ window.StoreLoader = (*Sink)(nil)
	_ window.TextLimiter = (*Sink)(nil)
	_ window.Arranger    = (*Sink)(nil)
)

// New returns the warehouse of an address.
func New(address string) (*Sink, error) {
	o, id, c, err := parse(address)
	if err != nil {
		return nil, err
	}
	login := &credentials{identity: id}
	c.BeforeConnect = login.before
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return begin(ctx, conn, o) }
	return &Sink{options: o, config: c}, nil
}

// begin prepares a session.
func begin(ctx context.Context, conn *pgx.Conn, o options) error {
	for _, q := range o.settings() {
		if _, err := conn.Exec(ctx, q); err != nil {
			return classify(err)
		}
	}
	var on string
	if err := conn.QueryRow(ctx, caseSQL).Scan(&on); err != nil {
		return classify(err)
	}
	if on != "off" { // every name is lower case, so nothing would be wrong; but "NAME" of a user's query would be another column
		_, err := conn.Exec(ctx, "SET enable_case_sensitive_identifier TO off")
		return classify(err)
	}
	return nil
}

// Arrange implements window.Arranger.
func (s *Sink) Arrange(layout func(window.WarehouseTable) window.Layout) { s.layout = layout }

// LoadFrom tells where the parts are.
func (s *Sink) LoadFrom(store window.Store) error {
	b, ok := store.(bucket)
	if !ok {
		return errors.New("a redshift warehouse loads from S3 by itself: the store must be s3://bucket/prefix, in the warehouse's region")
	}
	s.store = b
	return nil
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
		return nil, fmt.Errorf("opening Redshift: %w", classify(err))
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

// session pins one connection for fn: temporary tables are its own. A connection that has met an error is not used again.
func (s *Sink) session(ctx context.Context, fn func(*session) error) error {
	pool, err := s.open(ctx)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return cancelled(ctx, fmt.Errorf("connecting to Redshift: %w", classify(err)))
	}
	defer conn.Release()
	err = fn(&session{conn: conn.Conn()})
	if err != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the pool drops a closed one; the error that matters is err
	}
	return cancelled(ctx, err)
}

// cancelled puts the caller's reason before what the server says of it.
func cancelled(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// Acquire makes epoch the owner of the pipeline.
func (s *Sink) Acquire(ctx context.Context, pipeline string, epoch int64) (f window.Fence, err error) {
	err = s.session(ctx, func(c *session) error {
		if err := makeLedger(ctx, c); err != nil {
			return err
		}
		return c.locked(ctx, func() error {
			f, err = readFence(ctx, c, pipeline)
			if errors.Is(err, window.ErrNoFence) {
				if _, err := c.Exec(ctx, dialect.InsertFence(), pipeline, epoch, uuid.NewString()); err != nil {
					return err
				}
				f, err = readFence(ctx, c, pipeline)
			}
			if err != nil {
				return err
			}
			if err := ledger.CheckAcquire(f, epoch); err != nil {
				return err
			}
			f.Epoch = epoch
			_, err := c.Exec(ctx, ledger.TakeFence, pipeline, epoch)
			return err
		})
	})
	if err != nil {
		return window.Fence{}, fmt.Errorf("acquiring pipeline %s: %w", pipeline, err)
	}
	return f, nil
}

// Forget removes the pipeline's fence row.
func (s *Sink) Forget(ctx context.Context, pipeline string) error {
	err := s.session(ctx, func(c *session) error {
		var there int64
		err := c.row(ctx, ledgerThereSQL, []any{&there})
		if err != nil || there < int64(len(ledger.Relations))+1 {
			return err
		}
		return c.locked(ctx, func() error {
			_, err := c.Exec(ctx, ledger.DeleteFence, pipeline)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("forgetting the fence of pipeline %s: %w", pipeline, err)
	}
	return nil
}

// makeLedger creates what is missing. It asks first: CREATE IF NOT EXISTS wants the privilege even for what is there.
func makeLedger(ctx context.Context, c *session) error {
	var there int64
	err := c.row(ctx, ledgerThereSQL, []any{&there})
	if err != nil || there >= int64(len(ledger.Relations))+1 {
		return err
	}
	return c.repeat(ctx, func() error {
		return c.transaction(ctx, func() error {
			for _, q := range ledgerSQL() {
				if _, err := c.Exec(ctx, q); err != nil {
					return raced(err)
				}
			}
			return nil
		})
	})
}

// raced takes it for a conflict when somebody else has made the same at the same time: IF NOT EXISTS is not safe against itself.
func raced(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && slices.Contains([]string{"23505", "42P06", "42P07", "42710"}, pe.Code) {
		return &conflictError{clean(pe)}
	}
	return err
}

func readFence(ctx context.Context, c *session, pipeline string) (window.Fence, error) {
	var r ledger.Row
	err := c.row(ctx, dialect.SelectFence(false), []any{&r.Start, &r.End, &r.Slice, &r.Final, &r.Epoch, &r.Lineage, &r.Cut, &r.Manifest, &r.At}, pipeline)
	if errors.Is(err, pgx.ErrNoRows) || missing(err) {
		return window.Fence{}, fmt.Errorf("pipeline %s: %w", pipeline, window.ErrNoFence)
	}
	if err != nil {
		return window.Fence{}, err
	}
	return r.Fence(pipeline)
}

// missing reports whether a relation or its schema is not there.
func missing(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "42P01" || pe.Code == "3F000" || strings.Contains(pe.Message, "does not exist") && pe.Code == "XX000")
}

// Fence reads the pipeline's fence row.
func (s *Sink) Fence(ctx context.Context, pipeline string) (f window.Fence, err error) {
	err = s.session(ctx, func(c *session) error {
		f, err = readFence(ctx, c, pipeline)
		return classify(err)
	})
	if err != nil {
		return window.Fence{}, fmt.Errorf("reading the fence: %w", err)
	}
	return f, nil
}
