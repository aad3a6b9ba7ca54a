package item

import (
	"github.com/tidemill/tidemill/ingest"
)

// Seen is what is known of one attribute: a place in the lattice missing < null < {int64 < decimal < number as text, text,
// bytes, bool} < JSON. It only grows (invariant 4).
type Seen struct {
	Tags  uint16 `json:"t,omitempty"` // bit 1<<Tag
	Whole int    `json:"w,omitempty"` // of numbers: most digits before the point
	Scale int    `json:"s,omitempty"` // most behind it
	Wide  bool   `json:"x,omitempty"` // there is a number that is no int64
}

// Profile is what is known of a table's attributes.
type Profile map[string]Seen

// maxProfile bounds a profile. Some tables have names that are data ("score-of-4711"): those stay in _extra, and the state, which is
// a record of the log, stays small.
const maxProfile = 2000

// Note takes the attributes of an item into account. It reports whether the profile has grown.
func (p Profile) Note(attributes []Attribute) (grown bool) {
	for i := range attributes {
		a := &attributes[i]
		was, known := p[string(a.Name)]
		if !known && len(p) >= maxProfile {
			continue
		}
		now := was
		now.note(a)
		if !known || now != was {
			p[string(a.Name)] = now
			grown = true
		}
	}
	return grown
}

func (s *Seen) note(a *Attribute) {
	s.Tags |= 1 << a.Tag
	if a.Tag != N {
		return
	}
	var digits [64]byte
	n, ok := parseNumber(inside(a.raw), digits[:])
	if !ok {
		s.Tags |= 1 << Unknown
		return
	}
	s.Whole, s.Scale = max(s.Whole, n.whole()), max(s.Scale, n.scale())
	if _, fits := n.Int64(); !fits {
		s.Wide = true
	}
}

// Join is the least that is above both.
func (s Seen) Join(o Seen) Seen {
	return Seen{s.Tags | o.Tags, max(s.Whole, o.Whole), max(s.Scale, o.Scale), s.Wide || o.Wide}
}

// Join takes another profile into account. It reports whether this one has grown.
func (p Profile) Join(o Profile) (grown bool) {
	for name, seen := range o {
		was, known := p[name]
		if !known && len(p) >= maxProfile {
			continue
		}
		if now := was.Join(seen); !known || now != was {
			p[name] = now
			grown = true
		}
	}
	return grown
}

// only reports whether nothing but values of the tag was seen, and NULLs.
func (s Seen) only(t Tag) bool { return s.Tags&^(1<<NULL) == 1<<t }

// spareScale is what a decimal column has at least: amounts that happen to be rounded in the rows at hand have their digits
// later.
const spareScale = 9

// column is the type that holds everything that was seen. ok is false when there has been no value yet.
func (s Seen) column() (c ingest.Column, ok bool) {
	switch {
	case s.Tags&^(1<<NULL) == 0:
		return c, false
	case s.only(S):
		return ingest.Column{Type: ingest.Type{Kind: ingest.Text}, Native: S.String()}, true
	case s.only(BOOL):
		return ingest.Column{Type: ingest.Type{Kind: ingest.Bool}, Native: BOOL.String()}, true
	case s.only(B):
		return ingest.Column{Type: ingest.Type{Kind: ingest.Bytes}, Native: B.String()}, true
	case s.only(N):
		return ingest.Column{Type: s.number(), Native: N.String()}, true
	}
	for _, t := range []Tag{M, L, SS, NS, BS} {
		if s.only(t) {
			return ingest.Column{Type: ingest.Type{Kind: ingest.JSON}, Native: t.String()}, true
		}
	}
	return ingest.Column{Type: ingest.Type{Kind: ingest.JSON}, Native: "mixed"}, true
}

// number is the type of a column of numbers.
func (s Seen) number() ingest.Type {
	switch {
	case !s.Wide:
		return ingest.Type{Kind: ingest.Int64}
	case s.Whole+s.Scale > 38:
		return ingest.Type{Kind: ingest.Text}
	}
	return ingest.Type{Kind: ingest.Decimal, Precision: 38, Scale: int32(min(max(s.Scale, spareScale), 38-s.Whole))}
}
