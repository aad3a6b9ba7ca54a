package rslint

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	end    kind = iota // of the text
	word               // unquoted name or keyword; text is in lower case
	quoted             // quoted identifier; text is without its quotes, in lower case: Redshift folds it too
	str                // string literal; text is what it stands for
	number
	param    // $1
	template // {{ ... }}: stands for an expression
	op       // operator or punctuation
	broken   // reported already: the parser ends there without another word
)

type token struct {
	kind kind
	text string
	line int // from 1
	col  int // in characters, from 1
}

// lexer cuts SQL into tokens. Comments nest, backslashes escape, $tag$ quotes.
type lexer struct {
	src       string
	at        int
	line, col int
	templates bool
	report    func(r Rule, t token, what string)
	tokens    []token
}

func (l *lexer) run() []token {
	for l.at < len(l.src) {
		before := l.at
		l.next()
		if l.at == before { // invariant 1: cannot happen; a loop that does not end would be worse than a skipped byte
			l.skip(1)
		}
	}
	return append(l.tokens, token{kind: end, line: l.line, col: l.col})
}

// skip moves over n bytes.
func (l *lexer) skip(n int) {
	for _, r := range l.src[l.at : l.at+n] {
		if r == '\n' {
			l.line, l.col = l.line+1, 1
		} else {
			l.col++
		}
	}
	l.at += n
}

func (l *lexer) rest() string { return l.src[l.at:] }

func (l *lexer) add(k kind, text string, bytes int) {
	l.tokens = append(l.tokens, token{k, text, l.line, l.col})
	l.skip(bytes)
}

// next takes one token, space or comment.
func (l *lexer) next() {
	s := l.rest()
	c := s[0]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
		l.skip(1)
	case strings.HasPrefix(s, "--"):
		n := strings.IndexByte(s, '\n')
		if n < 0 {
			n = len(s)
		}
		l.skip(n)
	case strings.HasPrefix(s, "/*"):
		l.comment()
	case strings.HasPrefix(s, "{{"):
		l.template()
	case c == '\'':
		l.literal()
	case c == '"':
		l.ident()
	case c == '$':
		l.dollar()
	case isDigit(c) || c == '.' && len(s) > 1 && isDigit(s[1]):
		l.add(number, s[:numberLength(s)], numberLength(s))
	case c == '#' && len(s) > 1 && isLetter(rune(s[1])):
		n := 1 + wordLength(s[1:])
		l.add(word, strings.ToLower(s[:n]), n)
	default:
		l.wordOrOperator(s)
	}
}

func (l *lexer) wordOrOperator(s string) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		l.fault(ruleEncoding, "a byte that is not UTF-8", 1)
	case r == 0xfeff:
		l.fault(ruleEncoding, "a byte order mark", size)
	case len(s) >= 3 && strings.EqualFold(s[:3], "u&'"):
		l.fault(ruleLiteral, "a literal with the prefix U&", 2)
	case isLetter(r):
		n := wordLength(s)
		if n < len(s) && s[n] == '\'' && prefixed[strings.ToLower(s[:n])] {
			l.fault(ruleLiteral, "a literal with the prefix "+strings.ToUpper(s[:n]), n)
			return
		}
		l.add(word, strings.ToLower(s[:n]), n)
	default:
		if n := operatorLength(s); n > 0 {
			l.add(op, s[:n], n)
			return
		}
		l.breaks(ruleSyntax, "a character that means nothing here", size)
	}
}

// prefixed are PostgreSQL's prefixes of literals.
var prefixed = map[string]bool{"e": true, "b": true, "x": true, "n": true}

func (l *lexer) fault(r Rule, what string, bytes int) {
	l.report(r, token{line: l.line, col: l.col}, what)
	l.skip(bytes)
}

// breaks reports what cannot be a token of a statement that is judged further.
func (l *lexer) breaks(r Rule, what string, bytes int) {
	t := token{kind: broken, line: l.line, col: l.col}
	l.fault(r, what, bytes)
	l.tokens = append(l.tokens, t)
}

