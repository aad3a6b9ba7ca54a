package window

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/kgo"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/window/view"
)

// The log of these tests: charges, wide rows in three partitions, of which one window is larger than the budget of 32 MiB,
// and patients in two. Their views hold what likes to depend on the order of rows: sums of doubles, joined texts, ranks.
const (
	sameCharges  = 21_000 // in the first window, of about 2 kB
	samePatients = 150
)

// sameViews by name: aggregates over thousands of rows, and a rank within each patient.
var sameViews = map[string]string{
	"bills": `SELECT p.id, p.v, COUNT(c.id) AS n, SUM(c.f) AS total, AVG(c.f) AS mean, string_agg(substr(c.t, 1, 9), ',') AS notes
 FROM a.patients p LEFT JOIN a.charges c ON c.v = p.id GROUP BY p.id, p.v`,
	"ranks": `SELECT p.id, c.id AS charge, c.f, p.v, RANK() OVER (PARTITION BY p.id ORDER BY c.f DESC NULLS LAST, c.id) AS place
 FROM a.patients p JOIN a.charges c ON c.v = p.id`,
}

var sameKeys = map[string][]string{"bills": {"id"}, "ranks": {"id", "charge"}}

func chargeSchema() ingest.Schema {
	s := genSchema("charges")
	s.Columns = append(s.Columns, ingest.Column{Name: "f", Type: ingest.Type{Kind: ingest.Float64}, Nullable: true},
		ingest.Column{Name: "t", Type: ingest.Type{Kind: ingest.Text}, Nullable: true}, ingest.Column{Name: "d", Type: ingest.Type{Kind: ingest.Decimal, Precision: 38, Scale: 10}, Nullable: true})
	return s
}

// sameLog is three windows: a first load, a window in two slices with an owner that changes in between, and a large one.
func sameLog() *genSource {
	g := newGen("a", t0)
	charges, patients := g.table("charges", 3), g.table("patients", 2)
	for _, r := range g.versions {
		for i := range r.Tables {
			if r.Tables[i].Topic == charges {
				r.Tables[i].Schema = chargeSchema()
			}
		}
	}
	rng := rand.New(rand.NewPCG(8, 9))
	g.loads[charges], g.loads[patients] = 1, 1
	g.patients(rng, patients, samePatients)
	g.charges(rng, charges, 0, sameCharges)
	g.seal(true)
	g.charges(rng, charges, 500, 900)
	g.seal(false)
	g.takeover()
	g.patients(rng, patients, 40)
	g.charges(rng, charges, 900, 1200)
	g.seal(true)
	g.charges(rng, charges, 1000, 9000)
	g.patients(rng, patients, 90)
	g.seal(true)
	return g
}

// charges changes the charges from an id to another, in batches of a few hundred; every fifth row is changed twice, and
// every seventh deleted once there is something to delete.
func (g *genSource) charges(rng *rand.Rand, topic string, from, to int) {
	s, parts := chargeSchema(), len(g.logs[topic])
	builders := make([]*ingest.Builder, parts)
	for p := range builders {
		builders[p] = ingest.NewBuilder(&s)
	}
	row := func(b *ingest.Builder, id int, op ingest.Op) {
		b.Cols[0].Int64(int64(id))
		if op == ingest.Delete {
			for c := 1; c < len(b.Cols); c++ {
				b.Cols[c].Null()
			}
			b.End(op)
			return
		}
		b.Cols[1].Int64(rng.Int64N(samePatients))
		// Of such sizes that a sum in another order has other last bits.
		b.Cols[2].Float64(math.Ldexp(rng.Float64()-0.5, rng.IntN(60)))
		b.Cols[3].Bytes([]byte(fmt.Sprintf("%x %s", rng.Uint64(), strings.Repeat("seen é ", 120+rng.IntN(250)))))
		b.Cols[4].Decimal(-rng.Int64N(1000), rng.Uint64())
		b.End(op)
	}
	send := func(p int) {
		if n := builders[p].Rows(); n > 0 {
			payload, err := ingest.EncodeBatch(nil, builders[p].Record())
			if err != nil {
				panic(err)
			}
			g.raw(topic, p, int64(n), payload, s.Fingerprint())
			builders[p].Reset()
		}
	}
	for id := from; id < to; id++ {
		p := id % parts
		row(builders[p], id, ingest.Upsert)
		if id%5 == 0 {
			row(builders[p], id, ingest.Upsert)
		}
		if id%7 == 0 && from > 0 {
			row(builders[p], id, ingest.Delete)
		}
		if builders[p].Rows() > 300+p*50 {
			send(p)
		}
	}
	for p := range builders {
		send(p)
	}
}

