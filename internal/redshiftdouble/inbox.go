package redshiftdouble

import (
	"io"
	"net"
	"sync"
)

// inbox reads a client's bytes ahead of the session, so that a client's death is seen while a statement runs.
type inbox struct {
	mu     sync.Mutex
	filled *sync.Cond
	buf    []byte
	err    error
}

// readAhead is how many bytes may wait; a statement of 16 MB, Redshift's largest, still passes as the session drains them.
const readAhead = 4 << 20

func newInbox() *inbox {
	b := &inbox{}
	b.filled = sync.NewCond(&b.mu)
	return b
}

// run copies from the connection until it ends, then calls gone.
func (b *inbox) run(conn net.Conn, gone func()) {
	chunk := make([]byte, 64<<10)
	for {
		n, err := conn.Read(chunk)
		b.mu.Lock()
		b.buf = append(b.buf, chunk[:n]...)
		if err != nil {
			b.err = err
		}
		b.filled.Broadcast()
		for b.err == nil && len(b.buf) > readAhead {
			b.filled.Wait()
		}
		b.mu.Unlock()
		if err != nil {
			gone()
			return
		}
	}
}

// Read gives the session what has come.
func (b *inbox) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.buf) == 0 && b.err == nil {
		b.filled.Wait()
	}
	if len(b.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.buf)
	b.buf = b.buf[n:]
	b.filled.Broadcast()
	return n, nil
}

// end wakes a reader and a writer for good.
func (b *inbox) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = io.EOF
	}
	b.filled.Broadcast()
}
