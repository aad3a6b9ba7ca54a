package window

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a pipeline's world: a broker with a hand-made log, a store, a warehouse that checks every commit against the
// generators' model, and a local folder.
type bench struct {
	gens   []*genSource
	kafka  kafka.Config
	client *kafka.Client
	sink   *memSink
	store  Store
	dir    string
	sent   map[string]map[int]int // records appended, by topic and partition
	sick   bool                   // values that end in 7 are bad, and go into quarantine
}

func newBench(t testing.TB, gens ...*genSource) *bench {
	t.Helper()
	broker, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{gens: gens, kafka: broker.Config(), sink: newMemSink(), store: dirStore{filepath.Join(t.TempDir(), "lake")}, dir: filepath.Join(t.TempDir(), "local"), sent: map[string]map[int]int{}}
	if b.client, err = kafka.New(b.kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.client.Close()
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	topics := []kafka.Topic{{Name: kafka.ClaimsTopic, Partitions: 1, Replication: 1}, {Name: ingest.RegistryTopic, Partitions: 1, Replication: 1, Compacted: true}}
	if err := kafka.EnsureTopics(t.Context(), b.client, topics...); err != nil {
		t.Fatal(err)
	}
	b.sink.check = b.check
	return b
}

// append brings what the generators have made so far into the log.
func (b *bench) append(t testing.TB) {
	t.Helper()
	var records []*kgo.Record
	for _, g := range b.gens {
		for _, r := range g.versions[b.sentOf("registry/" + g.name)[0]:] {
			v, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, &kgo.Record{Topic: ingest.RegistryTopic, Key: []byte(fmt.Sprintf("%s/%d", r.Source, r.Version)), Value: v})
			b.sent["registry/"+g.name][0]++
		}
		for topic, parts := range g.logs {
			if len(b.sentOf(topic)) == 0 {
				if err := kafka.EnsureTopics(t.Context(), b.client, kafka.Topic{Name: topic, Partitions: len(parts), Replication: 1}); err != nil {
					t.Fatal(err)
				}
			}
			for p, log := range parts {
				for _, r := range log[b.sent[topic][p]:] {
					payload := r.payload
					if r.h.Kind == ingest.SealRecord {
						var err error
						if payload, err = json.Marshal(r.seal); err != nil {
							t.Fatal(err)
						}
					}
					rec := &kgo.Record{Topic: topic, Partition: int32(p), Value: ingest.AppendRecord(nil, &r.h, payload)}
					if r.h.Kind == ingest.BatchRecord {
						parent := fmt.Sprintf("00-%032x-%016x-01", r.offset+1, p+1)
						rec.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte(parent)}}
					}
					records = append(records, rec)
				}
				b.sent[topic][p] = len(log)
			}
		}
	}
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) sentOf(topic string) map[int]int {
	if b.sent[topic] == nil {
		b.sent[topic] = map[int]int{}
	}
	return b.sent[topic]
}

func (b *bench) names() []string {
	var out []string
	for _, g := range b.gens {
		out = append(out, g.name)
	}
	return out
}

func (b *bench) config() Config {
	cfg := Config{
		Name: "care", Owner: "test", Sources: b.names(), Wants: func(string, ingest.TableName) bool { return true }, Plan: planAll(b.names()...),
		Kafka: b.kafka, Store: b.store, Sink: b.sink, Dir: b.dir, Tracer: tracenoop.Tracer{}, Meter: metricnoop.Meter{}, Grace: time.Second, open: openMem,
	}
	if b.sick {
		cfg.MaxQuarantine = 1000
	}
	return cfg
}

// until runs a pipeline until the fence stands at the step, and no further, or until it fails.
func (b *bench) until(t *testing.T, cfg Config, want Step) error {
	t.Helper()
	b.sink.holdAt(&want)
	defer b.sink.holdAt(nil)
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case err := <-done:
			if err == nil {
				err = errors.New("the pipeline ended by itself")
			}
			return err
		case <-deadline:
			cancel()
			<-done
			t.Fatalf("step %s was not published: %+v", want, p.Status())
		case <-tick.C:
			if p.Status().Published.same(want) && b.sink.at(cfg.Name).same(want) {
				cancel()
				return <-done
			}
		}
	}
}

func (m *memSink) at(pipeline string) Step {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.fences[pipeline]; f != nil {
		return f.Step
	}
	return Step{}
}

