package parquet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
)

// Fault is why a value is outside of the profile (invariant 4). It is what tidemill.quarantine shows.
type Fault string

// The faults. ADR 0009 gives the reason of each, and of what is none.
const (
	InvalidText   Fault = "invalid_text"    // bytes that are not UTF-8
	InvalidJSON   Fault = "invalid_json"    // not one JSON document, or one with half a surrogate pair
	OutOfCalendar Fault = "out_of_calendar" // a date or time before 4713 BC, after 294246, or infinite
	TooManyDigits Fault = "too_many_digits" // a decimal beyond the precision of its column
	NULInKey      Fault = "nul_in_key"      // U+0000 in a key: left out, two keys could become one
	KeyTooLong    Fault = "key_too_long"
	TextTooLong   Fault = "text_too_long" // where the warehouse has a limit and its address says so: LimitText
)

// Describe says what a fault means to who has to mend it.
func (f Fault) Describe() string {
	return map[Fault]string{
		InvalidText: "text that is not UTF-8", InvalidJSON: "not a JSON document", OutOfCalendar: "a date outside of 4713 BC to 294246",
		TooManyDigits: "more digits than the column has", NULInKey: "U+0000 in a key", KeyTooLong: "a key of more than 2500 bytes",
		TextTooLong: "a text that is longer than the warehouse's columns",
	}[f]
}

// maxKey is how many bytes the texts of a key may have together: an entry of PostgreSQL's index holds 2704 bytes, with
// its own headers.
const maxKey = 2500

// The calendar that all warehouses share: Redshift begins at 4713 BC, DuckDB ends within 294247.
var (
	firstDay  = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 86400
	endDay    = time.Date(294247, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 86400
	dayMicros = int64(86400 * 1e6)
)

// BadValue is a value outside of the profile.
type BadValue struct {
	Row, Column int
	Fault       Fault
}

// Checker finds the values of batches that are outside of the profile. One goroutine uses it.
type Checker struct {
	columns []ingest.Column
	isKey   []bool
	texts   []int // key columns of variable length
	maxText int   // bytes; 0 is no limit
	found   map[int]BadValue
}

// NewChecker returns a checker of rows with these columns; what follows them in a batch is not looked at.
func NewChecker(columns []ingest.Column, key []string) *Checker {
	c := &Checker{columns: columns, isKey: make([]bool, len(columns)), found: map[int]BadValue{}}
	for i, col := range columns {
		c.isKey[i] = slices.Contains(key, col.Name)
		if k := col.Type.Kind; c.isKey[i] && (k == ingest.Text || k == ingest.JSON || k == ingest.Bytes) {
			c.texts = append(c.texts, i)
		}
	}
	return c
}

// LimitText makes texts and documents of more bytes bad; 0 is no limit. It is no part of the profile: a warehouse whose columns
// are bounded may be told to keep such rows in quarantine (invariant 4).
func (c *Checker) LimitText(bytes int) { c.maxText = bytes }

// Check returns the rows that hold a bad value, in order, each with its first one: a row whose key is bad with that,
// since it can have no place in a table at all. It returns nil for a batch that is in order.
func (c *Checker) Check(b arrow.RecordBatch) []BadValue {
	clear(c.found)
	c.keyLengths(b)
	for _, keys := range []bool{true, false} {
		for i := range c.columns {
			if c.isKey[i] == keys {
				c.column(i, b.Column(i))
			}
		}
	}
	if len(c.found) == 0 {
		return nil
	}
	out := make([]BadValue, 0, len(c.found))
	for _, bad := range c.found {
		out = append(out, bad)
	}
	slices.SortFunc(out, func(a, b BadValue) int { return cmp.Compare(a.Row, b.Row) })
	return out
}

// BadKey reports whether what is wrong with a row is its key.
func (c *Checker) BadKey(v BadValue) bool { return c.isKey[v.Column] }

func (c *Checker) note(row, column int, f Fault) {
	if _, had := c.found[row]; !had {
		c.found[row] = BadValue{row, column, f}
	}
}

// keyLengths looks for keys that are too long.
func (c *Checker) keyLengths(b arrow.RecordBatch) {
	if len(c.texts) == 0 {
		return
	}
	for row := range int(b.NumRows()) {
		n := 0
		for _, i := range c.texts {
			switch a := b.Column(i).(type) {
			case *array.String:
				n += a.ValueLen(row)
			case *array.Binary:
				n += a.ValueLen(row)
			}
		}
		if n > maxKey {
			c.note(row, c.texts[0], KeyTooLong)
		}
	}
}

// column is a switch over the kinds: what has no case can hold nothing bad.
func (c *Checker) column(i int, a arrow.Array) {
	switch a := a.(type) {
	case *array.String:
		c.text(i, a)
		if c.columns[i].Type.Kind == ingest.JSON {
			c.each(i, a, InvalidJSON, func(row int) bool { return validJSON(a.Value(row)) })
		}
	case *array.Date32:
		c.each(i, a, OutOfCalendar, func(row int) bool { return int64(a.Value(row)) >= firstDay && int64(a.Value(row)) < endDay })
	case *array.Timestamp:
		first, end := firstDay*dayMicros, endDay*dayMicros
		c.each(i, a, OutOfCalendar, func(row int) bool { return int64(a.Value(row)) >= first && int64(a.Value(row)) < end })
	case *array.Decimal128:
		limit := decimal128.FromBigInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.columns[i].Type.Precision)), nil))
		least := limit.Negate()
		c.each(i, a, TooManyDigits, func(row int) bool { return a.Value(row).Less(limit) && least.Less(a.Value(row)) })
	}
}

