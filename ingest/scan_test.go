package ingest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// rec is a short way to write a record of a log.
type rec struct {
	kind  RecordKind
	epoch int64
	seq   int64
	rows  int64
	flags uint8
	min   int // window's start, minutes after ten
	slice int32
	pos   Position
}

func (r rec) bytes(t *testing.T) []byte {
	t.Helper()
	w := ten.Add(time.Duration(r.min) * time.Minute)
	h := Header{Kind: r.kind, Flags: r.flags, Epoch: r.epoch, Window: w, WindowEnd: w.Add(15 * time.Minute), Slice: r.slice, Seq: r.seq, Rows: r.rows, Position: r.pos}
	payload, err := json.Marshal(Seal{Registry: 1})
	if err != nil {
		t.Fatal(err)
	}
	return AppendRecord(nil, &h, payload)
}

func TestScanFollowsTheReadersRules(t *testing.T) {
	const b, s, e = BatchRecord, SealRecord, EpochRecord
	for name, c := range map[string]struct {
		log  []rec
		err  error
		says string
		seq  int64
		rows int64 // of the open slice
		skip int64
		void int64
		same int64
		ends int
	}{
		"rows, a seal, rows":                          {log: []rec{{b, 1, 11, 5, 0, 0, 0, "a"}, {s, 1, 15, 7, FlagFinal, 0, 0, ""}, {b, 1, 16, 2, 0, 15, 0, "b"}}, seq: 17, rows: 2, skip: 7, ends: 2},
		"load rows are not skipped":                   {log: []rec{{b, 1, 11, 5, FlagLoad, 0, 0, ""}, {b, 1, 16, 1, 0, 0, 0, "a"}}, seq: 16, rows: 8, skip: 1, ends: 1},
		"a batch inside a group is no point to check": {log: []rec{{b, 1, 11, 5, FlagInside, 0, 0, "a+5"}}, seq: 15, rows: 7, skip: 5},
		"repeats":                   {log: []rec{{b, 1, 9, 2, 0, 0, 0, ""}, {b, 1, 11, 1, 0, 0, 0, ""}, {b, 1, 11, 1, 0, 0, 0, ""}, {s, 1, 11, 3, FlagFinal, 0, 0, ""}, {s, 1, 11, 3, FlagFinal, 0, 0, ""}}, seq: 11, skip: 1, same: 3, ends: 1},
		"a zombie behind a marker":  {log: []rec{{e, 2, 0, 0, 0, 0, 0, ""}, {b, 1, 11, 5, 0, 0, 0, ""}, {e, 1, 0, 0, 0, 0, 0, ""}, {s, 1, 15, 7, 0, 0, 0, ""}, {b, 2, 11, 1, 0, 0, 0, ""}}, seq: 11, rows: 3, skip: 1, void: 3, ends: 1},
		"a gap":                     {log: []rec{{b, 1, 12, 5, 0, 0, 0, ""}}, err: ErrIntegrity, says: "seq jumps from 10 to 12"},
		"a wrong seal":              {log: []rec{{b, 1, 11, 1, 0, 0, 0, ""}, {s, 1, 11, 2, 0, 0, 0, ""}}, err: ErrIntegrity, says: "counts 2 rows"},
		"a seal that skips a slice": {log: []rec{{s, 1, 10, 2, 0, 0, 1, ""}}, err: ErrIntegrity, says: "where 2026-11-23T10:00:00Z.0 is open"},
		"a newer owner":             {log: []rec{{e, 4, 0, 0, 0, 0, 0, ""}}, err: ErrSuperseded},
		"an empty batch":            {log: []rec{{b, 1, 11, 0, 0, 0, 0, ""}}, err: ErrIntegrity, says: "0 rows"},
	} {
		scan := &partScan{mark: PartMark{Offset: 100, Seq: 10, Rows: 2, Epoch: 1}, open: sliceName{ten, 0}}
		var err error
		for i, r := range c.log {
			if _, err = scan.take(100+int64(i), r.bytes(t), 3); err != nil {
				break
			}
		}
		if c.err != nil {
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil || scan.mark.Seq != c.seq || scan.mark.Rows != c.rows || scan.rows != c.skip || scan.void != c.void || scan.again != c.same || len(scan.ends) != c.ends {
			t.Errorf("%s: %v, %+v", name, err, scan)
		}
		if done, err := scan.take(200, rec{kind: e, epoch: 3}.bytes(t), 3); !done || err != nil || scan.mark.Offset != 201 || scan.mark.Epoch != 3 {
			t.Errorf("%s: own marker: %v %v %+v", name, done, err, scan.mark)
		}
	}
	if _, err := (&partScan{}).take(0, []byte("noise"), 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("noise: %v", err)
	}
}

func TestSealsThatContradictEachOtherAreRefused(t *testing.T) {
	parts := []*part{{topic: "a"}, {topic: "b"}}
	seal := func(h Header, s Seal) *partScan {
		h.Kind, h.Window, h.WindowEnd = SealRecord, ten, ten.Add(time.Minute)
		return &partScan{seals: []foundSeal{{h, s, 3}}}
	}
	if got, err := gather(parts, []*partScan{seal(Header{Ordinal: 5}, Seal{}), seal(Header{Ordinal: 5}, Seal{})}); err != nil || len(got) != 1 || len(got[0].has) != 2 {
		t.Errorf("agreeing seals: %v %v", got, err)
	}
	for name, h := range map[string]Header{"ordinal": {Ordinal: 6}, "position": {Ordinal: 5, Position: "x"}, "final": {Ordinal: 5, Flags: FlagFinal}} {
		if _, err := gather(parts, []*partScan{seal(Header{Ordinal: 5}, Seal{}), seal(h, Seal{})}); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRegistryVersions(t *testing.T) {
	v1 := Registry{Source: "s", Version: 10001, Epoch: 1}
	r, err := parseRegistry("s", 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.set(v1)
	add := func(s *Schema) (Registry, bool) {
		t.Helper()
		v, changed, err := r.with(s, Topic("s", s.Table), 4)
		if err != nil {
			t.Fatal(err)
		}
		return v, changed
	}
	want, changed := add(simSchema("a", 1))
	if !changed || len(want.Tables) != 1 || len(r.current.Tables) != 0 {
		t.Fatalf("a new table: %+v", want)
	}
	if _, ok := r.adopt(want); ok {
		t.Error("a version was adopted that nobody wrote")
	}
	n := r.number(want, 2)
	if n.Version != 20001 || r.next != 20002 {
		t.Errorf("version %d, want epoch 2's first", n.Version)
	}
	r.set(n)
	if _, changed := add(simSchema("a", 1)); changed {
		t.Error("the same schema is a change")
	}
	other := simSchema("a", 1)
	other.Columns[1].Native, other.Columns[1].Nullable = "varchar(10)", false
	if _, changed := add(other); changed {
		t.Error("a wording of the catalogue is a change")
	}
	if v, changed := add(simSchema("a", 2)); !changed || len(v.Tables) != 1 {
		t.Errorf("a changed schema: %+v", v)
	}
	clash := simSchema("a", 1)
	clash.Table.Schema = "d.b"
	first := simSchema("a", 1)
	first.Table.Schema = "d_b"
	r.current, _, _ = r.with(first, Topic("s", first.Table), 4)
	if _, _, err := r.with(clash, Topic("s", clash.Table), 4); err == nil || !strings.Contains(err.Error(), "meet in topic tm.s.d_b.a") {
		t.Errorf("two tables in one topic: %v", err)
	}
	r.set(v1)
	if r.current.Version != 20001 {
		t.Errorf("current went back to %d", r.current.Version)
	}
}

func TestNewestCheckpoint(t *testing.T) {
	point := func(source string, epoch, number int64) keyed {
		v, err := json.Marshal(Checkpoint{Source: source, Epoch: epoch, Number: number})
		if err != nil {
			t.Fatal(err)
		}
		return keyed{key: checkpointKey(source, epoch), value: v}
	}
	c, old, err := newestCheckpoint("s", []keyed{
		point("s", 1, 9), point("s", 2, 1), point("other", 7, 7), point("s@x", 8, 1), point("s", 2, 3), point("s", 1, 10),
		point("s", 2, 2), // an older value that a squeeze has written again
		{key: "s@0"},
	})
	if err != nil || c == nil || c.Epoch != 2 || c.Number != 3 || len(old) != 1 || old[0] != "s@1" {
		t.Errorf("got %+v %v %v", c, old, err)
	}
	if c, _, err := newestCheckpoint("none", []keyed{point("s", 1, 1)}); c != nil || err != nil {
		t.Errorf("of no source: %v %v", c, err)
	}
	if _, _, err := newestCheckpoint("s", []keyed{{key: "s@1", value: []byte("{")}}); err == nil {
		t.Error("noise was read as a checkpoint")
	}
}
