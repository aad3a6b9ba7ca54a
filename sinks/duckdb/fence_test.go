package duckdb

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Of a publish and somebody who changes its fence row between the publish's look at it and its commit, one fails (invariant 1).
func TestFenceChangesDuringPublish(t *testing.T) {
	for name, change := range map[string]string{
		"a new owner":     "UPDATE tidemill.fence SET epoch = 2 WHERE pipeline = 'care'",
		"another publish": "UPDATE tidemill.fence SET slice = slice + 1 WHERE pipeline = 'care'",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New("duckdb:" + filepath.Join(t.TempDir(), "w.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			ctx := t.Context()
			f, err := s.Acquire(ctx, "care", 1)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
			p := &window.Publication{Pipeline: "care", Epoch: 1, Lineage: f.Lineage, Step: window.Step{Start: start, End: start.Add(time.Minute), Final: true}}
			var other error
			err = s.write(ctx, func(c *duck.Conn) error {
				seen, err := lockFence(ctx, c, p.Pipeline)
				if err != nil {
					return err
				}
				if _, err := ledger.CheckPublish(seen, p); err != nil {
					t.Fatal(err)
				}
				other = foreign(ctx, s, change)
				return writeTables(ctx, c, p, nil, nil)
			})
			if (err == nil) == (other == nil) {
				t.Errorf("the publish ended with %v, the change with %v", err, other)
			}
			now, ferr := s.Fence(ctx, "care")
			if moved := ferr == nil && ledger.Same(now.Step, p.Step); moved != (err == nil) {
				t.Errorf("the publish ended with %v, the fence stands at %+v (%v)", err, now.Step, ferr)
			}
		})
	}
}

// foreign runs a statement in a session and a transaction of its own.
func foreign(ctx context.Context, s *Sink, statement string) error {
	c, err := s.conn(ctx)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	if cerr := s.release(c, err); err == nil {
		err = cerr
	}
	return err
}
