package window

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

// blind is a warehouse that takes no time: what is measured is the way from the log to stored parts.
type blind struct{ *memSink }

func (b blind) Publish(_ context.Context, p *Publication, _ func(context.Context, Part) (string, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.fences[p.Pipeline]
	f.Step, f.Cut, f.Manifest = p.Step, p.Cut.clone(), p.Hash
	b.history = append(b.history, p)
	return nil
}

// BenchmarkLogToParquet is the whole pipeline on one table: fetch, decode, accumulate, collapse, sort, Parquet, folder.
// Rows have ten columns; one row in four changes a key of the window again. The raw limit beside it is what the same
// client does when it only fetches.
func BenchmarkLogToParquet(b *testing.B) {
	const rows, batch, partitions = 1_000_000, 8_000, 4
	w, topic := wideLog(b, rows, batch, partitions)
	b.Run("fetch only", func(b *testing.B) {
		for b.Loop() {
			at := map[string]map[int32]kgo.Offset{topic: {}}
			for p := range int32(partitions) {
				at[topic][p] = kgo.NewOffset().At(0)
			}
			cl, err := kafka.New(w.kafka, kgo.ConsumePartitions(at))
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < rows/batch; {
				for it := cl.PollFetches(b.Context()).RecordIter(); !it.Done(); {
					if h, _, err := ingest.ParseRecord(it.Next().Value); err == nil && h.Kind == ingest.BatchRecord {
						n++
					}
				}
			}
			cl.Close()
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("pipeline", func(b *testing.B) {
		var last *Publication
		for b.Loop() {
			w.sink, w.dir, w.store = newMemSink(), b.TempDir(), dirStore{b.TempDir()}
			cfg := onDuckDB(w.config(), "a")
			cfg.StateMemory = 1 << 30
			cfg.Sink = blind{w.sink}
			p, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			for p.Status().Published.Start.IsZero() {
				select {
				case err := <-done:
					b.Fatal(err)
				case <-time.After(time.Millisecond):
				}
			}
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			last = w.sink.history[0]
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		s := last.Stats
		b.ReportMetric(s.Accum.Seconds(), "s-accumulate")
		b.ReportMetric(s.Collapse.Seconds(), "s-collapse")
		b.ReportMetric(s.Join.Seconds(), "s-apply")
		b.ReportMetric(s.Parquet.Seconds(), "s-parquet")
		b.ReportMetric(s.Upload.Seconds(), "s-upload")
		b.ReportMetric(float64(last.Manifest.Tables[0].Upserts), "keys")
	})
}

func wideLog(b *testing.B, rows, batch, partitions int) (*bench, string) {
	b.Helper()
	g := newGen("a", t0)
	topic := g.table("wide", partitions)
	s := genSchema("wide")
	for i := range 4 {
		s.Columns = append(s.Columns, ingest.Column{Name: fmt.Sprintf("n%d", i), Type: ingest.Type{Kind: ingest.Int64}},
			ingest.Column{Name: fmt.Sprintf("t%d", i), Type: ingest.Type{Kind: ingest.Text}})
	}
	g.versions[0].Tables[0].Schema = s
	g.loads[topic] = 1
	n := 0
	for n < rows {
		p := (n / batch) % partitions
		bld := ingest.NewBuilder(&s)
		for i := range batch {
			id := int64(n+i)*int64(partitions) + int64(p)
			if i%4 == 3 {
				id -= int64(partitions) // the row before it again
			}
			bld.Cols[0].Int64(id)
			bld.Cols[1].Int64(int64(i))
			for c := 2; c < len(bld.Cols); c += 2 {
				bld.Cols[c].Int64(int64(n + i*c))
				bld.Cols[c+1].Bytes(fmt.Appendf(nil, "value %d of %d", (n+i)%5000, c))
			}
			bld.End(ingest.Upsert)
		}
		payload, err := ingest.EncodeBatch(nil, bld.Record())
		if err != nil {
			b.Fatal(err)
		}
		g.batch(topic, p, int64(batch))
		last := &g.logs[topic][p][len(g.logs[topic][p])-1]
		last.payload, last.h.Fingerprint = payload, s.Fingerprint()
		n += batch
	}
	g.seal(true)
	w := newBench(b, g)
	w.append(b)
	return w, topic
}
