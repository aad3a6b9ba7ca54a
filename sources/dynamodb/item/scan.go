package item

import (
	"errors"
	"unicode/utf8"
)

// errMalformed says no more: what stands around the place may be a value.
var errMalformed = errors.New("malformed DynamoDB JSON")

// scanner reads JSON from front to back. After an error it stays where it is and bad is set.
type scanner struct {
	b   []byte
	i   int
	bad bool
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// take skips white space and the byte c, if it comes next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) want(c byte) {
	if !s.take(c) {
		s.bad = true
	}
}

// text returns the inside of a string, escapes and all.
func (s *scanner) text() []byte {
	s.want('"')
	if s.bad {
		return nil
	}
	from := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[from : s.i-1]
		case c == '\\':
			s.i++
		case c < ' ':
			s.bad = true
			return nil
		}
	}
	s.bad = true
	return nil
}

// value skips any value and returns it.
func (s *scanner) value() []byte {
	s.space()
	from := s.i
	s.skip(0)
	if s.bad {
		return nil
	}
	return s.b[from:s.i]
}

// maxDepth is far above what DynamoDB stores: 32 levels, each two of JSON.
const maxDepth = 200

func (s *scanner) skip(depth int) {
	s.space()
	if s.i >= len(s.b) || depth > maxDepth {
		s.bad = true
		return
	}
	switch s.b[s.i] {
	case '"':
		s.text()
	case '{':
		s.members(func([]byte) { s.skip(depth + 1) })
	case '[':
		s.elements(func() { s.skip(depth + 1) })
	default:
		s.literal()
	}
}

// literal skips a number, true, false or null.
func (s *scanner) literal() {
	from := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E' {
			s.i++
			continue
		}
		break
	}
	if s.i == from {
		s.bad = true
	}
}

// members calls fn with each name of an object; fn reads the value.
func (s *scanner) members(fn func(name []byte)) {
	s.want('{')
	if s.bad || s.take('}') {
		return
	}
	for !s.bad {
		name := s.text()
		s.want(':')
		if s.bad {
			return
		}
		fn(name)
		if s.take(',') {
			continue
		}
		s.want('}')
		return
	}
}

// elements calls fn before each element of an array; fn reads it.
func (s *scanner) elements(fn func()) {
	s.want('[')
	if s.bad || s.take(']') {
		return
	}
	for !s.bad {
		fn()
		if s.take(',') {
			continue
		}
		s.want(']')
		return
	}
}

// end reports whether everything was read and nothing was wrong.
func (s *scanner) end() bool {
	s.space()
	return !s.bad && s.i == len(s.b)
}

// plain reports whether the inside of a string is its value: no escapes, valid UTF-8.
func plain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= utf8.RuneSelf {
			return c != '\\' && noEscape(raw) && utf8.Valid(raw)
		}
	}
	return true
}

func noEscape(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' {
			return false
		}
	}
	return true
}

// appendText appends the value of the inside of a string. What is no text (a lone surrogate, a broken byte) is U+FFFD.
func appendText(dst, raw []byte) ([]byte, bool) {
	if plain(raw) {
		return append(dst, raw...), true
	}
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\':
			r, n, ok := escape(raw[i:])
			if !ok {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += n
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst, true
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape and says how long it is.
func escape(b []byte) (r rune, n int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	if b[1] != 'u' {
		r, ok = escapes[b[1]]
		return r, 2, ok
	}
	r, ok = hex4(b[2:])
	if !ok {
		return 0, 0, false
	}
	if r < 0xd800 || r > 0xdfff {
		return r, 6, true
	}
	if r < 0xdc00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hex4(b[8:]); ok && low >= 0xdc00 && low <= 0xdfff {
			return (r-0xd800)<<10 | (low - 0xdc00) + 0x10000, 12, true
		}
	}
	return utf8.RuneError, 6, true
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends text as a JSON string with as few escapes as JSON allows (invariant 2).
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= ' ':
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, '"')
}
