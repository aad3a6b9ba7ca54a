package mysql

import (
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// statementKind is what the text of a query event means for us. The log's rows say what changed; texts matter only where
// they end a group, change a table's definition, or change data without rows.
type statementKind uint8

const (
	stOther        statementKind = iota // nothing to us: grants, views, routines, maintenance
	stBegin                             // BEGIN
	stCommit                            // COMMIT
	stRollback                          // ROLLBACK of the whole group
	stSavepoint                         // SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT
	stXAStart                           // XA START
	stXAEnd                             // XA END, XA PREPARE
	stXAFinish                          // XA COMMIT, XA ROLLBACK
	stCreate                            // CREATE TABLE
	stReplace                           // CREATE OR REPLACE TABLE: what was there is gone
	stAlter                             // ALTER TABLE, CREATE INDEX, DROP INDEX
	stSwap                              // an ALTER that changes rows without logging them: partitions, tablespaces
	stDrop                              // DROP TABLE
	stDropDatabase                      // DROP DATABASE
	stTruncate                          // TRUNCATE TABLE
	stRename                            // RENAME TABLE, ALTER TABLE … RENAME TO: from and to in turn
	stTrigger                           // CREATE TRIGGER
	stDML                               // INSERT, UPDATE, … as text
)

// statement is a classified text.
type statement struct {
	kind   statementKind
	tables []ingest.TableName // stRename: from, to, from, to, …; stDML: the target, empty when it is not one plain table
	schema string             // stDropDatabase: the database; otherwise the session's
	alter  alteration         // stAlter
}

// parser reads as much of a statement as decides its kind and its tables.
type parser struct {
	tokenizer
	tok    token
	schema string
}

// parseStatement classifies a text. What it does not know is stOther: texts are never the source of rows.
func parseStatement(text, schema string, ansi bool) statement {
	p := &parser{tokenizer: tokenizer{text: text, ansi: ansi}, schema: schema}
	p.advance()
	s := p.statement()
	if s.schema == "" {
		s.schema = schema
	}
	return s
}

func (p *parser) advance() { p.tok = p.next() }

// accept consumes the keyword if it is next.
func (p *parser) accept(keyword string) bool {
	if !p.tok.is(keyword) {
		return false
	}
	p.advance()
	return true
}

// skip consumes any of the keywords, in any order.
func (p *parser) skip(keywords ...string) {
	for slices.ContainsFunc(keywords, p.tok.is) {
		p.advance()
	}
}

func (p *parser) statement() statement {
	verb := p.tok
	p.advance()
	switch strings.ToUpper(verb.word) {
	case "BEGIN":
		return statement{kind: stBegin}
	case "START":
		if p.tok.is("TRANSACTION") {
			return statement{kind: stBegin}
		}
	case "COMMIT":
		return statement{kind: stCommit}
	case "SAVEPOINT", "RELEASE":
		return statement{kind: stSavepoint}
	case "ROLLBACK":
		p.skip("WORK")
		if p.tok.is("TO") {
			return statement{kind: stSavepoint}
		}
		return statement{kind: stRollback}
	case "XA":
		return p.xa()
	case "CREATE":
		return p.create()
	case "ALTER":
		return p.alter()
	case "DROP":
		return p.drop()
	case "TRUNCATE":
		p.skip("TABLE")
		return p.one(stTruncate)
	case "RENAME":
		return p.rename()
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "IMPORT", "EXECUTE":
		return p.dml(strings.ToUpper(verb.word))
	}
	return statement{}
}

func (p *parser) xa() statement {
	switch {
	case p.tok.is("START"), p.tok.is("BEGIN"):
		return statement{kind: stXAStart}
	case p.tok.is("END"), p.tok.is("PREPARE"):
		return statement{kind: stXAEnd}
	}
	return statement{kind: stXAFinish}
}

// name reads table or database.table. ok is false when there is none.
func (p *parser) name() (t ingest.TableName, ok bool) {
	if !p.tok.identifier() {
		return t, false
	}
	t = ingest.TableName{Schema: p.schema, Name: p.tok.word}
	p.advance()
	if p.tok.sign(".") {
		p.advance()
		if !p.tok.identifier() {
			return t, false
		}
		t = ingest.TableName{Schema: t.Name, Name: p.tok.word}
		p.advance()
	}
	return t, true
}

func (p *parser) one(kind statementKind) statement {
	if t, ok := p.name(); ok {
		return statement{kind: kind, tables: []ingest.TableName{t}}
	}
	return statement{}
}

func (p *parser) create() statement {
	replace := p.tok.is("OR")
	p.skip("OR", "REPLACE", "ONLINE", "OFFLINE")
	if p.accept("TEMPORARY") {
		return statement{}
	}
	p.definer()
	p.skip("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "AGGREGATE")
	switch {
	case p.accept("TABLE"):
		p.skip("IF", "NOT", "EXISTS")
		if replace {
			return p.one(stReplace)
		}
		return p.one(stCreate)
	case p.accept("INDEX"):
		return p.on()
	case p.accept("TRIGGER"):
		return p.trigger()
	}
	return statement{}
}

// definer skips DEFINER = account.
func (p *parser) definer() {
	if !p.accept("DEFINER") {
		return
	}
	for p.tok.sign("=") || p.tok.sign("@") || p.tok.sign("(") || p.tok.sign(")") || p.tok.kind == nameToken || p.tok.kind == textToken || p.tok.is("CURRENT_USER") {
		p.advance()
	}
}

// on finds the table of CREATE INDEX and DROP INDEX, which comes after the first ON.
func (p *parser) on() statement {
	for p.tok.kind != endToken {
		if p.accept("ON") {
			return p.one(stAlter)
		}
		p.advance()
	}
	return statement{}
}

func (p *parser) trigger() statement {
	for p.tok.kind != endToken {
		if p.accept("ON") {
			return p.one(stTrigger)
		}
		p.advance()
	}
	return statement{}
}

func (p *parser) drop() statement {
	if p.accept("TEMPORARY") {
		return statement{}
	}
	switch {
	case p.accept("TABLE"), p.accept("TABLES"):
		p.skip("IF", "EXISTS")
		s := statement{kind: stDrop}
		for {
			t, ok := p.name()
			if !ok {
				break
			}
			s.tables = append(s.tables, t)
			if !p.tok.sign(",") {
				break
			}
			p.advance()
		}
		return s
	case p.accept("DATABASE"), p.accept("SCHEMA"):
		p.skip("IF", "EXISTS")
		return statement{kind: stDropDatabase, schema: p.tok.word}
	case p.accept("INDEX"):
		return p.on()
	}
	return statement{}
}

func (p *parser) rename() statement {
	if !p.accept("TABLE") && !p.accept("TABLES") {
		return statement{}
	}
	p.skip("IF", "EXISTS")
	s := statement{kind: stRename}
	for {
		from, ok := p.name()
		p.skipWait()
		if !ok || !p.accept("TO") {
			return s
		}
		to, ok := p.name()
		if !ok {
			return s
		}
		s.tables = append(s.tables, from, to)
		if !p.tok.sign(",") {
			return s
		}
		p.advance()
	}
}

// dml finds the one table that a statement changes. Where there may be more, tables stays empty.
func (p *parser) dml(verb string) statement {
	s := statement{kind: stDML}
	p.skip("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "DATA", "LOCAL", "CONCURRENT")
	switch verb {
	case "INSERT", "REPLACE":
		p.skip("INTO", "TABLE")
		return orDML(p.one(stDML))
	case "UPDATE":
		if one := p.one(stDML); p.tok.is("SET") || p.tok.is("PARTITION") {
			return orDML(one)
		}
	case "DELETE":
		if !p.accept("FROM") {
			return s
		}
		one := p.one(stDML)
		if p.tok.kind == endToken || p.tok.is("WHERE") || p.tok.is("ORDER") || p.tok.is("LIMIT") || p.tok.is("PARTITION") || p.tok.is("RETURNING") {
			return orDML(one)
		}
	case "LOAD":
		for p.tok.kind != endToken {
			if p.accept("INTO") {
				p.skip("TABLE")
				return orDML(p.one(stDML))
			}
			p.advance()
		}
	}
	return s
}

func orDML(s statement) statement {
	s.kind = stDML
	return s
}
