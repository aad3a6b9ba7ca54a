package mysql

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

const maxPacket = 0xffffff // a payload of this length is continued in the next packet

// packets reads the protocol's packets from a connection, joined over 16 MB borders, with a deadline for each.
type packets struct {
	conn    net.Conn
	br      *bufio.Reader
	timeout time.Duration
	until   time.Time // deadline that is set on the connection
}

func newPackets(conn net.Conn, timeout time.Duration) *packets {
	return &packets{conn: conn, br: bufio.NewReaderSize(conn, 256<<10), timeout: timeout}
}

// next appends the next packet's payload to dst.
func (p *packets) next(dst []byte) ([]byte, error) {
	for {
		if err := p.extend(); err != nil {
			return dst, err
		}
		hdr, err := p.br.Peek(4) // a small array would escape into the reader: an allocation for each packet
		if err != nil {
			return dst, err
		}
		n := int(hdr[0]) | int(hdr[1])<<8 | int(hdr[2])<<16
		if _, err := p.br.Discard(4); err != nil {
			return dst, err
		}
		at := len(dst)
		if cap(dst)-at < n {
			dst = append(make([]byte, 0, 2*at+n+n/2), dst...)
		}
		dst = dst[:at+n]
		if _, err := io.ReadFull(p.br, dst[at:]); err != nil {
			return dst, err
		}
		if n < maxPacket {
			return dst, nil
		}
	}
}

// ready reports whether the next packet is buffered whole, so that reading it cannot block.
func (p *packets) ready() bool {
	if p.br.Buffered() < 4 {
		return false
	}
	hdr, err := p.br.Peek(4)
	if err != nil {
		return false
	}
	n := int(hdr[0]) | int(hdr[1])<<8 | int(hdr[2])<<16
	return n < maxPacket && p.br.Buffered() >= 4+n
}

// extend moves the read deadline when a good part of it is used up: setting it for each packet costs more than reading
// a small one.
func (p *packets) extend() error {
	if p.br.Buffered() >= 4 {
		return nil
	}
	if now := time.Now(); p.until.Sub(now) < p.timeout*3/4 {
		p.until = now.Add(p.timeout)
		return p.conn.SetReadDeadline(p.until)
	}
	return nil
}

// rest takes the deadline off while others use the connection.
func (p *packets) rest() error {
	p.until = time.Time{}
	return p.conn.SetReadDeadline(p.until)
}

// errorPacket reads an error that the server sent in place of a result.
func errorPacket(b []byte) error {
	if len(b) < 3 || b[0] != gomysql.ERR_HEADER {
		return fmt.Errorf("reading a packet: %w", gomysql.ErrMalformPacket)
	}
	e := &gomysql.MyError{Code: binary.LittleEndian.Uint16(b[1:])}
	text := b[3:]
	if len(text) >= 6 && text[0] == '#' {
		e.State, text = string(text[1:6]), text[6:]
	}
	e.Message = string(text)
	return e
}

var errCutOff = errors.New("the packet is cut off")

// lengthEncodedText takes one value off a row packet. A NULL is an empty value.
func lengthEncodedText(b []byte) (value, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == 0xfb {
		return nil, b[1:], true
	}
	n, rest, ok := lengthEncodedCount(b)
	if !ok || n > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n], rest[n:], true
}

// lengthEncodedCount takes a length-encoded number off a packet.
func lengthEncodedCount(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	size := 0
	switch b[0] {
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	case 0xfb, 0xff:
		return 0, nil, false
	default:
		return uint64(b[0]), b[1:], true
	}
	if len(b) < 1+size {
		return 0, nil, false
	}
	for i := size; i > 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n, b[1+size:], true
}
