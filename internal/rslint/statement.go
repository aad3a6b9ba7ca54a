package rslint

import (
	"slices"
)

// statement reads one statement of any kind and keeps track of the transaction.
func (p *parser) statement() {
	t := p.tok()
	if t.kind != word {
		if p.isOp("(") {
			p.dml(p.query)
			return
		}
		p.fail("%s where a statement begins", t.name())
	}
	read, known := statements()[t.text]
	if !known {
		p.failAs(ruleStatement, t, t.name(), foreignStatements[t.text])
	}
	read(p)
}

// foreignStatements are what PostgreSQL or others have, with what to do.
var foreignStatements = map[string]string{
	"listen": "remove it", "notify": "remove it", "unlisten": "remove it", "do": "CREATE PROCEDURE and CALL", "reindex": "remove it: Redshift has no indexes", "cluster": "use a SORTKEY",
	"checkpoint": "remove it", "discard": "RESET ALL", "load": "remove it", "table": "SELECT * FROM t", "values": "SELECT ... UNION ALL SELECT ...", "replace": "DELETE and INSERT, in one transaction",
	"import": "CREATE EXTERNAL TABLE", "move": "FETCH", "pragma": "remove it", "attach": "remove it", "optimize": "VACUUM", "describe": "ask SVV_COLUMNS", "upsert": "DELETE and INSERT, in one transaction",
}

// statements maps the first word to what reads the rest. It is a function because the readers refer to it.
func statements() map[string]func(*parser) {
	query := func(p *parser) { p.dml(p.query) }
	loose := func(p *parser) { p.ddl(p.skipRest) }
	return map[string]func(*parser){
		"select": query, "with": (*parser).withStatement,
		"insert": func(p *parser) { p.dml(p.insert) }, "update": func(p *parser) { p.dml(p.update) }, "delete": func(p *parser) { p.dml(p.delete) },
		"merge": func(p *parser) { p.ddl(p.merge) }, "copy": func(p *parser) { p.ddl(p.copy) }, "unload": func(p *parser) { p.ddl(p.unload) },
		"create": func(p *parser) { p.ddl(p.create) }, "alter": func(p *parser) { p.ddl(p.alter) }, "drop": func(p *parser) { p.ddl(p.drop) },
		"truncate": (*parser).truncate, "lock": (*parser).lock,
		"begin": (*parser).begin, "start": (*parser).begin, "commit": (*parser).commit, "end": (*parser).commit, "rollback": (*parser).rollback, "abort": (*parser).rollback,
		"savepoint": (*parser).savepoint, "release": (*parser).savepoint,
		"set": (*parser).set, "reset": loose, "show": (*parser).set, "use": loose, "desc": loose,
		"analyze": loose, "analyse": loose, "vacuum": (*parser).vacuum, "grant": loose, "revoke": loose, "comment": loose, "call": loose, "cancel": loose,
		"explain": (*parser).explain, "refresh": (*parser).refresh,
		"declare": (*parser).declare, "fetch": loose, "close": func(p *parser) { p.open = false; p.ddl(p.skipRest) }, "prepare": (*parser).prepare, "execute": loose, "deallocate": loose,
	}
}

// dml reads a statement that takes parameters and a snapshot.
func (p *parser) dml(read func()) {
	p.seen = true
	read()
}

// ddl reads one that takes no parameters.
func (p *parser) ddl(read func()) {
	p.seen = true
	for _, t := range p.tokens {
		if t.kind == param {
			p.failAs(ruleParameter, t, "the parameter "+t.text, "")
		}
	}
	read()
}

// outside refuses what does not run in a transaction.
func (p *parser) outside(t token, what string) {
	if p.inTx {
		p.say(ruleTxBlock, t, what)
	}
}

// withStatement: WITH may stand before SELECT, UPDATE and DELETE.
func (p *parser) withStatement() {
	start := p.at
	p.seen = true
	p.with()
	switch {
	case p.is("update"):
		p.update()
	case p.is("delete"):
		p.delete()
	case p.isAny("insert", "merge"):
		p.failAs(ruleWithDML, p.tokens[start], "WITH before "+p.tok().name(), "")
	default:
		p.setOperations()
		p.orderLimit()
	}
}

