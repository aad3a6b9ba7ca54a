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
var noColumn = []string{"INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK", "PARTITION"}

func (p *parser) alter() statement {
	p.skip("ONLINE", "OFFLINE", "IGNORE")
	if !p.accept("TABLE") {
		return statement{}
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
	foreign := false
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
		foreign = true // or another constraint or index, which have neither word
	case p.accept("CHANGE"), p.accept("MODIFY"):
		s.alter.rewrites = true
	case p.accept("DROP"):
		p.alterDrop(s)
	}
	for depth := 0; p.tok.kind != endToken; {
		switch {
		case p.tok.sign("("):
			depth++
		case p.tok.sign(")"):
			depth--
		case p.tok.is("CASCADE"), p.tok.is("SET"):
			s.alter.cascades = s.alter.cascades || foreign
		case depth > 0:
		case p.tok.sign(","):
			p.advance()
			return
		case p.accept("RENAME"):
			p.alterRename(s)
			continue
		case p.tok.is("TRUNCATE"), p.tok.is("EXCHANGE"), p.tok.is("DISCARD"), p.tok.is("IMPORT"), p.tok.is("CONVERT"):
			p.alterSwap(s)
			continue
		}
		p.advance()
	}
}

// addColumn reads the definition of one new column, or of several in parentheses. Old rows hold NULL in it unless the
// definition says what they hold.
func (p *parser) addColumn(s *statement) {
	several := p.tok.sign("(")
	named := !several
	for depth := 0; p.tok.kind != endToken; p.advance() {
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
		case p.tok.is("CASCADE"), p.tok.is("SET"): // of an inline reference
			s.alter.cascades = true
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
	if t, ok := p.name(); ok {
		s.kind, s.tables = stRename, []ingest.TableName{s.tables[0], t}
	}
}

// alterSwap reads TRUNCATE|EXCHANGE PARTITION, CONVERT PARTITION|TABLE, CONVERT TO CHARACTER SET and DISCARD|IMPORT
// TABLESPACE.
func (p *parser) alterSwap(s *statement) {
	convert := p.tok.is("CONVERT")
	p.advance()
	switch {
	case p.tok.is("PARTITION"), p.tok.is("TABLESPACE"), convert && p.tok.is("TABLE"):
		s.kind = stSwap
	case convert && p.tok.is("TO"):
		s.alter.rewrites = true
	}
}
