package ingest

import (
	"encoding/json"
	"time"

	"github.com/tidemill/tidemill/internal/kafka"
)

// RecordKind is what a record of the log is.
type RecordKind uint8

// The kinds of records (DESIGN §3).
const (
	BatchRecord RecordKind = 1 // rows: the payload is one Arrow IPC stream with one record batch
	SealRecord  RecordKind = 2 // the window slice is complete in this partition: the payload is a Seal as JSON
	EpochRecord RecordKind = 3 // a new owner: records of lower epochs that follow are void
)

// Flags of a record.
const (
	FlagLoad  uint8 = 1 << 0 // batch: rows of a first load, not of the change stream
	FlagFinal uint8 = 1 << 1 // seal: the last slice of its window
	FlagClaim uint8 = 1 << 2 // batch: the payload is a Claim as JSON; the batch itself is in the object store
	// FlagInside: batch: its last row lies inside a group, so Position is that of a later row or of the same event.
	FlagInside uint8 = 1 << 3
)

// Header is the fixed part of every record's value. All numbers are big endian on the wire; see codec.go for the layout.
type Header struct {
	Kind        RecordKind
	Flags       uint8
	Epoch       int64     // owner epoch: offset of the owner's claim in tm.claims
	Window      time.Time // start of the window the rows are stamped with, or that is sealed (UTC)
	WindowEnd   time.Time
	Slice       int32
	Seq         int64     // batch: seq of its first row. Seal: seq of the last row before it (0: none). Epoch: 0. Seqs start at 1
	Rows        int64     // batch: its rows. Seal: rows of this window slice in this partition
	Ordinal     int64     // seal: stream rows of the whole source before it. Batch: the same before its first row, or a little less: rows of one event have no order over partitions
	Fingerprint uint64    // batch: Schema.Fingerprint of its rows
	Commit      time.Time // batch: commit time of the last group in it (microseconds); zero for load batches
	Position    Position  // batch: at the end of its last row's group (but see FlagInside). Seal: where it stands, at a group's end
}

// Seal is the payload of a seal record.
type Seal struct {
	Registry    int64         `json:"registry"`       // registry version that is valid for this window slice
	Late        int64         `json:"late,omitempty"` // groups of this slice, source-wide, that were committed before the window's start
	MaxLateness time.Duration `json:"max_lateness,omitempty"`
	Loads       int           `json:"loads"`            // completed loads of this topic's table in its generation; 0: the first is not complete as of this seal
	Parked      string        `json:"parked,omitempty"` // why the table stands still, empty when it does not
	SealedAt    time.Time     `json:"sealed_at"`        // the owner's clock
	AsOf        time.Time     `json:"as_of"`            // commit time of the last group in the cut
	Proof       string        `json:"proof"`            // "stream" (rule 7a), "idle" (7b), "shards" (7c), "slice"
}

// Claim names a payload that was too large for the log and lies in the object store.
type Claim struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Topics that belong to the project, not to a table. Names are prefixed with the project only on a shared cluster
// (config log.prefix); the table topics are Topic(source, table).
const (
	ClaimsTopic    = kafka.ClaimsTopic // tm.claims: one partition, kept: a claim's offset is its epoch
	PositionsTopic = "tm.positions"    // compacted: key "<source>@<epoch>", value Checkpoint as JSON
	RegistryTopic  = "tm.registry"     // compacted: key "<source>/<version>", value Registry as JSON
	RequestsTopic  = "tm.requests"     // one partition, kept: what operators ask of the owners of sources (ADR 0008)
	AssignTopic    = kafka.AssignTopic // tm.assign: consumer-group membership decides who should try a unit
)

// Registry lists the topics that a source's windows consist of. A new version takes effect at a slice: every seal
// carries the version valid for its slice. Versions grow and are never written twice: an owner's are epoch*10000 + 1, 2, …
type Registry struct {
	Source  string          `json:"source"`
	Version int64           `json:"version"`
	Epoch   int64           `json:"epoch"`
	Tables  []RegistryTable `json:"tables"`
	// History grows when the source begins anew at the server's present position: positions of seals of different
	// histories cannot be compared.
	History int `json:"history,omitempty"`
}

// RegistryTable is one table of a source as of a registry version.
type RegistryTable struct {
	Schema     Schema `json:"schema"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Base       *Base  `json:"base,omitempty"` // nil: the table's content begins with its topic
}

// Generation counts how often the table was asked to be loaded anew.
func (t *RegistryTable) Generation() int {
	if t.Base == nil {
		return 0
	}
	return t.Base.Generation
}

// Base is where the content of a table begins that counts, in a table that was loaded anew: the first row of the slice that
// its generation begins with. What lies before is of no use to whoever reads on from here.
type Base struct {
	Generation int        `json:"generation"` // 1, 2, …
	Window     time.Time  `json:"window"`
	WindowEnd  time.Time  `json:"window_end"`
	Slice      int32      `json:"slice"`
	Parts      []PartMark `json:"parts"` // by partition
}

// Checkpoint is how far a source is durably in the log: everything up to Position has been acknowledged.
type Checkpoint struct {
	Source     string                `json:"source"`
	Epoch      int64                 `json:"epoch"`
	Number     int64                 `json:"number"` // grows with every checkpoint of an owner: of one epoch's, the highest counts
	Position   Position              `json:"position"`
	State      json.RawMessage       `json:"state,omitempty"` // what the source settled last (Emitter.Settle)
	Ordinal    int64                 `json:"ordinal"`         // stream rows emitted up to Position
	Window     time.Time             `json:"window"`          // open window
	Slice      int32                 `json:"slice"`           // open slice
	Stamp      time.Time             `json:"stamp"`           // previous stamp (monotone)
	AsOf       time.Time             `json:"as_of"`           // commit time of the last group
	Late       int64                 `json:"late"`            // late groups of the open slice so far
	MaxLate    time.Duration         `json:"max_late"`        // the latest of them
	Registry   int64                 `json:"registry"`        // current registry version
	Partitions map[string][]PartMark `json:"partitions"`      // by topic, then partition
	Loads      map[string]Load       `json:"loads"`           // by table name
	LoadCounts map[string]int        `json:"load_counts"`     // completed loads of its generation by table name
	Parked     map[string]string     `json:"parked,omitempty"`
	Requests   map[string]string     `json:"requests,omitempty"`  // id of the last request that was carried out, by what it was about
	Exchanged  []string              `json:"exchanged,omitempty"` // parked tables that are loaded anew as soon as nothing durable is ahead
	Log        kafka.Identity        `json:"log,omitzero"`        // the cluster and the topics that Partitions is about
	At         time.Time             `json:"at"`
}

// PartMark is the durable end of one partition at a checkpoint.
type PartMark struct {
	Offset int64 `json:"offset"` // next offset to read: everything below is covered by the checkpoint
	Seq    int64 `json:"seq"`    // seq of the last row below Offset
	Rows   int64 `json:"rows"`   // rows of the open window slice in this partition below Offset
	Epoch  int64 `json:"epoch"`  // highest epoch marker below Offset
}
