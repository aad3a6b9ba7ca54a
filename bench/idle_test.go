package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
)

const (
	idleTables = 100
	idleRows   = 1000 // of each table
	idleWindow = 10 * time.Second
	idleFor    = 60 * time.Second
)

// BenchmarkIdle is what a daemon needs that has loaded a hundred tables and has nothing to do but to close windows.
func BenchmarkIdle(b *testing.B) {
	server := realtest.MariaDB(b)
	db := realtest.Open(b, server, "")
	realtest.Exec(b, db, "CREATE USER tm@'%' IDENTIFIED BY 'tm'", "GRANT ALL ON *.* TO tm@'%'", "CREATE DATABASE bench")
	var tables strings.Builder
	for n := range idleTables {
		realtest.Exec(b, db, fmt.Sprintf(lineTable, fmt.Sprintf("bench.t%d", n)),
			strings.ReplaceAll(fmt.Sprintf(lineFill, 0, idleRows), "bench.t ", fmt.Sprintf("bench.t%d ", n)))
		fmt.Fprintf(&tables, "  - replicate: shop.bench.t%d\n    into: raw\n", n)
	}
	p := newProject(b, fmt.Sprintf("window: %s\nlog: {embedded: ./data/log}\nstore: ./data/lake\nwarehouse: duckdb:./data/warehouse.db\n", idleWindow), map[string]string{
		"sources/shop.yaml":   mysqlSource("shop", server.Addr(), "bench.*"),
		"pipelines/shop.yaml": "kind: pipeline\nname: shop\ntables:\n" + tables.String(),
	})
	for range b.N {
		p.start(b)
		p.until(b, time.Minute, "SELECT count(*) FROM tidemill.tables", idleTables)
		<-time.After(idleWindow)
		before, _ := p.process(b)
		began := time.Now()
		<-time.After(idleFor)
		after, status := p.process(b)
		b.ReportMetric(float64(status.VmRSS), "RSS-bytes")
		b.ReportMetric(float64(status.RssAnon), "anonymous-bytes")
		b.ReportMetric(100*(after-before).Seconds()/time.Since(began).Seconds(), "core-%")
		p.stop(b)
	}
	b.ReportMetric(0, "ns/op")
}
