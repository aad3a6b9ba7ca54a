//go:build duckdb_arrow

package state

import (
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// A row that moves from one partner to another changes both, though the window holds nothing else. The old partner is found by
// the old image alone, in each of the two ways in which images are taken; without it the test fails.
func TestMovedRowReachesBothPartners(t *testing.T) {
	for _, c := range []struct {
		name, sql        string
		key              []string
		input            string
		schema           *ingest.Schema
		moved            change
		upserts, deletes int64
		breaks           mutation
	}{
		{
			name: "a row of one anchor", key: []string{"id", "visit"}, breaks: mutateNewImages,
			sql:   "SELECT p.id, coalesce(v.id, -1) AS visit, v.note FROM s.people p LEFT JOIN s.visits v ON v.person_id = p.id",
			input: "s.visits", schema: visits, moved: upsert(int64(10), int64(2), "a", 0.5), // from person 1
			upserts: 2, deletes: 2,
		},
		{
			name: "a row of many anchors", key: []string{"id"}, breaks: mutateNewDiffering,
			sql:   "SELECT v.id, p.id AS person FROM s.visits v LEFT JOIN s.people p ON p.name = v.note",
			input: "s.people", schema: people, moved: upsert(int64(1), "b"), // from the visits with note a
			upserts: 2,
		},
	} {
		for _, m := range []mutation{mutateNone, c.breaks} {
			f := openTest(t)
			f.mutate, f.fullShare = m, 100
			primed(t, f)
			p := Plan{Outputs: []Output{{Name: "v", View: compileTest(t, c.sql, c.key...), Replace: true}}}
			prepare(t, f, p,
				Changes{Input: "s.people", Schema: people, Batches: batches(people, []change{upsert(int64(1), "a"), upsert(int64(2), "x"), upsert(int64(3), "y")}, 9)},
				Changes{Input: "s.visits", Schema: visits, Batches: batches(visits, []change{upsert(int64(10), int64(1), "a", 0.5), upsert(int64(11), int64(3), "b", 0.5)}, 9)})
			p.Outputs[0].Replace = false
			d := prepare(t, f, p, Changes{Input: c.input, Schema: c.schema, Batches: batches(c.schema, []change{c.moved}, 9)})[0]
			right := d.Upserts == c.upserts && d.Deletes == c.deletes
			if right != (m == mutateNone) {
				t.Errorf("%s, mutation %d: %d upserts and %d deletes, want %d and %d", c.name, m, d.Upserts, d.Deletes, c.upserts, c.deletes)
			}
		}
	}
}
