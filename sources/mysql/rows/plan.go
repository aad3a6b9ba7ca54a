package rows

import (
	"fmt"
	"slices"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
)

// Plan decodes the rows events of one table map. It holds scratch buffers: one goroutine uses it.
type Plan struct {
	table   ingest.TableName
	schema  *ingest.Schema
	stale   bool
	fields  []field // one per column of the table map
	key     []int   // indexes into fields, in key order
	lastKey int     // the last of them in row order
	nulls   int     // bytes of a row's NULL bitmap
	before  []span  // where the key lies in the images at hand
	after   []span
	out     dispatch
	state   scratch
}

// scratch is what decoding a row needs beside the builder.
type scratch struct {
	invalid []int64         // per schema column (invariant 8)
	keys    *ingest.Builder // one row of the key columns
	key     []byte          // canonical key bytes
	text    []byte          // a value under conversion
	json    jsonRenderer
}

// NewPlan binds a table map with full metadata to decoders. hint is the newest catalogue at hand, or nil: it tells apart
// what the wire does not (MariaDB's JSON, UUID, INET4, INET6) and is used for a column only as far as name and look agree
// (invariant 3), and which columns to drop. The plan's schema follows the table map.
func NewPlan(tm *replication.TableMapEvent, hint *Catalogue) (*Plan, error) {
	var drop []string
	if hint != nil {
		drop = hint.Drop
	}
	wire, key, err := describeTableMap(tm, drop)
	if err != nil {
		return nil, err
	}
	p := &Plan{table: tableOf(tm), key: key, nulls: (len(wire) + 7) / 8, before: make([]span, len(key)), after: make([]span, len(key))}
	p.stale = adopt(p.table, wire, key, hint)
	p.fields = make([]field, len(wire))
	visible := make([]column, 0, len(wire))
	for i := range wire {
		p.fields[i] = newField(&wire[i].column, wire[i].prefix, wire[i].size)
		p.fields[i].col = -1
		if !wire[i].hidden {
			p.fields[i].col = len(visible)
			visible = append(visible, wire[i].column)
		}
	}
	names := make([]string, len(key))
	for i, k := range key {
		names[i] = wire[k].name
		p.fields[k].key = i
		p.lastKey = max(p.lastKey, k)
	}
	if p.schema, err = schemaOf(p.table, visible, names); err != nil {
		return nil, err
	}
	p.state = newScratch(p.schema)
	return p, nil
}

// adopt takes from the catalogue what the table map cannot say, column by column, and reports whether the two disagree.
func adopt(table ingest.TableName, wire []wireColumn, key []int, hint *Catalogue) (stale bool) {
	if hint == nil {
		return true
	}
	carried := slices.DeleteFunc(slices.Clone(hint.Columns), func(h CatalogueColumn) bool { return slices.Contains(hint.Drop, h.Name) })
	next := 0 // the catalogue column that should be next when nothing has changed
	for i := range wire {
		c := &wire[i]
		if c.hidden {
			continue
		}
		at := slices.IndexFunc(carried, func(h CatalogueColumn) bool { return h.Name == c.name })
		stale = stale || at != next
		next++
		if at < 0 {
			continue
		}
		h, err := carried[at].describe(table)
		if err != nil || !h.looksLike(&c.column) {
			stale = true
			continue
		}
		c.logical, c.native, c.nullable = h.logical, h.native, h.nullable
	}
	if next != len(carried) || len(key) != len(hint.Key) {
		return true
	}
	for i, k := range key {
		stale = stale || wire[k].name != hint.Key[i]
	}
	return stale
}

func newScratch(s *ingest.Schema) scratch {
	keys := &ingest.Schema{Table: s.Table, Key: s.Key}
	for _, k := range s.KeyColumns() {
		keys.Columns = append(keys.Columns, s.Columns[k])
	}
	return scratch{invalid: make([]int64, len(s.Columns)), keys: ingest.NewBuilder(keys)}
}

// Schema is the table as of the table map.
func (p *Plan) Schema() *ingest.Schema { return p.schema }

// Stale reports that the catalogue given to NewPlan does not describe this table map: reading it again and planning again may
// recognise more (a new UUID column is Bytes until then).
func (p *Plan) Stale() bool { return p.stale }

// Invalid counts, per schema column and since NewPlan, the values that had no canonical form (invariant 8). The slice is the
// plan's own: read it, do not keep it.
func (p *Plan) Invalid() []int64 { return p.state.invalid }

// Hash is the hash of canonical key bytes that ingest.PartitionOf takes.
func Hash(key []byte) uint64 { return xxh3.Hash(key) }

func (p *Plan) malformed(format string, args ...any) error {
	return &MalformedError{Table: p.table, Reason: fmt.Sprintf(format, args...)}
}

func valueError(s *ingest.Schema, col int, reason string) error {
	e := &ValueError{Table: s.Table, Column: "a hidden column", Reason: reason}
	if col >= 0 {
		e.Column, e.Type = s.Columns[col].Name, s.Columns[col].Native
	}
	return e
}
