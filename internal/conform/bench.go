package conform

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window"
)

// BenchColumns are ten columns of common kinds, as in the benchmarks of the sources.
var BenchColumns = []ingest.Column{
	{Name: "id", Type: int64Type},
	{Name: "patient", Type: ingest.Type{Kind: ingest.Int32}},
	{Name: "status", Type: ingest.Type{Kind: ingest.Int16}},
	{Name: "amount", Type: ingest.Type{Kind: ingest.Decimal, Precision: 18, Scale: 4}},
	{Name: "code", Type: textType},
	{Name: "note", Type: textType, Nullable: true},
	{Name: "at", Type: ingest.Type{Kind: ingest.Timestamp}},
	{Name: "seen", Type: ingest.Type{Kind: ingest.TimestampTZ}},
	{Name: "open", Type: ingest.Type{Kind: ingest.Bool}},
	{Name: "score", Type: ingest.Type{Kind: ingest.Float64}},
}

// BenchRows fills rows with the ids from, from+step, ...
func BenchRows(from, rows, step int64, salt uint64) func(*ingest.Builder) {
	return func(b *ingest.Builder) {
		c := b.Cols
		for i := range rows {
			id := from + i*step
			h := (uint64(id) + salt) * 0x9e3779b97f4a7c15
			c[0].Int64(id)
			c[1].Int32(int32(h >> 40))
			c[2].Int16(int16(h % 7))
			c[3].Decimal(0, h>>30)
			c[4].Bytes(fmt.Appendf(nil, "C-%08x", h>>32))
			if h%10 == 0 {
				c[5].Null()
			} else {
				c[5].Bytes(fmt.Appendf(nil, "note %d about visit %d", h%1000, id))
			}
			c[6].Int64(1767603600000000 + int64(h>>20))
			c[7].Int64(1767603600000000 + int64(h>>21))
			c[8].Bool(h%2 == 0)
			c[9].Float64(float64(h>>11) / 1e3)
			b.End(ingest.Upsert)
		}
	}
}

func benchLoad(name string, replace bool, parts ...func(*ingest.Builder)) Load {
	return Load{Table: window.WarehouseTable{Schema: "bench", Name: name}, Columns: BenchColumns, Key: []string{"id"}, Replace: replace, Parts: parts}
}

// BenchSink measures whole publishes: a base of 1 M rows, 1 M inserts into a table, 200 k upserts spread over 5 M rows.
func BenchSink(b *testing.B, w Warehouse) {
	const million = 1_000_000
	p := NewPipeline(b, "bench")
	p.Acquire(w, 1)
	publish := func(b *testing.B, rows int64, load func(i int) Load) {
		b.Helper()
		p.t = b
		var cpu time.Duration
		for i := range b.N {
			b.StopTimer()
			pub := p.Next(load(i))
			before := cpuTime(b)
			b.StartTimer()
			p.Publish(w, pub)
			cpu += cpuTime(b) - before
		}
		b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op") // of this process; on a busy machine it says more than the wall
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	}
	b.Run("Base1M", func(b *testing.B) {
		publish(b, million, func(i int) Load {
			return benchLoad(fmt.Sprintf("base%d", i), true, BenchRows(0, million, 1, uint64(i)))
		})
	})
	next := int64(million)
	b.Run("Insert1M", func(b *testing.B) {
		publish(b, million, func(int) Load {
			next += million
			return benchLoad("base0", false, BenchRows(next, million, 1, 0))
		})
	})
	p.t = b
	var parts []func(*ingest.Builder)
	for i := range int64(5) {
		parts = append(parts, BenchRows(i*million, million, 1, 0))
	}
	p.Publish(w, p.Next(benchLoad("large", true, parts...)))
	b.Run("Upsert200kInto5M", func(b *testing.B) {
		publish(b, 200_000, func(i int) Load { return benchLoad("large", false, BenchRows(int64(i%25), 200_000, 25, uint64(i+1))) })
	})
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
