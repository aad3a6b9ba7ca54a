//go:build duckdb_arrow

package state

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// Options says where the file is and what it may use.
type Options struct {
	Path      string
	TempDir   string // spill; default: a folder beside the file
	Memory    int64  // DuckDB's memory limit in bytes
	TempQuota int64  // bytes of TempDir
	Threads   int
	MaxText   int // bytes of a text that is not set aside; 0 is no limit
}

// File is an open state file. It is used by one goroutine.
type File struct {
	options Options
	db      *duck.DB
	conn    *duck.Conn
	tables  map[string]*ingest.Schema // by input

	fullShare float64 // past this share of affected anchors a view is evaluated whole
	onlyDuck  bool    // for tests: replicas too go through DuckDB
	mutate    mutation
}

// mutation makes the package wrong on purpose, for the tests that must notice.
type mutation int

const (
	mutateNone         mutation = iota
	mutateNewImages             // affected anchors from new images only, where all images are taken
	mutateNewDiffering          // the same, where only those that differ are
	mutateWindowOnly            // join only what changed in the window
)

// version is the layout of the file; another one is rebuilt from a snapshot.
const version = 1

// fullShare is the share of affected anchors from which a full scan is cheaper than looking up neighbours.
const fullShare = 0.3

// DamagedError says that the file cannot be trusted: remove it and restore a snapshot (invariant 7).
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("state file %s cannot be used: %v; it is a cache: remove it, it is restored from the last snapshot", e.Path, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Open opens the file, or creates it when there is none.
func Open(ctx context.Context, o Options) (*File, error) {
	if o.TempDir == "" {
		o.TempDir = o.Path + ".tmp"
	}
	_, err := os.Stat(o.Path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.Path), 0o755); err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	if fresh { // what a removed file has left behind must not be read as its write-ahead log
		if err := Remove(o.Path); err != nil {
			return nil, err
		}
	}
	if err := removeIf(o.Path + rewriteSuffix); err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	f := &File{options: o, fullShare: fullShare}
	err = f.connect(ctx)
	if err == nil && fresh {
		err = f.create(ctx)
	}
	if err == nil {
		err = f.readCatalog(ctx)
	}
	if err == nil {
		return f, nil
	}
	err = errors.Join(err, f.Close())
	if fresh || ctx.Err() != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	return nil, &DamagedError{Path: o.Path, Err: err}
}

func (f *File) connect(ctx context.Context) error {
	db, err := duck.Open(ctx, duck.Options{Path: f.options.Path, Memory: f.options.Memory, Threads: f.options.Threads,
		TempDir: f.options.TempDir, TempQuota: f.options.TempQuota})
	if err != nil {
		return err
	}
	f.db = db
	if f.conn, err = db.Conn(ctx); err != nil {
		return err
	}
	// Checkpoints are taken by Maintain, between steps.
	_, err = f.conn.Exec(ctx, "SET GLOBAL wal_autocheckpoint = '4GB'")
	return err
}

func (f *File) create(ctx context.Context) error {
	_, err := f.conn.Exec(ctx, fmt.Sprintf(`
		BEGIN;
		CREATE TABLE tm_meta (version INTEGER, meta VARCHAR, rewritten_bytes BIGINT);
		INSERT INTO tm_meta VALUES (%d, NULL, 0);
		CREATE TABLE tm_tables (input VARCHAR, schema VARCHAR);
		CREATE TABLE tm_outputs (name VARCHAR, hash VARCHAR);
		COMMIT`, version))
	return err
}

// readCatalog checks that the file is of this layout and that its tables are what its catalogue says.
func (f *File) readCatalog(ctx context.Context) error {
	v, err := duck.Scalar[int32](ctx, f.conn, "SELECT version FROM tm_meta")
	if err != nil {
		return err
	}
	if v != version {
		return fmt.Errorf("its layout is version %d, this program reads version %d", v, version)
	}
	f.tables = map[string]*ingest.Schema{}
	err = f.conn.Rows(ctx, "SELECT input, schema FROM tm_tables", func(row []driver.Value) error {
		var s ingest.Schema
		if err := json.Unmarshal([]byte(row[1].(string)), &s); err != nil {
			return fmt.Errorf("reading the schema of %s: %w", row[0], err)
		}
		f.tables[row[0].(string)] = &s
		return nil
	})
	if err != nil {
		return err
	}
	for input, s := range f.tables {
		desc, err := f.conn.Describe(ctx, "SELECT * FROM "+tableName(input))
		if err != nil {
			return err
		}
		if len(desc) != len(s.Columns) {
			return fmt.Errorf("table %s has %d columns, its catalogue says %d", input, len(desc), len(s.Columns))
		}
		for i, d := range desc {
			if d.Name != s.Columns[i].Name || d.Type != columnType(s.Columns[i].Type) {
				return fmt.Errorf("column %d of table %s is %s %s, its catalogue says %s", i, input, d.Name, d.Type, s.Columns[i].Name)
			}
		}
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	var errs []error
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.conn, f.db = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing state: %w", err)
	}
	return nil
}

// Remove deletes a closed state file with everything that belongs to it.
func Remove(path string) error {
	for _, p := range []string{path, path + ".wal", path + rewriteSuffix, path + rewriteSuffix + ".wal"} {
		if err := removeIf(p); err != nil {
			return fmt.Errorf("removing state: %w", err)
		}
	}
	if err := os.RemoveAll(path + ".tmp"); err != nil {
		return fmt.Errorf("removing state: %w", err)
	}
	return nil
}

func removeIf(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Meta returns what the last step's save has returned; nil in a new file.
func (f *File) Meta(ctx context.Context) ([]byte, error) {
	row, err := f.conn.Row(ctx, "SELECT meta FROM tm_meta")
	if err != nil {
		return nil, fmt.Errorf("reading state meta: %w", err)
	}
	if row[0] == nil {
		return nil, nil
	}
	return []byte(row[0].(string)), nil
}

// SetMeta replaces the meta outside of a step: after a publish, when pending is cleared.
func (f *File) SetMeta(ctx context.Context, meta []byte) error {
	if _, err := f.conn.Exec(ctx, "UPDATE tm_meta SET meta = ?", string(meta)); err != nil {
		return fmt.Errorf("writing state meta: %w", err)
	}
	return nil
}

// Tables returns the inputs that the file holds, with their schemas.
func (f *File) Tables() map[string]*ingest.Schema {
	out := make(map[string]*ingest.Schema, len(f.tables))
	for k, v := range f.tables {
		out[k] = v
	}
	return out
}
