package window

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// meter holds the instruments of the window stage. Names are telemetry's, values are counts and times (never a row).
type meter struct {
	rows, published, repeats, void, spilled, applied metric.Int64Counter
	bad                                              metric.Int64Counter
	stage, visible                                   metric.Float64Histogram
	memory, quarantine                               metric.Int64ObservableGauge
	freshness                                        metric.Float64ObservableGauge
}

func newMeter(m metric.Meter) (out meter, err error) {
	counter := func(name, unit, what string) metric.Int64Counter {
		c, cerr := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		if err == nil {
			err = cerr
		}
		return c
	}
	histogram := func(name, what string) metric.Float64Histogram {
		h, herr := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what))
		if err == nil {
			err = herr
		}
		return h
	}
	out.rows = counter(telemetry.MetricWindowRows, "{row}", "change rows read for published windows")
	out.published = counter(telemetry.MetricWindowPublished, "{publish}", "publishes")
	out.repeats = counter(telemetry.MetricLogRepeats, "{row}", telemetry.DescribeLogRepeats)
	out.void = counter(telemetry.MetricLogVoid, "{record}", telemetry.DescribeLogVoid)
	out.spilled = counter(telemetry.MetricWindowSpilled, "By", "bytes written to local runs")
	out.applied = counter(telemetry.MetricSinkRows, "{row}", "rows applied to warehouse tables")
	out.bad = counter(telemetry.MetricWindowBad, "{row}", "rows put into quarantine")
	out.stage = histogram(telemetry.MetricWindowSeconds, "time of one stage of a step")
	out.visible = histogram(telemetry.MetricWindowVisible, "window end to commit in the warehouse")
	var gerr [3]error
	out.memory, gerr[0] = m.Int64ObservableGauge(telemetry.MetricWindowMemory, metric.WithUnit("By"), metric.WithDescription("bytes held by open windows"))
	out.freshness, gerr[1] = m.Float64ObservableGauge(telemetry.MetricWindowFreshness, metric.WithUnit("s"), metric.WithDescription("now minus the end of the last published window"))
	out.quarantine, gerr[2] = m.Int64ObservableGauge(telemetry.MetricWindowQuarantine, metric.WithUnit("{row}"), metric.WithDescription("rows in quarantine: they are missing in their table"))
	return out, errors.Join(err, gerr[0], gerr[1], gerr[2])
}

// observe reports the gauges while a pipeline runs. The caller ends it.
func (p *Pipeline) observe() (metric.Registration, error) {
	attrs := pipelineAttr(p.cfg.Name)
	return p.cfg.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := p.Status()
		o.ObserveInt64(p.meter.memory, s.Memory, attrs)
		if !s.Published.Start.IsZero() {
			o.ObserveFloat64(p.meter.freshness, time.Since(s.Published.End).Seconds(), attrs)
		}
		var quarantined int64
		for _, t := range s.Tables {
			quarantined += t.Quarantined
		}
		o.ObserveInt64(p.meter.quarantine, quarantined, attrs)
		return nil
	}, p.meter.memory, p.meter.quarantine, p.meter.freshness)
}

// counters notes what the tracker said about a record.
func (k *keeper) counters(ctx context.Context, v verdict, skip int64, h *ingest.Header) {
	switch {
	case v == duplicate && h.Kind == ingest.BatchRecord:
		k.meter.repeats.Add(ctx, h.Rows, k.attrs)
	case v == void:
		k.meter.void.Add(ctx, 1, k.attrs)
	case skip > 0:
		k.meter.repeats.Add(ctx, skip, k.attrs)
	}
}

// stage is a part of a step that ran from start for d.
type stage struct {
	name  string
	start time.Time
	d     time.Duration
}

// record makes a finished span of a stage, and its histogram entry.
func (k *keeper) stage(ctx context.Context, g stage) {
	_, span := k.cfg.Tracer.Start(ctx, g.name, trace.WithTimestamp(g.start))
	span.End(trace.WithTimestamp(g.start.Add(g.d)))
	k.took(ctx, g.name, g.d)
}

// took is a stage's entry in the histogram. A sink makes the spans of its stages itself.
func (k *keeper) took(ctx context.Context, stage string, d time.Duration) {
	k.meter.stage.Record(ctx, d.Seconds(), metric.WithAttributes(
		attribute.String(telemetry.KeyPipeline, k.cfg.Name), attribute.String(telemetry.KeyStage, stage)))
}

// begin opens the root span of a step, as of its first row, with links to the batches it consists of.
func (k *keeper) begin(ctx context.Context, st *plannedStep, since time.Time, taken []*bucket) (context.Context, trace.Span) {
	var links []trace.Link
	for _, b := range taken {
		for _, l := range b.links {
			if len(links) < maxLinks {
				links = append(links, trace.Link{SpanContext: l})
			}
		}
	}
	return k.cfg.Tracer.Start(ctx, telemetry.SpanWindow, trace.WithNewRoot(), trace.WithTimestamp(since), trace.WithLinks(links...), trace.WithAttributes(
		attribute.String(telemetry.KeyPipeline, k.cfg.Name),
		attribute.String(telemetry.KeyWindow, st.step.Start.UTC().Format(time.RFC3339)),
		attribute.Int(telemetry.KeySlice, st.step.Slice),
		attribute.Int64(telemetry.KeyRowsIn, st.rows),
		attribute.Int64(telemetry.KeyLate, st.late),
		attribute.String(telemetry.KeyCut, st.cut.positions()),
	))
}

// end closes the root span of a step.
func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// visible notes a published step in its span and in the metrics.
func (k *keeper) visible(ctx context.Context, p *Publication, at time.Time) {
	lag := at.Sub(p.Step.End)
	var rows, bytes int64
	for _, t := range p.Manifest.Tables {
		rows += t.Upserts + t.Deletes
		for op, n := range map[string]int64{"upsert": t.Upserts, "delete": t.Deletes} {
			k.meter.applied.Add(ctx, n, metric.WithAttributes(
				attribute.String(telemetry.KeyPipeline, k.cfg.Name), attribute.String(telemetry.KeyTable, t.Table.String()), attribute.String(telemetry.KeyOp, op)))
		}
		for _, part := range t.Parts {
			bytes += part.Bytes
		}
	}
	trace.SpanFromContext(ctx).SetAttributes(
		attribute.Int64(telemetry.KeyRows, rows), attribute.Int64(telemetry.KeyBytes, bytes), attribute.Int64(telemetry.KeyLag, lag.Milliseconds()),
		attribute.String(telemetry.KeyManifest, p.Hash))
	k.meter.rows.Add(ctx, p.Stats.RowsIn, k.attrs)
	k.meter.published.Add(ctx, 1, k.attrs)
	if q := p.Manifest.Quarantine; q != nil {
		k.meter.bad.Add(ctx, q.Upserts, k.attrs)
	}
	if p.Step.Final {
		k.meter.visible.Record(ctx, lag.Seconds(), k.attrs)
	}
}

// positions is the cut as text: one position per source.
func (c Cut) positions() string {
	out := make(map[string]string, len(c))
	for name, s := range c {
		out[name] = string(s.Position)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return "" // strings only
	}
	return string(b)
}
