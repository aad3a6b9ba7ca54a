package dynamodb

import (
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// B7.18 with a scan in place of the export: a load beside writes ends in what a consistent Scan shows.
func TestLoadBesideWrites(t *testing.T) {
	r := newRig(t, dynamofake.Options{Shards: 3, Seed: 1, Limits: dynamofake.Limits{BytesPerPage: 4000}})
	r.create(images)
	for i := range 400 {
		r.put(fmt.Sprintf("old-%03d", i), 0)
	}
	r.rows = 0
	s := r.run(nil)
	for i := range 300 {
		r.put(fmt.Sprintf("old-%03d", i%150), 1+i/150)
		r.put(fmt.Sprintf("new-%03d", i), 0)
		if i%7 == 0 {
			r.delete(fmt.Sprintf("old-%03d", 399-i))
		}
	}
	r.await(s, "the load", func() bool { return s.loads.Done })
	for i := range 20 {
		r.put(fmt.Sprintf("late-%03d", i), 0)
	}
	r.srv.Split(table, "")
	r.put("last", 0)
	r.caughtUp(s)
	r.end(s)
	r.equal()
}
