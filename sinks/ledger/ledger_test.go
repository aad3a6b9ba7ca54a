package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

func step(window_ int, slice int, final bool) window.Step {
	start := time.Date(2026, 1, 5, 9, 15*window_, 0, 0, time.UTC)
	return window.Step{Start: start, End: start.Add(15 * time.Minute), Slice: slice, Final: final}
}

func TestCheckPublish(t *testing.T) {
	at1 := window.Fence{Pipeline: "care", Step: step(1, 0, true), Epoch: 7, Lineage: "L", Manifest: "h1"}
	pub := func(change func(*window.Publication)) *window.Publication {
		p := &window.Publication{Pipeline: "care", Step: step(2, 0, true), Prev: step(1, 0, true), Epoch: 7, Lineage: "L", Hash: "h2"}
		change(p)
		return p
	}
	done := func(p *window.Publication) { p.Step, p.Prev, p.Hash = step(1, 0, true), step(0, 0, true), "h1" }
	for name, c := range map[string]struct {
		fence             window.Fence
		p                 *window.Publication
		committed, fenced bool
	}{
		"successor":                       {at1, pub(func(*window.Publication) {}), false, false},
		"successor in another zone":       {at1, pub(func(p *window.Publication) { p.Prev.Start = p.Prev.Start.In(time.FixedZone("x", 3600)) }), false, false},
		"first":                           {window.Fence{Epoch: 7, Lineage: "L"}, pub(func(p *window.Publication) { p.Prev = window.Step{} }), false, false},
		"first on a used fence":           {at1, pub(func(p *window.Publication) { p.Prev = window.Step{} }), false, true},
		"a step later":                    {at1, pub(func(p *window.Publication) { p.Prev = step(2, 0, true) }), false, true},
		"other slice":                     {at1, pub(func(p *window.Publication) { p.Prev.Slice = 1 }), false, true},
		"not final":                       {at1, pub(func(p *window.Publication) { p.Prev.Final = false }), false, true},
		"other window length":             {at1, pub(func(p *window.Publication) { p.Prev.End = p.Prev.End.Add(1) }), false, true},
		"older epoch":                     {at1, pub(func(p *window.Publication) { p.Epoch = 6 }), false, true},
		"newer epoch that never acquired": {at1, pub(func(p *window.Publication) { p.Epoch = 8 }), false, true},
		"other lineage":                   {at1, pub(func(p *window.Publication) { p.Lineage = "M" }), false, true},
		"committed":                       {at1, pub(done), true, false},
		"committed, since taken over":     {at1, pub(func(p *window.Publication) { done(p); p.Epoch = 3 }), true, false},
		"same step, other manifest":       {at1, pub(func(p *window.Publication) { done(p); p.Hash = "h9" }), false, true},
		"committed elsewhere":             {at1, pub(func(p *window.Publication) { done(p); p.Lineage = "M" }), false, true},
		"no hash is no proof":             {window.Fence{Step: step(2, 0, true), Epoch: 7, Lineage: "L"}, pub(func(p *window.Publication) { p.Hash = "" }), false, true},
	} {
		committed, err := ledger.CheckPublish(c.fence, c.p)
		if committed != c.committed || errors.Is(err, window.ErrFenced) != c.fenced || (err != nil) != c.fenced {
			t.Errorf("%s: committed %v, %v; want %v, fenced %v", name, committed, err, c.committed, c.fenced)
		}
	}
}

func TestCheckAcquire(t *testing.T) {
	for epoch, fenced := range map[int64]bool{6: true, 7: false, 8: false} {
		if err := ledger.CheckAcquire(window.Fence{Epoch: 7}, epoch); errors.Is(err, window.ErrFenced) != fenced {
			t.Errorf("epoch %d on 7: %v", epoch, err)
		}
	}
}

