package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/window"
)

// kinds are columns of every kind; the first is the key.
var kinds = []ingest.Column{
	{Name: "id", Type: int64Type},
	{Name: "flag", Type: ingest.Type{Kind: ingest.Bool}},
	{Name: "small", Type: ingest.Type{Kind: ingest.Int16}},
	{Name: "medium", Type: ingest.Type{Kind: ingest.Int32}},
	{Name: "large", Type: int64Type},
	{Name: "f32", Type: ingest.Type{Kind: ingest.Float32}},
	{Name: "f64", Type: ingest.Type{Kind: ingest.Float64}},
	{Name: "money", Type: ingest.Type{Kind: ingest.Decimal, Precision: 18, Scale: 4}},
	{Name: "whole", Type: ingest.Type{Kind: ingest.Decimal, Precision: 20}},
	{Name: "wide", Type: ingest.Type{Kind: ingest.Decimal, Precision: 38, Scale: 30}},
	{Name: "tiny", Type: ingest.Type{Kind: ingest.Decimal, Precision: 3, Scale: 3}},
	{Name: "note", Type: textType},
	{Name: "doc", Type: ingest.Type{Kind: ingest.JSON}},
	{Name: "raw", Type: ingest.Type{Kind: ingest.Bytes}},
	{Name: "day", Type: ingest.Type{Kind: ingest.Date}},
	{Name: "wall", Type: ingest.Type{Kind: ingest.Timestamp}},
	{Name: "instant", Type: ingest.Type{Kind: ingest.TimestampTZ}},
}

const (
	day1000  = -354285     // 1000-01-01
	day9999  = 2932896     // 9999-12-31
	day10000 = day9999 + 1 // five digits of year
	dayBC    = -719529     // 0000-01-01 in the proleptic calendar
	dayUsec  = int64(86400 * 1e6)
)

var decimals = [][2]uint64{ // high, low of unscaled values that fit the narrowest use below
	{0, 0}, {0, 1}, {math.MaxUint64, math.MaxUint64}, {0, 999}, {math.MaxUint64, math.MaxUint64 - 998}, {0, 100}, {0, 10},
}

// big38 is 99999999999999999999999999999999999999.
const big38hi, big38lo = 0x4b3b4ca85a86c47a, 0x098a223fffffffff

func fillKinds(b *ingest.Builder) {
	notes := []string{"", "NULL", "plain", "tab\tnew\nline\\N \"quoted\" 'x'", "Ünïcödé 漢字 🐚", strings.Repeat("long ", 5000), "end\x1f\u00a0"}
	docs := []string{`{}`, `null`, `{"b": 1, "a":  [1.0, "x"], "b2": 1e3}`, `"text"`, `1.50`, `[]`, `{"k":"ü"}`}
	days := []int32{0, -1, day1000, day9999, day10000, dayBC, 18000}
	floats := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}
	f32 := []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, 1e-45}
	ints := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64, math.MinInt64}
	for i := range 7 {
		c := b.Cols
		c[0].Int64(int64(i + 1))
		c[1].Bool(i%2 == 0)
		c[2].Int16(int16(max(min(ints[i], math.MaxInt16), math.MinInt16)))
		c[3].Int32(int32(max(min(ints[i], math.MaxInt32), math.MinInt32)))
		c[4].Int64(ints[i])
		c[5].Float32(f32[i])
		c[6].Float64(floats[i])
		for j := 7; j <= 10; j++ {
			c[j].Decimal(int64(decimals[i][0]), decimals[i][1])
		}
		c[11].Bytes([]byte(notes[i]))
		c[12].Bytes([]byte(docs[i]))
		c[13].Bytes([]byte{0, byte(i), 0xff}[:i%4])
		c[14].Int32(days[i])
		c[15].Int64(int64(days[i])*dayUsec + int64(i))
		c[16].Int64(int64(days[i])*dayUsec + dayUsec - 1)
		b.End(ingest.Upsert)
	}
	for id := int64(8); id <= 9; id++ { // 8: all NULL; 9: the limits of decimals
		b.Cols[0].Int64(id)
		for j := 1; j < len(b.Cols); j++ {
			if id == 9 && kinds[j].Name == "wide" {
				b.Cols[j].Decimal(big38hi, big38lo)
			} else if id == 9 && kinds[j].Name == "whole" {
				b.Cols[j].Decimal(-0x5, 0x9_4fa3_ae2b_7e9f&math.MaxUint64)
			} else {
				b.Cols[j].Null()
			}
		}
		b.End(ingest.Upsert)
	}
}

