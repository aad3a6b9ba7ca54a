//go:build duckdb_arrow

package duck

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// Options says how a database is opened. The zero value is a small in-memory database that cannot spill.
type Options struct {
	Path      string // database file; empty: in memory
	ReadOnly  bool   // Path must exist
	Memory    int64  // memory_limit in bytes; 0: DefaultMemory. The process uses 0.3-0.5 GB more than this
	Threads   int    // 0: 1
	TempDir   string // where queries spill; empty: they don't, and fail when Memory is reached
	TempQuota int64  // bytes of TempDir; 0: DefaultTempQuota
	// Ordered keeps the order of inserted rows in scans. Off, loads are faster; a sorted query result is sorted either way.
	Ordered bool
}

// Limits of a database whose owner does not set them.
const (
	DefaultMemory    = 256 << 20
	DefaultTempQuota = 64 << 30
)

// DB is an open database. It may be used by several goroutines, each with its own Conn.
type DB struct {
	connector *duckdb.Connector
}

// Open opens or creates a database and sets its limits.
func Open(ctx context.Context, o Options) (*DB, error) {
	if strings.ContainsAny(o.Path, "?#") {
		return nil, fmt.Errorf("opening duckdb %s: the path contains ? or #; move the file", o.Path)
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.TempQuota == 0 {
		o.TempQuota = DefaultTempQuota
	}
	// What replaying the write-ahead log needs is set before the file is opened (invariant 2).
	q := url.Values{
		"memory_limit":                 {fmt.Sprintf("%dB", o.Memory)},
		"threads":                      {fmt.Sprint(max(o.Threads, 1))},
		"autoinstall_known_extensions": {"false"}, // invariant 3
		"autoload_known_extensions":    {"false"},
	}
	if o.ReadOnly {
		q.Set("access_mode", "READ_ONLY")
	}
	connector, err := duckdb.NewConnector(o.Path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("opening duckdb %s: %w", name(o.Path), redact(err))
	}
	db := &DB{connector: connector}
	if err := db.limit(ctx, o); err != nil {
		return nil, fmt.Errorf("opening duckdb %s: %w", name(o.Path), joinClose(err, db))
	}
	return db, nil
}

func name(path string) string {
	if path == "" {
		return "in memory"
	}
	return path
}

func joinClose(err error, db *DB) error {
	if cerr := db.Close(); cerr != nil {
		return fmt.Errorf("%w (and closing: %w)", err, cerr)
	}
	return err
}

// limit sets what the connection string cannot set reliably (the spill quota in it is shown and ignored).
func (db *DB) limit(ctx context.Context, o Options) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	sets := []string{
		"SET GLOBAL temp_directory = " + Literal(o.TempDir),
		fmt.Sprintf("SET GLOBAL preserve_insertion_order = %v", o.Ordered),
	}
	if o.TempDir != "" {
		sets = append(sets, fmt.Sprintf("SET GLOBAL max_temp_directory_size = '%dB'", o.TempQuota))
	}
	for _, s := range sets {
		if _, err := c.Exec(ctx, s); err != nil {
			return fmt.Errorf("setting limits: %w", joinConnClose(err, c))
		}
	}
	return c.Close()
}

func joinConnClose(err error, c *Conn) error {
	if cerr := c.Close(); cerr != nil {
		return fmt.Errorf("%w (and closing: %w)", err, cerr)
	}
	return err
}

// Close closes the database. Every Conn must be closed before.
func (db *DB) Close() error {
	if err := db.connector.Close(); err != nil {
		return fmt.Errorf("closing duckdb: %w", redact(err))
	}
	return nil
}

// Conn opens a session. Its time zone is UTC (invariant 3).
func (db *DB) Conn(ctx context.Context) (*Conn, error) {
	dc, err := db.connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to duckdb: %w", redact(err))
	}
	ar, err := duckdb.NewArrowFromConn(dc)
	if err != nil {
		return nil, fmt.Errorf("connecting to duckdb: %w", redact(err))
	}
	c := &Conn{dc: dc, exec: dc.(driver.ExecerContext), query: dc.(driver.QueryerContext), arrow: ar}
	if _, err := c.Exec(ctx, "SET TimeZone = 'UTC'"); err != nil {
		return nil, fmt.Errorf("connecting to duckdb: %w", joinConnClose(err, c))
	}
	return c, nil
}

// Ident quotes an identifier.
func Ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// Idents quotes identifiers and joins them with commas.
func Idents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = Ident(n)
	}
	return strings.Join(out, ", ")
}

// Literal quotes a string constant.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