func (l *lexer) comment() {
	s, depth, i := l.rest(), 0, 0
	for i < len(s) {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth, i = depth+1, i+2
		case strings.HasPrefix(s[i:], "*/"):
			depth, i = depth-1, i+2
		default:
			i++
		}
		if depth == 0 {
			l.skip(i)
			return
		}
	}
	l.fault(ruleUnclosed, "a comment that begins with /* has no end", len(s))
}

func (l *lexer) template() {
	s := l.rest()
	n := strings.Index(s, "}}") + 2
	switch {
	case n < 2:
		l.breaks(ruleUnclosed, "{{ without }}", len(s))
	case !l.templates:
		l.breaks(ruleSyntax, "a template", n)
	default:
		l.add(template, s[:n], n)
	}
}

// literal reads '...', where both \ and ” escape.
func (l *lexer) literal() {
	s := l.rest()
	var b strings.Builder
	odd := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			odd = odd || s[i] != '\\' && s[i] != '\''
			b.WriteByte(s[i])
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case s[i] == '\'':
			if odd {
				l.report(ruleBackslash, token{line: l.line, col: l.col}, "a backslash in a literal")
			}
			l.add(str, b.String(), i+1)
			return
		default:
			b.WriteByte(s[i])
		}
	}
	l.breaks(ruleUnclosed, "a literal has no closing quote (a backslash escapes the quote behind it)", len(s))
}

func (l *lexer) ident() {
	s := l.rest()
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == '"' && i+1 < len(s) && s[i+1] == '"' {
			i++
		} else if s[i] == '"' {
			l.add(quoted, strings.ToLower(b.String()), i+1)
			return
		}
		b.WriteByte(s[i])
	}
	l.breaks(ruleUnclosed, "a quoted name has no closing quote", len(s))
}

// dollar reads $1 or $tag$...$tag$.
func (l *lexer) dollar() {
	s := l.rest()
	n := 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n > 1 {
		l.add(param, s[:n], n)
		return
	}
	if n < len(s) && isLetter(rune(s[n])) {
		for n < len(s) && s[n] != '$' && wordLength(s[n:n+1]) == 1 {
			n++
		}
	}
	if n >= len(s) || s[n] != '$' {
		l.breaks(ruleSyntax, "a $ that begins neither a parameter nor a quote", 1)
		return
	}
	tag := s[:n+1]
	body, _, ok := strings.Cut(s[len(tag):], tag)
	if !ok {
		l.breaks(ruleUnclosed, "a dollar quote has no end", len(s))
		return
	}
	l.add(str, body, len(body)+2*len(tag))
}

// operators, longest first. What PostgreSQL has and Redshift has not is read too, to be refused by name.
var operators = []string{
	"->>", "#>>", "||/", "!~~*", "!~*", "~~*", "!~~", "<->", "...",
	"::", "<=", ">=", "<>", "!=", "||", "|/", "!~", "~*", "~~", "->", "#>", "@>", "<@", "?|", "?&", "@@", "&&", "<<", ">>", ":=", "=>", "..",
	"+", "-", "*", "/", "%", "^", "=", "<", ">", "(", ")", "[", "]", ",", ".", ";", ":", "~", "&", "|", "#", "@", "?", "!",
}

func operatorLength(s string) int {
	for _, o := range operators {
		if strings.HasPrefix(s, o) {
			return len(o)
		}
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(r rune) bool { return r == '_' || unicode.IsLetter(r) || r > 0x7f && r != utf8.RuneError }

// wordLength is how many bytes the word at the beginning of s has.
func wordLength(s string) int {
	for i, r := range s {
		if !isLetter(r) && r != '$' && !(r >= '0' && r <= '9') {
			return i
		}
	}
	return len(s)
}

// numberLength is how many bytes the number at the beginning of s has: digits, a fraction, an exponent.
func numberLength(s string) int {
	digits := func(i int) int {
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		return i
	}
	n := digits(0)
	if n < len(s) && s[n] == '.' && !strings.HasPrefix(s[n:], "..") {
		n = digits(n + 1)
	}
	if n < len(s) && s[n]|0x20 == 'e' {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if d := digits(e); d > e {
			n = d
		}
	}
	return n
}