// sinkKinds: what goes in comes out, whether it is copied into an empty table or merged into a full one.
func sinkKinds(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	b := ingest.NewBuilder(&ingest.Schema{Columns: kinds})
	fillKinds(b)
	rec := b.Record()
	want := map[string][]string{}
	for r := range int(rec.NumRows()) {
		row := make([]string, len(kinds))
		for i := range kinds {
			row[i] = Cell(rec.Column(i), r)
		}
		want[row[0]] = row
	}
	l := Load{Table: visits, Columns: kinds, Key: []string{"id"}, Replace: true, Parts: []func(*ingest.Builder){fillKinds}}
	p.Publish(w, p.Next(l))
	wantRows(t, "the loaded table", Rows(t, w, visits, kinds), want)
	l.Replace = false
	p.Publish(w, p.Next(l))
	wantRows(t, "the merged table", Rows(t, w, visits, kinds), want)
	// Fewer columns, in another order.
	got := Rows(t, w, visits, []ingest.Column{kinds[0], kinds[11], kinds[4]})
	for k, row := range got {
		if row[1] != want[k][11] || row[2] != want[k][4] {
			t.Errorf("row %s read by some columns is %s", k, row)
		}
	}
}

func with(columns []ingest.Column, more ...ingest.Column) []ingest.Column {
	return append(columns[:len(columns):len(columns)], more...)
}

func sinkAddedColumn(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a", 2: "b"}, 1, 2))))
	wider := visitsLoad(false, func(b *ingest.Builder) {
		b.Cols[0].Int64(2)
		b.Cols[1].Int64(7)
		b.Cols[2].Bytes([]byte("B"))
		b.End(ingest.Upsert)
	})
	wider.Columns = []ingest.Column{idName[0], {Name: "age", Type: int64Type}, idName[1]} // not at the end
	p.Publish(w, p.Next(wider))
	wantRows(t, "with the new column", Rows(t, w, visits, wider.Columns), map[string][]string{"1": {"1", "NULL", `"a"`}, "2": {"2", "7", `"B"`}})
	p.Publish(w, p.Next(visitsLoad(false, names(map[int64]string{2: "bb"}, 2)))) // a view that gives it no more
	p.Publish(w, p.Next(visitsLoad(false, names(map[int64]string{3: "c"}, -1, 3))))
	got := Rows(t, w, visits, idName)
	wantRows(t, "without it", got, map[string][]string{"2": {"2", `"bb"`}, "3": {"3", `"c"`}})
	shouted := visitsLoad(false, names(map[int64]string{4: "d"}, 4)) // another column to some warehouses, the same to others
	shouted.Columns = []ingest.Column{idName[0], {Name: "NAME", Type: textType, Nullable: true}}
	p.Publish(w, p.Next(shouted))
	wantRows(t, "in capitals", map[string][]string{"4": Rows(t, w, visits, shouted.Columns)["4"]}, map[string][]string{"4": {"4", `"d"`}})
}

func sinkWidening(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	load := func(replace bool, n, d ingest.Type, id int64, fill func(n, d *ingest.ColumnBuilder)) Load {
		return Load{Table: visits, Key: []string{"id"}, Replace: replace,
			Columns: []ingest.Column{idName[0], {Name: "n", Type: n}, {Name: "d", Type: d}},
			Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
				b.Cols[0].Int64(id)
				fill(&b.Cols[1], &b.Cols[2])
				b.End(ingest.Upsert)
			}}}
	}
	dec := func(p, s int32) ingest.Type { return ingest.Type{Kind: ingest.Decimal, Precision: p, Scale: s} }
	p.Publish(w, p.Next(load(true, ingest.Type{Kind: ingest.Int16}, dec(9, 2), 1, func(n, d *ingest.ColumnBuilder) { n.Int16(-7); d.Decimal(0, 125) })))
	wide := load(false, int64Type, dec(20, 6), 2, func(n, d *ingest.ColumnBuilder) { n.Int64(math.MaxInt64); d.Decimal(0, 1) })
	p.Publish(w, p.Next(wide))
	want := map[string][]string{"1": {"1", "-7", "1250000e-6"}, "2": {"2", "9223372036854775807", "1e-6"}}
	wantRows(t, "the widened table", Rows(t, w, visits, wide.Columns), want)
	// A narrower load fits a wider table.
	p.Publish(w, p.Next(load(false, ingest.Type{Kind: ingest.Int32}, dec(9, 2), 3, func(n, d *ingest.ColumnBuilder) { n.Int32(9); d.Decimal(-1, math.MaxUint64) })))
	want["3"] = []string{"3", "9", "-10000e-6"}
	wantRows(t, "after a narrower load", Rows(t, w, visits, wide.Columns), want)
	// Neither contains the other.
	err := w.Publish(t.Context(), p.Next(load(false, textType, dec(9, 2), 4, func(n, d *ingest.ColumnBuilder) { n.Bytes([]byte("x")); d.Null() })), p.Local)
	wantRefusedError(t, "text into an integer column", err)
	if err != nil && !strings.Contains(err.Error(), "column n of mart.visits") {
		t.Errorf("the refusal does not name the column: %v", err)
	}
	wantRows(t, "after a refused load", Rows(t, w, visits, wide.Columns), want)
}

