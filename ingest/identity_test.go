package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
)

// A topic that was deleted and made anew is another one, even when it holds the very same records; so is another cluster.
func TestAnotherLogOfTheSameName(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g, err := grid.New(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Source: "clinic", Owner: "test", Grid: g, Kafka: embedded(t, t.TempDir()).Config(), Partitions: 1}.withDefaults()
	again := func(change func(*env)) error {
		e, err := kafkaEnv(cfg.Kafka, cfg.MaxBuffered)
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		change(&e)
		return stream(ctx, cfg, e, newClinic(1000))
	}
	for range 2 { // the second time over what the first has left
		if err := again(func(*env) {}); err != nil {
			t.Fatal(err)
		}
	}
	points, err := Checkpoints(ctx, cfg.Kafka)
	if log := points["clinic"].Log; err != nil || log.Cluster == "" || log.Topics["tm.clinic.db.clinic"] == "" {
		t.Fatalf("the checkpoint knows the log as %+v: %v", log, err)
	}

	err = again(func(e *env) {
		identify := e.identify
		e.identify = func(ctx context.Context, topics ...string) (kafka.Identity, error) {
			id, err := identify(ctx, topics...)
			id.Cluster = "elsewhere"
			return id, err
		}
	})
	if !errors.Is(err, ErrIntegrity) || !strings.Contains(err.Error(), "those of elsewhere") || !strings.Contains(err.Error(), "log.brokers") {
		t.Errorf("another cluster: %v", err)
	}

	makeAnew(ctx, t, cfg.Kafka, "tm.clinic.db.clinic")
	err = again(func(*env) {})
	if !errors.Is(err, ErrIntegrity) || !strings.Contains(err.Error(), "tm.clinic.db.clinic was deleted and made anew") || !strings.Contains(err.Error(), ResyncCommand("clinic")) {
		t.Errorf("a topic that was made anew: %v", err)
	}
}

// makeAnew deletes a topic of one partition and makes it again with the records that it had.
func makeAnew(ctx context.Context, t *testing.T, cfg kafka.Config, topic string) {
	t.Helper()
	log, err := readLog(ctx, cfg, "clinic")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl.Client).DeleteTopics(ctx, topic); err != nil {
		t.Fatal(err)
	}
	if err := kafka.EnsureTopics(ctx, cl, kafka.Topic{Name: topic, Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	for _, r := range log[topic][0] {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: r.Value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}
