package parquet

import (
	"fmt"

	"github.com/parquet-go/parquet-go/format"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/pqcheck"
)

// wantType is how the profile stores a kind: physical type, byte length, logical type, in parquet-go's words.
func wantType(t ingest.Type) string {
	switch t.Kind {
	case ingest.Bool:
		return "BOOLEAN(0) none"
	case ingest.Int16:
		return "INT32(0) INT(16,true)"
	case ingest.Int32:
		return "INT32(0) INT(32,true)"
	case ingest.Int64:
		return "INT64(0) INT(64,true)"
	case ingest.Float32:
		return "FLOAT(0) none"
	case ingest.Float64:
		return "DOUBLE(0) none"
	case ingest.Decimal:
		return fmt.Sprintf("FIXED_LEN_BYTE_ARRAY(%d) DECIMAL(%d,%d)", decimalBytes(t.Precision), t.Precision, t.Scale)
	case ingest.Text, ingest.JSON:
		return "BYTE_ARRAY(0) STRING"
	case ingest.Bytes:
		return "BYTE_ARRAY(0) none"
	case ingest.Date:
		return "INT32(0) DATE"
	case ingest.Timestamp:
		return "INT64(0) TIMESTAMP(isAdjustedToUTC=false,unit=MICROS)"
	case ingest.TimestampTZ:
		return "INT64(0) TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)"
	}
	panic("parquet: no type for " + t.Kind.String())
}

// decimalBytes is the least number of bytes that holds every value of the precision in two's complement; Redshift
// refuses any other length.
func decimalBytes(precision int32) int {
	return [...]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16}[precision]
}

// checkCodec refuses a codec that is not ours. What Redshift decodes beside it is pqcheck's to know.
func checkCodec(m *format.ColumnMetaData) error {
	if m.Codec != format.Zstd {
		return fmt.Errorf("codec is %s, want ZSTD", m.Codec)
	}
	return nil
}

// staging is the schema as a loader's staging table has it. Its texts are of any length: that is the warehouse's to say.
func (s Schema) staging() pqcheck.Options {
	o := pqcheck.Options{MaxText: -1}
	for _, c := range s.all() {
		o.Columns = append(o.Columns, pqcheck.Column{Name: c.Name, Text: c.Type.Kind == ingest.Text || c.Type.Kind == ingest.JSON})
	}
	return o
}
