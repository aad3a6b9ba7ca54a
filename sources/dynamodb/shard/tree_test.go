package shard

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func show(effects []Effect) string {
	names := map[Do]string{Open: "open", Discover: "discover", Lost: "lost"}
	var out []string
	for _, e := range effects {
		s := names[e.Do] + " " + e.Shard.ID
		if e.Do == Open && e.Shard.Since > 0 {
			s += " since"
		}
		if e.Do == Open && e.Shard.Seq != "" {
			s += " after " + e.Shard.Seq
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func is(t *testing.T, got []Effect, want string) {
	t.Helper()
	if show(got) != want {
		t.Errorf("got %q, want %q", show(got), want)
	}
}

// redpanda 4687, FLINK-36523: the start position was used for shards that came by rotation, and their backlog was lost.
func TestLatestOnRotatedShardsLosesTheirBacklog(t *testing.T) {
	tr := New(nil)
	tr.Begin([]Listing{{ID: "a"}, {ID: "old", Closed: true}}, now)
	is(t, tr.Listed([]Listing{{ID: "a"}, {ID: "old", Closed: true}}, now), "open a since")
	is(t, tr.Ended("a", now), "discover a")
	is(t, tr.Children([]Listing{{ID: "b", Parent: "a"}}), "open b")
	is(t, tr.Listed([]Listing{{ID: "a", Closed: true}, {ID: "b", Parent: "a"}, {ID: "c", Parent: "old"}}, now), "open c")
}

// B7.5: a child is listed before its parent is closed. A parent that is shown open and has a child is closed; it is read
// to its end all the same.
func TestAChildBeforeItsParentIsClosedWaits(t *testing.T) {
	tr := New(nil)
	tr.Begin([]Listing{{ID: "a"}}, now)
	is(t, tr.Listed([]Listing{{ID: "a"}, {ID: "b", Parent: "a"}}, now), "open a since")
	is(t, tr.Listed([]Listing{{ID: "a"}, {ID: "b", Parent: "a"}}, now), "")
	is(t, tr.Ended("a", now), "discover a, open b")
}

// spanner-migration-tool 347 waited for a trimmed parent for ever.
func TestATrimmedParentThatWeDoNotKnowIsFinished(t *testing.T) {
	tr := New(nil)
	is(t, tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now), "open b")
}

// The other half: a parent that we were reading and that is gone has taken records with it.
func TestATrimmedParentThatWeWereReadingIsALoss(t *testing.T) {
	tr := New([]Shard{{ID: "a", Phase: Reading, Seq: "7"}})
	is(t, tr.Resume(), "open a after 7")
	for range patience - 1 {
		is(t, tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now), "")
	}
	is(t, tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now), "lost a")
	is(t, tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now), "")
	is(t, New([]Shard{{ID: "a", Phase: Reading}}).Trimmed("a"), "lost a")
	is(t, New([]Shard{{ID: "a", Phase: Finished}}).Trimmed("a"), "")
}

// The server's listing may be behind: one that lacks a shard proves nothing.
func TestOneListingWithoutAShardProvesNothing(t *testing.T) {
	tr := New([]Shard{{ID: "a", Phase: Reading}})
	for range 3 * patience {
		is(t, tr.Listed(nil, now), "")
		is(t, tr.Listed([]Listing{{ID: "a"}}, now), "")
	}
}

// KCL adapter 1.5.0 ("lineage replay"), FLINK-36239: a finished shard that is forgotten and listed again is read again.
func TestAFinishedShardIsNotReadAgain(t *testing.T) {
	tr := New([]Shard{{ID: "a", Phase: Reading}})
	tr.Ended("a", now)
	is(t, tr.Listed([]Listing{{ID: "a", Closed: true}}, now), "")
	for range 3 {
		is(t, tr.Listed(nil, now.Add(time.Hour)), "") // the server's listings are behind
	}
	is(t, tr.Listed([]Listing{{ID: "a", Closed: true}}, now.Add(2*time.Hour)), "")
	is(t, tr.Listed(nil, now.Add(25*time.Hour)), "")
	is(t, tr.Listed([]Listing{{ID: "a", Closed: true}}, now.Add(26*time.Hour)), "") // it comes back
	tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now.Add(26*time.Hour))             // and has a child
	for range 10 {
		tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now.Add(60*time.Hour))
	}
	if tr.Get("a") == nil {
		t.Error("it was forgotten while its child is read")
	}
	tr.Ended("b", now.Add(61*time.Hour))
	for range 2 {
		tr.Listed([]Listing{{ID: "b", Parent: "a"}}, now.Add(61*time.Hour))
	}
	if tr.Get("a") != nil {
		t.Error("it is never forgotten")
	}
}

