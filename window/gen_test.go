package window

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

var t0 = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const minute15 = 15 * time.Minute

// genRecord is one record of a hand-made log.
type genRecord struct {
	source, topic string
	partition     int
	offset        int64
	h             ingest.Header
	seal          ingest.Seal
	payload       []byte
}

// genSource writes the log of one source the way ingest does: contiguous seqs, a seal in every partition.
type genSource struct {
	name     string
	epoch    int64
	start    time.Time
	length   time.Duration
	slice    int
	registry *ingest.Registry
	versions []*ingest.Registry
	logs     map[string][][]genRecord // by topic, partition
	rows     map[string][]int64       // of the open slice
	seq      map[string][]int64
	loads    map[string]int
	parked   map[string]string
	ordinal  int64
	resyncs  bool // tables and the whole source are loaded anew at random
	// Content is made when rng is set: rows with the columns id and v, and what each table holds after each slice.
	rng     *rand.Rand
	content map[string]map[int64]int64
	after   map[sliceID]map[string]map[int64]int64
}

func newGen(name string, start time.Time) *genSource {
	g := &genSource{
		name: name, start: start, length: minute15, logs: map[string][][]genRecord{}, rows: map[string][]int64{}, seq: map[string][]int64{},
		loads: map[string]int{}, parked: map[string]string{}, registry: &ingest.Registry{Source: name},
	}
	return g
}

func genSchema(table string) ingest.Schema {
	return ingest.Schema{
		Table:   ingest.TableName{Schema: "s", Name: table},
		Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "v", Type: ingest.Type{Kind: ingest.Int64}, Nullable: true}},
		Key:     []string{"id"},
	}
}

// table adds a table to the registry from the open slice on.
func (g *genSource) table(name string, partitions int) string {
	s := genSchema(name)
	topic := ingest.Topic(g.name, s.Table)
	r := &ingest.Registry{Source: g.name, Version: g.registry.Version + 1, Epoch: g.epoch, Tables: slices.Clone(g.registry.Tables)}
	r.Tables = append(r.Tables, ingest.RegistryTable{Schema: s, Topic: topic, Partitions: partitions})
	g.registry, g.versions = r, append(g.versions, r)
	g.logs[topic] = make([][]genRecord, partitions)
	g.rows[topic] = make([]int64, partitions)
	g.seq[topic] = make([]int64, partitions)
	for p := range partitions {
		g.put(topic, p, ingest.Header{Kind: ingest.EpochRecord, Epoch: g.epoch}, ingest.Seal{})
	}
	return topic
}

func (g *genSource) put(topic string, p int, h ingest.Header, seal ingest.Seal) {
	log := &g.logs[topic][p]
	*log = append(*log, genRecord{g.name, topic, p, int64(len(*log)), h, seal, nil})
}

func (g *genSource) batch(topic string, p int, n int64) {
	s := genSchema(topic[strings.LastIndexByte(topic, '.')+1:])
	var payload []byte
	if g.rng != nil {
		payload = g.fill(topic, p, n)
	}
	g.put(topic, p, ingest.Header{
		Kind: ingest.BatchRecord, Epoch: g.epoch, Window: g.start, WindowEnd: g.start.Add(g.length), Slice: int32(g.slice),
		Seq: g.seq[topic][p] + 1, Rows: n, Ordinal: g.ordinal, Fingerprint: s.Fingerprint(),
	}, ingest.Seal{})
	g.logs[topic][p][len(g.logs[topic][p])-1].payload = payload
	g.seq[topic][p] += n
	g.rows[topic][p] += n
	g.ordinal += n
}

// anew begins a generation of tables, as ingest does it: with a slice of its own.
func (g *genSource) anew(topics ...string) {
	for _, parts := range g.rows {
		if slices.ContainsFunc(parts, func(n int64) bool { return n > 0 }) {
			g.seal(false)
			break
		}
	}
	r := *g.registry
	r.Version, r.Tables = g.registry.Version+1, slices.Clone(g.registry.Tables)
	for i := range r.Tables {
		t := &r.Tables[i]
		if !slices.Contains(topics, t.Topic) {
			continue
		}
		b := &ingest.Base{Generation: t.Generation() + 1, Window: g.start, WindowEnd: g.start.Add(g.length), Slice: int32(g.slice)}
		for p, log := range g.logs[t.Topic] {
			b.Parts = append(b.Parts, ingest.PartMark{Offset: int64(len(log)), Seq: g.seq[t.Topic][p], Epoch: g.epoch})
		}
		t.Base = b
		delete(g.loads, t.Topic)
		delete(g.parked, t.Topic)
		delete(g.content, t.Topic)
	}
	g.registry, g.versions = &r, append(g.versions, &r)
}