// patients changes n random patients; the first time they are all there.
func (g *genSource) patients(rng *rand.Rand, topic string, n int) {
	s, parts := genSchema("patients"), len(g.logs[topic])
	for p := range parts {
		b := ingest.NewBuilder(&s)
		for i := range n {
			id := i
			if n < samePatients {
				id = rng.IntN(samePatients)
			}
			if id%parts == p {
				b.Cols[0].Int64(int64(id))
				b.Cols[1].Int64(rng.Int64N(1000))
				b.End(ingest.Upsert)
			}
		}
		payload, err := ingest.EncodeBatch(nil, b.Record())
		if err != nil {
			panic(err)
		}
		g.raw(topic, p, int64(b.Rows()), payload, s.Fingerprint())
	}
}

// raw appends a batch with a payload that is made already.
func (g *genSource) raw(topic string, p int, rows int64, payload []byte, print uint64) {
	g.batch(topic, p, rows)
	last := &g.logs[topic][p][len(g.logs[topic][p])-1]
	last.payload, last.h.Fingerprint = payload, print
}

// planSame replicates both tables and plans the views.
func planSame(ctx context.Context, registries map[string]*ingest.Registry) (*Plan, error) {
	p := &Plan{}
	var tables []view.Table
	for _, t := range registries["a"].Tables {
		p.Replicas = append(p.Replicas, Replica{t.Topic, WarehouseTable{"raw_a", t.Schema.Table.Name}})
		tables = append(tables, view.Table{Input: t.Topic, Source: "a", Schema: &t.Schema})
	}
	for _, name := range slices.Sorted(maps.Keys(sameViews)) {
		v, err := view.Compile(ctx, view.Spec{Name: name, SQL: sameViews[name], Key: sameKeys[name]}, tables)
		if err != nil {
			return nil, err
		}
		p.Views = append(p.Views, JoinedView{Table: WarehouseTable{"mart", name}, View: v})
	}
	return p, nil
}

// witness is a warehouse that reads every part itself: it keeps, for each publish, the manifest's hash and a digest of the
// rows in their order.
type witness struct {
	*memSink
	seen []string
	rows int
}

