package window

import (
	"maps"
	"slices"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// order decides which step comes next. It is pure: fed with the same seals in any interleaving it gives the same steps
// (invariant 8).
type order struct {
	sources []*source    // sorted by name
	prev    Step         // last step decided, published or not; zero before the first
	based   bool         // the pipeline has published its base
	cut     Cut          // after prev
	dropped []topicSlice // slices behind the cut whose rows, and all before them, are of no use
	until   Cut          // of a replay: where it ends; nil otherwise
	have    stock        // what the log holds of the topics that have begun a generation
}

// topicStep is what a step does with one topic.
type topicStep struct {
	source string
	table  ingest.TableName
	schema ingest.Schema // as of the step
	fate   fate
	rows   int64
	upTo   sliceID // last slice of the topic in the step
	// dropped is the last slice whose rows, and all before it, are of no use; nil when there is none.
	dropped *sliceID
}

// topicSlice names a slice of a topic.
type topicSlice struct {
	topic string
	id    sliceID
}

// plannedStep is a step that is ready.
type plannedStep struct {
	step     Step
	publish  bool // false until the pipeline has its base
	base     bool // the pipeline's first publish
	cut      Cut  // after the step
	topics   map[string]topicStep
	rows     int64
	late     int64
	maxLate  time.Duration
	sealedAt time.Time         // latest seal of the step
	parked   map[string]string // source.schema.table -> reason
	used     map[string]int    // slices consumed, by source
}

// next returns the next step, or nil and what is missing for it. need names registry versions that must be read first.
// It assembles slices but consumes none: call done after the step.
func (o *order) next() (st *plannedStep, missing []Missing, need map[string]int64, err error) {
	need = map[string]int64{}
	waiting := map[string][]Missing{}
	for _, s := range o.sources {
		m, version, err := o.fill(s)
		if err != nil {
			return nil, nil, nil, err
		}
		if version > 0 {
			need[s.name] = version
		}
		waiting[s.name] = m
	}
	chosen, blocked, err := o.choose()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range blocked {
		missing = append(missing, waiting[name]...)
	}
	if chosen == nil {
		return nil, missing, need, nil
	}
	return o.plan(chosen), nil, need, nil
}

// fill assembles all slices that s can give.
func (o *order) fill(s *source) ([]Missing, int64, error) {
	for {
		out, behind, missing, version, err := s.assemble()
		if err != nil || out == nil {
			return missing, version, err
		}
		if !behind {
			s.ready = append(s.ready, out)
			continue
		}
		// The topic is read again from further back: the prefix of its source is past this slice already.
		c := o.cut[s.name]
		for topic, t := range out.topics {
			hold, now := o.held(s, c, topic)
			h, f, anew := holds(hold, now, t, false)
			if h == nil {
				return nil, 0, integrity("source %s: topic %s was read again from before its cut", s.name, topic)
			}
			c.hold(topic, h, f, anew, t, out.id, out.final)
			switch {
			case f == drops:
				o.dropped = append(o.dropped, topicSlice{topic, out.id})
			case anew:
				o.dropped = append(o.dropped, topicSlice{topic, beginning{id: out.id}.before()})
			}
		}
	}
}

// hold notes what a slice did to a topic. Its cut moves past the slice unless its rows are still needed for a base.
func (c SourceCut) hold(topic string, h *Hold, f fate, anew bool, t sealedTopic, id sliceID, final bool) {
	past := c.Held[topic].Past
	switch {
	case f != gathers:
		c.Topics[topic], past = t.parts, PastSlice{id.start, id.end, id.k, final}
	case anew, c.Topics[topic] == nil:
		before := beginning{id: id}.before()
		c.Topics[topic], past = t.from, PastSlice{before.start, before.end, before.k, false} // its base needs everything from here on
	}
	if h == nil {
		delete(c.Held, topic)
		return
	}
	c.Held[topic] = Hold{Parked: h.Parked, Loads: h.Loads, Generation: h.Generation, Past: past}
}

// chosen is the slices that the next step takes: how many of the ready ones, by source.
type chosen struct {
	start, end time.Time
	final      bool
	take       map[string]int
}

// choose applies the order of rules 13 and 14: within a window the sources' non-final slices come source by source, in
// order of name; a source's slices go on until its final seal is known; the last step takes all finals together.
// blocked are the sources whose next slice is not complete.
func (o *order) choose() (c *chosen, blocked []string, err error) {
	for _, s := range o.sources {
		if len(s.ready) == 0 {
			blocked = append(blocked, s.name)
		}
	}
	w, ok := o.window(blocked)
	if !ok {
		return nil, blocked, nil
	}
	final := &chosen{start: w.start, end: w.end, final: true, take: map[string]int{}}
	for _, s := range o.sources {
		n, single, ok, err := o.share(s, w)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			if !slices.Contains(blocked, s.name) {
				blocked = append(blocked, s.name)
			}
			return nil, blocked, nil
		}
		if single {
			return &chosen{start: w.start, end: w.end, take: map[string]int{s.name: 1}}, nil, nil
		}
		if n > 0 {
			final.take[s.name] = n
		}
	}
	return final, nil, nil
}

