package redshift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Publish stages the parts and runs the one transaction of a step.
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
	loads, bad, err := s.fetch(ctx, p, local)
	if err != nil {
		return err
	}
	err = s.session(ctx, func(c *session) error {
		committed, err := s.ahead(ctx, c, p)
		if err != nil || committed {
			return err
		}
		all := loads
		if bad != nil {
			all = append(slices.Clone(loads), bad)
		}
		o, err := s.stage(ctx, c, all) // invariant 2
		took(p, "load", o.Load)
		if err != nil {
			return err
		}
		if err := s.widen(ctx, c, p, loads); err != nil {
			return err
		}
		if err := c.locked(ctx, func() error { return s.write(ctx, c, p, loads, bad, o) }); err != nil {
			return err
		}
		took(p, "commit", c.commit)
		return unstage(ctx, c, all)
	})
	var unknown *unknownError
	if errors.As(err, &unknown) {
		err = s.settle(ctx, p, err)
	}
	if err == nil {
		failpoint.Hit(failpoint.AfterCommit)
	}
	return err
}

func took(p *window.Publication, stage string, d time.Duration) {
	if p.Took != nil {
		p.Took(stage, d)
	}
}

// ahead asks the fence before anything is copied: a publish that is refused or done already need not be. The fence decides
// again under the lock.
func (s *Sink) ahead(ctx context.Context, c *session, p *window.Publication) (committed bool, err error) {
	f, err := readFence(ctx, c, p.Pipeline)
	if errors.Is(err, window.ErrNoFence) {
		return false, ledger.NoFence(p.Pipeline)
	}
	if err != nil {
		return false, classify(err)
	}
	return ledger.CheckPublish(f, p)
}

// settle reads what became of a COMMIT whose answer was lost (invariant 4). Whoever reads the fence under the lock reads it
// after that transaction has ended, one way or the other.
func (s *Sink) settle(ctx context.Context, p *window.Publication, lost error) error {
	var committed bool
	err := s.session(ctx, func(c *session) error {
		return c.locked(ctx, func() (err error) {
			committed, err = s.ahead(ctx, c, p)
			return err
		})
	})
	if err != nil {
		return errors.Join(lost, fmt.Errorf("asking the fence what became of it: %w", err))
	}
	if !committed {
		return fmt.Errorf("nothing was committed: %w", lost)
	}
	return nil
}

// write does everything between the lock and the commit.
func (s *Sink) write(ctx context.Context, c *session, p *window.Publication, loads []*load, bad *load, o ledger.Outcome) error {
	committed, err := s.ahead(ctx, c, p)
	if err != nil || committed {
		return err
	}
	start := time.Now()
	for _, l := range loads {
		if err := s.apply(ctx, c, p, l); err != nil {
			return err
		}
	}
	o.Apply = time.Since(start)
	took(p, "apply", o.Apply)
	var at time.Time // the warehouse's clock: freshness is measured by it
	if err := c.row(ctx, "SELECT SYSDATE", []any{&at}); err != nil {
		return err
	}
	staged := ""
	if bad != nil {
		staged = ident(bad.stage)
	}
	if err := dialect.Move(ctx, c, p, staged, o, at); err != nil {
		return err
	}
	failpoint.Hit(failpoint.BeforeCommit)
	return nil
}

// apply brings one staged load into its table.
func (s *Sink) apply(ctx context.Context, c *session, p *window.Publication, l *load) error {
	have, err := s.describe(ctx, c, l.Table)
	if err != nil {
		return err
	}
	if have.owner != "" {
		if err := ledger.CheckOwner(l.Table, have.owner, p.Pipeline); err != nil {
			return err
		}
	}
	todo, err := have.plan(l.TableLoad, l.longest, s.options, p.Pipeline)
	if err != nil {
		return err
	}
	if len(todo.widen) > 0 { // somebody has changed the table since
		return fmt.Errorf("the table %s has become too narrow beside this publish", l.Table)
	}
	err = ledger.Span(ctx, "apply", func(ctx context.Context) error { return s.merge(ctx, c, p, l, have, todo) },
		attribute.String(telemetry.KeyTable, l.Table.String()), attribute.Int64(telemetry.KeyRows, l.Upserts+l.Deletes))
	if err != nil {
		return fmt.Errorf("applying %s: %w", l.Table, classify(err))
	}
	return nil
}

