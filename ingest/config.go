package ingest

import (
	"context"
	"os"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
)

// ClaimStore is where payloads go that are too large for the log: the object store of the lake.
type ClaimStore interface {
	// Put creates key from a local file; an existing key is an error.
	Put(ctx context.Context, key, path string) error
}

// Config says how a source is written to the log. Source, Owner, Grid and Kafka have no default.
type Config struct {
	Source string // name of the source
	Owner  string // of this process, for the claims topic and errors
	Grid   grid.Grid
	Kafka  kafka.Config

	Partitions  int // of new table topics; default 4
	Replication int // of new topics; default 0, the cluster's own

	// MaxSkew is how far ahead of our clock a commit time counts. Default 2 min: more than clocks that are kept differ.
	MaxSkew time.Duration
	// Grace is how far past a window's end an idle proof must lie. Default 2 s: a commit may become visible that much
	// after its commit time; it would not be lost, but late.
	Grace time.Duration
	// SliceBytes of Arrow data complete a slice early. Default 2 GB: a slice is what a pipeline holds or spills at once.
	SliceBytes int64
	// FlushBytes of one partition make a batch. Default 512 KiB: below the record limit when encoded, and large enough
	// that the schema in each batch costs nothing.
	FlushBytes int
	// FlushEvery is the longest that rows wait for a full batch. Default 200 ms.
	FlushEvery time.Duration
	// CheckpointEvery is the usual time between checkpoints. Default 1 s: what a new owner reads again.
	CheckpointEvery time.Duration
	// MaxBuffered bytes may wait for the broker before the source has to. Default 64 MiB.
	MaxBuffered int

	Claims ClaimStore // for rows over the record limit; nil: such a row is an error
	Dir    string     // for temporary files; default the system's

	Tracer trace.Tracer // default: none
	Meter  metric.Meter // default: none
	Now    func() time.Time

	maxPayload int // encoded bytes of a record; tests lower it
}

// The record limit is that of a broker left at its defaults, and of franz-go: 1,000,012 bytes for a batch of records.
const maxPayload = 900_000

func (c Config) withDefaults() Config {
	set(&c.Partitions, 4)
	set(&c.MaxSkew, 2*time.Minute)
	set(&c.Grace, 2*time.Second)
	set(&c.SliceBytes, 2_000_000_000)
	set(&c.FlushBytes, 512<<10)
	set(&c.FlushEvery, 200*time.Millisecond)
	set(&c.CheckpointEvery, time.Second)
	set(&c.MaxBuffered, 64<<20)
	set(&c.Dir, os.TempDir())
	set(&c.maxPayload, maxPayload)
	if c.Tracer == nil {
		c.Tracer = tracenoop.NewTracerProvider().Tracer("")
	}
	if c.Meter == nil {
		c.Meter = metricnoop.NewMeterProvider().Meter("")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func set[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (c Config) unit() string { return "source/" + c.Source }
