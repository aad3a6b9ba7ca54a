//go:build duckdb_arrow

package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window/view"
)

// TestKinds takes a value of every kind, and what views compute from them, through state, restore, view and Parquet.
func TestKinds(t *testing.T) {
	s := &ingest.Schema{Table: ingest.TableName{Schema: "d", Name: "k"}, Key: []string{"id"}}
	for _, c := range []ingest.Column{
		{Name: "id", Type: bigint}, {Name: "b", Type: boolean}, {Name: "i16", Type: ingest.Type{Kind: ingest.Int16}}, {Name: "i32", Type: integer},
		{Name: "f32", Type: ingest.Type{Kind: ingest.Float32}}, {Name: "f64", Type: ingest.Type{Kind: ingest.Float64}}, {Name: "d", Type: money},
		{Name: "d38", Type: ingest.Type{Kind: ingest.Decimal, Precision: 38}}, {Name: "t", Type: text}, {Name: "j", Type: ingest.Type{Kind: ingest.JSON}},
		{Name: "by", Type: ingest.Type{Kind: ingest.Bytes}}, {Name: "da", Type: ingest.Type{Kind: ingest.Date}},
		{Name: "ts", Type: ingest.Type{Kind: ingest.Timestamp}}, {Name: "tz", Type: ingest.Type{Kind: ingest.TimestampTZ}},
	} {
		s.Columns = append(s.Columns, c)
	}
	sql := `SELECT a.*, a.j->>'$.x' AS jx, json_extract_string(a.j, '$.x') AS jy, date_trunc('day', a.tz) AS day, strftime(a.ts, '%Y-%m') AS month,
		a.d * 2 AS twice, a.i16 + 1::SMALLINT AS more, upper(a.t) AS up, md5(a.t) AS hash, timezone('Asia/Jakarta', a.tz) AS local, sum(b.i32) AS total,
		avg(b.d) AS mean, count(*) AS n, a.d38 + 1 AS d39, sum(b.f64) AS fsum, bool_or(b.b) AS any_b, max(b.da) AS last
		FROM s.k a LEFT JOIN s.k b ON b.i32 = a.i32 GROUP BY ALL`
	v, err := view.Compile(t.Context(), view.Spec{Name: "v", SQL: sql, Key: []string{"id"}}, []view.Table{{Input: "s.k", Source: "s", Schema: s}})
	if err != nil {
		t.Fatal(err)
	}
	f := openTest(t)
	if err := f.Prime(t.Context(), "s.k", s, nil); err != nil {
		t.Fatal(err)
	}
	row := func(id int64, i32 int32) change {
		return upsert(id, true, int16(7), i32, float32(0.5), 1.25, int64(1250), int64(99), "t", `{"x": "y"}`, "\x00\xff", int32(20000), int64(1_700_000_000_123_456), int64(1_700_000_000_123_456))
	}
	p := Plan{Outputs: []Output{{Name: "v", View: v}, {Name: "k", Input: "s.k", Schema: s}}}
	read := func(d Delta) string {
		var out []string
		for _, f := range d.Parts {
			if _, err := parquet.Check(f.Path, parquet.Schema{Columns: d.Columns, Op: true}); err != nil {
				t.Fatal(err)
			}
			err := parquet.Read(t.Context(), f.Path, parquet.Schema{Columns: d.Columns, Op: true}, func(b arrow.RecordBatch) error {
				for i := range int(b.NumRows()) {
					_, text, op := rowText(b, d.Key, i)
					out = append(out, op+":"+text)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return strings.Join(out, "\n")
	}
	first := read(prepare(t, f, p, Changes{Input: "s.k", Schema: s, Batches: batches(s, []change{row(1, 3)}, 1)})[0])
	if !strings.HasPrefix(first, "1:1|true|7|3|0.5|1.25|12.5|99|t|") || !strings.HasSuffix(first, "|3|12.5|1|100|1.25|true|2024-10-04") {
		t.Errorf("first: %s", first)
	}
	second := read(prepare(t, f, p, Changes{Input: "s.k", Schema: s, Batches: batches(s, []change{row(2, 3)}, 1)})[0])
	if n := strings.Count(second, "|6|12.5|2|100|2.5|true|2024-10-04"); n != 2 {
		t.Errorf("second: %s", second)
	}
	nulls := change{op: ingest.Upsert, row: append([]any{int64(1)}, make([]any, len(s.Columns)-1)...)}
	third := read(prepare(t, f, p, Changes{Input: "s.k", Schema: s, Batches: batches(s, []change{nulls}, 1)})[0])
	if want := fmt.Sprintf("1:1%s", strings.Repeat("|(null)", 22)); !strings.HasPrefix(third, want) || !strings.Contains(third, "\n1:2|true") {
		t.Errorf("third: %s", third)
	}
}
