package dynamodb

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// benchItem is a session of ten attributes, about 300 bytes of JSON.
func benchItem(b []byte, i int64) []byte {
	b = append(b, `{"id":{"S":"session-`...)
	b = strconv.AppendInt(b, i%100_000, 10)
	b = append(b, `"},"patient":{"N":"`...)
	b = strconv.AppendInt(b, i%5_000, 10)
	b = append(b, `"},"amount":{"N":"`...)
	b = strconv.AppendInt(b, i%1000, 10)
	return append(b, `.25"},"ok":{"BOOL":true},"device":{"S":"android 15, build 4711"},"steps":{"L":[{"S":"open"},{"S":"pay"}]},"at":{"S":"2026-03-01T12:00:00Z"},"city":{"S":"Jakarta"},"score":{"N":"17"},"tags":{"SS":["b","a"]}}`...)
}

func benchKey(b []byte, i int64) []byte {
	b = append(b, `{"id":{"S":"session-`...)
	return append(strconv.AppendInt(b, i%100_000, 10), `"}}`...)
}

// BenchmarkStreamToLog reads b.N records of eight shards from the scripted service into the embedded broker, with synced writes. The
// service makes and encodes the records in the same process: what it takes is in the figure. It prints records/s and the
// highest resident memory.
func BenchmarkStreamToLog(b *testing.B) {
	srv, err := dynamofake.Start(dynamofake.Options{Shards: 8})
	fatal(b, err)
	defer srv.Close()
	broker, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{Dir: b.TempDir()})
	fatal(b, err)
	defer broker.Close()
	r := &rig{srv: srv, config: Default()}
	r.config.Table, r.config.Region, r.config.Endpoint = table, srv.Region(), srv.Endpoint()
	c, err := r.config.client(b.Context())
	fatal(b, err)
	r.db = c
	fatal(b, r.keyedTable(b.Context()))
	fatal(b, srv.Put(table, string(benchItem(nil, 1))))

	src := New("s", r.config, nil, nil)
	s := &spy{Source: src, changed: make(chan struct{}), done: make(chan struct{})}
	g, err := grid.New(15 * time.Minute)
	fatal(b, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	go func() {
		defer close(s.done)
		s.err = ingest.Stream(ctx, ingest.Config{Source: "s", Owner: "bench", Grid: g, Kafka: broker.Config()}, s)
	}()
	wait := func(cond func() bool) {
		for {
			s.mu.Lock()
			ok, changed := cond(), s.changed
			s.mu.Unlock()
			if ok {
				return
			}
			select {
			case <-changed:
			case <-s.done:
				b.Fatal(s.err)
			}
		}
	}
	wait(func() bool { return s.loads.Cursor != nil })
	fatal(b, srv.Flood(table, dynamofake.Flood{Records: int64(b.N), Step: 0, Key: benchKey, Image: benchItem}))
	began, peak, used := time.Now(), 0.0, cpu()
	b.ResetTimer()
	wait(func() bool { peak = max(peak, resident()); return s.rows >= b.N })
	wait(func() bool { // until a checkpoint says that all of them are durable
		points, err := ingest.Checkpoints(b.Context(), broker.Config())
		fatal(b, err)
		return points["s"].Ordinal >= int64(b.N)
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "records/s")
	b.ReportMetric(peak*1e6, "peak-RSS-bytes")
	b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(b.N), "cpu-ns/record")
	cancel()
	<-s.done
}

// BenchmarkDecode is one record from JSON to Arrow, on one core.
func BenchmarkDecode(b *testing.B) {
	text := benchItem(nil, 4711)
	attributes, err := item.Parse(text, nil)
	fatal(b, err)
	p := item.Profile{}
	p.Note(attributes)
	columns := item.Columns(nil, []item.Key{{Attribute: "id", Tag: item.S}}, p, nil)
	d, rows := item.NewTable(columns, nil), ingest.NewBuilder(item.Schema(ingest.TableName{}, columns))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	used, n := cpu(), 0
	defer func() { b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(n), "cpu-ns/record") }()
	for b.Loop() {
		n++
		if _, err := d.Item(text); err != nil {
			b.Fatal(err)
		}
		if err := d.Row(rows); err != nil {
			b.Fatal(err)
		}
		if rows.Rows() == 4096 {
			rows.Reset()
		}
	}
}

// cpu is the processor time of this process: what counts on a machine that others use, too.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it does not fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func fatal(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// resident is the memory of this process in MB.
func resident() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages := 0.0
	fmt.Sscan(fields[1], &pages)
	return pages * float64(os.Getpagesize()) / 1e6
}
