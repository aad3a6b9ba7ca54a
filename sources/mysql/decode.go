package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"
	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
)

// MariaDB's flags of a GTID event.
const (
	mariaStandalone = 1 << 0
	mariaPreparedXA = 1 << 6
)

const (
	mariaPartialRowData replication.EventType = 172 // go-mysql has no name for it

	statementEndFlag     = 1
	executeLoadHeaderLen = 26
)

// rowsEvent is a rows event on its way to its plan.
type rowsEvent struct {
	to   *planned
	typ  replication.EventType
	data []byte
}

// event reads one event of the log: keeps the coordinates, and hands the machine what it needs.
func (s *stream) event(ctx context.Context, ev []byte) error {
	typ, body := replication.EventType(ev[4]), ev[headerSize:]
	start := s.locate(ev, typ)
	switch typ {
	case replication.ROTATE_EVENT:
		return s.rotate(body)
	case replication.HEARTBEAT_EVENT:
		return s.heartbeat(ctx, ev)
	case replication.FORMAT_DESCRIPTION_EVENT:
		return s.format(ctx, ev)
	case replication.TRANSACTION_PAYLOAD_EVENT:
		return s.payload(ctx, ev)
	case replication.MARIADB_GTID_EVENT, replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.ANONYMOUS_GTID_EVENT:
		s.began = start
	case mariaPartialRowData:
		return s.fragment(ctx)
	}
	return s.content(ctx, ev, typ, body)
}

// locate moves the coordinates behind the event and returns where it starts. Events inside a compressed transaction
// and some of newer MariaDB's carry no position.
func (s *stream) locate(ev []byte, typ replication.EventType) coord {
	low := binary.LittleEndian.Uint32(ev[13:])
	if low == 0 || binary.LittleEndian.Uint16(ev[17:])&flagArtificial != 0 || typ == replication.ROTATE_EVENT || typ == replication.HEARTBEAT_EVENT {
		return s.at
	}
	s.at = s.at.advance(low)
	return coord{s.at.file, s.at.pos - uint64(binary.LittleEndian.Uint32(ev[9:]))}
}

func (s *stream) content(ctx context.Context, ev []byte, typ replication.EventType, body []byte) error {
	re, err := s.read(ctx, ev, typ, body)
	if err != nil {
		return s.damaged(typ, err)
	}
	if s.ev.kind == 0 {
		return nil
	}
	err = s.apply(ctx, s.group.step(&s.ev), re)
	if s.ev.kind == evRows && s.ev.last {
		s.mapped = s.mapped[:0]
	}
	return err
}

// read turns an event into s.ev, whose kind stays zero when the event is nothing to us. The types are a switch, and so
// the function is longer than others.
func (s *stream) read(ctx context.Context, ev []byte, typ replication.EventType, body []byte) (re rowsEvent, err error) {
	defer func() { // go-mysql's decoders index without checks, and ours lean on that: what panics is a damaged event
		if r := recover(); r != nil {
			err = errors.New("it ends early")
		}
	}()
	s.ev = event{}
	switch typ {
	case replication.MARIADB_GTID_EVENT, replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT:
		err = s.gtid(ev, typ, body)
	case replication.ANONYMOUS_GTID_EVENT:
		s.ev.kind = evAnonymous
	case replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT:
		err = s.query(ev, typ, body)
	case replication.EXECUTE_LOAD_QUERY_EVENT:
		s.ev.kind, s.ev.statement = evQuery, s.loadStatement(body)
	case replication.TABLE_MAP_EVENT:
		err = s.tableMap(ctx, ev, body)
	case replication.WRITE_ROWS_EVENTv0, replication.UPDATE_ROWS_EVENTv0, replication.DELETE_ROWS_EVENTv0,
		replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		re = s.rowsHeader(typ, body)
	case replication.XID_EVENT:
		s.ev.kind = evXID
	case replication.XA_PREPARE_LOG_EVENT:
		s.ev.kind = evXAPrepare
	case replication.INCIDENT_EVENT:
		s.ev.kind = evIncident
	default:
		err = s.unread(ev, typ)
	}
	return re, err
}

// unread lets pass what says nothing about rows and stops at what this program does not know.
func (s *stream) unread(ev []byte, typ replication.EventType) error {
	switch typ {
	case replication.STOP_EVENT, replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.BEGIN_LOAD_QUERY_EVENT,
		replication.APPEND_BLOCK_EVENT, replication.DELETE_FILE_EVENT, replication.IGNORABLE_EVENT, replication.ROWS_QUERY_EVENT, replication.PREVIOUS_GTIDS_EVENT,
		replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT, replication.HEARTBEAT_LOG_EVENT_V2,
		replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_GTID_LIST_EVENT,
		replication.MARIADB_START_ENCRYPTION_EVENT:
		return nil
	}
	if binary.LittleEndian.Uint16(ev[17:])&replication.LOG_EVENT_IGNORABLE_F != 0 {
		return nil // the server itself says that a reader may pass over it
	}
	return &Error{Cause: Lost, Server: s.config.Address, What: fmt.Sprintf("the binlog holds an event of type %d, which this version does not know", typ),
		Remedy: "upgrade tidemill, or turn off the server's feature that writes it and run: " + s.config.resyncSource()}
}