func TestCheckManifest(t *testing.T) {
	good := func() *window.Publication {
		load := window.TableLoad{Table: window.WarehouseTable{Schema: "mart", Name: "visits"}, Key: []string{"id"}, Upserts: 2, Deletes: 1,
			Columns: []ingest.Column{{Name: "id"}, {Name: "name"}}, Parts: []window.Part{{Rows: 1}, {Rows: 2}}}
		return &window.Publication{Pipeline: "care", Step: step(1, 0, true), Lineage: "L", Hash: "h",
			Manifest: window.Manifest{Pipeline: "care", Step: step(1, 0, true), Tables: []window.TableLoad{load}}}
	}
	limits := ledger.Limits{NameBytes: 10, MaxColumns: 4, FoldCase: true, NoColumns: []string{"rowid"}}
	if err := ledger.CheckManifest(good(), limits); err != nil {
		t.Fatal(err)
	}
	column := func(names ...string) func(*window.Publication) {
		return func(p *window.Publication) {
			for _, n := range names {
				p.Manifest.Tables[0].Columns = append(p.Manifest.Tables[0].Columns, ingest.Column{Name: n})
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(*window.Publication)
		word  string
	}{
		"no pipeline":        {func(p *window.Publication) { p.Pipeline = "" }, "no pipeline"},
		"no hash":            {func(p *window.Publication) { p.Hash = "" }, "manifest hash"},
		"no lineage":         {func(p *window.Publication) { p.Lineage = "" }, "lineage"},
		"other pipeline":     {func(p *window.Publication) { p.Manifest.Pipeline = "x" }, "another pipeline"},
		"other step":         {func(p *window.Publication) { p.Manifest.Step = step(2, 0, true) }, "another pipeline or step"},
		"no window":          {func(p *window.Publication) { p.Step, p.Manifest.Step = window.Step{}, window.Step{} }, "not a window"},
		"rows":               {func(p *window.Publication) { p.Manifest.Tables[0].Deletes = 0 }, "hold 3 rows"},
		"negative":           {func(p *window.Publication) { p.Manifest.Tables[0].Upserts, p.Manifest.Tables[0].Deletes = 4, -1 }, "hold 3 rows"},
		"replace and delete": {func(p *window.Publication) { p.Manifest.Tables[0].Replace = true }, "replaces"},
		"long name":          {column("elevenbytes"), "11 bytes"},
		"long name in runes": {column("üüüüüü"), "12 bytes"},
		"reserved":           {column("RowId"), "reserved"},
		"operation":          {column("_OP"), "reserved"},
		"twice by case":      {column("NAME"), "two columns"},
		"too many":           {column("a", "b"), "4 columns"},
		"key twice":          {func(p *window.Publication) { p.Manifest.Tables[0].Key = []string{"id", "id"} }, "named twice"},
		"table twice by case": {func(p *window.Publication) {
			l := p.Manifest.Tables[0]
			l.Table.Name = "VISITS"
			p.Manifest.Tables = append(p.Manifest.Tables, l)
		}, "twice"},
		"system schema": {func(p *window.Publication) { p.Manifest.Tables[0].Table.Schema = "Tidemill" }, "schema of the system"},
	} {
		p := good()
		c.spoil(p)
		err := ledger.CheckManifest(p, limits)
		var r *window.RefusedError
		if !errors.As(err, &r) || r.Hint == "" || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %v, want a *window.RefusedError that says %q", name, err, c.word)
		}
	}
	caseful := good()
	column("NAME")(caseful)
	if err := ledger.CheckManifest(caseful, ledger.Limits{}); err != nil {
		t.Errorf("without folding: %v", err)
	}
}

func TestCheckCounts(t *testing.T) {
	load := &window.TableLoad{Table: window.WarehouseTable{Schema: "mart", Name: "visits"}, Upserts: 2, Deletes: 1}
	for _, c := range []struct {
		counts ledger.Counts
		word   string
	}{
		{ledger.Counts{Upserts: 2, Deletes: 1}, ""},
		{ledger.Counts{Upserts: 1, Deletes: 2}, "1 upserts, 2 deletes"},
		{ledger.Counts{Upserts: 2, Deletes: 1, Other: 1}, "1 other"},
		{ledger.Counts{Upserts: 2, Deletes: 1, NullKeys: 3}, "3 rows of mart.visits have NULL"},
		{ledger.Counts{Upserts: 2, Deletes: 1, RepeatedKeys: 3}, "repeat a key"},
	} {
		err := ledger.CheckCounts(load, c.counts)
		if (err == nil) != (c.word == "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: got %v, want %q", c.counts, err, c.word)
		}
	}
}
