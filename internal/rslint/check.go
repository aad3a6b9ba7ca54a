package rslint

import (
	"cmp"
	"fmt"
	"slices"
)

// Options say where the SQL runs.
type Options struct {
	// Templates lets {{ ... }} stand for an expression, a literal or a name.
	Templates bool
	// OneSelect wants exactly one SELECT, which something else runs the rest around.
	OneSelect bool
	// InTransaction says that a transaction is open at the beginning.
	InTransaction bool
}

// maxStatement is Redshift's limit of a statement's text.
const maxStatement = 16 << 20

// Check returns what is wrong with a text of statements, in the order of places; nil when nothing is.
func Check(sql string, o Options) []Finding {
	c := &checker{inTx: o.InTransaction}
	l := &lexer{src: sql, line: 1, col: 1, templates: o.Templates, report: func(r Rule, t token, what string) { c.report(r, t, what, "") }}
	tokens := l.run()
	if len(sql) > maxStatement && slices.IndexFunc(tokens, func(t token) bool { return t.kind == op && t.text == ";" }) < 0 {
		c.report(ruleSize, tokens[0], fmt.Sprintf("a statement of %d bytes", len(sql)), "")
	}
	statements := 0
	for len(tokens) > 0 {
		n := slices.IndexFunc(tokens, func(t token) bool { return t.kind == end || t.kind == op && t.text == ";" })
		stop := tokens[n]
		if n > 0 {
			statements++
			c.statement(append(tokens[:n:n], token{kind: end, line: stop.line, col: stop.col}), o, statements)
		}
		tokens = tokens[n+1:]
		if stop.kind == end && o.OneSelect && statements == 0 && len(c.found) == 0 {
			c.report(ruleSelect, stop, "no statement", "")
		}
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
	return slices.CompactFunc(c.found, func(a, b Finding) bool { return a == b })
}

// Kind is the first word of a text's one statement, in lower case: select, also for WITH and a SELECT in brackets, when it
// writes nothing. It is empty when there are several statements or none.
func Kind(sql string) string {
	l := &lexer{src: sql, line: 1, col: 1, report: func(Rule, token, string) {}}
	tokens := l.run()
	for len(tokens) > 1 && tokens[len(tokens)-2].text == ";" && tokens[len(tokens)-2].kind == op {
		tokens = append(tokens[:len(tokens)-2:len(tokens)-2], tokens[len(tokens)-1])
	}
	is := func(i int, words ...string) bool {
		return tokens[i].kind == word && slices.Contains(words, tokens[i].text)
	}
	for i, t := range tokens {
		if t.kind == op && t.text == ";" || t.kind == broken || is(i, "into", "insert", "update", "delete", "merge") {
			return ""
		}
	}
	i := slices.IndexFunc(tokens, func(t token) bool { return t.kind != op || t.text != "(" })
	switch {
	case is(i, "select", "with"):
		return "select"
	case tokens[i].kind == word && i == 0:
		return tokens[i].text
	}
	return ""
}

// checker goes through the statements of a text.
type checker struct {
	found []Finding
	inTx  bool
	open  bool // a cursor
	seen  bool // the open transaction has had a statement that takes its snapshot
}

func (c *checker) report(r Rule, t token, what, remedy string) {
	info := ruleTexts[r]
	if remedy == "" {
		remedy = info.remedy
	}
	c.found = append(c.found, Finding{Rule: r, Line: t.line, Col: t.col, What: what, Why: info.why, Remedy: remedy, Warning: info.warning})
}

// bail ends the parsing of a statement (invariant 3). It never leaves this package.
type bail struct{}

func (c *checker) statement(tokens []token, o Options, nth int) {
	p := &parser{checker: c, tokens: tokens}
	defer func() {
		switch r := recover().(type) {
		case nil, bail:
		default:
			panic(r) // a fault of ours
		}
	}()
	if o.OneSelect {
		if nth > 1 {
			p.say(ruleSelect, p.tok(), "a second statement")
			return
		}
		if !p.isAny("select", "with") && !p.isOp("(") {
			p.say(ruleSelect, p.tok(), "a statement that is no SELECT")
		}
	}
	p.statement()
	if t := p.tok(); t.kind != end {
		p.fail("%s is too much here", t.name())
	}
	p.leaderOnly()
}
