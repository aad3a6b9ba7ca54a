package window

import (
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/sim"
)

// harm is a way in which the simulated world breaks the protocol. A simulation that does not notice it proves nothing.
type harm struct {
	torn  bool // sources end groups in their middle
	blind bool // the claims of sources are not looked at: nobody sees that he is superseded
	hasty bool // appends are acknowledged before they are durable
	trims bool // the log is trimmed past what the fence needs
	late  bool // the log is trimmed by those who are no owners any more

	unfenced bool // a publish does not look at the fence's epoch
	twice    bool // a publish does not look at the fence's step, and who takes the fence is told an old one
	kind     string
	state    *harmed
}

type harmed struct {
	done    bool
	highest map[sim.Lane]int64
}

// append appends a record, or does not.
func (m harm) append(l *sim.Log, at sim.Lane, r sim.Record) int64 {
	if m.kind == "" || r.Key != "" || len(r.Value) == 0 {
		return l.Append(at, r)
	}
	h, payload, err := ingest.ParseRecord(r.Value)
	if err != nil {
		return l.Append(at, r)
	}
	s, n := m.state, len(l.Records(at))
	first := !s.done && h.Kind == ingest.BatchRecord && h.Flags&ingest.FlagLoad == 0 && h.Seq > 3
	switch m.kind {
	case "a batch is lost":
		if first {
			s.done = true
			return int64(n)
		}
	case "a batch is replayed":
		if first {
			s.done = true
			l.Append(at, r)
			h.Seq += h.Rows
			return l.Append(at, sim.Record{Value: ingest.AppendRecord(nil, &h, payload)})
		}
	case "a seal comes before its last row":
		if n > 0 && h.Kind == ingest.SealRecord && h.Rows > 0 && !s.done {
			last := l.Records(at)[n-1]
			if b, _, err := ingest.ParseRecord(last.Value); err == nil && b.Kind == ingest.BatchRecord && b.Epoch == h.Epoch {
				s.done = true
				l.Records(at)[n-1] = r
				return l.Append(at, last) - 1
			}
		}
	case "a stale owner's append is accepted":
		if s.highest[at] > h.Epoch && h.Kind != ingest.EpochRecord {
			h.Epoch = s.highest[at]
			return l.Append(at, sim.Record{Value: ingest.AppendRecord(nil, &h, payload)})
		}
		s.highest[at] = max(s.highest[at], h.Epoch)
	}
	return l.Append(at, r)
}

// publishing gives a publish what it must not have: the fence's epoch, or its step.
func (m harm) publishing(s *memSink, p *Publication) {
	f := s.fences[p.Pipeline]
	switch {
	case f == nil:
	case m.unfenced:
		f.Epoch = p.Epoch
	case m.twice && f.Epoch == p.Epoch:
		f.Step = p.Prev
	}
}

// Each harm must be noticed by some of the first seeds, or the simulation could not tell a protocol from none.
func TestTheWorldSeesHarm(t *testing.T) {
	for name, m := range map[string]harm{
		"a stale owner's append is accepted":         {kind: "a stale owner's append is accepted"},
		"a seal comes before its last row":           {kind: "a seal comes before its last row"},
		"a batch is replayed":                        {kind: "a batch is replayed"},
		"a batch is lost":                            {kind: "a batch is lost"},
		"a group is torn":                            {torn: true},
		"a checkpoint is ahead of what is durable":   {hasty: true},
		"the claims are not looked at":               {blind: true},
		"the log is trimmed past the fence":          {trims: true},
		"the log is trimmed by one who is overtaken": {late: true},
		"a publish does not look at the fence":       {unfenced: true},
		"two publishes of one window":                {twice: true},
	} {
		seed := uint64(1)
		for ; seed <= 400; seed++ {
			m.state = &harmed{highest: map[sim.Lane]int64{}}
			if _, err := simulate(t, simRun{seed, -1, -1, m}); err != nil {
				t.Logf("%s: seed %d: %.300s", name, seed, err.Error())
				break
			}
		}
		if seed > 400 {
			t.Errorf("%s: no seed notices it", name)
		}
	}
}
