package console

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// AppendJSON appends value i of an array as JSON. Numbers and decimals keep all their digits; times are RFC 3339, without
// a zone when the column has none; bytes are base64.
func AppendJSON(b []byte, a arrow.Array, i int) []byte {
	if a.IsNull(i) {
		return append(b, "null"...)
	}
	switch a := a.(type) {
	case *array.Boolean:
		return strconv.AppendBool(b, a.Value(i))
	case *array.Float32:
		return appendFloat(b, float64(a.Value(i)), 32)
	case *array.Float64:
		return appendFloat(b, a.Value(i), 64)
	case *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64,
		*array.Decimal128, *array.Decimal256:
		return append(b, Text(a, i)...)
	case *array.List, *array.Struct, *array.Map:
		if v, err := json.Marshal(a.GetOneForMarshal(i)); err == nil {
			return append(b, v...)
		}
	}
	return appendString(b, Text(a, i))
}

func appendFloat(b []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no such numbers
		return appendString(b, strconv.FormatFloat(f, 'g', -1, bits))
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

const hexDigits = "0123456789abcdef"

// appendString quotes s for JSON without escaping what need not be.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// Text is value i of an array as plain text; NULL is empty.
func Text(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return ""
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return base64.StdEncoding.EncodeToString(a.Value(i))
	case *array.Date32:
		return a.Value(i).ToTime().Format("2006-01-02")
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		layout := "2006-01-02T15:04:05.999999999"
		if t.TimeZone != "" {
			layout += "Z"
		}
		return a.Value(i).ToTime(t.Unit).UTC().Format(layout)
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Float32:
		return strconv.FormatFloat(float64(a.Value(i)), 'g', -1, 32)
	case *array.Float64:
		return strconv.FormatFloat(a.Value(i), 'g', -1, 64)
	}
	return a.ValueStr(i)
}

// AppendName appends the name of a JSON object's member and its colon.
func AppendName(b []byte, name string) []byte { return append(appendString(b, name), ':') }

// AppendRow appends row i of a batch as a JSON object, columns in their order.
func AppendRow(b []byte, rec arrow.RecordBatch, i int) []byte {
	b = append(b, '{')
	for c, col := range rec.Columns() {
		if c > 0 {
			b = append(b, ',')
		}
		b = AppendName(b, rec.ColumnName(c))
		b = AppendJSON(b, col, i)
	}
	return append(b, '}')
}

// jsonEncoder writes one JSON object per line.
type jsonEncoder struct {
	w    io.Writer
	line []byte
}

func (e *jsonEncoder) batch(rec arrow.RecordBatch) error {
	for i := range int(rec.NumRows()) {
		e.line = append(AppendRow(e.line[:0], rec, i), '\n')
		if _, err := e.w.Write(e.line); err != nil {
			return err
		}
	}
	return nil
}

func (e *jsonEncoder) close() error { return nil }

// csvEncoder writes a line of column names, then a line per row; NULL and the empty text look alike, as CSV wants it.
type csvEncoder struct {
	w    io.Writer
	csv  *csv.Writer
	line []string
}

func (e *csvEncoder) batch(rec arrow.RecordBatch) error {
	if e.csv == nil {
		e.csv = csv.NewWriter(e.w)
		for c := range rec.Columns() {
			e.line = append(e.line, rec.ColumnName(c))
		}
		if err := e.csv.Write(e.line); err != nil {
			return err
		}
	}
	for i := range int(rec.NumRows()) {
		for c, col := range rec.Columns() {
			e.line[c] = Text(col, i)
		}
		if err := e.csv.Write(e.line); err != nil {
			return err
		}
	}
	e.csv.Flush()
	return e.csv.Error()
}

func (e *csvEncoder) close() error { return nil }
