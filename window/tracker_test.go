package window

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// Rules 6 and 12, invariants 2 and 3, row by row. Each case is a log; the last record is the one that is judged.
func TestTracker(t *testing.T) {
	marker := func(e int64) ingest.Header { return ingest.Header{Kind: ingest.EpochRecord, Epoch: e} }
	at := func(kind ingest.RecordKind, e int64, window, k int, seq, rows int64, flags uint8) ingest.Header {
		s := t0.Add(time.Duration(window) * minute15)
		return ingest.Header{Kind: kind, Flags: flags, Epoch: e, Window: s, WindowEnd: s.Add(minute15), Slice: int32(k), Seq: seq, Rows: rows}
	}
	batch := func(e int64, w, k int, seq, rows int64) ingest.Header {
		return at(ingest.BatchRecord, e, w, k, seq, rows, 0)
	}
	seal := func(e int64, w, k int, seq, rows int64) ingest.Header {
		return at(ingest.SealRecord, e, w, k, seq, rows, 0)
	}
	final := func(e int64, w, k int, seq, rows int64) ingest.Header {
		return at(ingest.SealRecord, e, w, k, seq, rows, ingest.FlagFinal)
	}
	type log []ingest.Header
	for name, c := range map[string]struct {
		log  log
		want verdict
		skip int64
		halt bool
	}{
		"first batch":                          {log{marker(1), batch(1, 0, 0, 1, 5)}, accepted, 0, false},
		"next batch":                           {log{batch(1, 0, 0, 1, 5), batch(1, 0, 0, 6, 5)}, accepted, 0, false},
		"repeat":                               {log{batch(1, 0, 0, 1, 5), batch(1, 0, 0, 1, 5)}, duplicate, 0, false},
		"repeat by a new owner":                {log{batch(1, 0, 0, 1, 5), marker(2), batch(2, 0, 0, 1, 5)}, duplicate, 0, false},
		"overlap":                              {log{batch(1, 0, 0, 1, 5), batch(1, 0, 0, 4, 5)}, accepted, 2, false},
		"gap (H9)":                             {log{batch(1, 0, 0, 1, 5), batch(1, 0, 0, 7, 5)}, 0, 0, true},
		"gap at the beginning":                 {log{batch(1, 0, 0, 2, 5)}, 0, 0, true},
		"no rows":                              {log{batch(1, 0, 0, 1, 0)}, 0, 0, true},
		"zombie's batch (H5)":                  {log{marker(2), batch(1, 0, 0, 1, 5)}, void, 0, false},
		"zombie's seal":                        {log{marker(2), final(1, 0, 0, 0, 0)}, void, 0, false},
		"zombie's gap is no gap":               {log{batch(1, 0, 0, 1, 5), marker(2), batch(1, 0, 0, 90, 5)}, void, 0, false},
		"older marker":                         {log{marker(2), marker(1)}, void, 0, false},
		"marker twice":                         {log{marker(2), marker(2)}, duplicate, 0, false},
		"after a zombie":                       {log{batch(1, 0, 0, 1, 5), marker(2), batch(1, 0, 0, 6, 5), batch(2, 0, 0, 6, 2)}, accepted, 0, false},
		"seal":                                 {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 5, 5)}, accepted, 0, false},
		"empty seal":                           {log{marker(1), final(1, 0, 0, 0, 0)}, accepted, 0, false},
		"seal twice":                           {log{seal(1, 0, 0, 0, 0), seal(1, 0, 0, 0, 0)}, duplicate, 0, false},
		"request appended twice by the broker": {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 5, 5), batch(1, 0, 1, 6, 1), batch(1, 0, 0, 1, 5), seal(1, 0, 0, 5, 5)}, duplicate, 0, false},
		"two different seals":                  {log{seal(1, 0, 0, 0, 0), final(1, 0, 0, 0, 0)}, 0, 0, true},
		"seal counts too few":                  {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 5, 4)}, 0, 0, true},
		"seal counts too many":                 {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 9, 9)}, 0, 0, true},
		"seal ends elsewhere":                  {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 6, 5)}, 0, 0, true},
		"seal counts its own slice only":       {log{batch(1, 0, 0, 1, 5), seal(1, 0, 0, 5, 5), batch(1, 0, 1, 6, 2), final(1, 0, 1, 7, 2)}, accepted, 0, false},
		"row after its seal":                   {log{seal(1, 0, 0, 0, 0), batch(1, 0, 0, 1, 5)}, 0, 0, true},
		"row of a window that is over":         {log{final(1, 1, 0, 0, 0), batch(1, 0, 3, 1, 5)}, 0, 0, true},
		"slice of a window that is over":       {log{final(1, 0, 0, 0, 0), batch(1, 0, 1, 1, 5)}, 0, 0, true},
		"two slices at once":                   {log{batch(1, 0, 0, 1, 5), batch(1, 0, 1, 6, 5)}, 0, 0, true},
		"seal of another slice":                {log{batch(1, 0, 0, 1, 5), seal(1, 0, 1, 5, 5)}, 0, 0, true},
		"unknown kind":                         {log{{Kind: 9, Epoch: 1}}, 0, 0, true},
		"window without length":                {log{{Kind: ingest.BatchRecord, Epoch: 1, Window: t0, WindowEnd: t0, Seq: 1, Rows: 1}}, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker{at: start(1)[0]}
			for i := range c.log {
				v, skip, err := tr.take(int64(i), &c.log[i])
				if i < len(c.log)-1 {
					if err != nil {
						t.Fatalf("record %d: %v", i, err)
					}
					continue
				}
				if c.halt != errors.Is(err, ErrIntegrity) || !c.halt && (v != c.want || skip != c.skip || err != nil) {
					t.Errorf("got verdict %d, skip %d, %v; want verdict %d, skip %d, halt %v", v, skip, err, c.want, c.skip, c.halt)
				}
			}
		})
	}
}

