package rslint

import (
	"fmt"
	"slices"
	"strings"
)

// parser reads one statement. Methods that begin with "is" look, "take" consumes what is there, "want" fails when it is not.
type parser struct {
	*checker
	tokens []token
	at     int
	depth  int

	tables  []tabRef // tables that the statement reads
	ctes    map[string]bool
	leader  []Finding // functions of the leader node
	defined []token   // columns of the table that is made, nil if they are not all known
	like    bool
	limit   *token // LIMIT of the outermost SELECT
}

type tabRef struct {
	token
	name  string
	parts int
}

// maxDepth bounds the recursion (invariant 1).
const maxDepth = 150

func (p *parser) tok() token { return p.tokens[p.at] }

func (p *parser) peek(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tok()
	if t.kind != end {
		p.at++
	}
	return t
}

// name is the token in a message: never the content of a literal (invariant 2).
func (t token) name() string {
	switch t.kind {
	case end:
		return "the end"
	case str:
		return "a literal"
	case number:
		return "a number"
	case template:
		return "a template"
	case word:
		return strings.ToUpper(t.text)
	case quoted:
		return `"` + t.text + `"`
	}
	return t.text
}

func (p *parser) say(r Rule, t token, what string) { p.report(r, t, what, "") }

// fail reports a syntax error and ends the statement.
func (p *parser) fail(format string, args ...any) {
	p.failAs(ruleSyntax, p.tok(), fmt.Sprintf(format, args...), "")
}

func (p *parser) failAs(r Rule, t token, what, remedy string) {
	if p.tok().kind != broken {
		p.report(r, t, what, remedy)
	}
	panic(bail{})
}

func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxDepth {
		p.failAs(ruleNesting, p.tok(), "an expression", "")
	}
	return func() { p.depth-- }
}

func (p *parser) is(w string) bool { t := p.tok(); return t.kind == word && t.text == w }

// isWords reports whether the next words are these.
func (p *parser) isWords(words string) bool {
	for i, w := range strings.Fields(words) {
		if t := p.peek(i); t.kind != word || t.text != w {
			return false
		}
	}
	return true
}

func (p *parser) isAny(words ...string) bool {
	t := p.tok()
	return t.kind == word && slices.Contains(words, t.text)
}

func (p *parser) isOp(o string) bool { t := p.tok(); return t.kind == op && t.text == o }

func (p *parser) take(words string) bool {
	if !p.isWords(words) {
		return false
	}
	p.at += len(strings.Fields(words))
	return true
}

func (p *parser) takeOp(o string) bool {
	if p.isOp(o) {
		p.at++
		return true
	}
	return false
}

func (p *parser) want(words string) {
	if !p.take(words) {
		p.fail("%s where %s is wanted", p.tok().name(), strings.ToUpper(words))
	}
}

func (p *parser) wantOp(o string) {
	if !p.takeOp(o) {
		p.fail("%s where %s is wanted", p.tok().name(), o)
	}
}

func (p *parser) wantString(what string) token {
	t := p.next()
	if t.kind != str && t.kind != template {
		p.at--
		p.fail("%s where %s in quotes is wanted", p.tok().name(), what)
	}
	return t
}

func (p *parser) wantNumber() token {
	t := p.tok()
	if t.kind != number && t.kind != template && t.kind != param {
		p.fail("%s where a number is wanted", t.name())
	}
	return p.next()
}

// list reads one or more items between commas.
func (p *parser) list(item func()) {
	item()
	for p.takeOp(",") {
		item()
	}
}

func (p *parser) parens(inside func()) {
	p.wantOp("(")
	inside()
	p.wantOp(")")
}

// refuse reports a clause by its rule and ends the statement, if the words are next.
func (p *parser) refuse(r Rule, words string) {
	if p.isWords(words) {
		p.failAs(r, p.tok(), strings.ToUpper(words), "")
	}
}

