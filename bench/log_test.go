package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sources/mysql"
)

const (
	logRows  = 4_000_000
	logSmall = 400_000 // transactions of one row
)

// BenchmarkLog is the way of rows from MariaDB to the durable log: the clock runs from the start of the source's owner until
// a checkpoint says that every row is acknowledged. That is up to a second later than the last acknowledgement.
func BenchmarkLog(b *testing.B) {
	for _, log := range []struct {
		name string
		open func(*testing.B) kafka.Config
	}{{"embedded", embeddedLog}, {"kafka", kafkaLog}} {
		b.Run(log.name, func(b *testing.B) {
			server := realtest.MariaDB(b, "innodb_flush_log_at_trx_commit=0", "sync_binlog=0", "innodb_buffer_pool_size=2G", "innodb_log_file_size=1G")
			db := realtest.Open(b, server, "")
			realtest.Exec(b, db, "CREATE USER tm@'%' IDENTIFIED BY 'tm'", "GRANT ALL ON *.* TO tm@'%'", "CREATE DATABASE bench",
				fmt.Sprintf(lineTable, "bench.loaded"), fmt.Sprintf(lineTable, "bench.rows"), fmt.Sprintf(lineTable, "bench.small"))
			o := &owner{log: log.open(b), conf: mysql.Default(), db: db}
			o.conf.Address, o.conf.User, o.conf.Password = server.Addr(), "tm", config.NewSecret("tm")
			fillRows(b, db, "loaded", 0, logRows)
			b.Run("first_load", o.firstLoad)
			b.Run("rows", func(b *testing.B) { o.stream(b, "rows", logRows, fillRows) })
			b.Run("one_row_transactions", func(b *testing.B) { o.stream(b, "small", logSmall, fillOneByOne) })
		})
	}
}

func embeddedLog(b *testing.B) kafka.Config {
	b.Helper()
	broker, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := broker.Close(); err != nil {
			b.Error(err)
		}
	})
	return broker.Config()
}

func kafkaLog(b *testing.B) kafka.Config {
	b.Helper()
	return kafka.Config{Brokers: []string{realtest.Kafka(b).Addr()}}
}

func fillRows(b *testing.B, db *sql.DB, table string, from, rows int64) {
	b.Helper()
	for at := from; at < from+rows; at += lineGroup {
		realtest.Exec(b, db, strings.ReplaceAll(fmt.Sprintf(lineFill, at, lineGroup), "bench.t ", "bench."+table+" "))
	}
}

// fillOneByOne commits each row alone, in the server: a client's round trips would take most of the time.
func fillOneByOne(b *testing.B, db *sql.DB, table string, from, rows int64) {
	b.Helper()
	realtest.Exec(b, db, fmt.Sprintf(`CREATE OR REPLACE PROCEDURE bench.one_by_one() FOR i IN %d..%d DO
 INSERT INTO bench.%s (id, k, small_u, amount, name, note, created, status, ratio) VALUES (i, 1, 2, 3.5, 'small txn', 'x', '2026-11-23 01:02:03.000004', 'paid', 0.25); END FOR`,
		from+1, from+rows, table), "CALL bench.one_by_one()")
}

// owner writes a server's log to ours.
type owner struct {
	log   kafka.Config
	conf  mysql.Config
	db    *sql.DB
	loads int
	sent  map[string]int64 // rows of a table since its load
}

// firstLoad is the load of a table by a source that is new.
func (o *owner) firstLoad(b *testing.B) {
	o.loads++
	o.measure(b, fmt.Sprintf("loads%d", o.loads), "loaded", logRows, logRows)
}

// stream is the way of new rows. The source has loaded the empty table before.
func (o *owner) stream(b *testing.B, table string, rows int64, fill func(*testing.B, *sql.DB, string, int64, int64)) {
	source := "of-" + table
	if _, begun := o.sent[table]; !begun {
		o.run(b, source, table, 0)
		if o.sent == nil {
			o.sent = map[string]int64{}
		}
	}
	fill(b, o.db, table, o.sent[table], rows)
	o.sent[table] += rows
	o.measure(b, source, table, rows, o.sent[table])
}

// measure runs the owner until so many rows of the table are durable, of which some are new.
func (o *owner) measure(b *testing.B, source, table string, rows, all int64) {
	if b.N > 1 {
		b.Fatal("the rows are there once: run with -benchtime 1x")
	}
	used := processCPU()
	took := o.run(b, source, table, all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
	b.ReportMetric((processCPU() - used).Seconds(), "cpu-s")
}

// run runs the owner until so many rows of the table are durable, and tells how long that took.
func (o *owner) run(b *testing.B, source, table string, rows int64) time.Duration {
	b.Helper()
	conf := o.conf
	conf.Tables = map[string]mysql.Table{"bench." + table: {}}
	src, err := mysql.New(source, conf, nil)
	if err != nil {
		b.Fatal(err)
	}
	g, err := grid.New(15 * time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		done <- ingest.Stream(ctx, ingest.Config{Source: source, Owner: "bench", Grid: g, Kafka: o.log}, src)
	}()
	o.await(b, source, ingest.Topic(source, ingest.TableName{Schema: "bench", Name: table}), rows, done)
	took := time.Since(began)
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return took
}

// await polls the checkpoint until it covers the rows of a topic.
func (o *owner) await(b *testing.B, source, topic string, rows int64, done <-chan error) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	have := int64(-1)
	for have != rows {
		select {
		case <-tick.C:
		case err := <-done:
			b.Fatalf("the owner ended after %d rows: %v", have, err)
		case <-deadline:
			b.Fatalf("%d rows of %d are durable", have, rows)
		}
		points, err := ingest.Checkpoints(b.Context(), o.log)
		if err != nil {
			continue // the topic is not there yet
		}
		have = 0
		for _, mark := range points[source].Partitions[topic] {
			have += mark.Seq
		}
		loads := slices.Collect(maps.Values(points[source].Loads))
		if len(loads) == 0 || slices.ContainsFunc(loads, func(l ingest.Load) bool { return !l.Done }) {
			have = -1
		}
	}
}
