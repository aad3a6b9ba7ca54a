package redshiftdouble

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgconn"
)

// Isolation is the isolation level of the database, as ALTER DATABASE ... ISOLATION LEVEL sets it.
type Isolation int

const (
	Snapshot     Isolation = iota // what new clusters and serverless have
	Serializable                  // clusters made before May 2024
)

// Auth is how the server asks for the password.
type Auth int

const (
	MD5       Auth = iota
	Cleartext      // what temporary IAM passwords use
	Digest         // method 13, of users made with a sha256 hash: PostgreSQL drivers do not know it
)

// Config describes a double. Postgres and S3 must be set.
type Config struct {
	Postgres  string // address of a PostgreSQL 15 database, as superuser; it becomes the double's only database
	S3        S3
	Port      int    // on 127.0.0.1; 0 chooses one
	Database  string // name that clients use; default dev
	User      string // default tidemill
	Password  string // default Tidemill1
	Auth      Auth
	Isolation Isolation
	// CaseSensitive is enable_case_sensitive_identifier at the start of a session.
	CaseSensitive bool
	// Serverless has no STL and STV tables.
	Serverless bool
	// Slices is how many files UNLOAD writes with PARALLEL ON; default 2.
	Slices int
	// IdleTimeout ends sessions that are idle for longer; 0: never.
	IdleTimeout time.Duration
	// CopyOutlivesClient: a COPY outside a transaction goes on when the client is gone, as AWS documents. Otherwise it is cancelled.
	CopyOutlivesClient bool
	// TLS answers SSLRequest with a certificate of its own making.
	TLS bool
}

// S3 is where COPY and UNLOAD find their objects, whatever bucket they name.
type S3 struct {
	Endpoint  string // empty: AWS
	Region    string
	AccessKey string
	SecretKey string
}

// Server is a running double.
type Server struct {
	config   Config
	listener net.Listener
	tls      *tls.Config
	backend  *pgconn.Config
	admin    *admin
	names    *names
	s3       *s3.Client
	faults   *Faults
	queries  atomic.Int64
	level    atomic.Int32 // Isolation
	commits  sync.Mutex   // the cluster's one commit queue

	closed   atomic.Bool
	stop     context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	sessions map[uint32]*session
	lastPid  uint32
}

// Start prepares the database and listens. The server runs until Close, or until ctx ends.
func Start(ctx context.Context, c Config) (*Server, error) {
	c = c.withDefaults()
	backend, err := backendConfig(c.Postgres)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, backend: backend, names: newNames(), faults: newFaults(), sessions: map[uint32]*session{}}
	s.level.Store(int32(c.Isolation))
	s.s3 = newS3(c.S3, s.faults)
	if c.TLS {
		if s.tls, err = selfSigned(); err != nil {
			return nil, fmt.Errorf("starting the double: %w", err)
		}
	}
	if s.admin, err = openAdmin(ctx, backend); err != nil {
		return nil, fmt.Errorf("starting the double: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the double's database: %w", err), s.admin.close())
	}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))); err != nil {
		return nil, errors.Join(err, s.admin.close())
	}
	// The server's life is the caller's context's, but Start's deadline is not.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wg.Go(func() { s.accept(running) })
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Database == "" {
		c.Database = "dev"
	}
	if c.User == "" {
		c.User = "tidemill"
	}
	if c.Password == "" {
		c.Password = "Tidemill1"
	}
	if c.Slices == 0 {
		c.Slices = 2
	}
	if c.S3.Region == "" {
		c.S3.Region = "us-east-1"
	}
	return c
}

