package parquet

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
)

// valueColumns are one of each kind that may hold something bad, and two keys.
var valueColumns = []ingest.Column{
	{Name: "id", Type: ingest.Type{Kind: ingest.Int64}},
	{Name: "code", Type: ingest.Type{Kind: ingest.Text}},
	{Name: "note", Type: ingest.Type{Kind: ingest.Text}},
	{Name: "doc", Type: ingest.Type{Kind: ingest.JSON}},
	{Name: "day", Type: ingest.Type{Kind: ingest.Date}},
	{Name: "at", Type: ingest.Type{Kind: ingest.TimestampTZ}},
	{Name: "n", Type: ingest.Type{Kind: ingest.Decimal, Precision: 3, Scale: 1}},
	{Name: "f", Type: ingest.Type{Kind: ingest.Float64}},
}

type valueRow struct {
	code, note, doc string
	day             int64
	at              int64
	n               int64
	f               float64
}

func valueBatch(rows ...valueRow) arrow.RecordBatch {
	b := ingest.NewBuilder(&ingest.Schema{Columns: valueColumns, Key: []string{"id", "code"}})
	for i, r := range rows {
		b.Cols[0].Int64(int64(i))
		b.Cols[1].Bytes([]byte(r.code))
		b.Cols[2].Bytes([]byte(r.note))
		if r.doc == "" {
			b.Cols[3].Null()
		} else {
			b.Cols[3].Bytes([]byte(r.doc))
		}
		b.Cols[4].Int32(int32(r.day))
		b.Cols[5].Int64(r.at)
		b.Cols[6].Decimal(r.n>>63, uint64(r.n))
		b.Cols[7].Float64(r.f)
		b.End(ingest.Upsert)
	}
	return b.Record()
}

func TestChecker(t *testing.T) {
	deep := strings.Repeat("[", 500) + strings.Repeat("]", 500)
	for name, c := range map[string]struct {
		row    valueRow
		column string // empty: nothing is wrong
		fault  Fault
	}{
		"plain":                    {row: valueRow{code: "a", note: "b", doc: `{"a": 1}`}},
		"NUL in a text":            {row: valueRow{note: "a\x00"}},
		"long text":                {row: valueRow{note: strings.Repeat("x", 1<<20)}},
		"floats":                   {row: valueRow{f: math.NaN()}},
		"infinite float":           {row: valueRow{f: math.Inf(-1)}},
		"documents":                {row: valueRow{doc: ` [1e999, -0, "\ud83d\ude00\u0000\\ud800", ` + deep + `, 123456789012345678901234567890] `}},
		"first day":                {row: valueRow{day: firstDay, at: firstDay * dayMicros}},
		"last day":                 {row: valueRow{day: endDay - 1, at: endDay*dayMicros - 1}},
		"all digits":               {row: valueRow{n: 999}},
		"all digits, negative":     {row: valueRow{n: -999}},
		"longest key":              {row: valueRow{code: strings.Repeat("k", maxKey)}},
		"no text":                  {valueRow{note: "a\xff"}, "note", InvalidText},
		"a character cut off":      {valueRow{note: "a\xe2\x82"}, "note", InvalidText},
		"key that is no text":      {valueRow{code: "\xc3"}, "code", InvalidText},
		"NUL in a key":             {valueRow{code: "a\x00"}, "code", NULInKey},
		"key too long":             {valueRow{code: strings.Repeat("k", maxKey+1)}, "code", KeyTooLong},
		"not JSON":                 {valueRow{doc: "no"}, "doc", InvalidJSON},
		"NUL in JSON":              {valueRow{doc: "1\x00"}, "doc", InvalidJSON},
		"trailing comma":           {valueRow{doc: "[1,]"}, "doc", InvalidJSON},
		"high half":                {valueRow{doc: `["\ud800", 1]`}, "doc", InvalidJSON},
		"high half at the end":     {valueRow{doc: `"\uDBFF"`}, "doc", InvalidJSON},
		"low half":                 {valueRow{doc: `"\udc00"`}, "doc", InvalidJSON},
		"halves apart":             {valueRow{doc: `"\ud83dx\ude00"`}, "doc", InvalidJSON},
		"two high halves":          {valueRow{doc: `"\ud83d\ud83d"`}, "doc", InvalidJSON},
		"day before the calendar":  {valueRow{day: firstDay - 1}, "day", OutOfCalendar},
		"infinite day":             {valueRow{day: math.MaxInt32}, "day", OutOfCalendar},
		"time after the calendar":  {valueRow{at: endDay * dayMicros}, "at", OutOfCalendar},
		"infinite time":            {valueRow{at: -math.MaxInt64}, "at", OutOfCalendar},
		"too many digits":          {valueRow{n: 1000}, "n", TooManyDigits},
		"too many digits, below 0": {valueRow{n: -1000}, "n", TooManyDigits},
		"key before the rest":      {valueRow{code: "\x00", doc: "no", day: math.MinInt32}, "code", NULInKey},
	} {
		c := c
		check := NewChecker(valueColumns, []string{"id", "code"})
		// Between rows that are in order: what the neighbours hold must not matter.
		got := check.Check(valueBatch(valueRow{note: "\u20ac"}, c.row, valueRow{note: "\u20ac"}))
		want := ""
		if c.column != "" {
			want = fmt.Sprintf("[{1 %d %s}]", (&ingest.Schema{Columns: valueColumns}).Column(c.column), c.fault)
		} else if got == nil {
			continue
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: found %v, want %q", name, got, want)
		}
		if len(got) == 1 && check.BadKey(got[0]) != (c.column == "code") {
			t.Errorf("%s: the key is bad: %v", name, check.BadKey(got[0]))
		}
		if c.fault.Describe() == "" {
			t.Errorf("%s has no description", c.fault)
		}
	}
}

