package rows

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charset converts text of one MySQL character set to UTF-8.
type charset struct {
	name    string
	kind    charsetKind
	narrow  int               // bytes of the shortest character
	wide    int               // bytes of the longest character
	expand  int               // UTF-8 bytes of the longest character
	table   *[256]rune        // eightBit only
	coding  encoding.Encoding // multiByte only; its decoder
	decoder *encoding.Decoder
	differ  map[rune]rune // multiByte: where the server's table differs from the coding's
}

type charsetKind uint8

const (
	utf8Bytes charsetKind = iota + 1 // utf8mb4, utf8mb3, ascii: copied after a check
	eightBit
	multiByte
	ucs2    // big endian, no surrogate pairs
	utf16BE // with surrogate pairs
	utf16LE
	utf32BE
)

func (c *charset) utf8() bool { return c.kind == utf8Bytes }

// charsets by name, built once from the tables.
var charsets = func() map[string]*charset {
	m := map[string]*charset{
		"utf8mb4": {name: "utf8mb4", kind: utf8Bytes, narrow: 1, wide: 4, expand: 4},
		"utf8mb3": {name: "utf8mb3", kind: utf8Bytes, narrow: 1, wide: 3, expand: 3},
		"ascii":   {name: "ascii", kind: utf8Bytes, narrow: 1, wide: 1, expand: 1},
		"ucs2":    {name: "ucs2", kind: ucs2, narrow: 2, wide: 2, expand: 3},
		"utf16":   {name: "utf16", kind: utf16BE, narrow: 2, wide: 4, expand: 4},
		"utf16le": {name: "utf16le", kind: utf16LE, narrow: 2, wide: 4, expand: 4},
		"utf32":   {name: "utf32", kind: utf32BE, narrow: 4, wide: 4, expand: 4},

		// The codings of x/text that agree with both servers on every character those can store (testCharsets). Not
		// among them, hence not carried: big5, ujis, eucjpms, gb18030.
		"gbk":    {name: "gbk", kind: multiByte, narrow: 1, wide: 2, expand: 3, coding: simplifiedchinese.GBK},
		"gb2312": {name: "gb2312", kind: multiByte, narrow: 1, wide: 2, expand: 3, coding: simplifiedchinese.GBK, differ: map[rune]rune{'·': '・', '—': '―'}},
		"euckr":  {name: "euckr", kind: multiByte, narrow: 1, wide: 2, expand: 3, coding: korean.EUCKR},
		"cp932":  {name: "cp932", kind: multiByte, narrow: 1, wide: 2, expand: 3, coding: japanese.ShiftJIS},
		"sjis": {name: "sjis", kind: multiByte, narrow: 1, wide: 2, expand: 3, coding: japanese.ShiftJIS, differ: map[rune]rune{
			0xff3c: '\\', 0xff5e: 0x301c, 0x2225: 0x2016, 0xff0d: 0x2212, 0xffe0: 0xa2, 0xffe1: 0xa3, 0xffe2: 0xac}},
	}
	for name, upper := range upperHalf {
		t := new([256]rune)
		for i := range 128 {
			t[i] = rune(i)
		}
		i := 128
		for _, r := range upper {
			t[i] = r
			i++
		}
		if name == "swe7" {
			for b, r := range swe7Lower {
				t[b] = r
			}
		}
		m[name] = &charset{name: name, kind: eightBit, narrow: 1, wide: 1, expand: 3, table: t}
	}
	for _, c := range m {
		if c.coding != nil {
			c.decoder = c.coding.NewDecoder()
		}
	}
	m["utf8"] = m["utf8mb3"] // its name before MySQL 8.0.30 and MariaDB 10.6
	return m
}()

// charsetNamed is nil when we cannot convert the charset exactly.
func charsetNamed(name string) *charset { return charsets[name] }

// collation 63 marks bytes rather than text.
const binaryCollation = 63