func (p *parser) begin() {
	t := p.next()
	if t.text == "start" {
		p.want("transaction")
	} else if !p.take("work") {
		p.take("transaction")
	}
	if p.take("isolation level") {
		if !p.take("serializable") && !p.take("read committed") && !p.take("read uncommitted") && !p.take("repeatable read") && !p.take("snapshot") {
			p.fail("%s where an isolation level is wanted", p.tok().name())
		}
	}
	if !p.take("read write") {
		p.take("read only")
	}
	p.inTx, p.seen = true, false
}

func (p *parser) commit() {
	p.next()
	if !p.take("work") {
		p.take("transaction")
	}
	p.refuse(ruleClause, "and chain")
	p.refuse(ruleStatement, "prepared")
	p.inTx, p.open = false, false
}

func (p *parser) rollback() {
	p.next()
	if !p.take("work") {
		p.take("transaction")
	}
	p.refuse(ruleSavepoint, "to")
	p.refuse(ruleStatement, "prepared")
	p.inTx, p.open = false, false
}

func (p *parser) savepoint() { p.failAs(ruleSavepoint, p.tok(), p.tok().name(), "") }

func (p *parser) lock() {
	t := p.next()
	if p.inTx && p.seen {
		p.say(ruleLockFirst, t, "LOCK behind another statement")
	}
	p.take("table")
	p.list(func() { p.qualified("a table") })
	if p.is("in") || p.is("nowait") {
		p.failAs(ruleClause, p.tok(), "LOCK with a mode", "LOCK table: it is always exclusive")
	}
}

func (p *parser) truncate() {
	t := p.next()
	if p.inTx {
		p.say(ruleTruncate, t, "TRUNCATE in a transaction")
	}
	p.take("table")
	p.qualified("a table")
	if p.isOp(",") || p.isAny("cascade", "restart", "restrict", "continue") {
		p.failAs(ruleClause, p.tok(), "TRUNCATE with "+p.tok().name(), "TRUNCATE takes one table and nothing else")
	}
	p.seen = true
}

// set reads SET name TO value and SHOW name: they take no snapshot.
func (p *parser) set() {
	p.next()
	if !p.take("session") {
		p.take("local")
	}
	t := p.tok()
	if remedy := foreignSettings[t.text]; remedy != "" && t.kind == word {
		p.report(ruleSetting, t, "the parameter "+t.text, remedy)
	}
	if n := p.peek(2); t.text == "extra_float_digits" && n.kind == number && n.text > "2" {
		p.report(ruleSetting, n, "extra_float_digits of more than 2", "SET extra_float_digits TO 2")
	}
	p.skipRest()
}

func (p *parser) vacuum() {
	p.outside(p.next(), "VACUUM")
	if p.isOp("(") {
		p.failAs(ruleClause, p.tok(), "VACUUM (...)", "VACUUM [FULL|SORT ONLY|DELETE ONLY|REINDEX|RECLUSTER] table [TO n PERCENT] [BOOST]")
	}
	p.skipRest()
}

func (p *parser) explain() {
	p.next()
	p.take("verbose")
	if p.isOp("(") || p.is("analyze") {
		p.failAs(ruleClause, p.tok(), "EXPLAIN "+p.tok().name(), "EXPLAIN [VERBOSE] statement; SYS_QUERY_DETAIL shows what a query did")
	}
	p.statement()
}

func (p *parser) refresh() {
	p.next()
	p.want("materialized view")
	p.refuse(ruleClause, "concurrently")
	p.qualified("a view")
	if !p.take("cascade") {
		p.take("restrict")
	}
}

func (p *parser) declare() {
	t := p.next()
	if !p.inTx {
		p.say(ruleTxNeeded, t, "DECLARE")
	}
	if p.open {
		p.say(ruleCursor, t, "a second cursor")
	}
	p.open = true
	p.ident("a name")
	if p.isAny("binary", "insensitive", "scroll", "no") {
		p.failAs(ruleClause, p.tok(), p.tok().name()+" cursor", "")
	}
	p.want("cursor")
	if p.isAny("with", "without") {
		p.failAs(ruleClause, p.tok(), "a cursor "+p.tok().name()+" HOLD", "")
	}
	p.want("for")
	p.query()
}

func (p *parser) prepare() {
	t := p.next()
	p.refuse(ruleStatement, "transaction")
	p.ident("a name")
	if p.isOp("(") {
		p.parens(p.balanced)
	}
	p.want("as")
	if !p.isAny("select", "insert", "update", "delete", "with") {
		p.failAs(ruleStatement, p.tok(), t.name()+" of "+p.tok().name(), "PREPARE takes SELECT, INSERT, UPDATE and DELETE")
	}
	p.statement()
}

