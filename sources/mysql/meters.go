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
// would cost more than the group. Rows, groups, lag and parked tables are counted by ingest, for all sources alike.
type meters struct {
	source  attribute.KeyValue
	bytes   metric.Int64Counter
	invalid metric.Int64Counter
	clock   metric.Int64Counter

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
	out.bytes = counter(telemetry.MetricSourceBytes, "bytes of row events decoded")
	out.invalid = counter(telemetry.MetricSourceInvalid, "values without a canonical form (a zero date, bytes that are no text) that became NULL or U+FFFD, by source and table")
	out.clock = counter(telemetry.MetricSourceClock, "groups whose commit time lies far before the one before")
	return out, errors.Join(errs...)
}

// group notes the commit time of a group.
func (m *meters) group(commit time.Time) {
	if m.last.Sub(commit) > spoofed {
		m.clockCount++
	}
	m.last = commit
}

// hand gives what was counted to OpenTelemetry.
func (m *meters) hand(ctx context.Context, s *stream) {
	source := metric.WithAttributes(m.source)
	m.bytes.Add(ctx, m.byteCount, source)
	m.clock.Add(ctx, m.clockCount, source)
	m.byteCount, m.clockCount = 0, 0
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
