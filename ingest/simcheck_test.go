package ingest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/internal/sim"
)

// checkLog reads the whole log as a pipeline would and compares it with the history. It shares no code with the Writer but
// the codec.
func checkLog(source string, topics map[string][][]sim.Record, h *history, partitions int) error {
	c := &checker{source: source, h: h, versions: map[int64]Registry{}, seals: map[string]*sealSeen{}, rows: map[int64]rowSeen{}, ends: map[sim.Lane][]recordEnd{}}
	for _, r := range topics[RegistryTopic][0] {
		var v Registry
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return err
		}
		if _, twice := c.versions[v.Version]; twice {
			return fmt.Errorf("registry version %d was written twice", v.Version)
		}
		c.versions[v.Version] = v
	}
	for topic, parts := range topics {
		if topic == PositionsTopic || topic == RegistryTopic || topic == ClaimsTopic || topic == RequestsTopic {
			continue
		}
		for p, records := range parts {
			if err := c.partition(sim.Lane{Topic: topic, Partition: p}, records); err != nil {
				return fmt.Errorf("%s/%d: %w", topic, p, err)
			}
		}
	}
	return c.whole(partitions)
}

type checker struct {
	source   string
	h        *history
	versions map[int64]Registry
	seals    map[string]*sealSeen
	rows     map[int64]rowSeen // by id; load rows have negative ids of their own
	loads    []loadSeen
	ends     map[sim.Lane][]recordEnd // by partition: what a reader knows before each record, and after the last
	void     int
	repeats  int
}

// recordEnd is where a reader stands in a partition.
type recordEnd struct {
	seq, rows int64
	sealed    string
}

// sealSeen is one seal, as found in the partitions.
type sealSeen struct {
	name   string
	header Header
	seal   Seal
	at     map[sim.Lane]int // stream rows before it
	loads  map[string]int
	parked map[string]bool
}

type rowSeen struct {
	at    sim.Lane
	slice string
	order int // stream rows before it in its partition
	end   int64
	start int64
	// ordinal of the batch's first row, or less when the batch was split.
	ordinal int64
}

type loadSeen struct {
	at      sim.Lane
	id      int64
	pos     int   // load rows before it in its partition
	ordinal int64 // stream rows of the source before it
	order   int   // stream rows before it in its partition
	slice   string
}

func sliceOf(h *Header) string { return fmt.Sprintf("%s.%03d", h.Window.Format("15:04:05"), h.Slice) }

func (c *checker) partition(at sim.Lane, records []sim.Record) error {
	var epoch, seq, rows int64
	var open string
	streamRows, loadRows := 0, 0
	last := ""
	defer func() { c.ends[at] = append(c.ends[at], recordEnd{seq, rows, last}) }()
	for n, r := range records {
		c.ends[at] = append(c.ends[at], recordEnd{seq, rows, last})
		h, payload, err := ParseRecord(r.Value)
		if err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		if h.Epoch < epoch {
			c.void++
			continue
		}
		if h.Epoch > epoch && h.Kind != EpochRecord {
			return fmt.Errorf("record %d: epoch %d without a marker", n, h.Epoch)
		}
		epoch = h.Epoch
		switch h.Kind {
		case EpochRecord:
			continue
		case SealRecord:
			name := sliceOf(&h)
			if name <= last {
				c.repeats++
				continue
			}
			if open != "" && open != name {
				return fmt.Errorf("record %d: seal of %s where rows of %s are open", n, name, open)
			}
			if h.Rows != rows || h.Seq != seq {
				return fmt.Errorf("record %d: seal of %s counts %d up to %d, found %d up to %d", n, name, h.Rows, h.Seq, rows, seq)
			}
			if err := c.seal(at, &h, payload, streamRows); err != nil {
				return err
			}
			last, open, rows = name, "", 0
			continue
		}
		if h.Seq+h.Rows-1 <= seq {
			c.repeats++
			continue
		}
		if h.Seq != seq+1 {
			return fmt.Errorf("record %d: seq %d after %d", n, h.Seq, seq)
		}
		seq, rows = h.Seq+h.Rows-1, rows+h.Rows
		name := sliceOf(&h)
		if open != "" && open != name || name <= last {
			return fmt.Errorf("record %d: rows of %s after the seal of %s, open %s", n, name, last, open)
		}
		open = name
		rec, err := DecodeBatch(payload)
		if err != nil {
			return err
		}
		if rec.NumRows() != h.Rows {
			return fmt.Errorf("record %d: header says %d rows, batch has %d", n, h.Rows, rec.NumRows())
		}
		s, err := SchemaOf(rec.Schema())
		if err != nil {
			return err
		}
		if s.Fingerprint() != h.Fingerprint || Topic(c.source, s.Table) != at.Topic {
			return fmt.Errorf("record %d: schema of %s is not that of the header", n, s.Table)
		}
		ids := rec.Column(0).(*array.Int64).Int64Values()
		for i, id := range ids {
			if h.Flags&FlagLoad != 0 {
				c.loads = append(c.loads, loadSeen{at, id, loadRows, h.Ordinal, streamRows, name})
				loadRows++
				continue
			}
			if before, twice := c.rows[id]; twice {
				return fmt.Errorf("row %d is there twice, at %v and %v", id, before.at, at)
			}
			if want := "value-of-" + strconv.FormatInt(id, 10); rec.NumCols() > 2 && !rec.Column(1).IsNull(i) && rec.Column(1).(*array.String).Value(i) != want {
				return fmt.Errorf("row %d holds %s", id, rec.Column(1).(*array.String).Value(i))
			}
			c.rows[id] = rowSeen{at, name, streamRows, h.WindowEnd.UnixMicro(), h.Window.UnixMicro(), h.Ordinal}
			streamRows++
		}
		rec.Release()
	}
	return nil
}