// sinkChangedView: the base of a changed view may have other types and another key.
func sinkChangedView(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1))))
	changed := Load{Table: visits, Key: []string{"name", "part"}, Replace: true,
		Columns: []ingest.Column{{Name: "name", Type: int64Type}, {Name: "part", Type: textType}},
		Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
			b.Cols[0].Int64(5)
			b.Cols[1].Bytes([]byte("x"))
			b.End(ingest.Upsert)
		}}}
	p.Publish(w, p.Next(changed))
	want := map[string][]string{"5": {"5", `"x"`}}
	wantRows(t, "the changed view", Rows(t, w, visits, changed.Columns), want)
	changed.Replace = false
	p.Publish(w, p.Next(changed))
	wantRows(t, "and a step on it", Rows(t, w, visits, changed.Columns), want)
}

func sinkRefused(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	col := func(name string) Load {
		l := visitsLoad(true)
		l.Columns = with(idName, ingest.Column{Name: name, Type: textType})
		return l
	}
	table := func(schema, name string) Load {
		l := visitsLoad(true)
		l.Table = window.WarehouseTable{Schema: schema, Name: name}
		return l
	}
	noKey, otherKey := visitsLoad(true), visitsLoad(true)
	noKey.Key, otherKey.Key = nil, []string{"gone"}
	for name, loads := range map[string][]Load{
		"no key":           {noKey},
		"key is no column": {otherKey},
		"column _op":       {col("_op")},
		"a column twice":   {col("name")},
		"no column name":   {col("")},
		"ledger's schema":  {table("tidemill", "fence")},
		"catalogue":        {table("information_schema", "x")},
		"no table name":    {table("mart", "")},
		"a table twice":    {visitsLoad(true), visitsLoad(true)},
		"NULL in the key":  {visitsLoad(true, func(b *ingest.Builder) { b.Cols[0].Null(); b.Cols[1].Null(); b.End(ingest.Upsert) })},
		"a key twice":      {visitsLoad(true, names(map[int64]string{1: "a"}, 1, 1))},
	} {
		wantRefusedError(t, name, w.Publish(t.Context(), p.Next(loads...), p.Local))
	}
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1))))
	for name, part := range map[string]func(*ingest.Builder){
		"NULL in the key":      func(b *ingest.Builder) { b.Cols[0].Null(); b.Cols[1].Null(); b.End(ingest.Delete) },
		"a key twice":          names(map[int64]string{1: "b"}, 1, 1),
		"upserted and deleted": names(map[int64]string{1: "b"}, 1, -1),
	} {
		wantRefusedError(t, name+" (merge)", w.Publish(t.Context(), p.Next(visitsLoad(false, part)), p.Local))
	}
	rekeyed := visitsLoad(false)
	rekeyed.Key = []string{"name"}
	wantRefusedError(t, "another key", w.Publish(t.Context(), p.Next(rekeyed), p.Local))
	wantNames(t, w, visits, map[int64]string{1: "a"})
}

