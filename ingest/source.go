package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Position says where a source stands, in the source's own text form (MySQL: "0-1-4711", or "0-1-4711+250" when 250
// rows of the next, open group are done). The log, the checkpoint and the fence carry it without reading it. Two
// positions of one history are equal exactly when their texts are equal.
type Position string

// Source is one ordered change log. Implementations live in sources/*.
//
// The owner calls Prepare, then Run, once each, from one goroutine. Run streams until ctx ends and then returns nil; any
// other return is an error that says what the operator must do. Run owns every goroutine it starts. A Source never
// appends to the log itself: all it emits goes through the Emitter, in the order of its change log.
//
// What was emitted of an open group cannot be taken back, so a source does not reconnect by itself: it returns, and the
// owner starts again from the checkpoint, as a new epoch. Retryable tells whether that may help without anybody's doing.
//
// The emitted stream is a function of the log: from one position the same rows follow in the same order each time. Only
// Idle, Complete, Load and Tick come as they come. A source that is several logs side by side makes one of them by Settle.
type Source interface {
	// Prepare connects, refuses a server that cannot be replicated (naming the setting and the statement that mends
	// it) and returns the captured tables. It changes nothing on the server.
	Prepare(ctx context.Context) ([]Schema, error)
	// Run streams from resume to the emitter. A zero resume.Position is a first start: the source picks the present
	// position, hands it to Emitter.Start, streams from there and loads every table.
	Run(ctx context.Context, resume Resume, out Emitter) error
}

// Resume is what a source needs to go on: a position at the end of a group, how far each first load has come, and which
// tables were parked at the position and why. A source emits nothing of a table that was parked. Schemas are those that the
// tables were declared with last: what may follow is judged by them, as if the source had never stopped. Gone are columns
// that a table had before and has no more: readers may still hold their values. State is what the source settled last.
type Resume struct {
	Position Position
	State    json.RawMessage
	Schemas  map[TableName]*Schema
	Gone     map[TableName][]string
	Loads    map[TableName]Load
	Parked   map[TableName]string
}

// Load is the state of a table's first load, checkpointed with the position.
type Load struct {
	Done     bool   `json:"done"`
	Cursor   []byte `json:"cursor,omitempty"` // the source's own resume point inside the table; empty before the first chunk
	Rows     int64  `json:"rows"`             // rows emitted so far
	Estimate int64  `json:"estimate"`         // the source's guess of the table's rows, for progress only
}

// Emitter takes what a source reads, stamps it with windows and appends it to the log. Its methods are called from the
// one goroutine that runs the source's stream; each may block (back-pressure) and each error is final: the source
// returns it from Run.
//
// Order of calls for a group:  Begin  (Table | Builder+Progress)*  End.   Between groups: Idle, Complete, Settle, Load, Park, Tick.
// A position passed to the emitter must be the one that Resume would need.
type Emitter interface {
	// Start records the position of a first start durably, before anything is emitted: a crash before the first
	// checkpoint must not move the starting point.
	Start(ctx context.Context, pos Position) error

	// Begin opens a group that the server committed at the given time. It may seal windows (rule 7a: the first group
	// stamped past a window's end seals it, before its rows).
	Begin(ctx context.Context, commit time.Time) error
	// Table declares a table that appears in the stream or whose schema has changed, and returns its id for Builder.
	// Declaring an unchanged schema is cheap and returns the same id. Between or inside groups.
	Table(ctx context.Context, s *Schema) (TableID, error)
	// Builder is where the next row of the open group goes: partition is PartitionOf(key hash). Builders of several
	// partitions may be held at once; they stay valid until the next call of any method but Builder and Partitions, and
	// must be holding whole rows by then.
	Builder(id TableID, partition int) *Builder
	// Partitions is the number of partitions of the table.
	Partitions(id TableID) int
	// Progress tells that the rows appended so far belong to the open group and end at pos (set before the group plus
	// rows done). The emitter may flush full builders here, so it is called after every source event.
	Progress(ctx context.Context, pos Position) error
	// End closes the group. pos is the position after it.
	End(ctx context.Context, pos Position) error

	// Idle is the proof of idleness (rule 7b): everything the server committed before t has been emitted. It may seal.
	Idle(ctx context.Context, t time.Time) error
	// Window is the open window: what is emitted next is stamped into it or a later one. A source that is several logs side
	// by side holds back what was committed behind its end until all of them have come to it (rule 7c).
	Window() grid.Window
	// Complete is the proof of such a source: everything committed before end has been emitted, with whatever grace its
	// server needs. It seals the windows that end by then.
	Complete(ctx context.Context, end time.Time) error
	// Settle is for a source whose order nobody but itself has decided, because it is several logs side by side. It makes
	// everything emitted so far durable and, in one record with the position, state: how the logs stand and in which order
	// it is going to emit what. Only when it has returned may any of that be emitted: whoever resumes then finds the same
	// decision, and what follows is a function of the log again. Between groups, with nothing durable ahead.
	Settle(ctx context.Context, state json.RawMessage) error
	// Tick lets the emitter flush rows that have waited and write a checkpoint; called at least every 250 ms when
	// nothing else is.
	Tick(ctx context.Context) error

	// Load appends one chunk of a first load: rows of the table as of a point that the stream has passed, without keys
	// that the stream has changed since. chunk holds one builder per partition (nil when it has no rows). state is
	// checkpointed with it; state.Done ends the load of the table.
	Load(ctx context.Context, id TableID, chunk []*Builder, state Load) error
	// Reload begins the load of a table again, because its rows have changed in a way that the change log does not hold. What
	// was read stays and is overwritten. Between groups, before the position moves past the cause: a checkpoint then holds
	// both or neither.
	Reload(ctx context.Context, t TableName) error
	// Park stops a table and only it: its rows are no longer emitted, its seals go on and say why. reason is for the
	// operator and holds no row value. Inside a group it counts from the group's end on: a checkpoint that has the position
	// behind what the log cannot tell then has the parking too. Between groups it is for causes that have no place in the log.
	Park(ctx context.Context, t TableName, reason string) error
	// Anew parks a table whose content has been exchanged for another's, and has it loaded anew: as soon as nothing durable is
	// ahead its generation begins, and the call, or a later one, returns ErrAnew. Inside a group.
	Anew(ctx context.Context, t TableName, reason string) error
}

// Retryable reports whether an error from Prepare or Run is one that passes by itself: a broken connection, a restarting
// server. An error says so by a method Retryable() bool; all others need a person.
func Retryable(err error) bool {
	var r interface{ Retryable() bool }
	return errors.As(err, &r) && r.Retryable()
}

// TableID is a small number for a declared table with its current schema.
type TableID int

// PartitionOf maps a key hash to a partition. The hash is over the canonical (decoded) key values, so that a row read by
// the first load and the same row read from the change log meet in one partition.
func PartitionOf(hash uint64, partitions int) int { return int(hash % uint64(partitions)) }