// damaged reports an event that does not decode. Own errors pass as they are.
func (s *stream) damaged(typ replication.EventType, err error) error {
	var own *Error
	if errors.As(err, &own) || errors.Is(err, context.Canceled) {
		return err
	}
	return &Error{Cause: Lost, Server: s.config.Address, What: fmt.Sprintf("decoding an event of type %d", typ), Err: err, Remedy: "run: " + s.config.resyncSource()}
}

func (s *stream) rotate(body []byte) error {
	if len(body) < 8 {
		return s.damaged(replication.ROTATE_EVENT, errors.New("it ends early"))
	}
	file, err := parseFile(string(body[8:]))
	if err != nil {
		return s.damaged(replication.ROTATE_EVENT, err)
	}
	s.at = coord{file, binary.LittleEndian.Uint64(body)}
	return nil
}

// heartbeat tells where the server has read to when it has nothing for us.
func (s *stream) heartbeat(ctx context.Context, ev []byte) error {
	file, err := parseFile(string(bytes.TrimRight(ev[headerSize:], "\x00")))
	if err != nil {
		return s.damaged(replication.HEARTBEAT_EVENT, err)
	}
	to := coord{file, 0}
	if file == s.at.file {
		to = s.at
	}
	if to = to.advance(binary.LittleEndian.Uint32(ev[13:])); s.at.less(to) && !s.group.open() {
		s.at = to
	}
	return s.between(ctx)
}

// format takes the description of a log file. The parser is told that events carry no checksums: ours are checked and cut
// off before.
func (s *stream) format(ctx context.Context, ev []byte) error {
	b := append(append([]byte(nil), ev...), 0, 0, 0, 0)
	b[len(ev)-1] = byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	binary.LittleEndian.PutUint32(b[9:], uint32(len(b)))
	if _, err := s.parser.Parse(b); err != nil {
		return s.damaged(replication.FORMAT_DESCRIPTION_EVENT, errors.New("it is malformed"))
	}
	s.ev = event{kind: evRestart}
	return s.apply(ctx, s.group.step(&s.ev), rowsEvent{})
}

// parse lets go-mysql decode a whole event. It keeps parts of what it is given, and a block's memory is used again, so
// it gets a copy, with the length that is left without the checksum.
func (s *stream) parse(ev []byte) (replication.Event, error) {
	b := append([]byte(nil), ev...)
	binary.LittleEndian.PutUint32(b[9:], uint32(len(b)))
	parsed, err := s.parser.Parse(b)
	if err != nil {
		return nil, errors.New("it is malformed") // go-mysql's text holds the event's bytes
	}
	return parsed.Event, nil
}

func (s *stream) gtid(ev []byte, typ replication.EventType, body []byte) error {
	s.ev.kind = evGTID
	if typ == replication.MARIADB_GTID_EVENT {
		if err := s.mariaEvent.Decode(body); err != nil {
			return err
		}
		g := &s.mariaEvent
		s.next = gtid{domain: g.GTID.DomainID, server: binary.LittleEndian.Uint32(ev[5:]), seq: g.GTID.SequenceNumber}
		s.ev.standalone, s.ev.prepared = g.Flags&mariaStandalone != 0, g.Flags&mariaPreparedXA != 0
		s.commit = headerTime(ev)
		return nil
	}
	g := &s.gtidEvent
	*g = replication.GTIDEvent{}
	if typ == replication.GTID_TAGGED_LOG_EVENT {
		g = &s.taggedEvent.GTIDEvent
		if err := s.taggedEvent.Decode(body); err != nil {
			return err
		}
	} else if err := g.Decode(body); err != nil {
		return err
	}
	s.next = gtid{sid: uuid.UUID(g.SID), tag: g.Tag.String(), seq: uint64(g.GNO)}
	s.commit = time.UnixMicro(int64(g.ImmediateCommitTimestamp)).UTC()
	if g.ImmediateCommitTimestamp == 0 {
		s.commit = headerTime(ev)
	}
	return nil
}

func headerTime(ev []byte) time.Time {
	return time.Unix(int64(binary.LittleEndian.Uint32(ev)), 0).UTC()
}

var (
	textBegin  = []byte("BEGIN")
	textCommit = []byte("COMMIT")
)

