//go:build duckdb_arrow

package duck_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/internal/duck"
)

// Whoever interrupts a query, closes the database and opens its file again must get it: an interrupted query that is still
// in its session keeps the database open, and opening it spins (invariant 5).
func TestReopenAfterAnInterruptedQuery(t *testing.T) {
	o := duck.Options{Path: filepath.Join(t.TempDir(), "a.db"), Threads: 2}
	once := func(ctx context.Context, i int) error {
		db, err := duck.Open(ctx, o)
		if err != nil {
			return err
		}
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		if i == 0 {
			_, err = c.Exec(ctx, "CREATE TABLE t AS SELECT range % 100000 k, hash(range)::VARCHAR v FROM range(400000)")
		} else {
			err = interrupted(ctx, c, i)
		}
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
		return db.Close()
	}
	for i := range 250 {
		done := make(chan error, 1)
		go func() { done <- once(t.Context(), i) }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("opening after %d interrupted queries hangs", i-1)
		}
	}
}

// interrupted begins a query whose time is up in the middle of it, in each of the ways that a session has.
func interrupted(ctx context.Context, c *duck.Conn, i int) error {
	if i%3 == 0 {
		if _, err := c.Exec(ctx, "BEGIN TRANSACTION"); err != nil {
			return err
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Duration(1+i%12)*time.Millisecond)
	defer cancel()
	const join = "SELECT count(*) FROM t a JOIN t b ON a.k = b.k JOIN t c ON c.k = b.k WHERE a.v < c.v"
	var err error
	if i%2 == 0 {
		_, err = c.Exec(short, join)
	} else {
		err = c.Query(short, join, func(arrow.RecordBatch) error { return nil })
	}
	if err == nil || short.Err() == nil {
		return err // it was quicker
	}
	return nil
}
