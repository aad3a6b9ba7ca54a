package conform

import (
	"errors"
	"testing"

	"github.com/tidemill/tidemill/window"
)

// sinkForget: a pipeline whose fence is forgotten begins anew and replaces its tables; others stay, and who held the fence does not.
func sinkForget(t *testing.T, c SinkConfig) {
	w := c.Client()
	f := w.(window.Forgetter)
	if err := f.Forget(t.Context(), "care"); err != nil {
		t.Errorf("forgetting in an empty warehouse: %v", err)
	}
	p, other := NewPipeline(t, "care"), NewPipeline(t, "other")
	p.Acquire(w, 7)
	other.Acquire(w, 8)
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a", 2: "b"}, 1, 2))))
	late := p.Next(visitsLoad(false, names(map[int64]string{3: "late"}, 3)))
	lineage := p.Fence.Lineage
	if err := f.Forget(t.Context(), "care"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Fence(t.Context(), "care"); !errors.Is(err, window.ErrNoFence) {
		t.Errorf("the fence after it is forgotten: got %v, want window.ErrNoFence", err)
	}
	wantFenced(t, "a publish on the forgotten fence", w.Publish(t.Context(), late, p.Local))
	other.Follow(w)

	anew := NewPipeline(t, "care")
	anew.Acquire(w, 1) // epochs of another log begin again
	if !anew.Fence.Step.Start.IsZero() || anew.Fence.Lineage == lineage {
		t.Errorf("the new fence is %+v", anew.Fence)
	}
	wantFenced(t, "a publish of the old lineage", w.Publish(t.Context(), late, p.Local))
	anew.Publish(w, anew.Next(visitsLoad(true, names(map[int64]string{5: "e"}, 5))))
	wantNames(t, w, visits, map[int64]string{5: "e"})
}
