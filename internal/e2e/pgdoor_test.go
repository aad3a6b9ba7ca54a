package e2e_test

import (
	framing "encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// fate is what becomes of a message to PostgreSQL.
type fate int

const (
	passes     fate = iota
	killBefore      // its backend is terminated, and the message is lost with it
	killAfter       // it is done, its backend is terminated, and the reply is lost
)

// pgDoor stands between the daemon and PostgreSQL, reads the client's messages and has backends terminated, once per plan.
type pgDoor struct {
	listener net.Listener
	dsn      string // of the server itself
	server   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	plan  func(kind byte, body string) fate
	done  chan struct{} // closed when the plan was carried out
	conns []net.Conn
	errs  []error
}

func newPgDoor(t *testing.T, dsn string) (*pgDoor, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pgDoor{listener: l, dsn: dsn, server: u.Host}
	p.wg.Go(func() { p.accept(t) })
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		for _, err := range p.errs {
			t.Error(err)
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// once arms the door: the first message whose fate is not to pass meets it, and what is returned is closed then.
func (p *pgDoor) once(plan func(kind byte, body string) fate) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.done = plan, make(chan struct{})
	return p.done
}

func (p *pgDoor) fate(kind byte, body []byte) (fate, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plan == nil {
		return passes, nil
	}
	f := p.plan(kind, string(body))
	if f != passes {
		p.plan = nil
	}
	return f, p.done
}

func isCommit(kind byte, body string) bool {
	return kind == 'Q' && strings.EqualFold(strings.Trim(body, "\x00; "), "commit")
}

func (p *pgDoor) accept(t *testing.T) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		lose := make(chan chan struct{}, 1)
		p.wg.Go(func() { p.forward(t, client, server, lose) })
		p.wg.Go(func() { p.replies(t, client, server, lose) })
	}
}

// forward passes messages on, one by one, until one meets its fate.
func (p *pgDoor) forward(t *testing.T, client, server net.Conn, lose chan<- chan struct{}) {
	defer server.Close()
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first { // the startup message has no kind
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, framing.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if !first {
			switch f, done := p.fate(head[0], body); f {
			case killBefore:
				p.terminate(t, server)
				client.Close()
				close(done)
				return
			case killAfter:
				lose <- done
			}
		}
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// replies passes the server's bytes on, until a reply is to be lost.
func (p *pgDoor) replies(t *testing.T, client, server net.Conn, lose <-chan chan struct{}) {
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case done := <-lose: // the reply was read, so the work is done; the client will not hear of it
			p.terminate(t, server)
			close(done)
			return
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// terminate ends the backend behind a connection.
func (p *pgDoor) terminate(t *testing.T, server net.Conn) {
	conn, err := pgx.Connect(t.Context(), p.dsn)
	if err == nil {
		var ended bool
		err = conn.QueryRow(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where client_port = $1",
			server.LocalAddr().(*net.TCPAddr).Port).Scan(&ended)
		_ = conn.Close(t.Context())
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.errs = append(p.errs, err)
	}
}