// prepare makes the schema rs, unless another double has.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.admin.exec(ctx, setupSQL); err != nil {
		return err
	}
	if err := s.admin.exec(ctx, functionsSQL); err != nil {
		return err
	}
	if err := s.admin.exec(ctx, catalogSQL); err != nil {
		return err
	}
	for name, to := range map[string]*uint32{"rs.super": &s.admin.super, "rs.varbyte": &s.admin.varbyte} {
		rows, err := s.admin.rows(ctx, "SELECT $1::regtype::oid", name)
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(rows[0][0], to); err != nil {
			return err
		}
	}
	if err := s.recordIsolation(ctx); err != nil {
		return err
	}
	return s.names.load(ctx, s.admin)
}

// recordIsolation is what stv_db_isolation_level shows.
func (s *Server) recordIsolation(ctx context.Context) error {
	level := "Snapshot Isolation"
	if s.isolation() == Serializable {
		level = "Serializable"
	}
	if err := s.admin.exec(ctx, "DELETE FROM rs.database"); err != nil {
		return err
	}
	return s.admin.exec(ctx, "INSERT INTO rs.database VALUES ($1, $2)", s.config.Database, level)
}

// DSN is the address for pgx, with the exec mode that Redshift needs.
func (s *Server) DSN() string { return s.DSNAs(s.config.User, s.config.Password) }

// DSNAs is DSN with another user.
func (s *Server) DSNAs(user, password string) string {
	mode := "disable"
	if s.tls != nil {
		mode = "require"
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: s.Addr(), Path: "/" + s.config.Database,
		RawQuery: url.Values{"sslmode": {mode}, "default_query_exec_mode": {"exec"}}.Encode()}
	return u.String()
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Faults are the levers that break things.
func (s *Server) Faults() *Faults { return s.faults }

// SetIsolation changes the database's isolation level for transactions that begin later.
func (s *Server) SetIsolation(ctx context.Context, i Isolation) error {
	s.level.Store(int32(i))
	return s.recordIsolation(ctx)
}

func (s *Server) isolation() Isolation { return Isolation(s.level.Load()) }

// Close ends all sessions, waits for them, and closes the connections to PostgreSQL.
func (s *Server) Close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := s.listener.Close()
	s.stop()
	s.faults.release()
	s.mu.Lock()
	for _, c := range s.sessions {
		c.client.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	closeIdle(s.s3)
	return errors.Join(err, s.admin.close())
}

func (s *Server) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.serve(ctx, conn) })
	}
}

func (s *Server) register(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPid++
	c.pid = 1<<20 + s.lastPid
	s.sessions[c.pid] = c
}

func (s *Server) forget(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.pid)
}

// cancel interrupts the statement of another session; an unknown key is ignored, as in PostgreSQL.
func (s *Server) cancel(ctx context.Context, pid uint32, secret []byte) {
	s.mu.Lock()
	c := s.sessions[pid]
	s.mu.Unlock()
	if c != nil && string(c.secret) == string(secret) {
		c.interrupt(ctx)
	}
}

// KillIdle ends the sessions that run no statement now, also those that are in a transaction.
func (s *Server) KillIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sessions {
		if c.isIdle() {
			c.client.Close()
		}
	}
}

// Sessions is how many clients are connected.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// backendConfig is a connection to PostgreSQL that treats strings, floats and names as Redshift does.
func backendConfig(dsn string) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the double's PostgreSQL: %w", err)
	}
	for k, v := range map[string]string{
		"standard_conforming_strings": "off",
		"backslash_quote":             "on",
		"escape_string_warning":       "off",
		"extra_float_digits":          "0",
		"timezone":                    "UTC",
		"datestyle":                   "ISO, MDY",
		"intervalstyle":               "postgres",
		"bytea_output":                "hex",
		"client_encoding":             "UTF8",
		"jit":                         "off",
		"deadlock_timeout":            "200ms",
		"search_path":                 searchPath("public"),
		"application_name":            "redshiftdouble",
	} {
		c.RuntimeParams[k] = v
	}
	return c, nil
}

// searchPath puts our functions before PostgreSQL's, and the client's schemas before both, because tables are made in the first.
func searchPath(client string) string { return client + ", rs, pg_catalog" }