func (w *witness) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.fences[p.Pipeline]
	if f.Epoch != p.Epoch || !f.Step.same(p.Prev) {
		return ErrFenced
	}
	if w.hold != nil && f.Step.same(*w.hold) {
		return errors.New("a test holds the warehouse at this step")
	}
	digest := sha256.New()
	tables := slices.Clone(p.Manifest.Tables)
	slices.SortFunc(tables, func(a, b TableLoad) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	for _, t := range tables {
		fmt.Fprintln(digest, t.Table, t.Replace, t.Upserts, t.Deletes)
		for _, part := range t.Parts {
			path, err := local(ctx, part)
			if err != nil {
				return err
			}
			if sum, _, err := hashFile(path); err != nil || sum != part.SHA256 {
				return fmt.Errorf("the part is of the hash %s, the manifest says %s: %w", sum, part.SHA256, err)
			}
			err = parquet.Read(ctx, path, parquet.Schema{Columns: t.Columns, Op: true}, func(b arrow.RecordBatch) error {
				for i := range int(b.NumRows()) {
					for _, c := range b.Columns() {
						fmt.Fprintf(digest, "%s|", c.ValueStr(i))
					}
				}
				w.rows += int(b.NumRows())
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	f.Step, f.Cut, f.Manifest = p.Step, p.Cut.clone(), p.Hash
	w.history = append(w.history, p)
	w.seen = append(w.seen, fmt.Sprintf("%s manifest %.12s rows %.12s", p.Step, p.Hash, hex.EncodeToString(digest.Sum(nil))))
	return nil
}

// sameRun is one way to run the same log.
type sameRun struct {
	log    *genSource
	change func(*Config)
	spills bool // must spill, or it shows nothing
}

// publishes runs the log to its end and returns what was published.
func (r sameRun) publishes(t *testing.T) []string {
	t.Helper()
	b := newBench(t, r.log)
	b.append(t)
	w, cfg, spilled := r.prepared(b)
	if err := b.until(t, cfg, sameEnd(r.log)); err != nil {
		t.Fatal(err)
	}
	if n := spilled(t); (n > 0) != r.spills {
		t.Errorf("%d bytes were spilled, spills should be %v", n, r.spills)
	}
	return w.seen
}

func (r sameRun) prepared(b *bench) (w *witness, cfg Config, spilled func(*testing.T) int64) {
	cfg = b.config()
	cfg.open, cfg.StateMemory, cfg.StateThreads, cfg.Plan = openState, 256<<20, 2, planSame
	reader := sdkmetric.NewManualReader()
	cfg.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	w = &witness{memSink: b.sink}
	cfg.Sink = w
	if r.change != nil {
		r.change(&cfg)
	}
	return w, cfg, func(t *testing.T) int64 {
		var got metricdata.ResourceMetrics
		if err := reader.Collect(context.WithoutCancel(t.Context()), &got); err != nil {
			t.Fatal(err)
		}
		return counted(got, telemetry.MetricWindowSpilled)
	}
}

// sameEnd is the last step of the log, which is final.
func sameEnd(g *genSource) Step {
	return Step{Start: g.start.Add(-g.length), End: g.start, Final: true}
}

// Guarantee 3 on the engine that pipelines run on: with other batches, another order of partitions, other budgets, another
// number of threads, the same rows in the same order, and the same manifests.
func TestSameLogSameRows(t *testing.T) {
	log := sameLog()
	want := sameRun{log: log}.publishes(t)
	if len(want) != 4 || len(slices.Compact(slices.Clone(want))) != 4 {
		t.Fatalf("the log leads to %q, want four publishes", want)
	}
	follow := func(order func(queues int) int) func(*Config) {
		return func(c *Config) {
			e := *kafkaEnv(c.Kafka)
			inner := e.follow
			e.follow = func() (follower, error) {
				f, err := inner()
				return &dealt{follower: f, order: order, held: map[partitionName][]*kgo.Record{}}, err
			}
			c.env = &e
		}
	}
	rng := rand.New(rand.NewPCG(4, 4))
	runs := map[string]sameRun{
		"batches of 37 rows":                   {log: log.cut(37)},
		"small fetches":                        {log: log, change: func(c *Config) { c.Kafka.Options = []kgo.Opt{kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1)} }},
		"first partitions first":               {log: log, change: follow(func(int) int { return 0 })},
		"last partitions first":                {log: log.cut(100), change: follow(func(n int) int { return n - 1 })},
		"partitions in a random order":         {log: log, change: follow(rng.IntN)},
		"32 MiB":                               {log: log, change: func(c *Config) { c.Memory = 32 << 20 }, spills: true},
		"1 MiB, other batches":                 {log: log.cut(61), change: func(c *Config) { c.Memory = 1 << 20 }, spills: true},
		"everything spilled, one thread":       {log: log, change: func(c *Config) { c.Memory, c.StateThreads = 1, 1 }, spills: true},
		"128 MiB of state, four threads":       {log: log, change: func(c *Config) { c.StateMemory, c.StateThreads = 128<<20, 4 }},
		"one thread":                           {log: log, change: func(c *Config) { c.StateThreads = 1 }},
		"everything at once, partitions mixed": {log: log.cut(23), change: func(c *Config) { follow(rng.IntN)(c); c.Memory, c.StateMemory, c.StateThreads = 8<<20, 128<<20, 3 }, spills: true},
	}
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		t.Run(name, func(t *testing.T) { sameAs(t, want, runs[name].publishes(t)) })
	}
	t.Logf("%d ways, %d publishes each:\n%s", len(runs)+1, len(want), strings.Join(want, "\n"))
}

// The same with the local disk lost after each step in turn: what a snapshot and the rest of the log lead to is what a run
// that was never disturbed has published.
func TestSameRowsFromSnapshots(t *testing.T) {
	log := sameLog()
	want := sameRun{log: log}.publishes(t)
	steps := []Step{step(0, 0, true), step(15, 0, false), step(15, 1, true)}
	for i, at := range steps {
		t.Run(at.String(), func(t *testing.T) {
			b := newBench(t, log)
			b.append(t)
			few := func(c *Config) { c.SnapshotEvery, c.Memory, c.StateThreads = 1, 32<<20, 1+i }
			w, cfg, _ := sameRun{log: log, change: few}.prepared(b)
			b.sink.holdAt(&at)
			p, stop := b.start(t, cfg)
			eventually(t, "the step is published", func() bool { return p.Status().Published.same(at) })
			if at.Final {
				eventually(t, "the state is saved", func() bool { return len(snapshotsOf(t, b, at)) > 0 })
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			removeAll(t, b.dir)
			b.sink.holdAt(nil)
			restored := &effects{}
			cfg.open = openState
			if err := b.until(t, restored.with(cfg), sameEnd(log)); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(restored.done, "restore") {
				t.Errorf("nothing was restored: %v", restored.done)
			}
			sameAs(t, want, w.seen)
		})
	}
}

func snapshotsOf(t *testing.T, b *bench, s Step) (out []string) {
	t.Helper()
	prefix := fmt.Sprintf("care/%s/w=%s.k=%d/", stateFolder, stamp(s.Start), s.Slice)
	err := b.store.List(t.Context(), prefix, func(key string, _ int64, _ time.Time) error {
		if strings.HasSuffix(key, describing) {
			out = append(out, key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameAs(t *testing.T, want, got []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("published\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// dealt gives the records of a follower partition by partition, in an order of its own: it takes what there is, and then
// gives some of the partition that order chooses among those of which it holds records.
type dealt struct {
	follower
	order func(queues int) int
	held  map[partitionName][]*kgo.Record
	names []partitionName // of held, as they came
}

// dealSilence is how long nothing must come before dealing begins: by then the log has been read.
const dealSilence = 30 * time.Millisecond

func (d *dealt) PollRecords(ctx context.Context, most int) kgo.Fetches {
	for {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if len(d.names) > 0 {
			wait, cancel = context.WithTimeout(ctx, dealSilence)
		}
		got := d.follower.PollRecords(wait, most)
		quiet := wait.Err() != nil && ctx.Err() == nil
		cancel()
		if !quiet && len(got.Errors()) > 0 || ctx.Err() != nil {
			return got
		}
		got.EachRecord(func(r *kgo.Record) {
			at := partitionName{r.Topic, int(r.Partition)}
			if len(d.held[at]) == 0 {
				d.names = append(d.names, at)
			}
			d.held[at] = append(d.held[at], r)
		})
		if quiet && len(d.names) > 0 {
			return d.deal(most)
		}
	}
}

func (d *dealt) deal(most int) kgo.Fetches {
	slices.SortFunc(d.names, func(a, b partitionName) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	i := d.order(len(d.names))
	at := d.names[i]
	all := d.held[at]
	n := min(len(all), most)
	if d.held[at] = all[n:]; n == len(all) {
		d.names = slices.Delete(d.names, i, i+1)
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: at.topic, Partitions: []kgo.FetchPartition{{Partition: int32(at.partition), Records: all[:n]}}}}}}
}

// PurgeTopicsFromClient also forgets what was not given yet.
func (d *dealt) PurgeTopicsFromClient(topics ...string) {
	d.follower.PurgeTopicsFromClient(topics...)
	d.names = slices.DeleteFunc(d.names, func(n partitionName) bool { return slices.Contains(topics, n.topic) })
	maps.DeleteFunc(d.held, func(n partitionName, _ []*kgo.Record) bool { return slices.Contains(topics, n.topic) })
}
