package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// compareBatch is how many rows Snapshot hands over at a time.
const compareBatch = 20_000

// Snapshot reads whole tables in one consistent view of the server, beside the stream, for a comparison. begun is called
// with a position that holds every group the view shows; it is asked for after the rows were read, because a group is in the
// log before its commit can be seen. emit is called with whole rows in a builder that it may not keep.
func (s *Source) Snapshot(ctx context.Context, _ json.RawMessage, tables []ingest.TableName, begun func(ingest.Position) error, emit func(*ingest.Builder) error) error {
	db, err := s.config.open()
	if err != nil {
		return &Error{Cause: Refused, Server: s.config.Address, What: "preparing the connection", Err: err}
	}
	defer db.Close()
	srv, err := s.config.connect(ctx, db)
	if err != nil {
		return err
	}
	conn, err := s.config.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.socket().Close() })() // wakes whoever reads
	v := &view{source: s, conn: conn, in: newPackets(conn.socket(), rowSilence)}
	if err := v.read(ctx, db, srv, tables, emit); err != nil {
		return err
	}
	at, err := srv.executed(ctx)
	if err != nil {
		return err
	}
	return begun(at)
}

// Covers reports whether everything in p is in by too.
func (s *Source) Covers(by ingest.Position, _ time.Time, p ingest.Position) (bool, error) {
	f := mysql
	if !strings.Contains(string(by)+string(p), ":") { // uuid:1-5 against 0-1-5
		f = mariadb
	}
	big, err := parsePosition(f, by)
	if err != nil {
		return false, err
	}
	small, err := parsePosition(f, p)
	if err != nil {
		return false, err
	}
	return small.done.within(big.done), nil
}

// executed is the position of everything the server has in its log now.
func (s *server) executed(ctx context.Context) (ingest.Position, error) {
	q := "SELECT @@global.gtid_executed"
	if s.flavor == mariadb {
		q = "SELECT @@global.gtid_binlog_pos"
	}
	var text string
	if err := s.db.QueryRowContext(ctx, q).Scan(&text); err != nil {
		return "", s.config.failure("asking for the server's position", err)
	}
	set, err := parseSet(s.flavor, text)
	if err != nil {
		return "", err
	}
	return (&position{done: set}).text(), nil
}

// viewError says that one table cannot be read; another view without it may do.
type viewError struct {
	table ingest.TableName
	err   error
}

func (e *viewError) Error() string { return fmt.Sprintf("reading %s in one view: %v", e.table, e.err) }
func (e *viewError) Unwrap() error { return e.err }

// FailedTable is the table that cannot be read.
func (e *viewError) FailedTable() ingest.TableName { return e.table }

// view is one consistent view under way.
type view struct {
	source *Source
	conn   *rawConn
	in     *packets
	// TextRow may look at the packet before the one at hand.
	buf, before []byte
}

func (v *view) read(ctx context.Context, db *sql.DB, srv *server, tables []ingest.TableName, emit func(*ingest.Builder) error) error {
	err := v.conn.exec(rows.SessionStatement, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION lock_wait_timeout = 30", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := v.table(ctx, db, srv, t, emit); err != nil && ctx.Err() == nil && !ingest.Retryable(err) {
			return &viewError{t, err}
		} else if err != nil {
			return fmt.Errorf("reading %s in one view: %w", t, err)
		}
	}
	return nil
}

func (v *view) table(ctx context.Context, db *sql.DB, srv *server, name ingest.TableName, emit func(*ingest.Builder) error) error {
	c, ok, err := readCatalogue(ctx, db, srv.flavor, name, newTables(v.source.capture).dropped(name))
	if err != nil {
		return v.source.config.failure("reading the catalogue of "+name.String(), err)
	}
	if !ok {
		return errors.New("the table is gone")
	}
	plan, err := rows.NewTextPlan(name, *c)
	if err != nil {
		return err
	}
	query := "SELECT " + strings.Join(plan.SelectList(), ", ") + " FROM " + quoteName(name.Schema) + "." + quoteName(name.Name)
	if err := v.query(query); err != nil {
		return err
	}
	b := ingest.NewBuilder(plan.Schema())
	for {
		p, err := v.next()
		if err != nil {
			return err
		}
		if len(p) > 0 && len(p) < 9 && p[0] == gomysql.EOF_HEADER {
			break
		}
		if err := plan.TextRow(p, b); err != nil {
			return err
		}
		if b.Rows() == compareBatch {
			if err := emit(b); err != nil {
				return err
			}
			b.Reset()
		}
	}
	return emit(b)
}

// query sends a SELECT and reads past the column definitions.
func (v *view) query(text string) error {
	b := append(make([]byte, 4, 5+len(text)), gomysql.COM_QUERY)
	v.conn.ResetSequence()
	if err := v.conn.WritePacket(append(b, text...)); err != nil {
		return v.source.config.quietFailure("sending the query", err)
	}
	head, err := v.next()
	if err != nil {
		return err
	}
	columns, _, ok := lengthEncodedCount(head)
	if !ok {
		return v.source.config.quietFailure("reading rows", errCutOff)
	}
	for range columns + 1 { // and the packet that ends them
		if _, err := v.next(); err != nil {
			return err
		}
	}
	return nil
}

// next reads a packet that must not be an error. The server's text is left out of errors: it may hold values.
func (v *view) next() ([]byte, error) {
	var err error
	v.buf, v.before = v.before, v.buf
	if v.buf, err = v.in.next(v.buf[:0]); err != nil {
		return nil, v.source.config.quietFailure("reading rows", err)
	}
	if len(v.buf) > 0 && v.buf[0] == gomysql.ERR_HEADER {
		return nil, v.source.config.quietFailure("reading rows", errorPacket(v.buf))
	}
	return v.buf, nil
}
