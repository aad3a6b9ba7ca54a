package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, env func(string) (string, bool)) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Project: "clinic", Version: "v0", Instance: "i", Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// Two libraries may describe one metric differently: all others are still there.
func TestScrapeSurvivesOneBadMetric(t *testing.T) {
	tel := start(t, func(string) (string, bool) { return "", false })
	for scope, what := range map[string]string{"a": "rows", "b": "other words"} {
		c, err := tel.MeterProvider().Meter(scope).Int64Counter("twice", metric.WithDescription(what))
		if err != nil {
			t.Fatal(err)
		}
		c.Add(t.Context(), 1, metric.WithAttributes(attribute.String("by", scope)))
	}
	c, err := tel.Meter().Int64Counter(telemetry.MetricSourceRows)
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t.Context(), 42)
	if body := scrape(t, tel.Handler()); !strings.Contains(body, "tidemill_source_rows_total 42") {
		t.Errorf("the scrape lacks what is right:\n%.500s", body)
	}
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsCanBeScraped(t *testing.T) {
	tel := start(t, func(string) (string, bool) { return "", false })
	c, err := tel.Meter().Int64Counter(telemetry.MetricSourceRows)
	if err != nil {
		t.Fatal(err)
	}
	c.Add(t.Context(), 42)
	body := scrape(t, tel.Handler())
	for _, want := range []string{"tidemill_source_rows_total 42", "go_goroutines", `tidemill_project="clinic"`, `service_name="tidemill"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the scrape lacks %s:\n%.2000s", want, body)
		}
	}
	if err := tel.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Spans leave the process when the environment names an endpoint, and only then (invariant 1).
func TestSpansAreExportedOnlyWhenAsked(t *testing.T) {
	var posts atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.URL.Path == "/v1/traces" {
			posts.Add(1)
		}
	}))
	defer collector.Close()
	for _, c := range []struct {
		name, value string
		want        int64
	}{{"OTEL_UNRELATED", "x", 0}, {"OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
			tel := start(t, os.LookupEnv)
			_, span := tel.Tracer().Start(t.Context(), telemetry.SpanWindow)
			span.End()
			if err := tel.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
			if got := posts.Load(); got != c.want {
				t.Errorf("%d posts, want %d", got, c.want)
			}
		})
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	for format, want := range map[string]string{"text": "level=INFO msg=hello n=1\n", "json": `"msg":"hello","n":1}`} {
		b.Reset()
		log, err := telemetry.NewLogger(&b, format, slog.LevelInfo, true)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("not shown")
		log.Info("hello", "n", 1)
		if got := b.String(); !strings.Contains(got, want) || strings.Contains(got, "not shown") {
			t.Errorf("%s: %q", format, got)
		}
	}
	if _, err := telemetry.NewLogger(&b, "xml", slog.LevelInfo, false); err == nil {
		t.Error("xml was accepted")
	}
}