func (c *checker) seal(at sim.Lane, h *Header, payload []byte, streamRows int) error {
	seal, err := ParseSeal(payload)
	if err != nil {
		return err
	}
	name := sliceOf(h)
	s := c.seals[name]
	if s == nil {
		s = &sealSeen{name: name, header: *h, seal: seal, at: map[sim.Lane]int{}, loads: map[string]int{}, parked: map[string]bool{}}
		c.seals[name] = s
	}
	if s.header.Ordinal != h.Ordinal || s.header.Position != h.Position || s.header.Flags != h.Flags || s.seal.Registry != seal.Registry || s.seal.AsOf != seal.AsOf || s.seal.Late != seal.Late {
		return fmt.Errorf("seal %s differs between partitions", name)
	}
	if n, ok := s.loads[at.Topic]; ok && n != seal.Loads {
		return fmt.Errorf("seal %s says %d and %d loads of topic %s", name, n, seal.Loads, at.Topic)
	}
	s.loads[at.Topic] = seal.Loads
	s.at[at] = streamRows
	s.parked[at.Topic] = s.parked[at.Topic] || seal.Parked != ""
	return nil
}

// whole checks what concerns all partitions together.
func (c *checker) whole(partitions int) error {
	order := make([]*sealSeen, 0, len(c.seals))
	for _, s := range c.seals {
		order = append(order, s)
	}
	slices.SortFunc(order, func(a, b *sealSeen) int { return strings.Compare(a.name, b.name) })
	for i, s := range order {
		if i > 0 {
			prev := &order[i-1].header
			follows := s.header.Window.Equal(prev.Window) && s.header.Slice == prev.Slice+1
			if prev.Flags&FlagFinal != 0 {
				follows = s.header.Window.Equal(prev.WindowEnd) && s.header.Slice == 0
			}
			if !follows {
				return fmt.Errorf("seal %s follows %s", s.name, order[i-1].name)
			}
			if s.seal.Registry < order[i-1].seal.Registry {
				return fmt.Errorf("seal %s goes back to registry version %d", s.name, s.seal.Registry)
			}
		}
		if err := c.complete(s); err != nil {
			return fmt.Errorf("seal %s: %w", s.name, err)
		}
	}
	if len(order) == 0 || order[len(order)-1].header.WindowEnd.Before(c.h.end.Add(-c.h.window-2*time.Second)) {
		return fmt.Errorf("the last windows are not sealed")
	}
	if err := c.contents(order); err != nil {
		return err
	}
	return c.compare(partitions)
}