// foreignObjects are what PostgreSQL creates, alters and drops and Redshift does not.
var foreignObjects = map[string]string{
	"index": "use a SORTKEY, or nothing", "unique": "use a SORTKEY, or nothing", "sequence": "use IDENTITY(1, 1)", "trigger": "remove it", "rule": "use a view", "type": "use a table", "domain": "use the type",
	"extension": "remove it", "tablespace": "remove it", "operator": "use a function", "aggregate": "use a function", "language": "remove it", "publication": "remove it", "subscription": "remove it", "event": "remove it",
	"foreign": "CREATE EXTERNAL TABLE", "server": "CREATE EXTERNAL SCHEMA", "statistics": "ANALYZE", "unlogged": "use BACKUP NO", "policy": "CREATE RLS POLICY", "recursive": "remove it", "macro": "CREATE FUNCTION", "secret": "use an IAM role", "transient": "use BACKUP NO",
	"conversion": "remove it", "cast": "remove it", "collation": "use COLLATE CASE_INSENSITIVE", "access": "remove it", "text": "remove it", "global": "CREATE TEMP TABLE",
}

// objects are Redshift's other objects. Their statements are known and not judged further.
var objects = set(`schema external database user group role function procedure library model datashare rls masking identity`)

// drop reads DROP.
func (p *parser) drop() {
	t := p.next()
	switch {
	case p.isAny("table", "view"):
		p.next()
		p.dropNames()
	case p.take("materialized view"):
		p.dropNames()
	case p.is("database") || p.isWords("external table"):
		p.outside(t, "DROP "+p.tok().name())
		p.skipRest()
	default:
		p.other("DROP")
	}
}

func (p *parser) dropNames() {
	p.take("if exists")
	p.list(func() { p.qualified("a name") })
	if !p.take("cascade") {
		p.take("restrict")
	}
}

// other reads statements about objects that are known, and refuses those that are not.
func (p *parser) other(verb string) {
	t := p.tok()
	if t.kind != word || !objects[t.text] {
		p.failAs(ruleObject, t, verb+" "+t.name(), foreignObjects[t.text])
	}
	p.skipRest()
}

// insert reads INSERT INTO.
func (p *parser) insert() {
	p.want("insert into")
	target := p.qualified("a table")
	if p.isOp("(") && !p.isQuery() {
		p.columns()
	}
	p.refuse(ruleClause, "overriding")
	switch {
	case p.take("default values"):
	case p.is("values"):
		p.next()
		p.list(func() { p.parens(func() { p.list(p.valueOrDefault) }) })
	default:
		if p.is("as") {
			p.failAs(ruleTargetAlias, p.tok(), "an alias of "+target.name, "leave it out")
		}
		p.query()
	}
	p.refuse(ruleConflict, "on conflict")
	p.refuse(ruleConflict, "on duplicate")
	p.refuse(ruleReturning, "returning")
}

func (p *parser) valueOrDefault() {
	if !p.take("default") {
		p.expr()
	}
}

// update reads UPDATE.
func (p *parser) update() {
	p.want("update")
	p.tables = append(p.tables, p.qualified("a table"))
	p.tableAlias()
	p.want("set")
	var columns []token
	p.list(func() {
		if p.isOp("(") {
			p.failAs(ruleRow, p.tok(), "SET of a row", "set column by column")
		}
		columns = append(columns, p.ident("a column"))
		if p.isOp(".") {
			p.failAs(ruleSetColumn, columns[len(columns)-1], "a qualified column in SET", "")
		}
		p.wantOp("=")
		p.valueOrDefault()
	})
	p.distinct(columns)
	p.fromWhere("from")
}

// delete reads DELETE.
func (p *parser) delete() {
	p.want("delete")
	p.take("from")
	p.tables = append(p.tables, p.qualified("a table"))
	if p.is("as") || p.tok().kind == quoted || p.tok().kind == word && !slices.Contains([]string{"using", "where", "returning"}, p.tok().text) {
		p.failAs(ruleTargetAlias, p.tok(), "an alias in DELETE", "")
	}
	p.fromWhere("using")
}

func (p *parser) fromWhere(from string) {
	if p.take(from) {
		p.list(p.fromItem)
	}
	if p.take("where") {
		p.refuse(ruleClause, "current of")
		p.expr()
	}
	p.refuse(ruleReturning, "returning")
}
