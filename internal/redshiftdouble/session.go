package redshiftdouble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// txState is where a session stands. PostgreSQL's own state is the same but for failed: the double refuses too.
type txState byte

const (
	idle     txState = iota
	implicit         // a transaction around one message, or the statement that runs alone
	block            // BEGIN was said
	failed           // waits for ROLLBACK
)

// session is a client's connection. Its fields belong to the goroutine of run, but for those that say otherwise.
type session struct {
	server  *Server
	client  net.Conn
	wire    *pgproto3.Backend
	backend *pgconn.PgConn
	pid     uint32
	secret  []byte
	user    string

	tx       txState
	readOnly bool
	wrote    bool // something in this transaction has to be committed
	cursor   string
	skipping bool // after an error of the extended protocol, until Sync
	executed int  // Execute messages since the last Sync
	ended    bool // a transaction that wrote was committed and the client is about to be told

	settings settings
	pending  map[string]string // ParameterStatus that the client has to hear of
	prepared map[string]*prepared
	portals  map[string]*portal

	lastCopy   int64 // rows, pg_last_copy_count
	lastCopyID int64
	lastUnload int64
	query      int64 // id of the statement that runs

	mu      sync.Mutex
	running context.CancelFunc // of the statement that runs; nil between statements
	outlive bool               // the statement goes on without the client
	killed  atomic.Bool        // a fault has cut the session
}

var (
	errKilled     = errors.New("the session was cut")
	errTerminated = errors.New("the client has said goodbye")
)

func (s *session) queryID() int64 { return s.query }

// run answers messages until the client leaves or a fault cuts the session.
func (s *session) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	box := newInbox()
	s.wire = pgproto3.NewBackend(box, s.client)
	s.prepared, s.portals = map[string]*prepared{}, map[string]*portal{}
	var reader sync.WaitGroup
	reader.Go(func() { box.run(s.client, s.clientGone) })
	stop := context.AfterFunc(ctx, func() { s.client.Close() })
	for {
		if err := s.step(ctx); err != nil {
			break
		}
	}
	stop()
	cancel()
	s.client.Close()
	box.end()
	reader.Wait()
	s.server.forget(s)
	s.closeBackend()
}

func (s *session) closeBackend() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.backend.Close(ctx) // it may be broken already; PostgreSQL rolls back either way
}

// clientGone is called by the reader when the connection has ended.
func (s *session) clientGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil && !s.outlive {
		s.running()
	}
}

func (s *session) isIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running == nil
}

// interrupt cancels the statement that runs, as CancelRequest asks.
func (s *session) interrupt(ctx context.Context) {
	s.mu.Lock()
	busy := s.running != nil
	s.mu.Unlock()
	if busy {
		_ = s.backend.CancelRequest(ctx) // a cancel is a wish
	}
}

// begun marks a statement as running and returns its context.
func (s *session) begun(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.query = s.server.queries.Add(1)
	s.mu.Lock()
	s.running = cancel
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		s.running, s.outlive = nil, false
		s.mu.Unlock()
		cancel()
	}
}

// step receives and answers one message.
func (s *session) step(ctx context.Context) error {
	watch := s.watchIdle()
	m, err := s.wire.Receive()
	if watch != nil && !watch.Stop() {
		return errKilled
	}
	if err != nil {
		return err
	}
	if s.skipping {
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.Terminate:
		default:
			return nil
		}
	}
	switch m := m.(type) {
	case *pgproto3.Query:
		err = s.simple(ctx, m.String)
	case *pgproto3.Parse:
		err = s.extended(s.parse(ctx, m))
	case *pgproto3.Bind:
		err = s.extended(s.bind(m))
	case *pgproto3.Describe:
		err = s.extended(s.describe(ctx, m))
	case *pgproto3.Execute:
		err = s.extended(s.execute(ctx, m))
	case *pgproto3.Close:
		s.close(m)
	case *pgproto3.Sync:
		s.skipping, s.executed = false, 0
		err = s.finish()
	case *pgproto3.Flush:
		err = s.wire.Flush()
	case *pgproto3.Terminate:
		return errTerminated
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail: // of a client that did not wait for the answer to its COPY
	case *pgproto3.FunctionCall:
		err = s.fail(refuse("0A000", "function call protocol is not supported"))
	default:
		err = s.fail(fatal("08P01", "invalid frontend message type"))
	}
	if s.killed.Load() {
		return errKilled
	}
	return err
}

// watchIdle closes the connection when the client is idle for too long.
func (s *session) watchIdle() *time.Timer {
	limit := s.server.config.IdleTimeout
	if limit == 0 {
		return nil
	}
	return time.AfterFunc(limit, func() { s.client.Close() })
}

// kill cuts the connection when a fault wants it here.
func (s *session) kill(p Point) bool {
	if !s.server.faults.cut(p) {
		return false
	}
	s.killed.Store(true)
	s.client.Close()
	return true
}

// fail answers a message of the simple protocol with an error.
func (s *session) fail(r *refusal) error {
	s.wire.Send(r.response())
	return s.readyNow()
}

// extended answers with the error of a message of the extended protocol; what follows is skipped until Sync.
func (s *session) extended(err error) error {
	if err == nil || s.killed.Load() {
		return nil
	}
	s.wire.Send(s.failure(err).response())
	s.skipping = true
	return s.wire.Flush()
}

// notice queues a message that is no error.
func (s *session) notice(severity, code, format string, args ...any) {
	s.wire.Send(&pgproto3.NoticeResponse{Severity: severity, Code: code, Message: s.server.names.originals(fmt.Sprintf(format, args...))})
}

func (s *session) ready() {
	status := byte('I')
	switch s.tx {
	case block:
		status = 'T'
	case failed:
		status = 'E'
	}
	s.wire.Send(&pgproto3.ReadyForQuery{TxStatus: status})
}

func (s *session) readyNow() error {
	s.reportParameters()
	s.ready()
	return s.wire.Flush()
}

// reportParameters sends the settings that clients are told of when they change.
func (s *session) reportParameters() {
	for _, name := range []string{"TimeZone", "DateStyle"} {
		value := s.backend.ParameterStatus(name)
		if s.pending[name] == "" {
			s.pending[name] = map[string]string{"TimeZone": "UTC", "DateStyle": "ISO, MDY"}[name]
		}
		if value != "" && s.pending[name] != value {
			s.pending[name] = value
			s.wire.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
		}
	}
}