func (c *Checker) each(i int, a arrow.Array, f Fault, fine func(row int) bool) {
	for row := range a.Len() {
		if !fine(row) && !a.IsNull(row) {
			c.note(row, i, f)
		}
	}
}

// text looks at all values at once first: a batch of texts that is UTF-8 as a whole, each beginning with a character, is
// so one by one.
func (c *Checker) text(i int, a *array.String) {
	if a.Len() == 0 {
		return
	}
	all := a.ValueBytes()
	sound := utf8.Valid(all)
	if sound {
		base := a.ValueOffset(0)
		for row := range a.Len() {
			if at := a.ValueOffset(row) - base; at < len(all) && !utf8.RuneStart(all[at]) {
				sound = false
				break
			}
		}
	}
	if !sound {
		c.each(i, a, InvalidText, func(row int) bool { return utf8.ValidString(a.Value(row)) })
	}
	if c.maxText > 0 && len(all) > c.maxText {
		c.each(i, a, TextTooLong, func(row int) bool { return a.ValueLen(row) <= c.maxText })
	}
	if c.isKey[i] && bytes.IndexByte(all, 0) >= 0 {
		c.each(i, a, NULInKey, func(row int) bool { return strings.IndexByte(a.Value(row), 0) < 0 })
	}
}

// validJSON reports whether a text is one JSON document that every warehouse takes. Half a surrogate pair is allowed by
// the grammar; DuckDB refuses it.
func validJSON(s string) bool {
	return json.Valid([]byte(s)) && (!strings.Contains(s, `\u`) || wholePairs(s))
}

// wholePairs reports whether the \u escapes of a JSON document pair their surrogates. The document is valid: an escape is
// never cut off.
func wholePairs(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i++; s[i] != 'u' {
			continue
		}
		high, low := surrogate(s[i+1:])
		if low {
			return false
		}
		if high {
			i += 5
			if s[i] != '\\' || s[i+1] != 'u' {
				return false
			}
			if _, low = surrogate(s[i+2:]); !low {
				return false
			}
			i++
		}
		i += 4
	}
	return true
}

// surrogate says which half of a pair four hexadecimal digits are: high D800 to DBFF, low DC00 to DFFF.
func surrogate(hex string) (high, low bool) {
	half := hex[0]|0x20 == 'd' && hex[1] >= '8'
	low = half && strings.IndexByte("cdefCDEF", hex[1]) >= 0
	return half && !low, low
}

// withoutNUL leaves U+0000 out of texts and counts those that had one: no type of PostgreSQL can hold it, and a publish
// must not depend on which warehouse it is for. It releases c when it returns another array.
func withoutNUL(c arrow.Array) (arrow.Array, int64) {
	a, ok := c.(*array.String)
	if !ok || bytes.IndexByte(a.ValueBytes(), 0) < 0 {
		return c, 0
	}
	defer c.Release()
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	var changed int64
	for row := range a.Len() {
		switch v := a.Value(row); {
		case a.IsNull(row):
			b.AppendNull()
		case strings.IndexByte(v, 0) >= 0:
			changed++
			b.Append(strings.ReplaceAll(v, "\x00", ""))
		default:
			b.Append(v)
		}
	}
	return b.NewArray(), changed
}
