package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// snapshot is a consistent view of the server for one chunk, and what is known of its place in the log:
//
//   - every group for which visible is true can be seen in it, and
//   - no group that starts at high or behind can be.
//
// MariaDB tells the place exactly: binlog_snapshot_position is where InnoDB's view stands. MySQL does not. There visible means
// gtid_executed before the view was taken (a group enters it after its commit in the engine), and high is the end of the log
// after the rows were read (a group is in the log before its commit in the engine).
type snapshot struct {
	conn    *rawConn
	unwatch func() bool // ends the watch for the end of the run
	in      *packets
	load    *tableLoad
	inside  bool   // a transaction is open
	reading bool   // rows are on the wire
	broken  bool   // the connection cannot be used again
	buf     []byte // the packet read last
	before  []byte // the one before, which row promises to keep
	visible func(groupRef) bool
	exact   coord // MariaDB: where the view stands
}

// rowSilence bounds the wait for one row: the server may have to read and sort.
const rowSilence = 10 * time.Minute

func (tl *tableLoad) openSnapshot(ctx context.Context) (*snapshot, error) {
	conn, err := tl.config.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{conn: conn, load: tl, in: newPackets(conn.socket(), rowSilence)}
	socket := conn.socket()
	s.unwatch = context.AfterFunc(ctx, func() { socket.Close() }) // wakes whoever reads
	err = conn.exec(rows.SessionStatement, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		// A DDL in the queue for our table waits for us, and we for it: better to give up and come again.
		"SET SESSION lock_wait_timeout = 30")
	if err == nil {
		err = tl.sameServer(conn)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// sameServer makes sure that the rows come from the server whose log the stream reads: behind one address there may be
// several, and coordinates of one mean nothing on another.
func (tl *tableLoad) sameServer(conn *rawConn) error {
	got, err := conn.row(identityQuery(tl.flavor))
	if err != nil {
		return err
	}
	return tl.config.same(got[0], tl.stream.server.identity)
}

func (s *snapshot) close() {
	if s.unwatch() && !s.broken && !s.reading {
		s.conn.Quit() // politely: the server counts connections that break off
		return
	}
	s.conn.Close()
}

// begin takes the view. errAgain: it does not show everything that was delivered. The log sends a group before its commit can
// be seen, so a row read now could be older than one that the stream has emitted.
func (s *snapshot) begin(ctx context.Context, d delivered) error {
	if s.broken {
		s.close()
		fresh, err := s.load.openSnapshot(ctx)
		if err != nil {
			return err
		}
		*s = *fresh
	}
	if s.load.flavor == mariadb {
		return s.beginMaria(d)
	}
	got, err := s.conn.row("SELECT @@global.gtid_executed")
	if err != nil {
		return err
	}
	executed, err := parseMySQLSet(got[0])
	if err != nil {
		return err
	}
	if !d.set.within(executed) {
		return errAgain
	}
	s.visible = func(g groupRef) bool { return executed.contains(g.gtid) }
	return s.start()
}

func (s *snapshot) start() error {
	s.inside = true
	return s.conn.exec("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
}

func (s *snapshot) beginMaria(d delivered) error {
	if err := s.start(); err != nil {
		return err
	}
	file, err := s.conn.row("SHOW STATUS LIKE 'binlog_snapshot_file'")
	if err != nil {
		return err
	}
	pos, err := s.conn.row("SHOW STATUS LIKE 'binlog_snapshot_position'")
	if err != nil {
		return err
	}
	if s.exact, err = parseCoord(file[1], pos[1]); err != nil {
		return err
	}
	at := s.exact
	s.visible = func(g groupRef) bool { return g.start.less(at) }
	if !d.before(at) {
		return errors.Join(errAgain, s.end())
	}
	if d.last != (coord{}) || s.load.shown {
		return nil
	}
	// Nothing was delivered in this run; what an earlier run has delivered is compared by GTID, once: the server reads its log
	// file to tell, and later views show no less.
	got, err := s.conn.row(fmt.Sprintf("SELECT COALESCE(BINLOG_GTID_POS('%s', %d), '')", file[1], at.pos))
	if err != nil {
		return err
	}
	shown, err := parseMariaSet(got[0])
	if err != nil {
		return err
	}
	if !d.set.within(shown) {
		return errors.Join(errAgain, s.end())
	}
	s.load.shown = true
	return nil
}

// autoIncrement changes with each insert and is no part of a definition.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// definition locks the table's definition and reads it.
func (s *snapshot) definition(t ingest.TableName) (string, error) {
	name := quoteName(t.Schema) + "." + quoteName(t.Name)
	if _, err := s.conn.Execute("SELECT 1 FROM " + name + " LIMIT 0"); err != nil {
		return "", s.failure("opening "+t.String(), err)
	}
	res, err := s.conn.Execute("SHOW CREATE TABLE " + name)
	if err != nil {
		return "", s.failure("reading the definition of "+t.String(), err)
	}
	text, err := res.GetString(0, 1)
	if err != nil {
		return "", fmt.Errorf("reading the definition of %s: %w", t, err)
	}
	return autoIncrement.ReplaceAllString(text, ""), nil
}

// failure classifies an error of a statement on the table. The server's text is left out: it may hold values.
func (s *snapshot) failure(what string, err error) error {
	code, _ := serverCode(err)
	switch {
	case code == codeTableDefChanged, code == codeLockWait, code == codeDeadlock, code == codeUnknownColumn:
		return errAgain
	case code == codeNoSuchTable, code == codeUnknownDatabase: // for a moment, in an ALTER; or the log will tell, and the table is parked
		return errAgain
	}
	return s.load.config.quietFailure(what, err)
}

// query sends the chunk's SELECT and reads past the column definitions.
func (s *snapshot) query(text string) error {
	b := append(make([]byte, 4, 5+len(text)), gomysql.COM_QUERY)
	s.conn.ResetSequence()
	if err := s.conn.WritePacket(append(b, text...)); err != nil {
		return s.failure("reading rows of "+s.load.table.name.String(), err)
	}
	head, err := s.next()
	if err != nil {
		return err
	}
	columns, _, ok := lengthEncodedCount(head)
	if !ok {
		return s.failure("reading rows of "+s.load.table.name.String(), errCutOff)
	}
	for range columns + 1 { // and the packet that ends them
		if _, err := s.next(); err != nil {
			return err
		}
	}
	s.reading = true
	return nil
}

// next reads a packet that must not be an error.
func (s *snapshot) next() ([]byte, error) {
	var err error
	s.buf, s.before = s.before, s.buf
	if s.buf, err = s.in.next(s.buf[:0]); err != nil {
		return nil, s.failure("reading rows of "+s.load.table.name.String(), err)
	}
	if len(s.buf) > 0 && s.buf[0] == gomysql.ERR_HEADER {
		s.reading = false // an error ends the rows: MySQL finds a changed definition only when it reads the first
		return nil, s.failure("reading rows of "+s.load.table.name.String(), errorPacket(s.buf))
	}
	return s.buf, nil
}

// row returns the next row, valid until the next call but one, or nil after the last one.
func (s *snapshot) row() ([]byte, error) {
	p, err := s.next()
	if err != nil {
		return nil, err
	}
	if len(p) > 0 && len(p) < 9 && p[0] == gomysql.EOF_HEADER {
		s.reading = false
		return nil, s.in.rest()
	}
	return p, nil
}

// high is the place in the log that the stream must have passed before the rows may be emitted. A table without
// transactions shows what was written until it was read, so that for it the log's end counts on MariaDB, too.
func (s *snapshot) high(ctx context.Context) (coord, error) {
	if s.load.flavor == mariadb && s.load.transactional {
		return s.exact, nil
	}
	_, end, err := s.load.stream.server.now(ctx)
	return end, err
}

// end closes the view.
func (s *snapshot) end() error {
	if s.broken || !s.inside {
		return nil
	}
	s.inside = false
	s.conn.ResetSequence()
	return s.conn.exec("COMMIT")
}
