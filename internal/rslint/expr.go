package rslint

import "fmt"

// Binding powers of operators, loosest first.
const (
	bindOr = iota + 1
	bindAnd
	bindNot
	bindIs
	bindCompare
	bindLike
	bindOther // || ~ & | # << >> and what is foreign
	bindAdd
	bindMul
	bindPower
	bindUnary
)

// expr reads an expression.
func (p *parser) expr() { p.binary(0) }

func (p *parser) binary(least int) {
	defer p.deeper()()
	p.unary()
	for {
		power := p.power()
		if power == 0 || power <= least {
			return
		}
		p.infix(power)
	}
}

// power is how tightly the operator that is next binds, 0 for none.
func (p *parser) power() int {
	t := p.tok()
	if t.kind == word {
		switch t.text {
		case "or":
			return bindOr
		case "and":
			return bindAnd
		case "is", "isnull", "notnull":
			return bindIs
		case "between", "in", "like", "ilike", "similar":
			return bindLike
		case "not":
			if n := p.peek(1); n.kind == word && (n.text == "between" || n.text == "in" || n.text == "like" || n.text == "ilike" || n.text == "similar") {
				return bindLike
			}
		case "at":
			if p.isWords("at time zone") {
				return bindPower
			}
		case "collate":
			return bindPower
		}
		return 0
	}
	if t.kind != op {
		return 0
	}
	switch t.text {
	case "=", "<", ">", "<=", ">=", "<>", "!=":
		return bindCompare
	case "+", "-":
		return bindAdd
	case "*", "/", "%":
		return bindMul
	case "^":
		return bindPower
	case "||", "~", "!~", "&", "|", "#", "<<", ">>":
		return bindOther
	}
	if _, foreign := foreignOperators[t.text]; foreign {
		return bindOther
	}
	return 0
}

// infix reads an operator and its right side.
func (p *parser) infix(power int) {
	t := p.next()
	switch {
	case power == bindIs:
		p.isTail(t)
	case power == bindLike:
		p.likeTail(t)
	case t.text == "at":
		p.want("time zone")
		p.binary(bindPower)
	case t.text == "collate":
		p.at--
		p.collation()
	default:
		if remedy, foreign := foreignOperators[t.text]; foreign && t.kind == op {
			p.report(ruleOperator, t, "the operator "+t.text, remedy)
		}
		if power == bindCompare && p.isAny("any", "some", "all") && p.peek(1).text == "(" {
			p.quantified()
			return
		}
		p.binary(power)
	}
}

// quantified reads ANY (subquery): Redshift has no arrays to compare with.
func (p *parser) quantified() {
	t := p.next()
	p.parens(func() {
		if !p.isQuery() {
			p.failAs(ruleArray, t, t.name()+" of an array", "x IN (a, b) or a subquery")
		}
		p.query()
	})
}

func (p *parser) isTail(t token) {
	if t.text != "is" {
		return
	}
	p.take("not")
	if p.is("distinct") {
		p.failAs(ruleIsDistinct, p.tok(), "IS DISTINCT FROM", "")
	}
	if !p.take("null") && !p.take("true") && !p.take("false") && !p.take("unknown") {
		p.fail("%s behind IS", p.tok().name())
	}
}

func (p *parser) likeTail(t token) {
	if t.text == "not" {
		t = p.next()
	}
	switch t.text {
	case "between":
		p.take("symmetric")
		p.binary(bindLike)
		p.want("and")
		p.binary(bindLike)
	case "in":
		p.parens(func() {
			if p.isQuery() {
				p.query()
			} else {
				p.list(p.expr)
			}
		})
	default:
		if t.text == "similar" {
			p.want("to")
		}
		p.binary(bindLike)
		if p.take("escape") {
			p.wantString("an escape character")
		}
	}
}

// unary reads prefix operators, an operand and what is hung on it.
func (p *parser) unary() {
	defer p.deeper()()
	if t := p.tok(); t.kind == op {
		switch t.text {
		case "-", "+", "~", "@", "|/", "||/":
			p.next()
			p.binary(bindUnary)
			return
		}
	}
	switch {
	case p.take("not"):
		p.binary(bindNot)
		return
	case p.take("prior"):
		p.unary()
		return
	}
	p.primary()
	for p.suffix() {
	}
}

