package mysql

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tidemill/tidemill/internal/telemetry"
)

// meters counts in plain numbers while the stream runs and hands them to OpenTelemetry every tick: a call for each group
// would cost more than the group.
type meters struct {
	source  attribute.KeyValue
	rows    metric.Int64Counter
	groups  metric.Int64Counter
	bytes   metric.Int64Counter
	invalid metric.Int64Counter
	clock   metric.Int64Counter

	groupCount int64
	byteCount  int64
	clockCount int64
	last       time.Time // commit time of the group before
}

// spoofed is how far a commit time must lie before the one before it to be counted: sessions may set their clock.
const spoofed = 5 * time.Minute

func newMeters(m metric.Meter, source string) (*meters, error) {
	if m == nil {
		m = noop.Meter{}
	}
	out := &meters{source: attribute.String(telemetry.KeySource, source)}
	var errs []error
	counter := func(name, what string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(what))
		errs = append(errs, err)
		return c
	}
	out.rows = counter(telemetry.MetricSourceRows, "rows read from the change log, by source and table")
	out.groups = counter(telemetry.MetricSourceGroups, "source transactions read")
	out.bytes = counter(telemetry.MetricSourceBytes, "bytes of row events decoded")
	out.invalid = counter(telemetry.MetricSourceInvalid, "values without a canonical form (a zero date, bytes that are no text) that became NULL or U+FFFD, by source and table")
	out.clock = counter(telemetry.MetricSourceClock, "groups whose commit time lies far before the one before")
	return out, errors.Join(errs...)
}

// observe registers the gauges, which read the board.
func (b *board) observe(m metric.Meter, source string) (unregister func() error, err error) {
	if m == nil {
		m = noop.Meter{}
	}
	lag, err1 := m.Float64ObservableGauge(telemetry.MetricSourceLag, metric.WithUnit("s"), metric.WithDescription("now minus the commit time of the last group read; 0 when all is read"))
	parked, err2 := m.Int64ObservableGauge(telemetry.MetricSourceParked, metric.WithDescription("tables that stand still"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	attrs := metric.WithAttributes(attribute.String(telemetry.KeySource, source))
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		b.mu.Lock()
		seconds := b.lag(time.Now()).Seconds()
		b.mu.Unlock()
		o.ObserveFloat64(lag, seconds, attrs)
		o.ObserveInt64(parked, b.parkedTables(), attrs)
		return nil
	}, lag, parked)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}

// group counts a group and whether its clock is odd.
func (m *meters) group(commit time.Time) {
	m.groupCount++
	if m.last.Sub(commit) > spoofed {
		m.clockCount++
	}
	m.last = commit
}

// hand gives what was counted to OpenTelemetry.
func (m *meters) hand(ctx context.Context, s *stream) {
	source := metric.WithAttributes(m.source)
	m.groups.Add(ctx, m.groupCount, source)
	m.bytes.Add(ctx, m.byteCount, source)
	m.clock.Add(ctx, m.clockCount, source)
	m.groupCount, m.byteCount, m.clockCount = 0, 0, 0
	for _, t := range s.tables.byName {
		if t.rows == 0 {
			continue
		}
		m.rows.Add(ctx, t.rows, metric.WithAttributes(m.source, attribute.String(telemetry.KeyTable, t.name.String())))
		t.rows = 0
	}
	for _, p := range s.plans {
		if p.plan == nil {
			continue
		}
		var n int64
		for _, c := range p.plan.Invalid() {
			n += c
		}
		if n > p.invalid {
			m.invalid.Add(ctx, n-p.invalid, metric.WithAttributes(m.source, attribute.String(telemetry.KeyTable, p.table.name.String())))
			p.invalid = n
		}
	}
}