func sinkSomebodysTable(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	for _, q := range []string{"CREATE SCHEMA mart", "CREATE TABLE mart.visits (id BIGINT, name TEXT)", "INSERT INTO mart.visits VALUES (1, 'precious')",
		"CREATE VIEW mart.report AS SELECT 1 AS id"} {
		if err := c.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	load := visitsLoad(true, names(map[int64]string{2: "b"}, 2))
	wantRefusedError(t, "a table that holds rows", w.Publish(t.Context(), p.Next(load), p.Local))
	if got := Ask(t, w, "SELECT name FROM mart.visits")[0]; got != `"precious"` {
		t.Errorf("the table holds %s", got)
	}
	onView := load
	onView.Table.Name = "report"
	wantRefusedError(t, "a view", w.Publish(t.Context(), p.Next(onView), p.Local))
	if err := c.Exec("DELETE FROM mart.visits"); err != nil {
		t.Fatal(err)
	}
	p.Publish(w, p.Next(load)) // an empty table of the right columns is taken
	wantNames(t, w, visits, map[int64]string{2: "b"})
	other := NewPipeline(t, "billing")
	other.Acquire(w, 2)
	wantRefusedError(t, "another pipeline's table", w.Publish(t.Context(), other.Next(load), other.Local))
}

func sinkOddNames(t *testing.T, c SinkConfig) {
	w := c.Client()
	for i, name := range []string{`we"ird; drop table x --`, "select", "Upper Case", "ünï-cödé", "a.b", `'quo'ted`, "$1", "1st"} {
		p := NewPipeline(t, fmt.Sprintf("pipe '%s' %d", name, i))
		p.Acquire(w, int64(i+1))
		table := window.WarehouseTable{Schema: "s " + name, Name: name}
		columns := []ingest.Column{{Name: name, Type: int64Type}, {Name: name + " 2", Type: textType}}
		load := Load{Table: table, Columns: columns, Key: []string{name}, Replace: true,
			Parts: []func(*ingest.Builder){names(map[int64]string{1: "a", 2: "b"}, 1, 2)}}
		p.Publish(w, p.Next(load))
		load.Replace, load.Parts = false, []func(*ingest.Builder){names(map[int64]string{2: "c"}, -1, 2)}
		load.Columns = with(columns, ingest.Column{Name: "more " + name, Type: textType})
		part := load.Parts[0]
		load.Parts[0] = func(b *ingest.Builder) {
			for range 2 {
				b.Cols[2].Null()
			}
			part(b)
		}
		p.Publish(w, p.Next(load))
		wantRows(t, name, Rows(t, w, table, columns), map[string][]string{"2": {"2", `"c"`}})
	}
}

func sinkCancelled(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	want := map[int64]string{1: "a"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1))))
	ctx, cancel := context.WithCancel(t.Context())
	err := w.Publish(ctx, p.Next(visitsLoad(false, names(nil, -1))), func(ctx context.Context, part window.Part) (string, error) {
		cancel()
		return p.Local(ctx, part)
	})
	if err == nil {
		t.Error("a cancelled publish returned no error")
	}
	wantNames(t, w, visits, want)
	p.Publish(w, p.Next(visitsLoad(false, names(map[int64]string{2: "b"}, 2)))) // the warehouse goes on
	wantNames(t, w, visits, map[int64]string{1: "a", 2: "b"})
}

// sinkCanary makes the warehouse complain about a value, and looks for the value in what it says.
func sinkCanary(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	textKey := func(replace bool, doc ingest.Type, rows ...string) Load {
		return Load{Table: visits, Key: []string{"name"}, Replace: replace, Columns: []ingest.Column{{Name: "name", Type: textType}, {Name: "doc", Type: doc}},
			Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
				for _, r := range rows {
					b.Cols[0].Bytes([]byte(r))
					b.Cols[1].Bytes([]byte("not JSON " + realtest.Canary))
					b.End(ingest.Upsert)
				}
			}}}
	}
	json := ingest.Type{Kind: ingest.JSON}
	try := func(what string, l Load) {
		t.Helper()
		err := w.Publish(t.Context(), p.Next(l), p.Local)
		wantRefusedError(t, what, err)
		if err != nil {
			realtest.NoCanary(t, what, err.Error())
		}
	}
	try("a key twice in a new table", textKey(true, textType, realtest.Canary, realtest.Canary))
	if !c.AnyDocument {
		try("a malformed document in a new table", textKey(true, json, "a"))
	}
	p.Publish(w, p.Next(textKey(true, textType, realtest.Canary)))
	try("a key twice in a step", textKey(false, textType, realtest.Canary, realtest.Canary))
	for _, q := range []string{
		"SELECT CAST(name AS BIGINT) FROM mart.visits", "SELECT CAST('" + realtest.Canary + "' AS BIGINT)",
		`SELECT "` + realtest.Canary + `" FROM mart.visits`, "SELECT 1 '" + realtest.Canary + "'", "SELECT * FROM mart.visits WHERE '" + realtest.Canary,
		"SELECT nofunction('" + realtest.Canary + "')", "SELECT CAST(name AS DATE) FROM mart.visits",
	} {
		err := w.Query(t.Context(), q, func(arrowBatch) error { return nil })
		if err == nil {
			t.Errorf("%s: no error", q)
			continue
		}
		realtest.NoCanary(t, "the error of a query", err.Error())
	}
}

