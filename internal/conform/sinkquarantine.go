package conform

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/window"
)

// The first and the last day that all warehouses hold: 4713-01-01 BC and 294246-12-31.
var (
	firstDay = time.Date(-4712, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 86400
	lastDay  = time.Date(294246, 12, 31, 0, 0, 0, 0, time.UTC).Unix() / 86400
)

// edges are the values of each kind at the edge of the profile: whatever a parquet.Checker passes, a warehouse must take.
func edges(c SinkConfig) map[ingest.Type][]func(*ingest.ColumnBuilder) {
	texts, bytes := length(70_000, c.MaxText), length(70_000, c.MaxBytes)
	return map[ingest.Type][]func(*ingest.ColumnBuilder){
		textType: {
			text(""), text(strings.Repeat("x", texts)), text("\u2028\uffff\U0010ffff\x7f\x01"), text("'\\\"\t\r\n"),
		},
		{Kind: ingest.JSON}: {
			text(` {"a": [1e999, -0, 1E-999, 123456789012345678901234567890.5], "a": null} `), text(`"\u0000\ud83d\ude00\\ud800"`), text("\"\u2028\x7f\""),
			text(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), text(`"` + strings.Repeat("x", texts-2) + `"`), text("\t\n\r true"),
		},
		{Kind: ingest.Date}:                   {day(int32(firstDay)), day(int32(lastDay)), day(0)},
		{Kind: ingest.Timestamp}:              {instant(firstDay * dayUsec), instant((lastDay+1)*dayUsec - 1)},
		{Kind: ingest.TimestampTZ}:            {instant(firstDay * dayUsec), instant((lastDay+1)*dayUsec - 1)},
		{Kind: ingest.Decimal, Precision: 38}: {func(c *ingest.ColumnBuilder) { c.Decimal(big38hi, big38lo) }},
		{Kind: ingest.Float64}:                {func(c *ingest.ColumnBuilder) { c.Float64(math.Inf(1)) }, func(c *ingest.ColumnBuilder) { c.Float64(math.NaN()) }},
		{Kind: ingest.Bytes}:                  {text("\x00\xff"), text(strings.Repeat("\x00", bytes))},
	}
}

func text(s string) func(*ingest.ColumnBuilder) {
	return func(c *ingest.ColumnBuilder) { c.Bytes([]byte(s)) }
}

func day(n int32) func(*ingest.ColumnBuilder) {
	return func(c *ingest.ColumnBuilder) { c.Int32(n) }
}

func instant(us int64) func(*ingest.ColumnBuilder) {
	return func(c *ingest.ColumnBuilder) { c.Int64(us) }
}

// sinkProfile: what the profile allows goes in and comes back, into an empty table and into a full one; so do keys of the
// longest length.
func sinkProfile(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	n := 0
	for typ, values := range edges(c) {
		n++
		table := window.WarehouseTable{Schema: "mart", Name: fmt.Sprint("edges", n)}
		columns := []ingest.Column{{Name: "id", Type: int64Type}, {Name: "k", Type: textType}, {Name: "v", Type: typ}}
		fill := func(b *ingest.Builder) {
			for i, v := range values {
				b.Cols[0].Int64(int64(i))
				b.Cols[1].Bytes([]byte(longKey(i)))
				v(&b.Cols[2])
				b.End(ingest.Upsert)
			}
		}
		b := ingest.NewBuilder(&ingest.Schema{Columns: columns, Key: []string{"k"}})
		fill(b)
		rec := b.Record()
		if bad := parquet.NewChecker(columns, []string{"k"}).Check(rec); bad != nil {
			t.Fatalf("the edges of %s are not in the profile: %v", typ.Kind, bad)
		}
		want := map[string][]string{}
		for r := range int(rec.NumRows()) {
			want[strconv.Itoa(r)] = []string{strconv.Itoa(r), Cell(rec.Column(1), r), Cell(rec.Column(2), r)}
		}
		l := Load{Table: table, Columns: columns, Key: []string{"k"}, Replace: true, Parts: []func(*ingest.Builder){fill}}
		p.Publish(w, p.Next(l))
		wantRows(t, "edges of "+typ.Kind.String(), Rows(t, w, table, columns), want)
		l.Replace = false
		p.Publish(w, p.Next(l))
		wantRows(t, "merged edges of "+typ.Kind.String(), Rows(t, w, table, columns), want)
	}
}

// longKey is a key of 2500 bytes that does not compress.
func longKey(seed int) string {
	b := make([]byte, 2500)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(33 + x>>24%90)
	}
	return string(b)
}

func bad(key string) Bad {
	return Bad{Table: visits, Key: key, Column: "name", Fault: "invalid_json", Row: `{"id":` + key + `,"name":"` + realtest.Canary + ` \"\u0000\\"}`}
}

