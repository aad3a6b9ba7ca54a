//go:build duckdb_arrow

package duck_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

func open(t *testing.T, o duck.Options) *duck.Conn {
	t.Helper()
	ctx := t.Context()
	db, err := duck.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// wide makes batches whose columns have different types in an order where reading the wrong column changes a sum.
func wide(rows, batch int, seed uint64) (*arrow.Schema, []arrow.RecordBatch, [3]int64) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "b", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "c", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	}, nil)
	r := rand.New(rand.NewPCG(seed, 1))
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	var out []arrow.RecordBatch
	var sums [3]int64
	for i := range rows {
		rb.Field(0).(*array.StringBuilder).Append(fmt.Sprint("n", r.IntN(100)))
		a, b, c := r.Int64N(1e9), r.Int64N(1e9), r.Int32N(1000)
		rb.Field(1).(*array.Int64Builder).Append(a)
		rb.Field(2).(*array.BooleanBuilder).Append(a%2 == 0)
		if b%7 == 0 {
			rb.Field(3).AppendNull()
		} else {
			rb.Field(3).(*array.Int64Builder).Append(b)
			sums[1] += b
		}
		rb.Field(4).(*array.Int32Builder).Append(c)
		sums[0] += a
		sums[2] += int64(c)
		if (i+1)%batch == 0 || i == rows-1 {
			out = append(out, rb.NewRecordBatch())
		}
	}
	return schema, out, sums
}

// TestLoadArrowSums is invariant 1: what was loaded is what Go summed, however it is asked for afterwards.
func TestLoadArrowSums(t *testing.T) {
	ctx := t.Context()
	c := open(t, duck.Options{Threads: 2, Path: filepath.Join(t.TempDir(), "t.db")})
	const rows = 50_000
	schema, batches, sums := wide(rows, 3000, 7)
	n, err := c.LoadArrow(ctx, duck.Create, "t", schema, batches...)
	if err != nil || n != rows {
		t.Fatalf("loaded %d rows, %v", n, err)
	}
	if _, err := c.LoadArrow(ctx, duck.Append, "t", schema, batches...); err != nil {
		t.Fatal(err)
	}
	for i, col := range []string{"a", "b", "c"} {
		got, err := duck.Scalar[int64](ctx, c, "SELECT sum("+col+")::BIGINT FROM t")
		if err != nil || got != 2*sums[i] {
			t.Errorf("sum(%s) = %d, %v; want %d", col, got, err, 2*sums[i])
		}
	}
	even, err := duck.Scalar[int64](ctx, c, "SELECT count(*) FROM t WHERE flag <> (a % 2 = 0)")
	if err != nil || even != 0 {
		t.Errorf("%d rows mix columns, %v", even, err)
	}
	views, err := duck.Scalar[int64](ctx, c, "SELECT count(*) FROM duckdb_views() WHERE NOT internal")
	if err != nil || views != 0 {
		t.Errorf("%d views left in the file, %v", views, err)
	}
}

// TestLoadFails: an append of other columns is refused, rolls back with its transaction and leaves no view.
func TestLoadFails(t *testing.T) {
	ctx := t.Context()
	c := open(t, duck.Options{Path: filepath.Join(t.TempDir(), "t.db")})
	schema, batches, _ := wide(10, 10, 1)
	if _, err := c.Exec(ctx, "CREATE TABLE t (x INTEGER)"); err != nil {
		t.Fatal(err)
	}
	err := c.Tx(ctx, func() error {
		if _, err := c.Exec(ctx, "INSERT INTO t VALUES (1)"); err != nil {
			return err
		}
		_, err := c.LoadArrow(ctx, duck.Append, "t", schema, batches...)
		return err
	})
	if err == nil {
		t.Fatal("loaded five columns into one")
	}
	for q, want := range map[string]int64{"SELECT count(*) FROM t": 0, "SELECT count(*) FROM duckdb_views() WHERE NOT internal": 0} {
		if got, err := duck.Scalar[int64](ctx, c, q); err != nil || got != want {
			t.Errorf("%s = %d, %v; want %d", q, got, err, want)
		}
	}
}

// TestPages reads in order, after a commit and inside the transaction that made the table.
func TestPages(t *testing.T) {
	ctx := t.Context()
	c := open(t, duck.Options{Threads: 2, Ordered: true})
	read := func() error {
		var last uint64
		var rows int64
		err := c.Pages(ctx, "s", "h", 70_000, func(b arrow.RecordBatch) error {
			for _, v := range b.Column(0).(*array.Uint64).Uint64Values() {
				if v < last {
					return errors.New("order lost")
				}
				last = v
				rows++
			}
			return nil
		})
		if err == nil && rows != 300_000 {
			err = fmt.Errorf("%d rows", rows)
		}
		return err
	}
	err := c.Tx(ctx, func() error {
		if _, err := c.Exec(ctx, "CREATE TEMP TABLE s AS SELECT hash(i) AS h, i FROM range(300_000) r(i) ORDER BY h"); err != nil {
			return err
		}
		return read()
	})
	if err != nil {
		t.Fatalf("in the transaction: %v", err)
	}
	if err := read(); err != nil {
		t.Fatalf("after it: %v", err)
	}
}

