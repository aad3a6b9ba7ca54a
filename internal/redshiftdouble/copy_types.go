package redshiftdouble

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
	pqgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// loads is which Parquet type loads into which type of Redshift: nothing is converted. A pair that is not here is refused, also where
// only a real cluster could tell (contract tests).
var loads = map[string][]string{
	"BOOLEAN":             {"boolean"},
	"INT32 INT8":          {"smallint"},
	"INT32 INT16":         {"smallint"},
	"INT32":               {"integer"},
	"INT32 INT32":         {"integer"},
	"INT64":               {"bigint"},
	"INT64 INT64":         {"bigint"},
	"FLOAT":               {"real"},
	"DOUBLE":              {"double precision"},
	"FIXED DECIMAL":       {"numeric"},
	"BYTES STRING":        {"character varying", "character", "super"},
	"BYTES JSON":          {"super"},
	"BYTES":               {"binary varying"},
	"INT32 DATE":          {"date"},
	"INT64 TIMESTAMP(us)": {"timestamp without time zone", "timestamp with time zone"},
	"INT64 TIMESTAMP(ms)": {"timestamp without time zone"},
	"INT96":               {"timestamp without time zone"},
	"GROUP":               {"super"},
}

// parquetType is the key of loads for a schema element.
func parquetType(e format.SchemaElement) string {
	physical, leaf := e.Type.Get()
	if !leaf {
		return "GROUP"
	}
	if rep, ok := e.RepetitionType.Get(); ok && rep == format.Repeated {
		return "GROUP"
	}
	name := map[format.Type]string{format.Boolean: "BOOLEAN", format.Int32: "INT32", format.Int64: "INT64", format.Int96: "INT96", format.Float: "FLOAT",
		format.Double: "DOUBLE", format.ByteArray: "BYTES", format.FixedLenByteArray: "FIXED"}[physical]
	if l := annotation(e); l != "" {
		return name + " " + l
	}
	return name
}

// annotation is the logical type, or the older converted type.
func annotation(e format.SchemaElement) string {
	switch l := e.LogicalType.Value.(type) {
	case *format.StringType:
		return "STRING"
	case *format.JsonType:
		return "JSON"
	case *format.DecimalType:
		return "DECIMAL"
	case *format.DateType:
		return "DATE"
	case *format.IntType:
		if !l.IsSigned {
			return fmt.Sprintf("UINT%d", l.BitWidth)
		}
		return fmt.Sprintf("INT%d", l.BitWidth)
	case *format.TimestampType:
		return "TIMESTAMP(" + unit(l.Unit) + ")"
	case nil:
		return converted(e)
	default:
		return strings.ToUpper(l.String())
	}
}

func unit(u format.TimeUnit) string {
	switch u.Value.(type) {
	case *format.MicroSeconds:
		return "us"
	case *format.MilliSeconds:
		return "ms"
	}
	return "ns"
}

func converted(e format.SchemaElement) string {
	c, ok := e.ConvertedType.Get()
	if !ok {
		return ""
	}
	switch c {
	case deprecated.UTF8:
		return "STRING"
	case deprecated.Json:
		return "JSON"
	case deprecated.Decimal:
		return "DECIMAL"
	case deprecated.Date:
		return "DATE"
	case deprecated.TimestampMicros:
		return "TIMESTAMP(us)"
	case deprecated.TimestampMillis:
		return "TIMESTAMP(ms)"
	case deprecated.Int8:
		return "INT8"
	case deprecated.Int16:
		return "INT16"
	case deprecated.Int32:
		return "INT32"
	case deprecated.Int64:
		return "INT64"
	}
	return fmt.Sprintf("CONVERTED(%d)", c)
}