// ident reads a name. Reserved words are refused unless quoted.
func (p *parser) ident(what string) token {
	t := p.tok()
	switch {
	case t.kind == template:
	case t.kind == word && structure[t.text]:
		p.fail("%s where %s is wanted", t.name(), what)
	case t.kind == word && reserved[t.text]:
		p.failAs(ruleReserved, t, fmt.Sprintf("%s where %s is wanted", t.name(), what), "")
	case t.kind != word && t.kind != quoted:
		p.failAs(ruleName, t, fmt.Sprintf("%s where %s is wanted", t.name(), what), "write "+what)
	default:
		p.checkName(t)
	}
	return p.next()
}

// label reads what may follow AS or a dot: any word.
func (p *parser) label(what string) token {
	if t := p.tok(); t.kind == word {
		p.checkName(t)
		return p.next()
	}
	return p.ident(what)
}

func (p *parser) checkName(t token) {
	if len(t.text) > 127 {
		p.say(ruleNameLength, t, fmt.Sprintf("a name of %d bytes", len(t.text)))
	}
	if t.kind == quoted && (t.text == "" || strings.ContainsRune(t.text, 0)) {
		p.say(ruleName, t, "an empty name, or one with U+0000")
	}
}

// qualified reads [[database.]schema.]name and returns its last part.
func (p *parser) qualified(what string) tabRef {
	first := p.ident(what)
	r := tabRef{token: first, name: first.text, parts: 1}
	for p.takeOp(".") {
		r.name = p.label(what).text
		if r.parts++; r.parts > 3 {
			p.fail("a name of more than three parts")
		}
	}
	return r
}

func (p *parser) columns() []token {
	var out []token
	p.parens(func() { p.list(func() { out = append(out, p.ident("a column")) }) })
	p.distinct(out)
	return out
}

// distinct refuses columns whose names are one after folding.
func (p *parser) distinct(columns []token) {
	seen := map[string]bool{}
	for _, c := range columns {
		if c.kind != template && seen[c.text] {
			p.say(ruleSameColumn, c, "the column "+c.name()+" for the second time")
		}
		seen[c.text] = true
	}
}

// newColumns checks the columns of a table that is made.
func (p *parser) newColumns(columns []token) {
	p.distinct(columns)
	for _, c := range columns {
		if systemColumns[c.text] {
			p.say(ruleSystemName, c, "the column "+c.name())
		}
	}
	if len(columns) > 1600 {
		p.say(ruleManyColumns, columns[1600], fmt.Sprintf("%d columns", len(columns)))
	}
}

// onLeader notes a function that runs on the leader node only: that matters as soon as a table is read.
func (p *parser) onLeader(t token) {
	info := ruleTexts[ruleLeader]
	p.leader = append(p.leader, Finding{Rule: ruleLeader, Line: t.line, Col: t.col, What: t.name(), Why: info.why, Remedy: leaderFunctions[t.text]})
}

// leaderOnly reports leader functions that meet a table, and PostgreSQL's catalogue where it meets a table of a user.
func (p *parser) leaderOnly() {
	users := 0
	var catalog *tabRef
	for i, r := range p.tables {
		switch {
		case r.token.text == "pg_catalog" || r.token.text == "information_schema" || strings.HasPrefix(r.name, "pg_"):
			catalog = &p.tables[i]
		case !p.ctes[r.name]:
			users++
		}
	}
	if users > 0 {
		p.found = append(p.found, p.leader...)
	}
	if users > 0 && catalog != nil {
		p.report(ruleLeader, catalog.token, "the catalogue's "+catalog.name+" together with a user's table", "ask it in a query of its own, or use SVV_TABLES and SVV_COLUMNS")
	}
}

// skipRest goes to the end of the statement, for statements that are known and not judged in detail.
func (p *parser) skipRest() {
	depth := 0
	for p.tok().kind != end {
		switch t := p.next(); {
		case t.kind == op && (t.text == "(" || t.text == "["):
			depth++
		case t.kind == op && (t.text == ")" || t.text == "]"):
			if depth--; depth < 0 {
				p.at--
				p.fail("%s closes nothing", t.name())
			}
		}
	}
	if depth > 0 {
		p.fail("a bracket is not closed")
	}
}
