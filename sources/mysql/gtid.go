package mysql

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"
)

// gtid names one group: MariaDB fills domain, server and seq; MySQL fills sid, tag and seq.
type gtid struct {
	domain uint32
	server uint32
	sid    uuid.UUID
	tag    string
	seq    uint64
}

// gtidSet is what a position is made of. It is built for a stream: adding the group that follows the last one and
// rendering the result cost the same whatever the set holds (invariant 4). go-mysql's sets sort and copy on each
// addition; they are used where a set is read or written whole.
type gtidSet interface {
	add(g gtid)
	// appendText appends the canonical text: two sets are equal exactly when their texts are.
	appendText(b []byte) []byte
	contains(g gtid) bool
	// within reports whether every group of the set is in o, a set of the same flavour.
	within(o gtidSet) bool
	clone() gtidSet
}

// noGroups is the text of the empty set. An empty Position would mean "first start" to the owner.
const noGroups = "none"

func parseSet(f flavor, text string) (gtidSet, error) {
	if text == noGroups {
		text = ""
	}
	if f == mariadb {
		return parseMariaSet(text)
	}
	return parseMySQLSet(text)
}

// mariaSet is MariaDB's position: the last group of each domain, in the order of domains.
type mariaSet []gtid

func parseMariaSet(text string) (*mariaSet, error) {
	out := mariaSet{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		g, err := gomysql.ParseMariadbGTID(part)
		if err != nil {
			return nil, fmt.Errorf("reading a MariaDB GTID position: %w", err)
		}
		next := gtid{domain: g.DomainID, server: g.ServerID, seq: g.SequenceNumber}
		if old := out.find(next.domain); old < 0 || out[old].seq < next.seq {
			out.add(next)
		}
	}
	return &out, nil
}

func (s mariaSet) find(domain uint32) int {
	return slices.IndexFunc(s, func(g gtid) bool { return g.domain == domain })
}

// add replaces the domain's last group. Order within a domain is the log's: after a failover the server id changes and
// the sequence goes on.
func (s *mariaSet) add(g gtid) {
	if i := s.find(g.domain); i >= 0 {
		(*s)[i] = g
		return
	}
	*s = append(*s, g)
	slices.SortFunc(*s, func(a, b gtid) int { return cmp.Compare(a.domain, b.domain) })
}

func (s *mariaSet) appendText(b []byte) []byte {
	if len(*s) == 0 {
		return append(b, noGroups...)
	}
	for i, g := range *s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(g.domain), 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(g.server), 10)
		b = append(b, '-')
		b = strconv.AppendUint(b, g.seq, 10)
	}
	return b
}

func (s *mariaSet) contains(g gtid) bool {
	i := s.find(g.domain)
	return i >= 0 && (*s)[i].seq >= g.seq
}

func (s *mariaSet) within(o gtidSet) bool {
	for _, g := range *s {
		if !o.contains(g) {
			return false
		}
	}
	return true
}

func (s *mariaSet) clone() gtidSet {
	c := slices.Clone(*s)
	return &c
}

// span is the groups first..last of one origin.
type span struct{ first, last uint64 }

// origin is the groups of one server UUID and tag: spans in order, neither touching nor overlapping.
type origin struct {
	sid   uuid.UUID
	tag   string
	spans []span
}

func compareOrigins(a, b origin) int {
	return cmp.Or(bytes.Compare(a.sid[:], b.sid[:]), strings.Compare(a.tag, b.tag))
}

// mysqlSet is MySQL's GTID set: origins in canonical order (UUID, then tag, the empty tag first).
//
// The text is kept in three pieces around the number that counts up while a server streams: before, hot, after.
// As long as the groups that are added extend the hot span, only its last number is written anew.
type mysqlSet struct {
	origins       []origin
	hot           int // origin whose last span was extended last; -1 when the pieces below are stale
	before, after []byte
}

func parseMySQLSet(text string) (*mysqlSet, error) {
	parsed, err := gomysql.ParseMysqlGTIDSet(strings.Map(dropSpace, text))
	if err != nil {
		return nil, fmt.Errorf("reading a MySQL GTID set: %w", err)
	}
	out := &mysqlSet{hot: -1}
	for sid, tags := range *parsed.(*gomysql.MysqlGTIDSet) {
		for tag, intervals := range tags {
			o := origin{sid: sid, tag: tag.String()}
			for _, i := range intervals {
				o.spans = insertSpan(o.spans, span{uint64(i.Start), uint64(i.Stop - 1)})
			}
			out.origins = append(out.origins, o)
		}
	}
	slices.SortFunc(out.origins, compareOrigins)
	return out, nil
}

