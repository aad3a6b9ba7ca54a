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
	stOther        statementKind = iota // nothing to us: grants, routines, maintenance
	stUnknown                           // a text that this parser does not know: it may have done anything
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
	stSwap                              // an ALTER that changes rows without logging them: partitions, tablespaces, IGNORE, what is not known
	stDrop                              // DROP TABLE
	stDropDatabase                      // DROP DATABASE
	stTruncate                          // TRUNCATE TABLE
	stRename                            // RENAME TABLE, ALTER TABLE … RENAME TO: from and to in turn
	stTrigger                           // CREATE TRIGGER
	stView                              // CREATE VIEW
	stDML                               // INSERT, UPDATE, … as text
)

// statement is a classified text.
type statement struct {
	kind   statementKind
	tables []ingest.TableName // stRename: from, to, from, to, …; stDML: the target, empty when it is not one plain table
	made   ingest.TableName   // stSwap: the table that comes into being
	schema string             // stDropDatabase: the database; otherwise the session's
	alter  alteration         // stAlter
	// perhaps says that IF [NOT] EXISTS leaves open what has been done: stCreate, stRename.
	perhaps bool
}

// session is what the log says of the session that ran a statement, as far as it decides how the text is read.
type session struct {
	schema string
	ansi   bool // sql_mode ANSI_QUOTES: "x" is a name
	bare   bool // sql_mode NO_BACKSLASH_ESCAPES: a backslash in a text is one
	fold   bool // the server keeps the names of tables in lower case, whatever statements write
}

// parser reads as much of a statement as decides its kind and its tables.
type parser struct {
	tokenizer
	session
	tok token
}

// parseStatement classifies a text. A text that is not known is never taken for harmless: what is harmless is listed.
func parseStatement(text string, in session) statement {
	p := &parser{tokenizer: tokenizer{text: text, ansi: in.ansi, bare: in.bare}, session: in}
	p.schema = p.folded(in.schema)
	p.advance()
	s := p.statement()
	if s.schema == "" {
		s.schema = p.schema
	}
	return s
}

