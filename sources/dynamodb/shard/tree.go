package shard

import (
	"maps"
	"slices"
	"time"
)

// Phase is how far a shard is.
type Phase uint8

// The phases of a shard.
const (
	Waiting  Phase = iota // its parent is not finished
	Reading               //
	Finished              // everything in it is emitted
)

// Shard is what is known of a shard, and what a checkpoint holds of it.
type Shard struct {
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	Phase  Phase  `json:"phase,omitempty"`
	// Seq is the last record emitted; empty when there was none.
	Seq string `json:"seq,omitempty"`
	// Since: records of before, in seconds since 1970, are not wanted: it was there at the first discovery.
	Since int64 `json:"since,omitempty"`
	// Ended is when it was finished, in seconds since 1970.
	Ended int64 `json:"ended,omitempty"`

	missed int // listings in a row that did not have it
}

// Listing is a shard as the server lists it.
type Listing struct {
	ID, Parent string
	Closed     bool // it has an ending sequence number
}

// Do is what an effect asks for.
type Do uint8

// The effects.
const (
	Open     Do = iota + 1 // read the shard from where it stands
	Discover               // ask for the children of the shard
	Lost                   // the shard held records that nobody has read
)

// Effect is something to be done about a shard.
type Effect struct {
	Do    Do
	Shard *Shard
}

// patience is how many listings may lack a shard that is being read, before it counts as gone (invariant 6).
const patience = 5

// memory is how long a finished shard is remembered at least (invariant 4): twice as long as the server keeps one.
const memory = 48 * time.Hour

// Tree is the shards of one stream.
type Tree struct {
	shards  map[string]*Shard
	changed bool
}

// New makes a tree of what a checkpoint holds; of nothing it is empty.
func New(shards []Shard) *Tree {
	t := &Tree{shards: map[string]*Shard{}}
	for _, s := range shards {
		t.shards[s.ID] = &s
	}
	return t
}

// Shards are all shards, for a checkpoint, by id: ids begin with the time they were made at.
func (t *Tree) Shards() []Shard {
	out := make([]Shard, 0, len(t.shards))
	for _, id := range slices.Sorted(maps.Keys(t.shards)) {
		out = append(out, *t.shards[id])
	}
	return out
}

// Changed reports whether the tree differs from what was taken last, and takes it.
func (t *Tree) Changed() bool {
	was := t.changed
	t.changed = false
	return was
}

// Begin is the first discovery of a fresh source: shards that are closed are no concern of ours, and of the others what
// was written before now neither (invariant 2).
func (t *Tree) Begin(listed []Listing, now time.Time) {
	for _, l := range listed {
		s := &Shard{ID: l.ID, Parent: l.Parent, Since: now.Unix()}
		if l.Closed {
			s.Phase, s.Ended, s.Since = Finished, now.Unix(), 0
		}
		t.shards[l.ID] = s
	}
	t.changed = true
}

// Again begins with all shards that there are, closed ones too, for the records from a time on.
func (t *Tree) Again(listed []Listing, from time.Time) {
	for _, l := range listed {
		t.shards[l.ID] = &Shard{ID: l.ID, Parent: l.Parent, Since: from.Unix()}
	}
	t.changed = true
}

// Listed takes a whole listing into account.
func (t *Tree) Listed(listed []Listing, now time.Time) []Effect {
	there := make(map[string]bool, len(listed))
	for _, l := range listed {
		there[l.ID] = true
		t.add(l)
	}
	var out []Effect
	for _, id := range slices.Sorted(maps.Keys(t.shards)) {
		s := t.shards[id]
		if there[id] {
			s.missed = 0
			continue
		}
		s.missed++
		switch {
		case s.Phase == Finished && s.missed > 1 && now.Sub(time.Unix(s.Ended, 0)) >= memory && t.childless(id):
			delete(t.shards, id)
			t.changed = true
		case s.Phase != Finished && s.missed == patience: // invariant 5
			out = append(out, Effect{Lost, s})
		}
	}
	return append(out, t.start()...)
}

// Children takes the children of a finished shard into account.
func (t *Tree) Children(listed []Listing) []Effect {
	for _, l := range listed {
		t.add(l)
	}
	return t.start()
}

func (t *Tree) add(l Listing) {
	if t.shards[l.ID] != nil { // finished ones that come back, too (invariant 4)
		return
	}
	t.shards[l.ID] = &Shard{ID: l.ID, Parent: l.Parent}
	t.changed = true
}

// childless reports whether nothing unfinished hangs on the shard.
func (t *Tree) childless(id string) bool {
	for _, s := range t.shards {
		if s.Parent == id && s.Phase != Finished {
			return false
		}
	}
	return true
}

// start opens what waits and need not any more (invariants 1, 5).
func (t *Tree) start() []Effect {
	var out []Effect
	for _, id := range slices.Sorted(maps.Keys(t.shards)) {
		s := t.shards[id]
		if s.Phase != Waiting {
			continue
		}
		if p := t.shards[s.Parent]; p != nil && p.Phase != Finished {
			continue
		}
		s.Phase = Reading
		t.changed = true
		out = append(out, Effect{Open, s})
	}
	return out
}

// Resume opens what is to be read after a restart.
func (t *Tree) Resume() []Effect {
	var out []Effect
	for _, id := range slices.Sorted(maps.Keys(t.shards)) {
		if s := t.shards[id]; s.Phase == Reading {
			out = append(out, Effect{Open, s})
		}
	}
	return append(out, t.start()...)
}

// Advance notes the last record of a shard that was emitted.
func (t *Tree) Advance(id, seq string) {
	t.shards[id].Seq = seq
	t.changed = true
}

// Ended finishes a shard: the server has said so, and everything in it is emitted (invariant 3).
func (t *Tree) Ended(id string, now time.Time) []Effect {
	s := t.shards[id]
	if s == nil || s.Phase == Finished {
		return nil
	}
	s.Phase, s.Ended, s.Since = Finished, now.Unix(), 0
	t.changed = true
	return append([]Effect{{Discover, s}}, t.start()...)
}

// Trimmed is told when the server no longer has what follows in a shard.
func (t *Tree) Trimmed(id string) []Effect {
	s := t.shards[id]
	if s == nil || s.Phase == Finished {
		return nil
	}
	return []Effect{{Lost, s}}
}

// Get returns a shard, or nil.
func (t *Tree) Get(id string) *Shard { return t.shards[id] }

// Count says how many shards are in a phase.
func (t *Tree) Count(p Phase) int {
	n := 0
	for _, s := range t.shards {
		if s.Phase == p {
			n++
		}
	}
	return n
}

// Drained reports whether there is nothing left to read: every shard is finished.
func (t *Tree) Drained() bool { return t.Count(Finished) == len(t.shards) }

// HasChild reports whether a child of the shard is known.
func (t *Tree) HasChild(id string) bool {
	for _, s := range t.shards {
		if s.Parent == id {
			return true
		}
	}
	return false
}

// heirs is how long a shard that has ended is waited for to have children: the listing may be behind.
const heirs = 2 * time.Minute

// Heirless reports whether a shard has ended just now whose children are not known: a shard ends only because others go on.
func (t *Tree) Heirless(now time.Time) bool {
	parents := map[string]bool{}
	for _, s := range t.shards {
		parents[s.Parent] = true
	}
	for id, s := range t.shards {
		if s.Phase == Finished && !parents[id] && now.Sub(time.Unix(s.Ended, 0)) < heirs {
			return true
		}
	}
	return false
}