// encoder finds how a file's column is written, or why it is not.
func (r *rowStream) encoder(f *field, e format.SchemaElement, c *pqgo.Column, t targetColumn) error {
	pt := parquetType(e)
	incompatible := scanError(15007, "Task failed due to an internal error. File has an incompatible Parquet schema for column '%s'. Column type: %s, Parquet schema: %s",
		t.name, strings.ToUpper(t.kind.String()), c.String())
	if t.kind.name == "super" && !r.command.serialize {
		return &loadError{code: 1000, message: "Assert code: 1000 context: Unreachable - Invalid type: 4000", column: t.name, kind: t.kind}
	}
	fits := false
	for _, name := range loads[pt] {
		fits = fits || name == t.kind.name
	}
	if !fits || t.explicit {
		incompatible.column, incompatible.kind = t.name, t.kind
		return incompatible
	}
	if pt == "FIXED DECIMAL" {
		if err := checkDecimal(e, t); err != nil {
			return err
		}
	}
	f.nested = pt == "GROUP"
	f.encode = r.encoderOf(pt, t)
	return nil
}

// decimalBytes is the least length that holds a precision.
func decimalBytes(precision int) int {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return most.BitLen()/8 + 1
}

func checkDecimal(e format.SchemaElement, t targetColumn) error {
	length, _ := e.TypeLength.Get()
	precision, scale := int32(0), int32(0)
	if d, ok := e.LogicalType.Value.(*format.DecimalType); ok {
		precision, scale = d.Precision, d.Scale
	} else {
		precision, _ = e.Precision.Get()
		scale, _ = e.Scale.Get()
	}
	switch want := decimalBytes(t.kind.precision); {
	case int(length) != want:
		return scanError(15007, "Task failed due to an internal error. File has an incompatible Parquet schema for column '%s'. invalid type length. Expecting: %d len in file: %d", t.name, want, length)
	case int(precision) != t.kind.precision || int(scale) != t.kind.scale:
		return scanError(15007, "Task failed due to an internal error. File has an incompatible Parquet schema for column '%s'. Column type: %s, Parquet schema: DECIMAL(%d,%d)",
			t.name, strings.ToUpper(t.kind.String()), precision, scale)
	}
	return nil
}

// Days and microseconds from 1970 to 2000, where PostgreSQL counts from.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

func (r *rowStream) encoderOf(pt string, t targetColumn) func([]byte, pqgo.Value) ([]byte, error) {
	be := binary.BigEndian
	switch pt {
	case "BOOLEAN":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			if v.Boolean() {
				return append(b, 1), nil
			}
			return append(b, 0), nil
		}
	case "INT32 INT8", "INT32 INT16":
		return func(b []byte, v pqgo.Value) ([]byte, error) { return be.AppendUint16(b, uint16(v.Int32())), nil }
	case "INT32", "INT32 INT32":
		return func(b []byte, v pqgo.Value) ([]byte, error) { return be.AppendUint32(b, uint32(v.Int32())), nil }
	case "INT64", "INT64 INT64":
		return func(b []byte, v pqgo.Value) ([]byte, error) { return be.AppendUint64(b, uint64(v.Int64())), nil }
	case "FLOAT":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint32(b, math.Float32bits(v.Float())), nil
		}
	case "DOUBLE":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint64(b, math.Float64bits(v.Double())), nil
		}
	case "INT32 DATE":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint32(b, uint32(v.Int32()-epochDays)), nil
		}
	case "INT64 TIMESTAMP(us)":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint64(b, uint64(v.Int64()-epochMicros)), nil
		}
	case "INT64 TIMESTAMP(ms)":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint64(b, uint64(v.Int64()*1000-epochMicros)), nil
		}
	case "INT96":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return be.AppendUint64(b, uint64(int96Micros(v.Int96())-epochMicros)), nil
		}
	case "FIXED DECIMAL":
		return decimalEncoder(t.kind)
	case "BYTES":
		return func(b []byte, v pqgo.Value) ([]byte, error) {
			return append(b, v.ByteArray()...), r.length(t, len(v.ByteArray()))
		}
	case "BYTES JSON":
		return func(b []byte, v pqgo.Value) ([]byte, error) { return appendJSON(b, v.ByteArray()) }
	}
	return func(b []byte, v pqgo.Value) ([]byte, error) { return r.text(b, v.ByteArray(), t) }
}

