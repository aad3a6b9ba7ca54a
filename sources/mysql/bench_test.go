package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

// null is an Emitter that throws rows away, so that what is measured is the source alone.
type null struct {
	ids      []*ingest.Schema
	builders [][]*ingest.Builder
	rows     int64
	groups   int64
	loaded   int64
	idle     chan time.Time
	loads    chan ingest.Load
}

func newNull() *null { return &null{idle: make(chan time.Time, 1), loads: make(chan ingest.Load, 1)} }

const nullPartitions = 4

func (n *null) Start(context.Context, ingest.Position) error  { return nil }
func (n *null) Begin(context.Context, time.Time) error        { return nil }
func (n *null) Window() grid.Window                           { return grid.Window{} }
func (n *null) Complete(context.Context, time.Time) error     { return nil }
func (n *null) Settle(context.Context, json.RawMessage) error { return nil }
func (n *null) Tick(context.Context) error                    { return nil }
func (n *null) Partitions(ingest.TableID) int                 { return nullPartitions }

func (n *null) Reload(_ context.Context, t ingest.TableName) error {
	return fmt.Errorf("%s is to be loaded again", t)
}

func (n *null) Park(_ context.Context, t ingest.TableName, reason string) error {
	return fmt.Errorf("%s was parked: %s", t, reason)
}

func (n *null) Table(_ context.Context, s *ingest.Schema) (ingest.TableID, error) {
	var b []*ingest.Builder
	for range nullPartitions {
		b = append(b, ingest.NewBuilder(s))
	}
	n.ids, n.builders = append(n.ids, s), append(n.builders, b)
	return ingest.TableID(len(n.ids) - 1), nil
}

func (n *null) Builder(id ingest.TableID, p int) *ingest.Builder {
	b := n.builders[id][p]
	if b.Rows() > 20_000 {
		n.rows += int64(b.Rows())
		b.Reset()
	}
	return b
}

func (n *null) Progress(context.Context, ingest.Position) error { return nil }

func (n *null) End(context.Context, ingest.Position) error {
	n.groups++
	return nil
}

func (n *null) Idle(_ context.Context, t time.Time) error {
	select {
	case n.idle <- t:
	default:
	}
	return nil
}

func (n *null) Load(_ context.Context, _ ingest.TableID, chunk []*ingest.Builder, l ingest.Load) error {
	for _, b := range chunk {
		if b != nil {
			n.loaded += int64(b.Rows())
		}
	}
	if l.Done {
		n.loads <- l
	}
	return nil
}

func (n *null) total() int64 {
	for _, t := range n.builders {
		for _, b := range t {
			n.rows += int64(b.Rows())
			b.Reset()
		}
	}
	return n.rows
}

// benchTable is ten columns of the usual kinds, 117 bytes a row in the log.
const benchTable = `CREATE TABLE %s (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, small_u SMALLINT UNSIGNED NOT NULL,
 amount DECIMAL(18,4) NOT NULL, name VARCHAR(64) NOT NULL, note VARCHAR(255) NULL, created DATETIME(6) NOT NULL, updated TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
 status ENUM('new','paid','done') NOT NULL, ratio DOUBLE NOT NULL)`

const benchFill = `INSERT INTO %s (k, small_u, amount, name, note, created, status, ratio)
 SELECT n * 7919 %% 1000003, n %% 65536, n * 1.0001, CONCAT('customer name ', n * 7919), IF(n %% 4 = 0, NULL, REPEAT('n', 20 + n %% 80)),
 '2026-11-01 00:00:00.123456' + INTERVAL n SECOND, ELT(1 + n %% 3, 'new', 'paid', 'done'), n / 7 FROM bench.seq WHERE n > %d AND n <= %d`

// benchServer is a server with a table seq of a million numbers.
func benchServer(b *testing.B, f flavor) (*servers.Server, *sql.DB) {
	b.Helper()
	var s *servers.Server
	if f == mariadb {
		s = realtest.MariaDB(b, "innodb_flush_log_at_trx_commit=0", "sync_binlog=0", "innodb_buffer_pool_size=1G", "innodb_log_file_size=1G")
	} else {
		s = realtest.MySQL(b, "innodb-flush-log-at-trx-commit=0", "sync-binlog=0", "innodb-buffer-pool-size=1G", "innodb-redo-log-capacity=2G")
	}
	db := realtest.Open(b, s, "")
	db.SetMaxIdleConns(16)
	run := func(statements ...string) {
		for _, q := range statements {
			if _, err := db.Exec(q); err != nil {
				b.Fatal(err)
			}
		}
	}
	run("CREATE USER tm@'%' IDENTIFIED BY 'tm'", "GRANT ALL ON *.* TO tm@'%'", "CREATE DATABASE bench", "CREATE TABLE bench.seq (n INT PRIMARY KEY)",
		"INSERT INTO bench.seq WITH RECURSIVE d AS (SELECT 0 x UNION ALL SELECT x + 1 FROM d WHERE x < 9) SELECT 1 + a.x + 10 * b.x + 100 * c.x + 1000 * e.x + 10000 * f.x + 100000 * g.x FROM d a, d b, d c, d e, d f, d g")
	return s, db
}

