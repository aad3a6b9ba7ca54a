package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// defaultMemory is enough to merge 200 k rows into 5 M without spilling.
const defaultMemory = 512 << 20

// Sink is a DuckDB warehouse.
type Sink struct {
	path    string
	options duck.Options  // of the process; the file is attached to it
	turn    chan struct{} // holds one token: who has taken it may write (invariant 1)

	mu       sync.Mutex
	db       *duck.DB // opened at first use
	sessions int      // that are open
	broken   bool     // db answers nothing more
	swollen  bool     // the files hold room that a failed transaction took; opening them again gives it back
}

var (
	_ window.Sink        = (*Sink)(nil)
	_ window.TableReader = (*Sink)(nil)
	_ window.Querier     = (*Sink)(nil)
)

var (
	dialect = ledger.Dialect{JSON: "JSON"}
	limits  = ledger.Limits{FoldCase: true, NoColumns: []string{"rowid"}}
)

// New returns the warehouse of an address.
func New(address string) (*Sink, error) {
	path, q, err := sinks.Path(address)
	if err != nil {
		return nil, fmt.Errorf("duckdb warehouse: %w", err)
	}
	o, err := options(q)
	if err != nil {
		return nil, fmt.Errorf("duckdb warehouse: %w", err)
	}
	if o.TempDir == "" {
		o.TempDir = path + ".tmp"
	}
	s := &Sink{path: path, options: o, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

func options(q url.Values) (o duck.Options, err error) {
	if err := sinks.CheckOptions(q, "memory_limit", "threads", "temp_directory", "temp_limit"); err != nil {
		return o, err
	}
	o = duck.Options{Memory: defaultMemory, Threads: runtime.GOMAXPROCS(0), TempDir: q.Get("temp_directory")}
	for name, to := range map[string]*int64{"memory_limit": &o.Memory, "temp_limit": &o.TempQuota} {
		if v := q.Get(name); v != "" {
			if *to, err = size(v); err != nil {
				return o, fmt.Errorf("option %s: %w", name, err)
			}
		}
	}
	if v := q.Get("threads"); v != "" {
		if o.Threads, err = strconv.Atoi(v); err != nil || o.Threads < 1 {
			return o, errors.New("option threads: want a number from 1")
		}
	}
	return o, nil
}

var sizePattern = regexp.MustCompile(`^([0-9]+)(KB|MB|GB|TB)$`)

func size(s string) (int64, error) {
	m := sizePattern.FindStringSubmatch(strings.ToUpper(s))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size such as 512MB or 2GB", s)
	}
	shift := map[string]int{"KB": 10, "MB": 20, "GB": 30, "TB": 40}[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size such as 512MB or 2GB", s)
	}
	return n << shift, nil
}

// conn opens a session, and the file first if that has not happened yet.
func (s *Sink) conn(ctx context.Context) (*duck.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the warehouse: %w", classify(err))
	}
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.Exec(ctx, "USE "+catalog); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s.sessions++
	return c, nil
}

// catalog is the file's name in SQL. DuckDB would name it after the file, and then a schema of that name (raw in raw.db,
// tidemill in tidemill.db) could no longer be reached.
const catalog = "tidemill_warehouse"

// release closes a session. err is how its work ended: after a fatal error (the disk was full at a checkpoint) DuckDB
// answers nothing more until the file is opened again, which waits for the last session to end.
func (s *Sink) release(c *duck.Conn, err error) error {
	cerr := c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions--
	s.broken = s.broken || fatal(err)
	s.swollen = s.swollen || full(err)
	return cerr
}

func (s *Sink) open(ctx context.Context) error {
	if s.broken && s.sessions > 0 {
		return errors.New("the database stopped after an error and is opened again when its last reader has ended")
	}
	if s.broken || s.swollen && s.sessions == 0 {
		if err := s.close(); err != nil {
			return err
		}
	}
	if s.db != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	db, err := duck.Open(ctx, s.options)
	if err != nil {
		return err
	}
	if err := attach(ctx, db, s.path); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := sweepJobs(s.path); err != nil { // not before: until the file is ours, another process may have rows there
		return errors.Join(err, db.Close())
	}
	s.db = db
	return nil
}

