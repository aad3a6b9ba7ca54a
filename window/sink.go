package window

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
)

// Step is one unit of publishing: a slice of a window. A final step completes its window.
type Step struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Slice int       `json:"slice"`
	Final bool      `json:"final"`
}

// Cut says exactly what a publish contains: one prefix per source.
type Cut map[string]SourceCut

// SourceCut is a prefix of one source's log.
type SourceCut struct {
	Position ingest.Position      `json:"position"`
	Ordinal  int64                `json:"ordinal"`
	Window   time.Time            `json:"window"` // last sealed slice in the prefix
	Slice    int                  `json:"slice"`
	Final    bool                 `json:"final"`
	End      time.Time            `json:"end"`   // end of that window
	Epoch    int64                `json:"epoch"` // highest epoch marker seen
	Registry int64                `json:"registry"`
	AsOf     time.Time            `json:"as_of"`         // commit time of the last group in the prefix
	Log      string               `json:"log,omitempty"` // which one the rest is about
	Topics   map[string][]PartCut `json:"topics"`
	// Held names the topics whose table is not in the publishes yet, or not any more. Their Topics entry is where the
	// rows begin that their next base will need, not the end of the prefix.
	Held map[string]Hold `json:"held,omitempty"`
	// Outputs names the warehouse tables that have their base, with a fingerprint of how they are made: replicas with
	// the source of their table, views with the source of their anchor. A table that is not here, or is made otherwise
	// now, gets a new base.
	Outputs map[string]string `json:"outputs,omitempty"`
}

// Complete is the time up to which everything of the source is in the prefix: the end of its last window that is whole.
func (c SourceCut) Complete() time.Time {
	if c.Final {
		return c.End
	}
	return c.Window
}

// Hold says why a table stands still while its pipeline goes on. It ends, with a new base, at the first final step whose
// seal is of the generation, or of a later one, has more completed loads than Loads and is not parked.
type Hold struct {
	Parked string `json:"parked,omitempty"` // why; empty while the table is being loaded
	Loads  int    `json:"loads"`
	// Generation is the one that the base will be of: ingest.Base.
	Generation int `json:"generation,omitempty"`
	// Past is the last slice before the place that the Topics entry names: its seal may be repeated behind that place.
	Past PastSlice `json:"past,omitzero"`
}

// PastSlice names a slice that has been sealed.
type PastSlice struct {
	Window time.Time `json:"window"`
	End    time.Time `json:"end"`
	Slice  int       `json:"slice"`
	Final  bool      `json:"final,omitempty"`
}

// PartCut is the end of the prefix in one partition.
type PartCut struct {
	Offset int64 `json:"offset"` // next offset to read
	Seq    int64 `json:"seq"`    // seq of the last row in the prefix
	Epoch  int64 `json:"epoch"`  // highest epoch seen below Offset, -1 when none
}

// Fence is the one row per pipeline in the warehouse that says which step is committed, by which owner, with which cut.
type Fence struct {
	Pipeline string
	Step     Step   // zero Start: nothing published yet
	Epoch    int64  // owner epoch: offset of the owner's claim in tm.claims
	Lineage  string // made once with the row; a state file of another lineage is not of this warehouse
	Cut      Cut
	Manifest string // manifest hash of the committed step (Manifest.Hash), empty before the first publish
	At       time.Time
}

// WarehouseTable names a table in the warehouse.
type WarehouseTable struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

func (t WarehouseTable) String() string { return t.Schema + "." + t.Name }

