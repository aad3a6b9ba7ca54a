package console

import (
	"context"
	"net/http"
	"time"
)

// Rebuilder brings tables back from the lake.
type Rebuilder interface {
	Rebuild(ctx context.Context, r RebuildRequest) (RebuildAnswer, error)
}

// RebuildRequest is the body of POST /v1/rebuild.
type RebuildRequest struct {
	Table  string    `json:"table"`        // schema.name in the warehouse
	To     time.Time `json:"to,omitzero"`  // the last window that ends at or before; none: the newest
	As     string    `json:"as,omitempty"` // schema.name; empty: the table's with the end of the window
	DryRun bool      `json:"dry_run,omitempty"`
}

// RebuildAnswer says what was made, or would be.
type RebuildAnswer struct {
	Table     string    `json:"table"`
	As        string    `json:"as"`
	Pipeline  string    `json:"pipeline"`
	WindowEnd time.Time `json:"window_end"`
	Publishes int       `json:"publishes"` // that it is made of
	Parts     int       `json:"parts"`
	Bytes     int64     `json:"bytes"`
	Rows      int64     `json:"rows"` // of the table that was made
}

func (s *Server) rebuild(w http.ResponseWriter, r *http.Request) {
	var q RebuildRequest
	if !decode(w, r, &q) {
		return
	}
	if s.Rebuilder == nil {
		fail(w, http.StatusNotImplemented, "this daemon cannot rebuild")
		return
	}
	a, err := s.Rebuilder.Rebuild(r.Context(), q)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer(w, a)
}
