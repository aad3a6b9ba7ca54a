package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

const (
	visibleWindow  = 20 * time.Second
	visibleWindows = 15
	visibleRows    = 1_000_000 // of each window

	restartRows = 5_000_000

	largeRow   = 1000 // bytes of a row, about
	largeBytes = 10_000_000_000
	// largeWindow is enough for the server to write them.
	largeWindow = 5 * time.Minute
)

// shopServer is a MariaDB with a database bench that accepts large transactions quickly.
func shopServer(b *testing.B) (*servers.Server, *sql.DB) {
	b.Helper()
	server := realtest.MariaDB(b, "innodb_flush_log_at_trx_commit=0", "sync_binlog=0", "innodb_buffer_pool_size=1G", "innodb_log_file_size=1G")
	db := realtest.Open(b, server, "")
	realtest.Exec(b, db, "CREATE USER tm@'%' IDENTIFIED BY 'tm'", "GRANT ALL ON *.* TO tm@'%'", "CREATE DATABASE bench")
	return server, db
}

// shopProject replicates bench.* through a log into a DuckDB warehouse.
func shopProject(b *testing.B, server *servers.Server, settings, pipeline string) *project {
	b.Helper()
	return newProject(b, settings+"store: ./data/lake\n", map[string]string{
		"sources/shop.yaml":   mysqlSource("shop", server.Addr(), "bench.*"),
		"pipelines/shop.yaml": "kind: pipeline\nname: shop\ntables:\n" + pipeline,
	})
}

// BenchmarkVisible is how long after the end of a window its rows are visible, while the next window's rows already come: the
// database, the daemon with its broker and its warehouse share the machine.
func BenchmarkVisible(b *testing.B) {
	server, db := shopServer(b)
	realtest.Exec(b, db, fmt.Sprintf(lineTable, "bench.t"))
	p := shopProject(b, server, fmt.Sprintf("window: %s\nlog: {embedded: ./data/log}\nwarehouse: duckdb:./data/warehouse.db\n", visibleWindow), "  - replicate: shop.bench.t\n    into: raw\n")
	p.start(b)
	p.until(b, time.Minute, "SELECT count(*) AS n FROM raw.t", 0)
	groups := scaled(visibleRows) / lineGroup
	pace := time.NewTicker(visibleWindow / time.Duration(groups+1))
	defer pace.Stop()
	last := 0
	for range visibleWindows * groups {
		<-pace.C
		realtest.Exec(b, db, fmt.Sprintf(lineFill, last, lineGroup))
		last += lineGroup
	}
	p.until(b, 5*time.Minute, "SELECT count(*) AS n FROM raw.t", int64(last))
	const after = "(epoch_ms(committed_at) - epoch_ms(window_end))"
	for name, of := range map[string]string{"p50-s": "quantile_disc(" + after + ", 0.5)", "p99-s": "quantile_disc(" + after + ", 0.99)"} {
		ms, ok := p.ask(b, "SELECT CAST("+of+" AS BIGINT) AS n FROM tidemill.receipts WHERE final AND rows_in > 0")
		if !ok {
			b.Fatal("the receipts do not tell when rows became visible")
		}
		b.ReportMetric(float64(ms)/1000, name)
	}
	n, _ := p.ask(b, "SELECT CAST(max(rows_in) AS BIGINT) AS n FROM tidemill.receipts")
	b.ReportMetric(float64(n), "rows-in-the-largest-window")
	b.ReportMetric(0, "ns/op")
	p.stop(b)
}

// restartView has all of its rows in the state.
const restartView = "SELECT t.id, t.name, t.amount, d.label FROM shop.t t LEFT JOIN shop.d d ON d.id = t.small_u\n"

