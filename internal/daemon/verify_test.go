package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

var people = ingest.Schema{
	Table:   ingest.TableName{Schema: "clinic", Name: "people"},
	Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "name", Type: ingest.Type{Kind: ingest.Text}}},
	Key:     []string{"id"},
}

type person struct {
	op   ingest.Op
	id   int64
	name string
}

func batch(rows ...person) *ingest.Builder {
	b := ingest.NewBuilder(&people)
	for _, r := range rows {
		b.Cols[0].Int64(r.id)
		if r.op == ingest.Delete {
			b.Cols[1].Null()
		} else {
			b.Cols[1].Bytes([]byte(r.name))
		}
		b.End(r.op)
	}
	return b
}

// world is a source, a log and a warehouse that a verification sees. The fence moves by one step with each look.
type world struct {
	window.Sink
	snapshot  []person // the source in the snapshot, at position 5
	log       []person // from the cut before it
	warehouse []person
	fences    []window.Fence
	looks     int
	lacks     string // a column that the warehouse's table does not have
	broken    error  // of reading the warehouse
	unread    bool   // the source cannot read the table
	behind    bool   // rows of a load lie behind the cut
	loading   bool   // a load is under way
}

type unreadable struct{ error }

func (unreadable) FailedTable() ingest.TableName { return people.Table }

func (w *world) Snapshot(_ context.Context, _ json.RawMessage, _ []ingest.TableName, begun func(ingest.Position) error, rows func(*ingest.Builder) error) error {
	if w.unread {
		return unreadable{errors.New("it is system-versioned")}
	}
	if err := begun("5"); err != nil {
		return err
	}
	return rows(batch(w.snapshot...))
}

func (w *world) Covers(by ingest.Position, _ time.Time, p ingest.Position) (bool, error) {
	return by >= p, nil
}

func (w *world) Fence(context.Context, string) (window.Fence, error) {
	f := w.fences[min(w.looks, len(w.fences)-1)]
	w.looks++
	return f, nil
}

func (w *world) ReadTable(_ context.Context, t window.WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	if w.broken != nil {
		return w.broken
	}
	whole := batch(w.warehouse...).Record()
	defer whole.Release()
	var fields []arrow.Field
	var data []arrow.Array
	for _, c := range columns {
		if c.Name == w.lacks {
			return &window.NoColumnError{Table: t, Column: c.Name}
		}
		at := whole.Schema().FieldIndices(c.Name)[0]
		fields, data = append(fields, whole.Schema().Field(at)), append(data, whole.Column(at))
	}
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), data, whole.NumRows())
	defer rec.Release()
	return fn(rec)
}

