package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Loopback is the only address servers listen on (invariant 1).
const Loopback = "127.0.0.1"

// startLimit bounds one start. It is generous: a laptop that compiles with -race at the same time is slow, and
// a start that is going to fail exits by itself long before.
const startLimit = 2 * time.Minute

// stopLimit is how long a server may take to flush and leave after a polite stop before it is killed.
const stopLimit = 30 * time.Second

// Options tune one server. The zero value is what most tests want.
type Options struct {
	// Dir holds the server's data, log and socket. Empty: a new folder in the temporary directory, removed by Remove.
	// Keep it short: a unix socket's path may hold about 100 bytes.
	Dir string
	// Port on 127.0.0.1. Zero: a free one is chosen at the first start and kept from then on.
	Port int
	// Config holds extra settings, added last so that they win: flags without dashes for MariaDB, MySQL and PostgreSQL
	// ("max_connections=10"), properties for Kafka, flags for S3 and moto.
	Config []string
}

// flavour is what differs between kinds of server. All functions see a Server whose Dir and Port are set.
type flavour struct {
	component Component
	account   string                                     // system account to run as when we are root
	prepare   func(ctx context.Context, s *Server) error // fill an empty data folder
	command   func(s *Server) (*exec.Cmd, error)         // the server process itself
	ready     func(ctx context.Context, s *Server) error // one real query; nil when it was answered
	dsn       func(s *Server, database string) string    // address in the form clients of this kind take
	stop      syscall.Signal                             // the polite signal
	ports     int                                        // how many ports it needs; Port is the first
}

// Server is one server process and the folder it owns. Its methods are safe for concurrent use.
type Server struct {
	Name     string // for people: "MariaDB", "Kafka 1", ...
	Dir      string
	Port     int
	User     string // administrator of the server, or the S3 access key
	Password string

	kind    flavour
	config  []string
	extra   []int // further ports, e.g. Kafka's controller
	ownsDir bool

	mu      sync.Mutex
	process *Process
}

func newServer(kind flavour, o Options) *Server {
	return &Server{Name: kind.component.Title, Dir: o.Dir, Port: o.Port, kind: kind, config: o.Config}
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(Loopback, strconv.Itoa(s.Port)) }

// DSN is how a client of this kind is told where to go as the administrator: a go-sql-driver DSN, a postgres:// URL,
// host:port for Kafka, an http:// endpoint for S3 and moto. The database is ignored where there is none.
func (s *Server) DSN(database string) string { return s.kind.dsn(s, database) }

// Log is the path of the file that holds everything the server printed, over all its starts.
func (s *Server) Log() string { return filepath.Join(s.Dir, "server.log") }

func (s *Server) data() string      { return filepath.Join(s.Dir, "data") }
func (s *Server) temporary() string { return filepath.Join(s.Dir, "tmp") }

// Start fills the data folder if it is new, starts the process and waits until it answers a query.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process.Alive() {
		return fmt.Errorf("starting %s: it already runs as process %d", s.Name, s.process.pid)
	}
	if err := s.kind.component.Check(); err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.startOnSomePort(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	return nil
}

// startOnSomePort retries with other ports when it was free to choose: between choosing a free port and the server's
// bind, another process may take it. A port the caller fixed is never exchanged.
func (s *Server) startOnSomePort(ctx context.Context) error {
	const tries = 4
	fixed := s.Port != 0
	for try := 1; ; try++ {
		if err := s.choosePorts(fixed); err != nil {
			return err
		}
		err := s.startOnce(ctx)
		if err == nil || fixed || try == tries || !errors.Is(err, errPortTaken) {
			return err
		}
		s.Port, s.extra = 0, nil
	}
}

func (s *Server) choosePorts(fixed bool) error {
	need := max(s.kind.ports, 1) - 1
	if s.Port == 0 {
		port, err := FreePort()
		if err != nil {
			return err
		}
		s.Port = port
	} else if fixed && !PortFree(s.Port) {
		return fmt.Errorf("%w: %d on %s; stop that program or choose another port", ErrPortInUse, s.Port, Loopback)
	}
	for len(s.extra) < need {
		port, err := FreePort()
		if err != nil {
			return err
		}
		s.extra = append(s.extra, port)
	}
	return nil
}

