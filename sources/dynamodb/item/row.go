package item

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
)

// Table decodes items into rows of a schema. It is owned by one goroutine.
type Table struct {
	columns []Column
	keys    []int          // columns, in key order
	index   map[string]int // column by attribute
	dropped map[string]bool
	// Clashes counts values that did not fit their column and stand in _extra, by column.
	Clashes []int64

	attributes []Attribute
	at         []int // by column: the attribute of the item at hand, or -1
	extra      []Attribute
	scratch    []byte
	key        []byte
	digits     [64]byte
}

// NewTable makes a decoder. Attributes with a pin that drops them are nowhere, not even in _extra.
func NewTable(columns []Column, pins map[string]Pin) *Table {
	t := &Table{columns: columns, index: map[string]int{}, dropped: map[string]bool{}, Clashes: make([]int64, len(columns)), at: make([]int, len(columns))}
	for i, c := range columns {
		t.index[c.Attribute] = i
		if c.Key {
			t.keys = append(t.keys, i)
		}
	}
	for name, p := range pins {
		t.dropped[name] = p.Drop
	}
	return t
}

// Item takes an item, or the key of one, and returns the hash of its key. Row then appends it.
func (t *Table) Item(text []byte) (hash xxh3.Uint128, err error) {
	if t.attributes, err = Parse(text, t.attributes); err != nil {
		return hash, err
	}
	for i := range t.at {
		t.at[i] = -1
	}
	t.extra = t.extra[:0]
	for i := range t.attributes {
		a := &t.attributes[i]
		if c, ok := t.index[string(a.Name)]; ok {
			t.at[c] = i
		} else if !t.dropped[string(a.Name)] {
			t.extra = append(t.extra, *a)
		}
	}
	return t.hash()
}

// hash is over the key's values and not over their columns: a column of another type moves no key to another partition.
func (t *Table) hash() (h xxh3.Uint128, err error) {
	t.key = t.key[:0]
	for _, c := range t.keys {
		if t.at[c] < 0 {
			return h, &KeyError{Attribute: t.columns[c].Attribute}
		}
		a := &t.attributes[t.at[c]]
		from := len(t.key)
		t.key = append(t.key, 0, 0, 0, 0, byte(a.Tag))
		ok := false
		switch a.Tag {
		case S:
			t.key, ok = appendText(t.key, inside(a.raw))
		case B:
			t.key, ok = appendBinary(t.key, inside(a.raw))
		case N:
			var n Number
			if n, ok = parseNumber(inside(a.raw), t.digits[:]); ok {
				t.key = n.AppendText(t.key)
			}
		}
		if !ok {
			return h, &KeyError{t.columns[c].Attribute, t.columns[c].Type, a.Tag}
		}
		binary.LittleEndian.PutUint32(t.key[from:], uint32(len(t.key)-from))
	}
	return xxh3.Hash128(t.key), nil
}

// Row appends the item at hand.
func (t *Table) Row(b *ingest.Builder) error {
	for c := range t.columns {
		if t.at[c] < 0 {
			b.Cols[c].Null()
			continue
		}
		a := &t.attributes[t.at[c]]
		if t.put(&b.Cols[c], c, a) {
			continue
		}
		if t.columns[c].Key {
			b.Abort()
			return &KeyError{t.columns[c].Attribute, t.columns[c].Type, a.Tag}
		}
		if a.Tag != NULL {
			t.Clashes[c]++
		}
		b.Cols[c].Null()
		t.extra = append(t.extra, *a) // invariant 3
	}
	out := &b.Cols[len(t.columns)]
	if len(t.extra) == 0 {
		out.Null()
		b.End(ingest.Upsert)
		return nil
	}
	var ok bool
	if t.scratch, ok = appendMembers(t.scratch[:0], t.extra, 0); !ok {
		b.Abort()
		return errMalformed
	}
	out.Bytes(t.scratch)
	b.End(ingest.Upsert)
	return nil
}

// Delete appends the deletion of the item at hand.
func (t *Table) Delete(b *ingest.Builder) error {
	for c := range t.columns {
		if !t.columns[c].Key {
			b.Cols[c].Null()
			continue
		}
		if a := &t.attributes[t.at[c]]; !t.put(&b.Cols[c], c, a) {
			b.Abort()
			return &KeyError{t.columns[c].Attribute, t.columns[c].Type, a.Tag}
		}
	}
	b.Cols[len(t.columns)].Null()
	b.End(ingest.Delete)
	return nil
}

// put appends a value to its column, if it fits there exactly.
func (t *Table) put(b *ingest.ColumnBuilder, c int, a *Attribute) bool {
	col := &t.columns[c]
	switch {
	case a.Tag == NULL || a.Tag == Unknown:
		return false
	case col.Type.Kind == ingest.JSON:
		var ok bool
		if t.scratch, ok = appendJSON(t.scratch[:0], a.Tag, a.raw, 0); ok {
			b.Bytes(t.scratch)
		}
		return ok
	case a.Tag == N:
		n, ok := parseNumber(inside(a.raw), t.digits[:])
		return ok && t.putNumber(b, col, &n)
	case a.Tag == S && col.Type.Kind == ingest.Text && col.Native != N.String():
		if text := inside(a.raw); plain(text) {
			b.Bytes(text)
			return true
		}
		var ok bool
		if t.scratch, ok = appendText(t.scratch[:0], inside(a.raw)); ok {
			b.Bytes(t.scratch)
		}
		return ok
	case a.Tag == B && col.Type.Kind == ingest.Bytes:
		var ok bool
		if t.scratch, ok = appendBinary(t.scratch[:0], inside(a.raw)); ok {
			b.Bytes(t.scratch)
		}
		return ok
	case a.Tag == BOOL && col.Type.Kind == ingest.Bool:
		b.Bool(a.raw[0] == 't')
		return true
	}
	return false
}

// putNumber appends a number to a column that holds it exactly. A float column is one that the configuration asks for.
func (t *Table) putNumber(b *ingest.ColumnBuilder, col *Column, n *Number) bool {
	switch col.Type.Kind {
	case ingest.Int16, ingest.Int32, ingest.Int64:
		v, ok := n.Int64()
		return ok && putInt(b, col.Type.Kind, v)
	case ingest.Decimal:
		hi, lo, ok := n.Decimal(col.Type.Precision, col.Type.Scale)
		if ok {
			b.Decimal(hi, lo)
		}
		return ok
	case ingest.Text:
		if col.Native == S.String() {
			return false
		}
		t.scratch = n.AppendText(t.scratch[:0])
		b.Bytes(t.scratch)
		return true
	case ingest.Float64:
		t.scratch = n.AppendText(t.scratch[:0])
		v, err := strconv.ParseFloat(string(t.scratch), 64)
		if err == nil {
			b.Float64(v)
		}
		return err == nil
	}
	return false
}

func putInt(b *ingest.ColumnBuilder, kind ingest.Kind, v int64) bool {
	switch {
	case kind == ingest.Int64:
		b.Int64(v)
	case kind == ingest.Int32 && v >= math.MinInt32 && v <= math.MaxInt32:
		b.Int32(int32(v))
	case kind == ingest.Int16 && v >= math.MinInt16 && v <= math.MaxInt16:
		b.Int16(int16(v))
	default:
		return false
	}
	return true
}

// Attributes are those of the item at hand.
func (t *Table) Attributes() []Attribute { return t.attributes }

// ColumnsOf are the columns that the decoder fills.
func (t *Table) ColumnsOf() []Column { return slices.Clone(t.columns) }
