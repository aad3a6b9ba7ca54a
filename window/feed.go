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

// learn takes a registry version and returns the partitions that have to be read because of it.
func (o *order) learn(r *ingest.Registry) ([]position, error) {
	s := o.source(r.Source)
	if s == nil || s.registries[r.Version] != nil {
		return nil, nil
	}
	s.know(r)
	c, begun := o.cut[s.name]
	var out []position
	tables := s.inputs(r.Version)
	for _, topic := range slices.Sorted(maps.Keys(tables)) {
		n := tables[topic].Partitions
		if parts := s.parts[topic]; parts != nil {
			if len(parts) != n {
				return nil, integrity("source %s: topic %s has %d partitions in registry %d and %d before; a topic keeps its partitions", s.name, topic, n, r.Version, len(parts))
			}
			continue
		}
		at, known := c.Topics[topic]
		if !known && begun && r.Version < c.Registry {
			continue // dropped before the pipeline ever read it
		}
		if !known {
			at = start(n)
		}
		if len(at) != n {
			return nil, integrity("source %s: topic %s has %d partitions in registry %d, the fence knows %d", s.name, topic, n, r.Version, len(at))
		}
		_, held := c.Held[topic]
		for i, p := range at {
			t := tracker{at: p}
			if known && !held {
				t.sealed, t.final = s.last, s.lastFinal
			}
			s.parts[topic] = append(s.parts[topic], &part{tracker: t})
			out = append(out, position{topic, i, p.Offset})
		}
	}
	return out, nil
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