func benchSource(b *testing.B, s *servers.Server, table string) *Source {
	b.Helper()
	c := Default()
	c.Address, c.User, c.Password = s.Addr(), "tm", config.NewSecret("tm")
	c.Tables = map[string]Table{"bench." + table: {}}
	src, err := New("bench", c, nil)
	if err != nil {
		b.Fatal(err)
	}
	src.interval = 5 * time.Millisecond
	if _, err := src.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	return src
}

// logPosition is where the log stands.
func logPosition(b *testing.B, src *Source, db *sql.DB) ingest.Position {
	b.Helper()
	srv := *src.server
	srv.db = db
	set, err := srv.position(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	p := position{done: set}
	return p.text()
}

// through runs the source from a position until it has read everything.
func through(b *testing.B, src *Source, from ingest.Position, table string) *null {
	b.Helper()
	n := newNull()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- src.Run(ctx, ingest.Resume{Position: from, Loads: map[ingest.TableName]ingest.Load{{Schema: "bench", Name: table}: {Done: true}}}, n)
	}()
	select {
	case <-n.idle:
	case err := <-done:
		b.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return n
}

func BenchmarkStream(b *testing.B) {
	for _, f := range []flavor{mariadb, mysql} {
		b.Run(string(f), func(b *testing.B) {
			s, db := benchServer(b, f)
			realtest.Exec(b, db, fmt.Sprintf(benchTable, "bench.t"), fmt.Sprintf(benchTable, "bench.small"), fmt.Sprintf(benchTable, "bench.uncaptured"))
			src := benchSource(b, s, "t")
			bulk := logPosition(b, src, db)
			for at := 0; at < 1_000_000; at += 2000 {
				realtest.Exec(b, db, fmt.Sprintf(benchFill, "bench.t", at, at+2000))
			}
			b.Run("rows", func(b *testing.B) { measure(b, src, bulk, "t", 1_000_000) })
			small := logPosition(b, src, db)
			oneRow(b, db, "bench.small", 100_000)
			one := benchSource(b, s, "small")
			b.Run("one_row_transactions", func(b *testing.B) { measure(b, one, small, "small", 100_000) })
			b.Run("uncaptured_transactions", func(b *testing.B) { measure(b, src, small, "t", 0) })
		})
	}
}

func measure(b *testing.B, src *Source, from ingest.Position, table string, want int64) {
	b.Helper()
	b.ReportAllocs()
	start := time.Now()
	for range b.N {
		n := through(b, src, from, table)
		if got := n.total(); got != want {
			b.Fatalf("%d rows, want %d", got, want)
		}
	}
	count := float64(want)
	if want == 0 {
		count = 100_000
	}
	b.ReportMetric(count*float64(b.N)/time.Since(start).Seconds(), "rows/s")
}

// oneRow commits n rows one by one.
func oneRow(b *testing.B, db *sql.DB, table string, n int) {
	b.Helper()
	var wg sync.WaitGroup
	const workers = 8
	for range workers {
		wg.Go(func() {
			for range n / workers {
				_, err := db.Exec("INSERT INTO " + table + " (k, small_u, amount, name, note, created, status, ratio) VALUES (1, 2, 3.5, 'small txn', 'x', '2026-11-23 01:02:03.000004', 'paid', 0.25)")
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkLoad reads a table of 5 M rows by chunks of the default size.
func BenchmarkLoad(b *testing.B) {
	for _, f := range []flavor{mariadb, mysql} {
		b.Run(string(f), func(b *testing.B) {
			s, db := benchServer(b, f)
			realtest.Exec(b, db, fmt.Sprintf(benchTable, "bench.t"))
			const total = 5_000_000
			for range total / 1_000_000 {
				realtest.Exec(b, db, fmt.Sprintf(benchFill, "bench.t", 0, 1_000_000))
			}
			src := benchSource(b, s, "t")
			b.ResetTimer()
			b.ReportAllocs()
			start := time.Now()
			for range b.N {
				n := newNull()
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- src.Run(ctx, ingest.Resume{}, n) }()
				select {
				case l := <-n.loads:
					if l.Rows != total || n.loaded != total {
						b.Errorf("loaded %d rows, the state says %d", n.loaded, l.Rows)
					}
				case err := <-done:
					b.Fatal(err)
				}
				stop()
				<-done
			}
			b.ReportMetric(float64(total)*float64(b.N)/time.Since(start).Seconds(), "rows/s")
		})
	}
}
