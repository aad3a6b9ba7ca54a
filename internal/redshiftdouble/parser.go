package redshiftdouble

import (
	"slices"
	"strconv"
	"strings"
)

// parser walks over the tokens of a statement.
type parser struct {
	s  *session
	ts []token
	i  int
}

func (p *parser) more() bool { return p.i < len(p.ts) }

func (p *parser) peek(words ...string) bool { return p.more() && p.ts[p.i].is(words...) }

// sees reports whether these words come next, one after the other.
func (p *parser) sees(words ...string) bool {
	for n, w := range words {
		if p.i+n >= len(p.ts) || !p.ts[p.i+n].is(w) {
			return false
		}
	}
	return true
}

// accept passes over the words if they come next.
func (p *parser) accept(words ...string) bool {
	if !p.sees(words...) {
		return false
	}
	p.i += len(words)
	return true
}

func (p *parser) expect(words ...string) error {
	for _, w := range words {
		if !p.accept(w) {
			return p.unexpected()
		}
	}
	return nil
}

func (p *parser) unexpected() error { return unexpected(p.ts, p.i) }

// end is an error unless everything was read.
func (p *parser) end() error {
	if p.more() {
		return p.unexpected()
	}
	return nil
}

// relation is the name of a table or a view.
type relation struct {
	schema, name string // schema is empty when it was not written
	pg           string // for PostgreSQL
}

// shown is the name in messages.
func (r relation) shown() string { return r.name }

// ident reads a name.
func (p *parser) ident() (string, error) {
	if !p.more() || !p.ts[p.i].identifier() || p.ts[p.i].kind == word && slices.Contains(reserved, p.ts[p.i].val) {
		return "", p.unexpected()
	}
	p.i++
	return clip(p.ts[p.i-1].val), nil
}

func (p *parser) pgName(name string) string { return quote(p.s.server.names.short(name)) }

// relation reads [[database.]schema.]name.
func (p *parser) relation() (relation, error) {
	var parts []string
	for {
		n, err := p.ident()
		if err != nil {
			return relation{}, err
		}
		parts = append(parts, n)
		if !p.accept(".") {
			break
		}
	}
	if len(parts) == 3 {
		if parts[0] != p.s.server.config.Database {
			return relation{}, unsupported("queries across databases")
		}
		parts = parts[1:]
	}
	if len(parts) > 3 {
		return relation{}, p.unexpected()
	}
	r := relation{name: parts[len(parts)-1]}
	r.pg = p.pgName(r.name)
	if len(parts) == 2 {
		r.schema = parts[0]
		r.pg = p.pgName(r.schema) + "." + r.pg
	}
	return r, nil
}

// parens reads a parenthesised group and returns what is inside.
func (p *parser) parens() ([]token, error) {
	if !p.peek("(") {
		return nil, p.unexpected()
	}
	end := closing(p.ts, p.i)
	if end < 0 {
		return nil, refuse("42601", "syntax error at end of input")
	}
	inside := p.ts[p.i+1 : end]
	p.i = end + 1
	return inside, nil
}

// closing is the index of the parenthesis that closes the one at i, or -1.
func closing(ts []token, i int) int {
	depth := 0
	for ; i < len(ts); i++ {
		switch {
		case ts[i].is("(", "["):
			depth++
		case ts[i].is(")", "]"):
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// list cuts tokens at commas that stand in no parentheses.
func list(ts []token) [][]token {
	var out [][]token
	depth, start := 0, 0
	for i, t := range ts {
		switch {
		case t.is("(", "["):
			depth++
		case t.is(")", "]"):
			depth--
		case t.is(",") && depth == 0:
			out = append(out, ts[start:i])
			start = i + 1
		}
	}
	return append(out, ts[start:])
}

// columns reads (a, b, c).
func (p *parser) columns() ([]string, error) {
	inside, err := p.parens()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, item := range list(inside) {
		q := &parser{s: p.s, ts: item}
		n, err := q.ident()
		if err != nil {
			return nil, err
		}
		if err := q.end(); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// stringValue reads a string literal.
func (p *parser) stringValue() (string, error) {
	if !p.more() || p.ts[p.i].kind != text {
		return "", p.unexpected()
	}
	p.i++
	return p.ts[p.i-1].val, nil
}

// integer reads a number, with its sign.
func (p *parser) integer() (int64, error) {
	sign := ""
	if p.accept("-") {
		sign = "-"
	}
	if !p.more() || p.ts[p.i].kind != number {
		return 0, p.unexpected()
	}
	n, err := strconv.ParseInt(sign+p.ts[p.i].val, 10, 64)
	if err != nil {
		return 0, p.unexpected()
	}
	p.i++
	return n, nil
}

// pgNames are the names as PostgreSQL writes them in a list.
func (p *parser) pgNames(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = p.pgName(n)
	}
	return strings.Join(out, ", ")
}

// reserved are the words that no name may be without quotes, of Redshift's manual.
var reserved = strings.Fields(`aes128 aes256 all allowoverwrite analyse analyze and any array as asc authorization az64 backup between
	binary blanksasnull both bytedict bzip2 case cast check collate column constraint create credentials cross current_date current_time
	current_timestamp current_user current_user_id default deferrable deflate defrag delta delta32k desc disable distinct do else
	emptyasnull enable encode encrypt encryption end except explicit false for foreign freeze from full globaldict256 globaldict64k grant
	group gzip having identity ignore ilike in initially inner intersect interval into is isnull join language leading left like limit
	localtime localtimestamp lun luns lzo lzop minus mostly16 mostly32 mostly8 natural new not notnull null nulls off offline offset oid
	old on only open or order outer overlaps parallel partition percent permissions pivot placing primary raw readratio recover references
	rejectlog resort respect restore right select session_user similar snapshot some sysdate system table tag tdes text255 text32k then
	timestamp to top trailing true truncatecolumns union unique unnest unpivot user using verbose wallet when where with without`)

// onlyRedshift are those of them that PostgreSQL lets pass as names and that have no other use in a query.
var onlyRedshift = strings.Fields(`aes128 aes256 allowoverwrite az64 backup blanksasnull bytedict bzip2 credentials current_user_id deflate
	defrag delta delta32k disable emptyasnull enable encode encrypt encryption explicit globaldict256 globaldict64k gzip identity lun luns
	lzo lzop mostly16 mostly32 mostly8 new off offline old open parallel permissions pivot raw readratio recover rejectlog resort restore
	snapshot system tag tdes text255 text32k truncatecolumns unpivot wallet`)

// systemColumns can be no column of a table, quoted or not.
var systemColumns = strings.Fields("oid ctid xmin xmax cmin cmax tableoid")