func dropSpace(r rune) rune {
	if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
		return -1 // the server breaks long sets into lines
	}
	return r
}

// insertSpan adds s and merges what touches it.
func insertSpan(spans []span, s span) []span {
	i, _ := slices.BinarySearchFunc(spans, s, func(a, b span) int {
		if a.last+1 < b.first {
			return -1
		}
		return 1 // the first span that touches or follows s
	})
	j := i
	for j < len(spans) && spans[j].first <= s.last+1 {
		s.first, s.last = min(s.first, spans[j].first), max(s.last, spans[j].last)
		j++
	}
	return slices.Replace(spans, i, j, s)
}

func (s *mysqlSet) find(g gtid) (int, bool) {
	return slices.BinarySearchFunc(s.origins, origin{sid: g.sid, tag: g.tag}, compareOrigins)
}

func (s *mysqlSet) add(g gtid) {
	if s.hot >= 0 {
		if o := &s.origins[s.hot]; o.sid == g.sid && o.tag == g.tag && o.spans[len(o.spans)-1].last+1 == g.seq {
			o.spans[len(o.spans)-1].last = g.seq
			return
		}
	}
	s.hot = -1
	i, ok := s.find(g)
	if !ok {
		s.origins = slices.Insert(s.origins, i, origin{sid: g.sid, tag: g.tag})
	}
	s.origins[i].spans = insertSpan(s.origins[i].spans, span{g.seq, g.seq})
	s.heat(i)
}

// heat prepares the text pieces around origin i.
func (s *mysqlSet) heat(i int) {
	s.hot = i
	s.before, s.after = s.before[:0], s.after[:0]
	var last uuid.UUID
	for j, o := range s.origins {
		b := &s.before
		if j > i {
			b = &s.after
		}
		if j == 0 || o.sid != last {
			if j > 0 {
				*b = append(*b, ',')
			}
			*b = append(*b, o.sid.String()...)
			last = o.sid
		}
		if o.tag != "" {
			*b = append(append(*b, ':'), o.tag...)
		}
		spans := o.spans
		if j == i {
			spans = spans[:len(spans)-1]
		}
		for _, sp := range spans {
			*b = appendSpan(*b, sp)
		}
	}
}

func appendSpan(b []byte, s span) []byte {
	b = strconv.AppendUint(append(b, ':'), s.first, 10)
	if s.last > s.first {
		b = strconv.AppendUint(append(b, '-'), s.last, 10)
	}
	return b
}

func (s *mysqlSet) appendText(b []byte) []byte {
	if len(s.origins) == 0 {
		return append(b, noGroups...)
	}
	if s.hot < 0 {
		s.heat(0)
	}
	o := s.origins[s.hot]
	b = append(b, s.before...)
	b = appendSpan(b, o.spans[len(o.spans)-1])
	return append(b, s.after...)
}

func (s *mysqlSet) contains(g gtid) bool {
	i, ok := s.find(g)
	return ok && covers(s.origins[i].spans, span{g.seq, g.seq})
}

func covers(spans []span, s span) bool {
	i, _ := slices.BinarySearchFunc(spans, s.first, func(a span, first uint64) int { return cmp.Compare(a.last, first) })
	return i < len(spans) && spans[i].first <= s.first && s.last <= spans[i].last
}

func (s *mysqlSet) within(o gtidSet) bool {
	other := o.(*mysqlSet)
	for _, mine := range s.origins {
		i, ok := other.find(gtid{sid: mine.sid, tag: mine.tag})
		if !ok {
			return false
		}
		for _, sp := range mine.spans {
			if !covers(other.origins[i].spans, sp) {
				return false
			}
		}
	}
	return true
}

func (s *mysqlSet) clone() gtidSet {
	c := &mysqlSet{hot: -1, origins: slices.Clone(s.origins)}
	for i := range c.origins {
		c.origins[i].spans = slices.Clone(c.origins[i].spans)
	}
	return c
}

// encode is the set as COM_BINLOG_DUMP_GTID takes it.
func (s *mysqlSet) encode() ([]byte, error) {
	if len(s.origins) == 0 {
		return (&gomysql.MysqlGTIDSet{}).Encode(), nil
	}
	parsed, err := gomysql.ParseMysqlGTIDSet(string(s.appendText(nil)))
	if err != nil {
		return nil, fmt.Errorf("encoding a MySQL GTID set: %w", err)
	}
	return parsed.Encode(), nil
}
