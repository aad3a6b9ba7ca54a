package ingest

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/internal/telemetry"
)

// metrics counts in plain fields on the source's goroutine and reports now and then.
type metrics struct {
	rows, groupsTotal, late, bytes, void, again metric.Int64Counter
	lag                                         metric.Float64Gauge
	parked                                      metric.Int64Gauge
	source                                      metric.MeasurementOption
	name                                        string

	groups int64
	tables map[TableName]*tableRows
}

type tableRows struct {
	rows int64
	attr metric.MeasurementOption
}

func newMetrics(cfg Config) (*metrics, error) {
	m := &metrics{name: cfg.Source, tables: map[TableName]*tableRows{}, source: metric.WithAttributeSet(attribute.NewSet(attribute.String(telemetry.KeySource, cfg.Source)))}
	var errs error
	counter := func(name string, options ...metric.Int64CounterOption) metric.Int64Counter {
		c, err := cfg.Meter.Int64Counter(name, options...)
		errs = errors.Join(errs, err)
		return c
	}
	m.rows, m.groupsTotal, m.late = counter(telemetry.MetricSourceRows), counter(telemetry.MetricSourceGroups), counter(telemetry.MetricSourceLate)
	m.bytes = counter(telemetry.MetricLogBytes)
	m.void = counter(telemetry.MetricLogVoid, metric.WithUnit("{record}"), metric.WithDescription(telemetry.DescribeLogVoid))
	m.again = counter(telemetry.MetricLogRepeats, metric.WithUnit("{row}"), metric.WithDescription(telemetry.DescribeLogRepeats))
	var err error
	m.lag, err = cfg.Meter.Float64Gauge(telemetry.MetricSourceLag, metric.WithUnit("s"))
	errs = errors.Join(errs, err)
	m.parked, err = cfg.Meter.Int64Gauge(telemetry.MetricSourceParked)
	return m, errors.Join(errs, err)
}

func (m *metrics) count(t TableName, rows int) {
	c := m.tables[t]
	if c == nil {
		c = &tableRows{attr: metric.WithAttributeSet(attribute.NewSet(attribute.String(telemetry.KeySource, m.name), attribute.String(telemetry.KeyTable, t.String())))}
		m.tables[t] = c
	}
	c.rows += int64(rows)
}

// found counts what a takeover met.
func (m *metrics) found(ctx context.Context, s *partScan) {
	m.void.Add(ctx, s.void, m.source)
	m.again.Add(ctx, s.again, m.source)
}

func (m *metrics) report(ctx context.Context, w *Writer, now time.Time) {
	for _, c := range m.tables {
		if c.rows > 0 {
			m.rows.Add(ctx, c.rows, c.attr)
			c.rows = 0
		}
	}
	m.groupsTotal.Add(ctx, m.groups, m.source)
	m.groups = 0
	m.parked.Record(ctx, int64(len(w.parked)), m.source)
	if !w.asOf.IsZero() {
		m.lag.Record(ctx, now.Sub(w.asOf).Seconds(), m.source)
	}
}
