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
)

func integrity(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrIntegrity, fmt.Sprintf(format, args...))
}

// otherHistory is the integrity error of a replay that does not find what the log holds.
func otherHistory(format string, args ...any) error {
	return fmt.Errorf("%w: the server's history differs from what was read before: %s; if the server was restored or replaced, resync the source (tidemill resync), else point it at the server it was read from",
		ErrIntegrity, fmt.Sprintf(format, args...))
}
