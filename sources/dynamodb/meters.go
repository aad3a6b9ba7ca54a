package dynamodb

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// meters counts in plain numbers while the stream runs and hands them to OpenTelemetry now and then. Rows, groups, lateness and
// lag are counted by ingest, for all sources alike.
type meters struct {
	source         attribute.KeyValue
	bytes, invalid metric.Int64Counter
	ttl            metric.Int64Counter

	byteCount, ttlCount int64
	clashes             int64
	decoder             *item.Table
}

func newMeters(m metric.Meter, source string) (*meters, error) {
	if m == nil {
		m = noop.Meter{}
	}
	out := &meters{source: attribute.String(telemetry.KeySource, source)}
	var errs [3]error
	out.bytes, errs[0] = m.Int64Counter(telemetry.MetricSourceBytes)
	out.invalid, errs[1] = m.Int64Counter(telemetry.MetricSourceInvalid)
	out.ttl, errs[2] = m.Int64Counter(telemetry.MetricSourceExpired)
	return out, errors.Join(errs[:]...)
}

func (m *meters) record(r *item.Record, bytes int) {
	m.byteCount += int64(bytes)
	if r.TTL {
		m.ttlCount++
	}
}

// hand gives what was counted to OpenTelemetry.
func (m *meters) hand(ctx context.Context, s *stream) {
	source := metric.WithAttributes(m.source)
	if m.byteCount > 0 {
		m.bytes.Add(ctx, m.byteCount, source)
	}
	if m.ttlCount > 0 {
		m.ttl.Add(ctx, m.ttlCount, source)
	}
	m.byteCount, m.ttlCount = 0, 0
	if s.decoder == nil {
		return
	}
	if s.decoder != m.decoder {
		m.decoder, m.clashes = s.decoder, 0
	}
	var n int64
	for _, c := range s.decoder.Clashes {
		n += c
	}
	if n > m.clashes {
		m.invalid.Add(ctx, n-m.clashes, metric.WithAttributes(m.source, attribute.String(telemetry.KeyTable, s.name.String())))
		m.clashes = n
	}
}
