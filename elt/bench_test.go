package elt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
)

// A look at ten jobs of 15 minutes, each with a year that is published and a month within its horizon.
func BenchmarkDecideYear(b *testing.B) {
	archive := ""
	for i := range 10 {
		archive += fmt.Sprintf("\n-- jobs/j%[1]d.yaml --\nkind: job\nname: j%[1]d\nowner: data\ninterval: 15m\nstart: 2025-01-01\nsql: q.sql\noutput: {table: mart.j%[1]d, time_column: visited}\n", i)
	}
	w := newWorld(b, mustCompile(b, archive+"\n-- jobs/q.sql --"+visitsSQL), at(b, "2026-01-01"))
	w.through(w.now, "mart.visits")
	for _, j := range w.graph.Jobs {
		var rows []elt.Entry
		for i := j.First; !i.End.After(w.now); i = j.Calendar.Next(i) {
			rows = append(rows, elt.Entry{Job: j.Name, Interval: i, Generation: 1, Attempt: 1, State: elt.Published, At: i.End.Add(time.Minute), Inputs: elt.Fingerprint{"mart.visits": "b:first"}})
		}
		w.committed.Ledger[j.Name].Add(rows...)
	}
	for _, deep := range []bool{false, true} {
		b.Run(fmt.Sprintf("deep=%v", deep), func(b *testing.B) {
			for b.Loop() {
				s := w.situation()
				s.Deep = deep
				if d := s.Decide(); len(d.Start)+len(d.Rows) > 0 {
					b.Fatalf("%d runs", len(d.Start))
				}
			}
		})
	}
}
