package window

// fate is what a step does with one input topic.
type fate int

const (
	applies fate = iota // its rows of the step go into state and outputs
	gathers             // its rows are kept: a later base will need them
	drops               // its rows are of no use: the table is parked, a new load will bring everything
	bases               // everything gathered is the table's new content
)

func (f fate) String() string { return [...]string{"applies", "gathers", "drops", "bases"}[f] }

// holds decides the fate of a topic's slice. hold is nil for a table that is published, in the generation now. baseable says
// whether this slice may end a hold: it is the last of its window and the step is one that bases. anew says that the table's
// content begins with this slice, and what was gathered before is of no use.
//
// In a generation loads only ever grow. A table that was parked at n completed loads stands still until a seal says n+1, or
// until a generation begins: the rows that came between its unparking and that seal are the new load and the stream beside
// it, so together they are the table. A slice of an earlier generation than the one waited for brings nothing.
func holds(hold *Hold, now int, t sealedTopic, baseable bool) (h *Hold, f fate, anew bool) {
	loads := 0
	if hold != nil {
		now, loads = hold.Generation, hold.Loads
	}
	anew = t.generation > now
	if anew {
		loads = 0
	}
	switch {
	case t.generation < now:
		return hold, drops, false
	case t.parked != "":
		return &Hold{Parked: t.parked, Loads: t.loads, Generation: t.generation}, drops, false
	case hold == nil && !anew:
		return nil, applies, false
	case t.loads > loads && baseable:
		return nil, bases, anew
	}
	return &Hold{Loads: loads, Generation: t.generation}, gathers, anew
}

// gated reports whether the pipeline's first publish must wait for this topic (rule 31): its load is not complete. A parked
// table never blocks the others.
func gated(hold *Hold, now int, t sealedTopic) bool {
	h, _, _ := holds(hold, now, t, true)
	return h != nil && h.Parked == ""
}
