package ingest

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/internal/sim"
)

// A topic is deleted and made anew behind the owner's back. The next owner halts and names resync; a source that begins anew
// goes on in the new topic, with seqs that go on, and its generation holds everything.
func TestTopicMadeAnew(t *testing.T) {
	h, log := newHistory(rand.New(rand.NewPCG(5, 1))), newSimLog()
	own := func(seed uint64) error { return ownAlone(seed, h, log) }
	if err := own(1); err != nil {
		t.Fatal(err)
	}
	const topic = "tm.src.db.a"
	log.Topics[topic] = make([][]sim.Record, simPartitions)
	if err := own(2); !errors.Is(err, ErrIntegrity) || !strings.Contains(err.Error(), ResyncCommand("src")) {
		t.Fatalf("the owner ended with %v, want E_INTEGRITY that names resync", err)
	}
	log.ask(Request{Source: "src"})
	if err := own(3); err != nil {
		t.Fatal(err)
	}
	newest := newestRegistry(t, log)
	base, got := newest.Tables[0].Base, map[int64]bool{}
	if newest.History != 1 || newest.Tables[0].Topic != topic || base == nil {
		t.Fatalf("the registry says %+v", newest)
	}
	for p, records := range log.Topics[topic] {
		seq := base.Parts[p].Seq
		for _, r := range records[base.Parts[p].Offset:] {
			rec, err := parseBatch(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if rec == nil || rec.header.Seq+rec.header.Rows-1 <= seq {
				continue
			}
			if rec.header.Seq != seq+1 {
				t.Fatalf("partition %d: seq %d after %d", p, rec.header.Seq, seq)
			}
			seq += rec.header.Rows
			for _, id := range rec.ids {
				got[id] = true
			}
		}
	}
	want := h.content("a", len(h.groups))
	for _, id := range want {
		if !got[id] {
			t.Errorf("row %d is not in the generation", id)
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("the generation holds %d rows, the server %d", len(got), len(want))
	}
}

func newestRegistry(t *testing.T, log *simLog) (newest Registry) {
	t.Helper()
	for _, r := range log.Topics[RegistryTopic][0] {
		var v Registry
		if err := json.Unmarshal(r.Value, &v); err != nil {
			t.Fatal(err)
		}
		if v.Version > newest.Version {
			newest = v
		}
	}
	return newest
}

type simBatch struct {
	header Header
	ids    []int64
}

// parseBatch is the batch of a record, nil when it is none.
func parseBatch(value []byte) (*simBatch, error) {
	h, payload, err := ParseRecord(value)
	if err != nil || h.Kind != BatchRecord {
		return nil, err
	}
	rec, err := DecodeBatch(payload)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	return &simBatch{h, append([]int64(nil), rec.Column(0).(*array.Int64).Int64Values()...)}, nil
}
