package pqcheck

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// leaf is a column of the file.
type leaf struct {
	name     string
	physical format.Type
	optional bool
	text     bool // BYTE_ARRAY with the annotation of a text
	bytes    bool // BYTE_ARRAY without
}

// footer reads the file's metadata; nil when the file has none that can be read, which is a finding.
func (c *check) footer() (*format.FileMetaData, error) {
	bad := func(what string) (*format.FileMetaData, error) {
		c.add("footer", "", -1, what, "it is no Parquet file, or not a whole one", "write it anew")
		return nil, nil
	}
	if c.size < 4+footerTrailer {
		return bad(fmt.Sprintf("the file has %d bytes", c.size))
	}
	var head [4]byte
	var tail [footerTrailer]byte
	if err := c.read(head[:], 0); err != nil {
		return nil, err
	}
	if err := c.read(tail[:], c.size-footerTrailer); err != nil {
		return nil, err
	}
	if string(tail[4:]) == "PARE" {
		c.add("encrypted", "", -1, "the footer is encrypted", "Redshift does not read encrypted Parquet", "let S3 encrypt (SSE-KMS)")
		return nil, nil
	}
	if string(head[:]) != "PAR1" || string(tail[4:]) != "PAR1" {
		return bad("the file does not begin and end with PAR1")
	}
	n := int64(uint32(tail[0]) | uint32(tail[1])<<8 | uint32(tail[2])<<16 | uint32(tail[3])<<24)
	if n == 0 || n > c.size-4-footerTrailer { // invariant 3
		return bad("the footer is longer than the file")
	}
	buf := make([]byte, n)
	if err := c.read(buf, c.size-footerTrailer-n); err != nil {
		return nil, err
	}
	meta := new(format.FileMetaData)
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), buf, meta); err != nil {
		return bad("the footer cannot be decoded")
	}
	return meta, nil
}

func (c *check) read(b []byte, at int64) error {
	n, err := c.r.ReadAt(b, at)
	if n == len(b) || errors.Is(err, io.EOF) && n == len(b) {
		return nil
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(b), at, err)
}

// schema checks names and types. It reports whether the columns are a flat list, which the rest needs.
func (c *check) schema() bool {
	elements := c.meta.Schema
	if len(elements) < 2 {
		c.add("columns", "", -1, "the file has no column", "there is nothing to load", "write it anew")
		return false
	}
	flat := true
	names := map[string]bool{}
	for _, e := range elements[1:] {
		_, isLeaf := e.Type.Get()
		if n, _ := e.NumChildren.Get(); n > 0 || !isLeaf {
			c.add("nested", e.Name, -1, "it is a LIST, MAP or STRUCT", "COPY takes such columns into SUPER only, with SERIALIZETOJSON", "write it as JSON text and JSON_PARSE it")
			flat = false
			continue
		}
		if r, _ := e.RepetitionType.Get(); r == format.Repeated {
			c.add("nested", e.Name, -1, "it is repeated", "COPY takes such columns into SUPER only, with SERIALIZETOJSON", "write it as JSON text and JSON_PARSE it")
			flat = false
		}
		c.name(e.Name, names)
		c.cols = append(c.cols, c.column(e))
	}
	if len(c.cols) > mostColumns {
		c.add("columns", "", -1, fmt.Sprintf("the file has %d columns", len(c.cols)), "a table has at most 1,600", "split it")
	}
	for g, rg := range c.meta.RowGroups {
		if flat && len(rg.Columns) != len(c.cols) {
			c.add("footer", "", g, fmt.Sprintf("it has %d columns of %d", len(rg.Columns), len(c.cols)), "the file contradicts itself", "write it anew")
			flat = false
		}
	}
	return flat
}

func (c *check) name(name string, seen map[string]bool) {
	folded := strings.ToLower(name)
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		c.add("column-name", name, -1, "it has no name", "a column of a table has one", "name it")
	case len(name) > longestName:
		c.add("column-name", name[:20]+"...", -1, fmt.Sprintf("its name has %d bytes", len(name)), "Redshift cuts names at 127", "shorten it")
	case seen[folded]:
		c.add("column-name", name, -1, "its name is there twice", "Redshift folds names to lower case", "rename it")
	}
	seen[folded] = true
}

