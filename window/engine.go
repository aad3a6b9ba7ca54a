package window

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	statefile "github.com/tidemill/tidemill/window/state"
)

// engine is a pipeline's local state and what computes on it. It knows the images of the views' inputs and turns the
// changes of a step into Parquet files. One goroutine uses it, but for spill.
type engine interface {
	// meta is what the last commit saved, nil for a new state.
	meta(ctx context.Context) ([]byte, error)
	// prepare does all of w in one local transaction: collapse the changes, write the outputs' files into dir, apply the
	// changes to the state, then call save with the files and commit together with what save returned. An error of save
	// rolls everything back.
	prepare(ctx context.Context, w *work, dir string, save func([]preparedTable) ([]byte, error)) (timings, error)
	// mark replaces the meta.
	mark(ctx context.Context, meta []byte) error
	// reset drops all images.
	reset(ctx context.Context) error
	// topics are the inputs whose images the state holds.
	topics(ctx context.Context) ([]string, error)
	// prime fills the images of an input from batches of its columns.
	prime(ctx context.Context, topic string, schema *ingest.Schema, read func(fn func(arrow.RecordBatch) error) error) error
	// export writes the state into files in dir and returns their names; restore makes the state be what they hold.
	export(ctx context.Context, dir string) ([]string, error)
	restore(ctx context.Context, dir string) error
	// spill writes a bucket's batches to a new local run and returns its size. It may be called while prepare runs.
	spill(ctx context.Context, path string, b *bucket) (int64, error)
	// maintain keeps the file small; called between steps.
	maintain(ctx context.Context) error
	close() error
}

// work is what prepare does.
type work struct {
	inputs   []workInput
	replicas []workReplica
	views    []workView // all of the plan

	quarantine quarantined // as of the fence
	maxBad     int64       // bad rows that are kept
}

// workInput is one topic's changes, in order of slices.
type workInput struct {
	topic   string
	schema  *ingest.Schema // as of the step
	stored  bool           // its images are state
	base    bool           // the changes are the whole table: the images are replaced
	buckets []*bucket
}

type workReplica struct {
	table   WarehouseTable
	input   int // index in inputs
	replace bool
}

type workView struct {
	JoinedView
	mode mode
	past bool // a replay: the state follows, the view's rows are in the warehouse already
}

// timings are where the time of a prepare went.
type timings struct {
	collapse, join, parquet time.Duration
}

// preparedTable is what prepare gives to save for each table that the step changes.
type preparedTable struct {
	load  TableLoad // Parts have everything but their key
	files []string  // local files, one per part

	bad      []statefile.BadRow          // rows that are not in the parts
	faults   map[statefile.FaultAt]int64 // how many there are, also of those that are not kept
	resolved []string                    // keys of rows that were in quarantine and are in order now, or gone
	changed  int64                       // texts that had U+0000 in them
}
