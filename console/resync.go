package console

import (
	"context"
	"net/http"
)

// Resyncer has sources load tables anew. It returns when what was asked is durable, not when it is done.
type Resyncer interface {
	Resync(ctx context.Context, r ResyncRequest) (ResyncAnswer, error)
}

// ResyncRequest is the body of POST /v1/resync.
type ResyncRequest struct {
	// Targets are source.schema.table, a source, or a pipeline; source/NAME and pipeline/NAME where both have the name.
	Targets []string `json:"targets"`
	DryRun  bool     `json:"dry_run,omitempty"`
	// NewLog has pipelines, whose warehouse stands at a cut of a log that is lost, publish everything anew from this one.
	NewLog bool   `json:"new_log,omitempty"`
	ID     string `json:"id,omitempty"` // a repeated request with the same id is carried out once
}

// ResyncAnswer says what is loaded anew.
type ResyncAnswer struct {
	Sources   []ResyncSource `json:"sources"`
	Pipelines []string       `json:"pipelines,omitempty"` // that publish everything anew
}

// ResyncSource is one source.
type ResyncSource struct {
	Source string        `json:"source"`
	Whole  bool          `json:"whole,omitempty"` // it begins anew at its server's present position
	Tables []ResyncTable `json:"tables"`
}

// ResyncTable is one table of it.
type ResyncTable struct {
	Table     string   `json:"table"`               // schema.table
	Rows      int64    `json:"rows"`                // a guess: what the last load counted
	Parked    string   `json:"parked,omitempty"`    // why it stands still now
	Pipelines []string `json:"pipelines,omitempty"` // that publish it or read it
}

func (s *Server) resync(w http.ResponseWriter, r *http.Request) {
	var q ResyncRequest
	if !decode(w, r, &q) {
		return
	}
	if s.Resyncer == nil {
		fail(w, http.StatusNotImplemented, "this daemon cannot resync")
		return
	}
	a, err := s.Resyncer.Resync(r.Context(), q)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer(w, a)
}
