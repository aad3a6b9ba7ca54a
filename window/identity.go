package window

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

// identify asks which log this is, and refuses one that is not the log of the fence's cut: its offsets and counts would
// mean other rows, and may even fit. A log is known by its cluster and by the topic of claims, which is never made twice. It
// comes before the claim, whose epoch means nothing to the fence of another log.
func (p *Pipeline) identify(ctx context.Context) (log string, err error) {
	id, err := p.cfg.env.identify(ctx, kafka.ClaimsTopic)
	if err != nil {
		return "", err
	}
	log = id.String()
	fence, err := p.cfg.Sink.Fence(ctx, p.cfg.Name)
	if err != nil && !errors.Is(err, ErrNoFence) {
		return "", fmt.Errorf("reading the fence: %w", err)
	}
	for name, c := range fence.Cut {
		if c.Log != "" && c.Log != log {
			return "", &RefusedError{
				What: fmt.Sprintf("the warehouse stands at a cut of source %s in the log %s, and the brokers hold the log %s", name, c.Log, log),
				Hint: fmt.Sprintf("set log back to where it was; or, to publish everything anew from this log, run: %s", ingest.NewLogCommand(p.cfg.Name)),
			}
		}
	}
	return log, nil
}

// in notes which log a cut is of.
func (c Cut) in(log string) {
	for name, s := range c {
		s.Log = log
		c[name] = s
	}
}
