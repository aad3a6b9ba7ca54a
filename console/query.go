package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// QueryRequest is the body of POST /v1/query.
type QueryRequest struct {
	SQL string `json:"sql"`
}

// ErrorTrailer is the HTTP trailer that says why an answer broke off (invariant 5).
const ErrorTrailer = "Tidemill-Error"

// The formats of a query's answer, asked for by the Accept header. NDJSON is the default.
const (
	NDJSON = "application/x-ndjson"
	CSV    = "text/csv"
	Arrow  = "application/vnd.apache.arrow.stream"
)

const maxRequest = 1 << 20

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	var q QueryRequest
	if !decode(w, r, &q) {
		return
	}
	if s.Querier == nil {
		fail(w, http.StatusNotImplemented, "the warehouse answers no queries through the daemon: ask it directly")
		return
	}
	var enc encoder
	kind := r.Header.Get("Accept")
	body := &counted{ResponseWriter: w}
	out := bufio.NewWriterSize(body, 64<<10)
	switch kind {
	case "", "*/*", NDJSON:
		kind, enc = NDJSON, &jsonEncoder{w: out}
	case CSV:
		enc = &csvEncoder{w: out}
	case Arrow:
		enc = &arrowEncoder{w: out}
	default:
		fail(w, http.StatusNotAcceptable, fmt.Sprintf("Accept must be %s, %s or %s", NDJSON, CSV, Arrow))
		return
	}
	w.Header().Set("Trailer", ErrorTrailer)
	w.Header().Set("Content-Type", kind)
	s.stream(r.Context(), body, out, enc, q.SQL)
}

// stream runs the query. An error before anything was sent is a plain error answer; later it goes to the trailer.
func (s *Server) stream(ctx context.Context, w *counted, out *bufio.Writer, enc encoder, sql string) {
	err := s.Querier.Query(ctx, sql, enc.batch)
	if err == nil {
		err = errors.Join(enc.close(), out.Flush())
	}
	switch {
	case err != nil && w.n == 0:
		w.Header().Del("Trailer")
		fail(w, http.StatusUnprocessableEntity, err.Error())
	case err != nil:
		w.Header().Set(ErrorTrailer, headerText(err.Error())) // invariant 5
	}
}

// counted counts what was sent.
type counted struct {
	http.ResponseWriter
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

// headerText makes an error fit into a header.
func headerText(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = ' '
		}
	}
	return string(b[:min(len(b), 2000)])
}

// encoder writes batches in one format.
type encoder interface {
	batch(arrow.RecordBatch) error
	close() error
}

// arrowEncoder writes an Arrow IPC stream.
type arrowEncoder struct {
	w   io.Writer
	ipc *ipc.Writer
}

func (e *arrowEncoder) batch(rec arrow.RecordBatch) error {
	if e.ipc == nil {
		e.ipc = ipc.NewWriter(e.w, ipc.WithSchema(rec.Schema()))
	}
	return e.ipc.Write(rec)
}

func (e *arrowEncoder) close() error {
	if e.ipc == nil {
		return nil
	}
	return e.ipc.Close()
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "reading the request: "+err.Error())
		return false
	}
	return true
}
