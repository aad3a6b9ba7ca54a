package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const (
	// heartbeat is how often an idle server speaks. It bounds how late an idle proof and a first load learn that the stream
	// has caught up; four small packets a second cost nothing.
	heartbeat = 250 * time.Millisecond
	// silence is how long a server may say nothing before the link counts as dead. Far more than three heartbeats: a server
	// that stands on a disk flush is slow, not gone.
	silence = 20 * time.Second
	// firstSilence is allowed until the first event of the log: to find a position, MariaDB reads a log file and says nothing.
	firstSilence = 5 * time.Minute

	blockSize  = 512 << 10
	headerSize = replication.EventHeaderSize
	crcSize    = replication.BinlogChecksumLength

	flagArtificial = replication.LOG_EVENT_ARTIFICIAL_F
)

// block is a run of whole events, as they came; each event is the part of data without status byte and checksum.
type block struct {
	data   []byte
	events []extent
}

type extent struct{ from, to int }

// dump is the stream of one binlog dump. Its reader goroutine takes packets off the socket and checks them while the
// stream's goroutine decodes the block before.
type dump struct {
	conn   *rawConn
	blocks chan block
	free   chan []byte
}

// startDump asks for everything after the given groups. The connection closes when ctx ends.
func (c *Config) startDump(ctx context.Context, srv *server, done gtidSet, serverID uint32, name string) (*dump, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	got, err := conn.row(identityQuery(srv.flavor))
	if err == nil {
		err = c.same(got[0], srv.identity)
	}
	if err == nil {
		err = conn.requestDump(srv.flavor, done, serverID, name)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &dump{conn: conn, blocks: make(chan block, 1), free: make(chan []byte, 3)}, nil
}

func (r *rawConn) requestDump(f flavor, done gtidSet, serverID uint32, name string) error {
	// A stable replica UUID lets MySQL recognise a second reader of the same source and end the first.
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("tidemill/"+name))
	settings := []string{
		"SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", heartbeat, heartbeat),
		fmt.Sprintf("SET @slave_uuid = '%s', @replica_uuid = '%s'", id, id),
	}
	if f == mariadb {
		state := string(done.appendText(nil))
		if state == noGroups {
			state = ""
		}
		settings = append(settings, "SET @mariadb_slave_capability = 4", "SET @slave_gtid_strict_mode = 1",
			fmt.Sprintf("SET @slave_connect_state = '%s'", state))
	}
	if err := r.exec(settings...); err != nil {
		return err
	}
	if err := r.register(serverID); err != nil {
		return err
	}
	request, err := dumpRequest(f, done, serverID)
	if err != nil {
		return err
	}
	r.ResetSequence()
	if err := r.WritePacket(request); err != nil {
		return r.config.failure("asking for the binlog", err)
	}
	return nil
}

// register makes us visible in SHOW REPLICAS, where an operator looks for who reads the log.
func (r *rawConn) register(serverID uint32) error {
	host, err := os.Hostname()
	if err != nil || len(host) > 60 {
		host = "tidemill"
	}
	b := make([]byte, 4, 64)
	b = append(b, gomysql.COM_REGISTER_SLAVE)
	b = binary.LittleEndian.AppendUint32(b, serverID)
	b = append(append(b, byte(len(host))), host...)
	b = append(b, 0, 0)               // user and password: not for a list that anybody may read
	b = append(b, 0, 0)               // port
	b = append(b, make([]byte, 8)...) // rank, source id
	r.ResetSequence()
	if err := r.WritePacket(b); err != nil {
		return r.config.failure("registering as a replica", err)
	}
	if _, err := r.ReadOKPacket(); err != nil {
		return r.config.failure("registering as a replica", err)
	}
	return nil
}

func dumpRequest(f flavor, done gtidSet, serverID uint32) ([]byte, error) {
	b := make([]byte, 4, 64)
	if f == mariadb {
		b = append(b, gomysql.COM_BINLOG_DUMP)
		b = binary.LittleEndian.AppendUint32(b, 4) // offset and file are ignored: @slave_connect_state decides
		b = binary.LittleEndian.AppendUint16(b, 0)
		return binary.LittleEndian.AppendUint32(b, serverID), nil
	}
	set, err := done.(*mysqlSet).encode()
	if err != nil {
		return nil, err
	}
	b = append(b, gomysql.COM_BINLOG_DUMP_GTID)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, serverID)
	b = binary.LittleEndian.AppendUint32(b, 0) // file name: none
	b = binary.LittleEndian.AppendUint64(b, 4)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
	return append(b, set...), nil
}

// run reads until the connection ends or ctx does, then closes blocks.
func (d *dump) run(ctx context.Context) error {
	defer close(d.blocks)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		d.conn.socket().Close() // the socket alone, which wakes the reader
		return nil
	})
	g.Go(func() error { return d.read(ctx) })
	return g.Wait()
}

