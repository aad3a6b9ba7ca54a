package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

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
	want     int64 // rows after which reached is closed; 0: never
	reached  chan struct{}
	groups   int64
	loaded   int64
	idle     chan time.Time
	loads    chan ingest.Load
}

func newNull() *null {
	return &null{idle: make(chan time.Time, 1), loads: make(chan ingest.Load, 1), reached: make(chan struct{})}
}

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

func (n *null) Anew(ctx context.Context, t ingest.TableName, reason string) error {
	return n.Park(ctx, t, reason)
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
	if n.want > 0 && n.have() >= n.want {
		close(n.reached)
		n.want = 0
	}
	return nil
}

// have is the number of rows so far.
func (n *null) have() int64 {
	have := n.rows
	for _, t := range n.builders {
		for _, b := range t {
			have += int64(b.Rows())
		}
	}
	return have
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

// through runs the source from a position until it has ended the group of the last row that is wanted, or, with none, until it
// knows that it has read everything: that takes the server's next heartbeat.
func through(b *testing.B, src *Source, from ingest.Position, table string, want int64) *null {
	b.Helper()
	n := newNull()
	n.want = want
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- src.Run(ctx, ingest.Resume{Position: from, Loads: map[ingest.TableName]ingest.Load{{Schema: "bench", Name: table}: {Done: true}}}, n)
	}()
	end := n.reached
	if want == 0 {
		end = nil
	}
	for waiting := true; waiting; {
		select {
		case <-n.idle:
			waiting = want > 0
		case <-end:
			waiting = false
		case err := <-done:
			b.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkStream reads one log in three ways: as a source does (packets, checksums, groups, rows into builders that are thrown
// away), with go-mysql's syncer in its fastest setting, and raw: the packets alone, which is the limit of the wire.
func BenchmarkStream(b *testing.B) {
	for _, f := range []flavor{mariadb, mysql} {
		b.Run(string(f), func(b *testing.B) {
			s, db := benchServer(b, f)
			realtest.Exec(b, db, fmt.Sprintf(benchTable, "bench.ten"), fmt.Sprintf(benchTable, "bench.small"), wideTable("bench.sixty"))
			for _, c := range []struct {
				name, table string
				rows        int64
				fill        func()
			}{
				{"10_columns", "ten", 3_000_000, func() { benchRows(b, db, "bench.ten", benchFill, 3) }},
				{"60_columns", "sixty", 600_000, func() { benchRows(b, db, "bench.sixty", wideFill(), 0.6) }},
				{"one_row_transactions", "small", 100_000, func() { oneRow(b, db, "bench.small", 100_000) }},
			} {
				src := benchSource(b, s, c.table)
				from := logPosition(b, src, db)
				c.fill()
				r := newRawReader(b, src, from)
				b.Run(c.name+"/tidemill", func(b *testing.B) {
					r.measure(b, c.rows, func() int64 { return through(b, src, from, c.table, c.rows).have() })
				})
				b.Run(c.name+"/go-mysql", func(b *testing.B) {
					rows := func(e *replication.BinlogEvent) int64 { return int64(len(e.Event.(*replication.RowsEvent).Rows)) }
					r.measure(b, c.rows, func() int64 { return throughGoMySQL(b, goMySQL(s, f), from, c.rows, rows) })
				})
				b.Run(c.name+"/go-mysql-raw", func(b *testing.B) {
					raw := goMySQL(s, f)
					raw.RawModeEnabled = true
					one := func(*replication.BinlogEvent) int64 { return 1 }
					r.measure(b, c.rows, func() int64 {
						throughGoMySQL(b, raw, from, int64(r.rowsEvents), one)
						return c.rows
					})
				})
				b.Run(c.name+"/raw", func(b *testing.B) {
					r.measure(b, c.rows, func() int64 { r.read(b); return c.rows })
				})
				if c.table == "small" {
					other := benchSource(b, s, "ten")
					b.Run("uncaptured_transactions/tidemill", func(b *testing.B) {
						r.measure(b, c.rows, func() int64 { through(b, other, from, "ten", 0); return c.rows })
					})
				}
			}
		})
	}
}

// benchRows inserts rows in statements of 2,000; seq has a million numbers.
func benchRows(b *testing.B, db *sql.DB, table, fill string, millions float64) {
	b.Helper()
	for range int(millions * 500) {
		realtest.Exec(b, db, fmt.Sprintf(fill, table, 0, 2000))
	}
}

// wideColumns are six columns of each of ten kinds.
var wideColumns = []struct{ typ, value string }{
	{"INT NOT NULL", "n * 7"}, {"BIGINT UNSIGNED NULL", "n * 104729"}, {"VARCHAR(40) NOT NULL", "CONCAT('text ', n)"}, {"DECIMAL(12,2) NULL", "n / 100"},
	{"DATETIME NOT NULL", "'2026-11-01' + INTERVAL n SECOND"}, {"DATE NULL", "'1980-01-01' + INTERVAL n % 9999 DAY"}, {"DOUBLE NOT NULL", "n / 7"},
	{"TINYINT NOT NULL", "n % 100"}, {"ENUM('a','b','c') NULL", "ELT(1 + n % 4, 'a', 'b', 'c')"}, {"VARCHAR(255) NULL", "IF(n % 3 = 0, NULL, REPEAT('w', n % 40))"},
}

const wideRepeats = 6

func wideTable(name string) string {
	q := "CREATE TABLE " + name + " (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"
	for i := range wideRepeats * len(wideColumns) {
		q += fmt.Sprintf(", c%d %s", i, wideColumns[i%len(wideColumns)].typ)
	}
	return q + ")"
}

func wideFill() string {
	var names, values string
	for i := range wideRepeats * len(wideColumns) {
		names += fmt.Sprintf(", c%d", i)
		values += ", " + strings.ReplaceAll(wideColumns[i%len(wideColumns)].value, "%", "%%")
	}
	return "INSERT INTO %s (" + names[2:] + ") SELECT " + values[2:] + " FROM bench.seq WHERE n > %d AND n <= %d"
}

// rawReader reads packets and nothing else. A first pass counts them: a reader that waits for silence would measure that.
type rawReader struct {
	src            *Source
	from           gtidSet
	packets, bytes int
	rowsEvents     int
}

func newRawReader(b *testing.B, src *Source, from ingest.Position) *rawReader {
	b.Helper()
	p, err := parsePosition(src.server.flavor, from)
	if err != nil {
		b.Fatal(err)
	}
	r := &rawReader{src: src, from: p.done}
	r.each(b, func(ev []byte) bool {
		if replication.EventType(ev[4]) == replication.HEARTBEAT_EVENT || replication.EventType(ev[4]) == replication.HEARTBEAT_LOG_EVENT_V2 {
			return r.packets < 10 // some come before the log's first event
		}
		r.packets, r.bytes = r.packets+1, r.bytes+len(ev)
		if holdsRows(replication.EventType(ev[4])) {
			r.rowsEvents++
		}
		return true
	})
	return r
}

func (r *rawReader) read(b *testing.B) {
	n := 0
	r.each(b, func(ev []byte) bool {
		if t := replication.EventType(ev[4]); t != replication.HEARTBEAT_EVENT && t != replication.HEARTBEAT_LOG_EVENT_V2 {
			n++
		}
		return n < r.packets
	})
}

// each calls fn with the events of a dump until it has enough.
func (r *rawReader) each(b *testing.B, fn func(ev []byte) bool) {
	b.Helper()
	c := &r.src.config
	d, err := c.startDump(b.Context(), r.src.server, r.from, 77, "bench-raw")
	if err != nil {
		b.Fatal(err)
	}
	defer d.conn.Close()
	in := newPackets(d.conn.socket(), firstSilence)
	var p []byte
	for {
		if p, err = in.next(p[:0]); err != nil {
			b.Fatal(err)
		}
		if len(p) < 1+headerSize {
			b.Fatalf("a packet of %d bytes", len(p))
		}
		if !fn(p[1:]) {
			return
		}
	}
}

// measure reports rows and bytes of the log a second, and what a row costs.
func (r *rawReader) measure(b *testing.B, rows int64, read func() int64) {
	b.Helper()
	b.SetBytes(int64(r.bytes))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, start := processCPU(), time.Now()
	for range b.N {
		if got := read(); got != rows {
			b.Fatalf("%d rows, want %d", got, rows)
		}
	}
	all := float64(rows) * float64(b.N)
	b.ReportMetric(all/time.Since(start).Seconds(), "rows/s")
	b.ReportMetric((processCPU()-used).Seconds()/all*1e6, "cpu-s/Mrow")
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/all, "allocs/row")
}

func goMySQL(s *servers.Server, f flavor) replication.BinlogSyncerConfig {
	return replication.BinlogSyncerConfig{ServerID: 78, Flavor: string(f), Host: servers.Loopback, Port: uint16(s.Port), User: "tm", Password: "tm", ParseTime: true,
		Logger: slog.New(slog.DiscardHandler)}
}

// throughGoMySQL reads until the row events add up.
func throughGoMySQL(b *testing.B, c replication.BinlogSyncerConfig, from ingest.Position, want int64, count func(*replication.BinlogEvent) int64) (got int64) {
	b.Helper()
	syncer := replication.NewBinlogSyncer(c)
	defer syncer.Close()
	set, err := gomysql.ParseGTIDSet(c.Flavor, string(from))
	if err != nil {
		b.Fatal(err)
	}
	events, err := syncer.StartSyncGTID(set)
	if err != nil {
		b.Fatal(err)
	}
	for got < want {
		e, err := events.GetEvent(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if holdsRows(e.Header.EventType) {
			got += count(e)
		}
	}
	return got
}

func holdsRows(t replication.EventType) bool {
	return t == replication.WRITE_ROWS_EVENTv1 || t == replication.WRITE_ROWS_EVENTv2
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
