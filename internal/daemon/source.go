package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sources"
)

// source owns a source and streams it into the log until ctx ends.
func (r *runtime) source(ctx context.Context, p *config.Project, s *config.Source, wants map[string][]sources.Want) error {
	for {
		err := r.stream(ctx, p, s, wants)
		if loadsAnew(err) {
			r.daemon.o.Event(Event{At: time.Now(), Unit: "source/" + s.Name, What: "source " + s.Name + " cannot go on where it was, and loads its tables anew", Err: err})
			if err := r.askAnew(ctx, s.Name); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, ingest.ErrAnew) {
			return err
		}
		r.daemon.o.Event(Event{At: time.Now(), Unit: "source/" + s.Name, What: "source " + s.Name + " loads tables anew"})
		for _, pl := range p.Pipelines { // one that has lost its part of the log has waited for this
			r.daemon.manager.again("pipeline/" + pl.Name)
		}
	}
}

// loadsAnew reports whether a source has ended with a loss that it can mend by a load of everything, and that its configuration
// wants mended so.
func loadsAnew(err error) bool {
	var own interface{ LoadAnew() bool }
	return errors.As(err, &own) && own.LoadAnew()
}

// askAnew asks for the source to be loaded anew, as a resync does.
func (r *runtime) askAnew(ctx context.Context, source string) error {
	cl, err := kafka.New(r.log.cfg)
	if err != nil {
		return fmt.Errorf("asking for source %s to be loaded anew: %w", source, err)
	}
	defer cl.Close()
	if err := ingest.Ask(ctx, cl, ingest.Request{ID: uuid.NewString(), Source: source}); err != nil {
		return fmt.Errorf("asking for source %s to be loaded anew: %w", source, err)
	}
	return nil
}

// stream is one run of a source.
func (r *runtime) stream(ctx context.Context, p *config.Project, s *config.Source, wants map[string][]sources.Want) error {
	unit := "source/" + s.Name
	src, err := r.daemon.o.Kinds.source(p, s, wants, r.daemon.o.Log.With(telemetry.KeySource, s.Name), r.telemetry.Meter())
	if err != nil {
		return err
	}
	g, err := grid.New(p.Window)
	if err != nil {
		return err
	}
	dir, err := r.folder("sources", s.Name)
	if err != nil {
		return err
	}
	o := &observed{Source: src, up: func() { r.daemon.manager.up(unit); r.works(unit) }, stands: func(table, reason string) { r.stands(unit, s.Name, table, reason) }}
	r.daemon.set(unit, o)
	defer r.daemon.set(unit, nil)
	return ingest.Stream(ctx, ingest.Config{
		Source: s.Name, Owner: r.owner, Grid: g, Kafka: r.log.cfg,
		Partitions: p.Log.Partitions, Replication: r.replication(),
		Claims: r.assembly.Store, Dir: dir,
		Tracer: r.telemetry.Tracer(), Meter: r.telemetry.Meter(),
	}, o)
}

// stands says that a table stands still, where an operator looks who has no live status: nothing else of the daemon stops.
func (r *runtime) stands(unit, source, table, reason string) {
	e := Event{At: time.Now(), Unit: unit, What: fmt.Sprintf("source %s: table %s stands still", source, table)}
	if reason == "" {
		e.What = fmt.Sprintf("source %s: table %s is loaded again", source, table)
	} else {
		e.Err = errors.New(reason)
	}
	r.daemon.o.Event(e)
}

// folder is a unit's own folder in the data folder.
func (r *runtime) folder(kind, name string) (string, error) {
	dir := filepath.Join(r.project().Data, kind, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of %s: %w", name, err)
	}
	return dir, nil
}

// works notes that a unit has done its work once on this machine.
func (r *runtime) works(unit string) {
	if f, err := os.Create(r.worksFile(unit)); err == nil { // without the file a later start is only stricter
		_ = f.Close()
	}
}

func (r *runtime) worksFile(unit string) string {
	return filepath.Join(r.project().Data, "works-"+strings.ReplaceAll(unit, "/", "-"))
}

// hopeless reports whether a unit's error ends the daemon: it is among the units of the start, has never worked here, and
// somebody has to do something first. Who has just typed an address or a view sees what is wrong with it at once; a daemon
// that starts again keeps the healthy rest going (invariant 3).
func (r *runtime) hopeless(u unit, err error) bool {
	if !r.initial[u.name+u.print] || retryable(err) {
		return false
	}
	_, statErr := os.Stat(r.worksFile(u.name))
	return errors.Is(statErr, os.ErrNotExist)
}

// refusal is a first start that somebody has to help.
type refusal struct{ err error }

func (e *refusal) Error() string { return e.err.Error() }
func (e *refusal) Unwrap() error { return e.err }

// Environment tells the exit code's classifier.
func (e *refusal) Environment() bool { return true }
