package rslint

import (
	"fmt"
	"slices"
)

// create reads CREATE.
func (p *parser) create() {
	t := p.next()
	replace := p.take("or replace")
	switch {
	case p.isAny("temp", "temporary", "table") || p.isWords("local temp") || p.isWords("local temporary"):
		if replace {
			p.failAs(ruleClause, t, "CREATE OR REPLACE TABLE", "DROP TABLE IF EXISTS and CREATE TABLE, in one transaction")
		}
		p.createTable()
	case p.take("view"):
		p.createView()
	case p.take("materialized view"):
		p.createMaterialized()
	case p.is("database") || p.isWords("external table"):
		p.outside(t, "CREATE "+p.tok().name())
		p.skipRest()
	case p.is("library"):
		p.outside(t, "CREATE LIBRARY")
		p.skipRest()
	default:
		p.other("CREATE")
	}
}

func (p *parser) createView() {
	p.qualified("a view")
	if p.isOp("(") {
		p.columns()
	}
	p.want("as")
	first := len(p.tables)
	p.query()
	if p.take("with no schema binding") {
		for _, r := range p.tables[first:] {
			if r.parts < 2 && !p.ctes[r.name] {
				p.say(ruleUnqualified, r.token, "the table "+r.token.name()+" without its schema")
			}
		}
	}
	p.refuse(ruleClause, "with check option")
	p.refuse(ruleClause, "with local check option")
}

func (p *parser) createMaterialized() {
	p.qualified("a view")
	p.tableAttributes()
	if p.take("auto refresh") && !p.take("yes") && !p.take("no") {
		p.fail("%s behind AUTO REFRESH", p.tok().name())
	}
	p.want("as")
	p.query()
}

func (p *parser) createTable() {
	p.take("local")
	temp := p.take("temp") || p.take("temporary")
	p.want("table")
	ifNot := p.tok()
	exists := p.take("if not exists")
	name := p.qualified("a table")
	if temp && name.parts > 1 {
		p.say(ruleTempSchema, name.token, "a temporary table in a schema")
	}
	if p.isOp("(") && !p.isQuery() && !p.columnsOnly() {
		p.tableBody()
		p.refuse(ruleClause, "inherits")
		if p.isWords("partition by") || p.isWords("partition of") {
			p.failAs(ruleClause, p.tok(), "PARTITION BY", "use a SORTKEY")
		}
		p.refuse(ruleClause, "on commit")
		if p.isWords("with (") || p.is("tablespace") {
			p.failAs(ruleClause, p.tok(), p.tok().name(), "")
		}
		p.tableAttributes()
		p.refuse(ruleClause, "on commit")
		p.refuse(ruleClause, "with")
		if p.is("as") {
			p.failAs(ruleCTAS, p.tok(), "AS behind columns with types", "")
		}
		return
	}
	if p.isOp("(") && !p.isQuery() {
		p.newColumns(p.columns())
	}
	p.tableAttributes()
	p.refuse(ruleClause, "on commit")
	p.want("as")
	if exists {
		p.failAs(ruleCTAS, ifNot, "CREATE TABLE IF NOT EXISTS ... AS", "")
	}
	p.query()
	p.refuse(ruleClause, "with no data")
	p.refuse(ruleClause, "with data")
}

// columnsOnly reports whether the brackets hold names only, as those of CREATE TABLE AS do.
func (p *parser) columnsOnly() bool {
	for i := 1; ; i += 2 {
		if n := p.peek(i); n.kind != word && n.kind != quoted {
			return false
		}
		switch t := p.peek(i + 1); {
		case t.kind == op && t.text == ")":
			return true
		case t.kind != op || t.text != ",":
			return false
		}
	}
}

// tableBody reads the columns and constraints of CREATE TABLE.
func (p *parser) tableBody() {
	var columns []token
	keys := keyAttributes{}
	p.parens(func() {
		p.list(func() {
			switch {
			case p.take("like"):
				p.like = true
				p.qualified("a table")
				if p.take("including") || p.take("excluding") {
					p.want("defaults")
				}
			case p.isConstraint():
				p.tableConstraint()
			default:
				columns = append(columns, p.columnDefinition(&keys))
			}
		})
	})
	p.newColumns(columns)
	p.defined = columns
	if p.like {
		p.defined = nil
	}
}

func (p *parser) isConstraint() bool {
	return p.isAny("constraint", "check", "unique", "foreign", "primary", "exclude") && (p.peek(1).kind == word || p.peek(1).text == "(")
}

// tableConstraint reads PRIMARY KEY, UNIQUE or FOREIGN KEY over columns.
func (p *parser) tableConstraint() {
	if p.take("constraint") {
		p.ident("a name")
	}
	switch t := p.tok(); {
	case p.take("primary key"), p.take("unique"):
		p.columns()
	case p.take("foreign key"):
		p.columns()
		p.references()
	default:
		p.failAs(ruleConstraint, t, "the constraint "+t.name(), "")
	}
	p.deferrable()
}

func (p *parser) references() {
	p.want("references")
	p.qualified("a table")
	if p.isOp("(") {
		p.columns()
	}
	if p.isWords("on delete") || p.isWords("on update") || p.isWords("match full") {
		p.failAs(ruleConstraint, p.tok(), "an action of a foreign key", "")
	}
}

func (p *parser) deferrable() {
	if p.isAny("deferrable", "initially") || p.isWords("not deferrable") {
		p.failAs(ruleConstraint, p.tok(), "DEFERRABLE", "")
	}
}

