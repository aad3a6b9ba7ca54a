package rslint

// query reads a SELECT with everything around it.
func (p *parser) query() {
	defer p.deeper()()
	if p.is("with") {
		p.with()
	}
	p.setOperations()
	p.orderLimit()
}

// with reads common table expressions.
func (p *parser) with() {
	p.want("with")
	p.take("recursive")
	p.list(func() {
		name := p.ident("a name")
		if p.ctes == nil {
			p.ctes = map[string]bool{}
		}
		p.ctes[name.text] = true
		if p.isOp("(") {
			p.columns()
		}
		p.want("as")
		p.refuse(ruleClause, "materialized")
		p.refuse(ruleClause, "not materialized")
		p.parens(func() {
			if p.isAny("insert", "update", "delete", "merge") {
				p.failAs(ruleWithDML, p.tok(), p.tok().name()+" in WITH", "")
			}
			p.query()
		})
	})
}

func (p *parser) setOperations() {
	p.term()
	for p.isAny("union", "intersect", "except", "minus") {
		t := p.next()
		if p.is("all") {
			if t.text != "union" {
				p.say(ruleSetAll, p.tok(), t.name()+" ALL")
			}
			p.next()
		} else {
			p.take("distinct")
		}
		p.term()
	}
}

func (p *parser) term() {
	defer p.deeper()()
	switch {
	case p.takeOp("("):
		p.query()
		p.wantOp(")")
	case p.is("values"):
		p.failAs(ruleValues, p.tok(), "VALUES as a table", "")
	default:
		p.selectCore()
	}
}

func (p *parser) orderLimit() {
	if p.take("order by") {
		p.list(p.orderItem)
	}
	for {
		t := p.tok()
		switch {
		case p.take("limit"):
			if p.depth == 1 {
				p.limit = &t
			}
			if !p.take("all") {
				p.expr()
			}
		case p.take("offset"):
			p.expr()
			p.refuse(ruleFetch, "rows")
		case p.isWords("fetch first") || p.isWords("fetch next"):
			p.failAs(ruleFetch, p.tok(), "FETCH FIRST", "")
		case p.isWords("for update") || p.isWords("for share") || p.isWords("for no key update") || p.isWords("for key share"):
			p.failAs(ruleLocking, p.tok(), "FOR "+p.peek(1).name(), "")
		default:
			return
		}
	}
}

func (p *parser) orderItem() {
	p.expr()
	if !p.take("asc") {
		p.take("desc")
	}
	p.refuse(ruleClause, "using")
	if p.is("nulls") {
		p.next()
		if !p.take("first") && !p.take("last") {
			p.fail("%s behind NULLS", p.tok().name())
		}
	}
}

func (p *parser) selectCore() {
	if !p.is("select") {
		p.fail("%s where SELECT is wanted", p.tok().name())
	}
	p.next()
	if p.take("top") {
		p.primary()
	}
	if p.take("distinct") {
		if p.is("on") {
			p.failAs(ruleDistinctOn, p.tok(), "DISTINCT ON", "")
		}
	} else {
		p.take("all")
	}
	p.list(p.selectItem)
	if p.take("into") {
		if p.isAny("temp", "temporary") {
			p.next()
		}
		p.take("table")
		p.qualified("a table")
	}
	if p.take("from") {
		p.list(p.fromItem)
	}
	p.whereGroup()
}

func (p *parser) whereGroup() {
	if p.take("where") {
		p.expr()
	}
	if p.take("start with") {
		p.expr()
	}
	if p.take("connect by") {
		p.take("nocycle")
		p.expr()
	}
	if p.take("group by") {
		p.list(p.grouping)
	}
	if p.take("having") {
		p.expr()
	}
	if p.take("qualify") {
		p.expr()
	}
	if p.is("window") && p.peek(2).text == "as" {
		p.failAs(ruleWindow, p.tok(), "WINDOW", "")
	}
}

