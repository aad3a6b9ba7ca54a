package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/emersion/go-smtp"
)

// post is the demo's mail server: what tidemill sends is written to files, so that a newcomer sees an alert arrive.
type post struct {
	dir string
	n   atomic.Int64
}

// serve takes mail on the port until ctx ends.
func (p *post) serve(ctx context.Context, port int) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("opening the demo's mail server: %w", err)
	}
	s := smtp.NewServer(p)
	s.Domain, s.MaxMessageBytes, s.ErrorLog = "localhost", 1<<20, quiet{}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("serving the demo's mail: %w", err)
	}
	return nil
}

// NewSession implements smtp.Backend.
func (p *post) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{p}, nil }

type delivery struct{ post *post }

func (*delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (*delivery) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*delivery) Reset()                               {}
func (*delivery) Logout() error                        { return nil }

// Data implements smtp.Session.
func (d *delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.post.dir, 0o755); err != nil {
		return err
	}
	for { // earlier runs of the demo have left theirs
		name := filepath.Join(d.post.dir, fmt.Sprintf("%04d.eml", d.post.n.Add(1)))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return errors.Join(err, f.Close())
	}
}

// quiet drops what the server says of broken connections: tidemill's own end of them is told where it matters.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
