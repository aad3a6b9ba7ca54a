//go:build duckdb_arrow

package state

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

// shop is the schema of the benchmarks: 15 + 6 + 5 columns.
func shop() (orders, payments, patients *ingest.Schema) {
	col := func(name string, k ingest.Kind) ingest.Column {
		c := ingest.Column{Name: name, Type: ingest.Type{Kind: k}}
		if k == ingest.Decimal {
			c.Type.Precision, c.Type.Scale = 12, 2
		}
		return c
	}
	table := func(name, key string, cols ...ingest.Column) *ingest.Schema {
		return &ingest.Schema{Table: ingest.TableName{Schema: "shop", Name: name}, Key: []string{key}, Columns: cols}
	}
	orders = table("orders", "order_id", col("order_id", ingest.Int64), col("patient_id", ingest.Int64), col("hospital_id", ingest.Int32),
		col("status", ingest.Text), col("amount", ingest.Decimal), col("discount", ingest.Decimal), col("currency", ingest.Text),
		col("created_at", ingest.Timestamp), col("updated_at", ingest.Timestamp), col("channel", ingest.Text), col("note", ingest.Text),
		col("is_paid", ingest.Bool), col("qty", ingest.Int32), col("score", ingest.Float64), col("version", ingest.Int64))
	payments = table("payments", "payment_id", col("payment_id", ingest.Int64), col("order_id", ingest.Int64), col("method", ingest.Text),
		col("amount", ingest.Decimal), col("paid_at", ingest.Timestamp), col("ref", ingest.Text))
	patients = table("patients", "patient_id", col("patient_id", ingest.Int64), col("name", ingest.Text), col("city", ingest.Text),
		col("born", ingest.Date), col("created_at", ingest.Timestamp))
	return orders, payments, patients
}

const shopView = `SELECT o.*, coalesce(p.payment_id, 0) AS payment_id, p.method, p.amount AS paid, p.paid_at, pt.name, pt.city, pt.born
FROM shop.orders o LEFT JOIN shop.payments p ON p.order_id = o.order_id LEFT JOIN shop.patients pt ON pt.patient_id = o.patient_id`

// shopRows makes change batches of a table; ids are drawn by the caller.
func shopRows(s *ingest.Schema, n int, seed uint64, id func(*rand.Rand, int) int64, refs int64) []arrow.RecordBatch {
	r := rand.New(rand.NewPCG(seed, 4))
	words := [][]byte{[]byte("created"), []byte("paid"), []byte("shipped"), []byte("cancelled")}
	var out []arrow.RecordBatch
	for done := 0; done < n; {
		b := ingest.NewBuilder(s)
		for range min(8192, n-done) {
			for i := range b.Cols {
				c := &b.Cols[i]
				switch c.Type().Kind {
				case ingest.Int64:
					if i == 0 {
						c.Int64(id(r, done))
					} else {
						c.Int64(r.Int64N(refs))
					}
				case ingest.Int32, ingest.Date:
					c.Int32(r.Int32N(3000))
				case ingest.Decimal:
					c.Decimal(0, uint64(r.IntN(50_000_000)))
				case ingest.Timestamp:
					c.Int64(1_750_000_000_000_000 + r.Int64N(1e12))
				case ingest.Bool:
					c.Bool(r.IntN(3) > 0)
				case ingest.Float64:
					c.Float64(r.Float64())
				default:
					if s.Columns[i].Name == "note" || s.Columns[i].Name == "ref" || s.Columns[i].Name == "name" {
						c.Bytes(fmt.Appendf(nil, "%s %x", s.Columns[i].Name, r.Uint64()>>20))
					} else {
						c.Bytes(words[r.IntN(len(words))])
					}
				}
			}
			b.End(ingest.Upsert)
			done++
		}
		out = append(out, b.Record())
	}
	return out
}

// cpu is the processor time this process has used: the figure to read on a machine that does other things as well.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkView is DESIGN §11's joined view: 50 k changes on 5 M + 5 M + 1 M rows, state update included.
func BenchmarkView(b *testing.B) { newShopState(b, 5_000_000).measure(b, 50_000) }

// BenchmarkViewGrows is the same view over more and less of state, and with more and fewer changes. Rows are those of each of
// the two large tables; there is a fifth of that in the third.
func BenchmarkViewGrows(b *testing.B) {
	for _, rows := range []int{1_000_000, 5_000_000, 20_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := newShopState(b, rows)
			for _, changes := range []int{1_000, 10_000, 100_000, 1_000_000} {
				b.Run(fmt.Sprintf("changes=%d", changes), func(b *testing.B) { s.measure(b, changes) })
			}
		})
	}
}

// shopState is a state file that is filled.
type shopState struct {
	file                       *File
	rows                       int
	orders, payments, patients *ingest.Schema
	plan                       Plan
	seed                       uint64
}

