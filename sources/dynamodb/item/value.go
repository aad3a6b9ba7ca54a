package item

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// Tag is the kind of an attribute's value.
type Tag uint8

// The kinds that DynamoDB has. What it may get one day is Unknown: it is carried, not understood (invariant 3).
const (
	Unknown Tag = iota
	S
	N
	B
	BOOL
	NULL
	M
	L
	SS
	NS
	BS
)

var tagNames = [...]string{"unknown", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}

func (t Tag) String() string { return tagNames[t] }

func tagOf(name []byte) Tag {
	switch string(name) {
	case "S":
		return S
	case "N":
		return N
	case "B":
		return B
	case "BOOL":
		return BOOL
	case "NULL":
		return NULL
	case "M":
		return M
	case "L":
		return L
	case "SS":
		return SS
	case "NS":
		return NS
	case "BS":
		return BS
	}
	return Unknown
}

// Attribute is one attribute of an item: slices of the text it was read from.
type Attribute struct {
	Name []byte // as it is: escapes are resolved
	Tag  Tag
	raw  []byte // the value without its tag; of an Unknown one the whole tagged value
}

// Parse splits an item into its attributes. It appends to into, whose memory it reuses.
func Parse(text []byte, into []Attribute) ([]Attribute, error) {
	s := scanner{b: text}
	out := into[:0]
	s.members(func(name []byte) {
		a := Attribute{Name: name}
		a.Tag, a.raw = s.tagged()
		if !plain(name) {
			unescaped, ok := appendText(nil, name)
			s.bad = s.bad || !ok
			a.Name = unescaped
		}
		out = append(out, a)
	})
	if !s.end() {
		return nil, errMalformed
	}
	return out, nil
}

// tagged reads {"TAG": value}.
func (s *scanner) tagged() (tag Tag, raw []byte) {
	s.space()
	from, members := s.i, 0
	s.members(func(name []byte) {
		tag = tagOf(name)
		raw = s.value()
		members++
	})
	switch {
	case s.bad:
		return Unknown, nil
	case members != 1 || !shaped(tag, raw):
		return Unknown, s.b[from:s.i]
	}
	return tag, raw
}

// shaped reports whether a value looks as its kind does: strings, arrays and objects in their place.
func shaped(t Tag, raw []byte) bool {
	switch t {
	case S, N, B:
		return raw[0] == '"'
	case BOOL, NULL:
		return string(raw) == "true" || t == BOOL && string(raw) == "false"
	case M:
		return raw[0] == '{'
	case L, SS, NS, BS:
		return raw[0] == '['
	}
	return false
}

// inside is a string without its quotes.
func inside(raw []byte) []byte { return raw[1 : len(raw)-1] }

// appendBinary appends the bytes of a B. Base64 has no character that JSON escapes, but a slash may be.
func appendBinary(dst, raw []byte) ([]byte, bool) {
	if !plain(raw) {
		text, ok := appendText(nil, raw)
		if !ok {
			return dst, false
		}
		raw = text
	}
	n := len(dst)
	dst = slices.Grow(dst, base64.StdEncoding.DecodedLen(len(raw)))
	m, err := base64.StdEncoding.Decode(dst[n:n+base64.StdEncoding.DecodedLen(len(raw))], raw)
	return dst[:n+m], err == nil
}

// appendJSON appends the canonical JSON of a value (invariant 2): maps sorted by name, sets by value, binary as base64. A value
// that is not understood keeps its tag.
func appendJSON(dst []byte, tag Tag, raw []byte, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return dst, false
	}
	switch tag {
	case S:
		text, ok := appendText(nil, inside(raw))
		return appendQuoted(dst, text), ok
	case N:
		n, ok := parseNumber(inside(raw), nil)
		if !ok {
			return dst, false
		}
		return n.appendJSON(dst), true
	case B:
		b, ok := appendBinary(nil, inside(raw))
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"'), ok
	case BOOL:
		return append(dst, raw...), true
	case NULL:
		return append(dst, "null"...), true
	case M:
		return appendMap(dst, raw, depth)
	case L:
		return appendList(dst, raw, depth)
	case SS, NS, BS:
		return appendSet(dst, tag, raw)
	}
	return appendUnknown(dst, raw)
}

// appendUnknown appends JSON as it is without the space between its parts.
func appendUnknown(dst, raw []byte) ([]byte, bool) {
	quoted := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quoted && c == '\\' && i+1 < len(raw):
			dst = append(dst, c, raw[i+1])
			i++
			continue
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, c)
	}
	return dst, true
}

func appendMap(dst, raw []byte, depth int) ([]byte, bool) {
	members, err := Parse(raw, nil)
	if err != nil {
		return dst, false
	}
	return appendMembers(dst, members, depth)
}

// appendMembers appends an object of attributes, sorted by name.
func appendMembers(dst []byte, members []Attribute, depth int) ([]byte, bool) {
	slices.SortFunc(members, func(a, b Attribute) int { return bytes.Compare(a.Name, b.Name) })
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, m.Name), ':')
		at := len(dst)
		var ok bool
		if dst, ok = appendJSON(dst, m.Tag, m.raw, depth+1); ok {
			continue
		}
		// A number that is none, base64 that is none: the value is carried with its tag (invariant 3). One item must not stop a table.
		dst = append(append(append(dst[:at], `{"`...), m.Tag.String()...), `":`...)
		if dst, ok = appendUnknown(dst, m.raw); !ok {
			return dst, false
		}
		dst = append(dst, '}')
	}
	return append(dst, '}'), true
}

func appendList(dst, raw []byte, depth int) ([]byte, bool) {
	s := scanner{b: raw}
	dst, first, ok := append(dst, '['), true, true
	s.elements(func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		tag, value := s.tagged()
		if s.bad {
			return
		}
		var fits bool
		dst, fits = appendJSON(dst, tag, value, depth+1)
		ok = ok && fits
	})
	return append(dst, ']'), ok && s.end()
}

// member is an element of a set: what it is sorted by, and its JSON.
type member struct {
	text   []byte
	number Number
	json   []byte
}

func appendSet(dst []byte, tag Tag, raw []byte) ([]byte, bool) {
	s := scanner{b: raw}
	var all []member
	ok := true
	s.elements(func() {
		text := s.text()
		if s.bad {
			return
		}
		var m member
		var fits bool
		switch tag {
		case SS:
			m.text, fits = appendText(nil, text)
			m.json = appendQuoted(nil, m.text)
		case NS:
			if m.number, fits = parseNumber(text, nil); fits {
				m.json = m.number.appendJSON(nil)
			}
		default:
			m.text, fits = appendBinary(nil, text)
			m.json = append(base64.StdEncoding.AppendEncode([]byte{'"'}, m.text), '"')
		}
		ok = ok && fits
		all = append(all, m)
	})
	slices.SortFunc(all, func(a, b member) int {
		if tag == NS {
			return compareNumbers(&a.number, &b.number)
		}
		return bytes.Compare(a.text, b.text)
	})
	dst = append(dst, '[')
	for i, m := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, m.json...)
	}
	return append(dst, ']'), ok && s.end()
}
