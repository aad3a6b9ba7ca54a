package window

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// A broker that is killed may append a seal twice. The repeat may lie behind the place from which a held table is read again,
// where nothing that was read before tells that it is one.
func TestSealRepeatedBehindAHeldPlace(t *testing.T) {
	for _, rows := range []int64{0, 3} {
		g := newGen("a", t0)
		x, y := g.table("x", 2), g.table("y", 1)
		g.loads[x], g.loads[y] = 1, 1
		g.seal(true) // 10:00
		if rows > 0 {
			g.batch(x, 0, rows)
		}
		g.parked[x] = "truncated"
		g.seal(true) // 10:15
		last := g.logs[x][0][len(g.logs[x][0])-1]
		g.put(x, 0, last.h, last.seal)
		delete(g.parked, x)
		g.batch(x, 0, 2)
		g.seal(true) // 10:30: it gathers
		g.loads[x]++
		g.seal(true) // 10:45: its base
		whole := decideAll(t, 1, g)
		if got := whole[1].cut["a"].Held[x]; len(whole) != 4 || got.Parked == "" {
			t.Fatalf("%d steps, after 10:15 %+v", len(whole), got)
		}
		for i := 1; i < 3; i++ {
			f := Fence{Step: whole[i].step, Cut: whole[i].cut}
			rest := newFeeder(t, f, rand.New(rand.NewPCG(1, 1)), true, g).steps(t)
			if len(rest) != 3-i {
				t.Fatalf("%d steps after %s, want %d", len(rest), f.Step, 3-i)
			}
			for n, st := range rest {
				if got, want := describe(st), describe(whole[i+1+n]); got != want {
					t.Errorf("read again from %s: got %s\nwant %s", f.Step, got, want)
				}
			}
		}
	}
}

// forgetful is a store from which another owner removes every object between a List and the Get.
type forgetful struct{ Store }

func (forgetful) Get(context.Context, string, string) error { return fs.ErrNotExist }

// A snapshot that another owner removes while this one looks is none, and no reason to stop.
func TestSnapshotRemovedMeanwhile(t *testing.T) {
	store := dirStore{filepath.Join(t.TempDir(), "lake")}
	cfg := &Config{Name: "care", Dir: t.TempDir(), Store: store}
	if err := cfg.clear(nil); err != nil {
		t.Fatal(err)
	}
	k := &keeper{cfg: cfg, fence: Fence{Lineage: "l"}}
	if err := k.putJSON(t.Context(), "care/_state/w=1.k=0/attempt/"+describing, snapshot{Pipeline: "care", Lineage: "l"}); err != nil {
		t.Fatal(err)
	}
	if snaps, err := k.snapshots(t.Context()); err != nil || len(snaps) != 1 {
		t.Fatalf("%d snapshots, %v", len(snaps), err)
	}
	cfg.Store = forgetful{store}
	if snaps, err := k.snapshots(t.Context()); err != nil || len(snaps) != 0 {
		t.Errorf("%d snapshots, %v", len(snaps), err)
	}
}