// int96Micros is the time of the old form: nanoseconds of a Julian day.
func int96Micros(v deprecated.Int96) int64 {
	nanos := int64(v[1])<<32 | int64(v[0])
	day := int64(v[2]) - 2440588
	return day*int64(24*time.Hour/time.Microsecond) + nanos/1000
}

func decimalEncoder(t dataType) func([]byte, pqgo.Value) ([]byte, error) {
	types := pgtype.NewMap()
	return func(b []byte, v pqgo.Value) ([]byte, error) {
		raw := v.ByteArray()
		n := new(big.Int).SetBytes(raw)
		if len(raw) > 0 && raw[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(raw)*8)))
		}
		if len(n.Text(10)) > t.precision+1 || new(big.Int).Abs(n).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.precision)), nil)) >= 0 {
			return b, scanError(15001, "Numeric overflow")
		}
		return types.Encode(pgtype.NumericOID, pgtype.BinaryFormatCode, pgtype.Numeric{Int: n, Exp: int32(-t.scale), Valid: true}, b)
	}
}

// length refuses what is longer than the column: bytes count.
func (r *rowStream) length(t targetColumn, n int) error {
	if n <= t.kind.length {
		return nil
	}
	return scanError(15001, "The length of the data column %s is longer than the length defined in the table. Table: %d, Data: %d", t.name, t.kind.length, n)
}

// text writes a string; into SUPER it goes as a string, not as the document that it may look like.
func (r *rowStream) text(b, v []byte, t targetColumn) ([]byte, error) {
	if !utf8.Valid(v) {
		if r.command.replacement == "" {
			return b, scanError(15001, "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence in column %s", t.name)
		}
		v = replaceInvalid(v, r.command.replacement)
	}
	if bytes.IndexByte(v, 0) >= 0 {
		return b, scanError(15001, "String contains a null byte in column %s", t.name)
	}
	switch t.kind.name {
	case "super":
		if len(v) > maxVarchar {
			return b, &loadError{code: 1224, message: "String value exceeds the max size of 65535 bytes"}
		}
		return append(b, v...), nil
	case "character":
		if utf8.RuneCount(v) != len(v) {
			return b, scanError(15001, "CHAR string contains invalid ASCII character in column %s", t.name)
		}
	}
	return append(b, v...), r.length(t, len(v))
}

// replaceInvalid puts one character in the place of each bad byte.
func replaceInvalid(v []byte, with string) []byte {
	var out []byte
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n == 1 {
			out = append(out, with...)
		} else {
			out = append(out, v[:n]...)
		}
		v = v[n:]
	}
	return out
}

func appendJSON(b, v []byte) ([]byte, error) {
	if !json.Valid(v) {
		return b, &loadError{code: 1224, message: "Invalid JSON in SUPER column"}
	}
	return append(append(b, superMark...), v...), nil
}

// document writes a nested column as JSON.
func (r *rowStream) document(i int, row map[string]any) error {
	v, ok := row[r.opened.Root().Columns()[i].Name()]
	if !ok || v == nil {
		r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff)
		return r.notNull(i, true)
	}
	doc, err := json.Marshal(plain(v))
	if err != nil {
		return scanError(15001, "Error serialising nested column: %v", err)
	}
	r.buf = binary.BigEndian.AppendUint32(r.buf, uint32(len(doc)+len(superMark)))
	r.buf = append(append(r.buf, superMark...), doc...)
	return nil
}

// plain turns the layers of Parquet's lists into arrays and bytes into strings.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if l, ok := v["list"].([]any); ok && len(v) == 1 {
			return plainList(l)
		}
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	case []any:
		return plainList(v)
	case []byte:
		return string(v)
	}
	return v
}

func plainList(l []any) []any {
	out := make([]any, len(l))
	for i, x := range l {
		if m, ok := x.(map[string]any); ok && len(m) == 1 {
			if e, ok := m["element"]; ok {
				x = e
			}
		}
		out[i] = plain(x)
	}
	return out
}
