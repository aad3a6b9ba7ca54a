package ingest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zeebo/xxh3"
)

// Kind is one of the closed set of column kinds that live in the log, the lake and every warehouse. A source maps its
// own types onto these once, at the first decode; nothing later converts again (guarantee 4 rests on that).
type Kind uint8

// The kinds and their Arrow types. There is no unsigned and no 8-bit kind, because no warehouse has them: a source
// widens (BIGINT UNSIGNED is Decimal(20,0)).
const (
	Bool        Kind = iota + 1 // arrow bool
	Int16                       // int16
	Int32                       // int32
	Int64                       // int64
	Float32                     // float32
	Float64                     // float64
	Decimal                     // decimal128(precision <= 38, scale)
	Text                        // utf8, valid UTF-8
	JSON                        // utf8 holding one JSON document
	Bytes                       // binary
	Date                        // date32, days since 1970-01-01
	Timestamp                   // timestamp[us], no zone: a wall-clock reading
	TimestampTZ                 // timestamp[us, UTC]: an instant
)

var kindNames = [...]string{"", "bool", "int16", "int32", "int64", "float32", "float64", "decimal", "text", "json", "bytes", "date", "timestamp", "timestamptz"}

// String is the kind's name in registry records, docs and errors.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Type is a kind with its parameters.
type Type struct {
	Kind      Kind  `json:"kind"`
	Precision int32 `json:"precision,omitempty"` // Decimal only: total digits, 1 to 38
	Scale     int32 `json:"scale,omitempty"`     // Decimal only: digits after the point
	MaxBytes  int32 `json:"max_bytes,omitempty"` // Text and Bytes: declared bound in bytes, 0 when unbounded
}

// Arrow returns the Arrow type of the kind.
func (t Type) Arrow() arrow.DataType {
	switch t.Kind {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int16:
		return arrow.PrimitiveTypes.Int16
	case Int32:
		return arrow.PrimitiveTypes.Int32
	case Int64:
		return arrow.PrimitiveTypes.Int64
	case Float32:
		return arrow.PrimitiveTypes.Float32
	case Float64:
		return arrow.PrimitiveTypes.Float64
	case Decimal:
		return &arrow.Decimal128Type{Precision: t.Precision, Scale: t.Scale}
	case Text, JSON:
		return arrow.BinaryTypes.String
	case Bytes:
		return arrow.BinaryTypes.Binary
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Timestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case TimestampTZ:
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	}
	panic("ingest: no Arrow type for " + t.Kind.String())
}

// Column is one column of a source table.
type Column struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Native   string `json:"native"` // the source's own type, e.g. "bigint unsigned": documentation, never parsed
	Nullable bool   `json:"nullable"`
}

// TableName names a table inside its source: for MySQL the database and the table.
type TableName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

func (t TableName) String() string { return t.Schema + "." + t.Name }

// Schema describes one table as of some point of its change log.
type Schema struct {
	Table   TableName `json:"table"`
	Columns []Column  `json:"columns"`
	Key     []string  `json:"key"` // primary key columns, in key order
}

// Fingerprint identifies what the schema means for rows: column names, kinds, precisions, scales and the key, in order.
// Native, Nullable and MaxBytes are left out: a catalogue and a table map word them differently for the same rows.
func (s *Schema) Fingerprint() uint64 {
	h := xxh3.New()
	for _, c := range s.Columns {
		fmt.Fprintf(h, "%q %d %d %d;", c.Name, c.Type.Kind, c.Type.Precision, c.Type.Scale)
	}
	fmt.Fprintf(h, "%q", s.Key)
	return h.Sum64()
}

// Column returns the index of the named column, or -1.
func (s *Schema) Column(name string) int {
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
}

// KeyColumns returns the indexes of the key columns, in key order.
func (s *Schema) KeyColumns() []int {
	out := make([]int, len(s.Key))
	for i, k := range s.Key {
		out[i] = s.Column(k)
	}
	return out
}

// OpColumn is the name of the last column of every batch in the log and of every lake part: Upsert or Delete.
const OpColumn = "_op"

// schemaKey is the Arrow schema metadata key that carries the Schema as JSON, so that a batch describes itself.
const schemaKey = "tidemill.schema"

// Arrow returns the Arrow schema of the table's batches in the log: the columns, then OpColumn (uint8). Key columns
// and all others are nullable in Arrow, since a delete carries only the key.
func (s *Schema) Arrow() *arrow.Schema {
	fields := make([]arrow.Field, 0, len(s.Columns)+1)
	for _, c := range s.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: true})
	}
	fields = append(fields, arrow.Field{Name: OpColumn, Type: arrow.PrimitiveTypes.Uint8})
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	md := arrow.NewMetadata([]string{schemaKey}, []string{string(b)})
	return arrow.NewSchema(fields, &md)
}

// SchemaOf reads back the Schema that a batch carries.
func SchemaOf(a *arrow.Schema) (*Schema, error) {
	v, ok := a.Metadata().GetValue(schemaKey)
	if !ok {
		return nil, fmt.Errorf("reading batch schema: metadata %s is missing", schemaKey)
	}
	var s Schema
	if err := json.Unmarshal([]byte(v), &s); err != nil {
		return nil, fmt.Errorf("reading batch schema: %w", err)
	}
	return &s, nil
}

// Topic is the log topic of a table of a source (DESIGN §3). Characters outside [a-zA-Z0-9_-] become '_'; Registry
// construction refuses two tables of a source that meet in one name.
func Topic(source string, t TableName) string {
	return "tm." + topicPart(source) + "." + topicPart(t.Schema) + "." + topicPart(t.Name)
}

func topicPart(s string) string {
	b := []byte(s)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			b[i] = '_'
		}
	}
	return string(b)
}