// charsetOf is the charset name of a collation id of either server, or "".
func charsetOf(collation uint64) string {
	i := sort.Search(len(collations), func(i int) bool { return uint64(collations[i].last) >= collation })
	if i < len(collations) && uint64(collations[i].first) <= collation {
		return collations[i].charset
	}
	return ""
}

// loose are charsets of statements whose codings are good enough for names, though not for every character of a value.
var loose = map[string]encoding.Encoding{
	"big5": traditionalchinese.Big5, "ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP, "gb18030": simplifiedchinese.GB18030,
}

// Text converts the text of a statement, which is in the charset of a collation, to UTF-8. What is not known stays as it is.
func Text(collation uint64, s []byte) []byte {
	name := charsetOf(collation)
	if c := charsetNamed(name); c != nil && !c.utf8() {
		out, _ := c.append(nil, s)
		return out
	}
	if coding := loose[name]; coding != nil {
		if out, err := coding.NewDecoder().Bytes(s); err == nil {
			return out
		}
	}
	return s
}

// append converts s to UTF-8 and appends it to dst. exact is false when some byte had no character and became U+FFFD
// (invariant 8).
func (c *charset) append(dst, s []byte) (out []byte, exact bool) {
	switch c.kind {
	case utf8Bytes:
		return appendValid(dst, s)
	case eightBit:
		return c.appendEightBit(dst, s)
	case multiByte:
		return c.appendMultiByte(dst, s)
	case utf32BE:
		return appendUTF32(dst, s)
	default:
		return c.appendUTF16(dst, s)
	}
}

func appendValid(dst, s []byte) ([]byte, bool) {
	if utf8.Valid(s) {
		return append(dst, s...), true
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst, false
}

func (c *charset) appendEightBit(dst, s []byte) ([]byte, bool) {
	exact := true
	for _, b := range s {
		r := c.table[b]
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
			continue
		}
		exact = exact && r != utf8.RuneError
		dst = utf8.AppendRune(dst, r)
	}
	return dst, exact
}

var replacement = []byte(string(utf8.RuneError))

// appendMultiByte runs s through the coding, growing dst as needed. A coding's decoder has no state between calls.
func (c *charset) appendMultiByte(dst, s []byte) ([]byte, bool) {
	from := len(dst)
	dst = slices.Grow(dst, c.expand*len(s)+utf8.UTFMax)
	n, _, err := c.decoder.Transform(dst[from:cap(dst)], s, true)
	dst = dst[:from+n]
	if err != nil {
		dst = append(dst, replacement...)
	}
	for _, r := range string(dst[from:]) {
		if c.server(r) != r { // rare, so that its allocation does not matter
			dst = append(dst[:from], bytes.Map(c.server, dst[from:])...)
			break
		}
	}
	return dst, !bytes.Contains(dst[from:], replacement)
}

func (c *charset) server(r rune) rune {
	if d, ok := c.differ[r]; ok {
		return d
	}
	return r
}

func (c *charset) appendUTF16(dst, s []byte) ([]byte, bool) {
	hi, lo := 0, 1
	if c.kind == utf16LE {
		hi, lo = 1, 0
	}
	exact := len(s)&1 == 0
	for ; len(s) >= 2; s = s[2:] {
		r := rune(s[hi])<<8 | rune(s[lo])
		if r >= 0xd800 && r < 0xdc00 && c.kind != ucs2 && len(s) >= 4 {
			if low := rune(s[2+hi])<<8 | rune(s[2+lo]); low >= 0xdc00 && low < 0xe000 {
				r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
				s = s[2:]
			}
		}
		exact = exact && utf8.ValidRune(r)
		dst = utf8.AppendRune(dst, r)
	}
	if len(s) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst, exact
}

func appendUTF32(dst, s []byte) ([]byte, bool) {
	exact := len(s)&3 == 0
	for ; len(s) >= 4; s = s[4:] {
		u := uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
		r := rune(utf8.RuneError)
		if u <= utf8.MaxRune && utf8.ValidRune(rune(u)) {
			r = rune(u)
		} else {
			exact = false
		}
		dst = utf8.AppendRune(dst, r)
	}
	if len(s) > 0 {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst, exact
}
