package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
)

// Source reads one MySQL or MariaDB server.
type Source struct {
	name    string
	config  Config
	capture capture
	meter   metric.Meter

	interval time.Duration // of proofs

	server *server // known after Prepare
	found  []discovered
	board  atomic.Pointer[board]
}

var _ ingest.Source = (*Source)(nil)

// Kind is the entry of this connector in the set of sources.
func Kind() sources.Kind {
	return sources.Kind{
		Name:   "mysql",
		Config: func() any { c := Default(); return &c },
		New: func(env sources.Env, config any) (ingest.Source, error) {
			c := *config.(*Config)
			c.project = env.Project
			return New(env.Name, c, env.Meter)
		},
	}
}

// New makes a source. It does no I/O. meter may be nil.
func New(name string, config Config, meter metric.Meter) (*Source, error) {
	c, err := newCapture(config.Tables, config.wants...)
	if err != nil {
		return nil, err
	}
	config.source = name
	return &Source{name: name, config: config, capture: c, meter: meter, interval: proofInterval}, nil
}

// Prepare connects, refuses a server that cannot be replicated and returns the captured tables.
func (s *Source) Prepare(ctx context.Context) ([]ingest.Schema, error) {
	db, err := s.config.open()
	if err != nil {
		return nil, &Error{Cause: Refused, Server: s.config.Address, What: "preparing the connection", Err: err}
	}
	defer db.Close()
	srv, err := s.config.connect(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := srv.check(ctx); err != nil {
		return nil, err
	}
	found, err := srv.discover(ctx, s.capture)
	if err != nil {
		return nil, err
	}
	out, err := s.usable(found)
	if err != nil {
		return nil, err
	}
	s.server, s.found = srv, found
	return out, nil
}

// usable returns the schemas of the tables without a problem; a source of which nothing is left is refused.
func (s *Source) usable(found []discovered) ([]ingest.Schema, error) {
	var out []ingest.Schema
	var bad Refusals
	for _, d := range found {
		if d.problem == "" {
			out = append(out, *d.schema)
		} else {
			bad = append(bad, &Error{Cause: Refused, Server: s.config.Address, What: "table " + d.name.String(), Err: errors.New(d.problem)})
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(bad) > 0:
		return nil, bad
	}
	if s.capture.open() {
		return nil, nil // tables may come
	}
	if len(s.capture.wants) == 0 {
		return nil, &Error{Cause: Refused, Server: s.config.Address, What: "no table is captured", Remedy: "name tables in the source's file"}
	}
	return nil, &Error{Cause: Refused, Server: s.config.Address, What: "it has none of the tables " + strings.Join(exactNames(s.capture.wants), ", ") + " that pipelines read",
		Remedy: "correct the pipelines, or name tables in the source's file"}
}

// Run streams until ctx ends.
func (s *Source) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	if s.server == nil {
		return errors.New("running a source that was not prepared")
	}
	db, err := s.config.open()
	if err != nil {
		return &Error{Cause: Refused, Server: s.config.Address, What: "preparing the connection", Err: err}
	}
	defer db.Close()
	srv, err := s.config.connect(ctx, db)
	if err == nil {
		err = s.run(ctx, srv, resume, out)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Source) run(ctx context.Context, srv *server, resume ingest.Resume, out ingest.Emitter) error {
	st, err := s.newStream(srv, out)
	if err != nil {
		return err
	}
	s.board.Store(st.status)
	if err := s.start(ctx, srv, st, resume); err != nil {
		return err
	}
	outer := ctx
	g, ctx := errgroup.WithContext(outer)
	d, err := s.config.startDump(ctx, srv, st.pos.done, s.serverID(), s.name)
	if err != nil {
		return err
	}
	g.Go(func() error { return d.run(ctx) })
	g.Go(func() error { return srv.prove(ctx, st.proofs, s.interval) })
	g.Go(func() error { return st.loader.run(ctx) })
	g.Go(func() error { return st.loop(ctx, d) })
	return s.diagnose(outer, srv, g.Wait())
}

// diagnose tells two ends of a dump apart that MySQL reports by one number: our position is not in its log any more, or
// another reader with our id has come. In the second case that reader is listed; our own entry went with our dump.
func (s *Source) diagnose(ctx context.Context, srv *server, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Cause != Purged || srv.flavor != mysql {
		return err
	}
	twin := false
	listed := srv.each(ctx, "listing the server's readers", srv.replicasStatement(), nil, func(scan func(...any) error) error {
		var id uint32
		var rest sql.RawBytes
		err := scan(&id, &rest, &rest, &rest, &rest)
		twin = twin || id == s.serverID()
		return err
	})
	if listed == nil && twin {
		return s.config.duplicateID(e.Err)
	}
	return err
}

func (s *Source) newStream(srv *server, out ingest.Emitter) (*stream, error) {
	m, err := newMeters(s.meter, s.name)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	st := &stream{
		config: &s.config, flavor: srv.flavor, server: srv, db: srv.db, out: out, meters: m, status: newBoard(s.config.Address, srv.version),
		tables: newTables(s.capture), plans: map[uint64]*planned{}, parser: newParser(srv.flavor),
		target: target{out: out}, touching: touching{target: target{out: out}},
		calls: make(chan call), chunks: make(chan *chunk), proofs: make(chan proof, 1),
	}
	st.group = group{flavor: srv.flavor, world: st.tables}
	st.loader = &loader{config: &s.config, flavor: srv.flavor, stream: st, loads: map[ingest.TableName]ingest.Load{}, wake: make(chan struct{}, 1)}
	return st, nil
}

// start finds the position, declares the tables and parks those that cannot be read.
func (s *Source) start(ctx context.Context, srv *server, st *stream, resume ingest.Resume) (err error) {
	first := resume.Position == ""
	if first {
		if st.pos.done, err = srv.position(ctx); err != nil {
			return err
		}
		if err := st.out.Start(ctx, st.pos.text()); err != nil {
			return err
		}
	} else {
		p, err := parsePosition(srv.flavor, resume.Position)
		if err != nil {
			return err
		}
		st.pos = *p
		if err := srv.checkHistory(ctx, st.pos.done); err != nil {
			return err
		}
	}
	// Everything that an earlier owner has put into the log lies before this point of the server's.
	if _, st.floor, err = srv.now(ctx); err != nil {
		return err
	}
	st.status.read(st.pos.text(), time.Time{})
	if st.tables.triggers, st.tables.unseen, err = srv.triggers(ctx); err != nil {
		return err
	}
	if st.tables.views, err = srv.views(ctx); err != nil {
		return err
	}
	st.tables.logged = srv.cascades
	for _, d := range s.found {
		if err := st.adopt(ctx, d, resume, first); err != nil {
			return err
		}
	}
	for name := range resume.Loads {
		if st.tables.byName[name] == nil && resume.Parked[name] == "" && !st.tables.wanted(name) {
			st.tables.add(name)
			st.park(name, "it is not captured: no pipeline reads it and its source's tables do not name it; when one of the two does, run: "+s.config.resyncCommand(name))
		}
	}
	for name, why := range resume.Parked {
		if st.tables.byName[name] == nil && st.tables.wanted(name) {
			st.tables.add(name)
		}
		st.park(name, why)
	}
	return st.parkNow(ctx)
}

// adopt registers a table that Prepare has found.
//
// On a first start the catalogue is as new as the log, so the table is declared by it. Later the log may still have to pass
// what the catalogue shows already; there the log declares the table, and finds its problems at the place where they
// began: rows that were emitted before must be emitted again. Until then the table has the schema that it was declared with
// last.
func (s *stream) adopt(ctx context.Context, d discovered, resume ingest.Resume, first bool) error {
	t := s.tables.add(d.name)
	t.catalogue, t.parents, t.gone = d.catalogue, d.parents, resume.Gone[d.name]
	load, begun := resume.Loads[d.name]
	t.fresh = !first && !begun
	s.status.load(d.name, load)
	if resume.Parked[d.name] != "" {
		return nil
	}
	if d.problem != "" && (first || !begun) {
		s.park(d.name, s.config.withResync(d.name, d.problem))
		return nil
	}
	if !load.Done {
		s.loader.loads[d.name] = load
		s.loader.enqueue(d.name)
	}
	if first {
		return s.declare(ctx, t, d.schema)
	}
	if before := resume.Schemas[d.name]; before != nil && begun { // else it is loaded anew, and may have any schema
		return s.declare(ctx, t, before)
	}
	return nil
}

// serverID derives a replica id from the names of the project and the source. The range is far above what people number
// replicas with.
func (s *Source) serverID() uint32 {
	if s.config.ServerID != 0 {
		return s.config.ServerID
	}
	h := fnv.New32a()
	h.Write([]byte("tidemill/" + s.config.project + "/" + s.name)) // neither name holds a slash
	return 1<<31 | h.Sum32()>>1
}

// Status tells where the source stands. It may be called at any time from any goroutine.
func (s *Source) Status() Status {
	b := s.board.Load()
	if b == nil {
		return Status{Server: s.config.Address}
	}
	return b.snapshot(time.Now())
}
