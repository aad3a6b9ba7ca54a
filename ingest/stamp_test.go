package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

var ten = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func newStamper(t testing.TB) *stamper {
	t.Helper()
	g, err := grid.New(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return &stamper{grid: g, skew: 2 * time.Minute, grace: 2 * time.Second, open: g.At(ten)}
}

func show(seals []sealing) string {
	var out []string
	for _, x := range seals {
		kind := "slice"
		if x.final {
			kind = "final"
		}
		out = append(out, fmt.Sprintf("%s.%d %s %s late=%d/%s", x.window.Start.Format("15:04"), x.slice, kind, x.proof, x.late, x.maxLate))
	}
	return strings.Join(out, ", ")
}

func TestStamping(t *testing.T) {
	at := func(minutes float64) time.Time { return ten.Add(time.Duration(minutes * float64(time.Minute))) }
	for name, c := range map[string]struct {
		do   func(s *stamper) []sealing
		want string
		open string
	}{
		"inside":                    {func(s *stamper) []sealing { return s.begin(at(14.99), at(14.99)) }, "", "10:00.0"},
		"first instant of the next": {func(s *stamper) []sealing { return s.begin(at(15), at(15)) }, "10:00.0 final stream late=0/0s", "10:15.0"},
		"windows that are passed empty are sealed too": {func(s *stamper) []sealing { return s.begin(at(46), at(46)) },
			"10:00.0 final stream late=0/0s, 10:15.0 final stream late=0/0s, 10:30.0 final stream late=0/0s", "10:45.0"},
		"a commit time from the future counts as two minutes ahead": {func(s *stamper) []sealing { return s.begin(at(600), at(14)) },
			"10:00.0 final stream late=0/0s", "10:15.0"},
		"a stamp never goes back": {func(s *stamper) []sealing {
			s.begin(at(16), at(16))
			return s.begin(at(3), at(16))
		}, "", "10:15.0"},
		"late groups are counted in the slice that they are in": {func(s *stamper) []sealing {
			s.begin(at(16), at(16))
			for _, m := range []float64{14, 3, 15} {
				s.begin(at(m), at(16))
				s.end(at(m))
			}
			return s.begin(at(30), at(30))
		}, "10:15.0 final stream late=2/12m0s", "10:30.0"},
		"idle inside the grace":          {func(s *stamper) []sealing { return s.idle(at(15).Add(1999 * time.Millisecond)) }, "", "10:00.0"},
		"idle past the grace":            {func(s *stamper) []sealing { return s.idle(at(15).Add(2 * time.Second)) }, "10:00.0 final idle late=0/0s", "10:15.0"},
		"idle for long":                  {func(s *stamper) []sealing { return s.idle(at(31)) }, "10:00.0 final idle late=0/0s, 10:15.0 final idle late=0/0s", "10:30.0"},
		"a slice":                        {func(s *stamper) []sealing { return []sealing{s.cut()} }, "10:00.0 slice slice late=0/0s", "10:00.1"},
		"the last slice ends the window": {func(s *stamper) []sealing { s.cut(); return s.begin(at(15), at(15)) }, "10:00.1 final stream late=0/0s", "10:15.0"},
		"after an idle seal a late group goes to the open window": {func(s *stamper) []sealing {
			s.idle(at(16))
			return s.begin(at(14), at(16))
		}, "", "10:15.0"},
	} {
		s := newStamper(t)
		if got := show(c.do(s)); got != c.want {
			t.Errorf("%s: sealed %q, want %q", name, got, c.want)
		}
		if got := fmt.Sprintf("%s.%d", s.open.Start.Format("15:04"), s.slice); got != c.open {
			t.Errorf("%s: open is %s, want %s", name, got, c.open)
		}
	}
}

// Seals follow each other without a gap, whatever comes; after a group has begun its stamp is in the open window.
func TestSealsAreContiguous(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := newStamper(t)
		next, now := openSlice{s.open, 0}, ten
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(600)) * time.Second)
			commit := now.Add(time.Duration(rng.IntN(1200)-600) * time.Second)
			var seals []sealing
			stamped := false
			switch rng.IntN(4) {
			case 0:
				seals = s.idle(commit)
			case 1:
				seals = []sealing{s.cut()}
			default:
				seals, stamped = s.begin(commit, now), true
			}
			for _, x := range seals {
				if x.window != next.window || x.slice != next.slice {
					t.Fatalf("seed %d: sealed %s.%d, want %s.%d", seed, x.window, x.slice, next.window, next.slice)
				}
				next = x.next()
			}
			if next.window != s.open || next.slice != s.slice {
				t.Fatalf("seed %d: open is %s.%d, want %s.%d", seed, s.open, s.slice, next.window, next.slice)
			}
			if stamped && !s.open.Contains(s.stamp) {
				t.Fatalf("seed %d: stamp %s is outside %s", seed, s.stamp, s.open)
			}
		}
	}
}

// A clock that is years behind at a first start does not seal years of windows.
func TestFirstWindowIsTheServers(t *testing.T) {
	var now atomic.Int64 // 1970
	log := newSimLog()
	e := log.env(nil, false)
	cfg := simConfig(rand.New(rand.NewPCG(1, 2)), &now, 10*time.Second)
	h := &history{start: ten, end: ten.Add(25 * time.Second), tables: []Schema{*simSchema("a", 1)}, window: 10 * time.Second}
	if err := stream(t.Context(), cfg, e, idleSource{h}); err != nil {
		t.Fatal(err)
	}
	seals := 0
	for _, r := range log.Topics["tm.src.db.a"][0] {
		if h, _, err := ParseRecord(r.Value); err != nil || h.Window.Year() == 1970 {
			t.Fatalf("window %s: %v", h.Window, err)
		} else if h.Kind == SealRecord {
			seals++
		}
	}
	if seals < 2 {
		t.Errorf("%d seals", seals)
	}
}

// idleSource proves idleness twice.
type idleSource struct{ h *history }

func (s idleSource) Prepare(context.Context) ([]Schema, error) { return s.h.tables, nil }

func (s idleSource) Run(ctx context.Context, _ Resume, out Emitter) error {
	if err := out.Start(ctx, "g0"); err != nil {
		return err
	}
	if err := out.Idle(ctx, s.h.start); err != nil {
		return err
	}
	return out.Idle(ctx, s.h.end)
}
