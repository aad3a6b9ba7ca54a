//go:build duckdb_arrow

package state

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
)

// keyText is the key of a row as a JSON array.
func keyText(b arrow.RecordBatch, key []int, row int) string {
	out := []byte{'['}
	for i, k := range key {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSON(out, b.Column(k), row)
	}
	return string(append(out, ']'))
}

// rowImage is a row as a JSON object, in the order of its columns.
func rowImage(columns []ingest.Column, b arrow.RecordBatch, row int) string {
	out := []byte{'{'}
	for i, c := range columns {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, c.Name), ':')
		out = appendJSON(out, b.Column(i), row)
	}
	return string(append(out, '}'))
}

// appendJSON appends a value so that nothing of it is lost: integers and finite floats as numbers; decimals, dates, times
// and texts as strings, also a text that calls itself JSON; bytes, and text that is none, as {"base64": ...}; a date or
// time in a year that has not four digits as the number that it is stored as.
func appendJSON(out []byte, a arrow.Array, row int) []byte {
	if a.IsNull(row) {
		return append(out, "null"...)
	}
	switch a := a.(type) {
	case *array.Boolean:
		return strconv.AppendBool(out, a.Value(row))
	case *array.Int16:
		return strconv.AppendInt(out, int64(a.Value(row)), 10)
	case *array.Int32:
		return strconv.AppendInt(out, int64(a.Value(row)), 10)
	case *array.Int64:
		return strconv.AppendInt(out, a.Value(row), 10)
	case *array.Float32:
		return appendFloat(out, float64(a.Value(row)), 32)
	case *array.Float64:
		return appendFloat(out, a.Value(row), 64)
	case *array.Decimal128:
		return appendString(out, a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale))
	case *array.Date32:
		v := int64(a.Value(row))
		return appendTime(out, v, time.Unix(v*86400, 0), time.DateOnly)
	case *array.Timestamp:
		v := int64(a.Value(row))
		return appendTime(out, v, time.UnixMicro(v), "2006-01-02 15:04:05.999999")
	case *array.Binary:
		return appendBytes(out, a.Value(row))
	case *array.String:
		if v := a.Value(row); utf8.ValidString(v) {
			return appendString(out, v)
		}
		return appendBytes(out, []byte(a.Value(row)))
	}
	panic("state: no JSON of " + a.DataType().String())
}

// appendTime appends a date or time, in the years of four digits as text.
func appendTime(out []byte, stored int64, t time.Time, layout string) []byte {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return strconv.AppendInt(out, stored, 10)
	}
	return appendString(out, t.Format(layout))
}

func appendFloat(out []byte, v float64, bits int) []byte {
	text := strconv.FormatFloat(v, 'g', -1, bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return appendString(out, text)
	}
	return append(out, text...)
}

func appendBytes(out, v []byte) []byte {
	out = append(out, `{"base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, v)
	return append(out, `"}`...)
}

func appendString(out []byte, s string) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes, and a Builder takes everything
	return append(out, strings.TrimSuffix(b.String(), "\n")...)
}
