package parquet

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidemill/tidemill/ingest"
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

// checkChunk refuses a column chunk that Redshift's reader might not decode.
func checkChunk(m *format.ColumnMetaData) error {
	if m.Codec != format.Zstd {
		return fmt.Errorf("codec is %s, want ZSTD", m.Codec)
	}
	for _, e := range m.Encoding {
		switch e {
		case format.Plain, format.RLE, format.RLEDictionary, format.PlainDictionary:
		default:
			return fmt.Errorf("encoding %s is outside the profile", e)
		}
	}
	return nil
}

// checkPages reads the header of each page of a column chunk. What the footer says of page types cannot be trusted: arrow-go
// writes there that pages of version 2 are of version 1.
func checkPages(f io.ReaderAt, m *format.ColumnMetaData) error {
	start := m.DataPageOffset
	if m.DictionaryPageOffset > 0 {
		start = min(start, m.DictionaryPageOffset)
	}
	r := bufio.NewReader(io.NewSectionReader(f, start, m.TotalCompressedSize))
	d := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(r))
	for pages := 0; ; pages++ {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) && pages > 0 {
			return nil
		}
		var h format.PageHeader
		if err := d.Decode(&h); err != nil {
			return fmt.Errorf("reading the header of page %d: %w", pages, err)
		}
		if h.Type != format.DataPage && h.Type != format.DictionaryPage {
			return fmt.Errorf("page type %s, want data page V1", h.Type)
		}
		if _, err := r.Discard(int(h.CompressedPageSize)); err != nil {
			return fmt.Errorf("reading page %d: %w", pages, err)
		}
	}
}
