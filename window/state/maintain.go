//go:build duckdb_arrow

package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tidemill/tidemill/internal/duck"
)

// rewriteSuffix names the copy that Maintain is making.
const rewriteSuffix = ".rewrite"

// When Maintain acts. A checkpoint moves the write-ahead log into the file; its replay after a crash takes about 20 ms
// per MB. Deleted rows are never given back to the file system: a file grows to about twice its size, then more slowly.
const (
	checkpointBytes = 32 << 20
	rewriteFactor   = 2
	rewriteFloor    = 256 << 20
)

// Maintain keeps the file small; the caller calls it between steps, when nothing waits for it.
func (f *File) Maintain(ctx context.Context) error {
	wal, err := size(f.options.Path + ".wal")
	if err != nil {
		return fmt.Errorf("maintaining state: %w", err)
	}
	if wal >= checkpointBytes {
		if _, err := f.conn.Exec(ctx, "CHECKPOINT"); err != nil {
			return fmt.Errorf("checkpointing state: %w", err)
		}
	}
	now, err := size(f.options.Path)
	if err != nil {
		return fmt.Errorf("maintaining state: %w", err)
	}
	last, err := duck.Scalar[int64](ctx, f.conn, "SELECT rewritten_bytes FROM tm_meta")
	if err != nil {
		return fmt.Errorf("maintaining state: %w", err)
	}
	if now < max(rewriteFloor, rewriteFactor*last) {
		return nil
	}
	return f.Rewrite(ctx)
}

func size(path string) (int64, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Rewrite copies the live rows into a new file that takes the place of this one.
func (f *File) Rewrite(ctx context.Context) error {
	if err := f.rewrite(ctx); err != nil {
		return fmt.Errorf("rewriting state: %w", err)
	}
	return nil
}

func (f *File) rewrite(ctx context.Context) error {
	fresh := f.options.Path + rewriteSuffix
	if err := errors.Join(removeIf(fresh), removeIf(fresh+".wal")); err != nil {
		return err
	}
	name, err := duck.Scalar[string](ctx, f.conn, "SELECT current_database()")
	if err != nil {
		return err
	}
	_, err = f.conn.Exec(ctx, fmt.Sprintf("ATTACH %s AS tm_fresh; COPY FROM DATABASE %s TO tm_fresh; CHECKPOINT tm_fresh; DETACH tm_fresh", duck.Literal(fresh), duck.Ident(name)))
	if err != nil {
		_, derr := f.conn.Exec(context.WithoutCancel(ctx), "DETACH DATABASE IF EXISTS tm_fresh")
		return errors.Join(err, derr, removeIf(fresh), removeIf(fresh+".wal"))
	}
	bytes, err := size(fresh)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// Whatever happens to the copy, the file in place is opened again.
	if err := errors.Join(f.replaceBy(fresh), f.connect(ctx)); err != nil {
		return err
	}
	_, err = f.conn.Exec(ctx, "UPDATE tm_meta SET rewritten_bytes = ?", bytes)
	return err
}

// replaceBy puts the copy in the file's place. Closed files have no write-ahead log; one that is left belongs to its own
// file and must not meet the other.
func (f *File) replaceBy(fresh string) error {
	for _, wal := range []string{f.options.Path + ".wal", fresh + ".wal"} {
		if n, err := size(wal); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%s is left after closing", wal))
		}
	}
	return os.Rename(fresh, f.options.Path)
}
