package elt_test

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
)

// A forecast is of how long earlier intervals took to be there, counted from their ends. History that was caught up says
// nothing, and neither do one or two.
func TestForecast(t *testing.T) {
	g := mustCompile(t, daily("counts", "")+"-- jobs/counts.sql --"+visitsSQL)
	j := g.Job("counts")
	w := newWorld(t, g, at(t, "2026-03-29 03:00"))
	h := w.committed.Ledger["counts"]
	h.Registered = at(t, "2026-03-01 17:00") // the day of 2 March begins
	want := func(what, interval string, f elt.Forecast) {
		t.Helper()
		i, err := j.Calendar.Parse(interval)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.situation().Forecast(j, i); !got.Usual.Equal(f.Usual) || !got.Latest.Equal(f.Latest) || got.Of != f.Of {
			t.Errorf("%s: %v, want %v", what, got, f)
		}
	}
	publish := func(day string, generation int, after time.Duration) {
		i, err := j.Calendar.Parse(day)
		if err != nil {
			t.Fatal(err)
		}
		h.Add(elt.Entry{Job: "counts", Interval: i, Generation: generation, Attempt: 1, State: elt.Published, At: i.End.Add(after)})
	}
	for _, day := range []string{"2026-01-01", "2026-01-02", "2026-02-27", "2026-02-28"} {
		publish(day, 1, 40*24*time.Hour)
	}
	publish("2026-03-02", 1, 10*time.Minute)
	publish("2026-03-03", 1, 20*time.Minute)
	want("two are too few", "2026-03-20", elt.Forecast{})
	publish("2026-03-04", 1, 90*time.Minute)
	publish("2026-03-04", 2, 99*time.Hour) // made again: it was there before
	publish("2026-03-05", 1, 30*time.Minute)
	// The day of the 20th ends at 17:00 UTC.
	want("four", "2026-03-20", elt.Forecast{Usual: at(t, "2026-03-20 17:20"), Latest: at(t, "2026-03-20 18:30"), Of: 4})
	want("one that is there", "2026-03-05", elt.Forecast{})
	want("only what was before it", "2026-03-01", elt.Forecast{})
}