// suffix reads a cast, a subscript or a step of a path.
func (p *parser) suffix() bool {
	switch {
	case p.takeOp("::"):
		p.typeName(false)
	case p.takeOp("["):
		p.expr()
		if p.isOp(":") {
			p.failAs(ruleArray, p.tok(), "a slice", "")
		}
		p.wantOp("]")
	case p.isOp(".") && p.peek(1).kind != number:
		p.next()
		if !p.takeOp("*") {
			p.label("an attribute")
		}
	default:
		return false
	}
	return true
}

// isQuery reports whether a subquery is next.
func (p *parser) isQuery() bool {
	for i := 0; ; i++ {
		t := p.peek(i)
		if t.kind != op || t.text != "(" {
			return t.kind == word && (t.text == "select" || t.text == "with" || t.text == "values")
		}
	}
}

func (p *parser) primary() {
	t := p.tok()
	switch t.kind {
	case number, str, template:
		p.next()
	case param:
		p.next()
	case quoted:
		p.nameOrCall()
	case word:
		p.keyword(t)
	case op:
		if t.text != "(" {
			p.fail("%s where an expression is wanted", t.name())
		}
		p.bracketed(t)
	default:
		p.fail("the statement ends where an expression is wanted")
	}
}

// bracketed reads a subquery, an expression, or a row that is compared by IN.
func (p *parser) bracketed(t token) {
	p.next()
	if p.isQuery() {
		p.query()
		p.wantOp(")")
		return
	}
	items := 0
	p.list(func() { p.expr(); items++ })
	p.wantOp(")")
	if items > 1 && !p.isWords("in") && !p.isWords("not in") {
		p.say(ruleRow, t, fmt.Sprintf("a row of %d values", items))
	}
}

// keyword reads an operand that begins with a word.
func (p *parser) keyword(t token) {
	switch t.text {
	case "null", "true", "false", "current_date", "sysdate", "current_user", "session_user", "user", "current_user_id":
		p.next()
	case "current_timestamp", "current_time", "localtime", "localtimestamp":
		p.next()
		p.onLeader(t)
		if p.takeOp("(") {
			p.wantNumber()
			p.wantOp(")")
		}
	case "case":
		p.caseWhen()
	case "exists":
		p.next()
		p.parens(p.query)
	case "date", "time", "timestamp", "timestamptz", "timetz", "interval":
		if p.peek(1).kind == str || p.isWords("timestamp with time zone") || p.isWords("timestamp without time zone") {
			p.typedLiteral(t)
			return
		}
		p.nameOrCall()
	case "array":
		if p.peek(1).text == "[" {
			p.failAs(ruleArray, t, "ARRAY[...]", "")
		}
		p.call(p.next())
	case "approximate":
		if n := p.peek(1); n.kind == word && p.peek(2).text == "(" {
			p.next()
		}
		p.nameOrCall()
	case "row":
		if p.peek(1).text == "(" {
			p.failAs(ruleRow, t, "ROW(...)", "")
		}
		p.nameOrCall()
	case "left", "right":
		if p.peek(1).text == "(" {
			p.call(p.next())
			return
		}
		p.nameOrCall()
	case "cast", "encode":
		if p.peek(1).text == "(" {
			p.call(p.next())
			return
		}
		p.nameOrCall()
	case "unnest":
		p.failAs(ruleFunction, t, "UNNEST", foreignFunctions["unnest"])
	default:
		p.nameOrCall()
	}
}

func (p *parser) typedLiteral(t token) {
	p.next()
	if !p.take("with time zone") {
		p.take("without time zone")
	}
	p.wantString("a literal")
	if t.text == "interval" {
		p.intervalFields()
	}
}

// intervalFields reads YEAR TO MONTH and the like.
func (p *parser) intervalFields() {
	unit := func() bool { return p.isAny("year", "month", "day", "hour", "minute", "second") }
	if !unit() {
		return
	}
	p.next()
	p.precision()
	if p.take("to") {
		if !unit() {
			p.fail("%s where a unit of an interval is wanted", p.tok().name())
		}
		p.next()
		p.precision()
	}
}

func (p *parser) precision() {
	if p.isOp("(") && p.peek(1).kind == number && p.peek(2).text == ")" {
		p.at += 3
	}
}

func (p *parser) caseWhen() {
	p.next()
	if !p.is("when") {
		p.expr()
	}
	for first := true; first || p.is("when"); first = false {
		p.want("when")
		p.expr()
		p.want("then")
		p.expr()
	}
	if p.take("else") {
		p.expr()
	}
	p.want("end")
}