// column checks the type of a column.
func (c *check) column(e format.SchemaElement) leaf {
	physical, _ := e.Type.Get()
	repetition, _ := e.RepetitionType.Get()
	l := leaf{name: e.Name, physical: physical, optional: repetition == format.Optional}
	kind := annotation(e)
	refuse := func(rule, what, why, remedy string) { c.add(rule, e.Name, -1, what, why, remedy) }
	switch {
	case physical == format.Int96:
		refuse("int96", "it is INT96", "that is deprecated, and nobody else reads it", "write TIMESTAMP(MICROS)")
	case strings.HasPrefix(kind, "TIME("):
		refuse("time", "it is TIME", "COPY of Parquet does not load TIME", "write it as text, and cast it in the INSERT")
	case strings.HasPrefix(kind, "TIMESTAMP(") && !strings.Contains(kind, "MICROS"):
		refuse("timestamp-unit", "its timestamps are not in microseconds", "Redshift reads microseconds; nanoseconds fail", "write TIMESTAMP(MICROS)")
	case strings.HasPrefix(kind, "INT(") && strings.Contains(kind, "false"):
		refuse("unsigned", "it is unsigned", "Redshift has no unsigned types", "write the next wider signed type, or DECIMAL(20,0)")
	case strings.HasPrefix(kind, "DECIMAL"):
		c.decimal(e, physical)
	case physical == format.FixedLenByteArray:
		refuse("fixed-bytes", "it is FIXED_LEN_BYTE_ARRAY and no decimal", "Redshift has no type for it", "write UUIDs as text")
	case physical == format.ByteArray:
		c.byteArray(&l, kind)
	case kind != "" && kind != "DATE" && !strings.HasPrefix(kind, "INT(") && !strings.HasPrefix(kind, "TIMESTAMP("):
		refuse("annotation", "it is annotated "+kind, "Redshift has no type for it", "remove the annotation")
	}
	return l
}

func (c *check) byteArray(l *leaf, kind string) {
	switch kind {
	case "STRING":
		l.text = true
	case "":
		l.bytes = true
	default:
		c.add("annotation", l.name, -1, "it is annotated "+kind, "Redshift knows STRING, and bytes without an annotation", "annotate it STRING")
	}
}

// decimal wants fixed-length bytes of the least length.
func (c *check) decimal(e format.SchemaElement, physical format.Type) {
	precision, _ := e.Precision.Get()
	scale, _ := e.Scale.Get()
	if d, ok := e.LogicalType.Value.(*format.DecimalType); ok {
		precision, scale = d.Precision, d.Scale
	}
	length, _ := e.TypeLength.Get()
	switch {
	case precision < 1 || precision > 38 || scale < 0 || scale > precision:
		c.add("decimal", e.Name, -1, fmt.Sprintf("it is DECIMAL(%d,%d)", precision, scale), "Redshift has NUMERIC(1,0) to NUMERIC(38,37)", "write it as text")
	case physical != format.FixedLenByteArray:
		c.add("decimal", e.Name, -1, "it is a DECIMAL of "+physical.String(), "only decimals of FIXED_LEN_BYTE_ARRAY are known to load", "write FIXED_LEN_BYTE_ARRAY")
	case int(length) != decimalBytes[precision]:
		c.add("decimal-length", e.Name, -1, fmt.Sprintf("DECIMAL(%d,%d) has %d bytes", precision, scale, length),
			fmt.Sprintf("Redshift wants the least length: Expecting: %d len in file: %d", decimalBytes[precision], length), "write the least length")
	}
}

// decimalBytes is the least number of bytes by precision.
var decimalBytes = [...]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16}

// annotation is the logical type as text, from the old annotation where there is no new one.
func annotation(e format.SchemaElement) string {
	if s := e.LogicalType.String(); s != "" {
		return s
	}
	t, ok := e.ConvertedType.Get()
	if !ok {
		return ""
	}
	return map[deprecated.ConvertedType]string{
		deprecated.UTF8: "STRING", deprecated.Map: "MAP", deprecated.MapKeyValue: "MAP", deprecated.List: "LIST", deprecated.Enum: "ENUM", deprecated.Decimal: "DECIMAL",
		deprecated.Date: "DATE", deprecated.TimeMillis: "TIME(MILLIS)", deprecated.TimeMicros: "TIME(MICROS)", deprecated.TimestampMillis: "TIMESTAMP(MILLIS)", deprecated.TimestampMicros: "TIMESTAMP(MICROS)",
		deprecated.Uint8: "INT(8,false)", deprecated.Uint16: "INT(16,false)", deprecated.Uint32: "INT(32,false)", deprecated.Uint64: "INT(64,false)",
		deprecated.Int8: "INT(8,true)", deprecated.Int16: "INT(16,true)", deprecated.Int32: "INT(32,true)", deprecated.Int64: "INT(64,true)",
		deprecated.Json: "JSON", deprecated.Bson: "BSON", deprecated.Interval: "INTERVAL",
	}[t]
}
