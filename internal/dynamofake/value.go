package dynamofake

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// kind is an attribute's type by its name on the wire.
type kind string

const (
	kindS    kind = "S"
	kindN    kind = "N"
	kindB    kind = "B"
	kindBool kind = "BOOL"
	kindNull kind = "NULL"
	kindSS   kind = "SS"
	kindNS   kind = "NS"
	kindBS   kind = "BS"
	kindL    kind = "L"
	kindM    kind = "M"
)

// value is one attribute value. It is never changed once made.
type value struct {
	kind  kind
	text  string  // S, N in canonical form, B as raw bytes
	flag  bool    // BOOL
	elems []value // L in order; sets in sorted order, their elements as S, N or B
	attrs item    // M
}

type attribute struct {
	name  string
	value value
}

// item is a list of attributes sorted by name.
type item []attribute

func (it item) get(name string) (value, bool) {
	i := sort.Search(len(it), func(i int) bool { return it[i].name >= name })
	if i < len(it) && it[i].name == name {
		return it[i].value, true
	}
	return value{}, false
}

// with returns a copy that has the attribute.
func (it item) with(name string, v value) item {
	i := sort.Search(len(it), func(i int) bool { return it[i].name >= name })
	out := slices.Clone(it)
	if i < len(it) && it[i].name == name {
		out[i].value = v
		return out
	}
	return slices.Insert(out, i, attribute{name, v})
}

// without returns a copy that lacks the attribute.
func (it item) without(name string) item {
	return slices.DeleteFunc(slices.Clone(it), func(a attribute) bool { return a.name == name })
}

func (it item) equal(other item) bool {
	return slices.EqualFunc(it, other, func(a, b attribute) bool { return a.name == b.name && a.value.equal(b.value) })
}

func (v value) equal(o value) bool {
	return v.kind == o.kind && v.text == o.text && v.flag == o.flag &&
		slices.EqualFunc(v.elems, o.elems, value.equal) && v.attrs.equal(o.attrs)
}

// size is what the item counts for against the 400 KB and 1 MB limits.
func (it item) size() int {
	n := 0
	for _, a := range it {
		n += len(a.name) + a.value.size()
	}
	return n
}

func (v value) size() int {
	switch v.kind {
	case kindS, kindB:
		return len(v.text)
	case kindN:
		d, _ := parseNumber(v.text)
		return d.size()
	case kindBool, kindNull:
		return 1
	case kindL:
		return 3 + len(v.elems) + sumSizes(v.elems)
	case kindM:
		return 3 + len(v.attrs) + v.attrs.size()
	}
	return sumSizes(v.elems)
}

func sumSizes(vs []value) int {
	n := 0
	for _, v := range vs {
		n += v.size()
	}
	return n
}

