package ingest

import (
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/internal/kafka"
)

// Errors that the owner of a source's unit branches on.
var (
	// ErrIntegrity (E_INTEGRITY) says that the log, the checkpoint and the source contradict each other. The source
	// halts; a person decides.
	ErrIntegrity = errors.New("E_INTEGRITY")
	// ErrSuperseded says that another owner has taken the source over (invariant 6).
	ErrSuperseded = kafka.ErrSuperseded
	// ErrAnew says that the owner has carried out a request to load tables anew, or is about to: run the source again, at once.
	ErrAnew = errors.New("tables are to be loaded anew")
)

func integrity(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIntegrity, fmt.Sprintf(format, args...))
}

// otherHistory is the integrity error of a replay that does not find what the log holds.
func (w *Writer) otherHistory(format string, args ...any) error {
	return fmt.Errorf("%w: the server's history differs from what was read before: %s; point the source at the server it was read from, or, when that one was restored or replaced, run: %s",
		ErrIntegrity, fmt.Sprintf(format, args...), ResyncCommand(w.cfg.Source))
}
