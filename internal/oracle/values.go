package oracle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// columnsOf reads names, evaluation types and key from a table map with full metadata.
func columnsOf(t *replication.TableMapEvent) ([]Column, []int, error) {
	names := t.ColumnNameString()
	if len(names) != len(t.ColumnType) {
		return nil, nil, errors.New("the table map has no column names: binlog_row_metadata is not FULL")
	}
	cols := make([]Column, len(names))
	for i, n := range names {
		cols[i] = Column{Name: n, PG: pgType(t, i)}
	}
	key := make([]int, len(t.PrimaryKey))
	for i, k := range t.PrimaryKey {
		key[i] = int(k)
	}
	if len(key) == 0 {
		return nil, nil, errors.New("the table has no primary key")
	}
	return cols, key, nil
}

func pgType(t *replication.TableMapEvent, i int) string {
	switch t.ColumnType[i] {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_YEAR:
		return "bigint"
	case mysql.MYSQL_TYPE_LONGLONG:
		return "numeric(20,0)"
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return fmt.Sprintf("numeric(%d,%d)", t.ColumnMeta[i]>>8, t.ColumnMeta[i]&0xff)
	case mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_DOUBLE:
		return "double precision"
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		return "date"
	case mysql.MYSQL_TYPE_DATETIME2, mysql.MYSQL_TYPE_DATETIME:
		return "timestamp"
	case mysql.MYSQL_TYPE_TIMESTAMP2, mysql.MYSQL_TYPE_TIMESTAMP:
		return "timestamptz"
	}
	return "text"
}

// canonicalRow turns go-mysql's values into canonical text: integers and decimals as digits, times without trailing zeros of
// the fraction, labels for ENUM and SET.
func canonicalRow(t *replication.TableMapEvent, row []any) ([]Val, error) {
	out := make([]Val, len(row))
	enums, sets := t.EnumStrValueMap(), t.SetStrValueMap()
	for i, v := range row {
		text, err := canonical(v, enums[i], sets[i])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", t.ColumnNameString()[i], err)
		}
		switch {
		case v == nil:
			out[i] = null
		case strings.HasPrefix(pgType(t, i), "timestamp"):
			out[i] = Val{Text: TrimFraction(text)}
		case t.ColumnType[i] == mysql.MYSQL_TYPE_JSON:
			out[i] = Val{Text: spaced(text)}
		case t.ColumnType[i] == mysql.MYSQL_TYPE_BIT && t.ColumnMeta[i] == 1: // BIT(1) is a bool
			out[i] = Val{Text: strconv.FormatBool(text != "0")}
		default:
			out[i] = Val{Text: text}
		}
		if strings.HasPrefix(text, "0000-00-00") {
			out[i] = null // zero dates are NULL downstream (TYPES.md)
		}
	}
	return out, nil
}

// spaced is a JSON document with the server's own spaces, one behind each comma and colon: go-mysql renders some with none.
func spaced(doc string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range []byte(doc) {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			continue
		}
		b.WriteByte(c)
		if !quoted && (c == ',' || c == ':') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func canonical(v any, enum, set []string) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case int64:
		switch {
		case enum != nil && v == 0:
			return "", nil
		case enum != nil:
			return enum[v-1], nil
		case set != nil:
			return setLabels(uint64(v), set), nil
		}
		return strconv.FormatInt(v, 10), nil
	case int, int8, int16, int32, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("no canonical text for %T", v)
}

func setLabels(mask uint64, labels []string) string {
	var out []string
	for i, l := range labels {
		if mask&(1<<i) != 0 {
			out = append(out, l)
		}
	}
	return strings.Join(out, ",")
}

// TrimFraction cuts trailing zeros of a time's fraction: "10:00:00.500000" is "10:00:00.5", "10:00:00.000000" is "10:00:00".
func TrimFraction(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