// A good log stays good, with the same rows, when repeats and a zombie's records are strewn into it; and one record less
// never goes unseen by the time of the next seal.
func TestTrackerProperty(t *testing.T) {
	halts := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g := newGen("a", t0)
		g.epoch = 3
		topic := g.table("x", 1)
		for range 12 {
			switch rng.IntN(4) {
			case 0:
				g.seal(rng.IntN(2) == 0)
			default:
				g.batch(topic, 0, 1+rng.Int64N(9))
			}
		}
		g.seal(true)
		log := g.logs[topic][0]
		rows := g.seq[topic][0]

		tr := tracker{at: start(1)[0]}
		var got int64
		var offset int64
		feed := func(h ingest.Header) {
			v, skip, err := tr.take(offset, &h)
			offset++
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if v == accepted && h.Kind == ingest.BatchRecord {
				got += h.Rows - skip
			}
		}
		for i, r := range log {
			feed(r.h)
			if rng.IntN(3) == 0 {
				for _, again := range log[max(0, i-rng.IntN(4)) : i+1] {
					feed(again.h)
				}
			}
			if rng.IntN(4) == 0 {
				zombie := log[rng.IntN(len(log))].h
				zombie.Epoch, zombie.Seq = 1, rng.Int64N(99)
				feed(zombie)
			}
		}
		if got != rows {
			t.Fatalf("seed %d: %d rows accepted, want %d", seed, got, rows)
		}

		drop := 1 + rng.IntN(len(log)-1)
		tr = tracker{at: start(1)[0]}
		for i, r := range log {
			if i == drop {
				continue
			}
			if _, _, err := tr.take(r.offset, &r.h); err != nil {
				halts++
				break
			}
		}
		if log[drop].h.Kind == ingest.BatchRecord && tr.at.Offset == int64(len(log)) && tr.open == nil {
			t.Fatalf("seed %d: a lost batch went unseen", seed)
		}
	}
	if halts < 100 {
		t.Errorf("only %d of 300 lost records halted", halts)
	}
}

func FuzzTracker(f *testing.F) {
	f.Add(uint8(1), uint8(0), int64(1), int64(1), int64(5), int64(0), int32(0))
	f.Fuzz(func(t *testing.T, kind, flags uint8, epoch, seq, rows, window int64, slice int32) {
		tr := tracker{at: start(1)[0]}
		g := newGen("a", t0)
		topic := g.table("x", 1)
		g.batch(topic, 0, 4)
		g.seal(true)
		for _, r := range g.logs[topic][0] {
			if _, _, err := tr.take(r.offset, &r.h); err != nil {
				t.Fatal(err)
			}
		}
		before := tr.at
		w := t0.Add(minute15)
		if window%2 != 0 {
			w = t0
		}
		h := ingest.Header{Kind: ingest.RecordKind(kind), Flags: flags, Epoch: epoch, Window: w, WindowEnd: w.Add(minute15), Slice: slice, Seq: seq, Rows: rows}
		v, skip, err := tr.take(before.Offset, &h)
		if err == nil && v == accepted && h.Kind == ingest.BatchRecord {
			if seq > before.Seq+1 || seq+rows-1 <= before.Seq || skip < 0 || skip >= rows || tr.at.Seq != seq+rows-1 {
				t.Fatalf("accepted %+v after %+v with skip %d", h, before, skip)
			}
		}
		if err == nil && v != accepted && tr.at.Seq != before.Seq {
			t.Fatalf("verdict %d moved the seq", v)
		}
	})
}