// window is the window of the next step. Before the first step it is the earliest first window of all sources, so every
// source must have shown its first slice.
func (o *order) window(blocked []string) (sliceID, bool) {
	if !o.prev.Start.IsZero() && !o.prev.Final {
		return newSliceID(o.prev.Start, o.prev.End, 0), true
	}
	if !o.prev.Start.IsZero() {
		end := o.prev.End.Add(o.prev.End.Sub(o.prev.Start))
		for _, s := range o.sources { // the window length may have been changed, for all sources at once
			if len(s.ready) > 0 && s.ready[0].id.start.Equal(o.prev.End) {
				end = s.ready[0].id.end
				break
			}
		}
		return newSliceID(o.prev.End, end, 0), true
	}
	if len(blocked) > 0 || len(o.sources) == 0 {
		return sliceID{}, false
	}
	w := o.sources[0].ready[0].id
	for _, s := range o.sources[1:] {
		if s.ready[0].id.start.Before(w.start) {
			w = s.ready[0].id
		}
	}
	return w, true
}

// share is what s adds to a step of window w: n slices that end with its final one, or a single non-final slice that is a
// step of its own, or nothing because the source began after w. ok is false when its seals do not tell yet.
func (o *order) share(s *source, w sliceID) (n int, single, ok bool, err error) {
	if len(s.ready) == 0 {
		return 0, false, false, nil
	}
	head := s.ready[0]
	if !head.id.start.Before(w.end) {
		if _, begun := o.cut[s.name]; begun && !s.leaps(head) {
			return 0, false, false, integrity("source %s: slice %s where window %s is due", s.name, head.id, w.start.Format(time.RFC3339))
		}
		return 0, false, true, nil
	}
	if _, begun := o.cut[s.name]; begun && !head.final {
		return 0, true, true, o.aligned(s, head, w)
	}
	// A source that is new here catches up in one step: its earlier slices, and the non-final ones of w, join its final one.
	for i, r := range s.ready {
		if r.final && r.id.end.Equal(w.end) {
			return i + 1, false, true, o.aligned(s, r, w)
		}
		if r.id.end.After(w.end) {
			return 0, false, false, o.aligned(s, r, w)
		}
	}
	return 0, false, false, nil
}

// aligned checks that a slice of s lies on the window w.
func (o *order) aligned(s *source, r *sealedSlice, w sliceID) error {
	if !r.id.start.Equal(w.start) || !r.id.end.Equal(w.end) {
		return integrity("source %s cuts its log into windows like %s to %s, the pipeline stands at %s to %s; all sources of a pipeline need one window length",
			s.name, r.id.start.Format(time.RFC3339), r.id.end.Format(time.RFC3339), w.start.Format(time.RFC3339), w.end.Format(time.RFC3339))
	}
	return nil
}

// plan works out what the chosen slices do.
func (o *order) plan(c *chosen) *plannedStep {
	st := &plannedStep{
		step: Step{Start: c.start, End: c.end, Final: c.final}, cut: o.cut.clone(),
		topics: map[string]topicStep{}, parked: map[string]string{}, used: c.take,
	}
	if !o.prev.Start.IsZero() && !o.prev.Final {
		st.step.Slice = o.prev.Slice + 1
	}
	st.base = !o.based && c.final && o.baseReady(c)
	st.publish = o.based || st.base
	for _, s := range o.sources {
		if n := c.take[s.name]; n > 0 {
			for i, r := range s.ready[:n] {
				o.absorb(st, s, r, st.publish && c.final && i == n-1)
			}
		}
		o.standing(st, s)
	}
	return st
}

