package elt

import (
	"strings"
	"unicode/utf8"
)

// segment is a piece of SQL text: code, or something whose inside is not code.
type segment struct {
	text   string
	at     int // byte offset
	quoted bool
	remark bool
}

// segments splits SQL into code, quoted texts and names, and comments. What is not closed runs to the end.
func segments(sql string) []segment {
	var out []segment
	begin := 0
	flush := func(to int) {
		if to > begin {
			out = append(out, segment{text: sql[begin:to], at: begin})
		}
	}
	for i := 0; i < len(sql); {
		end, quoted, remark := opaque(sql, i)
		if end == i {
			i++
			continue
		}
		flush(i)
		out = append(out, segment{sql[i:end], i, quoted, remark})
		i, begin = end, end
	}
	flush(len(sql))
	return out
}

// opaque reports where a quoted text or a comment that begins at i ends; i itself when there is none.
func opaque(sql string, i int) (end int, quoted, remark bool) {
	rest := sql[i:]
	until := func(skip int, mark string) int {
		if n := strings.Index(rest[skip:], mark); n >= 0 {
			return i + skip + n + len(mark)
		}
		return len(sql)
	}
	switch {
	case rest[0] == '\'' || rest[0] == '"': // a doubled quote begins another text at once: the same in effect
		return until(1, rest[:1]), true, false
	case strings.HasPrefix(rest, "--"):
		return until(2, "\n"), false, true
	case strings.HasPrefix(rest, "/*"):
		return until(2, "*/"), false, true
	case rest[0] == '$':
		if tag := dollarTag(rest); tag != "" {
			return until(len(tag), tag), true, false
		}
	}
	return i, false, false
}

// dollarTag is $$ or $name$ at the beginning of s.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			return s[:i+1]
		case c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 1):
			return ""
		}
	}
	return ""
}

// position is line and column of a byte offset, from 1.
func position(text string, at int) (line, column int) {
	before := text[:at]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