func (s *Server) startOnce(ctx context.Context) error {
	if err := s.kind.prepare(ctx, s); err != nil {
		return fmt.Errorf("preparing its data folder %s: %w", s.data(), err)
	}
	cmd, err := s.kind.command(s)
	if err != nil {
		return err
	}
	logStart := fileSize(s.Log())
	if err := s.spawn(cmd); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		s.process.Kill()
		said := tail(s.Log(), logStart)
		if portTaken(said) {
			err = errPortTaken
		}
		return fmt.Errorf("%w; its log %s ends:\n%s", err, s.Log(), lastLines(said, 5))
	}
	return nil
}

func (s *Server) spawn(cmd *exec.Cmd) error {
	out, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close() // the process holds its own copy
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = s.Dir
	s.keepTemporary(cmd)
	account, err := accountFor(s.kind.account)
	if err != nil {
		return err
	}
	s.process, err = Spawn(cmd, account)
	return err
}

// keepTemporary gives a program a folder of its own for temporary files. In a shared one MariaDB servers that start at
// the same time delete each other's temporary tables, and what Kafka unpacks there outlives a kill.
func (s *Server) keepTemporary(cmd *exec.Cmd) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+s.temporary())
}

// awaitReady asks until the server answers, the process ends or the time is up.
func (s *Server) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := s.tryReady(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			if s.process.err != nil {
				return fmt.Errorf("the process ended before it answered: %w", s.process.err)
			}
			return errors.New("the process ended before it answered, with exit code 0")
		case <-ctx.Done():
			return fmt.Errorf("no answer on %s: %w (last: %w)", s.Addr(), context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// tryReady limits one question, because a server that is still starting may accept a connection and never answer.
func (s *Server) tryReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.kind.ready(ctx, s)
}

// Stop asks the server to leave and waits; past stopLimit or the end of ctx it is killed, and that is an error.
// Stopping a server that does not run is nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.Stop(ctx, s.kind.stop, stopLimit); err != nil {
		return fmt.Errorf("stopping %s: %w; see %s", s.Name, err, s.Log())
	}
	return nil
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it and its helpers are gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.Kill()
}

// Restart stops the server if it runs and starts it again on the same folder and port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Done is closed when the running process ends, for whatever reason. It is nil before the first Start.
func (s *Server) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.done
}

// Running says whether the process is alive.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Alive()
}

// Pid of the last started process, or 0.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.pid
}

// Remove kills the server and deletes its folder if this package made it; a folder the caller named stays.
func (s *Server) Remove() error {
	s.Kill()
	if !s.ownsDir {
		return nil
	}
	return os.RemoveAll(s.Dir)
}

// makeDir makes the server's folder, owned by the account it runs as.
func (s *Server) makeDir() error {
	if s.Dir == "" {
		// Not t.TempDir: its path holds the test's name, and a unix socket's path may hold about 100 bytes only.
		dir, err := os.MkdirTemp("", "tm-"+s.kind.component.Name+"-")
		if err != nil {
			return err
		}
		s.Dir, s.ownsDir = dir, true
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return err
	}
	s.Dir = dir
	// What lies above must let the server's account through; the folder itself is nobody else's business.
	if err := os.MkdirAll(filepath.Dir(s.Dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir(s.temporary(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return giveTo(s.kind.account, s.Dir)
}

// portTaken recognises the servers' own words for a lost race for the port. Text is matched here because the log
// is the only place where a foreign process tells why it left.
func portTaken(log string) bool {
	return strings.Contains(strings.ToLower(log), "address already in use")
}

// ErrPortInUse says that the port the caller fixed is not free.
var ErrPortInUse = errors.New("the port is in use by another program")

// errPortTaken is a lost race for a port that we chose; another is tried.
var errPortTaken = errors.New("another program took the port first")

// LogTail is the last n lines of the log.
func (s *Server) LogTail(n int) string { return lastLines(tail(s.Log(), 0), n) }