// wantQuarantined compares the open rows of a pipeline, and how many entries there are in all.
func wantQuarantined(t *testing.T, w Warehouse, pipeline, entries string, want ...window.Quarantined) {
	t.Helper()
	got, err := w.Quarantined(t.Context(), pipeline)
	if err != nil {
		t.Fatal(err)
	}
	text := func(q []window.Quarantined) string {
		var out []string
		for _, r := range q {
			out = append(out, fmt.Sprint(r))
		}
		slices.Sort(out)
		return fmt.Sprint(out)
	}
	if text(got) != text(want) {
		t.Errorf("in quarantine are %s, want %s", text(got), text(want))
	}
	if n := Ask(t, w, "SELECT count(*) FROM tidemill.quarantine WHERE pipeline = '"+pipeline+"'")[0]; n != entries {
		t.Errorf("%s entries, want %s", n, entries)
	}
}

// sinkQuarantine takes rows through their life: in, in again, out, and out with their table.
func sinkQuarantine(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	long := `["` + strings.Repeat("k", 5000) + `"]`
	wantQuarantined(t, w, "care", "0")
	namesake := window.WarehouseTable{Schema: "raw", Name: "visits"} // the same key of another table is another row
	p.Publish(w, p.Quarantine([]Bad{bad("[3]"), {Table: payments, Key: long, Column: "id", Fault: "key_too_long", Row: "{}"}, {Table: namesake, Key: "[3]", Column: "c", Fault: "f", Row: "{}"}},
		visitsLoad(true, names(map[int64]string{1: "a", 2: "b"}, 1, 2))))
	wantNames(t, w, visits, map[int64]string{1: "a", 2: "b"})
	three, two, pay := window.Quarantined{Table: visits, Key: "[3]"}, window.Quarantined{Table: visits, Key: "[2]"}, window.Quarantined{Table: payments, Key: long}
	same := window.Quarantined{Table: namesake, Key: "[3]"}
	wantQuarantined(t, w, "care", "3", three, pay, same)
	got := Ask(t, w, `SELECT table_schema, table_name, column_name, fault, row_image, slice, quarantined_at = (SELECT published_at FROM tidemill.fence),
 window_start = (SELECT window_start FROM tidemill.fence), window_end = (SELECT window_end FROM tidemill.fence), resolved_at IS NULL, resolved_window_end IS NULL
 FROM tidemill.quarantine WHERE row_key = '[3]' AND table_schema = 'mart'`)
	b := bad("[3]")
	if want := []string{`"mart"`, `"visits"`, `"name"`, `"invalid_json"`, fmt.Sprintf("%q", b.Row), "0", "true", "true", "true", "true", "true"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the entry is  %s\nwant %s", got, want)
	}

	other := NewPipeline(t, "other") // the same key of another pipeline is another row
	other.Acquire(w, 2)
	elsewhere := Bad{Table: window.WarehouseTable{Schema: "mart", Name: "others"}, Key: "[3]", Column: "c", Fault: "f", Row: "{}"}
	other.Publish(w, other.Quarantine([]Bad{elsewhere}))

	p.Publish(w, p.Quarantine([]Bad{bad("[2]"), bad("[3]")}, visitsLoad(false, names(nil, -2, -3)))) // 3 again, in place of its old entry
	wantQuarantined(t, w, "care", "5", two, three, pay, same)
	wantNames(t, w, visits, map[int64]string{1: "a"})
	none := p.Next(visitsLoad(false, names(map[int64]string{1: "A"}, 1)))
	none.Stats.Changed = 3
	p.Publish(w, none)
	if got := Ask(t, w, "SELECT changed_values, quarantined, resolved FROM tidemill.receipts WHERE pipeline = 'care' ORDER BY committed_at DESC LIMIT 1"); fmt.Sprint(got) != "[3 0 0]" {
		t.Errorf("the receipt of a publish without bad rows counts %s, want 3 changed texts", got)
	}
	wantQuarantined(t, w, "care", "5", two, three, pay, same)
	p.Publish(w, p.Quarantine([]Bad{{Table: visits, Key: "[3]", Resolved: true}}, visitsLoad(false, names(map[int64]string{3: "c"}, 3))))
	wantQuarantined(t, w, "care", "5", two, pay, same)
	wantNames(t, w, visits, map[int64]string{1: "A", 3: "c"})
	if got := Ask(t, w, "SELECT count(*) FROM tidemill.quarantine WHERE resolved_window_end = (SELECT window_end FROM tidemill.fence WHERE pipeline = 'care') AND resolved_at = (SELECT published_at FROM tidemill.fence WHERE pipeline = 'care')")[0]; got != "1" {
		t.Errorf("%s entries ended with this publish, want 1", got)
	}
	p.Publish(w, p.Quarantine([]Bad{bad("[9]")}, visitsLoad(true, names(map[int64]string{1: "x"}, 1)))) // the table anew
	wantQuarantined(t, w, "care", "6", window.Quarantined{Table: visits, Key: "[9]"}, pay, same)
	wantQuarantined(t, w, "other", "1", window.Quarantined{Table: elsewhere.Table, Key: "[3]"})
	sums := Ask(t, w, "SELECT CAST(sum(quarantined) AS BIGINT), CAST(sum(resolved) AS BIGINT) FROM tidemill.receipts WHERE pipeline = 'care'")
	if fmt.Sprint(sums) != "[6 1]" {
		t.Errorf("the receipts count %s rows into and out of quarantine, want 6 and 1", sums)
	}
}

