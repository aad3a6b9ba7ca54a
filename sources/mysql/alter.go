package mysql

import (
	"slices"

	"github.com/tidemill/tidemill/ingest"
)

// alteration is what an ALTER TABLE does to values that are there already: the log holds no rows of it. The catalogue cannot
// always tell, because it shows the table as it is when the stream gets there: several ALTERs later, or just before this one
// can be seen, for a server logs a statement before it commits it.
type alteration struct {
	rewrites bool     // values of old rows may have changed: a column was renamed or converted, or came with a content
	cascades bool     // a foreign key that changes rows of the table was added
	added    []string // columns that came
	dropped  []string // columns that went; one that the table has nevertheless came back empty
}

// noColumn are the words after ADD and DROP that begin something else than a column.
var noColumn = []string{"INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK", "PARTITION", "SYSTEM", "PERIOD"}

// harmlessClauses are the first words of the clauses and table options that leave all rows and all their values as they are.
// What is in no list may have changed anything.
var harmlessClauses = []string{"ADD", "ALTER", "ALGORITHM", "LOCK", "FORCE", "ENABLE", "DISABLE", "ORDER", "COMMENT", "AUTO_INCREMENT", "AUTOEXTEND_SIZE", "AVG_ROW_LENGTH",
	"CHARACTER", "CHARSET", "CHECKSUM", "PAGE_CHECKSUM", "TABLE_CHECKSUM", "COLLATE", "COMPRESSION", "CONNECTION", "DATA", "DEFAULT", "DELAY_KEY_WRITE", "ENCRYPTED", "ENCRYPTION",
	"ENCRYPTION_KEY_ID", "ENGINE", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "SECONDARY_LOAD", "SECONDARY_UNLOAD", "IETF_QUOTES", "INDEX",
	"INSERT_METHOD", "ITEF_QUOTES", "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "PASSWORD", "RAID_TYPE",
	"ROW_FORMAT", "SEQUENCE", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "START", "TABLESPACE", "STORAGE", "TRANSACTIONAL", "WITH", "WITHOUT", "UPGRADE",
	"PARTITION", "PARTITIONS", "REMOVE", "COALESCE", "REORGANIZE", "REBUILD", "OPTIMIZE", "ANALYZE", "CHECK", "NOWAIT", "WAIT"}

// ownEngines keep the rows of a table that is converted to them.
var ownEngines = []string{"INNODB", "MYISAM", "ARIA", "MEMORY", "HEAP", "ROCKSDB", "ARCHIVE", "TOKUDB", "NDB", "NDBCLUSTER"}

func (p *parser) alter() statement {
	swaps := false
	for p.tok.is("ONLINE") || p.tok.is("OFFLINE") || p.tok.is("IGNORE") {
		swaps = swaps || p.tok.is("IGNORE") // it deletes rows that a new key does not allow
		p.advance()
	}
	if !p.accept("TABLE") {
		return p.other(harmlessObjects...)
	}
	p.skip("IF", "EXISTS")
	s := p.one(stAlter)
	if s.kind != stAlter {
		return s
	}
	p.skipWait()
	for p.tok.kind != endToken {
		p.clause(&s)
	}
	if swaps && s.kind == stAlter {
		s.kind = stSwap
	}
	return s
}

func (p *parser) skipWait() {
	if p.accept("WAIT") {
		p.advance() // seconds
	}
	p.skip("NOWAIT")
}

// clause reads up to and past the next comma that is in no parentheses. The words of partitions stand behind other words.
func (p *parser) clause(s *statement) {
	switch {
	case p.accept("ADD"):
		if !slices.ContainsFunc(noColumn, p.tok.is) {
			p.skip("COLUMN")
			if p.accept("IF") {
				p.skip("NOT", "EXISTS")
			}
			p.addColumn(s)
			return
		}
	case p.accept("CHANGE"), p.accept("MODIFY"):
		s.alter.rewrites = true
	case p.accept("DROP"):
		p.alterDrop(s)
	case p.tok.is("RENAME"), slices.ContainsFunc(swapping, p.tok.is): // below
	case !slices.ContainsFunc(harmlessClauses, p.tok.is):
		s.swap()
	}
	var on action
	for depth := 0; p.tok.kind != endToken; {
		s.alter.cascades = on.cascades(p.tok) || s.alter.cascades
		switch {
		case p.tok.sign("("):
			depth++
		case p.tok.sign(")"):
			depth--
		case depth > 0:
		case p.tok.sign(","):
			p.advance()
			return
		case p.accept("RENAME"):
			p.alterRename(s)
			continue
		case p.accept("ENGINE"):
			p.engine(s)
			continue
		case slices.ContainsFunc(swapping, p.tok.is):
			p.alterSwap(s)
			continue
		}
		p.advance()
	}
}

