package dynamodb

import (
	"runtime"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// As fast as the service answers, memory stays where it is: pages, rounds and the log's buffers are bounded. The figure is
// BenchmarkStreamToLog's.
func TestB7Row20SteadyMemory(t *testing.T) {
	r := serialRig(t, dynamofake.Options{Shards: 8})
	r.create(images)
	r.pace = usualPace()
	r.item(string(benchItem(nil, 1)))
	s := r.run(nil)
	r.await(s, "the scan", func() bool { return s.loads.Cursor != nil })
	const records = 120_000
	r.ok(r.srv.Flood(table, dynamofake.Flood{Records: records, Key: benchKey, Image: benchItem}))
	began, peak := time.Now(), uint64(0)
	r.await(s, "the flood", func() bool {
		if s.calls%50 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return s.rows >= records
	})
	t.Logf("%d records in %s, heap %d MB at most", records, time.Since(began).Round(time.Millisecond), peak>>20)
	if peak > 500<<20 {
		t.Errorf("the heap grew to %d MB", peak>>20)
	}
	r.end(s)
}