// check is the oracle: every live table equals its source at the cut, a held one has not moved, the view is the join of
// what its inputs hold, and steps follow each other.
func (b *bench) check(before, after map[string]map[int64][]any, p *Publication) error {
	state := map[string]map[int64]int64{}
	live := map[string]bool{}
	for _, g := range b.gens {
		c, begun := p.Cut[g.name]
		if !begun {
			continue
		}
		truth := g.after[newSliceID(c.Window, c.End, c.Slice)]
		for topic := range c.Topics {
			table := "raw_" + g.name + "." + topic[len("tm."+g.name+".s."):]
			if _, held := c.Held[topic]; held {
				if !reflect.DeepEqual(before[table], after[table]) {
					return fmt.Errorf("%s: the held table %s moved", p.Step, table)
				}
				continue
			}
			live[topic], state[topic] = true, truth[topic]
			want := map[int64][]any{}
			for id, v := range truth[topic] {
				want[id] = []any{v}
			}
			if err := b.same(p.Step, WarehouseTable{"raw_" + g.name, table[len("raw_"+g.name+"."):]}, after[table], want); err != nil {
				return err
			}
		}
	}
	if len(b.gens) < 2 {
		return nil
	}
	first, second := b.gens[0].versions[0].Tables[0].Topic, b.gens[1].versions[0].Tables[0].Topic
	if !live[first] || !live[second] {
		if !reflect.DeepEqual(before["mart.pairs"], after["mart.pairs"]) {
			return fmt.Errorf("%s: the view moved though an input is held", p.Step)
		}
		return nil
	}
	want := map[int64][]any{}
	for id, v := range state[first] {
		want[id] = []any{v, nil}
		if w, ok := state[second][id]; ok {
			want[id][1] = w
		}
	}
	return b.same(p.Step, WarehouseTable{"mart", "pairs"}, after["mart.pairs"], want)
}

// same compares a table with the rows that it should have, less those that should be in quarantine.
func (b *bench) same(s Step, t WarehouseTable, got, want map[int64][]any) error {
	bad := 0
	for id, row := range want {
		if !slices.ContainsFunc(row, func(v any) bool { n, is := v.(int64); return b.sick && is && sickValue(&n) }) {
			continue
		}
		bad++
		if _, in := b.sink.next[t][fmt.Sprintf("[%d]", id)]; !in {
			return fmt.Errorf("%s: row %d of %s is not in quarantine", s, id, t)
		}
		delete(want, id)
	}
	if n := len(b.sink.next[t]); n != bad {
		return fmt.Errorf("%s: %d rows of %s are in quarantine, want %d", s, n, t, bad)
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: %s holds %v, want %v", s, t, got, want)
	}
	return nil
}

// published checks that the history is exactly the steps that the pure order decides, each once, each after the one
// before, and returns the hashes.
func (b *bench) published(t *testing.T, want []*plannedStep) []string {
	t.Helper()
	var hashes []string
	var prev Step
	i := 0
	for _, st := range want {
		if !st.publish {
			continue
		}
		if i >= len(b.sink.history) {
			t.Fatalf("%d steps published, %s is missing", i, st.step)
		}
		p := b.sink.history[i]
		i++
		if !p.Step.same(st.step) || !p.Prev.same(prev) {
			t.Fatalf("publish %d is %s after %s, want %s after %s", i, p.Step, p.Prev, st.step, prev)
		}
		for name, c := range st.cut {
			if got := p.Cut[name]; fmt.Sprint(got.Held, got.Topics, got.Position) != fmt.Sprint(c.Held, c.Topics, c.Position) {
				t.Fatalf("publish %s has the cut %v, want %v", p.Step, got, c)
			}
		}
		prev = p.Step
		hashes = append(hashes, p.Hash)
	}
	if i != len(b.sink.history) {
		t.Fatalf("%d steps published, want %d", len(b.sink.history), i)
	}
	return hashes
}

// world makes generators with content and the steps they lead to.
func world(t *testing.T, seed uint64, sources, windows int) ([]*genSource, []*plannedStep) {
	t.Helper()
	return worldWith(t, seed, sources, windows, false)
}

// worldWith is world, in which tables are loaded anew at random when resyncs is set.
func worldWith(t *testing.T, seed uint64, sources, windows int, resyncs bool) ([]*genSource, []*plannedStep) {
	t.Helper()
	for ; ; seed += 1000 {
		rng := rand.New(rand.NewPCG(seed, 11))
		var gens []*genSource
		for i := range sources {
			g := newGen(string(rune('a'+i)), t0.Add(time.Duration(rng.IntN(2))*minute15))
			g.rng, g.resyncs = rng, resyncs
			g.generate(rng, windows)
			gens = append(gens, g)
		}
		steps := decideAll(t, seed, gens...)
		if n := len(steps); n > 2 && steps[n-1].publish && steps[n/2].publish {
			return gens, steps
		}
	}
}

func last(steps []*plannedStep) Step { return steps[len(steps)-1].step }

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func localFiles(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// claim moves the payload of a batch into the store, or in its place what is given.
func (b *bench) claim(t *testing.T, r *genRecord, instead []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "batch")
	sum, text := sha256.Sum256(r.payload), r.payload
	if instead != nil {
		text = instead
	}
	writeFile(t, path, string(text))
	if err := b.store.Put(t.Context(), "_claims/a/1", path); err != nil {
		t.Fatal(err)
	}
	claim, err := json.Marshal(ingest.Claim{Key: "_claims/a/1", SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(r.payload))})
	if err != nil {
		t.Fatal(err)
	}
	r.payload, r.h.Flags = claim, ingest.FlagClaim
}
