package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopGrace is how long a last checkpoint may take when the source is told to stop. Without it the next owner reads the
// last second again, so it is not worth more.
const stopGrace = 5 * time.Second

// Stream runs a source into the log until ctx ends: it prepares the source, takes it over, runs it, and writes a last
// checkpoint. Any error is final for this run; the caller starts a new one, which takes a new epoch, unless the error is
// ErrIntegrity or ErrSuperseded. After ErrAnew it does so at once.
func Stream(ctx context.Context, cfg Config, src Source) error {
	cfg = cfg.withDefaults()
	e, err := kafkaEnv(cfg.Kafka, cfg.MaxBuffered)
	if err != nil {
		return err
	}
	defer e.close()
	return stream(ctx, cfg, e, src)
}

func stream(ctx context.Context, cfg Config, e env, src Source) error {
	tables, err := src.Prepare(ctx)
	if err != nil {
		return fmt.Errorf("preparing source %s: %w", cfg.Source, err)
	}
	w, err := own(ctx, cfg, e, tables)
	if err != nil {
		return fmt.Errorf("taking over source %s: %w", cfg.Source, err)
	}
	// The writer outlives the source, for the last checkpoint.
	wctx, stopWriter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriter()
	written := make(chan error, 1)
	sctx, stopSource := context.WithCancel(ctx)
	defer stopSource()
	go func() {
		defer stopSource() // a writer that has failed ends its source
		written <- w.Run(wctx)
	}()
	read := src.Run(sctx, w.resume, w)
	if stopped := read == nil || errors.Is(read, context.Canceled); stopped || errors.Is(read, ErrAnew) {
		if stopped {
			read = nil
		}
		gctx, cancel := context.WithTimeout(wctx, stopGrace)
		// The next owner reads again what a missing last checkpoint would have covered: not an error.
		_ = w.stop(gctx)
		cancel()
	}
	stopWriter()
	if err := <-written; err != nil {
		return err // the source's error then follows from it
	}
	if read != nil {
		return fmt.Errorf("reading source %s: %w", cfg.Source, read)
	}
	return nil
}
