package redshiftdouble

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// versionText is what version() and clients see. Redshift says 8.0.2 and always will.
const versionText = "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.77467"

// startupParameters are the settings that a client may send with its first message; the server does not know any other one.
var startupParameters = []string{"user", "database", "application_name", "client_encoding", "extra_float_digits"}

// serve is the whole life of a connection.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	c := &session{server: s, client: conn, pending: map[string]string{}}
	if err := c.startup(ctx); err != nil {
		var r *refusal
		if errors.As(err, &r) && c.wire != nil {
			c.wire.Send(r.response())
			_ = c.wire.Flush() // the client may have left already
		}
		return
	}
	c.run(ctx)
}

// startup negotiates TLS, reads the first message, checks the password and opens the session in PostgreSQL.
func (s *session) startup(ctx context.Context) error {
	s.wire = pgproto3.NewBackend(s.client, s.client)
	first, err := s.firstMessage(ctx)
	if err != nil {
		return err
	}
	if err := s.checkParameters(first); err != nil {
		return err
	}
	if err := s.authenticate(first.Parameters["user"]); err != nil {
		return err
	}
	if db := first.Parameters["database"]; db != s.server.config.Database {
		return fatal("3D000", "database %q does not exist", db)
	}
	if err := s.connectBackend(ctx); err != nil {
		return fatal("XX000", "redshiftdouble: no connection to PostgreSQL: %v", err)
	}
	s.user = first.Parameters["user"]
	s.settings = newSettings(s.server.config, first.Parameters["application_name"])
	s.server.register(s)
	s.secret = make([]byte, 4)
	_, _ = rand.Read(s.secret) // never fails, by its contract
	s.greet()
	return s.wire.Flush()
}

func (s *session) firstMessage(ctx context.Context) (*pgproto3.StartupMessage, error) {
	for {
		m, err := s.wire.ReceiveStartupMessage()
		if err != nil {
			return nil, fatal("0A000", "unsupported frontend protocol: server supports 3.0 (%v)", err)
		}
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if err := s.upgrade(ctx); err != nil {
				return nil, err
			}
		case *pgproto3.GSSEncRequest:
			if _, err := s.client.Write([]byte("N")); err != nil {
				return nil, err
			}
		case *pgproto3.CancelRequest:
			s.server.cancel(ctx, m.ProcessID, m.SecretKey)
			return nil, errCancelled
		case *pgproto3.StartupMessage:
			return m, nil
		}
	}
}

var errCancelled = errors.New("the connection was for a cancel request only")

func (s *session) upgrade(ctx context.Context) error {
	if s.server.tls == nil {
		_, err := s.client.Write([]byte("N"))
		return err
	}
	if _, err := s.client.Write([]byte("S")); err != nil {
		return err
	}
	t := tls.Server(s.client, s.server.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	s.client = t
	s.wire = pgproto3.NewBackend(t, t)
	return nil
}

// checkParameters refuses what Redshift refuses: drivers that send PostgreSQL's settings cannot log in.
func (s *session) checkParameters(m *pgproto3.StartupMessage) error {
	if m.ProtocolVersion != pgproto3.ProtocolVersion30 {
		return fatal("0A000", "unsupported frontend protocol %d.%d: server supports 1.0 to 3.0", m.ProtocolVersion>>16, m.ProtocolVersion&0xffff)
	}
	for name, value := range m.Parameters {
		if !slices.Contains(startupParameters, name) {
			return fatal("42704", "unrecognized configuration parameter %q", name)
		}
		if n, err := strconv.Atoi(value); name == "extra_float_digits" && (err != nil || n > 2 || n < -15) {
			return fatal("22023", "%s is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)", value)
		}
	}
	if e := lower(m.Parameters["client_encoding"]); e != "" && e != "utf8" && e != "utf-8" && e != "unicode" && e != "'utf-8'" && e != "'utf8'" {
		return fatal("22023", "invalid value for parameter \"client_encoding\": %q", e)
	}
	return nil
}

func (s *session) authenticate(user string) error {
	var salt [4]byte
	_, _ = rand.Read(salt[:]) // never fails, by its contract
	want := s.server.config.Password
	switch s.server.config.Auth {
	case Digest:
		// Redshift's own method, with its salt and iterations; what a driver of PostgreSQL makes of it is the point.
		if _, err := s.client.Write(append([]byte{'R', 0, 0, 0, 20, 0, 0, 0, 13, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0)); err != nil {
			return err
		}
	case Cleartext:
		s.wire.Send(&pgproto3.AuthenticationCleartextPassword{})
	default:
		s.wire.Send(&pgproto3.AuthenticationMD5Password{Salt: salt})
		want = md5Password(user, want, salt)
	}
	if err := s.wire.Flush(); err != nil {
		return err
	}
	m, err := s.wire.Receive()
	if err != nil {
		return err
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok || p.Password != want || user != s.server.config.User {
		return fatal("28000", "password authentication failed for user %q", user)
	}
	s.wire.Send(&pgproto3.AuthenticationOk{})
	return nil
}

func md5Password(user, password string, salt [4]byte) string {
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt[:]...))
	return "md5" + hex.EncodeToString(outer[:])
}

func (s *session) connectBackend(ctx context.Context) error {
	c := s.server.backend.Copy()
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.notice("INFO", "00000", "%s", n.Message) }
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	s.backend = conn
	return nil
}

// greet sends what Redshift sends. It never reports standard_conforming_strings or integer_datetimes.
func (s *session) greet() {
	for _, p := range [][2]string{
		{"server_version", "8.0.2"}, {"client_encoding", "UTF8"}, {"DateStyle", "ISO, MDY"}, {"is_superuser", "off"},
		{"session_authorization", s.user}, {"TimeZone", "UTC"},
	} {
		s.wire.Send(&pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	s.wire.Send(&pgproto3.BackendKeyData{ProcessID: s.pid, SecretKey: s.secret})
	s.ready()
}