func (s *Sink) merge(ctx context.Context, c *session, p *window.Publication, l *load, have *shape, todo plan) error {
	if have.columns != nil && have.owner == "" {
		if err := wantEmpty(ctx, c, l.Table); err != nil {
			return err
		}
	}
	if todo.create {
		if _, err := c.Exec(ctx, schemaSQL(l.Table.Schema)); err != nil {
			return err
		}
	} else if l.Replace {
		if _, err := c.Exec(ctx, clearSQL(l.Table)); err != nil {
			return err
		}
	}
	for _, q := range todo.alter {
		if _, err := c.Exec(ctx, q); err != nil {
			return err
		}
	}
	if l.rows() > 0 {
		if err := l.move(ctx, c, todo); err != nil {
			return err
		}
	}
	return dialect.Record(ctx, c, p, l.TableLoad)
}

// wantEmpty protects a table that somebody else made: the first publish of a pipeline would delete its rows.
func wantEmpty(ctx context.Context, c *session, t window.WarehouseTable) error {
	var filled int64
	if err := c.row(ctx, filledSQL(t), []any{&filled}); err != nil || filled == 0 {
		return err
	}
	return &window.RefusedError{
		What: fmt.Sprintf("the table %s is there, holds rows and was not published by tidemill", t),
		Hint: fmt.Sprintf("publish under another name, or: ALTER TABLE %s RENAME TO %s", ident(t.Schema, t.Name), ident(t.Name+"_old")),
	}
}

// widen makes VARCHARs wider before the transaction (invariant 7). It touches only tables that are the pipeline's.
func (s *Sink) widen(ctx context.Context, c *session, p *window.Publication, loads []*load) error {
	for _, l := range loads {
		have, err := s.describe(ctx, c, l.Table)
		if err != nil {
			return classify(err)
		}
		if have.columns == nil || have.owner != p.Pipeline && have.owner != "" {
			continue // the transaction refuses it
		}
		todo, err := have.plan(l.TableLoad, l.longest, s.options, p.Pipeline)
		if err != nil {
			return err
		}
		if have.owner == "" && len(todo.widen) > 0 {
			if err := wantEmpty(ctx, c, l.Table); err != nil {
				return err
			}
		}
		for _, q := range todo.widen {
			err := c.repeat(ctx, func() error { _, err := c.Exec(ctx, q); return classify(err) })
			if err != nil {
				return fmt.Errorf("widening %s: %w", l.Table, err)
			}
		}
	}
	return nil
}

// describe reads a table from the catalogue and the ledger.
func (s *Sink) describe(ctx context.Context, c *session, t window.WarehouseTable) (*shape, error) {
	out := &shape{}
	var kind string
	switch err := c.row(ctx, kindSQL, []any{&kind}, fold(t.Schema), fold(t.Name)); {
	case noRows(err):
		return out, s.owner(ctx, c, t, out)
	case err != nil:
		return nil, err
	case kind != "TABLE":
		return nil, &window.RefusedError{What: fmt.Sprintf("%s is not a table", t), Hint: "drop or rename what is there, or publish under another name"}
	}
	rows, err := c.conn.Query(ctx, shapeSQL, fold(t.Schema), fold(t.Name))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out.columns = []column{}
	for rows.Next() {
		var name, typ, nullable string
		if err := rows.Scan(&name, &typ, &nullable); err != nil {
			return nil, err
		}
		out.columns = append(out.columns, column{fold(name), parseType(strings.ToLower(typ)), strings.EqualFold(nullable, "NO")})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return out, s.owner(ctx, c, t, out)
}

// owner reads who publishes a table, and by which key.
func (s *Sink) owner(ctx context.Context, c *session, t window.WarehouseTable, out *shape) error {
	var key string
	err := c.row(ctx, dialect.SelectTable(), []any{&out.owner, &key}, t.Schema, t.Name)
	if noRows(err) {
		return nil
	}
	if err != nil || out.columns == nil {
		return err
	}
	if err := json.Unmarshal([]byte(key), &out.key); err != nil {
		return fmt.Errorf("reading tidemill.tables: key_columns is not JSON: %w", err)
	}
	return nil
}

// stageName is a name that no table has: a temporary table hides a permanent one of its name.
func stageName() string { return "tidemill_" + strings.ReplaceAll(uuid.NewString(), "-", "") }
