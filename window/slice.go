package window

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// partSeal is an accepted seal of one partition.
type partSeal struct {
	id     sliceID
	header ingest.Header
	seal   ingest.Seal
	from   PartCut // just past the seal before, or where reading began
	at     PartCut
	prints map[uint64]bool // schema fingerprints of the slice's batches
}

// sealedTopic is one topic's share of a complete slice.
type sealedTopic struct {
	from       []PartCut // where the slice begins
	parts      []PartCut // just past the seals
	rows       int64
	loads      int
	generation int
	parked     string
}

// sealedSlice is a slice that is sealed in every partition of every input topic of its registry version.
type sealedSlice struct {
	id       sliceID
	final    bool
	registry int64
	position ingest.Position
	ordinal  int64
	epoch    int64
	asOf     time.Time
	sealedAt time.Time
	late     int64
	maxLate  time.Duration
	topics   map[string]sealedTopic
}

// source assembles the slices of one source from the seals of its partitions. It is pure.
type source struct {
	name       string
	wants      func(ingest.TableName) bool
	registries map[int64]*ingest.Registry
	tables     map[int64]map[string]ingest.RegistryTable // inputs, by registry version and topic
	prints     map[string]map[uint64]bool                // schema fingerprints that a topic's table has had
	parts      map[string][]*part                        // by topic; a topic's partitions are added all at once
	begins     map[string]beginning                      // by topic: where reading begins, when that is with a generation
	last       *sliceID                                  // last slice that a step has consumed or that waits in ready
	lastFinal  bool
	ready      []*sealedSlice // complete, not consumed by a step
}

// part is one partition: its tracker and the seals not yet assembled.
type part struct {
	tracker
	from   PartCut // just past the last seal
	seals  []partSeal
	prints map[uint64]bool
}

func newSource(name string, wants func(ingest.TableName) bool) *source {
	return &source{name: name, wants: wants, registries: map[int64]*ingest.Registry{}, parts: map[string][]*part{},
		tables: map[int64]map[string]ingest.RegistryTable{}, prints: map[string]map[uint64]bool{}, begins: map[string]beginning{}}
}

// beginning is the first slice of a table's generation. A topic that is read from there on takes no part in the slices before.
type beginning struct {
	id         sliceID
	generation int
}

// before is behind all slices before the one that b names.
func (b beginning) before() sliceID { return sliceID{b.id.start, b.id.end, b.id.k - 1} }

func beginningOf(b *ingest.Base) beginning {
	return beginning{newSliceID(b.Window, b.WindowEnd, int(b.Slice)), b.Generation}
}

// know takes in a registry version.
func (s *source) know(r *ingest.Registry) {
	s.registries[r.Version] = r
	s.tables[r.Version] = map[string]ingest.RegistryTable{}
	for _, t := range r.Tables {
		if !s.wants(t.Schema.Table) {
			continue
		}
		s.tables[r.Version][t.Topic] = t
		if s.prints[t.Topic] == nil {
			s.prints[t.Topic] = map[uint64]bool{}
		}
		s.prints[t.Topic][t.Schema.Fingerprint()] = true
	}
}

// inputs are the topics of a registry version that the pipeline reads.
func (s *source) inputs(version int64) map[string]ingest.RegistryTable { return s.tables[version] }

// accept notes an accepted record of a partition. Seals go into the queue of the partition.
func (p *part) accept(h *ingest.Header, seal ingest.Seal) {
	switch h.Kind {
	case ingest.BatchRecord:
		if p.prints == nil {
			p.prints = map[uint64]bool{}
		}
		p.prints[h.Fingerprint] = true
	case ingest.SealRecord:
		p.seals = append(p.seals, partSeal{headerSlice(h), *h, seal, p.from, p.at, p.prints})
		p.from, p.prints = p.at, nil
	}
}

// Missing is what a pipeline waits for: a seal of a partition, or a source's first registry record.
type Missing struct {
	Source    string `json:"source"`
	Topic     string `json:"topic,omitempty"`
	Partition int    `json:"partition"`
	What      string `json:"what"` // "seal 2026-11-23T10:15:00Z.0", "registry", "registry 3"
}

// head is the lowest slice at the head of any partition's queue, with the registry version its seal names.
func (s *source) head() (id sliceID, version int64, found bool) {
	for _, parts := range s.parts {
		for _, p := range parts {
			if len(p.seals) > 0 && (!found || p.seals[0].id.compare(id) < 0) {
				id, version, found = p.seals[0].id, p.seals[0].seal.Registry, true
			}
		}
	}
	return id, version, found
}

