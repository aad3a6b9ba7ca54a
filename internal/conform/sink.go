package conform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window"
)

// Warehouse is all that a sink can be.
type Warehouse interface {
	window.Sink
	window.TableReader
	window.Querier
}

// SinkConfig is one empty warehouse.
type SinkConfig struct {
	// Client returns another client of it: another daemon's. A warehouse that one process holds returns the same again.
	// The one who made the config closes them.
	Client func() Warehouse
	// Exec runs a statement as somebody who is not tidemill.
	Exec func(sql string) error
	// MaxText and MaxBytes are the longest values that a warehouse holds, in bytes; 0 is no limit.
	MaxText, MaxBytes int
	// AnyDocument says that documents are kept as text, whatever they hold.
	AnyDocument bool
	// Lacks are words of SQL that this warehouse does not have: queries with them are refused by it.
	Lacks []string
}

// length is n, or the limit.
func length(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

func (c SinkConfig) lacks(sql string) bool {
	return slices.ContainsFunc(c.Lacks, func(word string) bool { return strings.Contains(sql, word) })
}

// Sink runs the suite. fresh makes a warehouse of the test's own.
func Sink(t *testing.T, fresh func(t *testing.T) SinkConfig) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, SinkConfig){
		"NoFence":             sinkNoFence,
		"Chain":               sinkChain,
		"Append":              sinkAppend,
		"Fencing":             sinkFencing,
		"Forget":              sinkForget,
		"Zombie":              sinkZombie,
		"Republish":           sinkRepublish,
		"CountMismatch":       sinkCountMismatch,
		"EmptyStep":           sinkEmptyStep,
		"EmptyTable":          sinkEmptyTable,
		"Kinds":               sinkKinds,
		"AddedColumn":         sinkAddedColumn,
		"Widening":            sinkWidening,
		"ChangedView":         sinkChangedView,
		"Refused":             sinkRefused,
		"SomebodysTable":      sinkSomebodysTable,
		"OddNames":            sinkOddNames,
		"OneTransaction":      sinkOneTransaction,
		"ConcurrentPipelines": sinkConcurrentPipelines,
		"Cancelled":           sinkCancelled,
		"Canary":              sinkCanary,
		"QueryReadsOnly":      sinkQueryReadsOnly,
		"QueryTypes":          sinkQueryTypes,
		"Receipts":            sinkReceipts,
		"Standing":            sinkStanding,
		"Profile":             sinkProfile,
		"Quarantine":          sinkQuarantine,
		"QuarantineRepublish": sinkQuarantineRepublish,
		"QuarantineRefused":   sinkQuarantineRefused,
		"QuarantineTogether":  sinkQuarantineTogether,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

var (
	visits    = window.WarehouseTable{Schema: "mart", Name: "visits"}
	payments  = window.WarehouseTable{Schema: "raw", Name: "payments"}
	int64Type = ingest.Type{Kind: ingest.Int64}
	textType  = ingest.Type{Kind: ingest.Text}
	idName    = []ingest.Column{{Name: "id", Type: int64Type}, {Name: "name", Type: textType, Nullable: true}}
)

// names fills id and name; an id that is negative is deleted.
func names(rows map[int64]string, order ...int64) func(*ingest.Builder) {
	return func(b *ingest.Builder) {
		for _, id := range order {
			if id < 0 {
				b.Cols[0].Int64(-id)
				b.Cols[1].Null()
				b.End(ingest.Delete)
				continue
			}
			b.Cols[0].Int64(id)
			b.Cols[1].Bytes([]byte(rows[id]))
			b.End(ingest.Upsert)
		}
	}
}

func visitsLoad(replace bool, parts ...func(*ingest.Builder)) Load {
	return Load{Table: visits, Columns: idName, Key: []string{"id"}, Replace: replace, Parts: parts}
}

// wantNames compares a table of idName.
func wantNames(t *testing.T, w window.TableReader, table window.WarehouseTable, want map[int64]string) {
	t.Helper()
	text := map[string][]string{}
	for id, name := range want {
		text[strconv.FormatInt(id, 10)] = []string{strconv.FormatInt(id, 10), strconv.Quote(name)}
	}
	wantRows(t, table.String(), Rows(t, w, table, idName), text)
}

func wantRows(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	if maps.EqualFunc(got, want, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		return
	}
	t.Errorf("%s has %d rows, want %d, or they differ", what, len(got), len(want))
	shown := 0
	for k, w := range want {
		if g := got[k]; fmt.Sprint(g) != fmt.Sprint(w) && shown < 5 {
			shown++
			t.Errorf("row %s:\n got %s\nwant %s", k, g, w)
		}
	}
}

func wantFenced(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, window.ErrFenced) {
		t.Errorf("%s: got %v, want window.ErrFenced", what, err)
	}
}

