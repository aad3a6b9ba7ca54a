package dynamodb

import (
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// parityItems have every kind, and the edges of each.
var parityItems = []string{
	`{"id":{"S":"plain"},"n":{"N":"42"},"d":{"N":"1.50"},"s":{"S":"é😀\"\\"},"b":{"B":"AAH/"},"ok":{"BOOL":false}}`,
	`{"id":{"S":"big"},"n":{"N":"9223372036854775807"},"d":{"N":"12345678901234567890.123456789"},"s":{"S":""},"b":{"B":""}}`,
	`{"id":{"S":"clash"},"n":{"N":"1E+125"},"d":{"S":"x"},"s":{"N":"99999999999999999999999999999999999999"},"b":{"NULL":true},"ok":{"S":"yes"}}`,
	`{"id":{"S":"deep"},"m":{"M":{"z":{"L":[{"N":"-0"},{"M":{"k":{"SS":["b","a"]}}},{"NULL":true}]},"a":{"B":"AA=="}}},"l":{"L":[{"NS":["10","9"]},{"BS":["AQ==","AA=="]}]}}`,
	`{"id":{"S":"\u0001key|with 'all'"},"ns":{"NS":["3","1","2"]},"ss":{"SS":["z","a"]},"bs":{"BS":["AQ==","AA=="]}}`,
	`{"id":{"S":"only"}}`,
}

// Guarantee 4: what the stream, the Scan and the export show of an item are the same bytes in the same partition.
func TestParity(t *testing.T) {
	r, _ := exporting(t, dynamofake.Options{Shards: 2, Seed: 3})
	export := r.config.Export
	r.config.Export = Export{}
	r.recovery()
	// The columns must be the same in all three: a sample at the start decides on them.
	for _, i := range parityItems {
		r.item(i)
	}
	s := r.loadedAt()
	r.rows = 0
	for _, i := range parityItems { // each again, with one more attribute, and then as it was: into the stream
		r.item(i[:len(i)-1] + `,"touch":{"N":"1"}}`)
	}
	for _, i := range parityItems {
		r.item(i)
	}
	r.await(s, "the stream", func() bool { return s.rows == r.rows })
	r.caughtUp(s)
	r.end(s)
	rows, _ := r.content()
	_, epoch := since(rows, 0)
	stream := byKey(rows, func(l logRow) bool { return !l.load && l.values["touch"] == "(null)" })

	scan := r.anew(epoch, func(s *spy) {
		r.await(s, "the scan", func() bool { return s.loads.Cursor != nil })
		r.clock.Advance(10 * time.Second)
	})
	rows, _ = r.content()
	_, epoch = since(rows, 0)
	r.config.Export = export
	exported := r.anew(epoch, r.imported)

	if len(stream) != len(parityItems) {
		t.Errorf("%d items of %d in the stream", len(stream), len(parityItems))
	}
	for key, want := range stream {
		for name, got := range map[string]logRow{"scan": scan[key], "export": exported[key]} {
			if got.text != want.text || got.partition != want.partition {
				t.Errorf("%s: the stream has %s in %d, the %s %s in %d", key, want.text, want.partition, name, got.text, got.partition)
			}
		}
	}
}

// anew loads the table anew and returns what the load brought.
func (r *rig) anew(epoch int64, pass func(*spy)) map[string]logRow {
	r.t.Helper()
	r.ask("dynamodb.sessions")
	s := r.run(nil)
	<-s.done
	s = r.run(nil)
	pass(s)
	r.await(s, "the load", func() bool { return s.loads.Done })
	r.end(s)
	rows, _ := r.content()
	rows, _ = since(rows, epoch)
	return byKey(rows, func(l logRow) bool { return l.load })
}

func byKey(rows []logRow, want func(logRow) bool) map[string]logRow {
	out := map[string]logRow{}
	for _, row := range rows {
		if want(row) {
			out[row.key] = row
		}
	}
	return out
}
