package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options describe the process.
type Options struct {
	Project  string
	Version  string
	Instance string                      // unique among the daemons of a project
	Env      func(string) (string, bool) // looks up environment variables
}

// Telemetry is the process's tracer and meter providers. Stop flushes and ends them.
type Telemetry struct {
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
	scrape  http.Handler
}

// Start sets up the providers. Exporters are those of the standard variables (OTEL_TRACES_EXPORTER,
// OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT and theirs), and none without them (invariant 1).
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	// Later detectors win: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override what we say about ourselves.
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "tidemill"),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Instance),
		attribute.String(KeyProject, o.Project),
	), resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describing the process to telemetry: %w", err)
	}
	t := &Telemetry{}
	spans := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if o.asked("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("setting up the span exporter of OTEL_TRACES_EXPORTER: %w", err)
		}
		spans = append(spans, sdktrace.WithBatcher(exporter))
	}
	t.traces = sdktrace.NewTracerProvider(spans...)
	if t.metrics, t.scrape, err = o.meters(ctx, res); err != nil {
		return nil, errors.Join(err, t.traces.Shutdown(ctx))
	}
	return t, nil
}

// asked reports whether the environment asks for a signal to be exported.
func (o Options) asked(exporter, endpoint string) bool {
	for _, name := range []string{exporter, endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if v, ok := o.Env(name); ok && v != "" {
			return true
		}
	}
	return false
}

func (o Options) meters(ctx context.Context, res *resource.Resource) (*sdkmetric.MeterProvider, http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pulled, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, nil, fmt.Errorf("setting up the Prometheus endpoint: %w", err)
	}
	readers := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(pulled)}
	if o.asked("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
		pushed, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("setting up the metric exporter of OTEL_METRICS_EXPORTER: %w", err)
		}
		readers = append(readers, sdkmetric.WithReader(pushed))
	}
	return sdkmetric.NewMeterProvider(readers...), scrape(registry), nil
}

// scrape answers with all that can be told: a family that contradicts itself does not hide the others.
func scrape(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Tracer makes the spans of this module.
func (t *Telemetry) Tracer() trace.Tracer { return t.traces.Tracer(Scope) }

// Meter makes the instruments of this module.
func (t *Telemetry) Meter() metric.Meter { return t.metrics.Meter(Scope) }

// TracerProvider is for libraries that make their own tracer.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.traces }

// MeterProvider is for libraries that make their own meter.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.metrics }

// Handler serves the metrics to Prometheus.
func (t *Telemetry) Handler() http.Handler { return t.scrape }

// Stop sends what is still held and ends the exporters.
func (t *Telemetry) Stop(ctx context.Context) error {
	return errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}
