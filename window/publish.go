package window

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pauses between attempts at a warehouse or store that does not answer. A window is minutes long: half a minute more
// hurts nobody, and a database that has just come back is not hammered.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

func newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: firstPause, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: longestPause}
}

// pause waits, or returns ctx's error when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// publish brings p into the warehouse: nil means that it is there. The transaction runs under work, so that the end of
// ctx does not cut a load in the middle; between attempts the end of ctx is obeyed, since p stays pending.
func (k *keeper) publish(ctx, work context.Context, p *Publication) error {
	b := newBackoff()
	p.Took = func(stage string, d time.Duration) { k.took(work, stage, d) }
	err := k.cfg.Sink.Publish(work, p, k.part)
	for {
		if err == nil {
			return nil
		}
		fence, rerr := Fence{}, error(nil)
		if !isRefused(err) {
			fence, rerr = k.cfg.Sink.Fence(work, p.Pipeline)
		}
		switch verdict := judge(p, err, fence, rerr); verdict {
		case committed:
			return nil
		case refused:
			return fmt.Errorf("publishing %s: %w", p.Step, err)
		case stepDown:
			return fmt.Errorf("publishing %s: %w", p.Step, errors.Join(ErrFenced, err))
		case again, askAgain:
			k.board.set(func(st *Status) { st.Error = err.Error() })
			if perr := pause(ctx, b.NextBackOff()); perr != nil {
				return perr
			}
			if verdict == again {
				err = k.cfg.Sink.Publish(work, p, k.part)
			}
		}
	}
}

func isRefused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}

// persist repeats a store operation until it succeeds, is refused, or ctx ends. Store operations are idempotent: keys
// are never reused and a repeated Put of the same content is done.
func (k *keeper) persist(ctx context.Context, op func(context.Context) error) error {
	b := newBackoff()
	for {
		err := op(ctx)
		if err == nil || isRefused(err) || errors.Is(err, fs.ErrExist) || ctx.Err() != nil {
			return err
		}
		k.board.set(func(st *Status) { st.Error = err.Error() })
		if perr := pause(ctx, b.NextBackOff()); perr != nil {
			return perr
		}
	}
}

func (s Step) String() string {
	if s.Start.IsZero() {
		return "the beginning"
	}
	return fmt.Sprintf("%s.%d", s.Start.UTC().Format(time.RFC3339), s.Slice)
}