// BenchmarkRestart is how long a daemon needs from its start to its first publish, over a joined view with five million rows of
// state, with one window to catch up with: stopped politely, killed, and with its state file lost.
func BenchmarkRestart(b *testing.B) {
	server, db := shopServer(b)
	realtest.Exec(b, db, fmt.Sprintf(lineTable, "bench.t"), "CREATE TABLE bench.d (id INT PRIMARY KEY, label VARCHAR(40))", "INSERT INTO bench.d SELECT seq, CONCAT('label ', seq) FROM bench.seq_0_to_65535")
	fillRows(b, db, "t", 0, int64(scaled(restartRows)))
	p := shopProject(b, server, fmt.Sprintf("window: %s\nlog: {embedded: ./data/log}\nwarehouse: duckdb:./data/warehouse.db\n", lineWindow), "  - name: mart.v\n    sql: v.sql\n    key: [id]\n")
	p.write(b, "pipelines/v.sql", restartView)
	p.start(b)
	p.until(b, 10*time.Minute, "SELECT count(*) AS n FROM mart.v", int64(scaled(restartRows)))
	<-time.After(4 * lineWindow) // a snapshot of the state is taken every few windows
	changes := int64(0)
	for _, end := range []struct {
		name string
		stop func()
	}{
		{"stopped", func() { p.stop(b) }},
		{"killed", p.kill},
		{"state_lost", func() {
			p.kill()
			lost, err := filepath.Glob(filepath.Join(p.dir, "data", "pipelines", "*"))
			if err != nil || len(lost) == 0 {
				b.Fatalf("there is no state to lose: %v", err)
			}
			for _, f := range lost {
				if err := os.RemoveAll(f); err != nil {
					b.Fatal(err)
				}
			}
		}},
	} {
		b.Run(end.name, func(b *testing.B) {
			end.stop()
			changes++
			realtest.Exec(b, db, fmt.Sprintf("UPDATE bench.t SET name = 'changed %d' WHERE id = %d", changes, changes))
			<-time.After(time.Until(time.Now().Truncate(lineWindow).Add(lineWindow + 3*time.Second)))
			began := time.Now()
			p.start(b)
			p.until(b, 5*time.Minute, "SELECT count(*) AS n FROM mart.v WHERE name LIKE 'changed %'", changes)
			b.ReportMetric(time.Since(began).Seconds(), "s-to-publish")
			b.ReportMetric(0, "ns/op")
		})
	}
	p.stop(b)
}

// BenchmarkLargeWindow is one window of ten gigabytes of changes, through Kafka, by a daemon that should need no more than two
// gigabytes of memory, DuckDB's share included.
func BenchmarkLargeWindow(b *testing.B) {
	server, db := shopServer(b)
	realtest.Exec(b, db, "CREATE TABLE bench.t (id BIGINT NOT NULL PRIMARY KEY, v INT NOT NULL, body VARCHAR(1200) NOT NULL)")
	kafka := realtest.Kafka(b, "log.retention.ms=-1")
	p := shopProject(b, server, fmt.Sprintf("window: %s\nmemory: 256MiB\nwarehouse: duckdb:./data/warehouse.db?memory_limit=256MB\nlog: {brokers: [%q], replication: 1}\n", largeWindow, kafka.Addr()), "  - replicate: shop.bench.t\n    into: raw\n")
	b.Setenv("GOMEMLIMIT", "512MiB")
	p.start(b)
	p.until(b, time.Minute, "SELECT count(*) AS n FROM tidemill.tables", 0)
	rows := scaled(largeBytes / largeRow)
	<-time.After(time.Until(time.Now().Truncate(largeWindow).Add(largeWindow)))
	began := time.Now()
	const body = "CONCAT(SHA2(seq + %[1]d, 512), SHA2(seq + %[1]d + 0.5, 512), REPEAT(SHA2(seq + %[1]d + 0.7, 512), 6))"
	for at := 0; at < rows; at += lineGroup {
		if at%(100*lineGroup) == 0 { // 15 GB of binlog in all; the server keeps what a reader still needs
			realtest.Exec(b, db, "PURGE BINARY LOGS BEFORE NOW()")
		}
		realtest.Exec(b, db, fmt.Sprintf("REPLACE INTO bench.t SELECT (seq + %[1]d) %% %[2]d, %[1]d, "+body+" FROM bench.seq_1_to_%[3]d", at, rows/2, lineGroup))
	}
	b.ReportMetric(time.Since(began).Seconds(), "s-to-write")
	p.until(b, 2*largeWindow, fmt.Sprintf("SELECT count(*) AS n FROM raw.t WHERE v >= %d", rows/2), int64(rows/2)) // every key's second row
	one, _ := p.ask(b, "SELECT CAST(max(n) AS BIGINT) AS n FROM (SELECT sum(rows_in) AS n FROM tidemill.receipts GROUP BY window_start)")
	b.ReportMetric(float64(one)*largeRow, "bytes-in-the-window")
	_, status := p.process(b)
	b.ReportMetric(float64(status.VmHWM), "peak-RSS-bytes")
	b.ReportMetric(0, "ns/op")
	p.stop(b)
}
