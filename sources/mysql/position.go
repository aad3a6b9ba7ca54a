package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// position is where the stream stands: the groups that are done and, inside an open group, how many of its rows were
// emitted. Its text is ingest.Position: the set, then "+rows" in a group.
type position struct {
	done gtidSet
	rows int
	buf  []byte
}

func parsePosition(f flavor, p ingest.Position) (*position, error) {
	set, rows, open := strings.Cut(string(p), "+")
	done, err := parseSet(f, set)
	if err != nil {
		return nil, fmt.Errorf("reading position: %w", err)
	}
	if open {
		return nil, fmt.Errorf("reading position: it ends inside a group (after %s rows), where no stream can start", rows)
	}
	return &position{done: done}, nil
}

// text renders the position.
func (p *position) text() ingest.Position {
	p.buf = p.done.appendText(p.buf[:0])
	if p.rows > 0 {
		p.buf = strconv.AppendInt(append(p.buf, '+'), int64(p.rows), 10)
	}
	return ingest.Position(p.buf)
}

// coord is a place in the server's log files: the file's number and the byte in it. Coordinates order everything that
// one server wrote; they never leave the process, since another server has other files (doc.go, invariant 5).
type coord struct {
	file uint64
	pos  uint64
}

func (c coord) less(o coord) bool {
	return c.file < o.file || c.file == o.file && c.pos < o.pos
}

// parseFile reads the number at the end of a log file's name, "binlog.000042".
func parseFile(name string) (uint64, error) {
	i := strings.LastIndexByte(name, '.')
	n, err := strconv.ParseUint(name[i+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the binlog file name %q: it does not end in a number", name)
	}
	return n, nil
}

// parseCoord reads a place as SHOW statements give it.
func parseCoord(file, pos string) (coord, error) {
	f, err := parseFile(file)
	if err != nil {
		return coord{}, err
	}
	p, err := strconv.ParseUint(pos, 10, 64)
	if err != nil {
		return coord{}, fmt.Errorf("reading a binlog position: %w", err)
	}
	return coord{f, p}, nil
}

// advance returns the place that a 32-bit log position of an event means. Log positions wrap in files over 4 GB, where
// one huge group lies; inside a file they only grow. A position a little before c is one that c has passed already.
func (c coord) advance(low uint32) coord {
	pos := c.pos&^0xffffffff | uint64(low)
	if pos < c.pos {
		if c.pos-pos < 1<<31 {
			return c
		}
		pos += 1 << 32
	}
	c.pos = pos
	return c
}