// keyAttributes are what a table may have once.
type keyAttributes struct{ dist, sort, super bool }

// columnDefinition reads name, type, attributes and constraints of a column.
func (p *parser) columnDefinition(keys *keyAttributes) token {
	c := p.ident("a column")
	keys.super = p.is("super")
	p.typeName(true)
	for p.columnAttribute(c, keys) {
	}
	return c
}

// columnAttribute reads one attribute, if there is one.
func (p *parser) columnAttribute(c token, keys *keyAttributes) bool {
	t := p.tok()
	switch {
	case p.take("not null"), p.take("null"), p.take("unique"), p.take("primary key"):
		p.deferrable()
	case p.is("references"):
		p.references()
		p.deferrable()
	case p.take("default"):
		p.defaultValue()
	case p.take("identity"):
		p.identityArguments()
	case p.is("generated"):
		if !p.take("generated by default as identity") {
			p.failAs(ruleIdentity, t, "GENERATED of another kind", "")
		}
		p.identityArguments()
	case p.take("encode"):
		p.encoding()
	case p.take("distkey"):
		if keys.dist || keys.super {
			p.say(ruleTableAttr, t, "a second DISTKEY, or one of a SUPER")
		}
		keys.dist = true
	case p.take("sortkey"):
		if keys.sort || keys.super {
			p.say(ruleTableAttr, t, "a second SORTKEY, or one of a SUPER")
		}
		keys.sort = true
	case p.is("collate"):
		p.collation()
	case p.is("check") || p.is("constraint"):
		p.failAs(ruleConstraint, t, "the constraint "+t.name()+" of the column "+c.name(), "")
	default:
		return false
	}
	return true
}

func (p *parser) identityArguments() {
	p.parens(func() { p.signed(); p.wantOp(","); p.signed() })
}

func (p *parser) signed() {
	p.takeOp("-")
	p.wantNumber()
}

func (p *parser) encoding() {
	t := p.next()
	if t.kind != template && !encodings[t.text] {
		p.say(ruleEncode, t, "the encoding "+t.name())
	}
}

// defaultValue reads an expression that names no column.
func (p *parser) defaultValue() {
	at := p.at
	p.binary(bindIs)
	for i := at; i < p.at; i++ {
		t := p.tokens[i]
		call := i+1 < len(p.tokens) && p.tokens[i+1].text == "("
		cast := i > 0 && (p.tokens[i-1].text == "::" || p.tokens[i-1].text == "as")
		if t.kind == quoted || t.kind == word && t.text == "select" || t.kind == word && !call && !cast && !constants[t.text] && types[t.text] == (typeSize{}) && !isType(t.text) {
			p.say(ruleDefault, t, "DEFAULT with "+t.name())
			return
		}
	}
}

func isType(w string) bool { _, ok := types[w]; return ok }

var constants = set(`null true false sysdate current_date current_user current_timestamp user as interval and or not case when then else end precision time zone with without day hour minute second month year is`)

// tableAttributes reads what follows the columns: BACKUP, DISTSTYLE, DISTKEY, SORTKEY, ENCODE, in any order.
func (p *parser) tableAttributes() {
	seen := map[string]bool{}
	once := func(t token, what string) {
		if seen[what] {
			p.say(ruleTableAttr, t, what+" for the second time")
		}
		seen[what] = true
	}
	style := ""
	for {
		t := p.tok()
		switch {
		case p.take("backup"):
			once(t, "BACKUP")
			if !p.take("yes") && !p.take("no") {
				p.fail("%s behind BACKUP", p.tok().name())
			}
		case p.take("diststyle"):
			once(t, "DISTSTYLE")
			if style = p.next().text; style != "auto" && style != "even" && style != "key" && style != "all" {
				p.failAs(ruleTableAttr, t, "DISTSTYLE of another kind", "")
			}
		case p.take("distkey"):
			once(t, "DISTKEY")
			if n := len(p.keyColumns()); n != 1 {
				p.say(ruleTableAttr, t, fmt.Sprintf("a DISTKEY of %d columns", n))
			}
		case p.isAny("sortkey", "compound", "interleaved"):
			once(t, "SORTKEY")
			p.sortKey()
		case p.take("encode"):
			once(t, "ENCODE")
			p.want("auto")
		default:
			p.checkStyle(style, seen["DISTKEY"])
			return
		}
	}
}

// keyColumns reads the columns of a key, which the table has to have.
func (p *parser) keyColumns() []token {
	columns := p.columns()
	for _, c := range columns {
		if p.defined != nil && !slices.ContainsFunc(p.defined, func(d token) bool { return d.text == c.text }) {
			p.say(ruleTableAttr, c, "a key of "+c.name()+", which is no column of the table")
		}
	}
	return columns
}

func (p *parser) checkStyle(style string, key bool) {
	if key && style != "" && style != "key" {
		p.say(ruleTableAttr, p.tok(), "a DISTKEY together with another DISTSTYLE")
	}
}

func (p *parser) sortKey() {
	t := p.tok()
	kind := p.take("compound") || p.take("interleaved")
	p.want("sortkey")
	if !kind && p.take("auto") {
		return
	}
	if n := len(p.keyColumns()); n > 400 || t.text == "interleaved" && n > 8 {
		p.say(ruleTableAttr, t, fmt.Sprintf("a SORTKEY of %d columns", n))
	}
}
