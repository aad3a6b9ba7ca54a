package rslint

import (
	"fmt"
	"strconv"
)

// nameOrCall reads a column, a path or a function call.
func (p *parser) nameOrCall() {
	t := p.ident("an expression")
	parts := 1
	for p.isOp(".") {
		p.next()
		if p.takeOp("*") {
			return
		}
		t = p.label("a name")
		parts++
	}
	if p.isOp("(") {
		p.callOf(t, parts > 1)
	}
}

func (p *parser) call(t token) { p.callOf(t, false) }

// callOf reads the arguments of a function whose name has been read, and what follows them.
func (p *parser) callOf(t token, qualified bool) {
	if !qualified && t.kind == word {
		if remedy, foreign := foreignFunctions[t.text]; foreign {
			p.report(ruleFunction, t, t.name(), remedy)
		}
		if leaderFunctions[t.text] != "" {
			p.onLeader(t)
		}
		if p.special(t) {
			return
		}
	}
	n := p.arguments(t)
	if t.text == "concat" && n != 2 {
		p.report(ruleArity, t, fmt.Sprintf("CONCAT of %d", n), "a || b || c")
	}
	p.afterCall(t)
}

// arguments reads (...) and returns how many there are.
func (p *parser) arguments(t token) int {
	n := 0
	p.parens(func() {
		if p.isOp(")") || p.takeOp("*") {
			return
		}
		if !p.take("distinct") {
			p.take("all")
		}
		p.list(func() { p.argument(); n++ })
		if p.is("order") {
			p.failAs(ruleAggOrder, p.tok(), "ORDER BY among the arguments of "+t.name(), "")
		}
		p.nulls()
	})
	return n
}

func (p *parser) argument() {
	if p.isQuery() {
		p.query()
		return
	}
	if n := p.peek(1); p.tok().kind == word && n.kind == op && (n.text == ":=" || n.text == "=>") {
		p.failAs(ruleOperator, n, "the operator "+n.text, foreignOperators[n.text])
	}
	p.expr()
}

func (p *parser) nulls() {
	if !p.take("ignore nulls") {
		p.take("respect nulls")
	}
}

// afterCall reads WITHIN GROUP, FILTER and OVER.
func (p *parser) afterCall(t token) {
	if p.is("within") {
		if !withinGroup[t.text] {
			p.failAs(ruleWithin, p.tok(), "WITHIN GROUP behind "+t.name(), "")
		}
		p.want("within group")
		p.parens(func() { p.want("order by"); p.list(p.orderItem) })
	}
	if p.is("filter") && p.peek(1).text == "(" {
		p.failAs(ruleFilter, p.tok(), "FILTER (...)", "")
	}
	if p.isWords("ignore nulls over") || p.isWords("respect nulls over") {
		p.nulls()
	}
	if p.is("over") {
		p.over(t)
	}
}

// over reads a window.
func (p *parser) over(t token) {
	at := p.next()
	if !p.isOp("(") {
		p.failAs(ruleWindow, at, "OVER with a window's name", "")
	}
	p.parens(func() {
		if p.take("partition by") {
			p.list(p.expr)
		}
		ordered := p.take("order by")
		if ordered {
			p.list(p.orderItem)
		}
		switch f := p.tok(); {
		case p.isAny("range", "groups"):
			p.failAs(ruleFrame, f, "a frame of "+f.name(), "write ROWS")
		case p.take("rows"):
			p.frame()
		case p.tok().kind == word:
			p.failAs(ruleWindow, f, f.name()+" in a window", "")
		case ordered && framed[t.text]:
			p.say(ruleFrame, at, t.name()+" over a window with an order and no frame")
		}
	})
}

func (p *parser) frame() {
	if p.take("between") {
		p.bound()
		p.want("and")
	}
	p.bound()
	if p.is("exclude") {
		p.failAs(ruleFrame, p.tok(), "EXCLUDE", "remove it")
	}
}

func (p *parser) bound() {
	if p.take("current row") {
		return
	}
	if !p.take("unbounded") {
		p.binary(bindLike)
	}
	if !p.take("preceding") && !p.take("following") {
		p.fail("%s where PRECEDING or FOLLOWING is wanted", p.tok().name())
	}
}

// special reads the functions whose arguments are no list of expressions. It reports whether t was one.
func (p *parser) special(t token) bool {
	switch t.text {
	case "cast", "try_cast":
		p.parens(func() { p.expr(); p.want("as"); p.typeName(false) })
	case "convert":
		p.parens(func() { p.typeName(false); p.wantOp(","); p.expr() })
	case "extract":
		p.parens(func() { p.datePart(); p.want("from"); p.expr() })
	case "position":
		p.parens(func() { p.binary(bindLike); p.want("in"); p.expr() })
	case "substring":
		p.parens(p.substring)
	case "trim":
		p.parens(p.trim)
	default:
		return false
	}
	return true
}