func wantRefusedError(t *testing.T, what string, err error) {
	t.Helper()
	var r *window.RefusedError
	if !errors.As(err, &r) {
		t.Errorf("%s: got %v, want a *window.RefusedError", what, err)
	} else if r.Hint == "" {
		t.Errorf("%s: %v has no hint", what, err)
	}
}

func sinkNoFence(t *testing.T, c SinkConfig) {
	w := c.Client()
	if _, err := w.Fence(t.Context(), "care"); !errors.Is(err, window.ErrNoFence) {
		t.Errorf("fence of an empty warehouse: got %v, want window.ErrNoFence", err)
	}
	p := NewPipeline(t, "care")
	p.Fence.Lineage = "made-up"
	err := w.Publish(t.Context(), p.Next(visitsLoad(true)), p.Local)
	if !errors.Is(err, window.ErrFenced) {
		t.Errorf("publish without a fence: got %v, want window.ErrFenced", err)
	}
	p.Acquire(w, 1)
	if !p.Fence.Step.Start.IsZero() || p.Fence.Manifest != "" || len(p.Fence.Cut) != 0 || !p.Fence.At.IsZero() {
		t.Errorf("a new fence is %+v", p.Fence)
	}
	if _, err := w.Fence(t.Context(), "other"); !errors.Is(err, window.ErrNoFence) {
		t.Errorf("fence of an unknown pipeline: got %v, want window.ErrNoFence", err)
	}
}

func sinkChain(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	want := map[int64]string{1: "a", 2: "b", 3: "", 4: "d"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1, 2), names(want, 3, 4)))) // two parts
	wantNames(t, w, visits, want)

	change := map[int64]string{2: "B", 5: "e"}
	p.Publish(w, p.Next(visitsLoad(false, names(change, -1, 2, 5, -99)))) // 99 was never there
	delete(want, 1)
	maps.Copy(want, change)
	wantNames(t, w, visits, want)

	again := map[int64]string{1: "back"}
	p.Publish(w, p.Next(visitsLoad(false, names(again, 1))))
	maps.Copy(want, again)
	wantNames(t, w, visits, want)

	p.Publish(w, p.Next(visitsLoad(false, names(nil, -1, -2, -3, -4, -5)))) // only deletes
	wantNames(t, w, visits, nil)

	base := map[int64]string{7: "g"}
	p.Publish(w, p.Next(visitsLoad(false, names(base, 7))))
	base = map[int64]string{8: "h", 9: "i"}
	p.Publish(w, p.Next(visitsLoad(true, names(base, 8, 9)))) // replaces
	wantNames(t, w, visits, base)
}

// sinkAppend: rows whose keys are beyond the last one are a common case that a sink may treat apart.
func sinkAppend(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	all := map[int64]string{1: "a", 2: "b", 9: "i", 10: "j", 20: "t", 21: "u", 5: "e", 30: "x"}
	p.Publish(w, p.Next(visitsLoad(true, names(all, 1, 2))))
	p.Publish(w, p.Next(visitsLoad(false, names(all, 9, 10)))) // beyond
	p.Publish(w, p.Next(visitsLoad(false, names(all, 20), names(all, 21))))
	all[9], all[10] = "i again", "j again"
	p.Publish(w, p.Next(visitsLoad(false, names(all, 30, 9, 10, 5)))) // beyond at first sight only
	wantNames(t, w, visits, all)
	wantRefusedError(t, "a key twice beyond", w.Publish(t.Context(), p.Next(visitsLoad(false, names(all, 40, 40))), p.Local))
	wantNames(t, w, visits, all)

	// Unsigned keys are decimals, some beyond all signed ones.
	unsigned := Load{Table: payments, Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Decimal, Precision: 20}}}, Key: []string{"id"}, Replace: true}
	want := map[string][]string{}
	for _, part := range [][]uint64{{9, 10}, {11, 100}, {math.MaxUint64 - 1, math.MaxUint64}, {101, math.MaxUint64}} {
		unsigned.Parts = []func(*ingest.Builder){func(b *ingest.Builder) {
			for _, id := range part {
				b.Cols[0].Decimal(0, id)
				b.End(ingest.Upsert)
				text := strconv.FormatUint(id, 10) + "e-0"
				want[text] = []string{text}
			}
		}}
		p.Publish(w, p.Next(unsigned))
		unsigned.Replace = false
		wantRows(t, payments.String(), Rows(t, w, payments, unsigned.Columns), want)
	}
}

