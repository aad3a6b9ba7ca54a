package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Rows of ten columns from the builder to the durable log on the embedded broker (synced writes), in groups of one row, of
// ten and of 100,000. Compare with BenchmarkBuilder, which is the same source without a log.
func BenchmarkDurableLog(b *testing.B) {
	for _, perGroup := range []int{1, 10, 100_000} {
		b.Run(fmt.Sprintf("group=%d", perGroup), func(b *testing.B) {
			cfg := embedded(b, b.TempDir()).Config()
			g, err := grid.New(15 * time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			rows := 0
			began := time.Now()
			for i := 0; b.Loop(); i++ {
				src := newClinic(1_000_000)
				src.perGroup = perGroup
				if err := Stream(b.Context(), Config{Source: fmt.Sprintf("s%d", i), Owner: "bench", Grid: g, Kafka: cfg}, src); err != nil {
					b.Fatal(err)
				}
				rows += src.n
			}
			b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		})
	}
}

func BenchmarkBuilder(b *testing.B) {
	src := newClinic(0)
	builder := NewBuilder(&src.schema)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		src.row(builder, n)
		if builder.Size() > 512<<10 {
			builder.Reset()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
