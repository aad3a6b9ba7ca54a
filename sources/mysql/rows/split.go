package rows

import (
	"encoding/binary"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// Event is a rows event taken apart, its rows not yet decoded.
type Event struct {
	TableID uint64
	Kind    Kind
	Body    []byte // what Plan.Rows takes; shares the event's memory unless it was compressed
}

// Split takes apart the data of a rows event (what follows the event header, checksum cut off). It undoes MariaDB's event
// compression. ok is false for an event that holds no rows.
func Split(typ replication.EventType, data []byte) (e Event, ok bool, err error) {
	version, compressed := 1, false
	switch typ {
	case replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT:
		version = 2
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		compressed = true
	}
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		e.Kind = Write
	case replication.UPDATE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv2, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1:
		e.Kind = Update
	case replication.PARTIAL_UPDATE_ROWS_EVENT:
		e.Kind = PartialUpdate
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		e.Kind = Delete
	default:
		return Event{}, false, nil
	}
	head := 8 // table id of six bytes, flags
	if version == 2 {
		head += 2
	}
	if len(data) < head {
		return Event{}, false, fmt.Errorf("reading a rows event: it ends in its header")
	}
	e.TableID = uint64(binary.LittleEndian.Uint32(data)) | uint64(binary.LittleEndian.Uint16(data[4:]))<<32
	if version == 2 { // extra data, whose length counts itself
		extra := int(binary.LittleEndian.Uint16(data[8:]))
		if extra < 2 || len(data) < 8+extra {
			return Event{}, false, fmt.Errorf("reading a rows event: it ends in its extra data")
		}
		head = 8 + extra
	}
	e.Body = data[head:]
	if compressed {
		e.Body, err = inflate(e.Kind, e.Body)
	}
	return e, err == nil, err
}

// inflate replaces the row images, which alone are compressed, by their plain form.
func inflate(kind Kind, body []byte) ([]byte, error) {
	columns, size := lengthEncoded(body)
	head := size + int(min(columns, 1<<16)+7)/8
	if kind == Update {
		head += int(min(columns, 1<<16)+7) / 8
	}
	if size == 0 || len(body) <= head {
		return nil, fmt.Errorf("reading a compressed rows event: it ends in its header")
	}
	images, err := decompress(body[head:])
	if err != nil {
		return nil, err
	}
	return append(body[:head:head], images...), nil
}

func decompress(b []byte) (out []byte, err error) {
	defer func() { // go-mysql indexes the compression header without checks
		if recover() != nil {
			err = fmt.Errorf("reading a compressed rows event: its compression header is cut off")
		}
	}()
	if out, err = mysql.DecompressMariadbData(b); err != nil {
		return nil, fmt.Errorf("reading a compressed rows event: %w", err)
	}
	return out, nil
}