// engine reads ENGINE [=] name. Rows that some engine keeps elsewhere are not those that the table had.
func (p *parser) engine(s *statement) {
	if p.tok.sign("=") {
		p.advance()
	}
	engine := token{wordToken, p.tok.word}
	if !slices.ContainsFunc(ownEngines, engine.is) {
		s.swap()
	}
	p.advance()
}

// swap says that rows may have gone. A table that is renamed, too, is another one in any case.
func (s *statement) swap() {
	if s.kind != stRename {
		s.kind = stSwap
	}
}

// action finds ON DELETE|UPDATE CASCADE|SET among the tokens that it is shown: SET alone is also a type, and half of a charset.
type action struct{ read int }

func (a *action) cascades(t token) bool {
	before := a.read
	a.read = 0
	switch {
	case t.is("ON"):
		a.read = 1
	case before == 1 && (t.is("DELETE") || t.is("UPDATE")):
		a.read = 2
	case before == 2:
		return t.is("CASCADE") || t.is("SET")
	}
	return false
}

// addColumn reads the definition of one new column, or of several in parentheses. Old rows hold NULL in it unless the
// definition says what they hold.
func (p *parser) addColumn(s *statement) {
	several := p.tok.sign("(")
	named := !several
	var on action
	for depth := 0; p.tok.kind != endToken; p.advance() {
		s.alter.cascades = on.cascades(p.tok) || s.alter.cascades
		if named && p.tok.identifier() {
			s.alter.added, named = append(s.alter.added, p.tok.word), false
			continue
		}
		switch {
		case p.tok.sign("("):
			depth++
			named = several && depth == 1
		case p.tok.sign(")"):
			depth--
		case p.tok.sign(",") && depth == 0:
			p.advance()
			return
		case p.tok.sign(","):
			named = several && depth == 1
		case p.tok.is("DEFAULT"):
			p.advance()
			s.alter.rewrites = s.alter.rewrites || !p.tok.is("NULL")
		case p.tok.is("NOT"):
			p.advance()
			s.alter.rewrites = s.alter.rewrites || p.tok.is("NULL")
		case p.tok.is("AS"), p.tok.is("GENERATED"), p.tok.is("AUTO_INCREMENT"), p.tok.is("SERIAL"):
			s.alter.rewrites = true
		}
	}
}

// alterDrop reads what follows DROP.
func (p *parser) alterDrop(s *statement) {
	if p.tok.is("PARTITION") {
		s.kind = stSwap
	}
	if slices.ContainsFunc(noColumn, p.tok.is) {
		return
	}
	p.skip("COLUMN")
	if p.accept("IF") {
		p.skip("EXISTS")
	}
	if p.tok.identifier() {
		s.alter.dropped = append(s.alter.dropped, p.tok.word)
		p.advance()
	}
}

// alterRename reads what follows RENAME: a column or an index keeps the table's name.
func (p *parser) alterRename(s *statement) {
	if p.tok.is("COLUMN") {
		s.alter.rewrites = true
		return
	}
	if p.tok.is("INDEX") || p.tok.is("KEY") {
		return
	}
	p.skip("TO", "AS")
	if p.tok.sign("=") {
		p.advance()
	}
	if t, ok := p.name(); ok && t != s.tables[0] { // to its own name: the other clauses say what was done
		s.kind, s.tables = stRename, []ingest.TableName{s.tables[0], t}
	}
}

// swapping are the first words of clauses that move rows out of a table or into it.
var swapping = []string{"TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT", "CONVERT", "REPAIR", "UNION"}

// alterSwap reads TRUNCATE|REPAIR PARTITION, EXCHANGE PARTITION … WITH TABLE t, CONVERT PARTITION … TO TABLE t, CONVERT TABLE t TO
// PARTITION …, CONVERT TO CHARACTER SET, DISCARD|IMPORT TABLESPACE and UNION.
func (p *parser) alterSwap(s *statement) {
	convert := p.accept("CONVERT")
	if convert && p.tok.is("TO") {
		s.alter.rewrites = true
		return
	}
	s.kind = stSwap
	makes := convert && p.tok.is("PARTITION")
	for p.tok.kind != endToken && !p.tok.sign(",") && !p.tok.sign("(") {
		if !p.accept("TABLE") {
			p.advance()
			continue
		}
		if t, ok := p.name(); ok && makes {
			s.made = t
		} else if ok {
			s.tables = append(s.tables, t)
		}
	}
}
