package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
	"github.com/tidemill/tidemill/internal/kafka"
)

func (c *cli) tailCommand() *cobra.Command {
	var t tailer
	cmd := &cobra.Command{
		Use:   "tail SOURCE.SCHEMA.TABLE",
		Short: "Print a table's change rows from the log as JSON",
		Long: `Print the rows of a table's topic in the log, one JSON object per line, as long as they are
retained. The log is read directly from the broker, not through the daemon.`,
		Example: `  tidemill tail consult.clinic.patients
  tidemill tail consult.clinic.patients --follow --markers
  tidemill tail consult.clinic.patients | jq -c 'select(.op == "delete") | .row'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.complete(ofTables, false),
	}
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with rows that are still to come")
	cmd.Flags().BoolVarP(&t.markers, "markers", "m", false, "print seals and owner epochs too")
	cmd.Flags().Int64VarP(&t.limit, "rows", "n", 0, "stop after this many rows (0: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.stoppedClean = t.follow
		t.out = c.out
		err := c.tail(cmd.Context(), &t, args[0])
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	}
	return cmd
}

func (c *cli) tail(ctx context.Context, t *tailer, table string) error {
	cfg, err := c.logConfig()
	if err != nil {
		return err
	}
	topic, err := topicOf(table)
	if err != nil {
		return err
	}
	cl, err := kafka.New(cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	known, err := kafka.Topics(ctx, cl, "tm.")
	if err != nil {
		return &environmentError{what: "reading the log", err: err, remedy: "is the broker running? " + c.command("status")}
	}
	if !slices.Contains(known, topic) {
		return fmt.Errorf("the log has no topic %s%s", topic, config.DidYouMean(topic, known))
	}
	bounds, err := kafka.Offsets(ctx, cl, topic)
	if err != nil {
		return err
	}
	var ranges []kafka.Range
	next := map[int32]kgo.Offset{}
	for p, b := range bounds[topic] {
		ranges = append(ranges, kafka.Range{Topic: topic, Partition: p, From: b.Start, To: b.End})
		next[int32(p)] = kgo.NewOffset().At(b.End)
	}
	if err := kafka.Read(ctx, cfg, ranges, func(_ int, r *kgo.Record) error { return t.record(r) }); err != nil || !t.follow {
		return err
	}
	return t.followOn(ctx, cfg, map[string]map[int32]kgo.Offset{cfg.Prefix + topic: next})
}

// logConfig reaches the log that the project's daemon writes.
func (c *cli) logConfig() (kafka.Config, error) {
	p, err := config.Load(c.dir, c.env)
	if err != nil {
		return kafka.Config{}, err
	}
	broker := ""
	if len(p.Log.Brokers) == 0 {
		info, err := daemon.ReadInfo(p.Data)
		if err != nil {
			return kafka.Config{}, c.noDaemon("no daemon runs this project, and its log is inside the daemon")
		}
		broker = info.Broker
	} else if missing := p.Missing(); len(missing) > 0 {
		return kafka.Config{}, missing
	}
	return daemon.KafkaConfig(p.Log, broker)
}

// topicOf is the topic of source.schema.table; the name of a topic stands for itself.
func topicOf(table string) (string, error) {
	if strings.HasPrefix(table, "tm.") {
		return table, nil
	}
	parts := strings.SplitN(table, ".", 3)
	if len(parts) != 3 {
		return "", &usageError{"tidemill tail", fmt.Errorf("%q is not source.schema.table", table)}
	}
	return ingest.Topic(parts[0], ingest.TableName{Schema: parts[1], Name: parts[2]}), nil
}