// attach opens the file, then takes the file system away from SQL, but for the folder of jobs (invariant 2). It cannot be given back while the
// database is open.
func attach(ctx context.Context, db *duck.DB, path string) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	folder, err := folderOfJobs(path)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	for _, q := range []string{
		"SET GLOBAL allowed_directories = [" + duck.Literal(folder+"/") + "]",
		"ATTACH " + duck.Literal(path) + " AS " + catalog + " (TYPE duckdb)",
		"SET GLOBAL enable_external_access = false",
	} {
		if _, err = c.Exec(ctx, q); err != nil {
			break
		}
	}
	return errors.Join(err, c.Close())
}

// Close closes the file. Calls that are under way must have ended.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Sink) close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.broken, s.swollen = nil, false, false
	return err
}

// write runs fn in a transaction, one at a time (invariant 1).
func (s *Sink) write(ctx context.Context, fn func(*duck.Conn) error) (err error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release(c, err)) }()
	committed := func(error) {}
	err = classify(c.Tx(ctx, func() error {
		err := fn(c)
		if err == nil {
			committed = ledger.Commit(ctx)
		}
		return err
	}))
	committed(err)
	return err
}

// Acquire makes epoch the owner of the pipeline.
func (s *Sink) Acquire(ctx context.Context, pipeline string, epoch int64) (f window.Fence, err error) {
	err = s.write(ctx, func(c *duck.Conn) error {
		if err := makeLedger(ctx, c); err != nil {
			return err
		}
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
	if err != nil {
		return window.Fence{}, fmt.Errorf("acquiring pipeline %s: %w", pipeline, err)
	}
	return f, nil
}

// ledgerThere reports whether the ledger has been made. The schema holds other relations too: those of jobs.
func ledgerThere(ctx context.Context, c *duck.Conn) (bool, error) {
	names := make([]string, len(ledger.Relations))
	for i, r := range ledger.Relations {
		names[i] = duck.Literal(r)
	}
	list := strings.Join(names, ", ")
	n, err := duck.Scalar[int64](ctx, c, `SELECT (SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = $1 AND table_name IN (`+list+`))
 + (SELECT count(*) FROM duckdb_views() WHERE database_name = current_database() AND schema_name = $1 AND view_name IN (`+list+`))`, ledger.Schema)
	return n >= int64(len(ledger.Relations)), err
}

func makeLedger(ctx context.Context, c *duck.Conn) error {
	if there, err := ledgerThere(ctx, c); err != nil || there {
		return err
	}
	for _, q := range append([]string{"CREATE SCHEMA IF NOT EXISTS " + ledger.Schema}, dialect.Create()...) {
		if _, err := c.Exec(ctx, q); err != nil {
			return fmt.Errorf("making the ledger: %w", err)
		}
	}
	return nil
}

func readFence(ctx context.Context, c *duck.Conn, pipeline string) (window.Fence, error) {
	there, err := ledgerThere(ctx, c)
	if err != nil {
		return window.Fence{}, err
	}
	var row []driver.Value
	if there {
		row, err = c.Row(ctx, dialect.SelectFence(false), pipeline)
	}
	if !there || errors.Is(err, duck.ErrNoRow) {
		return window.Fence{}, fmt.Errorf("pipeline %s: %w", pipeline, window.ErrNoFence)
	}
	if err != nil {
		return window.Fence{}, err
	}
	instant := func(v driver.Value) *time.Time {
		if t, ok := v.(time.Time); ok {
			return &t
		}
		return nil
	}
	return ledger.Row{
		Start: instant(row[0]), End: instant(row[1]), Slice: int64(row[2].(int32)), Final: row[3].(bool), Epoch: row[4].(int64),
		Lineage: row[5].(string), Cut: row[6].(string), Manifest: row[7].(string), At: instant(row[8]),
	}.Fence(pipeline)
}

// Forget removes the pipeline's fence row.
func (s *Sink) Forget(ctx context.Context, pipeline string) error {
	err := s.write(ctx, func(c *duck.Conn) error {
		if there, err := ledgerThere(ctx, c); err != nil || !there {
			return err
		}
		_, err := c.Exec(ctx, ledger.DeleteFence, pipeline)
		return err
	})
	if err != nil {
		return fmt.Errorf("forgetting the fence of pipeline %s: %w", pipeline, err)
	}
	return nil
}

// Fence reads the pipeline's fence row.
func (s *Sink) Fence(ctx context.Context, pipeline string) (f window.Fence, err error) {
	c, err := s.conn(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.release(c, err)) }()
	if f, err = readFence(ctx, c, pipeline); err != nil {
		return window.Fence{}, fmt.Errorf("reading the fence: %w", classify(err))
	}
	return f, nil
}
