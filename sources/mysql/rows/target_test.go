package rows

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/ingest"
)

// target collects rows and touched keys.
type target struct {
	builders []*ingest.Builder
	touched  []string
}

func newTarget(s *ingest.Schema, partitions int) *target {
	t := &target{}
	for range partitions {
		t.builders = append(t.builders, ingest.NewBuilder(s))
	}
	return t
}

func (t *target) Partitions() int                 { return len(t.builders) }
func (t *target) Builder(p int) *ingest.Builder   { return t.builders[p] }
func (t *target) Touched(key []byte)              { t.touched = append(t.touched, string(key)) }
func (t *target) render(tb testing.TB) [][]string { return render(tb, t.builders[0]) }

// render is every row of a builder as text, the operation last. Two builders with equal texts hold equal bytes: floats
// are rendered as hex, text quoted.
func render(tb testing.TB, b *ingest.Builder) [][]string {
	tb.Helper()
	rec := b.Record()
	defer rec.Release()
	out := make([][]string, rec.NumRows())
	for i := range out {
		for c := range rec.NumCols() {
			out[i] = append(out[i], cell(rec.Column(int(c)), i))
		}
	}
	return out
}

func cell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "NULL"
	}
	switch a := a.(type) {
	case *array.Boolean:
		return fmt.Sprint(a.Value(i))
	case *array.Uint8:
		return fmt.Sprint(a.Value(i))
	case *array.Int16:
		return fmt.Sprint(a.Value(i))
	case *array.Int32:
		return fmt.Sprint(a.Value(i))
	case *array.Int64:
		return fmt.Sprint(a.Value(i))
	case *array.Float32:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.Float64:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return strings.ToUpper(fmt.Sprintf("%x", a.Value(i)))
	case *array.Date32:
		return a.Value(i).ToTime().Format("2006-01-02")
	case *array.Timestamp:
		return a.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02 15:04:05.000000")
	}
	return fmt.Sprintf("%T?", a)
}
