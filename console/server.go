package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Querier answers read-only SQL; anything but one SELECT is refused. fn sees each batch during its call only.
type Querier interface {
	Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error
}

// Verifier compares a pipeline's replicas with their sources at one cut. emit is called once per table.
type Verifier interface {
	Verify(ctx context.Context, r VerifyRequest, emit func(TableVerdict) error) error
}

// Server serves the API. The zero fields of what a daemon cannot do answer 501.
type Server struct {
	Token     string
	Host      string // the configured listen host, when it is not a loopback address
	Status    func() Status
	Querier   Querier
	Verifier  Verifier
	Resyncer  Resyncer
	Rebuilder Rebuilder
	Jobs      Jobs
	Metrics   http.Handler
	Ready     func() error // why the daemon is not ready, nil when it is
}

// Handler routes the API.
func (s *Server) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	m.HandleFunc("GET /readyz", s.ready)
	if s.Metrics != nil {
		m.Handle("GET /metrics", s.Metrics)
	}
	m.HandleFunc("GET /v1/status", s.guard(s.status))
	m.HandleFunc("POST /v1/query", s.guard(s.query))
	m.HandleFunc("POST /v1/verify", s.guard(s.verify))
	m.HandleFunc("POST /v1/resync", s.guard(s.resync))
	m.HandleFunc("POST /v1/rebuild", s.guard(s.rebuild))
	s.jobRoutes(m)
	return m
}

// Run serves on l until ctx ends, then lets open requests finish for a moment.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	// Requests end with the daemon: a query must not hold up a stop.
	h := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if h.Shutdown(grace) != nil {
			_ = h.Close() // what is left was told to end two seconds ago
		}
	})
	err := h.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the API: %w", err)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.Ready != nil {
		if err := s.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, s.Status()) }

// Error is the body of every answer that is not 2xx.
type Error struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(Error{message}) // the client is gone: nobody to tell
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client is gone: nobody to tell
}