func (w *world) changes(_ context.Context, _ string, _, _ []window.PartCut, fn func(*ingest.Schema, arrow.RecordBatch, int) error) error {
	for _, r := range w.log {
		rec := batch(r).Record()
		err := fn(&people, rec, 0)
		rec.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) loaded(context.Context, string, []window.PartCut) (bool, error) { return w.behind, nil }

func (w *world) underWay(context.Context, ingest.TableName) (bool, error) { return w.loading, nil }

func fence(step int, position ingest.Position) window.Fence {
	return window.Fence{Step: window.Step{Start: time.Unix(int64(step), 0)}, Cut: window.Cut{"consult": {
		Position: position, Topics: map[string][]window.PartCut{"t": {{Offset: 1}}}, Outputs: map[string]string{"raw.people": "replica"},
	}}}
}

func verifyWorld(t *testing.T, w *world) []console.TableVerdict {
	t.Helper()
	var got []console.TableVerdict
	v := verification{registry: noGeneration, pipeline: "care", source: "consult", from: w, sink: w, reader: w, log: w, loading: w.underWay, every: time.Millisecond, request: console.VerifyRequest{Differ: 10}, failed: calm}
	tg := &target{table: people.Table, topic: "t", into: window.WarehouseTable{Schema: "raw", Name: "people"}, schema: &people}
	err := v.run(t.Context(), []*target{tg}, func(x console.TableVerdict) error { got = append(got, x); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func calm() error { return nil }

const up, del = ingest.Upsert, ingest.Delete

// The source's rows are brought to the compared cut by the log, whatever was in it before the snapshot already.
func TestVerifyEqual(t *testing.T) {
	w := &world{
		fences:   []window.Fence{fence(1, "3"), fence(2, "4"), fence(3, "5"), fence(4, "7")},
		snapshot: []person{{up, 1, "a\x00"}, {up, 2, "b2"}, {up, 3, "c"}, {up, 4, "d"}},
		log: []person{
			{up, 2, "b1"}, {up, 2, "b2"}, {del, 9, ""}, // before the snapshot
			{up, 3, "c2"}, {del, 4, ""}, {up, 5, "e"}, // after it
		},
		warehouse: []person{{up, 5, "e"}, {up, 3, "c2"}, {up, 2, "b2"}, {up, 1, "a"}},
	}
	got := verifyWorld(t, w)
	if len(got) != 1 || !got[0].Equal || got[0].Rows != 4 || got[0].SourceRows != 4 || got[0].Hash != got[0].SourceHash || got[0].Position != "7" {
		t.Errorf("%+v", got)
	}
}

func TestVerifyFindsEveryDifference(t *testing.T) {
	w := &world{
		fences:    []window.Fence{fence(1, "3"), fence(2, "5")},
		snapshot:  []person{{up, 1, "a"}, {up, 2, "b"}, {up, 3, "c"}, {up, 6, "f"}},
		warehouse: []person{{up, 1, "a"}, {up, 2, "B"}, {up, 4, "d"}, {up, 6, "f"}, {up, 6, "f"}},
	}
	got := verifyWorld(t, w)[0]
	keys := strings.Join(got.Keys, "; ")
	want := `{"id":2} has other values; {"id":3} is missing; {"id":4} is only in the warehouse; {"id":6} is in the warehouse twice`
	if got.Equal || got.Missing != 1 || got.Extra != 2 || got.Differ != 1 || keys != want || got.Hash == got.SourceHash {
		t.Errorf("%+v", got)
	}
}

// A table that is not published is not compared, and one that a window is published over is read again.
func TestVerifySkipsAndReadsAgain(t *testing.T) {
	held := fence(1, "3")
	held.Cut["consult"] = window.SourceCut{Held: map[string]window.Hold{"t": {Parked: "no primary key"}}}
	got := verifyWorld(t, &world{fences: []window.Fence{held}})[0]
	if got.Skipped != "the table stands still: no primary key" {
		t.Errorf("%+v", got)
	}
	moving := []window.Fence{fence(1, "3")}
	for i := range 10 {
		moving = append(moving, fence(2+i, ingest.Position(fmt.Sprint(5+i/3))))
	}
	w := &world{fences: moving, snapshot: []person{{up, 1, "a"}}, warehouse: []person{{up, 1, "a"}}}
	if got := verifyWorld(t, w)[0]; !got.Equal || w.looks < len(moving) {
		t.Errorf("%+v after %d looks", got, w.looks)
	}
}

// A wait that ends says for what.
func TestVerifyGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("not within 20ms"))
	defer cancel()
	w := &world{fences: []window.Fence{fence(1, "3")}}
	v := verification{registry: noGeneration, pipeline: "care", source: "consult", from: w, sink: w, reader: w, log: w, loading: w.underWay, every: time.Millisecond, failed: calm}
	tg := &target{table: people.Table, topic: "t", into: window.WarehouseTable{Schema: "raw", Name: "people"}, schema: &people}
	err := v.run(ctx, []*target{tg}, func(console.TableVerdict) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "not within 20ms") || !strings.Contains(err.Error(), "covers the snapshot of source consult") {
		t.Error(err)
	}
}

// A window that never comes is not waited for.
func TestVerifyOfAFailedPipeline(t *testing.T) {
	w := &world{fences: []window.Fence{fence(1, "3")}}
	v := verification{registry: noGeneration, pipeline: "care", source: "consult", from: w, sink: w, reader: w, log: w, loading: w.underWay, every: time.Millisecond,
		failed: func() error { return errors.New("the disk is full") }}
	tg := &target{table: people.Table, topic: "t", into: window.WarehouseTable{Schema: "raw", Name: "people"}, schema: &people}
	err := v.run(t.Context(), []*target{tg}, func(console.TableVerdict) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "pipeline care") || !strings.Contains(err.Error(), "the disk is full") {
		t.Error(err)
	}
}

// An ALTER that fills a column of old rows is in the snapshot, and the load that brings their values is not published yet: that is
// no difference, and one without a load is.
func TestVerifyWhileAnAlterIsLoaded(t *testing.T) {
	for name, c := range map[string]struct{ loading, behind, skipped bool }{"no load": {}, "under way": {loading: true, skipped: true}, "behind the cut": {behind: true, skipped: true}} {
		w := &world{fences: []window.Fence{fence(1, "3"), fence(2, "5")}, lacks: "name", loading: c.loading, behind: c.behind,
			snapshot: []person{{up, 1, "default"}}, warehouse: []person{{up, 1, "default"}}}
		got := verifyWorld(t, w)[0]
		if got.Equal != c.skipped || (got.Skipped != "") != c.skipped || c.skipped && (got.Differ != 0 || len(got.Keys) > 0) {
			t.Errorf("%s: %+v", name, got)
		}
		w.lacks, w.looks = "", 0 // equal stays equal, whatever is loaded
		if got := verifyWorld(t, w)[0]; !got.Equal || got.Skipped != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A generation that began behind the cut before the snapshot leaves rows of two contents in the log.
func TestVerifyOverAGeneration(t *testing.T) {
	w := &world{fences: []window.Fence{fence(1, "3"), fence(2, "5")}, snapshot: []person{{up, 1, "a"}}, warehouse: []person{{up, 1, "a"}}, log: []person{{up, 2, "gone"}}}
	for base, skipped := range map[int64]bool{1: false, 2: true} {
		r := &ingest.Registry{Tables: []ingest.RegistryTable{{Schema: people, Topic: "t", Base: &ingest.Base{Generation: 1, Parts: []ingest.PartMark{{Offset: base}}}}}}
		v := verification{registry: func(context.Context) (*ingest.Registry, error) { return r, nil }, source: "consult", from: w, sink: w, reader: w, log: w, loading: w.underWay, every: time.Millisecond, failed: calm}
		tg := &target{table: people.Table, topic: "t", into: window.WarehouseTable{Schema: "raw", Name: "people"}, schema: &people, generation: 1}
		w.looks = 0
		err := v.run(t.Context(), []*target{tg}, func(x console.TableVerdict) error {
			if (x.Skipped != "") != skipped || x.Equal != skipped {
				t.Errorf("base at %d: %+v", base, x)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A column that no published row has had is NULL in the warehouse; a row that has it in the source differs.
func TestVerifyColumnNotPublishedYet(t *testing.T) {
	w := &world{fences: []window.Fence{fence(1, "3"), fence(2, "5")}, lacks: "name", snapshot: []person{{up, 1, "a"}}, warehouse: []person{{up, 1, "a"}}}
	if got := verifyWorld(t, w)[0]; got.Equal || got.Differ != 1 || got.Error != "" {
		t.Errorf("%+v", got)
	}
	w.snapshot, w.warehouse, w.looks = nil, nil, 0
	if got := verifyWorld(t, w)[0]; !got.Equal {
		t.Errorf("%+v", got)
	}
}

// Nor is one that the source cannot read.
func TestVerifyTableThatTheSourceCannotRead(t *testing.T) {
	w := &world{fences: []window.Fence{fence(1, "3"), fence(2, "5")}, unread: true}
	if got := verifyWorld(t, w); len(got) != 1 || got[0].Equal || !strings.Contains(got[0].Error, "system-versioned") {
		t.Errorf("%+v", got)
	}
}

// A table that cannot be read is no reason not to compare the others.
func TestVerifyTableThatCannotBeRead(t *testing.T) {
	w := &world{fences: []window.Fence{fence(1, "3"), fence(2, "5")}, broken: errors.New("it is a view")}
	if got := verifyWorld(t, w)[0]; got.Equal || !strings.Contains(got.Error, "it is a view") {
		t.Errorf("%+v", got)
	}
}

// A table that was parked before it had a topic is in no registry; that it is not compared is said all the same.
func TestVerifyNamesTablesThatNeverBegan(t *testing.T) {
	pl := &config.Pipeline{Name: "care", Tables: []config.Table{{Replicate: "consult.clinic.*", Into: "raw"}}}
	r := &ingest.Registry{Source: "consult", Tables: []ingest.RegistryTable{{Schema: people, Topic: "t"}}}
	parked := map[string]string{"clinic.people": "truncated", "clinic.nopk": "no primary key", "other.x": "no primary key"}
	got := neverBegun(pl, "consult", r, parked, nil)
	if len(got) != 1 || got[0].Table != "raw.nopk" || got[0].Source != "consult.clinic.nopk" || !strings.Contains(got[0].Skipped, "no primary key") {
		t.Errorf("%+v", got)
	}
	if got := neverBegun(pl, "consult", r, parked, []string{"raw.people"}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// The sum of a table's rows does not depend on their order, and does on every value.
func TestSum(t *testing.T) {
	of := func(rows ...person) string {
		c := newContents()
		rec := batch(rows...).Record()
		defer rec.Release()
		for i := range rows {
			if err := c.put(&people, rec, i); err != nil {
				t.Fatal(err)
			}
		}
		return c.sum()
	}
	if of(person{up, 1, "a"}, person{up, 2, "b"}) != of(person{up, 2, "b"}, person{up, 1, "a"}) {
		t.Error("order counts")
	}
	seen := map[string]bool{}
	for _, s := range []string{of(), of(person{up, 1, "a"}), of(person{up, 2, "a"}), of(person{up, 1, "b"}), of(person{up, 1, "a"}, person{up, 2, "b"}), of(person{up, 1, "b"}, person{up, 2, "a"})} {
		if seen[s] {
			t.Errorf("two tables have the sum %s", s)
		}
		seen[s] = true
	}
}

func noGeneration(context.Context) (*ingest.Registry, error) { return nil, nil }
