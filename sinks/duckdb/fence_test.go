package duckdb

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Nobody takes a pipeline between a publish's look at the fence row and its commit (invariant 1): DuckDB itself would let both
// commit, since one changes the row's epoch and the other one its step.
func TestTakingAPipelineWaitsForItsPublish(t *testing.T) {
	s, err := New("duckdb:" + filepath.Join(t.TempDir(), "w.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	f, err := s.Acquire(t.Context(), "care", 1)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	p := &window.Publication{Pipeline: "care", Epoch: 1, Lineage: f.Lineage, Step: window.Step{Start: start, End: start.Add(time.Minute), Final: true}}
	err = s.write(t.Context(), func(c *duck.Conn) error {
		seen, err := readFence(t.Context(), c, p.Pipeline)
		if err != nil {
			return err
		}
		if _, err := ledger.CheckPublish(seen, p); err != nil {
			return err
		}
		brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if f, err := s.Acquire(brief, "care", 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another owner took the pipeline during a publish: %+v %v", f, err)
		}
		return writeTables(t.Context(), c, p, nil, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if f, err = s.Acquire(t.Context(), "care", 2); err != nil || f.Epoch != 2 || !ledger.Same(f.Step, p.Step) {
		t.Errorf("after the publish the pipeline is taken at %+v (%v)", f, err)
	}
}
