package ingest

import (
	"slices"
	"testing"

	"github.com/tidemill/tidemill/internal/sim"
)

// harm is a way in which the simulated log breaks the protocol. A simulation that does not notice it proves nothing.
type harm struct {
	blind bool // the claims are not looked at: nobody sees that he is superseded
	hasty bool // appends are acknowledged before they are durable
	torn  bool // the source ends groups in their middle
	kind  string
	state *harmed
}

type harmed struct {
	done    bool
	highest map[sim.Lane]int64
}

// write appends a record, or does not.
func (m harm) write(l *sim.Log, at sim.Lane, r sim.Record) int64 {
	if m.kind == "" || r.Key != "" || len(r.Value) == 0 {
		return l.Append(at, r)
	}
	h, payload, err := ParseRecord(r.Value)
	if err != nil {
		return l.Append(at, r)
	}
	s := m.state
	first := !s.done && h.Kind == BatchRecord && h.Flags&FlagLoad == 0 && h.Seq > 3
	switch m.kind {
	case "a batch is lost":
		if first {
			s.done = true
			return int64(len(l.Records(at)))
		}
	case "a batch is replayed":
		if first {
			s.done = true
			l.Append(at, r)
			h.Seq += h.Rows
			return l.Append(at, sim.Record{Value: AppendRecord(nil, &h, payload)})
		}
	case "a seal comes before its last row":
		if n := len(l.Records(at)); n > 0 && h.Kind == SealRecord && h.Rows > 0 && !s.done {
			if last, _, err := ParseRecord(l.Records(at)[n-1].Value); err == nil && last.Kind == BatchRecord && last.Epoch == h.Epoch {
				s.done = true
				offset := l.Append(at, l.Records(at)[n-1])
				l.Records(at)[n-1] = r
				return offset
			}
		}
	case "a stale owner's append is accepted":
		if s.highest[at] > h.Epoch && h.Kind != EpochRecord {
			h.Epoch = s.highest[at]
			return l.Append(at, sim.Record{Value: AppendRecord(nil, &h, payload)})
		}
		s.highest[at] = max(s.highest[at], h.Epoch)
	}
	return l.Append(at, r)
}

// Each harm must be noticed by some of the first seeds, or the simulation could not tell a protocol from none.
func TestTheSimulationSeesHarm(t *testing.T) {
	for name, m := range map[string]harm{
		"a stale owner's append is accepted":       {kind: "a stale owner's append is accepted"},
		"a seal comes before its last row":         {kind: "a seal comes before its last row"},
		"a batch is replayed":                      {kind: "a batch is replayed"},
		"a batch is lost":                          {kind: "a batch is lost"},
		"a group is torn":                          {torn: true},
		"a checkpoint is ahead of what is durable": {hasty: true},
		"the claims are not looked at":             {blind: true},
	} {
		var caught []uint64
		for seed := uint64(1); seed <= 400 && len(caught) == 0; seed++ {
			m.state = &harmed{highest: map[sim.Lane]int64{}}
			if _, err := simulate(t, simRun{seed, -1, -1, m}); err != nil {
				caught = append(caught, seed)
				t.Logf("%s: seed %d: %v", name, seed, err)
			}
		}
		if slices.Max(append(caught, 0)) == 0 {
			t.Errorf("%s: no seed notices it", name)
		}
	}
}
