package redshiftdouble

import (
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	word   kind = iota // keyword or identifier without quotes
	quoted             // identifier in double quotes
	text               // string literal
	number
	param
	op
	punct // ( ) [ ] , ; .
)

// token is a piece of a statement.
type token struct {
	kind  kind
	val   string // word: in lower case; quoted and text: the content; others: as written
	pg    string // how PostgreSQL is told
	space bool   // something stood before it
	at    int    // byte offset in the source
}

// is reports whether the token is one of these keywords or signs.
func (t token) is(words ...string) bool {
	if t.kind == quoted || t.kind == text {
		return false
	}
	for _, w := range words {
		if t.val == w {
			return true
		}
	}
	return false
}

// identifier reports whether the token can be a name.
func (t token) identifier() bool { return t.kind == word || t.kind == quoted }

// lexer cuts Redshift SQL into tokens: backslashes escape in strings, quoted identifiers fold to lower case like the others, names end
// at 127 bytes, #name is a name.
type lexer struct {
	src   string
	at    int
	exact bool // enable_case_sensitive_identifier: quoted identifiers keep their case
	names *names
	out   []token
}

func (l *lexer) run() ([]token, error) {
	for {
		space, err := l.skip()
		if err != nil {
			return nil, err
		}
		if l.at >= len(l.src) {
			return l.out, nil
		}
		start := l.at
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		t.space, t.at = space, start
		l.out = append(l.out, t)
	}
}

// skip passes over white space and comments.
func (l *lexer) skip() (skipped bool, err error) {
	for l.at < len(l.src) {
		rest := l.src[l.at:]
		switch {
		case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
			l.at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case strings.HasPrefix(rest, "/*"):
			n := commentEnd(rest)
			if n < 0 {
				return false, refuse("42601", "unterminated /* comment")
			}
			l.at += n
		default:
			return skipped, nil
		}
		skipped = true
	}
	return skipped, nil
}

// commentEnd is the length of a comment, which may hold others.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

const operatorChars = "+-*/<>=~!@#%^&|`?"