// beginAnew begins a source anew: what is torn is sealed with its tables parked.
func (g *genSource) beginAnew(rng *rand.Rand) {
	var all []string
	for topic := range g.logs {
		all = append(all, topic)
	}
	slices.Sort(all)
	for _, topic := range all { // some were sealed everywhere
		if rng.IntN(2) == 0 {
			g.parked[topic] = "torn"
		}
	}
	g.seal(rng.IntN(2) == 0)
	for _, topic := range all {
		g.parked[topic] = "torn"
	}
	g.seal(false)
	g.takeover()
	g.anew(all...)
}

func (g *genSource) seal(final bool) {
	var flags uint8
	if final {
		flags = ingest.FlagFinal
	}
	for topic, rows := range g.rows {
		for p := range rows {
			g.put(topic, p, ingest.Header{
				Kind: ingest.SealRecord, Flags: flags, Epoch: g.epoch, Window: g.start, WindowEnd: g.start.Add(g.length), Slice: int32(g.slice),
				Seq: g.seq[topic][p], Rows: rows[p], Ordinal: g.ordinal, Position: ingest.Position(fmt.Sprint(g.ordinal)),
			}, ingest.Seal{Registry: g.registry.Version, Loads: g.loads[topic], Parked: g.parked[topic], SealedAt: g.start.Add(g.length), Proof: "stream"})
			rows[p] = 0
		}
	}
	g.remember()
	if final {
		g.start, g.slice = g.start.Add(g.length), 0
	} else {
		g.slice++
	}
}

// fill makes the payload of a batch: n changes of random keys of the partition, several of one key among them.
func (g *genSource) fill(topic string, p int, n int64) []byte {
	s := genSchema(topic[strings.LastIndexByte(topic, '.')+1:])
	b := ingest.NewBuilder(&s)
	parts := int64(len(g.logs[topic]))
	if g.content == nil {
		g.content = map[string]map[int64]int64{}
	}
	if g.content[topic] == nil {
		g.content[topic] = map[int64]int64{}
	}
	for range n {
		id := g.rng.Int64N(12)*parts + int64(p)
		b.Cols[0].Int64(id)
		if g.rng.IntN(3) == 0 {
			b.Cols[1].Null()
			b.End(ingest.Delete)
			delete(g.content[topic], id)
			continue
		}
		v := g.rng.Int64N(1000)
		b.Cols[1].Int64(v)
		b.End(ingest.Upsert)
		g.content[topic][id] = v
	}
	rec := b.Record()
	defer rec.Release()
	out, err := ingest.EncodeBatch(nil, rec)
	if err != nil {
		panic(err)
	}
	return out
}

// remember notes what every table holds at the end of the open slice. What a parked table has is of no use to its next
// base: that is made of the rows of a new load.
func (g *genSource) remember() {
	if g.rng == nil {
		return
	}
	if g.after == nil {
		g.after = map[sliceID]map[string]map[int64]int64{}
	}
	now := map[string]map[int64]int64{}
	for topic := range g.logs {
		if g.parked[topic] != "" {
			delete(g.content, topic)
		}
		now[topic] = maps.Clone(g.content[topic])
	}
	g.after[newSliceID(g.start, g.start.Add(g.length), g.slice)] = now
}

// takeover writes a new owner's markers.
func (g *genSource) takeover() {
	g.epoch++
	for topic, parts := range g.logs {
		for p := range parts {
			g.put(topic, p, ingest.Header{Kind: ingest.EpochRecord, Epoch: g.epoch}, ingest.Seal{})
		}
	}
}

