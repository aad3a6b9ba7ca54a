package duckdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Publish runs the one transaction of a step.
func (s *Sink) Publish(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) error {
	if err := s.publish(ctx, p, local); err != nil {
		return fmt.Errorf("publishing pipeline %s: %w", p.Pipeline, err)
	}
	return nil
}

func (s *Sink) publish(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) error {
	if err := ledger.CheckManifest(p, limits); err != nil {
		return err
	}
	loads, bad, err := fetch(ctx, p, local) // before the transaction: others wait for it
	if err != nil {
		return err
	}
	once := func(c *duck.Conn) error {
		failpoint.Hit(failpoint.BeforeLock)
		f, err := readFence(ctx, c, p.Pipeline) // nobody changes it before the commit (invariant 1)
		if errors.Is(err, window.ErrNoFence) {
			return ledger.NoFence(p.Pipeline)
		}
		if err != nil {
			return err
		}
		committed, err := ledger.CheckPublish(f, p)
		if err != nil || committed {
			return err
		}
		if err := writeTables(ctx, c, p, loads, bad); err != nil {
			return err
		}
		failpoint.Hit(failpoint.BeforeCommit)
		return nil
	}
	err = s.write(ctx, once)
	for range loads { // DuckDB has no savepoints: a table whose parts could not be appended costs the transaction
		if !errors.Is(err, errUnordered) {
			break
		}
		err = s.write(ctx, once)
	}
	if err == nil {
		failpoint.Hit(failpoint.AfterCommit)
	}
	return err
}

// fetch gets the parts. bad is the quarantine, nil when the publish has none.
func fetch(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) (loads []*tableLoad, bad *tableLoad, err error) {
	get := func(t *window.TableLoad, stage string) (*tableLoad, error) {
		l := &tableLoad{TableLoad: t, stage: "temp.main.tidemill_" + stage}
		for _, part := range l.Parts {
			file, err := local(ctx, part)
			if err != nil {
				return nil, fmt.Errorf("fetching part %s: %w", part.Key, err)
			}
			l.files = append(l.files, file)
		}
		return l, nil
	}
	loads = make([]*tableLoad, len(p.Manifest.Tables))
	for i := range p.Manifest.Tables {
		if loads[i], err = get(&p.Manifest.Tables[i], fmt.Sprintf("stage_%d", i)); err != nil {
			return nil, nil, err
		}
	}
	if p.Manifest.Quarantine != nil {
		bad, err = get(p.Manifest.Quarantine, "quarantine")
	}
	return loads, bad, err
}

// writeTables does everything between the fence's check and the commit.
func writeTables(ctx context.Context, c *duck.Conn, p *window.Publication, loads []*tableLoad, bad *tableLoad) error {
	var o ledger.Outcome
	for i, l := range loads {
		if err := own(ctx, c, p, l); err != nil {
			return err
		}
		start := time.Now()
		rows := attribute.Int64(telemetry.KeyRows, l.Upserts+l.Deletes)
		name := attribute.String(telemetry.KeyTable, l.Table.String())
		if err := ledger.Span(ctx, "load", func(ctx context.Context) error { return l.load(ctx, c) }, name, rows); err != nil {
			return err
		}
		if i == 0 {
			failpoint.Hit(failpoint.MidCopy)
		}
		loaded := time.Now()
		if err := ledger.Span(ctx, "apply", func(ctx context.Context) error { return l.apply(ctx, c) }, name, rows); err != nil {
			return fmt.Errorf("applying %s: %w", l.Table, classify(err))
		}
		o.Load += loaded.Sub(start)
		o.Apply += time.Since(loaded)
	}
	if bad != nil {
		if err := bad.load(ctx, c); err != nil {
			return err
		}
	}
	return move(ctx, c, p, bad, o)
}

// own checks that the table is the pipeline's, makes it fit, and records it.
func own(ctx context.Context, c *duck.Conn, p *window.Publication, l *tableLoad) error {
	o, err := readOwner(ctx, c, l.Table)
	if err == nil && o != nil {
		err = ledger.CheckOwner(l.Table, o.pipeline, p.Pipeline)
	}
	if err != nil {
		return err
	}
	if l.prepared, err = prepare(ctx, c, l.TableLoad, o, p.Pipeline); err != nil {
		return fmt.Errorf("preparing %s: %w", l.Table, classify(err))
	}
	return dialect.Record(ctx, c, p, l.TableLoad)
}

// move writes quarantine, standing tables, fence and receipt.
func move(ctx context.Context, c *duck.Conn, p *window.Publication, bad *tableLoad, o ledger.Outcome) error {
	at := time.Now().UTC().Truncate(time.Microsecond) // the warehouse's clock is this process's
	var staged string
	if bad != nil {
		staged = bad.stage
	}
	if err := dialect.Move(ctx, c, p, staged, o, at); err != nil {
		return classify(err)
	}
	if bad == nil {
		return nil
	}
	_, err := c.Exec(ctx, "DROP TABLE "+bad.stage)
	return err
}
