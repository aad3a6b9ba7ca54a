package daemon

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
)

// errOtherSchema says that rows do not have the columns of the table they are compared with.
var errOtherSchema = errors.New("the columns differ")

// contents are the rows of a table by key: a hash of each, over the text of its values. The keys are kept as text, because
// the differing ones are shown to the operator who asked, and to nobody else.
type contents struct {
	rows    map[string]xxh3.Uint128
	twice   []string // keys that were put twice: in a table that nothing is applied to, two rows of one key
	columns []int    // of the record batches, in the table's order; found at the first row
	keys    []int
	names   []string
	absent  []string // columns that the batches need not have: they count as NULL
	batch   *arrow.Schema
	buf     []byte
}

func newContents() *contents { return &contents{rows: map[string]xxh3.Uint128{}} }

func (c *contents) clone() *contents {
	out := newContents()
	for k, v := range c.rows {
		out.rows[k] = v
	}
	return out
}

// find looks up the table's columns in a batch.
func (c *contents) find(s *ingest.Schema, rec arrow.RecordBatch) error {
	if rec.Schema() == c.batch {
		return nil
	}
	c.columns, c.keys, c.names, c.batch = nil, nil, nil, rec.Schema()
	for _, col := range s.Columns {
		at := rec.Schema().FieldIndices(col.Name)
		if len(at) == 0 && slices.Contains(c.absent, col.Name) {
			c.columns = append(c.columns, -1)
			continue
		}
		if len(at) != 1 || !arrow.TypeEqual(rec.Schema().Field(at[0]).Type, col.Type.Arrow()) {
			return fmt.Errorf("%w: column %s", errOtherSchema, col.Name)
		}
		c.columns = append(c.columns, at[0])
	}
	for _, k := range s.Key {
		at := rec.Schema().FieldIndices(k)
		if len(at) != 1 {
			return fmt.Errorf("%w: key column %s", errOtherSchema, k)
		}
		c.keys, c.names = append(c.keys, at[0]), append(c.names, k)
	}
	return nil
}

// key is the text of a row's key: what differs in no value has the same text, and nothing else has.
func (c *contents) key(rec arrow.RecordBatch, i int) []byte {
	c.buf = append(c.buf[:0], '{')
	for n, col := range c.keys {
		if n > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = console.AppendName(c.buf, c.names[n])
		c.buf = console.AppendJSON(c.buf, rec.Column(col), i)
	}
	c.buf = append(c.buf, '}')
	return c.buf
}

// put adds row i of a batch that holds the columns of s.
func (c *contents) put(s *ingest.Schema, rec arrow.RecordBatch, i int) error {
	if err := c.find(s, rec); err != nil {
		return err
	}
	key := string(c.key(rec, i))
	if _, ok := c.rows[key]; ok {
		c.twice = append(c.twice, key)
	}
	c.buf = c.buf[:0]
	for _, col := range c.columns {
		if col < 0 {
			c.buf = append(c.buf, "null,"...)
			continue
		}
		c.buf = append(console.AppendJSON(c.buf, rec.Column(col), i), ',')
	}
	// U+0000 is left out of every text that is published.
	c.rows[key] = xxh3.Hash128(bytes.ReplaceAll(c.buf, []byte(`\u0000`), nil))
	return nil
}

// apply does to the rows what row i of a batch of the log does.
func (c *contents) apply(table, s *ingest.Schema, rec arrow.RecordBatch, i int) error {
	if s.Fingerprint() != table.Fingerprint() {
		return errOtherSchema
	}
	ops, ok := rec.Column(int(rec.NumCols()) - 1).(*array.Uint8)
	if !ok {
		return errors.New("a batch of the log has no operations")
	}
	if ingest.Op(ops.Value(i)) == ingest.Upsert {
		return c.put(s, rec, i)
	}
	if err := c.find(s, rec); err != nil {
		return err
	}
	delete(c.rows, string(c.key(rec, i)))
	return nil
}

// sum is a hash of all rows that does not depend on their order.
func (c *contents) sum() string {
	var lo, hi, carry uint64
	for k, v := range c.rows {
		h := xxh3.HashString128(k)
		lo, carry = bits.Add64(lo, v.Lo^bits.RotateLeft64(h.Lo, 1), 0)
		hi, _ = bits.Add64(hi, v.Hi^bits.RotateLeft64(h.Hi, 1), carry)
	}
	b := xxh3.Uint128{Lo: lo, Hi: hi}.Bytes()
	return hex.EncodeToString(b[:])
}

// diff compares the rows that should be there with those that are, and notes the first differing keys in order.
func (c *contents) diff(have *contents, show int, x *console.TableVerdict) {
	x.SourceRows, x.Rows = int64(len(c.rows)), int64(len(have.rows)+len(have.twice))
	x.SourceHash, x.Hash = c.sum(), have.sum()
	var keys []string
	note := func(key, what string, n *int64) {
		*n++
		keys = append(keys, key+" "+what)
	}
	for key, want := range c.rows {
		switch got, ok := have.rows[key]; {
		case !ok:
			note(key, "is missing", &x.Missing)
		case got != want:
			note(key, "has other values", &x.Differ)
		}
	}
	for _, key := range have.twice {
		note(key, "is in the warehouse twice", &x.Extra)
	}
	for key := range have.rows {
		if _, ok := c.rows[key]; !ok {
			note(key, "is only in the warehouse", &x.Extra)
		}
	}
	x.Equal = len(keys) == 0 && x.SourceHash == x.Hash
	sort.Strings(keys)
	x.Keys = slices.Clip(keys[:min(len(keys), max(show, 0))])
}