// A character whose bytes lie in two values is valid only when they are read as one text.
func TestCheckerLooksAtValues(t *testing.T) {
	got := NewChecker(valueColumns, []string{"id"}).Check(valueBatch(valueRow{note: "a\xe2"}, valueRow{note: "\x82\xac"}))
	if want := fmt.Sprintf("[{0 2 %s} {1 2 %s}]", InvalidText, InvalidText); fmt.Sprint(got) != want {
		t.Errorf("found %v, want %s", got, want)
	}
}

func TestWriterLeavesOutNUL(t *testing.T) {
	s := Schema{Columns: valueColumns, Op: true}
	write := func(rows ...valueRow) (File, int64) {
		w := NewWriter(t.TempDir(), "p", s)
		if err := w.Write(t.Context(), valueBatch(rows...)); err != nil {
			t.Fatal(err)
		}
		files, err := w.Close(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return files[0], w.Changed()
	}
	plain, none := write(valueRow{note: "ab", doc: "1"}, valueRow{note: "c"})
	nul, changed := write(valueRow{note: "a\x00b\x00", doc: "1"}, valueRow{note: "c"})
	if plain.SHA256 != nul.SHA256 || none != 0 || changed != 1 {
		t.Errorf("%d and %d texts changed, want 0 and 1; equal files: %v", none, changed, plain.SHA256 == nul.SHA256)
	}
}

func BenchmarkChecker(b *testing.B) {
	rows := make([]valueRow, 10_000)
	for i := range rows {
		rows[i] = valueRow{code: fmt.Sprint("code", i), note: "some text of a usual length, with an ümlaut", doc: `{"a": 1, "b": [1, 2, 3], "c": "text"}`, n: int64(i % 999)}
	}
	batch := valueBatch(rows...)
	c := NewChecker(valueColumns, []string{"id", "code"})
	for b.Loop() {
		if c.Check(batch) != nil {
			b.Fatal("found something")
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(rows))/b.Elapsed().Seconds()/1e6, "Mrows/s")
}