func (d *dump) read(ctx context.Context) error {
	in := newPackets(d.conn.socket(), firstSilence)
	var sum checksums
	for {
		b := d.newBlock()
		for {
			at := len(b.data)
			var err error
			b.data, err = in.next(b.data)
			if err != nil {
				return d.config().failure("reading the binlog", err)
			}
			body, err := d.event(b.data[at:], &sum)
			if err != nil {
				return err
			}
			b.events = append(b.events, extent{at + 1, at + 1 + len(body)})
			if len(b.data) >= blockSize || !in.ready() {
				break
			}
		}
		if sum.known {
			in.timeout = silence
		}
		select {
		case d.blocks <- b:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *dump) config() *Config { return d.conn.config }

func (d *dump) newBlock() block {
	select {
	case buf := <-d.free:
		return block{data: buf[:0]}
	default:
		return block{data: make([]byte, 0, blockSize+64<<10)}
	}
}

// recycle gives a block's memory back. Blocks that one huge event has blown up are left to the collector.
func (d *dump) recycle(b block) {
	if cap(b.data) > 4*blockSize {
		return
	}
	select {
	case d.free <- b.data:
	default:
	}
}

// event checks one packet and returns the event in it without its checksum.
func (d *dump) event(p []byte, sum *checksums) ([]byte, error) {
	switch {
	case len(p) > 0 && p[0] == gomysql.OK_HEADER:
	case len(p) > 0 && p[0] == gomysql.EOF_HEADER && len(p) < 9:
		return nil, &Error{Cause: Unreachable, Server: d.config().Address, What: "the server ended the binlog stream"}
	default:
		return nil, d.config().dumpFailure(errorPacket(p))
	}
	ev := p[1:]
	if len(ev) < headerSize || int(binary.LittleEndian.Uint32(ev[9:])) != len(ev) {
		return nil, d.lost("an event whose length is not what its header says")
	}
	body, ok := sum.check(ev)
	if !ok {
		return nil, d.lost("an event whose checksum does not fit: it was damaged on the server's disk or on the way")
	}
	return body, nil
}

func (d *dump) lost(what string) error {
	return &Error{Cause: Lost, Server: d.config().Address, What: "the binlog stream holds " + what,
		Remedy: "if a restart does not help, the log file is damaged; then run: " + d.config().resyncSource()}
}

// checksums verifies events by what the format description of their file announced.
type checksums struct {
	on    bool
	known bool
}

func (s *checksums) check(ev []byte) ([]byte, bool) {
	if len(ev) < headerSize+crcSize {
		return ev, !s.on || artificial(ev)
	}
	if replication.EventType(ev[4]) == replication.FORMAT_DESCRIPTION_EVENT {
		// Its last five bytes are the algorithm and a checksum, always.
		s.known, s.on = true, ev[len(ev)-crcSize-1] == byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
		if !s.on {
			return ev[:len(ev)-crcSize], true
		}
	}
	cut := len(ev) - crcSize
	fits := crc32.ChecksumIEEE(ev[:cut]) == binary.LittleEndian.Uint32(ev[cut:])
	switch {
	case s.on && (fits || !artificial(ev)):
		return ev[:cut], fits
	case artificial(ev) && fits:
		// Events made up for the connection (the first rotate, heartbeats) carry a checksum or not, by server and version.
		return ev[:cut], true
	}
	return ev, true
}

func artificial(ev []byte) bool {
	t := replication.EventType(ev[4])
	return binary.LittleEndian.Uint16(ev[17:])&flagArtificial != 0 || t == replication.HEARTBEAT_EVENT || t == replication.HEARTBEAT_LOG_EVENT_V2
}

// dumpFailure classifies what the server answers to a dump. Error 1236 stands for many things in both families; whether
// our position is purged or was never executed was asked before (history.go), so here it means that the log went away
// since or cannot be read.
func (c *Config) dumpFailure(err error) error {
	code, _ := serverCode(err)
	switch code {
	case codeMasterFatal:
		if tornTail(err) {
			return &Error{Cause: Unreachable, Server: c.Address, What: "a log file of the server ends in the middle of an event: the server was killed there; what follows is in the next file", Err: serverText(err),
				Remedy: "if that does not pass by itself, the file is damaged; then run: " + c.resyncSource()}
		}
		return &Error{Cause: Purged, Server: c.Address, What: "the server does not send its binlog from our position on", Err: serverText(err),
			Remedy: "if the log was purged, run: " + c.resyncSource()}
	case codeMariaDuplicateID:
		return c.duplicateID(err)
	}
	var my *gomysql.MyError
	if !errors.As(err, &my) {
		return &Error{Cause: Lost, Server: c.Address, What: "reading the binlog", Err: err}
	}
	return c.failure("reading the binlog", err)
}

// tornTail reports whether the server has come to the end of a file that a crash has cut off. The group that was being written
// was never committed, and what was is before it: the next dump, from behind that, begins in the file of after the crash.
func tornTail(err error) bool {
	var my *gomysql.MyError
	return errors.As(err, &my) && strings.Contains(my.Message, "truncated in the middle of event")
}

func (c *Config) duplicateID(err error) error {
	return &Error{Cause: DuplicateID, Server: c.Address, What: "another reader of this server uses our server id", Err: serverText(err),
		Remedy: "it is derived from the names of the project and the source: give one of the projects another name, or set server_id in the source's file to a number that no replica and no other tidemill uses"}
}
