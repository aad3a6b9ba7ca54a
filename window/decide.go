package window

import (
	"errors"
	"time"
)

// recovery is what a pipeline does after it has acquired its fence (rule 27).
type recovery int

const (
	goOn        recovery = iota // local state and fence stand at the same step
	publishOnce                 // the local state is one step ahead and has that step pending
	settle                      // the pending step is the fence's: its publish succeeded, the reply was lost
	catchUp                     // the local state is behind: replay up to the fence without publishing
	restore                     // the local state is of no use: discard it, take the newest snapshot <= the fence
)

func (r recovery) String() string {
	return [...]string{"goOn", "publishOnce", "settle", "catchUp", "restore"}[r]
}

// local is what the state file says about itself.
type local struct {
	lineage string
	step    Step // last step applied
	cut     Cut
	pending *Publication // step prepared, not known to be published; its Step is step
}

// recover compares the local state with the fence (invariants 4 and 6, rule 27). A nil local is a lost or unreadable file.
func recoverFrom(l *local, f Fence) recovery {
	switch {
	case l == nil || l.lineage != f.Lineage: // H12: another warehouse, or one restored from a backup without us
		return restore
	case l.pending != nil && l.pending.Step.same(f.Step) && l.pending.Hash == f.Manifest:
		return settle // H14
	case l.pending != nil && l.pending.Prev.same(f.Step):
		return publishOnce // H13
	case l.pending != nil:
		return restore // the old images are gone: the file cannot be rewound
	case l.step.same(f.Step):
		return goOn
	case l.step.before(f.Step):
		return catchUp
	}
	return restore // ahead without a pending step: the warehouse was set back (H12)
}

// outcome is what a publish attempt that did not say yes means (rules 24 and 25).
type outcome int

const (
	committed outcome = iota // it is in the warehouse
	again                    // it is not, and the fence still waits for it: try the same manifest again
	stepDown                 // another owner holds the fence, or the warehouse is not the one we knew
	askAgain                 // the fence cannot be read: nothing is known yet
	refused                  // a person has to act
)

func (o outcome) String() string {
	return [...]string{"committed", "again", "stepDown", "askAgain", "refused"}[o]
}

// judge decides about a publish from its error and from the fence read after it. The fence decides, never the error:
// a commit whose reply was lost and a commit that never happened give the same error (H14).
func judge(p *Publication, publish error, f Fence, read error) outcome {
	var no *RefusedError
	switch {
	case publish == nil:
		return committed
	case errors.As(publish, &no):
		return refused // declared before anything was committed
	case errors.Is(read, ErrNoFence):
		return stepDown
	case read != nil:
		return askAgain
	case f.Lineage != p.Lineage || f.Epoch > p.Epoch:
		return stepDown // H6
	case f.Step.same(p.Step) && f.Manifest == p.Hash:
		return committed
	case f.Epoch == p.Epoch && f.Step.same(p.Prev) && !errors.Is(publish, ErrFenced):
		return again
	}
	return stepDown
}

// stamp is a time in object keys: RFC 3339 in its basic form, which sorts and needs no escaping.
func stamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

// same compares steps by what they are, whatever the time zone or precision a warehouse gives back.
func (s Step) same(t Step) bool {
	return s.Start.Equal(t.Start) && s.End.Equal(t.End) && s.Slice == t.Slice && s.Final == t.Final
}

// before orders steps of one pipeline.
func (s Step) before(t Step) bool {
	if !s.Start.Equal(t.Start) {
		return s.Start.Before(t.Start)
	}
	return s.Slice < t.Slice
}