func sinkFencing(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 5)
	want := map[int64]string{1: "a"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1))))
	before := p.Fence
	for name, spoil := range map[string]func(*window.Publication){
		"older epoch":         func(p *window.Publication) { p.Epoch = 4 },
		"newer epoch":         func(p *window.Publication) { p.Epoch = 6 },
		"other lineage":       func(p *window.Publication) { p.Lineage = "elsewhere" },
		"other window before": func(p *window.Publication) { p.Prev.Start = p.Prev.Start.Add(-1) },
		"other slice before":  func(p *window.Publication) { p.Prev.Slice++ },
		"nothing before":      func(p *window.Publication) { p.Prev = window.Step{} },
	} {
		pub := p.Next(visitsLoad(false, names(map[int64]string{1: "wrong"}, 1)))
		spoil(pub)
		wantFenced(t, name, w.Publish(t.Context(), pub, p.Local))
	}
	p.Follow(w)
	if p.Fence.Step != before.Step || p.Fence.Manifest != before.Manifest || p.Fence.Epoch != before.Epoch {
		t.Errorf("refused publishes moved the fence from %+v to %+v", before, p.Fence)
	}
	wantNames(t, w, visits, want)
}

func sinkZombie(t *testing.T, c SinkConfig) {
	old, fresh := c.Client(), c.Client()
	zombie := NewPipeline(t, "care")
	zombie.Acquire(old, 10)
	zombie.Publish(old, zombie.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1))))

	owner := NewPipeline(t, "care")
	owner.Acquire(fresh, 20)
	if owner.Fence.Step != zombie.Fence.Step || owner.Fence.Lineage != zombie.Fence.Lineage || owner.Fence.Manifest != zombie.Fence.Manifest {
		t.Fatalf("the new owner sees %+v, want %+v", owner.Fence, zombie.Fence)
	}
	owner.Acquire(fresh, 20) // again is no error
	wantFenced(t, "zombie's publish", old.Publish(t.Context(), zombie.Next(visitsLoad(false, names(nil, -1))), zombie.Local))
	_, err := old.Acquire(t.Context(), "care", 10)
	wantFenced(t, "zombie's acquire", err)

	// Taken over while the zombie prepares.
	pub := owner.Next(visitsLoad(false, names(nil, -1)))
	err = fresh.Publish(t.Context(), pub, func(ctx context.Context, part window.Part) (string, error) {
		if _, err := old.Acquire(ctx, "care", 30); err != nil {
			return "", err
		}
		return owner.Local(ctx, part)
	})
	wantFenced(t, "publish after a takeover", err)
	wantNames(t, old, visits, map[int64]string{1: "a"})
}

func sinkRepublish(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	first := p.Next(visitsLoad(true, names(map[int64]string{1: "a"}, 1)))
	p.Publish(w, first)
	second := p.Next(visitsLoad(false, names(map[int64]string{2: "b"}, 2)))
	p.Publish(w, second)
	p.Publish(w, second) // its reply was lost
	owner := NewPipeline(t, "care")
	owner.Acquire(w, 2)
	second.Epoch = 1
	if err := w.Publish(t.Context(), second, p.Local); err != nil {
		t.Errorf("the committed step asked for again after a takeover: %v", err)
	}
	wantFenced(t, "an older step", w.Publish(t.Context(), first, p.Local))
	other := *second
	other.Hash = "0000"
	wantFenced(t, "the committed step with another manifest", w.Publish(t.Context(), &other, p.Local))
	if got := Ask(t, w, "SELECT count(*) FROM tidemill.receipts")[0]; got != "2" {
		t.Errorf("%s receipts, want 2", got)
	}
	wantNames(t, w, visits, map[int64]string{1: "a", 2: "b"})
}

func sinkCountMismatch(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	want := map[int64]string{1: "a", 2: "b"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1, 2))))
	before := p.Fence
	for name, spoil := range map[string]func(*window.TableLoad){
		"parts do not add up": func(l *window.TableLoad) { l.Upserts++ },
		"a row less in the file": func(l *window.TableLoad) {
			l.Upserts++
			l.Parts[0].Rows++
		},
		"a row more in the file": func(l *window.TableLoad) {
			l.Upserts--
			l.Parts[0].Rows--
		},
		"upserts for deletes": func(l *window.TableLoad) { l.Upserts, l.Deletes = l.Deletes, l.Upserts },
	} {
		for _, replace := range []bool{false, true} {
			var pub *window.Publication
			if replace {
				pub = p.Next(visitsLoad(true, names(map[int64]string{3: "x", 4: "y"}, 3, 4)))
			} else {
				pub = p.Next(visitsLoad(false, names(map[int64]string{1: "x", 3: "y"}, 1, -2, 3)))
			}
			spoil(&pub.Manifest.Tables[0])
			wantRefusedError(t, fmt.Sprintf("%s (replace %v)", name, replace), w.Publish(t.Context(), pub, p.Local))
		}
	}
	p.Follow(w)
	if p.Fence.Manifest != before.Manifest {
		t.Error("a refused publish moved the fence")
	}
	wantNames(t, w, visits, want)
}

