package redshiftdouble

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	pqgo "github.com/parquet-go/parquet-go"
)

// unloadColumn is a column of an UNLOAD's query.
type unloadColumn struct {
	name string
	kind dataType
}

// unloadKinds are the types by PostgreSQL's numbers.
var unloadKinds = map[uint32]string{
	pgtype.BoolOID: "boolean", pgtype.Int2OID: "smallint", pgtype.Int4OID: "integer", pgtype.Int8OID: "bigint", pgtype.Float4OID: "real",
	pgtype.Float8OID: "double precision", pgtype.NumericOID: "numeric", pgtype.VarcharOID: "character varying", pgtype.TextOID: "character varying",
	pgtype.BPCharOID: "character", pgtype.DateOID: "date", pgtype.TimestampOID: "timestamp without time zone", pgtype.TimestamptzOID: "timestamp with time zone",
}

func (s *session) unloadColumn(f pgconn.FieldDescription) (unloadColumn, error) {
	c := unloadColumn{name: s.server.names.original(f.Name), kind: dataType{name: unloadKinds[f.DataTypeOID]}}
	switch {
	case f.DataTypeOID == s.server.admin.super:
		c.kind.name = "super"
	case f.DataTypeOID == s.server.admin.varbyte:
		return c, refuse("0A000", "UNLOAD of VARBYTE column %q is not supported for PARQUET", c.name)
	case c.kind.name == "":
		return c, refuse("0A000", "UNLOAD of column %q is not supported for PARQUET", c.name)
	case c.kind.name == "numeric" && f.TypeModifier >= 4:
		c.kind.precision, c.kind.scale = int(f.TypeModifier-4)>>16, int(f.TypeModifier-4)&0x7ff
	case f.TypeModifier >= 4:
		c.kind.length = int(f.TypeModifier) - 4
	}
	return c, nil
}

// partitions reports whether the column may name folders.
func (c unloadColumn) partitions() bool {
	return !slices.Contains([]string{"double precision", "timestamp with time zone", "super"}, c.kind.name)
}

// folder is a value as a folder's name has it.
func (c unloadColumn) folder(v string) string {
	if c.kind.name == "boolean" {
		return strconv.FormatBool(v == "t")
	}
	if c.kind.name == "character" {
		return strings.TrimRight(v, " ")
	}
	return v
}

// node is the Parquet column: PLAIN values, as UNLOAD's are read everywhere.
func (c unloadColumn) node() pqgo.Node {
	var n pqgo.Node
	switch c.kind.name {
	case "boolean":
		return pqgo.Optional(pqgo.Leaf(pqgo.BooleanType))
	case "smallint":
		n = pqgo.Int(16)
	case "integer":
		n = pqgo.Int(32)
	case "bigint":
		n = pqgo.Int(64)
	case "real":
		n = pqgo.Leaf(pqgo.FloatType)
	case "double precision":
		n = pqgo.Leaf(pqgo.DoubleType)
	case "numeric":
		n = pqgo.Decimal(c.kind.scale, c.kind.precision, pqgo.FixedLenByteArrayType(decimalBytes(c.kind.precision)))
	case "date":
		n = pqgo.Date()
	case "timestamp without time zone":
		n = pqgo.TimestampAdjusted(pqgo.Microsecond, false)
	case "timestamp with time zone":
		n = pqgo.Timestamp(pqgo.Microsecond)
	case "super":
		n = pqgo.JSON()
	default:
		n = pqgo.String()
	}
	return pqgo.Optional(pqgo.Encoded(n, &pqgo.Plain))
}

