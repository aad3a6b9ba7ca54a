package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// VerifyRequest is the body of POST /v1/verify.
type VerifyRequest struct {
	Pipeline string   `json:"pipeline"`          // empty: every pipeline
	Tables   []string `json:"tables,omitempty"`  // warehouse tables; empty: every replica
	Differ   int      `json:"differ,omitempty"`  // how many differing keys to show per table
	Timeout  Duration `json:"timeout,omitempty"` // how long to wait for the fence to cover the snapshot
}

// TableVerdict is the comparison of one replica with its source at one cut.
type TableVerdict struct {
	Pipeline   string    `json:"pipeline"`
	Table      string    `json:"table"`  // in the warehouse
	Source     string    `json:"source"` // source.schema.table
	Equal      bool      `json:"equal"`
	SourceRows int64     `json:"source_rows"`
	Rows       int64     `json:"rows"` // in the warehouse
	SourceHash string    `json:"source_hash"`
	Hash       string    `json:"hash"`
	Missing    int64     `json:"missing"` // keys only the source has
	Extra      int64     `json:"extra"`   // keys only the warehouse has
	Differ     int64     `json:"differ"`  // keys with another row
	Keys       []string  `json:"keys,omitempty"`
	Position   string    `json:"position"`
	Window     time.Time `json:"window"` // the published window that was compared
	Skipped    string    `json:"skipped,omitempty"`
	Error      string    `json:"error,omitempty"` // why the table could not be compared
	Took       Duration  `json:"took"`
}

// verify streams a verdict per table as one line of JSON each (invariant 4: keys are row values).
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	var q VerifyRequest
	if !decode(w, r, &q) {
		return
	}
	if s.Verifier == nil {
		fail(w, http.StatusNotImplemented, "this daemon cannot verify")
		return
	}
	w.Header().Set("Trailer", ErrorTrailer)
	w.Header().Set("Content-Type", NDJSON)
	e, begun := json.NewEncoder(w), false
	err := s.Verifier.Verify(r.Context(), q, func(v TableVerdict) error {
		begun = true
		if err := e.Encode(v); err != nil {
			return err
		}
		err := http.NewResponseController(w).Flush() // each verdict is seen when it is known
		if errors.Is(err, http.ErrNotSupported) {
			return nil
		}
		return err
	})
	switch {
	case err != nil && !begun:
		w.Header().Del("Trailer")
		fail(w, http.StatusUnprocessableEntity, err.Error())
	case err != nil:
		w.Header().Set(ErrorTrailer, headerText(err.Error()))
	}
}

// Duration is a duration that JSON carries as text, like 1m30s.
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	t, err := time.ParseDuration(string(b))
	*d = Duration(t)
	return err
}
