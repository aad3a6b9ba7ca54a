package window

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tidemill/tidemill/internal/telemetry"
)

// One trace per step, with its stages as children, links to the source's batches, and the numbers that tell where the
// time went. Metrics count what was dropped. Nothing holds a row value (guarantee 6).
func TestTelemetry(t *testing.T) {
	a := newGen("a", t0)
	a.rng = rand.New(rand.NewPCG(1, 2))
	x := a.table("x", 2)
	a.loads[x] = 1
	a.batch(x, 0, 7)
	a.batch(x, 1, 3)
	log := &a.logs[x][0]
	again := (*log)[1]
	again.offset = 2
	*log = append(*log, again) // a repeated batch
	a.seal(true)
	a.takeover()
	zombie := (*log)[1]
	zombie.h.Epoch, zombie.offset = -1, int64(len(*log))
	*log = append(*log, zombie)
	a.seal(true)
	b := newBench(t, a)
	b.append(t)
	spans := tracetest.NewInMemoryExporter()
	reader := sdkmetric.NewManualReader()
	cfg := b.config()
	cfg.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	cfg.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	if err := b.until(t, cfg, step(15, 0, true)); err != nil {
		t.Fatal(err)
	}

	var roots tracetest.SpanStubs
	children := map[string][]string{}
	for _, s := range spans.GetSpans() {
		if !s.Parent.IsValid() {
			roots = append(roots, s)
			continue
		}
		trace := s.SpanContext.TraceID().String()
		children[trace] = append(children[trace], s.Name)
	}
	slices.SortFunc(roots, func(a, b tracetest.SpanStub) int {
		return cmp.Compare(value(a, telemetry.KeyWindow), value(b, telemetry.KeyWindow))
	})
	if len(roots) < 2 || roots[0].Name != telemetry.SpanWindow {
		t.Fatalf("%d root spans, want one a step", len(roots))
	}
	first := roots[0]
	kids := children[first.SpanContext.TraceID().String()]
	for _, want := range []string{telemetry.SpanAccumulate, telemetry.SpanCollapse, telemetry.SpanJoin, telemetry.SpanParquet, telemetry.SpanUpload} {
		if !slices.Contains(kids, want) {
			t.Errorf("the step has the stages %v, %s is missing", kids, want)
		}
	}
	if len(first.Links) != 2 || !strings.HasPrefix(first.Links[0].SpanContext.TraceID().String(), "0000") {
		t.Errorf("the step links to %d spans, want its two batches", len(first.Links))
	}
	for key, want := range map[string]string{
		telemetry.KeyPipeline: "care", telemetry.KeyWindow: "2026-11-23T10:00:00Z", telemetry.KeySlice: "0", telemetry.KeyRowsIn: "10",
		telemetry.KeyCut: `{"a":"10"}`, telemetry.KeyManifest: b.sink.history[0].Hash,
	} {
		if got := value(first, key); got != want {
			t.Errorf("attribute %s is %q, want %q", key, got, want)
		}
	}
	if p := b.sink.history[0]; p.Stats.TraceID != first.SpanContext.TraceID().String() {
		t.Errorf("the receipt names trace %s, the span is of %s", p.Stats.TraceID, first.SpanContext.TraceID())
	}

	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{telemetry.MetricLogRepeats: 7, telemetry.MetricLogVoid: 1, telemetry.MetricWindowPublished: 2, telemetry.MetricWindowRows: 10, telemetry.MetricSinkRows: sum(b.sink.history)} {
		if n := counted(got, name); n != want {
			t.Errorf("%s counts %d, want %d", name, n, want)
		}
	}
	if !strings.Contains(string(text), telemetry.MetricWindowVisible) || !strings.Contains(string(text), telemetry.MetricWindowSeconds) {
		t.Error("the lag by stage is not measured")
	}
}

func sum(history []*Publication) (n int64) {
	for _, p := range history {
		for _, t := range p.Manifest.Tables {
			n += t.Upserts + t.Deletes
		}
	}
	return n
}

func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return fmt.Sprint(a.Value.AsInterface())
		}
	}
	return ""
}

func counted(m metricdata.ResourceMetrics, name string) (n int64) {
	for _, s := range m.ScopeMetrics {
		for _, x := range s.Metrics {
			if sum, ok := x.Data.(metricdata.Sum[int64]); ok && x.Name == name {
				for _, p := range sum.DataPoints {
					n += p.Value
				}
			}
		}
	}
	return n
}