// baseReady says whether the first publish can be made: every source takes part and no input's first load is open.
func (o *order) baseReady(c *chosen) bool {
	for _, s := range o.sources {
		n := c.take[s.name]
		if n == 0 {
			return false
		}
		last := s.ready[n-1]
		for topic := range s.inputs(last.registry) {
			t, in := last.topics[topic]
			if !in { // its generation begins later
				return false
			}
			h, now := o.held(s, o.cut[s.name], topic)
			for _, r := range s.ready[:n-1] { // a table that was parked on the way
				if rt, in := r.topics[topic]; in {
					h, _, _ = holds(h, now, rt, false)
				}
			}
			if gated(h, now, t) {
				return false
			}
		}
	}
	return true
}

// held is a topic's hold in a cut, nil when it is published, and the generation that it is in.
func (o *order) held(s *source, c SourceCut, topic string) (h *Hold, generation int) {
	if _, known := c.Topics[topic]; !known {
		return &Hold{Generation: s.begins[topic].generation}, 0
	}
	table := s.inputs(c.Registry)[topic]
	return o.heldIn(c, topic), table.Generation()
}

// heldIn is a topic's hold in a cut. A topic that the cut does not know is new: it waits for its first load.
func (o *order) heldIn(c SourceCut, topic string) *Hold {
	if h, held := c.Held[topic]; held {
		return &h
	}
	if _, known := c.Topics[topic]; known {
		return nil
	}
	return &Hold{}
}

// absorb adds one slice of s to the step.
func (o *order) absorb(st *plannedStep, s *source, r *sealedSlice, baseable bool) {
	c := st.cut[s.name].clone()
	tables := s.inputs(r.registry)
	for topic, t := range r.topics {
		hold, now := o.held(s, c, topic)
		h, f, anew := holds(hold, now, t, baseable)
		c.hold(topic, h, f, anew, t, r.id, r.final)
		ts := topicStep{
			source: s.name, table: tables[topic].Schema.Table, schema: tables[topic].Schema,
			fate: f, rows: st.topics[topic].rows + t.rows, upTo: r.id, dropped: st.topics[topic].dropped,
		}
		switch {
		case f == drops:
			ts.dropped = &r.id
		case anew:
			before := beginning{id: r.id}.before()
			ts.dropped = &before
		}
		st.topics[topic] = ts
		st.rows += t.rows
	}
	c.Position, c.Ordinal, c.Epoch, c.Registry, c.AsOf = r.position, r.ordinal, r.epoch, r.registry, r.asOf
	c.Window, c.End, c.Slice, c.Final = r.id.start, r.id.end, r.id.k, r.final
	st.cut[s.name] = c
	st.late += r.late
	st.maxLate = max(st.maxLate, r.maxLate)
	if r.sealedAt.After(st.sealedAt) {
		st.sealedAt = r.sealedAt
	}
}

// standing lists what is parked after the step, tables of sources that the step does not touch included.
func (o *order) standing(st *plannedStep, s *source) {
	c := st.cut[s.name]
	tables := s.inputs(c.Registry)
	for topic, h := range c.Held {
		if t, in := tables[topic]; in && h.Parked != "" {
			st.parked[s.name+"."+t.Schema.Table.String()] = h.Parked
		}
	}
}

// done consumes the slices of a step.
func (o *order) done(st *plannedStep) {
	for _, s := range o.sources {
		s.ready = slices.Delete(s.ready, 0, st.used[s.name])
	}
	o.prev, o.cut, o.based = st.step, st.cut, o.based || st.publish
}

func start(n int) []PartCut {
	out := make([]PartCut, n)
	for i := range out {
		out[i].Epoch = -1
	}
	return out
}

// clone copies a cut so that a planned step does not change the cut it starts from.
func (c Cut) clone() Cut {
	out := make(Cut, len(c))
	for name, s := range c {
		out[name] = s.clone()
	}
	return out
}

func (c SourceCut) clone() SourceCut {
	topics, held, outputs := make(map[string][]PartCut, len(c.Topics)), make(map[string]Hold, len(c.Held)), make(map[string]string, len(c.Outputs))
	maps.Copy(topics, c.Topics)
	maps.Copy(held, c.Held)
	maps.Copy(outputs, c.Outputs)
	c.Topics, c.Held, c.Outputs = topics, held, outputs
	return c
}

// due is the end of the window of the next step; ok is false before the first step.
func (o *order) due() (end time.Time, ok bool) {
	switch {
	case o.prev.Start.IsZero():
		return time.Time{}, false
	case o.prev.Final:
		return o.prev.End.Add(o.prev.End.Sub(o.prev.Start)), true
	}
	return o.prev.End, true
}