// contents reads the log as a pipeline does: of each table the rows of its generation, from the slice it begins with. As soon
// as the load of the generation is complete, they are what the server had at the seal's position.
func (c *checker) contents(order []*sealSeen) error {
	rows := map[string]map[string][]int64{} // by slice and topic
	add := func(slice, topic string, id int64) {
		if rows[slice] == nil {
			rows[slice] = map[string][]int64{}
		}
		rows[slice][topic] = append(rows[slice][topic], id)
	}
	for id, r := range c.rows {
		add(r.slice, r.at.Topic, id)
	}
	for _, l := range c.loads {
		add(l.slice, l.at.Topic, l.id)
	}
	held, generations := map[string]map[int64]bool{}, map[string]int{}
	for _, s := range order {
		n, err := strconv.Atoi(strings.TrimPrefix(string(s.header.Position), "g"))
		if err != nil {
			return fmt.Errorf("seal %s stands at %s, inside a group", s.name, s.header.Position)
		}
		for _, t := range c.versions[s.seal.Registry].Tables {
			if g := t.Generation(); held[t.Topic] == nil || g != generations[t.Topic] {
				held[t.Topic], generations[t.Topic] = map[int64]bool{}, g
				if err := c.base(&t, s.name); err != nil && !s.parked[t.Topic] {
					return fmt.Errorf("generation %d of %s: %w", g, t.Topic, err)
				}
			}
			if s.parked[t.Topic] {
				clear(held[t.Topic])
				continue
			}
			for _, id := range rows[s.name][t.Topic] {
				held[t.Topic][id] = true
			}
			if s.loads[t.Topic] == 0 {
				continue
			}
			if err := c.holds(&t, held[t.Topic], n, s == order[len(order)-1]); err != nil {
				return fmt.Errorf("seal %s at %s: generation %d of %s: %w", s.name, s.header.Position, generations[t.Topic], t.Topic, err)
			}
		}
	}
	return nil
}

// holds compares a loaded table with what the server had when n groups were committed. What statements changed without
// events may be missing until the load that they begin has ended, so not at the last seal.
func (c *checker) holds(t *RegistryTable, held map[int64]bool, n int, last bool) error {
	found, table := 0, t.Schema.Table.Name
	for _, id := range c.h.content(table, n) {
		switch {
		case held[id]:
			found++
		case last || !c.h.altered(table, n, id):
			return fmt.Errorf("row %d is missing", id)
		}
	}
	// A new owner may seal before the statement's group what an earlier one had loaded behind it: nothing but the group's own
	// rows, of which there are none, would tell it.
	for _, g := range c.h.groups[n:] {
		for _, id := range g.hidden {
			if g.alters == table && held[id] {
				found++
			}
		}
	}
	if found < len(held) {
		return fmt.Errorf("it holds %d rows that the server did not have", len(held)-found)
	}
	return nil
}

// base checks that a reader may begin where a registry version says that the generation begins.
func (c *checker) base(t *RegistryTable, slice string) error {
	if t.Base == nil {
		return nil
	}
	if got := sliceOf(&Header{Window: t.Base.Window, Slice: t.Base.Slice}); got != slice {
		return fmt.Errorf("it begins with %s, the registry says %s", slice, got)
	}
	for p, m := range t.Base.Parts {
		at := c.ends[sim.Lane{Topic: t.Topic, Partition: p}]
		if int(m.Offset) >= len(at) || at[m.Offset].seq != m.Seq || at[m.Offset].rows != 0 || at[m.Offset].sealed >= slice {
			return fmt.Errorf("partition %d: it begins at offset %d after seq %d, in the log that is %v", p, m.Offset, m.Seq, at[m.Offset])
		}
	}
	return nil
}

// complete checks that a seal is in every partition of its registry version, and that its ordinal counts the rows before it.
func (c *checker) complete(s *sealSeen) error {
	v, ok := c.versions[s.seal.Registry]
	if !ok {
		return fmt.Errorf("registry version %d is not there", s.seal.Registry)
	}
	total, parts := 0, 0
	for _, t := range v.Tables {
		for p := range t.Partitions {
			n, ok := s.at[sim.Lane{Topic: t.Topic, Partition: p}]
			if !ok {
				return fmt.Errorf("partition %d of %s lacks it", p, t.Topic)
			}
			total += n
			parts++
		}
	}
	if parts != len(s.at) {
		return fmt.Errorf("it is in %d partitions, its registry version has %d", len(s.at), parts)
	}
	if int64(total) != s.header.Ordinal && c.h.lost.Load() == 0 {
		return fmt.Errorf("ordinal %d, %d rows lie before it", s.header.Ordinal, total)
	}
	return nil
}

