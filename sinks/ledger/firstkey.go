package ledger

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window"
)

var errEnough = errors.New("enough")

// FirstKey is the first value of the first key column of a part as text, when that is a number that has an order in both
// worlds: unsigned 64-bit keys arrive as decimals.
func FirstKey(ctx context.Context, t *window.TableLoad, file string) (key string, ok bool, err error) {
	s := ingest.Schema{Columns: t.Columns, Key: t.Key}
	at := s.KeyColumns()[0]
	err = parquet.Read(ctx, file, parquet.Schema{Columns: t.Columns, Op: true}, func(b arrow.RecordBatch) error {
		switch c := b.Column(at).(type) {
		case *array.Int16, *array.Int32, *array.Int64, *array.Decimal128:
			if ok = c.Len() > 0 && c.IsValid(0); ok {
				key = c.ValueStr(0)
			}
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return key, ok, err
}