func (s *stream) query(ev []byte, typ replication.EventType, body []byte) error {
	s.ev.kind = evQuery
	q := &s.queryEvent
	if typ == replication.MARIADB_QUERY_COMPRESSED_EVENT {
		parsed, err := s.parse(ev)
		if err != nil {
			return err
		}
		q = parsed.(*replication.QueryEvent)
	} else if err := q.Decode(body); err != nil {
		return err
	}
	text := bytes.Trim(q.Query, "\x00 ")
	switch {
	case bytes.Equal(text, textBegin):
		s.ev.statement = statement{kind: stBegin}
	case bytes.Equal(text, textCommit):
		s.ev.statement = statement{kind: stCommit}
	default:
		s.ev.statement = s.parseText(text, q.Schema, q.StatusVars)
	}
	return nil
}

// loadStatement reads the text of a LOAD DATA that was logged as a statement.
func (s *stream) loadStatement(body []byte) statement {
	schemaLen, varsLen := int(body[8]), int(binary.LittleEndian.Uint16(body[11:]))
	rest := body[executeLoadHeaderLen:]
	vars, rest := rest[:varsLen], rest[varsLen:]
	st := s.parseText(rest[schemaLen+1:], rest[:schemaLen], vars)
	st.kind = stDML
	return st
}

// tableMap finds or makes the plan for the rows that follow.
func (s *stream) tableMap(ctx context.Context, ev, body []byte) error {
	id := tableID(body)
	hash := xxh3.Hash(body[8:]) // id and flags left out: the id changes whenever the server opens the table
	p := s.plans[hash]
	if p == nil {
		var err error
		if p, err = s.plan(ctx, ev, body); err != nil {
			return err
		}
		if len(s.plans) >= maxPlans {
			clear(s.plans)
		}
		s.plans[hash] = p
	}
	s.mapped = append(s.mapped, mapping{id, p})
	s.ev.kind = evTableMap
	if t := p.table; t != nil {
		s.ev.table, s.ev.captured, s.ev.child = t.name, t.parked == "", s.tables.child(t)
	}
	return nil
}

func tableID(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

// tableMapName reads the name at the head of a table map.
func tableMapName(body []byte) ingest.TableName {
	b := body[8:]
	n := int(b[0])
	schema := string(b[1 : 1+n])
	b = b[n+2:]
	return ingest.TableName{Schema: schema, Name: string(b[1 : 1+int(b[0])])}
}

func (s *stream) lookup(id uint64) *planned {
	for i := len(s.mapped) - 1; i >= 0; i-- {
		if s.mapped[i].id == id {
			return s.mapped[i].to
		}
	}
	return nil
}

// rowsHeader reads as much of a rows event as tells whose rows it holds.
func (s *stream) rowsHeader(typ replication.EventType, body []byte) rowsEvent {
	p := s.lookup(tableID(body))
	s.ev.kind = evRows
	s.ev.last = binary.LittleEndian.Uint16(body[6:])&statementEndFlag != 0
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		s.ev.insert = true
	}
	if p == nil || p.table == nil {
		return rowsEvent{}
	}
	s.ev.table, s.ev.captured = p.table.name, p.table.parked == ""
	return rowsEvent{to: p, typ: typ, data: body}
}

// fragment handles a piece of a rows event: every table that the statement has mapped may be its.
func (s *stream) fragment(ctx context.Context) error {
	for _, m := range s.mapped {
		if m.to.table == nil {
			continue
		}
		s.ev = event{kind: evFragment, table: m.to.table.name, captured: m.to.table.parked == ""}
		if err := s.apply(ctx, s.group.step(&s.ev), rowsEvent{}); err != nil {
			return err
		}
	}
	return nil
}

// payload reads the events inside MySQL's compressed transaction. go-mysql unpacks it whole; the server bounds it by
// max_allowed_packet.
func (s *stream) payload(ctx context.Context, ev []byte) error {
	parsed, err := s.parse(ev)
	if err != nil {
		return s.damaged(replication.TRANSACTION_PAYLOAD_EVENT, err)
	}
	for _, e := range parsed.(*replication.TransactionPayloadEvent).Events {
		if err := s.content(ctx, e.RawData, e.Header.EventType, e.RawData[headerSize:]); err != nil {
			return err
		}
	}
	return nil
}

// newParser makes go-mysql's parser for what we leave to it: table maps, and taking compressed transactions apart.
func newParser(f flavor) *replication.BinlogParser {
	p := replication.NewBinlogParser()
	p.SetFlavor(string(f))
	p.SetPayloadDecoderConcurrency(1)
	p.SetRowsEventDecodeFunc(func(*replication.RowsEvent, []byte) error { return nil }) // rows are decoded by their plan
	return p
}