// compare holds the rows against the history: each once, in order, each group in one slice, no window too early.
func (c *checker) compare(partitions int) error {
	next := map[sim.Lane]int{}
	found, ordinal := 0, int64(0)
	byOrdinal := map[sim.Lane][]int64{} // ordinals of the rows of each partition
	late, emptyLate := map[string]int64{}, int64(0)
	lost := int(c.h.lost.Load())
	for _, g := range c.h.groups[:lost] {
		for _, e := range g.events {
			for _, id := range e.rows {
				if r, ok := c.rows[id]; ok {
					found++
					next[r.at] = max(next[r.at], r.order+1)
				}
			}
		}
	}
	for n, g := range c.h.groups[lost:] {
		n += lost
		slice := ""
		isLate := false
		for _, e := range g.events {
			for _, id := range e.rows {
				r, ok := c.rows[id]
				if !ok {
					return fmt.Errorf("row %d of group %d is lost", id, n)
				}
				found++
				at := sim.Lane{Topic: Topic(c.source, e.schema.Table), Partition: PartitionOf(uint64(id), partitions)}
				if r.at != at || r.order != next[at] {
					return fmt.Errorf("row %d is number %d of %v, want number %d of %v", id, r.order, r.at, next[at], at)
				}
				next[at]++
				byOrdinal[at] = append(byOrdinal[at], ordinal)
				if r.ordinal > ordinal && lost == 0 {
					return fmt.Errorf("row %d has ordinal %d, its batch says %d", id, ordinal, r.ordinal)
				}
				ordinal++
				if slice == "" {
					slice = r.slice
				}
				isLate = r.start > g.commit.UnixMicro()
				if r.slice != slice {
					return fmt.Errorf("group %d is in slices %s and %s", n, slice, r.slice)
				}
				if r.end <= g.commit.Add(-simSlow).UnixMicro() {
					return fmt.Errorf("group %d, committed %s, is in slice %s", n, g.commit.Format("15:04:05"), r.slice)
				}
			}
		}
		switch {
		case slice == "":
			emptyLate++ // perhaps late, in a slice that can't be known
		case isLate:
			late[slice]++
		}
	}
	if lost > 0 { // ordinals and counts of late groups go on from what nobody knows
		emptyLate = int64(len(c.h.groups))
		clear(late)
		c.loads = nil
	}
	for _, l := range c.loads {
		for i, o := range byOrdinal[l.at] {
			if (o < l.ordinal) != (i < l.order) {
				return fmt.Errorf("load row %d, after %d stream rows, is on the wrong side of stream row %d", l.id, l.ordinal, o)
			}
		}
	}
	for _, s := range c.seals {
		if n := late[s.name]; s.seal.Late < n || s.seal.Late > n+emptyLate {
			return fmt.Errorf("seal %s counts %d late groups, found %d, and %d without rows", s.name, s.seal.Late, n, emptyLate)
		}
	}
	if found != len(c.rows) {
		return fmt.Errorf("%d rows in the log, %d in the history", len(c.rows), found)
	}
	return nil
}

// checkRequests reports requests that the checkpoint that counts does not name as done.
func checkRequests(log *simLog) error {
	var records []keyed
	for n, r := range compacted(log.Topics[PositionsTopic][0]) {
		records = append(records, keyed{int64(n), r.Key, r.Value})
	}
	point, _, err := newestCheckpoint("src", records)
	if err != nil {
		return err
	}
	last := map[string]string{}
	for _, x := range log.Topics[RequestsTopic][0] {
		r, _ := parseRequest("src", x.Value)
		last[r.Table] = r.ID
	}
	for about, id := range last {
		if point.Requests[about] != id {
			return fmt.Errorf("request %s about %q is not carried out", id, about)
		}
	}
	return nil
}
