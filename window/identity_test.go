package window

import (
	"strings"
	"testing"
)

// A fence whose cut is of another log is not gone on from, even when that log holds the very same records at the same
// places.
func TestAnotherLogIsRefused(t *testing.T) {
	b := newBench(t, simple("a", 3))
	b.append(t)
	for range 2 { // the second owner has a higher epoch than any of the other log
		if err := b.until(t, b.config(), step(0, 0, true)); err != nil {
			t.Fatal(err)
		}
	}
	other := newBench(t, simple("a", 3))
	other.append(t)
	other.sink, other.sink.check = b.sink, nil
	cfg := other.config()
	cfg.Dir = b.config().Dir
	err := other.until(t, cfg, step(30, 0, true))
	if !isRefused(err) || !strings.Contains(err.Error(), "in the log tidemill-embedded/") || !strings.Contains(err.Error(), "tidemill resync care --new-log") {
		t.Errorf("ended with %v, want a refusal that names the logs and what to do", err)
	}
	if got := b.sink.at("care"); !got.same(step(0, 0, true)) {
		t.Errorf("the fence moved to %s", got)
	}
	if err := b.until(t, b.config(), step(30, 0, true)); err != nil {
		t.Errorf("back at its log: %v", err)
	}
	// What the refusal names works: without its fence the pipeline publishes everything anew.
	delete(b.sink.fences, "care")
	if err := other.until(t, cfg, step(30, 0, true)); err != nil {
		t.Errorf("without a fence: %v", err)
	}
}