func (l *lexer) next() (token, error) {
	c := l.src[l.at]
	rest := l.src[l.at:]
	switch {
	case c == '\'':
		return l.stringLiteral()
	case c == '"':
		return l.quotedIdentifier()
	case c == '$':
		return l.dollar()
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number(), nil
	case isNameStart(c) || c == '#' && len(rest) > 1 && isNameStart(rest[1]):
		return l.word()
	case strings.HasPrefix(rest, "::"):
		l.at += 2
		return token{kind: op, val: "::", pg: "::"}, nil
	case strings.IndexByte("()[],;.:", c) >= 0:
		l.at++
		return token{kind: punct, val: string(c), pg: string(c)}, nil
	case strings.IndexByte(operatorChars, c) >= 0:
		return l.operator(), nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, nearby(string(r))
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }
func isNamePart(c byte) bool  { return isNameStart(c) || isDigit(c) || c == '$' }

func (l *lexer) operator() token {
	start := l.at
	for l.at < len(l.src) && strings.IndexByte(operatorChars, l.src[l.at]) >= 0 {
		rest := l.src[l.at:]
		if l.at > start && (strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*")) {
			break
		}
		// a sign belongs to what follows: a=-1
		if l.at > start && (rest[0] == '-' || rest[0] == '+') && strings.Trim(l.src[start:l.at], "<>=*/%^") == "" {
			break
		}
		l.at++
	}
	s := l.src[start:l.at]
	return token{kind: op, val: s, pg: s}
}

func (l *lexer) number() token {
	start := l.at
	for l.at < len(l.src) && (isDigit(l.src[l.at]) || l.src[l.at] == '.') {
		l.at++
	}
	if rest := l.src[l.at:]; len(rest) > 1 && rest[0]|0x20 == 'e' {
		n := 1
		if rest[1] == '-' || rest[1] == '+' {
			n = 2
		}
		if len(rest) > n && isDigit(rest[n]) {
			for l.at += n; l.at < len(l.src) && isDigit(l.src[l.at]); l.at++ {
			}
		}
	}
	s := l.src[start:l.at]
	return token{kind: number, val: s, pg: s}
}

// word reads a name or a keyword. The literals that PostgreSQL marks by a letter are no part of Redshift's language.
func (l *lexer) word() (token, error) {
	start := l.at
	for l.at++; l.at < len(l.src) && isNamePart(l.src[l.at]); l.at++ {
	}
	raw := l.src[start:l.at]
	if rest := l.src[l.at:]; rest != "" && rest[0] == '\'' && len(raw) == 1 && strings.ContainsAny(raw, "eEbBxX") || len(rest) > 1 && rest[0] == '&' && strings.EqualFold(raw, "u") && (rest[1] == '\'' || rest[1] == '"') {
		return token{}, nearby(raw + rest[:1])
	}
	low := lower(raw)
	t := token{kind: word, val: low, pg: raw}
	if raw[0] == '#' {
		t.kind = quoted
	}
	if t.kind == quoted || len(raw) > postgresName {
		t.val = clip(low)
		t.pg = quote(l.names.short(t.val))
	}
	return t, nil
}

func (l *lexer) quotedIdentifier() (token, error) {
	var b strings.Builder
	for i := l.at + 1; i < len(l.src); i++ {
		if l.src[i] != '"' {
			b.WriteByte(l.src[i])
			continue
		}
		if i+1 < len(l.src) && l.src[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		l.at = i + 1
		if b.Len() == 0 {
			return token{}, refuse("42601", `zero-length delimited identifier at or near """"`)
		}
		name := b.String()
		if !l.exact {
			name = lower(name)
		}
		name = clip(name)
		return token{kind: quoted, val: name, pg: quote(l.names.short(name))}, nil
	}
	return token{}, refuse("42601", "unterminated quoted identifier")
}

// stringLiteral reads '...' in which both a doubled quote and a backslash escape.
func (l *lexer) stringLiteral() (token, error) {
	start := l.at
	var b strings.Builder
	for i := l.at + 1; i < len(l.src); i++ {
		switch c := l.src[i]; {
		case c == '\\' && i+1 < len(l.src):
			i++
			b.WriteByte(unescape(l.src[i]))
		case c != '\'':
			b.WriteByte(c)
		case i+1 < len(l.src) && l.src[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			l.at = i + 1
			return token{kind: text, val: b.String(), pg: l.src[start:l.at]}, nil
		}
	}
	return token{}, refuse("42601", "unterminated quoted string")
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return c
}

// dollar reads $1 or a dollar-quoted string.
func (l *lexer) dollar() (token, error) {
	rest := l.src[l.at:]
	n := 1
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	if n > 1 {
		l.at += n
		return token{kind: param, val: rest[:n], pg: rest[:n]}, nil
	}
	end := strings.IndexByte(rest[1:], '$')
	if end < 0 {
		return token{}, nearby("$")
	}
	tag := rest[:end+2]
	length := strings.Index(rest[len(tag):], tag)
	if length < 0 {
		return token{}, refuse("42601", "unterminated dollar-quoted string")
	}
	content := rest[len(tag) : len(tag)+length]
	l.at += length + 2*len(tag)
	return token{kind: text, val: content, pg: literal(content)}, nil
}

// lower folds as Redshift does: ASCII letters only.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

const longestName = 127

// clip cuts a name at 127 bytes, at the end of a rune.
func clip(s string) string {
	if len(s) <= longestName {
		return s
	}
	n := longestName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal is a string for PostgreSQL with backslash escapes on, as all our sessions have them.
func literal(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
}

// render writes tokens for PostgreSQL.
func render(ts []token) string {
	var b strings.Builder
	for i, t := range ts {
		if t.space && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.pg)
	}
	return b.String()
}

// split cuts a query into statements without their semicolons; empty ones are left out.
func split(ts []token) [][]token {
	var out [][]token
	start := 0
	for i, t := range ts {
		if t.is(";") {
			if i > start {
				out = append(out, ts[start:i])
			}
			start = i + 1
		}
	}
	if start < len(ts) {
		out = append(out, ts[start:])
	}
	return out
}
