package rslint

import "strings"

// alter reads ALTER.
func (p *parser) alter() {
	t := p.next()
	switch {
	case p.take("table"):
		p.alterTable(t)
	case p.take("materialized view"):
		p.qualified("a view")
		p.skipRest()
	case p.is("database"):
		p.outside(t, "ALTER DATABASE")
		p.skipRest()
	case p.isWords("default privileges"):
		p.skipRest()
	case p.is("view"):
		p.failAs(ruleObject, p.tok(), "ALTER VIEW", "ALTER TABLE renames views too; else CREATE OR REPLACE VIEW")
	case p.is("external"), p.is("system"):
		p.skipRest()
	default:
		p.other("ALTER")
	}
}

func (p *parser) alterTable(t token) {
	p.refuse(ruleIfNot, "if exists")
	p.refuse(ruleClause, "only")
	p.qualified("a table")
	p.alterAction(t)
	if p.isOp(",") {
		p.failAs(ruleOneAction, p.tok(), "a second action", "")
	}
}

// alterAction is one case per action.
func (p *parser) alterAction(t token) {
	switch {
	case p.take("add"):
		p.add(t)
	case p.take("drop"):
		p.dropAction(t)
	case p.take("alter"):
		p.alterPart(t)
	case p.take("rename"):
		if p.take("to") {
			p.ident("a name")
			return
		}
		p.take("column")
		p.ident("a column")
		p.want("to")
		p.newColumns([]token{p.ident("a column")})
	case p.take("owner to"):
		p.label("a user")
	case p.take("append from"):
		p.outside(t, "ALTER TABLE APPEND")
		p.qualified("a table")
		if !p.take("ignoreextra") {
			p.take("filltarget")
		}
	case p.isWords("row level security"), p.isWords("set location"), p.isWords("set file format"), p.isWords("set table properties"), p.is("partition"):
		p.skipRest()
	default:
		p.failAs(ruleClause, p.tok(), "ALTER TABLE "+p.tok().name(), "")
	}
}

// add reads ADD COLUMN or ADD constraint.
func (p *parser) add(t token) {
	if p.isWords("partition") || p.isWords("if not exists partition") {
		p.outside(t, "ADD PARTITION")
		p.skipRest()
		return
	}
	if p.isConstraint() {
		p.tableConstraint()
		return
	}
	p.take("column")
	p.refuse(ruleIfNot, "if not exists")
	c := p.ident("a column")
	p.newColumns([]token{c})
	p.typeName(true)
	p.addedAttributes(c)
}

func (p *parser) addedAttributes(c token) {
	var notNull, hasDefault bool
	keys := keyAttributes{}
	for {
		t := p.tok()
		switch {
		case p.isAny("primary", "unique", "references", "identity", "generated", "distkey", "sortkey"):
			p.failAs(ruleAddColumn, t, "ADD COLUMN with "+t.name(), "")
		case p.is("check") || p.is("constraint"):
			p.failAs(ruleConstraint, t, "the constraint "+t.name()+" of the column "+c.name(), "")
		}
		notNull = notNull || p.isWords("not null")
		hasDefault = hasDefault || p.is("default")
		if !p.columnAttribute(c, &keys) {
			break
		}
	}
	if notNull && !hasDefault {
		p.say(ruleAddColumn, c, "ADD COLUMN "+c.name()+" NOT NULL without a DEFAULT")
	}
}

func (p *parser) dropAction(t token) {
	switch {
	case p.is("partition"):
		p.outside(t, "DROP PARTITION")
		p.skipRest()
		return
	case p.take("constraint"):
	default:
		p.take("column")
		p.refuse(ruleIfNot, "if exists")
	}
	p.ident("a name")
	if !p.take("cascade") {
		p.take("restrict")
	}
}

// alterPart reads what follows ALTER TABLE t ALTER.
func (p *parser) alterPart(t token) {
	switch {
	case p.take("distkey"):
		p.ident("a column")
	case p.take("diststyle"):
		if p.take("key") {
			p.want("distkey")
			p.ident("a column")
		} else if !p.take("auto") && !p.take("even") && !p.take("all") {
			p.failAs(ruleTableAttr, p.tok(), "DISTSTYLE of another kind", "")
		}
	case p.take("encode"):
		p.want("auto")
	case p.isAny("sortkey", "compound"):
		if !p.take("sortkey none") {
			p.sortKey()
		}
	default:
		p.alterColumn(t)
	}
}

func (p *parser) alterColumn(t token) {
	p.take("column")
	p.ident("a column")
	switch {
	case p.take("encode"):
		p.encoding()
		for p.isOp(",") && p.peek(1).text == "alter" { // the one action that may be repeated
			p.next()
			p.want("alter")
			p.take("column")
			p.ident("a column")
			p.want("encode")
			p.encoding()
		}
	case p.take("type"), p.isWords("set data type"):
		p.take("set data type")
		p.outside(t, "ALTER COLUMN TYPE")
		p.sizedType()
		if p.is("using") {
			p.failAs(ruleAlterType, p.tok(), "USING", "")
		}
	case p.isAny("set", "drop"):
		p.failAs(ruleAlter, p.tok(), "ALTER COLUMN "+p.tok().name()+" "+p.peek(1).name(), "")
	default:
		p.fail("%s behind ALTER COLUMN", p.tok().name())
	}
}

// sizedType reads a VARCHAR or VARBYTE with its size.
func (p *parser) sizedType() {
	t := p.tok()
	sized := p.isAny("varchar", "nvarchar", "varbyte", "varbinary") || p.isWords("character varying") || p.isWords("binary varying")
	if !sized && t.kind == word {
		p.failAs(ruleAlterType, t, "ALTER COLUMN TYPE "+strings.ToUpper(t.text), "")
	}
	at := p.at
	p.typeName(true)
	if sized && p.tokens[p.at-1].text != ")" {
		p.report(ruleAlterType, p.tokens[at], "ALTER COLUMN TYPE without a size", "name the size in bytes")
	}
}
