package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Embedded is a broker inside this process: franz-go's kfake with a data folder and synced writes. An acknowledged record
// survives a kill of the process. Idempotence does not, so a retry after a kill may append a record twice; readers drop
// repeats by seq. At start it reads all that is retained: keep the log short with Trim.
type Embedded struct {
	cluster *kfake.Cluster
	lock    *os.File
}

// EmbeddedOptions are the choices of an embedded broker.
type EmbeddedOptions struct {
	Dir  string // data folder, created when missing; empty keeps everything in memory
	Port int    // on 127.0.0.1; 0 picks a free one
	// SegmentBytes is the size of the files that a partition is cut into; only whole files are given back by Trim.
	// Default 8 MiB: small enough that hundreds of partitions hold little, large enough that a 10 GB window is about
	// a thousand files.
	SegmentBytes int
}

// OpenEmbedded starts the broker on the data that an earlier one has left.
func OpenEmbedded(o EmbeddedOptions) (*Embedded, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 8 << 20
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.Ports(o.Port),
		kfake.ClusterID("tidemill-embedded"),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":      strconv.Itoa(o.SegmentBytes),
			"log.cleaner.backoff.ms": strconv.FormatInt((100 * 365 * 24 * time.Hour).Milliseconds(), 10), // never (invariant 4)
		}),
	}
	e := &Embedded{}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("opening the embedded broker: %w", err)
		}
		lock, err := lockFile(filepath.Join(o.Dir, "lock"))
		if err != nil {
			return nil, fmt.Errorf("opening the embedded broker in %s: another daemon holds this folder; stop it, or give log.embedded another one: %w", o.Dir, err)
		}
		e.lock = lock
		opts = append(opts, kfake.DataDir(filepath.Join(o.Dir, "broker")), kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the embedded broker on port %d: %w", o.Port, err), e.unlock())
	}
	e.cluster = cluster
	return e, nil
}

// Config reaches the broker.
func (e *Embedded) Config() Config { return Config{Brokers: e.cluster.ListenAddrs()} }

// Run keeps the project's keyed topics small until ctx ends, and then closes the broker. Stop its users first.
func (e *Embedded) Run(ctx context.Context, keyed ...string) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		for _, topic := range keyed {
			if err := Squeeze(ctx, e.Config(), topic); err != nil && ctx.Err() == nil {
				return errors.Join(err, e.Close())
			}
		}
		select {
		case <-ctx.Done():
			return e.Close()
		case <-tick.C:
		}
	}
}

// Close ends the broker and leaves its data as a clean stop does.
func (e *Embedded) Close() error {
	e.cluster.Close()
	return e.unlock()
}

func (e *Embedded) unlock() error {
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}
