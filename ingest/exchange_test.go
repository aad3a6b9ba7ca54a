package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// exchanger is a source whose second group exchanges the content of its table.
type exchanger struct {
	h     *history
	crash bool // inside the group that does
	saw   Resume
}

func (s *exchanger) Prepare(context.Context) ([]Schema, error) { return s.h.tables[:1], nil }

func (s *exchanger) Run(ctx context.Context, resume Resume, out Emitter) error {
	s.saw = resume
	schema := &s.h.tables[0]
	if resume.Position == "" {
		if err := out.Start(ctx, "g0"); err != nil {
			return err
		}
	}
	id, err := out.Table(ctx, schema)
	if err != nil {
		return err
	}
	if resume.Position == "g2" { // behind it: the table is loaded
		b := make([]*Builder, out.Partitions(id))
		for _, key := range []int64{2, 100} {
			p := PartitionOf(uint64(key), len(b))
			if b[p] == nil {
				b[p] = NewBuilder(schema)
			}
			simRow(b[p], key)
		}
		if err := out.Load(ctx, id, b, Load{Rows: 2, Done: true}); err != nil {
			return err
		}
		return out.Idle(ctx, s.h.end)
	}
	if err := out.Begin(ctx, s.h.start); err != nil {
		return err
	}
	for key := int64(1); key < 4; key++ {
		simRow(out.Builder(id, PartitionOf(uint64(key), out.Partitions(id))), key)
	}
	if err := out.End(ctx, "g1"); err != nil {
		return err
	}
	if err := out.Begin(ctx, s.h.start); err != nil {
		return err
	}
	if err := out.Anew(ctx, schema.Table, "exchanged"); err != nil {
		return err
	}
	if s.crash {
		return errStop
	}
	return out.End(ctx, "g2")
}

// A table whose content was exchanged begins a generation behind the group that did it, without a request; a crash inside that group
// leaves neither the position nor the parking.
func TestExchangedIsLoadedAnew(t *testing.T) {
	h, log := newHistory(rand.New(rand.NewPCG(5, 1))), newSimLog()
	run := func(src *exchanger) error {
		var now atomic.Int64
		now.Store(h.start.UnixMicro())
		return stream(t.Context(), simConfig(rand.New(rand.NewPCG(1, 3)), &now, h.window), log.env(nil, false), src)
	}
	if err := run(&exchanger{h: h, crash: true}); !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	again := &exchanger{h: h}
	if err := run(again); !errors.Is(err, ErrAnew) {
		t.Fatalf("the owner ended with %v, want ErrAnew", err)
	}
	if again.saw.Position == "g2" || len(again.saw.Parked) > 0 {
		t.Errorf("after the crash it goes on with %+v", again.saw)
	}
	last := &exchanger{h: h}
	if err := run(last); err != nil {
		t.Fatal(err)
	}
	if last.saw.Position != "g2" || len(last.saw.Parked) > 0 || len(last.saw.Loads) > 0 {
		t.Errorf("behind the exchange it goes on with %+v", last.saw)
	}
	base, got := newestRegistry(t, log).Tables[0].Base, map[int64]bool{}
	if base == nil || base.Generation != 1 {
		t.Fatalf("the generation begins at %+v", base)
	}
	for p, records := range log.Topics["tm.src.db.a"] {
		for _, r := range records[base.Parts[p].Offset:] {
			rec, err := parseBatch(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; rec != nil && i < len(rec.ids); i++ {
				got[rec.ids[i]] = true
			}
		}
	}
	if len(got) != 2 || !got[2] || !got[100] {
		t.Errorf("the generation holds %v, want 2 and 100", got)
	}
}