func newShopState(b *testing.B, n int) *shopState {
	b.Helper()
	ctx := b.Context()
	f, err := Open(ctx, Options{Path: filepath.Join(b.TempDir(), "state.db"), Memory: 2 << 30, Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	s := &shopState{file: f, rows: n, seed: 1}
	s.orders, s.payments, s.patients = shop()
	for _, t := range []struct {
		s   *ingest.Schema
		sql string
	}{
		{s.orders, fmt.Sprintf(`SELECT i, hash(i) %% %d, hash(i+1) %% 3000, ['created','paid','shipped'][1 + (hash(i+2) %% 3)::BIGINT], (hash(i+3) %% 50000000)::DECIMAL(12,2) / 100, 0, 'IDR',
			make_timestamp((1750000000000000 + i * 1000)::BIGINT), make_timestamp((1750000000000000 + i * 1001)::BIGINT), 'app', 'order note ' || hash(i+4)::VARCHAR, i %% 3 = 0, i %% 12, hash(i+5) / 1e19, 1 FROM range(%d) r(i)`, n/5, n)},
		{s.payments, fmt.Sprintf(`SELECT i, hash(i+6) %% %d, ['gopay','card','cash'][1 + (hash(i+7) %% 3)::BIGINT], (hash(i+8) %% 50000000)::DECIMAL(12,2) / 100, make_timestamp((1750000000000000 + i * 1000)::BIGINT), 'PAY-' || hash(i+9)::VARCHAR FROM range(%d) r(i)`, n, n)},
		{s.patients, fmt.Sprintf(`SELECT i, 'Patient ' || hash(i)::VARCHAR, 'Jakarta', DATE '1980-01-01' + (i %% 10000)::INTEGER, make_timestamp(1750000000000000) FROM range(%d) r(i)`, n/5)},
	} {
		input := "shop." + t.s.Table.Name
		if err := f.Prime(ctx, input, t.s, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := f.conn.Exec(ctx, "INSERT INTO "+tableName(input)+" "+t.sql); err != nil {
			b.Fatal(err)
		}
	}
	v, err := view.Compile(ctx, view.Spec{Name: "v", SQL: shopView, Key: []string{"order_id", "payment_id"}}, []view.Table{
		{Input: "shop.orders", Source: "shop", Schema: s.orders}, {Input: "shop.payments", Source: "shop", Schema: s.payments}, {Input: "shop.patients", Source: "shop", Schema: s.patients}})
	if err != nil {
		b.Fatal(err)
	}
	s.plan = Plan{Outputs: []Output{{Name: "v", View: v}}}
	if _, err := f.conn.Exec(ctx, "INSERT INTO tm_outputs VALUES ('v', ?)", v.Hash()); err != nil {
		b.Fatal(err)
	}
	if _, err := f.conn.Exec(ctx, "CHECKPOINT"); err != nil {
		b.Fatal(err)
	}
	return s
}

// changes are four fifths orders, most of the rest payments, over keys of which some are new.
func (s *shopState) changes(n int) []Changes {
	s.seed++
	some := func(r *rand.Rand, _ int) int64 { return r.Int64N(int64(s.rows) + int64(s.rows)/1000) }
	patient := func(r *rand.Rand, _ int) int64 { return r.Int64N(int64(s.rows) / 5) }
	return []Changes{
		{Input: "shop.orders", Schema: s.orders, Batches: shopRows(s.orders, n*80/100, s.seed, some, int64(s.rows)/5)},
		{Input: "shop.payments", Schema: s.payments, Batches: shopRows(s.payments, n*16/100, s.seed, some, int64(s.rows))},
		{Input: "shop.patients", Schema: s.patients, Batches: shopRows(s.patients, n*4/100, s.seed, patient, 1)},
	}
}

func (s *shopState) measure(b *testing.B, n int) {
	var sum Stats
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		changes, dir := s.changes(n), b.TempDir()
		b.StartTimer()
		start := cpu()
		_, st, err := s.file.Prepare(b.Context(), s.plan, changes, dir, func(d []Delta) ([]byte, error) { return []byte("{}"), nil })
		if err != nil {
			b.Fatal(err)
		}
		used += cpu() - start
		b.StopTimer()
		if vs := st.Views["v"]; vs.Full && n < s.rows/10 || !vs.Full && vs.Affected < int64(n)/2 {
			b.Fatalf("%+v", vs)
		}
		sum.Load += st.Load
		sum.Collapse += st.Collapse
		sum.Join += st.Join
		sum.Apply += st.Apply
		sum.Parquet += st.Parquet
		b.StartTimer()
	}
	for name, d := range map[string]time.Duration{"cpu": used, "load": sum.Load, "collapse": sum.Collapse, "join": sum.Join, "apply": sum.Apply, "parquet": sum.Parquet} {
		b.ReportMetric(float64(d.Milliseconds())/float64(b.N), name+"-ms")
	}
}

// BenchmarkReplica is log batches -> collapsed window -> Parquet: 1 M rows of 15 columns, a tenth of the keys twice.
func BenchmarkReplica(b *testing.B) {
	ctx := b.Context()
	f, err := Open(ctx, Options{Path: filepath.Join(b.TempDir(), "state.db"), Memory: 2 << 30, Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	}()
	orders, _, _ := shop()
	const n = 1_000_000
	batches := shopRows(orders, n, 1, func(r *rand.Rand, i int) int64 {
		if i%10 == 0 {
			return r.Int64N(n)
		}
		return int64(i)
	}, n)
	plan := Plan{Outputs: []Output{{Name: "orders", Input: "shop.orders", Schema: orders}}}
	var st Stats
	start := cpu()
	for b.Loop() {
		_, st, err = f.Prepare(ctx, plan, []Changes{{Input: "shop.orders", Schema: orders, Batches: batches}}, b.TempDir(), func([]Delta) ([]byte, error) { return []byte("{}"), nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((cpu()-start).Milliseconds())/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(st.Load.Milliseconds()), "load-ms")
	b.ReportMetric(float64(st.Collapse.Milliseconds()), "collapse-ms")
	b.ReportMetric(float64(st.Parquet.Milliseconds()), "parquet-ms")
}