func (p *parser) grouping() {
	switch {
	case p.isAny("rollup", "cube") && p.peek(1).text == "(":
		p.next()
		p.parens(func() { p.list(p.groupingItem) })
	case p.take("grouping sets"):
		p.parens(func() { p.list(p.groupingItem) })
	default:
		p.expr()
	}
}

// groupingItem is an expression, (a, b) or ().
func (p *parser) groupingItem() {
	if !p.isOp("(") {
		p.grouping()
		return
	}
	p.parens(func() {
		if !p.isOp(")") {
			p.list(p.expr)
		}
	})
}

func (p *parser) selectItem() {
	if p.takeOp("*") {
		p.starTail()
		return
	}
	p.expr()
	if p.take("as") {
		p.label("a name")
		return
	}
	p.alias()
	p.starTail()
}

// starTail reads EXCLUDE behind *.
func (p *parser) starTail() {
	if !p.take("exclude") {
		return
	}
	if p.isOp("(") {
		p.columns()
		return
	}
	p.list(func() { p.ident("a column") })
}

// alias reads a name without AS, if there is one.
func (p *parser) alias() bool {
	t := p.tok()
	if t.kind != quoted && (t.kind != word || reserved[t.text] || clauseWords[t.text] || p.isWords("exclude") || p.isWords("connect by")) {
		return false
	}
	p.checkName(t)
	p.next()
	return true
}

func (p *parser) tableAlias() {
	named := false
	if p.take("as") {
		p.ident("a name")
		named = true
	} else {
		named = p.alias()
	}
	if named && p.isOp("(") {
		p.columns()
	}
	if named && p.take("at") {
		p.ident("a name")
	}
}

// fromItem reads a table and the joins behind it.
func (p *parser) fromItem() {
	defer p.deeper()()
	p.source()
	for {
		natural := p.take("natural")
		cross := p.take("cross")
		switch {
		case cross:
		case p.take("inner"):
		case p.isAny("left", "right", "full"):
			p.next()
			p.take("outer")
		case p.is("join"):
		case natural:
			p.fail("%s behind NATURAL", p.tok().name())
		default:
			return
		}
		p.want("join")
		p.source()
		if !natural && !cross {
			p.joinCondition()
		}
	}
}

func (p *parser) joinCondition() {
	switch {
	case p.take("on"):
		p.expr()
	case p.take("using"):
		p.columns()
	default:
		p.fail("%s where ON or USING is wanted", p.tok().name())
	}
}

// source reads one table, subquery or join in brackets.
func (p *parser) source() {
	defer p.deeper()()
	t := p.tok()
	switch {
	case p.is("lateral"):
		p.failAs(ruleLateral, t, "LATERAL", "")
	case p.is("only"):
		p.failAs(ruleClause, t, "ONLY", "Redshift has no inheritance")
	case p.is("unpivot"):
		p.next()
		p.expr()
		p.want("as")
		p.ident("a name")
		if p.take("at") {
			p.ident("a name")
		}
		return
	case p.is("unnest") || p.isAny("generate_series", "range", "flatten", "read_parquet", "read_csv") && p.peek(1).text == "(":
		p.failAs(ruleTableFunc, t, t.name()+" as a table", "")
	case p.isOp("("):
		p.bracketedSource()
	default:
		p.tableSource()
	}
	p.tableAlias()
	if p.is("tablesample") {
		p.failAs(ruleSample, p.tok(), "TABLESAMPLE", "")
	}
	if p.isAny("pivot", "unpivot") {
		p.next()
		if p.take("include") || p.take("exclude") {
			p.want("nulls")
		}
		p.parens(p.balanced)
		p.tableAlias()
	}
}

func (p *parser) bracketedSource() {
	p.next()
	if p.isQuery() {
		p.query()
	} else {
		p.fromItem()
	}
	p.wantOp(")")
}

func (p *parser) tableSource() {
	r := p.qualified("a table")
	for p.isOp("[") || p.isOp(".") { // a path into a SUPER
		if !p.suffix() {
			break
		}
	}
	if p.isOp("(") {
		p.failAs(ruleTableFunc, r.token, r.token.name()+"(...) as a table", "")
	}
	p.tables = append(p.tables, r)
}
