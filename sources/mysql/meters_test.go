package mysql

import (
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// What the source alone can count: bytes, values without a canonical form, sessions with a clock of their own.
func TestMeters(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		defer provider.Shutdown(t.Context())
		l = l.in(t, "meters")
		l.meter = provider.Meter(telemetry.Scope)
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, d DATE)")
		rec := newRecorder(t, 1)
		run := l.run(l.config("t"), rec, ingest.Resume{})
		l.settleLoads(rec, "t")
		l.session("SET SESSION sql_mode=''", "INSERT INTO t VALUES (1, '0000-00-00'), (2, '2026-02-00'), (3, '2026-01-02')",
			"SET SESSION timestamp=1000000000", "INSERT INTO t VALUES (4, NULL)")
		l.settle(rec)
		ticks := rec.ticks
		rec.await("two ticks", func() bool { return rec.ticks > ticks+1 })
		run.end(t)
		got := counters(t, reader)
		if got[telemetry.MetricSourceInvalid] != 2 || got[telemetry.MetricSourceBytes] < 30 {
			t.Errorf("counted %v", got)
		}
		if clock := got[telemetry.MetricSourceClock]; l.flavor == mariadb && clock != 1 || l.flavor == mysql && clock != 0 {
			t.Errorf("odd clocks: %d", clock) // MySQL logs its own clock, whatever the session says
		}
	})
}

func counters(t *testing.T, r sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				out[m.Name] += p.Value
			}
		}
	}
	return out
}