func sinkReceipts(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 3)
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a", 2: "b"}, 1, 2))))
	pub := p.Next(visitsLoad(false, names(map[int64]string{3: "c"}, -1, 3)))
	pub.Stats.Parked = map[string]string{"clinic.notes": "unknown type geometry"}
	p.Publish(w, pub)
	got := Ask(t, w, `SELECT pipeline, slice, final, epoch, lineage, rows_in, late, attempt, manifest, manifest_key, trace_id, CAST(tables AS VARCHAR(65535)),
 CAST(cut AS VARCHAR(65535)), CAST(parked AS VARCHAR(65535)), CAST(durations_ms AS VARCHAR(65535)), committed_at = (SELECT published_at FROM tidemill.fence)
 FROM tidemill.receipts ORDER BY committed_at DESC LIMIT 1`)
	want := []string{`"care"`, "1", "true", "3", quote(p.Fence.Lineage), "9", "2", quote(pub.Manifest.Attempt), quote(pub.Hash), quote(pub.ManifestKey), quote(pub.Stats.TraceID)}
	for i, v := range want {
		if got[i] != v {
			t.Errorf("column %d of the receipt is %s, want %s", i, got[i], v)
		}
	}
	for i, parts := range map[int][]string{
		11: {"mart.visits", `upserts`, `deletes`}, 12: {"0-1-", "tm.consult.clinic.patients"}, 13: {"clinic.notes", "geometry"}, 14: {"join", "1000", "load"},
	} {
		for _, part := range parts {
			if !strings.Contains(got[i], part) {
				t.Errorf("column %d of the receipt is %s, want %q in it", i, got[i], part)
			}
		}
	}
	if got[15] != "true" {
		t.Error("receipt and fence name different times")
	}
	fresh := Ask(t, w, `SELECT pipeline, table_schema, table_name, CAST(seconds_behind AS TEXT), published_at IS NOT NULL, window_end = (SELECT window_end FROM tidemill.fence) FROM tidemill.freshness`)
	if fresh[0] != `"care"` || fresh[1] != `"mart"` || fresh[2] != `"visits"` || fresh[4] != "true" || fresh[5] != "true" {
		t.Errorf("freshness is %s", fresh)
	}
	var behind string
	if err := json.Unmarshal([]byte(fresh[3]), &behind); err != nil || behind == "" || behind == "0" {
		t.Errorf("seconds behind is %s", fresh[3])
	}
}

// A table that stands still is as of the window it moved with last, and says why, until it moves again. Others go on.
func sinkStanding(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 3)
	other := visitsLoad(true, names(map[int64]string{1: "a"}, 1))
	other.Table.Name = "others"
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1)), other))
	fresh := func() []string {
		var out []string
		for _, name := range []string{"others", "visits"} {
			out = append(out, Ask(t, w, `SELECT f.window_end = (SELECT window_end FROM tidemill.fence), COALESCE(f.stands_because, '-') FROM tidemill.freshness f WHERE f.table_name = '`+name+`'`)...)
		}
		return out
	}
	const moving = `true "-" true "-"`
	if got := strings.Join(fresh(), " "); got != moving {
		t.Errorf("while all move: %s", got)
	}
	p.Publish(w, p.Next()) // the last slice of the window: the next one ends later
	for i, why := range []string{"parked", "still parked"} {
		pub := p.Next()
		pub.Stats.Stands = []window.Standing{{Table: other.Table, Why: why}}
		p.Publish(w, pub)
		if got := strings.Join(fresh(), " "); got != `false "`+why+`" true "-"` {
			t.Errorf("standing: %s", got)
		}
		since := Ask(t, w, `SELECT window_end = (SELECT min(window_end) FROM tidemill.receipts) FROM tidemill.freshness WHERE table_name = 'others'`)
		if since[0] != "true" {
			t.Errorf("after %d windows the table does not stand as of the window that it moved with last", i+1)
		}
	}
	p.Publish(w, p.Next())
	if got := strings.Join(fresh(), " "); got != moving {
		t.Errorf("after it moves again: %s", got)
	}
}
