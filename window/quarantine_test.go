package window

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	statefile "github.com/tidemill/tidemill/window/state"
)

// Guarantee 5 under guarantee 2: bad rows come, are mended, and go, while the process dies at any effect. After every commit
// each table is what its sources say less the bad rows, exactly these are in quarantine, and the hashes are those of an
// undisturbed run with other batches.
func TestQuarantineCrashes(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			gens, steps := world(t, 70+seed, 1+int(seed%2), 12)
			var cut []*genSource
			for i, g := range gens {
				cut = append(cut, g.cut(int64(1+i)))
			}
			calm := newBench(t, cut...)
			calm.sick = true
			calm.append(t)
			all := &effects{}
			if err := calm.until(t, all.with(calm.config()), last(steps)); err != nil {
				t.Fatal(err)
			}
			var want []string
			var in, out int64
			for _, p := range calm.sink.history {
				want = append(want, p.Hash)
				if q := p.Manifest.Quarantine; q != nil {
					in, out = in+q.Upserts, out+q.Deletes
				}
			}
			if in == 0 || out == 0 {
				t.Fatalf("%d rows went into quarantine and %d out of it: this tests nothing", in, out)
			}

			b := newBench(t, gens...)
			b.sick = true
			b.append(t)
			rng := rand.New(rand.NewPCG(seed, 9))
			for tries := 0; tries < 25 && !b.sink.at("care").same(last(steps)); tries++ {
				e := &effects{at: 1 + rng.IntN(len(all.done)/2+3), late: rng.IntN(2) == 0}
				if err := b.until(t, e.with(b.config()), last(steps)); err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("after %v: %v", e.done, err)
				}
				if rng.IntN(4) == 0 {
					removeAll(t, b.dir)
				}
			}
			if err := b.until(t, b.config(), last(steps)); err != nil {
				t.Fatal(err)
			}
			if got := b.published(t, steps); !slices.Equal(got, want) {
				t.Errorf("hashes differ from those of a calm run:\n%v\n%v", got, want)
			}
		})
	}
}

// By default one bad row halts the pipeline before anything of its window is published; when somebody agrees to it the
// window goes on, and Status shows what is missing.
func TestTooManyBadRows(t *testing.T) {
	gens, steps := world(t, 71, 1, 6)
	b := newBench(t, gens...)
	b.sick = true
	b.append(t)
	cfg := b.config()
	cfg.MaxQuarantine = 1
	err := b.until(t, cfg, last(steps))
	var r *RefusedError
	if !errors.As(err, &r) || !strings.Contains(err.Error(), "max_quarantine is 1 (raw_a.t0 column v: ") || !strings.Contains(r.Hint, "mend the values at the source") {
		t.Fatalf("got %v, want a refusal that names limit, table, column and remedies", err)
	}
	at := b.sink.at("care")
	p, stop := b.start(t, b.config())
	eventually(t, "the last step is published", func() bool { return p.Status().Published.same(last(steps)) })
	status := p.Status()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !at.before(last(steps)) {
		t.Errorf("the refused pipeline came to %s", at)
	}
	b.published(t, steps)
	var shown, want int64
	for _, s := range status.Tables {
		shown += s.Quarantined
	}
	for _, rows := range b.sink.bad {
		want += int64(len(rows))
	}
	if shown != want || want == 0 {
		t.Errorf("the status shows %d rows in quarantine, want %d", shown, want)
	}
}

func badTable(name string, replace bool, keys []string, resolved ...string) preparedTable {
	t := preparedTable{load: TableLoad{Table: WarehouseTable{"raw", name}, Replace: replace}, resolved: resolved, faults: map[statefile.FaultAt]int64{}}
	for _, k := range keys {
		t.bad = append(t.bad, statefile.BadRow{Key: k, Column: "doc", Fault: parquet.InvalidJSON, Row: "{}"})
		t.faults[statefile.FaultAt{Column: "doc", Fault: parquet.InvalidJSON}]++
	}
	return t
}

