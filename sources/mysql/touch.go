package mysql

import (
	"slices"

	"github.com/zeebo/xxh3"
)

// groupRef names a group in both ways that a snapshot can be compared with: by its place in the log and by its GTID.
type groupRef struct {
	start coord
	gtid  gtid
}

// touchLog notes which keys of a table the stream has changed, and in which group, while chunks of the table's first load are
// under way. Each chunk has a mark in the log from before its snapshot was taken.
type touchLog struct {
	touches []touch
	groups  []groupRef
	base    int // touches that were forgotten before touches[0]
	marks   []*mark
}

type touch struct {
	key   xxh3.Uint128
	group int32 // index into groups
}

// mark is a place in a touchLog that must not be forgotten.
type mark struct{ at int }

// in says which group the next touches belong to.
func (l *touchLog) in(g groupRef) {
	if n := len(l.groups); n == 0 || l.groups[n-1] != g {
		l.groups = append(l.groups, g)
	}
}

func (l *touchLog) touch(key xxh3.Uint128) {
	l.touches = append(l.touches, touch{key, int32(len(l.groups) - 1)})
}

// mark starts to keep what comes.
func (l *touchLog) mark() *mark {
	m := &mark{l.base + len(l.touches)}
	l.marks = append(l.marks, m)
	return m
}

// changed returns the keys touched since the mark by groups that a snapshot does not show; nil when there are none.
func (l *touchLog) changed(m *mark, visible func(groupRef) bool) map[xxh3.Uint128]struct{} {
	const shown, hidden = 1, 2
	judged := make([]int8, len(l.groups))
	var out map[xxh3.Uint128]struct{}
	for _, t := range l.touches[m.at-l.base:] {
		if judged[t.group] == 0 {
			judged[t.group] = hidden
			if visible(l.groups[t.group]) {
				judged[t.group] = shown
			}
		}
		if judged[t.group] == hidden {
			if out == nil {
				out = map[xxh3.Uint128]struct{}{}
			}
			out[t.key] = struct{}{}
		}
	}
	return out
}

// release gives a mark up and forgets what no other one needs. It reports whether none is left.
func (l *touchLog) release(m *mark) (idle bool) {
	l.marks = slices.DeleteFunc(l.marks, func(o *mark) bool { return o == m })
	if len(l.marks) == 0 {
		return true
	}
	first := l.marks[0].at
	for _, o := range l.marks {
		first = min(first, o.at)
	}
	l.touches = slices.Delete(l.touches, 0, first-l.base)
	l.base = first
	keep := len(l.groups) - 1 // the open group may be touched again
	if len(l.touches) > 0 {
		keep = int(l.touches[0].group)
	}
	if keep > 0 {
		l.groups = slices.Delete(l.groups, 0, keep)
		for i := range l.touches {
			l.touches[i].group -= int32(keep)
		}
	}
	return false
}