// Part is one Parquet file of a publish. Its columns are the table's columns, then ingest.OpColumn as INT32 (1 upsert,
// 2 delete); rows are sorted by key and each key appears once.
type Part struct {
	Key    string `json:"key"` // object key under the store's root
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// TableLoad is what a publish does to one table.
type TableLoad struct {
	Table   WarehouseTable  `json:"table"`
	Columns []ingest.Column `json:"columns"` // of the parts and of the table, in order, without OpColumn
	Key     []string        `json:"key"`
	Parts   []Part          `json:"parts"`
	Upserts int64           `json:"upserts"`
	Deletes int64           `json:"deletes"`
	// Replace empties the table first: the first publish of a table (its base) or of a changed view.
	Replace bool `json:"replace,omitempty"`
}

// Manifest lists the parts of a publish. It is written to the store after the last part and before the warehouse is touched.
type Manifest struct {
	Pipeline string      `json:"pipeline"`
	Step     Step        `json:"step"`
	Attempt  string      `json:"attempt"`
	Tables   []TableLoad `json:"tables"`
	// Quarantine is what the publish puts into quarantine and lets out of it: QuarantineColumns. What is in quarantine of a
	// table that is replaced is let out with that.
	Quarantine *TableLoad `json:"quarantine,omitempty"`
}

// Publication is one publish: everything a sink needs for its single transaction.
type Publication struct {
	Pipeline    string       `json:"pipeline"`
	Step        Step         `json:"step"`
	Prev        Step         `json:"prev"` // the fence must stand here; zero for the first publish
	Epoch       int64        `json:"epoch"`
	Lineage     string       `json:"lineage"`
	Cut         Cut          `json:"cut"`
	Manifest    Manifest     `json:"manifest"`
	ManifestKey string       `json:"manifest_key"`
	Hash        string       `json:"hash"` // Manifest.Hash
	Stats       ReceiptStats `json:"stats"`
	// Took, if there is one, is told how long a stage of the publish took in the warehouse: what it costs there.
	Took func(stage string, d time.Duration) `json:"-"`
}

// ReceiptStats is the part of a receipt that is known before the publish; the sink adds its own times.
type ReceiptStats struct {
	TraceID  string            `json:"trace_id"`
	RowsIn   int64             `json:"rows_in"` // change rows read from the log for this step
	Late     int64             `json:"late"`
	Changed  int64             `json:"changed,omitempty"` // texts with U+0000, which their parts do not have
	Parked   map[string]string `json:"parked,omitempty"`  // table -> reason
	Stands   []Standing        `json:"stands,omitempty"`  // outputs that do not move with this step, in the plan's order
	Accum    time.Duration     `json:"accumulate"`
	Collapse time.Duration     `json:"collapse"`
	Join     time.Duration     `json:"join"`
	Parquet  time.Duration     `json:"parquet"`
	Upload   time.Duration     `json:"upload"`
}

// Standing is an output that a step leaves as it is: it is as of an earlier step than the fence's.
type Standing struct {
	Table WarehouseTable `json:"table"`
	Why   string         `json:"why"`
}

// Sink is a warehouse. Implementations live in sinks/*. All methods are called by the one owner of a pipeline; different
// pipelines may call at the same time. Every method classifies its errors: ErrFenced means another owner has taken over,
// a *RefusedError means that retrying cannot help; anything else may have happened or not, and the caller asks Fence
// before it tries again.
type Sink interface {
	// Acquire makes epoch the owner of the pipeline's fence, in a transaction of its own, creating the row (with a new
	// lineage) when there is none. It returns the fence as it then stands. ErrFenced when the row holds a higher epoch.
	Acquire(ctx context.Context, pipeline string, epoch int64) (Fence, error)
	// Fence reads the pipeline's fence row. ErrNoFence when there is none.
	Fence(ctx context.Context, pipeline string) (Fence, error)
	// Publish runs the one transaction of DESIGN §5: lock the fence; require predecessor, epoch and lineage or return
	// ErrFenced; create or widen tables; load every part into staging made from its columns; compare row counts with
	// the manifest; delete and insert; bring the quarantine up to date; move the fence; append the receipt; commit. local returns the path of a local
	// copy of a part, verified against its hash.
	Publish(ctx context.Context, p *Publication, local func(ctx context.Context, part Part) (string, error)) error
	// Quarantined lists the rows of the pipeline that are in quarantine as of the fence.
	Quarantined(ctx context.Context, pipeline string) ([]Quarantined, error)
	Close() error
}

// TableReader is a Sink that can give back a published table as of the fence: it primes the state of a table that a new
// view needs. Batches hold the named columns in order; they are valid only during the call of fn.
type TableReader interface {
	ReadTable(ctx context.Context, t WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error
}

// Forgetter is a Sink that can forget a pipeline's fence: what publishes next makes a new one, with a new lineage, and replaces
// the pipeline's tables. For a fence whose log is lost. Forgetting what is not there is no error.
type Forgetter interface {
	Forget(ctx context.Context, pipeline string) error
}

// StoreLoader is a Sink whose warehouse reads parts from the store by itself. LoadFrom is called once, before any other method,
// and refuses a store that the warehouse cannot read. It does no I/O.
type StoreLoader interface {
	LoadFrom(s Store) error
}

// TextLimiter is a Sink that wants rows with texts of more bytes in quarantine. 0 is no limit.
type TextLimiter interface {
	MaxText() int
}

// Layout is how a warehouse spreads and sorts a table that it makes.
type Layout struct {
	Dist string // column; empty: as the warehouse likes
	Sort []string
	// Optional: a table that lacks one of the columns is made as the warehouse likes.
	Optional bool
}

// Arranger is a Sink whose tables have a layout. Arrange is called once, before any other method but LoadFrom; layout gives the zero
// Layout for a table that nothing is said of.
type Arranger interface {
	Arrange(layout func(WarehouseTable) Layout)
}

// Querier is a Sink that answers read-only SQL for the console and the CLI. Anything but one SELECT is refused.
type Querier interface {
	Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error
}

// Store keeps the lake: parts, manifests, state snapshots, claim checks. Keys are slash-separated and never reused.
type Store interface {
	// Put creates key from a local file. A key that holds other content is an error (errors.Is fs.ErrExist): nothing is
	// overwritten. A key that holds the same content is no error: the reply to an earlier Put was lost.
	Put(ctx context.Context, key, path string) error
	// Get copies key to a new local file. errors.Is fs.ErrNotExist when there is no such key.
	Get(ctx context.Context, key, path string) error
	Delete(ctx context.Context, key string) error
	// List calls fn for every key under prefix, in key order.
	List(ctx context.Context, prefix string, fn func(key string, bytes int64, modified time.Time) error) error
}

// Errors that a Sink's caller branches on.
var (
	ErrFenced  = errors.New("another owner holds the fence")
	ErrNoFence = errors.New("the pipeline has no fence row yet")
)

// NoColumnError is what a TableReader returns for a column that the warehouse's table does not have yet: no published row has
// had it.
type NoColumnError struct {
	Table  WarehouseTable
	Column string
}

func (e *NoColumnError) Error() string {
	return fmt.Sprintf("the table %s has no column %s", e.Table, e.Column)
}

// Retryable reports that the same call fails again.
func (e *NoColumnError) Retryable() bool { return false }

// RefusedError is an error that stays until a person acts. Hint is the statement or command that helps.
type RefusedError struct {
	What string
	Hint string
	Err  error
}

func (e *RefusedError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Retryable is false: trying again cannot help.
func (e *RefusedError) Retryable() bool { return false }