func (p *parser) folded(name string) string {
	if p.fold {
		return strings.ToLower(name)
	}
	return name
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

// harmless are the verbs of statements that change no rows and no table.
var harmless = []string{"GRANT", "REVOKE", "CHECK", "CHECKSUM", "OPTIMIZE", "FLUSH", "INSTALL", "UNINSTALL", "LOCK", "UNLOCK", "KILL", "PURGE", "RESET",
	"CHANGE", "STOP", "SHUTDOWN", "CACHE", "USE", "SHOW", "DESCRIBE", "HELP", "BACKUP", "DEALLOCATE", "SIGNAL"}

// harmlessObjects are what CREATE, ALTER and DROP may be about besides tables, and the words that come before some of them.
var harmlessObjects = []string{"USER", "ROLE", "VIEW", "PROCEDURE", "FUNCTION", "EVENT", "SERVER", "DATABASE", "SCHEMA", "SEQUENCE", "PACKAGE", "TABLESPACE", "LOGFILE",
	"UNDO", "RESOURCE", "SPATIAL", "INSTANCE", "LIBRARY", "TRIGGER", "PREPARE", "ALGORITHM", "SQL", "DEFINER", "CATALOG"}

func (p *parser) statement() statement {
	verb := p.tok
	p.advance()
	if verb.kind == endToken {
		return statement{} // servers write comments where an event was left out
	}
	if verb.kind != wordToken {
		return statement{kind: stUnknown}
	}
	switch strings.ToUpper(verb.word) {
	case "BEGIN":
		return statement{kind: stBegin}
	case "START":
		if p.tok.is("TRANSACTION") {
			return statement{kind: stBegin}
		}
		return statement{}
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
	case "SET":
		return p.set()
	case "ANALYZE":
		return p.analyze()
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "DO", "SELECT", "VALUES", "IMPORT", "EXECUTE":
		return p.dml(strings.ToUpper(verb.word))
	}
	return p.definition(verb)
}

// definition reads what begins with the verb of a statement that defines something.
func (p *parser) definition(verb token) statement {
	switch strings.ToUpper(verb.word) {
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
	case "REPAIR": // may leave out rows that it cannot read
		p.skip("LOCAL", "NO_WRITE_TO_BINLOG")
		if p.accept("TABLE") || p.accept("TABLES") {
			return p.list(stSwap)
		}
		return p.other("VIEW")
	}
	if slices.ContainsFunc(harmless, verb.is) {
		return statement{}
	}
	return statement{kind: stUnknown}
}

// other is harmless when one of the words comes next.
func (p *parser) other(words ...string) statement {
	if slices.ContainsFunc(words, p.tok.is) {
		return statement{}
	}
	return statement{kind: stUnknown}
}

// set reads SET: MariaDB's SET STATEMENT … FOR runs what follows and is logged as it was written.
func (p *parser) set() statement {
	if !p.accept("STATEMENT") {
		return statement{}
	}
	quotes := false // the mode that the text was read with is not the one that the log gives
	for depth := 0; p.tok.kind != endToken; p.advance() {
		switch {
		case p.tok.sign("("):
			depth++
		case p.tok.sign(")"):
			depth--
		case p.tok.is("SQL_MODE"):
			quotes = true
		case depth == 0 && p.accept("FOR"):
			if quotes && strings.ContainsAny(p.text, "\"\\") {
				return statement{kind: stUnknown}
			}
			return p.statement()
		}
	}
	return statement{kind: stUnknown}
}

// analyze reads ANALYZE TABLE, which changes nothing, and MariaDB's ANALYZE [FORMAT = x] statement, which runs it.
func (p *parser) analyze() statement {
	p.skip("LOCAL", "NO_WRITE_TO_BINLOG")
	if p.tok.is("TABLE") || p.tok.is("TABLES") {
		return statement{}
	}
	if p.accept("FORMAT") {
		if p.tok.sign("=") {
			p.advance()
		}
		p.advance()
	}
	return p.statement()
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
	t = ingest.TableName{Schema: p.schema, Name: p.folded(p.tok.word)}
	p.advance()
	if p.tok.sign(".") {
		p.advance()
		if !p.tok.identifier() {
			return t, false
		}
		t = ingest.TableName{Schema: t.Name, Name: p.folded(p.tok.word)}
		p.advance()
	}
	return t, true
}

func (p *parser) one(kind statementKind) statement {
	if t, ok := p.name(); ok {
		return statement{kind: kind, tables: []ingest.TableName{t}}
	}
	return statement{kind: stUnknown}
}

// list reads names with commas between them.
func (p *parser) list(kind statementKind) statement {
	s := statement{kind: kind}
	for {
		t, ok := p.name()
		if !ok {
			return statement{kind: stUnknown}
		}
		s.tables = append(s.tables, t)
		if !p.tok.sign(",") {
			return s
		}
		p.advance()
	}
}

func (p *parser) create() statement {
	replace := p.tok.is("OR")
	p.skip("OR", "REPLACE", "ONLINE", "OFFLINE")
	if p.accept("TEMPORARY") {
		return p.other("TABLE", "TABLES", "SEQUENCE")
	}
	p.definer()
	p.skip("UNIQUE", "FULLTEXT", "VECTOR", "AGGREGATE")
	if p.tok.is("SPATIAL") {
		if p.advance(); p.tok.is("REFERENCE") {
			return statement{}
		}
	}
	switch {
	case p.accept("TABLE"):
		perhaps := p.tok.is("IF")
		p.skip("IF", "NOT", "EXISTS")
		if replace {
			return p.one(stReplace)
		}
		s := p.one(stCreate)
		s.perhaps = perhaps
		return s
	case p.accept("INDEX"):
		return p.on(stAlter)
	case p.accept("TRIGGER"):
		return p.on(stTrigger)
	}
	return p.createOther()
}

// createOther finds the views among what has no rows.
func (p *parser) createOther() statement {
	other := p.other(harmlessObjects...)
	for p.tok.is("ALGORITHM") || p.tok.is("SQL") || p.tok.is("DEFINER") {
		switch {
		case p.accept("ALGORITHM"):
			p.advance() // =
			p.advance()
		case p.accept("SQL"):
			p.skip("SECURITY")
			p.advance()
		default:
			p.definer()
		}
	}
	if p.accept("VIEW") {
		p.skip("IF", "NOT", "EXISTS")
		return p.one(stView)
	}
	return other
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

// on finds the table of an index or a trigger, which comes after the first ON.
func (p *parser) on(kind statementKind) statement {
	for p.tok.kind != endToken {
		if p.accept("ON") {
			return p.one(kind)
		}
		p.advance()
	}
	return statement{kind: stUnknown}
}

func (p *parser) drop() statement {
	if p.accept("TEMPORARY") {
		return p.other("TABLE", "TABLES", "SEQUENCE")
	}
	switch {
	case p.accept("TABLE"), p.accept("TABLES"):
		p.skip("IF", "EXISTS")
		return p.list(stDrop)
	case p.accept("DATABASE"), p.accept("SCHEMA"):
		p.skip("IF", "EXISTS")
		return statement{kind: stDropDatabase, schema: p.folded(p.tok.word)}
	case p.accept("INDEX"):
		return p.on(stAlter)
	}
	return p.other(harmlessObjects...)
}

func (p *parser) rename() statement {
	if !p.accept("TABLE") && !p.accept("TABLES") {
		return p.other("USER")
	}
	s := statement{kind: stRename, perhaps: p.tok.is("IF")}
	p.skip("IF", "EXISTS")
	for {
		from, ok := p.name()
		p.skipWait()
		if !ok || !p.accept("TO") {
			return statement{kind: stUnknown}
		}
		to, ok := p.name()
		if !ok {
			return statement{kind: stUnknown}
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
		s.target(p)
	case "UPDATE":
		if s.target(p); !p.tok.is("SET") && !p.tok.is("PARTITION") {
			s.tables = nil
		}
	case "DELETE":
		if !p.accept("FROM") {
			return s
		}
		s.target(p)
		if p.tok.kind != endToken && !slices.ContainsFunc([]string{"WHERE", "ORDER", "LIMIT", "PARTITION", "RETURNING"}, p.tok.is) {
			s.tables = nil
		}
	case "LOAD":
		for p.tok.kind != endToken {
			if p.accept("INTO") {
				p.skip("TABLE")
				s.target(p)
				break
			}
			p.advance()
		}
	}
	return s
}

func (s *statement) target(p *parser) {
	if t, ok := p.name(); ok {
		s.tables = []ingest.TableName{t}
	}
}