// TestNoValueInErrors is invariant 4.
func TestNoValueInErrors(t *testing.T) {
	ctx := t.Context()
	c := open(t, duck.Options{})
	for _, stmt := range []string{
		"SELECT x::INTEGER FROM (SELECT 'canary-' || i AS x FROM range(3) r(i))",
		"CREATE TABLE u (x VARCHAR PRIMARY KEY); INSERT INTO u SELECT 'canary' FROM range(2)",
		"SELECT ('canary-' || i)::DATE FROM range(3) r(i)",
		"SELECT error('canary') FROM range(3)",
	} {
		_, err := c.Exec(ctx, stmt)
		if err == nil {
			t.Errorf("%s: no error", stmt)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the row: %v", stmt, err)
		}
	}
	if _, err := c.Exec(ctx, "SELECT nope FROM range(3) r(i)"); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("a binder error should name the column: %v", err)
	}
}

func TestLimits(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	c := open(t, duck.Options{Memory: 100 << 20, Threads: 2, TempDir: dir, TempQuota: 10 << 20})
	row, err := c.Row(ctx, `SELECT current_setting('memory_limit'), current_setting('threads')::BIGINT, current_setting('temp_directory'),
		current_setting('max_temp_directory_size'), current_setting('TimeZone'), current_setting('autoload_known_extensions')::VARCHAR`)
	if err != nil {
		t.Fatal(err)
	}
	want := []driver.Value{"100.0 MiB", int64(2), dir, "10.0 MiB", "UTC", "false"}
	for i := range want {
		if row[i] != want[i] {
			t.Errorf("setting %d is %v, want %v", i, row[i], want[i])
		}
	}
	if _, err := c.Exec(ctx, "CREATE TEMP TABLE big AS SELECT hash(i) h, i, i::VARCHAR s FROM range(40_000_000) r(i) ORDER BY h"); err == nil {
		t.Error("a query larger than memory and quota succeeded")
	}
	if n, err := duck.Scalar[int64](ctx, c, "SELECT 1::BIGINT"); err != nil || n != 1 {
		t.Errorf("after running out of memory: %v", err)
	}
}

func TestTypes(t *testing.T) {
	ctx := t.Context()
	c := open(t, duck.Options{})
	kinds := []ingest.Type{
		{Kind: ingest.Bool}, {Kind: ingest.Int16}, {Kind: ingest.Int32}, {Kind: ingest.Int64}, {Kind: ingest.Float32}, {Kind: ingest.Float64},
		{Kind: ingest.Decimal, Precision: 12, Scale: 2}, {Kind: ingest.Decimal, Precision: 38, Scale: 0}, {Kind: ingest.Text}, {Kind: ingest.JSON},
		{Kind: ingest.Bytes}, {Kind: ingest.Date}, {Kind: ingest.Timestamp}, {Kind: ingest.TimestampTZ},
	}
	for i, k := range kinds {
		ddl := fmt.Sprintf("CREATE TABLE k%d (c %s)", i, duck.ColumnType(k))
		if _, err := c.Exec(ctx, ddl); err != nil {
			t.Fatal(err)
		}
		d, err := c.Describe(ctx, fmt.Sprintf("SELECT c FROM k%d", i))
		if err != nil {
			t.Fatal(err)
		}
		back, err := duck.TypeOf(d[0].Name, d[0].Type)
		if err != nil || back != k {
			t.Errorf("%v -> %s -> %v, %v", k, d[0].Type, back, err)
		}
		// The Arrow type that leaves DuckDB is the kind's.
		err = c.Query(ctx, fmt.Sprintf("SELECT c FROM k%d UNION ALL SELECT NULL", i), func(b arrow.RecordBatch) error {
			if got := b.Column(0).DataType(); !arrow.TypeEqual(got, k.Arrow()) {
				t.Errorf("%v leaves as %v", k, got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.Describe(ctx, "SELECT sum(1::INTEGER) AS n, sum(1::DECIMAL(12,2)) AS d, [1] AS l, {'a': 1} AS s, 1::UBIGINT AS u, [1.5::DECIMAL(4,1)] AS dl")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range d {
		k, err := duck.TypeOf(x.Name, x.Type)
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, fmt.Sprint(k.Kind, k.Precision, k.Scale))
		}
	}
	want := []string{
		"decimal 38 0", "decimal 38 2",
		`column l has the type INTEGER[], which no warehouse column holds; write CAST(... AS VARCHAR) AS "l"`,
		`column s has the type STRUCT(a INTEGER), which no warehouse column holds; write CAST(... AS VARCHAR) AS "s"`,
		`column u has the type UBIGINT, which no warehouse column holds; write CAST(... AS DECIMAL(20,0)) AS "u"`,
		`column dl has the type DECIMAL(4,1)[], which no warehouse column holds; write CAST(... AS VARCHAR) AS "dl"`,
	}
	for i := range want {
		if strings.ReplaceAll(got[i], `"a"`, "a") != want[i] {
			t.Errorf("column %d: %s\nwant %s", i, got[i], want[i])
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := open(t, duck.Options{})
	cancel()
	if _, err := c.Exec(ctx, "SELECT count(*) FROM range(100_000_000_000)"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestOnlyCaller keeps RegisterView inside load.go (invariant 1).
func TestOnlyCaller(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(src, []byte(".RegisterView(")) && !strings.HasSuffix(path, filepath.Join("duck", "load.go")) {
			t.Errorf("%s calls RegisterView; use duck.Conn.LoadArrow", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
