package ingest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/sim"
)

// A checker that finds nothing proves nothing: each damage to a good log must be seen, and called by its name.
func TestTheCheckerSeesDamage(t *testing.T) {
	good, h := goodLog(t)
	for name, c := range map[string]struct {
		damage func(t *testing.T, topics map[string][][]sim.Record)
		want   string
	}{
		"a lost batch":  {func(t *testing.T, l map[string][][]sim.Record) { remove(t, l, BatchRecord) }, "seq "},
		"a lost seal":   {func(t *testing.T, l map[string][][]sim.Record) { remove(t, l, SealRecord) }, ""},
		"a batch twice": {func(t *testing.T, l map[string][][]sim.Record) { again(t, l) }, ""},
		"a batch late":  {func(t *testing.T, l map[string][][]sim.Record) { swap(t, l) }, ""},
		"another window": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, BatchRecord, func(h *Header) { h.Window, h.WindowEnd = h.WindowEnd, h.WindowEnd.Add(h.WindowEnd.Sub(h.Window)) })
		}, "seal of"},
		"a wrong count": {func(t *testing.T, l map[string][][]sim.Record) { edit(t, l, SealRecord, func(h *Header) { h.Rows++ }) }, "counts"},
		"another ordinal": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, SealRecord, func(h *Header) { h.Ordinal++ })
		}, "differs"},
		"another position": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, SealRecord, func(h *Header) { h.Position += "x" })
		}, "differs"},
		"a zombie's batch": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, BatchRecord, func(h *Header) { h.Epoch = 0 })
		}, ""},
		"a missing marker": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, BatchRecord, func(h *Header) { h.Epoch += 5 })
		}, "without a marker"},
		"a stream row load": {func(t *testing.T, l map[string][][]sim.Record) {
			edit(t, l, BatchRecord, func(h *Header) { h.Flags |= FlagLoad })
		}, ""},
	} {
		topics := map[string][][]sim.Record{}
		for k, parts := range good {
			for _, p := range parts {
				topics[k] = append(topics[k], slices.Clone(p))
			}
		}
		c.damage(t, topics)
		if err := checkLog("src", topics, h, simPartitions); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the checker says %v", name, err)
		}
	}
	if err := checkLog("src", good, h, simPartitions); err != nil {
		t.Errorf("the undamaged log: %v", err)
	}
}

func goodLog(t *testing.T) (map[string][][]sim.Record, *history) {
	t.Helper()
	h, log := newHistory(rand.New(rand.NewPCG(3, 1))), newSimLog()
	if err := ownAlone(1, h, log); err != nil {
		t.Fatal(err)
	}
	return log.Topics, h
}

// find returns where the n-th record of a kind, with rows, is in partition 0 of table a.
func find(t *testing.T, l map[string][][]sim.Record, kind RecordKind, n int) ([]sim.Record, int) {
	t.Helper()
	records := l["tm.src.db.a"][0]
	for i, r := range records {
		h, _, err := ParseRecord(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if h.Kind == kind && h.Rows > 0 && h.Flags&FlagLoad == 0 {
			if n--; n < 0 {
				return records, i
			}
		}
	}
	t.Fatalf("the log has too few records of kind %d", kind)
	return nil, 0
}

func remove(t *testing.T, l map[string][][]sim.Record, kind RecordKind) {
	records, i := find(t, l, kind, 0)
	l["tm.src.db.a"][0] = slices.Delete(records, i, i+1)
}

// again appends a batch once more with the next seqs, as a Writer would that had lost count.
func again(t *testing.T, l map[string][][]sim.Record) {
	records, i := find(t, l, BatchRecord, 0)
	h, payload, err := ParseRecord(records[i].Value)
	if err != nil {
		t.Fatal(err)
	}
	h.Seq += h.Rows
	l["tm.src.db.a"][0] = slices.Insert(records, i+1, sim.Record{Value: AppendRecord(nil, &h, payload)})
}

func swap(t *testing.T, l map[string][][]sim.Record) {
	records, i := find(t, l, BatchRecord, 0)
	_, j := find(t, l, SealRecord, 0)
	records[i], records[j] = records[j], records[i]
}

func edit(t *testing.T, l map[string][][]sim.Record, kind RecordKind, change func(*Header)) {
	records, i := find(t, l, kind, 0)
	h, payload, err := ParseRecord(records[i].Value)
	if err != nil {
		t.Fatal(err)
	}
	change(&h)
	records[i] = sim.Record{Value: AppendRecord(nil, &h, payload)}
}
