package cases

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is a kind of column. The kinds are those of the log (ingest.Kind), a wide decimal being one of its own.
type Kind int

// The kinds.
const (
	Bool Kind = iota
	Int16
	Int32
	Int64
	Float32
	Float64
	Decimal // (12,2)
	Wide    // decimal (38,10)
	Text
	JSON
	Bytes
	Date
	Timestamp
	TimestampTZ
)

// kinds by number. A domain is small, so that keys meet and updates often change nothing; its values are canonical text. No
// row has the value absent: views give it to the keys of missing partners.
var kinds = []struct {
	name, absent string
	mysql        string
	domain       []string
}{
	{"bool", "", "bit(1)", []string{"false", "true"}},
	{"int16", "-7", "smallint", []string{"0", "1", "2", "-1", "32767", "-32768"}},
	{"int32", "-7", "int", []string{"0", "1", "2", "3", "-1", "2147483647", "-2147483648"}},
	{"int64", "-7", "bigint", []string{"0", "1", "2", "3", "4", "5", "6", "7", "9007199254740993", "-9223372036854775808"}},
	{"float32", "-99", "float", []string{"0", "0.25", "-1.5", "2", "1024"}},
	{"float64", "-99", "double", []string{"0", "0.25", "-1.5", "2", "1.9073486328125e-06"}},
	{"decimal", "-99.00", "decimal(12,2)", []string{"0.00", "1.25", "-2.50", "3.75", "9999999999.99"}},
	{"wide", "-1.0000000000", "decimal(38,10)", []string{"1234567890123456789012345678.0123456789", "2234567890123456789012345678.0000000001", "9999999999999999999999999999.9999999999"}},
	{"text", "~", "varchar(40)", []string{"a", "b", "c", "Zz", "", "é'\"x"}},
	{"json", "", "json", []string{`{"a": 1}`, `[1, 2]`, `"x"`}},
	{"bytes", "~", "varbinary(40)", []string{"x", "yz", "A"}},
	{"date", "1900-01-01", "date", []string{"1970-01-01", "2024-02-29", "1969-12-31", "2199-12-31"}},
	{"timestamp", "1900-01-01 00:00:00", "datetime(6)", []string{"2024-03-31 01:30:00", "2024-03-31 01:30:00.000001", "1969-12-31 23:59:59.5", "2199-01-01 00:00:00"}},
	{"timestamptz", "1971-01-01 00:00:00", "timestamp(6)", []string{"2024-03-31 01:30:00", "2024-03-31 01:30:00.000001", "1999-12-31 23:59:59.5"}},
}

// Kinds lists all of them.
func Kinds() []Kind {
	out := make([]Kind, len(kinds))
	for i := range out {
		out[i] = Kind(i)
	}
	return out
}

func (k Kind) String() string { return kinds[k].name }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *Kind) UnmarshalText(text []byte) error {
	for i := range kinds {
		if kinds[i].name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("no kind %q", text)
}

// MySQL is the column type of the kind on MySQL and MariaDB.
func (k Kind) MySQL() string { return kinds[k].mysql }

// Val is a value: what it compares by, and its canonical text.
type Val struct {
	Null bool
	Text string
	kind Kind
}

var null = Val{Null: true}

// Value is the i-th of a kind's domain; NULL when i is negative.
func (k Kind) Value(i int) Val {
	if i < 0 {
		return null
	}
	return Val{Text: kinds[k].domain[i], kind: k}
}

func (k Kind) absent() Val { return Val{Text: kinds[k].absent, kind: k} }

// ordered says whether views may compare values of the kind with < and take the least of them. Texts that hold numbers or
// documents are ordered otherwise by every engine.
func (k Kind) ordered() bool { return k != JSON && k != Bool && k != Bytes }

func (k Kind) integer() bool { return k == Int16 || k == Int32 || k == Int64 }

// compare orders two values of one kind that are not NULL.
func compare(a, b Val) int {
	switch a.kind {
	case Int16, Int32, Int64:
		return cmp.Compare(a.integer(), b.integer())
	case Float32, Float64, Decimal: // of at most 12 digits
		return cmp.Compare(a.float(), b.float())
	}
	return strings.Compare(a.Text, b.Text) // the wide decimals are all of one length
}

func (v Val) integer() int64 {
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (v Val) float() float64 {
	f, err := strconv.ParseFloat(v.Text, 64)
	if err != nil {
		panic(err)
	}
	return f
}

func integer(n int64) Val { return Val{Text: strconv.FormatInt(n, 10), kind: Int64} }

// quote writes a value as SQL. A quoted constant takes the type of what it meets, in every engine.
func quote(v Val) string {
	if v.Null {
		return "NULL"
	}
	return "'" + strings.ReplaceAll(v.Text, "'", "''") + "'"
}

func same(a, b []Val) bool {
	return slices.EqualFunc(a, b, func(x, y Val) bool { return x.Null == y.Null && x.Text == y.Text })
}