// generate fills a source with some windows of random content.
func (g *genSource) generate(rng *rand.Rand, windows int) {
	topics := []string{g.table("t0", 1+rng.IntN(3))}
	for w := range windows {
		if w > 0 && rng.IntN(4) == 0 {
			topics = append(topics, g.table(fmt.Sprintf("t%d", len(topics)), 1+rng.IntN(2)))
		}
		for range 1 + rng.IntN(3) {
			for _, t := range topics {
				for p := range g.logs[t] {
					for range rng.IntN(3) {
						g.batch(t, p, 1+rng.Int64N(5))
					}
				}
				switch {
				case rng.IntN(2) == 0 && g.parked[t] == "" && g.loads[t] == 0:
					g.loads[t]++
				case rng.IntN(12) == 0 && g.parked[t] == "":
					g.parked[t] = "ALTER that cannot be followed"
				case rng.IntN(3) == 0 && g.parked[t] != "":
					delete(g.parked, t)
					g.loads[t] += rng.IntN(2)
				}
			}
			if rng.IntN(5) == 0 {
				g.takeover()
			}
			if g.resyncs && rng.IntN(7) == 0 {
				if rng.IntN(3) == 0 {
					g.beginAnew(rng)
				} else {
					g.anew(topics[rng.IntN(len(topics))])
				}
			}
			if rng.IntN(3) == 0 {
				g.seal(false)
			}
		}
		g.seal(true)
	}
}

// feeder hands the records of several sources to an order in a random interleaving.
type feeder struct {
	o      *order
	gens   []*genSource
	queues [][]genRecord
	rng    *rand.Rand
	eager  bool // registries known from the start
}

func newFeeder(t *testing.T, f Fence, rng *rand.Rand, eager bool, gens ...*genSource) *feeder {
	t.Helper()
	var names []string
	for _, g := range gens {
		names = append(names, g.name)
	}
	fd := &feeder{o: newOrder(f, names, func(string, ingest.TableName) bool { return true }), gens: gens, rng: rng, eager: eager}
	for _, g := range gens {
		for i, r := range g.versions {
			if known := r.Version <= f.Cut[g.name].Registry; i == 0 || eager || known {
				fd.learn(t, r)
			}
		}
	}
	return fd
}

func (f *feeder) learn(t *testing.T, r *ingest.Registry) {
	t.Helper()
	parts, err := f.o.learn(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		for _, g := range f.gens {
			if g.name == r.Source {
				f.queues = append(f.queues, g.logs[p.topic][p.partition][p.offset:])
			}
		}
	}
}

// one feeds one record of a random partition; false when there is none left.
func (f *feeder) one(t *testing.T) bool {
	t.Helper()
	f.queues = slices.DeleteFunc(f.queues, func(q []genRecord) bool { return len(q) == 0 })
	if len(f.queues) == 0 {
		return false
	}
	i := f.rng.IntN(len(f.queues))
	r := f.queues[i][0]
	f.queues[i] = f.queues[i][1:]
	if _, _, err := f.o.take(r.source, position{r.topic, r.partition, r.offset}, &r.h, r.seal); err != nil {
		t.Fatal(err)
	}
	return true
}

// steps runs the order to its end and returns what it decided.
func (f *feeder) steps(t *testing.T) []*plannedStep {
	t.Helper()
	var out []*plannedStep
	for {
		more := f.one(t)
		for f.rng.IntN(3) == 0 || !more {
			st, _, need, err := f.o.next()
			if err != nil {
				t.Fatal(err)
			}
			learned := false
			for _, g := range f.gens {
				if v := need[g.name]; v > 0 {
					f.learn(t, g.versions[v-1])
					learned, more = true, true
				}
			}
			if st == nil {
				if learned {
					continue
				}
				break
			}
			out = append(out, st)
			f.o.done(st)
		}
		if !more {
			return out
		}
	}
}

// describe writes a step as text, one fact a line, for comparison.
func describe(st *plannedStep) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.%d final=%v publish=%v base=%v rows=%d\n", st.step.Start.Format("15:04"), st.step.Slice, st.step.Final, st.publish, st.base, st.rows)
	for _, topic := range slices.SortedFunc(maps.Keys(st.topics), cmp.Compare[string]) {
		ts := st.topics[topic]
		fmt.Fprintf(&b, "  %s %s rows=%d upTo=%s", topic, ts.fate, ts.rows, ts.upTo)
		if ts.dropped != nil {
			fmt.Fprintf(&b, " dropped=%s", ts.dropped)
		}
		b.WriteByte('\n')
	}
	for _, s := range slices.Sorted(maps.Keys(st.cut)) {
		c := st.cut[s]
		fmt.Fprintf(&b, "  cut %s %s %s.%d final=%v epoch=%d registry=%d", s, c.Position, c.Window.Format("15:04"), c.Slice, c.Final, c.Epoch, c.Registry)
		for _, topic := range slices.Sorted(maps.Keys(c.Topics)) {
			fmt.Fprintf(&b, " %s=%v", topic, c.Topics[topic])
		}
		fmt.Fprintf(&b, " held=%v\n", c.Held)
	}
	return b.String()
}