func (p *parser) datePart() {
	if !p.takeString() {
		p.label("a part of a date")
	}
}

func (p *parser) takeString() bool {
	if k := p.tok().kind; k == str || k == template {
		p.next()
		return true
	}
	return false
}

func (p *parser) substring() {
	p.expr()
	if p.take("from") {
		p.expr()
		if p.take("for") {
			p.expr()
		}
		return
	}
	for p.takeOp(",") {
		p.expr()
	}
}

func (p *parser) trim() {
	if p.isAny("both", "leading", "trailing") {
		p.next()
	}
	if !p.is("from") {
		p.expr()
	}
	if p.take("from") {
		p.expr()
	}
	for p.takeOp(",") {
		p.expr()
	}
}

// collation reads COLLATE and its name.
func (p *parser) collation() {
	p.want("collate")
	t := p.next()
	if name := t.text; (t.kind != word && t.kind != quoted && t.kind != str) || name != "case_sensitive" && name != "case_insensitive" && name != "cs" && name != "ci" {
		p.say(ruleCollation, t, "the collation "+t.name())
	}
}

// typeName reads a type. column says that it is of a column, which some types cannot be.
func (p *parser) typeName(column bool) {
	t := p.tok()
	if t.kind == template {
		p.next()
		return
	}
	if t.kind != word && t.kind != quoted {
		p.fail("%s where a type is wanted", t.name())
	}
	p.next()
	name := t.text
	switch {
	case name == "double" && p.take("precision"):
		name = "float8"
	case (name == "character" || name == "char") && p.take("varying"):
		name = "varchar"
	case name == "national" && (p.take("character varying") || p.take("char varying") || p.take("varchar")):
		name = "varchar"
	case name == "national" && (p.take("character") || p.take("char")):
		name = "char"
	case name == "binary" && p.take("varying"):
		name = "varbyte"
	}
	size, known := types[name]
	if !known {
		remedy := foreignTypes[name]
		if remedy == "" {
			remedy = "use one of Redshift's types"
		}
		p.report(ruleType, t, "the type "+t.name(), remedy)
		p.afterUnknownType()
		return
	}
	if name == "text" || name == "bpchar" && column {
		p.say(ruleText, t, "the type "+t.name())
	}
	p.typeArguments(t, size)
	p.afterType(t, name, column)
}

func (p *parser) afterUnknownType() {
	if p.isOp("(") {
		p.parens(p.balanced)
	}
	for p.takeOp("[") {
		p.wantOp("]")
	}
}

// balanced goes to the bracket that closes the open one.
func (p *parser) balanced() {
	for depth := 0; p.tok().kind != end; p.next() {
		if p.isOp("(") {
			depth++
		} else if p.isOp(")") {
			if depth == 0 {
				return
			}
			depth--
		}
	}
}

func (p *parser) typeArguments(t token, size typeSize) {
	if !p.isOp("(") {
		return
	}
	if size.args == 0 {
		p.failAs(ruleTypeSize, t, t.name()+" with a size", "leave the size out")
	}
	p.parens(func() {
		if p.take("max") {
			return
		}
		first := p.size(t, size.max)
		if size.args == 2 && p.takeOp(",") {
			if scale := p.size(t, 37); scale > first {
				p.report(ruleTypeSize, t, fmt.Sprintf("%s(%d,%d)", t.name(), first, scale), "the scale is at most the precision")
			}
		}
	})
}

func (p *parser) size(t token, most int) int {
	n := p.wantNumber()
	v, err := strconv.Atoi(n.text)
	if n.kind == number && (err != nil || v > most) {
		p.report(ruleTypeSize, n, fmt.Sprintf("%s(%s)", t.name(), n.text), fmt.Sprintf("at most %d", most))
	}
	return v
}

func (p *parser) afterType(t token, name string, column bool) {
	switch name {
	case "time", "timestamp":
		if !p.take("with time zone") {
			p.take("without time zone")
		}
	case "interval":
		at := p.at
		p.intervalFields()
		if column && p.at == at {
			p.report(ruleType, t, "an INTERVAL column without its fields", "INTERVAL YEAR TO MONTH or INTERVAL DAY TO SECOND")
		}
	}
	if p.isOp("[") && p.peek(1).text == "]" {
		p.failAs(ruleArray, p.tok(), "an array of "+t.name(), "use SUPER")
	}
}