// value converts PostgreSQL's text.
func (c unloadColumn) value(v []byte) (pqgo.Value, error) {
	s := string(v)
	switch c.kind.name {
	case "boolean":
		return pqgo.BooleanValue(s == "t"), nil
	case "smallint", "integer":
		n, err := strconv.ParseInt(s, 10, 32)
		return pqgo.Int32Value(int32(n)), err
	case "bigint":
		n, err := strconv.ParseInt(s, 10, 64)
		return pqgo.Int64Value(n), err
	case "real":
		n, err := strconv.ParseFloat(s, 32)
		return pqgo.FloatValue(float32(n)), err
	case "double precision":
		n, err := strconv.ParseFloat(s, 64)
		return pqgo.DoubleValue(n), err
	case "numeric":
		return c.decimal(s)
	case "date":
		t, err := time.Parse(time.DateOnly, s)
		return pqgo.Int32Value(int32(t.Unix() / 86400)), err
	case "timestamp without time zone":
		t, err := time.Parse("2006-01-02 15:04:05.999999", s)
		return pqgo.Int64Value(t.UnixMicro()), err
	case "timestamp with time zone":
		t, err := time.Parse("2006-01-02 15:04:05.999999Z07", s)
		if err != nil {
			t, err = time.Parse("2006-01-02 15:04:05.999999Z07:00", s)
		}
		return pqgo.Int64Value(t.UnixMicro()), err
	case "super":
		return pqgo.ByteArrayValue(superText(v)), nil
	}
	return pqgo.ByteArrayValue(bytes.Clone(v)), nil
}

// decimal is a number as bytes of the precision's least length.
func (c unloadColumn) decimal(s string) (pqgo.Value, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > c.kind.scale {
		return pqgo.Value{}, refuse("22003", "Numeric data overflow (addition)")
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", c.kind.scale-len(fraction)), 10)
	if !ok {
		return pqgo.Value{}, refuse("22003", "numeric value cannot be unloaded")
	}
	size := decimalBytes(c.kind.precision)
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size*8)))
	}
	if n.BitLen() > size*8 {
		return pqgo.Value{}, refuse("22003", "Numeric data overflow (result precision)")
	}
	return pqgo.FixedLenByteArrayValue(n.FillBytes(make([]byte, size))), nil
}

// ordered is a group whose columns keep their order; parquet-go's own sorts them by name.
type ordered struct {
	pqgo.Group
	names []string
}

func (o ordered) Fields() []pqgo.Field {
	fields := o.Group.Fields()
	slices.SortFunc(fields, func(a, b pqgo.Field) int { return slices.Index(o.names, a.Name()) - slices.Index(o.names, b.Name()) })
	return fields
}

// parquetFile is a file that is being written in memory.
type parquetFile struct {
	columns []unloadColumn
	kept    []int
	buf     bytes.Buffer
	writer  *pqgo.Writer
	rows    int64
}

func newParquetFile(columns []unloadColumn, kept []int) *parquetFile {
	group := ordered{Group: pqgo.Group{}}
	for _, i := range kept {
		group.Group[columns[i].name] = columns[i].node()
		group.names = append(group.names, columns[i].name)
	}
	f := &parquetFile{columns: columns, kept: kept}
	f.writer = pqgo.NewWriter(&f.buf, pqgo.NewSchema("unload", group), pqgo.Compression(&pqgo.Snappy), pqgo.DataPageVersion(1), pqgo.CreatedBy("redshiftdouble", "1", ""))
	return f
}

func (f *parquetFile) add(values [][]byte) error {
	row := make(pqgo.Row, len(f.kept))
	for n, i := range f.kept {
		if values[i] == nil {
			row[n] = pqgo.NullValue().Level(0, 0, n)
			continue
		}
		v, err := f.columns[i].value(values[i])
		if err != nil {
			return fmt.Errorf("unloading column %s: %w", f.columns[i].name, err)
		}
		row[n] = v.Level(0, 1, n)
	}
	f.rows++
	_, err := f.writer.WriteRows([]pqgo.Row{row})
	return err
}

func (f *parquetFile) close() ([]byte, error) {
	if err := f.writer.Close(); err != nil {
		return nil, err
	}
	return f.buf.Bytes(), nil
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