func sinkEmptyStep(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	want := map[int64]string{1: "a"}
	p.Publish(w, p.Next(visitsLoad(true, names(want, 1))))
	for range 3 {
		p.Publish(w, p.Next())
	}
	p.Publish(w, p.Next(visitsLoad(false))) // named, without rows
	wantNames(t, w, visits, want)
	if got := Ask(t, w, "SELECT count(*) FROM tidemill.receipts")[0]; got != "5" {
		t.Errorf("%s receipts, want 5", got)
	}
}

func sinkEmptyTable(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Next(visitsLoad(true)))
	wantNames(t, w, visits, nil)
	err := w.ReadTable(t.Context(), payments, idName, func(arrow.RecordBatch) error { return nil })
	wantRefusedError(t, "reading a table that is not there", err)
	err = w.ReadTable(t.Context(), visits, append([]ingest.Column{{Name: "gone", Type: textType}}, idName...), func(arrow.RecordBatch) error { return nil })
	if none := (*window.NoColumnError)(nil); !errors.As(err, &none) || none.Column != "gone" || none.Table != visits {
		t.Errorf("reading a column that is not there: got %v, want a *window.NoColumnError that names it", err)
	}
	p.Publish(w, p.Next(visitsLoad(false, names(map[int64]string{1: "a"}, 1))))
	wantNames(t, w, visits, map[int64]string{1: "a"})
	enough := errors.New("enough")
	if err := w.ReadTable(t.Context(), visits, idName, func(arrow.RecordBatch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the reader's own error came back as %v", err)
	}
}

// sinkOneTransaction moves the same amount through two tables in each step: a reader must never see them apart.
func sinkOneTransaction(t *testing.T, c SinkConfig) {
	w, p := c.Client(), NewPipeline(t, "care")
	p.Acquire(w, 1)
	both := func(replace bool, v int) *window.Publication {
		rows := map[int64]string{}
		for id := range int64(50) {
			rows[id+1] = strconv.Itoa(v)
		}
		ids := make([]int64, 50)
		for i := range ids {
			ids[i] = int64(i) + 1
		}
		a := visitsLoad(replace, names(rows, ids...))
		b := a
		b.Table = payments
		return p.Next(a, b)
	}
	p.Publish(w, both(true, 0))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	reads, torn := 0, 0
	wg.Go(func() {
		r := c.Client()
		for ctx.Err() == nil {
			err := r.Query(ctx, `SELECT (SELECT min(name) || max(name) || count(*) FROM mart.visits), (SELECT min(name) || max(name) || count(*) FROM "raw".payments),
 (SELECT window_end FROM tidemill.fence), (SELECT max(window_end) FROM tidemill.receipts)`, func(b arrow.RecordBatch) error {
				reads++
				if x := Cell(b.Column(0), 0); x != Cell(b.Column(1), 0) || Cell(b.Column(2), 0) != Cell(b.Column(3), 0) || x[1] != x[2] {
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
	for v := 1; v < 10; v++ {
		p.Publish(w, both(v == 5, v)) // one of them replaces
	}
	stop()
	wg.Wait()
	if reads == 0 || torn > 0 {
		t.Errorf("%d of %d reads saw a publish in part", torn, reads)
	}
}

func sinkConcurrentPipelines(t *testing.T, c SinkConfig) {
	var wg sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprintf("pipe%d", i)
		p := NewPipeline(t, name)
		w := c.Client()
		load := visitsLoad(true, names(map[int64]string{1: name}, 1))
		load.Table.Name = name
		wg.Go(func() {
			p.Acquire(w, int64(i+1))
			p.Publish(w, p.Next(load))
			load.Replace = false
			for id := int64(2); id < 8; id++ {
				load.Parts = []func(*ingest.Builder){names(map[int64]string{id: name}, id)}
				p.Publish(w, p.Next(load))
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		name := fmt.Sprintf("pipe%d", i)
		want := map[int64]string{}
		for id := int64(1); id < 8; id++ {
			want[id] = name
		}
		wantNames(t, c.Client(), window.WarehouseTable{Schema: "mart", Name: name}, want)
	}
}
