package window

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemill/tidemill/ingest"
)

// position is where to read a partition from.
type position struct {
	topic     string
	partition int
	offset    int64
}

// newOrder starts from a fence. wants says which tables of which sources the pipeline reads.
func newOrder(f Fence, sources []string, wants func(source string, t ingest.TableName) bool) *order {
	o := &order{prev: f.Step, based: !f.Step.Start.IsZero(), cut: Cut{}}
	for _, name := range slices.Sorted(slices.Values(sources)) {
		s := newSource(name, func(t ingest.TableName) bool { return wants(name, t) })
		if c, begun := f.Cut[name]; begun {
			o.cut[name] = c.clone()
			last := newSliceID(c.Window, c.End, c.Slice)
			s.last, s.lastFinal = &last, c.Final
		}
		o.sources = append(o.sources, s)
	}
	return o
}

func (o *order) source(name string) *source {
	i, found := slices.BinarySearchFunc(o.sources, name, func(s *source, n string) int { return cmp.Compare(s.name, n) })
	if !found {
		return nil
	}
	return o.sources[i]
}

// learn takes registry versions and returns the partitions that have to be read because of them. In a replay the versions
// after its end do not count.
func (o *order) learn(versions ...*ingest.Registry) ([]position, error) {
	var out []position
	for _, s := range o.sources {
		newest := map[string]*ingest.Registry{} // by topic
		for _, r := range versions {
			if r.Source != s.name || s.registries[r.Version] != nil {
				continue
			}
			s.know(r)
			for topic := range s.inputs(r.Version) {
				if n := newest[topic]; (n == nil || n.Version < r.Version) && (o.until == nil || r.Version <= o.until[s.name].Registry) {
					newest[topic] = r
				}
			}
		}
		for _, topic := range slices.Sorted(maps.Keys(newest)) {
			more, err := o.follow(s, topic, newest[topic])
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	return out, nil
}

// follow begins to track a topic's partitions, r being the newest registry version that has it.
func (o *order) follow(s *source, topic string, r *ingest.Registry) ([]position, error) {
	c, begun := o.cut[s.name]
	table := s.inputs(r.Version)[topic]
	n := table.Partitions
	if parts := s.parts[topic]; parts != nil {
		if len(parts) != n {
			return nil, integrity("source %s: topic %s has %d partitions in registry %d and %d before; a topic keeps its partitions", s.name, topic, n, r.Version, len(parts))
		}
		return nil, nil
	}
	at, known := c.Topics[topic]
	if !known && begun && r.Version < c.Registry {
		return nil, nil // dropped before the pipeline ever read it
	}
	if !known {
		at = o.start(s, topic, n)
	}
	if len(at) != n {
		return nil, integrity("source %s: topic %s has %d partitions in registry %d, the fence knows %d", s.name, topic, n, r.Version, len(at))
	}
	b, fresh := s.beginningAt(topic, at)
	if fresh {
		s.begins[topic] = b
	}
	hold, held := c.Held[topic]
	past := newSliceID(hold.Past.Window, hold.Past.End, hold.Past.Slice)
	var out []position
	for i, p := range at {
		t := tracker{at: p}
		switch {
		case fresh:
			before := b.before()
			t.sealed = &before
		case known && !held:
			t.sealed, t.final = s.last, s.lastFinal
		case known && !hold.Past.Window.IsZero(): // seals of what lies before are repeats
			t.sealed, t.final = &past, hold.Past.Final
		}
		s.parts[topic] = append(s.parts[topic], &part{tracker: t, from: p})
		out = append(out, position{topic, i, p.Offset})
	}
	return out, nil
}

// start is where a topic is read from that the cut does not know: its beginning, or, when the log does not hold that any
// more, where the first generation begins that it holds whole.
func (o *order) start(s *source, topic string, partitions int) []PartCut {
	first := start(partitions)
	if o.have[topic] == nil || o.have.holds(topic, first) {
		return first
	}
	for _, v := range slices.Sorted(maps.Keys(s.tables)) {
		t, in := s.tables[v][topic]
		if in && t.Base != nil && (o.until == nil || v <= o.until[s.name].Registry) && o.have.holds(topic, begin(t)) {
			return begin(t)
		}
	}
	return first
}

// begin is where the content of a table begins as of a registry version.
func begin(t ingest.RegistryTable) []PartCut {
	if t.Base == nil {
		return start(t.Partitions)
	}
	out := make([]PartCut, len(t.Base.Parts))
	for i, m := range t.Base.Parts {
		out[i] = PartCut{Offset: m.Offset, Seq: m.Seq, Epoch: m.Epoch}
	}
	return out
}

// beginningAt is the generation that begins where a topic is read from, if one does.
func (s *source) beginningAt(topic string, at []PartCut) (b beginning, found bool) {
	for _, tables := range s.tables {
		t, in := tables[topic]
		if in && t.Base != nil && slices.Equal(begin(t), at) && (!found || t.Base.Generation > b.generation) {
			b, found = beginningOf(t.Base), true
		}
	}
	return b, found
}

// forget drops from the cut the topics that the configuration does not name any more, once all registries are known:
// otherwise their offsets would pin the log for ever.
func (o *order) forget() {
	for _, s := range o.sources {
		wanted := map[string]bool{}
		for v := range s.registries {
			for topic := range s.inputs(v) {
				wanted[topic] = true
			}
		}
		c := o.cut[s.name]
		maps.DeleteFunc(c.Topics, func(topic string, _ []PartCut) bool { return !wanted[topic] })
		maps.DeleteFunc(c.Held, func(topic string, _ Hold) bool { return !wanted[topic] })
	}
}

// take feeds one record. seal is used for a seal record only.
func (o *order) take(source string, at position, h *ingest.Header, seal ingest.Seal) (verdict, int64, error) {
	p := o.source(source).parts[at.topic][at.partition]
	v, skip, err := p.take(at.offset, h)
	if err != nil {
		return 0, 0, fmt.Errorf("reading topic %s partition %d offset %d: %w", at.topic, at.partition, at.offset, err)
	}
	if v == accepted {
		p.accept(h, seal)
	}
	return v, skip, nil
}
