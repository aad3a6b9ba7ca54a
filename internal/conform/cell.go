package conform

import (
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Cell is the exact value of a cell as text: two cells have one text when and only when they hold the same value. NaNs
// are one value: no warehouse promises their payload.
func Cell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "NULL"
	}
	switch a := a.(type) {
	case *array.Boolean:
		return strconv.FormatBool(a.Value(i))
	case *array.Float32:
		return float(float64(a.Value(i)))
	case *array.Float64:
		return float(a.Value(i))
	case *array.Decimal128:
		return a.Value(i).BigInt().String() + "e-" + strconv.Itoa(int(a.DataType().(*arrow.Decimal128Type).Scale))
	case *array.String:
		return strconv.Quote(a.Value(i))
	case *array.Binary:
		return fmt.Sprintf("x'%x'", a.Value(i))
	case *array.Timestamp:
		return strconv.FormatInt(int64(a.Value(i)), 10) + "us"
	case *array.Date32:
		return strconv.Itoa(int(a.Value(i))) + "d"
	}
	return a.ValueStr(i)
}

func float(v float64) string {
	if math.IsNaN(v) {
		return "NaN"
	}
	return fmt.Sprintf("%x %g", math.Float64bits(v), v)
}
