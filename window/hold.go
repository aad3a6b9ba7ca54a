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

// holds decides the fate of a topic's slice. hold is nil for a table that is published. baseable says whether this slice
// may end a hold: it is the last of its window and the step is one that bases.
//
// Loads only ever grow. A table that was parked at n completed loads stands still until a seal says n+1: the rows that
// came between its unparking and that seal are the new load and the stream beside it, so together they are the table.
func holds(hold *Hold, t sealedTopic, baseable bool) (*Hold, fate) {
	switch {
	case t.parked != "":
		return &Hold{Parked: t.parked, Loads: t.loads}, drops
	case hold == nil:
		return nil, applies
	case t.loads > hold.Loads && baseable:
		return nil, bases
	}
	return &Hold{Loads: hold.Loads}, gathers
}

// gated reports whether the pipeline's first publish must wait for this topic (rule 31): its first load is not complete.
// A parked table never blocks the others.
func gated(hold *Hold, t sealedTopic) bool {
	return t.parked == "" && hold != nil && t.loads <= hold.Loads
}