// assemble returns the next slice that is sealed everywhere (invariant 1), or what is missing. need is a registry version
// that must be read first, 0 when none. behind is set for a slice that the source's prefix already holds: a topic that
// is read again from further back.
func (s *source) assemble() (out *sealedSlice, behind bool, missing []Missing, need int64, err error) {
	id, version, found := s.head()
	if !found {
		return nil, false, s.allMissing(), 0, nil
	}
	if s.registries[version] == nil {
		return nil, false, []Missing{{Source: s.name, What: fmt.Sprintf("registry %d", version)}}, version, nil
	}
	behind = s.last != nil && id.compare(*s.last) <= 0
	want := s.inputs(version)
	out = &sealedSlice{id: id, registry: version, topics: map[string]sealedTopic{}, epoch: -1}
	for _, topic := range slices.Sorted(maps.Keys(s.parts)) {
		parts := s.parts[topic]
		table, in := want[topic]
		early := id.compare(s.begins[topic].id) < 0
		if early && headsAt(parts, id) {
			return nil, false, nil, 0, integrity("source %s: topic %s has a seal of %s before its generation begins, with %s", s.name, topic, id, s.begins[topic].id)
		}
		if early || behind && !headsAt(parts, id) {
			continue // only topics that are read again take part in a slice behind the prefix
		}
		if !in {
			if headsAt(parts, id) {
				return nil, false, nil, 0, integrity("source %s: topic %s has a seal of %s but is not in registry %d", s.name, topic, id, version)
			}
			continue
		}
		m, err := s.gather(out, topic, parts, table)
		if err != nil {
			return nil, false, nil, 0, fmt.Errorf("source %s: topic %s: %w", s.name, topic, err)
		}
		missing = append(missing, m...)
	}
	for topic := range want {
		if len(s.parts[topic]) == 0 && !behind {
			missing = append(missing, Missing{Source: s.name, Topic: topic, What: "seal " + id.String()})
		}
	}
	if len(missing) > 0 {
		return nil, behind, missing, 0, nil
	}
	if !behind && s.last != nil && !s.last.follows(s.lastFinal, id) && !s.leaps(out) {
		return nil, false, nil, 0, integrity("source %s: slice %s follows %s (final: %v)", s.name, id, *s.last, s.lastFinal)
	}
	s.pop(out, behind)
	return out, behind, nil, 0, nil
}

// leaps reports whether every topic of a slice is read from that slice on only: those between the last one and it are of no
// use to this pipeline, and may not be in the log any more.
func (s *source) leaps(out *sealedSlice) bool {
	for topic := range out.topics {
		if s.begins[topic].id != out.id {
			return false
		}
	}
	return true
}

func headsAt(parts []*part, id sliceID) bool {
	return slices.ContainsFunc(parts, func(p *part) bool { return len(p.seals) > 0 && p.seals[0].id == id })
}

// gather adds one topic's seals to the slice, or says which are missing.
func (s *source) gather(out *sealedSlice, topic string, parts []*part, table ingest.RegistryTable) ([]Missing, error) {
	var missing []Missing
	if len(parts) != table.Partitions {
		return nil, integrity("it has %d partitions, registry %d says %d", len(parts), out.registry, table.Partitions)
	}
	st := sealedTopic{loads: -1, generation: table.Generation()}
	for i, p := range parts {
		if len(p.seals) == 0 {
			missing = append(missing, Missing{Source: s.name, Topic: topic, Partition: i, What: "seal " + out.id.String()})
			continue
		}
		head := &p.seals[0]
		if head.id != out.id {
			return nil, integrity("partition %d has the seal %s where %s is due", i, head.id, out.id)
		}
		for fp := range head.prints {
			if !s.prints[topic][fp] { // a slice may begin with an older schema than the one of its registry version
				return nil, integrity("partition %d holds rows of schema %016x in %s, which no registry version has", i, fp, out.id)
			}
		}
		if err := out.merge(head); err != nil {
			return nil, fmt.Errorf("partition %d: %w", i, err)
		}
		st.add(head)
	}
	out.topics[topic] = st
	return missing, nil
}

// add merges a partition's seal into its topic. After a takeover in the middle of sealing, the seals of one slice may
// disagree about loads: the load counts as complete only when every partition says so.
func (t *sealedTopic) add(p *partSeal) {
	t.from, t.parts = append(t.from, p.from), append(t.parts, p.at)
	t.rows += p.header.Rows
	if t.loads < 0 || p.seal.Loads < t.loads {
		t.loads = p.seal.Loads
	}
	if p.seal.Parked != "" {
		t.parked = p.seal.Parked
	}
}

// merge checks that all seals of a slice say the same and keeps what the newest owner wrote.
func (o *sealedSlice) merge(p *partSeal) error {
	final := p.header.Flags&ingest.FlagFinal != 0
	if o.epoch < 0 {
		o.final = final
	}
	if final != o.final || p.seal.Registry != o.registry {
		return integrity("the seals of %s disagree: final %v and %v, registry %d and %d", o.id, o.final, final, o.registry, p.seal.Registry)
	}
	if p.header.Epoch > o.epoch {
		o.epoch, o.position, o.ordinal = p.header.Epoch, p.header.Position, p.header.Ordinal
		o.asOf, o.sealedAt = p.seal.AsOf, p.seal.SealedAt
	}
	o.late = max(o.late, p.seal.Late)
	o.maxLate = max(o.maxLate, p.seal.MaxLateness)
	return nil
}

// pop removes the seals of an assembled slice from the partitions.
func (s *source) pop(out *sealedSlice, behind bool) {
	for topic := range out.topics {
		for _, p := range s.parts[topic] {
			p.seals = slices.Delete(p.seals, 0, 1)
		}
	}
	if !behind {
		id := out.id
		s.last, s.lastFinal = &id, out.final
	}
}

func (s *source) allMissing() []Missing {
	if len(s.parts) == 0 {
		return []Missing{{Source: s.name, What: "registry"}}
	}
	var out []Missing
	for _, topic := range slices.Sorted(maps.Keys(s.parts)) {
		for i := range s.parts[topic] {
			what := "first seal"
			if s.last != nil {
				what = "seal after " + s.last.String()
			}
			out = append(out, Missing{Source: s.name, Topic: topic, Partition: i, What: what})
		}
	}
	return out
}
