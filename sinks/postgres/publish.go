package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

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
	loads, bad, err := fetch(ctx, p, local) // invariant 2
	if err != nil {
		return err
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		failpoint.Hit(failpoint.BeforeLock)
		f, err := readFence(ctx, tx, p.Pipeline, true) // invariant 1
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
		if err := write(ctx, tx, p, loads, bad); err != nil {
			return err
		}
		failpoint.Hit(failpoint.BeforeCommit)
		return nil
	})
	if err == nil {
		failpoint.Hit(failpoint.AfterCommit)
	}
	return err
}

// fetch gets the parts and puts the tables into the one order in which every publisher takes their locks. bad is the
// quarantine, nil when the publish has none.
func fetch(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) (loads []*tableLoad, bad *tableLoad, err error) {
	get := func(t *window.TableLoad, stage string) (*tableLoad, error) {
		l := &tableLoad{TableLoad: t, stage: "pg_temp.tidemill_" + stage}
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
		if bad, err = get(p.Manifest.Quarantine, "quarantine"); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(loads, func(a, b *tableLoad) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	return loads, bad, nil
}

// write does everything between the fence's check and the commit.
func write(ctx context.Context, tx pgx.Tx, p *window.Publication, loads []*tableLoad, bad *tableLoad) error {
	var o ledger.Outcome
	for i, l := range loads {
		if err := own(ctx, tx, p, l); err != nil {
			return err
		}
		start := time.Now()
		rows := attribute.Int64(telemetry.KeyRows, l.Upserts+l.Deletes)
		name := attribute.String(telemetry.KeyTable, l.Table.String())
		if err := ledger.Span(ctx, "load", func(ctx context.Context) error { return l.load(ctx, tx) }, name, rows); err != nil {
			return err
		}
		if i == 0 {
			failpoint.Hit(failpoint.MidCopy)
		}
		loaded := time.Now()
		if err := ledger.Span(ctx, "apply", func(ctx context.Context) error { return l.apply(ctx, tx) }, name, rows); err != nil {
			return fmt.Errorf("applying %s: %w", l.Table, classify(err))
		}
		o.Load += loaded.Sub(start)
		o.Apply += time.Since(loaded)
	}
	if bad != nil {
		if err := bad.stageQuarantine(ctx, tx); err != nil {
			return err
		}
	}
	return move(ctx, tx, p, bad, o)
}

// own checks that the table is the pipeline's, makes it fit, and records it.
func own(ctx context.Context, tx pgx.Tx, p *window.Publication, l *tableLoad) error {
	var owner string
	err := tx.QueryRow(ctx, ledger.SelectOwner, l.Table.Schema, l.Table.Name).Scan(&owner)
	ours := err == nil
	if ours {
		err = ledger.CheckOwner(l.Table, owner, p.Pipeline)
	} else if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return err
	}
	if l.prepared, err = prepare(ctx, tx, l.TableLoad, ours, p.Pipeline); err != nil {
		return fmt.Errorf("preparing %s: %w", l.Table, classify(err))
	}
	return dialect.Record(ctx, ledgerTx{tx}, p, l.TableLoad)
}

// ledgerTx lets the ledger run its statements.
type ledgerTx struct{ pgx.Tx }

func (t ledgerTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := t.Tx.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// move writes quarantine, standing tables, fence and receipt.
func move(ctx context.Context, tx pgx.Tx, p *window.Publication, bad *tableLoad, o ledger.Outcome) error {
	var at time.Time // the warehouse's clock: freshness is measured by it
	if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return err
	}
	var staged string
	if bad != nil {
		staged = bad.stage
	}
	return classify(dialect.Move(ctx, ledgerTx{tx}, p, staged, o, at))
}
