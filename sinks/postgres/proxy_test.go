package postgres_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy stands between the sink and the server and cuts the connection at a message of the client.
type proxy struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	cut   func(kind byte, body string) (before, after bool) // of the message: before it is sent on, after its first reply
	conns []net.Conn
}

func newProxy(t *testing.T, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: u.Host, cut: func(byte, string) (bool, bool) { return false, false }}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// on sets what cuts; it works once.
func (p *proxy) on(cut func(kind byte, body string) (before, after bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = func(kind byte, body string) (bool, bool) {
		b, a := cut(kind, body)
		if b || a {
			p.cut = func(byte, string) (bool, bool) { return false, false }
		}
		return b, a
	}
}

func (p *proxy) decide(kind byte, body []byte) (before, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut(kind, string(body))
}

func (p *proxy) accept() {
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
		swallow := make(chan struct{})
		p.wg.Go(func() { p.forward(client, server, swallow) })
		p.wg.Go(func() { p.replies(client, server, swallow) })
	}
}

// forward passes messages on, one by one.
func (p *proxy) forward(client, server net.Conn, swallow chan struct{}) {
	defer server.Close()
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first { // the startup message has no kind
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if !first {
			before, after := p.decide(head[0], body)
			if before {
				client.Close()
				return
			}
			if after {
				close(swallow)
			}
		}
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// replies passes the server's bytes on, until a reply is to be lost.
func (p *proxy) replies(client, server net.Conn, swallow chan struct{}) {
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-swallow: // the reply was read, so the server has done its work; the client will not hear of it
			return
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func isCommit(kind byte, body string) bool {
	return kind == 'Q' && strings.EqualFold(strings.Trim(body, "\x00; "), "commit")
}

// unreachable is an address on which nobody listens.
func unreachable(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("postgres://nobody:secret@%s/none?sslmode=disable", l.Addr())
}