// sinkQuarantineRepublish: a step that is published again, since its reply was lost, doubles no entry; one that another owner
// has overtaken leaves none.
func sinkQuarantineRepublish(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	pub := p.Quarantine([]Bad{bad("[3]")}, visitsLoad(true))
	p.Publish(w, pub)
	p.Publish(w, pub)
	wantQuarantined(t, w, "care", "1", window.Quarantined{Table: visits, Key: "[3]"})
	late := p.Quarantine([]Bad{bad("[4]"), {Table: visits, Key: "[3]", Resolved: true}}, visitsLoad(false, names(map[int64]string{3: "c"}, 3)))
	owner := NewPipeline(t, "care")
	owner.Acquire(w, 2)
	wantFenced(t, "a zombie's publish", w.Publish(t.Context(), late, p.Local))
	wantQuarantined(t, w, "care", "1", window.Quarantined{Table: visits, Key: "[3]"})
	ctx, cancel := context.WithCancel(t.Context())
	late.Epoch = 2
	err := w.Publish(ctx, late, func(ctx context.Context, part window.Part) (string, error) {
		cancel()
		return p.Local(ctx, part)
	})
	if err == nil {
		t.Error("a cancelled publish returned no error")
	}
	wantQuarantined(t, w, "care", "1", window.Quarantined{Table: visits, Key: "[3]"})
	owner.files = p.files
	owner.Publish(w, late)
	owner.Publish(w, late)
	wantQuarantined(t, w, "care", "2", window.Quarantined{Table: visits, Key: "[4]"})
}

// sinkQuarantineRefused: a quarantine that contradicts its manifest stops the publish as a whole.
func sinkQuarantineRefused(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1))))
	for name, spoil := range map[string]func(*window.TableLoad){
		"parts do not add up": func(q *window.TableLoad) { q.Upserts++ },
		"a row less":          func(q *window.TableLoad) { q.Upserts++; q.Parts[0].Rows++ },
		"in for out":          func(q *window.TableLoad) { q.Upserts, q.Deletes = q.Deletes, q.Upserts },
		"another table":       func(q *window.TableLoad) { q.Table.Name = "fence" },
		"other columns":       func(q *window.TableLoad) { q.Columns = q.Columns[:5] },
	} {
		pub := p.Quarantine([]Bad{bad("[2]"), bad("[3]"), {Table: visits, Key: "[4]", Resolved: true}}, visitsLoad(false, names(map[int64]string{1: "b"}, 1)))
		spoil(pub.Manifest.Quarantine)
		err := w.Publish(t.Context(), pub, p.Local)
		wantRefusedError(t, name, err)
		if err != nil {
			realtest.NoCanary(t, name, err.Error())
		}
	}
	wantRefusedError(t, "a key twice", w.Publish(t.Context(), p.Quarantine([]Bad{bad("[2]"), bad("[2]")}), p.Local))
	wantNames(t, w, visits, map[int64]string{1: "a"})
	wantQuarantined(t, w, "care", "0")
}

// sinkQuarantineTogether moves a row between table and quarantine with each step: a reader always sees it in one of them.
func sinkQuarantineTogether(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Quarantine([]Bad{bad("[1]")}, visitsLoad(true)))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	reads, torn := 0, 0
	wg.Go(func() {
		r := c.Client()
		for ctx.Err() == nil {
			err := r.Query(ctx, `SELECT (SELECT count(*) FROM mart.visits), (SELECT count(*) FROM tidemill.quarantine WHERE resolved_at IS NULL)`, func(b arrow.RecordBatch) error {
				reads++
				if Cell(b.Column(0), 0) == Cell(b.Column(1), 0) {
					torn++
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				t.Errorf("reading beside a publish: %v", err)
				return
			}
		}
	})
	for range 6 {
		p.Publish(w, p.Quarantine([]Bad{{Table: visits, Key: "[1]", Resolved: true}}, visitsLoad(false, names(map[int64]string{1: "a"}, 1))))
		p.Publish(w, p.Quarantine([]Bad{bad("[1]")}, visitsLoad(false, names(nil, -1))))
	}
	stop()
	wg.Wait()
	if reads == 0 || torn > 0 {
		t.Errorf("%d of %d reads saw the row twice or not at all", torn, reads)
	}
	wantQuarantined(t, w, "care", "7", window.Quarantined{Table: visits, Key: "[1]"})
}