// parseItem makes an item of decoded JSON.
func parseItem(m map[string]any, depth int) (item, *apiError) {
	it := make(item, 0, len(m))
	for name, raw := range m {
		if len(name) > 64<<10-1 {
			return nil, validation("One or more parameter values were invalid: Size of attribute name exceeds the limit of 65535 bytes")
		}
		v, err := parseValue(raw, depth)
		if err != nil {
			return nil, err
		}
		it = append(it, attribute{name, v})
	}
	slices.SortFunc(it, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return it, nil
}

const maxDepth = 32

func parseValue(raw any, depth int) (value, *apiError) {
	m, ok := raw.(map[string]any)
	if !ok {
		return value{}, wrongType(raw, "a structure")
	}
	if depth > maxDepth {
		return value{}, validation("Nesting Levels have exceeded supported limits")
	}
	if len(m) > 1 {
		return value{}, validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for tag, inner := range m {
		return parseTagged(kind(tag), inner, depth)
	}
	return value{}, errNoDatatype()
}

func errNoDatatype() *apiError {
	return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func parseTagged(k kind, inner any, depth int) (value, *apiError) {
	switch k {
	case kindS, kindN, kindB:
		text, ok := inner.(string)
		if !ok {
			return value{}, wrongType(inner, "String")
		}
		return parseScalar(k, text)
	case kindBool, kindNull:
		flag, ok := inner.(bool)
		if !ok {
			return value{}, wrongType(inner, "Boolean")
		}
		if k == kindNull && !flag {
			return value{}, validation("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return value{kind: k, flag: flag}, nil
	case kindSS, kindNS, kindBS:
		list, ok := inner.([]any)
		if !ok {
			return value{}, wrongType(inner, "a list")
		}
		return parseSet(k, list)
	case kindL:
		return parseList(inner, depth)
	case kindM:
		m, ok := inner.(map[string]any)
		if !ok {
			return value{}, wrongType(inner, "a map")
		}
		attrs, err := parseItem(m, depth+1)
		return value{kind: kindM, attrs: attrs}, err
	}
	return value{}, errNoDatatype() // an unknown member is ignored, which leaves none
}

func parseScalar(k kind, text string) (value, *apiError) {
	switch k {
	case kindN:
		d, err := parseNumber(text)
		if err != nil {
			return value{}, err
		}
		return value{kind: k, text: d.String()}, nil
	case kindB:
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return value{}, serialization("Invalid base64 in a binary value")
		}
		return value{kind: k, text: string(raw)}, nil
	}
	return value{kind: k, text: text}, nil
}

func parseList(inner any, depth int) (value, *apiError) {
	list, ok := inner.([]any)
	if !ok {
		return value{}, wrongType(inner, "a list")
	}
	v := value{kind: kindL, elems: make([]value, len(list))}
	for i, raw := range list {
		var err *apiError
		if v.elems[i], err = parseValue(raw, depth+1); err != nil {
			return value{}, err
		}
	}
	return v, nil
}

func parseSet(k kind, list []any) (value, *apiError) {
	if len(list) == 0 {
		name := map[kind]string{kindSS: "string", kindNS: "number", kindBS: "binary"}[k]
		return value{}, validation("One or more parameter values were invalid: An %s set  may not be empty", name)
	}
	v := value{kind: k, elems: make([]value, len(list))}
	for i, raw := range list {
		text, ok := raw.(string)
		if !ok {
			return value{}, wrongType(raw, "String")
		}
		var err *apiError
		if v.elems[i], err = parseScalar(k[:1], text); err != nil {
			return value{}, err
		}
	}
	slices.SortFunc(v.elems, func(a, b value) int { return strings.Compare(a.text, b.text) })
	for i := range v.elems[1:] {
		if v.elems[i].text == v.elems[i+1].text {
			return value{}, validation("One or more parameter values were invalid: Input collection contains duplicates.")
		}
	}
	return v, nil
}

// encoder writes values as DynamoDB JSON. A set has no order: each writing shuffles it.
type encoder struct{ rng *rand.Rand }

func (e encoder) item(b []byte, it item) []byte {
	b = append(b, '{')
	for i, a := range it {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, a.name), ':')
		b = e.value(b, a.value)
	}
	return append(b, '}')
}

func (e encoder) value(b []byte, v value) []byte {
	b = append(b, `{"`...)
	b = append(b, v.kind...)
	b = append(b, `":`...)
	switch v.kind {
	case kindS, kindN, kindB:
		b = appendScalar(b, v)
	case kindBool, kindNull:
		if v.flag {
			b = append(b, "true"...)
		} else {
			b = append(b, "false"...)
		}
	case kindM:
		b = e.item(b, v.attrs)
	case kindL:
		b = append(b, '[')
		for i, x := range v.elems {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.value(b, x)
		}
		b = append(b, ']')
	default:
		b = append(b, '[')
		for i, at := range e.rng.Perm(len(v.elems)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendScalar(b, v.elems[at])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendScalar(b []byte, v value) []byte {
	if v.kind == kindB {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(v.text))
		return append(b, '"')
	}
	return appendString(b, v.text)
}

// appendString writes a JSON string; the plain ones, nearly all, without a detour.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always marshals
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
