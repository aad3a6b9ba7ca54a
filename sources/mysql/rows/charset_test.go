package rows

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
)

// testCharsets converts every character of every charset that we carry and compares with the server's own
// conversion. A byte sequence that the server cannot convert either ('?') must be U+FFFD here and not be called exact.
func testCharsets(t *testing.T, s *server) {
	for _, name := range slices.Sorted(maps.Keys(charsets)) {
		c := charsets[name]
		if name == "utf8" {
			continue
		}
		for _, codes := range codesOf(c) {
			compareCodes(t, s, c, codes)
		}
	}
}

// codesOf is the byte sequences of single characters, in portions for one query each.
func codesOf(c *charset) (out [][][]byte) {
	var one [][]byte
	for b := range 256 {
		if c.narrow == 1 && (c.kind != utf8Bytes || b < 0x80) {
			one = append(one, []byte{byte(b)})
		}
	}
	out = append(out, one)
	switch {
	case c.kind == multiByte:
		for hi := 0x81; hi < 0xff; hi++ {
			if c.coding == japanese.ShiftJIS && hi >= 0xa0 && hi < 0xe0 {
				continue // characters of one byte
			}
			var two [][]byte
			for lo := 0x40; lo < 0xff; lo++ {
				two = append(two, []byte{byte(hi), byte(lo)})
			}
			out = append(out, two)
		}
	case c.kind == utf8Bytes && c.wide > 1, c.narrow > 1:
		var some [][]byte
		for _, r := range []rune{'a', 0x7f, 0x80, 0xe9, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1f41f, 0x10ffff} {
			if r < 0x10000 || c.wide == 4 {
				some = append(some, encodeRune(c, r))
			}
		}
		out = append(out, some)
	}
	return out
}

func encodeRune(c *charset, r rune) []byte {
	pair := []rune{r}
	if r > 0xffff {
		pair = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
	}
	var b []byte
	for _, u := range pair {
		switch c.kind {
		case utf16LE:
			b = append(b, byte(u), byte(u>>8))
		default:
			b = append(b, byte(u>>8), byte(u))
		}
	}
	switch c.kind {
	case utf8Bytes:
		return utf8.AppendRune(nil, r)
	case utf32BE:
		return []byte{0, byte(r >> 16), byte(r >> 8), byte(r)}
	}
	return b
}

func compareCodes(t *testing.T, s *server, c *charset, codes [][]byte) {
	t.Helper()
	if len(codes) == 0 {
		return
	}
	var q []string
	for _, b := range codes {
		q = append(q, fmt.Sprintf("HEX(CONVERT(CONVERT(0x%x USING %s) USING utf8mb4))", b, c.name), fmt.Sprintf("CHAR_LENGTH(CONVERT(0x%x USING %s))", b, c.name))
	}
	row := s.strings("SELECT " + strings.Join(q, ","))[0]
	for i, b := range codes {
		want, chars := row[2*i], row[2*i+1]
		got, exact := c.append(nil, b)
		undefined := want == "NULL" || strings.Contains(want, "3F") && !slices.Contains(b, '?') || want == "EFBFBD"
		switch {
		case chars != "1" || want == "": // two characters, or a lead byte alone: nothing that a column can hold
		case undefined && !exact:
		case userDefined(c, want) && !exact:
		case undefined && c.kind == multiByte: // we know more than the server: such a character cannot be stored
		case want != fmt.Sprintf("%X", got) || !exact && want != "EFBFBD":
			t.Errorf("%s %x: got %X (exact %v), server %s", c.name, b, got, exact, want)
		}
	}
}

// userDefined is the private characters of cp932, which x/text does not know. They are replaced and counted.
func userDefined(c *charset, hex string) bool {
	u, err := strconv.ParseUint(hex, 16, 32)
	return err == nil && c.name == "cp932" && u >= 0xee8080 && u <= 0xefa3bf
}

// testCollations knows the charset of every collation that the servers have.
func testCollations(t *testing.T, s *server) {
	q := "SELECT id, character_set_name FROM information_schema.collations"
	if s.flavor == "mariadb" {
		q = "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
	}
	rows := s.strings(q)
	for _, r := range rows {
		id, err := strconv.ParseUint(r[0], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := charsetOf(id), strings.Replace(r[1], "utf8mb3", "utf8", 1); strings.Replace(got, "utf8mb3", "utf8", 1) != want {
			t.Errorf("collation %d is of %q, server says %q", id, got, want)
		}
	}
	if len(rows) < 200 {
		t.Errorf("only %d collations compared", len(rows))
	}
}

func TestCharsetDamage(t *testing.T) {
	for name, c := range map[string][2]string{
		"utf8mb4": {"a\xffb\xed\xa0\x80", "a\ufffdb\ufffd\ufffd\ufffd"},
		"utf16":   {"\x00a\xd8\x00\x00b\xdc", "a\ufffdb\ufffd"},
		"utf16le": {"a\x00\x3d\xd8\x1f\xdc", "a\U0001f41f"},
		"ucs2":    {"\xd8\x3d\xdc\x1f", "\ufffd\ufffd"},
		"utf32":   {"\x00\x11\x00\x00\x00\x00\x00a\x00", "\ufffda\ufffd"},
		"gbk":     {"a\x81", "a\ufffd"},
		"sjis":    {"\x81\x5f", "\\"},
		"greek":   {"\xff\xe1", "\ufffdα"},
	} {
		got, exact := charsets[name].append([]byte("<"), []byte(c[0]))
		if want := "<" + c[1]; string(got) != want || exact == strings.ContainsRune(c[1], utf8.RuneError) {
			t.Errorf("%s: got %q (exact %v), want %q", name, got, exact, want)
		}
	}
}
