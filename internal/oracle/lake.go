package oracle

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidemill/tidemill/internal/pqcheck"
)

// opColumn is the last column of every part: 1 upsert, 2 delete.
const opColumn = "_op"

// Op is one operation of a part: a row, or with Delete only its key.
type Op struct {
	Delete bool
	Row    []Val
}

// ReadPart reads a part with parquet-go and returns its column names (without the operation) and operations in file order.
func ReadPart(path string) ([]string, []Op, error) {
	_, found, err := pqcheck.File(path, pqcheck.Options{MaxText: -1})
	if err = errors.Join(err, pqcheck.Err(found)); err != nil {
		return nil, nil, fmt.Errorf("checking part: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening part: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("opening part: %w", err)
	}
	pf, err := parquet.OpenFile(f, st.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("reading part: %w", err)
	}
	leaves := pf.Root().Columns()
	names := make([]string, len(leaves))
	for i, l := range leaves {
		names[i] = l.Name()
	}
	if names[len(names)-1] != opColumn {
		return nil, nil, fmt.Errorf("reading part: last column is %s, not %s", names[len(names)-1], opColumn)
	}
	var ops []Op
	for _, g := range pf.RowGroups() {
		if ops, err = readGroup(g, leaves, ops); err != nil {
			return nil, nil, fmt.Errorf("reading part: %w", err)
		}
	}
	return names[:len(names)-1], ops, nil
}

func readGroup(g parquet.RowGroup, leaves []*parquet.Column, ops []Op) ([]Op, error) {
	rows := g.Rows()
	defer rows.Close()
	buf := make([]parquet.Row, 256)
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			op, cerr := operation(row, leaves)
			if cerr != nil {
				return nil, cerr
			}
			ops = append(ops, op)
		}
		if errors.Is(err, io.EOF) {
			return ops, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func operation(row parquet.Row, leaves []*parquet.Column) (Op, error) {
	vals := make([]Val, len(leaves)-1)
	for i := range vals {
		text, err := parquetText(row[i], leaves[i])
		if err != nil {
			return Op{}, fmt.Errorf("column %s: %w", leaves[i].Name(), err)
		}
		vals[i] = Val{Text: text, Null: row[i].IsNull()}
		if vals[i].Null {
			vals[i].Text = ""
		}
	}
	switch op := row[len(row)-1].Int32(); op {
	case 1:
		return Op{Row: vals}, nil
	case 2:
		return Op{Delete: true, Row: vals}, nil
	default:
		return Op{}, fmt.Errorf("operation %d is neither upsert (1) nor delete (2)", op)
	}
}

func parquetText(v parquet.Value, c *parquet.Column) (string, error) {
	if v.IsNull() {
		return "", nil
	}
	if lt := c.Type().LogicalType(); lt != nil {
		switch l := lt.Value.(type) {
		case *format.DecimalType:
			return decimalText(v, l)
		case *format.DateType:
			return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly), nil
		case *format.TimestampType:
			if _, ok := l.Unit.Value.(*format.MicroSeconds); !ok {
				return "", errors.New("timestamp is not in microseconds")
			}
			return TrimFraction(time.UnixMicro(v.Int64()).UTC().Format("2006-01-02 15:04:05.000000")), nil
		}
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.FormatBool(v.Boolean()), nil
	case parquet.Int32:
		return strconv.FormatInt(int64(v.Int32()), 10), nil
	case parquet.Int64:
		return strconv.FormatInt(v.Int64(), 10), nil
	case parquet.Float:
		return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32), nil
	case parquet.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64), nil
	case parquet.ByteArray:
		return string(v.ByteArray()), nil
	}
	return "", fmt.Errorf("physical type %s is outside the profile", v.Kind())
}

func decimalText(v parquet.Value, d *format.DecimalType) (string, error) {
	if v.Kind() != parquet.FixedLenByteArray {
		return "", fmt.Errorf("decimal is stored as %s, not as fixed bytes", v.Kind())
	}
	b := v.ByteArray()
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 { // two's complement
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	s := new(big.Int).Abs(n).String()
	if scale := int(d.Scale); scale > 0 {
		for len(s) <= scale {
			s = "0" + s
		}
		s = s[:len(s)-scale] + "." + s[len(s)-scale:]
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return s, nil
}

// Fold applies operations to rows by key and reports what a minimal delta may not hold (invariant 3). strict asks for O5: no
// upsert of an equal row and no delete of an absent key; it holds for joined views, whose deltas are exact.
func Fold(rows map[string][]Val, key []int, ops []Op, strict bool) error {
	t := Table{Key: key}
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		k := t.keyOf(op.Row)
		old, had := rows[k]
		switch {
		case seen[k]:
			return fmt.Errorf("key %s has two operations in one window", k)
		case strict && op.Delete && !had:
			return fmt.Errorf("key %s is deleted and was not there", k)
		case strict && !op.Delete && had && slices.Equal(old, op.Row):
			return fmt.Errorf("key %s is upserted with an equal row", k)
		}
		seen[k] = true
		if op.Delete {
			delete(rows, k)
		} else {
			rows[k] = op.Row
		}
	}
	return nil
}
