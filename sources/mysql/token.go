package mysql

import "strings"

// token is one word of a statement. Quoted identifiers are unquoted; texts and numbers are kept only as what they are,
// their content is never looked at.
type token struct {
	kind tokenKind
	word string // as written for wordToken and nameToken; the sign for signToken
}

type tokenKind uint8

const (
	endToken  tokenKind = iota
	wordToken           // keyword or plain identifier
	nameToken           // quoted identifier
	textToken           // a literal
	signToken           // a single character
)

// is reports whether the token is the keyword.
func (t token) is(keyword string) bool {
	return t.kind == wordToken && strings.EqualFold(t.word, keyword)
}

func (t token) sign(s string) bool { return t.kind == signToken && t.word == s }

// identifier reports whether the token can be part of a name.
func (t token) identifier() bool { return t.kind == wordToken || t.kind == nameToken }

// tokenizer cuts the text of a statement from the log into tokens. Comments count as space; the content of executable
// comments (/*!50000 … */, /*M! … */) counts as text, as it does for the server.
type tokenizer struct {
	text string
	ansi bool // sql_mode ANSI_QUOTES: "x" is a name
	bare bool // sql_mode NO_BACKSLASH_ESCAPES: a backslash in a text is one
}

func (t *tokenizer) next() token {
	t.skipSpace()
	if t.text == "" {
		return token{}
	}
	c := t.text[0]
	switch {
	case c == '`' || c == '"' && t.ansi:
		return token{nameToken, t.quoted(c)}
	case c == '\'' || c == '"':
		t.quoted(c)
		return token{kind: textToken}
	case wordByte(c):
		n := 1
		for n < len(t.text) && wordByte(t.text[n]) {
			n++
		}
		w := t.text[:n]
		t.text = t.text[n:]
		return token{wordToken, w}
	}
	t.text = t.text[1:]
	return token{signToken, string(c)}
}

func (t *tokenizer) skipSpace() {
	for t.text != "" {
		s := t.text
		switch {
		case s[0] <= ' ': // NULs too: some servers pad statements with them
			t.text = s[1:]
		case strings.HasPrefix(s, "/*!"), strings.HasPrefix(s, "/*M!"):
			s = s[strings.IndexByte(s, '!')+1:]
			t.text = strings.TrimLeft(s, "0123456789")
		case strings.HasPrefix(s, "/*"):
			t.text = after(s[2:], "*/")
		case strings.HasPrefix(s, "*/"): // end of an executable comment
			t.text = s[2:]
		case s[0] == '#', strings.HasPrefix(s, "-- "), strings.HasPrefix(s, "--\n"), strings.HasPrefix(s, "--\t"):
			t.text = after(s, "\n")
		default:
			return
		}
	}
}

// quoted consumes a quoted run and returns what is in it; a doubled quote stands for itself, a backslash escapes in texts.
func (t *tokenizer) quoted(q byte) string {
	var b strings.Builder
	s := t.text[1:]
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && q != '`' && !t.bare && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] != q:
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == q:
			b.WriteByte(q)
			i++
		default:
			t.text = s[i+1:]
			return b.String()
		}
	}
	t.text = ""
	return b.String()
}

func after(s, sep string) string {
	_, rest, _ := strings.Cut(s, sep)
	return rest
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}
