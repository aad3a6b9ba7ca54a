package ingest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
)

// The broker goes away under load and comes back on the same port with its data: the stream waits and goes on, as one owner.
func TestBrokerRestartsUnderLoad(t *testing.T) {
	o := kafka.EmbeddedOptions{Dir: t.TempDir()}
	broker, err := kafka.OpenEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config()
	_, port, err := net.SplitHostPort(cfg.Brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	g, err := grid.New(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	src := newClinic(60_000)
	src.at = func(n int) {
		if n%20_000 != 10_000 {
			return
		}
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
		if broker, err = kafka.OpenEmbedded(o); err != nil {
			t.Error(err)
		}
	}
	if err := Stream(ctx, Config{Source: "clinic", Owner: "test", Grid: g, Kafka: cfg, Partitions: 2}, src); err != nil {
		t.Fatal(err)
	}
	topics, err := readLog(ctx, cfg, "clinic")
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for p, records := range topics["tm.clinic.db.clinic"] {
		s := &partScan{}
		for i, r := range records {
			if _, err := s.take(int64(i), r.Value, 1); err != nil {
				t.Fatal(fmt.Errorf("partition %d: %w", p, err))
			}
		}
		rows += s.rows
	}
	if rows != 60_000 {
		t.Errorf("%d rows in the log, want 60000", rows)
	}
	points, err := Checkpoints(ctx, cfg)
	if err != nil || points["clinic"].Position != "60000" || points["clinic"].Epoch != 1 {
		t.Errorf("checkpoint %+v %v", points["clinic"], err)
	}
	floors, err := Floors(ctx, cfg)
	if err != nil || floors["tm.clinic.db.clinic"][1] != int64(len(topics["tm.clinic.db.clinic"][1])) {
		t.Errorf("floors %v %v", floors, err)
	}
	if err := broker.Close(); err != nil {
		t.Error(err)
	}
}