// The part does not depend on the order of the tables in the configuration, nor on that of keys in their types.
func TestQuarantinePart(t *testing.T) {
	a, b := badTable("a", false, []string{"[10]", "[9]"}, "[7]", "[1]"), badTable("b", true, []string{"[1]"})
	first, err := quarantinePart(t.Context(), []preparedTable{a, b}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	second, err := quarantinePart(t.Context(), []preparedTable{b, a}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if first.load.Parts[0] != second.load.Parts[0] || first.load.Upserts != 3 || first.load.Deletes != 2 {
		t.Errorf("parts %+v and %+v, want one of 3 upserts and 2 deletes", first.load, second.load)
	}
	var keys []string
	err = parquet.Read(t.Context(), first.files[0], parquet.Schema{Columns: QuarantineColumns, Op: true}, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			keys = append(keys, rec.Column(1).ValueStr(i)+rec.Column(2).ValueStr(i))
		}
		return nil
	})
	if err != nil || fmt.Sprint(keys) != "[a[10] a[1] a[7] a[9] b[1]]" {
		t.Errorf("the keys are %v, %v", keys, err)
	}
	if _, err := parquet.Check(first.files[0], parquet.Schema{Columns: QuarantineColumns, Op: true}); err != nil {
		t.Error(err)
	}
	none, err := quarantinePart(t.Context(), []preparedTable{badTable("a", true, nil)}, filepath.Join(t.TempDir(), "no such folder"))
	if none != nil || err != nil {
		t.Errorf("without bad rows: %v, %v", none, err)
	}
	m := Manifest{Pipeline: "care"}
	plain := m.Hash()
	m.Quarantine = &first.load
	if m.Hash() == plain {
		t.Error("the manifest's hash says nothing of its quarantine")
	}
}

func TestQuarantineAfter(t *testing.T) {
	q := quarantinedOf([]Quarantined{{WarehouseTable{"raw", "a"}, "[1]"}, {WarehouseTable{"raw", "a"}, "[2]"}, {WarehouseTable{"raw", "b"}, "[1]"}})
	before := fmt.Sprint(q)
	got := q.after([]preparedTable{badTable("a", false, []string{"[3]"}, "[1]"), badTable("b", true, []string{"[9]"}), badTable("c", false, []string{"[1]"})})
	if want := "map[raw.a:map[[2]:true [3]:true] raw.b:map[[9]:true] raw.c:map[[1]:true]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if fmt.Sprint(q) != before {
		t.Errorf("the argument became %v", q)
	}
	if got := q.after([]preparedTable{badTable("a", true, nil)}); fmt.Sprint(got) != "map[raw.b:map[[1]:true]]" {
		t.Errorf("after a replaced table: %v", got)
	}
}

// A view that is added later is not filled from a replica in which rows are missing: it begins with the log.
func TestViewOverQuarantine(t *testing.T) {
	missed := 0
	for seed := range uint64(6) {
		gens, steps := world(t, 80+seed, 2, 8)
		b := newBench(t, gens...)
		b.sick = true
		b.append(t)
		cfg, all := b.config(), b.config().Plan
		cfg.Plan = func(ctx context.Context, r map[string]*ingest.Registry) (*Plan, error) {
			p, err := all(ctx, r)
			p.Views = nil
			return p, err
		}
		b.sink.check = nil // it knows one configuration only
		if err := b.until(t, cfg, steps[len(steps)/2].step); err != nil {
			t.Fatal(err)
		}
		missed += len(b.sink.bad[WarehouseTable{"raw_a", "t0"}]) + len(b.sink.bad[WarehouseTable{"raw_b", "t0"}])
		if err := b.until(t, b.config(), last(steps)); err != nil {
			t.Fatal(err)
		}
		b.sink.next = b.sink.bad
		if err := b.check(b.sink.tables, b.sink.tables, b.sink.history[len(b.sink.history)-1]); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if missed == 0 {
		t.Error("no row was in quarantine when the view was added: this tests nothing")
	}
}
