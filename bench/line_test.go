package main

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

const (
	lineRows   = 1_000_000
	lineGroup  = 10_000  // rows of one transaction
	lineKeys   = 100_000 // that the updates change, five times each
	lineWindow = 5 * time.Second
)

// lineTable is ten columns of the usual kinds.
const lineTable = `CREATE TABLE %s (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, k INT NOT NULL, small_u SMALLINT UNSIGNED NOT NULL,
 amount DECIMAL(18,4) NOT NULL, name VARCHAR(64) NOT NULL, note VARCHAR(255) NULL, created DATETIME(6) NOT NULL, updated TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
 status ENUM('new','paid','done') NOT NULL, ratio DOUBLE NOT NULL)`

const lineFill = `INSERT INTO bench.t (id, k, small_u, amount, name, note, created, status, ratio)
 SELECT %[1]d + seq, seq * 7919 %% 1000003, seq %% 65536, seq * 1.0001, CONCAT('customer name ', seq * 7919), IF(seq %% 4 = 0, NULL, REPEAT('n', 20 + seq %% 80)),
 '2026-11-01 00:00:00.123456' + INTERVAL seq SECOND, ELT(1 + seq %% 3, 'new', 'paid', 'done'), seq / 7 FROM bench.seq_1_to_%[2]d`

// BenchmarkLine is the way of a backlog from MariaDB's binlog to rows that a query of the warehouse sees, through the
// durable embedded log: the daemon is stopped, the load runs, the daemon is started, and the clock runs from that start
// until the last row is visible. "start-s" is how long the
// same daemon takes to answer its first query when there is nothing to do.
func BenchmarkLine(b *testing.B) {
	for _, warehouse := range []string{"duckdb", "postgres"} {
		b.Run(warehouse, func(b *testing.B) {
			l := newLine(b, warehouse)
			b.Run("inserts", func(b *testing.B) { l.measure(b, lineRows, l.inserts) })
			b.Run("updates", func(b *testing.B) { l.measure(b, 5*lineKeys, l.updates) })
		})
	}
}

type line struct {
	*project
	db    *sql.DB
	rows  int64     // that the log has carried since the base
	last  int       // id in the table
	began time.Time // of the measured run
}

func newLine(b *testing.B, warehouse string) *line {
	b.Helper()
	server := realtest.MariaDB(b, "innodb_flush_log_at_trx_commit=0", "sync_binlog=0", "innodb_buffer_pool_size=1G", "innodb_log_file_size=1G")
	l := &line{db: realtest.Open(b, server, "")}
	realtest.Exec(b, l.db, "CREATE USER tm@'%' IDENTIFIED BY 'tm'", "GRANT ALL ON *.* TO tm@'%'", "CREATE DATABASE bench", fmt.Sprintf(lineTable, "bench.t"))
	address := "duckdb:./data/warehouse.db"
	if warehouse == "postgres" {
		address = postgres(b).DSN("postgres")
	}
	l.project = newProject(b, fmt.Sprintf("window: %s\nlog: {embedded: ./data/log}\nstore: ./data/lake\nwarehouse: %q\n", lineWindow, address), map[string]string{
		"sources/shop.yaml":   mysqlSource("shop", server.Addr(), "bench.t"),
		"pipelines/shop.yaml": "kind: pipeline\nname: shop\ntables:\n  - replicate: shop.bench.t\n    into: raw\n",
	})
	l.start(b)
	l.until(b, time.Minute, "SELECT count(*) FROM raw.t", 0)
	l.stop(b)
	return l
}

func postgres(b *testing.B) *servers.Server {
	return realtest.Postgres(b, "shared_buffers=1GB", "max_wal_size=8GB", "synchronous_commit=on", "fsync=on")
}

// measure runs load while the daemon is stopped, and then the daemon until it has caught up.
func (l *line) measure(b *testing.B, rows int64, load func(b *testing.B)) {
	var visible, idle, cpu time.Duration
	stages := map[string]float64{}
	for range b.N {
		began := time.Now()
		l.start(b)
		l.carried(b)
		idle += time.Since(began)
		l.stop(b)
		load(b)
		l.rows += rows
		// By now nothing waits for the clock: the last window has ended, and the grace of an idle proof with it.
		<-time.After(time.Until(time.Now().Truncate(lineWindow).Add(lineWindow + 3*time.Second)))
		l.began = time.Now()
		l.start(b)
		l.carried(b)
		visible += time.Since(l.began)
		for _, stage := range lineStages {
			stages[stage] += l.stage(b, stage).Seconds()
		}
		cpu += l.stop(b)
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(rows)*n/visible.Seconds(), "rows/s")
	b.ReportMetric(cpu.Seconds()/n, "cpu-s")
	b.ReportMetric(idle.Seconds()/n, "start-s")
	for _, stage := range lineStages {
		b.ReportMetric(stages[stage]/n, "s-"+stage)
	}
}

// lineStages are the stages of a window as its receipt has them.
var lineStages = []string{"collapse", "parquet", "upload", "load", "apply"}

// stage is how long the windows that carried the last load spent in a stage, together.
func (l *line) stage(b *testing.B, name string) time.Duration {
	b.Helper()
	ms, ok := l.ask(b, fmt.Sprintf("SELECT CAST(sum(CAST(durations_ms->>'%s' AS BIGINT)) AS BIGINT) AS n FROM tidemill.receipts WHERE rows_in > 0 AND committed_at > '%s'", name, l.began.UTC().Format(time.RFC3339)))
	if !ok {
		b.Fatalf("the receipts do not tell how long %s took", name)
	}
	return time.Duration(ms) * time.Millisecond
}

// carried waits until every row of the log is in the warehouse.
func (l *line) carried(b *testing.B) {
	b.Helper()
	l.until(b, 40*time.Second, "SELECT CAST(coalesce(sum(rows_in), 0) AS BIGINT) AS n FROM tidemill.receipts", l.rows)
}

func (l *line) inserts(b *testing.B) {
	b.Helper()
	for range lineRows / lineGroup {
		realtest.Exec(b, l.db, fmt.Sprintf(lineFill, l.last, lineGroup))
		l.last += lineGroup
	}
}

func (l *line) updates(b *testing.B) {
	b.Helper()
	for round := range 5 {
		for at := 0; at < lineKeys; at += lineGroup {
			realtest.Exec(b, l.db, fmt.Sprintf("UPDATE bench.t SET k = k + 1, name = CONCAT('round %d of ', id) WHERE id > %d AND id <= %d", round, at, at+lineGroup))
		}
	}
}
