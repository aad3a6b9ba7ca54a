package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/sim"
)

func embedded(t testing.TB, dir string) *kafka.Embedded {
	t.Helper()
	e, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// readLog brings a source's topics from a broker into the form that the checker takes.
func readLog(ctx context.Context, cfg kafka.Config, source string) (map[string][][]sim.Record, error) {
	cl, err := kafka.New(cfg)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	names, err := kafka.Topics(ctx, cl, "tm."+source+".")
	if err != nil {
		return nil, err
	}
	bounds, err := kafka.Offsets(ctx, cl, append(names, RegistryTopic)...)
	if err != nil {
		return nil, err
	}
	out := map[string][][]sim.Record{}
	for topic, parts := range bounds {
		out[topic] = make([][]sim.Record, len(parts))
		for p, b := range parts {
			err := kafka.ReadPartition(ctx, cfg, topic, p, b.Start, b.End, func(r *kgo.Record) error {
				out[topic][p] = append(out[topic][p], sim.Record{Key: string(r.Key), Value: bytes.Clone(r.Value)})
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// flaky ends an owner's appends at a random record, some of which the broker takes all the same.
func flaky(e env, rng *rand.Rand, crashAt int) env {
	var mu sync.Mutex
	cut := map[sim.Lane]bool{}
	inner := e.append
	e.append = func(ctx context.Context, x entry, done func(int64, error)) {
		mu.Lock()
		crashAt--
		dead, at := crashAt < 0, sim.Lane{Topic: x.topic, Partition: x.partition}
		cut[at] = cut[at] || dead && rng.IntN(2) == 0
		lost := cut[at] // and nothing of the partition follows
		mu.Unlock()
		switch {
		case lost:
			done(0, errCrash)
		case dead:
			inner(ctx, x, func(int64, error) { done(0, errCrash) })
		default:
			inner(ctx, x, done)
		}
	}
	return e
}

// The same as the simulation, over the Kafka protocol: owners are cut off from the embedded broker at random records, with
// requests in flight, and others take over.
func TestCrashesOnTheEmbeddedBroker(t *testing.T) {
	cfg := embedded(t, t.TempDir()).Config()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for s := range uint64(5) {
		rng := rand.New(rand.NewPCG(s, 7))
		h, source := newHistory(rng), fmt.Sprintf("src%d", s)
		owners := 0
		for ; owners < 12; owners++ {
			crashAt := rng.IntN(30 * (owners + 1))
			if owners > 8 {
				crashAt = 1 << 30
			}
			err := ownOnce(ctx, cfg, source, h, rand.New(rand.NewPCG(s, uint64(owners))), crashAt)
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("seed %d: owner %d: %v", s, owners, err)
			}
		}
		topics, err := readLog(ctx, cfg, source)
		if err == nil {
			mine := topics[RegistryTopic][0][:0]
			for _, r := range topics[RegistryTopic][0] {
				if bytes.HasPrefix([]byte(r.Key), []byte(source+"/")) {
					mine = append(mine, r)
				}
			}
			topics[RegistryTopic][0] = mine
			err = checkLog(source, topics, h, simPartitions)
		}
		if err != nil {
			t.Errorf("seed %d after %d owners: %v", s, owners+1, err)
		}
	}
}

func ownOnce(ctx context.Context, cfg kafka.Config, source string, h *history, rng *rand.Rand, crashAt int) error {
	var now atomic.Int64
	now.Store(h.start.UnixMicro())
	c := simConfig(rng, &now, h.window)
	c.Source, c.Kafka = source, cfg
	e, err := kafkaEnv(cfg, c.MaxBuffered)
	if err != nil {
		return err
	}
	defer e.close()
	return stream(ctx, c, flaky(e, rand.New(rand.NewPCG(rng.Uint64(), 0)), crashAt), &simSource{h: h, rng: rng, now: &now, pack: 2})
}

// Two owners at once: the first one is told and stops, the second one's log is whole.
func TestSupersededOwnerStops(t *testing.T) {
	cfg := embedded(t, "").Config()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, second := newClinic(50_000), newClinic(20_000)
	g, err := grid.New(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	base := Config{Source: "clinic", Owner: "first", Grid: g, Kafka: cfg, Partitions: 2}
	begun := make(chan struct{})
	first.at = func(n int) {
		if n == 1000 {
			close(begun)
		}
	}
	first.forever = true
	ended := make(chan error, 1)
	go func() { ended <- Stream(ctx, base, first) }()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("the first owner ended with %v", err)
	}
	base.Owner = "second"
	if err := Stream(ctx, base, second); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrSuperseded) {
		t.Errorf("the first owner ended with %v, want ErrSuperseded", err)
	}
}

// folderStore is a ClaimStore that refuses an existing key, as the lake does.
type folderStore string

func (f folderStore) Put(_ context.Context, key, path string) error {
	to := filepath.Join(string(f), filepath.FromSlash(key))
	if _, err := os.Stat(to); err == nil {
		return fs.ErrExist
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// Rows over the record limit go to the object store, the rest of their batch does not; the span of the flush is in the
// headers of its records.
func TestLargeRowsAndTraces(t *testing.T) {
	cfg := embedded(t, "").Config()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, err := grid.New(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	store := folderStore(t.TempDir())
	c := Config{Source: "big", Owner: "test", Grid: g, Kafka: cfg, Partitions: 1, Claims: store, Dir: t.TempDir(), Tracer: tracer}
	src := newClinic(40)
	src.value = func(n int) int { return []int{10, 2_000_000, 400_000}[n%3] }
	src.perGroup = 40
	if err := Stream(ctx, c, src); err != nil {
		t.Fatal(err)
	}
	topics, err := readLog(ctx, cfg, "big")
	if err != nil {
		t.Fatal(err)
	}
	next, claims := int64(1), 0
	for _, r := range topics["tm.big.db.clinic"][0] {
		h, payload, err := ParseRecord(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if h.Kind != BatchRecord {
			continue
		}
		if h.Seq != next {
			t.Fatalf("seq %d after %d", h.Seq, next-1)
		}
		next += h.Rows
		if len(payload) > maxPayload {
			t.Errorf("a payload of %d bytes is in the log", len(payload))
		}
		if h.Flags&FlagClaim != 0 {
			claims++
			claim, err := ParseClaim(payload)
			if err != nil {
				t.Fatal(err)
			}
			payload, err = os.ReadFile(filepath.Join(string(store), filepath.FromSlash(claim.Key)))
			if err != nil || int64(len(payload)) != claim.Bytes || h.Rows != 1 {
				t.Fatalf("claim of %d rows, %d bytes, %d stored: %v", h.Rows, claim.Bytes, len(payload), err)
			}
		}
		rec, err := DecodeBatch(payload)
		if err != nil || rec.NumRows() != h.Rows {
			t.Fatalf("batch at seq %d: %v", h.Seq, err)
		}
		rec.Release()
	}
	if next != 41 || claims != 13 {
		t.Errorf("%d rows and %d claims, want 40 and 13", next-1, claims)
	}
	if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
	checkTraces(ctx, t, cfg, spans)

	c.Claims, c.Source = nil, "small"
	if err := Stream(ctx, c, src); err == nil || !bytes.Contains([]byte(err.Error()), []byte("set store")) {
		t.Errorf("without a store: %v", err)
	}
}

func checkTraces(ctx context.Context, t *testing.T, cfg kafka.Config, spans *tracetest.InMemoryExporter) {
	t.Helper()
	known := map[string]bool{}
	for _, s := range spans.GetSpans() {
		known["00-"+s.SpanContext.TraceID().String()+"-"+s.SpanContext.SpanID().String()+"-01"] = true
	}
	cl, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	bounds, err := kafka.Offsets(ctx, cl, "tm.big.db.clinic")
	if err != nil {
		t.Fatal(err)
	}
	linked := 0
	err = kafka.ReadPartition(ctx, cfg, "tm.big.db.clinic", 0, 0, bounds["tm.big.db.clinic"][0].End, func(r *kgo.Record) error {
		for _, h := range r.Headers {
			if h.Key != "traceparent" || !known[string(h.Value)] {
				return fmt.Errorf("header %s is of no span", h.Key)
			}
			linked++
		}
		return nil
	})
	if err != nil || linked == 0 {
		t.Errorf("%d linked records: %v", linked, err)
	}
}
