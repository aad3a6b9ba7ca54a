package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/window"
)

// CheckPublish decides whether p may go ahead on the locked fence row f (invariant 1). committed says that it already
// has: its reply was lost.
func CheckPublish(f window.Fence, p *window.Publication) (committed bool, err error) {
	switch {
	case f.Lineage != p.Lineage:
		return false, fmt.Errorf("publishing %s: the fence of pipeline %s is of another lineage (the warehouse was restored or made anew): %w",
			Name(p.Step), p.Pipeline, window.ErrFenced)
	case Same(f.Step, p.Step) && f.Manifest == p.Hash && p.Hash != "":
		return true, nil
	case f.Epoch != p.Epoch:
		return false, fmt.Errorf("publishing %s: pipeline %s is owned by epoch %d, not %d: %w", Name(p.Step), p.Pipeline, f.Epoch, p.Epoch, window.ErrFenced)
	case !Same(f.Step, p.Prev):
		return false, fmt.Errorf("publishing %s: the fence of pipeline %s stands at %s, want %s: %w",
			Name(p.Step), p.Pipeline, Name(f.Step), Name(p.Prev), window.ErrFenced)
	}
	return false, nil
}

// CheckAcquire decides whether epoch may take the fence row f (invariant 2).
func CheckAcquire(f window.Fence, epoch int64) error {
	if f.Epoch > epoch {
		return fmt.Errorf("taking pipeline %s: it is owned by epoch %d, newer than %d: %w", f.Pipeline, f.Epoch, epoch, window.ErrFenced)
	}
	return nil
}

// NoFence is the error of a publish that finds no row: nobody has acquired the pipeline in this warehouse.
func NoFence(pipeline string) error {
	return fmt.Errorf("pipeline %s: %w, %w", pipeline, window.ErrNoFence, window.ErrFenced)
}

// Same reports whether two steps are one. Times are compared as instants.
func Same(a, b window.Step) bool {
	return a.Start.Equal(b.Start) && a.End.Equal(b.End) && a.Slice == b.Slice && a.Final == b.Final
}

// Name is a step in errors and spans.
func Name(s window.Step) string {
	if s.Start.IsZero() {
		return "the beginning"
	}
	return fmt.Sprintf("%s.%d", s.Start.UTC().Format(time.RFC3339), s.Slice)
}

// Row is a fence row as SelectFence gives it, column by column.
type Row struct {
	Start, End *time.Time
	Slice      int64
	Final      bool
	Epoch      int64
	Lineage    string
	Cut        string
	Manifest   string
	At         *time.Time
}

// Fence is the row as the pipeline sees it.
func (r Row) Fence(pipeline string) (window.Fence, error) {
	f := window.Fence{
		Pipeline: pipeline, Epoch: r.Epoch, Lineage: r.Lineage, Manifest: r.Manifest,
		Step: window.Step{Start: instant(r.Start), End: instant(r.End), Slice: int(r.Slice), Final: r.Final},
		At:   instant(r.At),
	}
	if err := json.Unmarshal([]byte(r.Cut), &f.Cut); err != nil {
		return f, fmt.Errorf("reading the fence of pipeline %s: its cut is not JSON: %w", pipeline, err)
	}
	return f, nil
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