// Adapter issue 20, FLINK-37627: children are asked for when their parent ends, and a restart in between must find them, too.
func TestARestartAtASplitFindsTheChildren(t *testing.T) {
	tr := New([]Shard{{ID: "a", Phase: Reading, Seq: "5"}})
	is(t, tr.Ended("a", now), "discover a")
	again := New(tr.Shards())
	is(t, again.Resume(), "")
	is(t, again.Listed([]Listing{{ID: "a", Closed: true}, {ID: "b", Parent: "a"}, {ID: "c", Parent: "a"}}, now), "open b, open c")
}

// B7.4: more shards than a page of DescribeStream.
func TestBursts(t *testing.T) {
	for _, n := range []int{250, 684} {
		tr := New(nil)
		listed := []Listing{{ID: "root", Closed: true}}
		for i := range n {
			listed = append(listed, Listing{ID: fmt.Sprintf("s%04d", i), Parent: "root"})
		}
		is(t, tr.Listed(listed, now), "open root")
		if got := len(tr.Ended("root", now)); got != n+1 {
			t.Errorf("%d effects at the end of the root, want %d", got, n+1)
		}
	}
}

func TestSequenceNumbersAreNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"9", "10", -1}, {"00010", "10", 0}, {"300000000000000499659", "300000000000000499660", -1}, {"4000000000000000000000000000000000000001", "4000000000000000000000000000000000000000", 1}} {
		if got := Compare(c.a, c.b); got != c.want {
			t.Errorf("Compare(%s, %s) = %d", c.a, c.b, got)
		}
	}
}

// Whatever is listed in whatever order, with whatever missing, and wherever it is stopped: no shard is opened before its
// parent is finished, none twice in one run, and in the end all are read.
func TestAnyListing(t *testing.T) {
	for seed := range uint64(800) {
		if err := anyListing(rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func anyListing(rng *rand.Rand) error {
	truth := []Listing{}
	for i := range 2 + rng.IntN(12) {
		l := Listing{ID: fmt.Sprintf("s%02d", i)}
		if i > 1 {
			l.Parent = truth[rng.IntN(i)].ID
		}
		truth = append(truth, l)
	}
	tr, opened, finished := New(nil), map[string]bool{}, map[string]bool{}
	parent := map[string]string{}
	for _, l := range truth {
		parent[l.ID] = l.Parent
	}
	at := now
	do := func(effects []Effect) error {
		for _, e := range effects {
			if e.Do == Lost {
				return fmt.Errorf("%s is lost", e.Shard.ID)
			}
			if e.Do != Open {
				continue
			}
			if p := parent[e.Shard.ID]; p != "" && !finished[p] || opened[e.Shard.ID] || finished[e.Shard.ID] {
				return fmt.Errorf("%s is opened; its parent %s is finished: %v; opened before: %v", e.Shard.ID, p, finished[p], opened[e.Shard.ID])
			}
			opened[e.Shard.ID] = true
		}
		return nil
	}
	for range 400 {
		at = at.Add(time.Minute)
		var err error
		switch rng.IntN(4) {
		case 0, 1: // a child is never listed without its parent, and nothing stays away for long
			seen, some := map[string]bool{}, []Listing{}
			cut := len(truth)
			if rng.IntN(3) == 0 {
				cut = max(tr.Count(Finished)+tr.Count(Reading)+tr.Count(Waiting), 1)
			}
			for _, l := range truth[:min(cut, len(truth))] {
				if l.Parent == "" || seen[l.Parent] {
					seen[l.ID] = true
					some = append(some, l)
				}
			}
			rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			err = do(tr.Listed(some, at))
		case 2:
			for id := range opened {
				if !finished[id] && rng.IntN(2) == 0 {
					finished[id] = true
					err = do(tr.Ended(id, at))
					break
				}
			}
		case 3: // the process is killed: what was read and not finished is opened again
			if rng.IntN(4) == 0 {
				tr = New(tr.Shards())
				opened = map[string]bool{}
				err = do(tr.Resume())
			}
		}
		if err != nil {
			return err
		}
	}
	if err := do(tr.Listed(truth, at)); err != nil {
		return err
	}
	for range 40 {
		for _, s := range tr.Shards() {
			if s.Phase == Reading {
				finished[s.ID] = true
				if err := do(tr.Ended(s.ID, at)); err != nil {
					return err
				}
			}
		}
	}
	if len(finished) != len(truth) || !tr.Drained() {
		return fmt.Errorf("%d of %d shards were read", len(finished), len(truth))
	}
	return nil
}
