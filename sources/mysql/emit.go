package mysql

import (
	"context"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// planned is what a table map leads to. Uncaptured tables are remembered too: to look one up is all they cost.
type planned struct {
	table   *table // nil: not captured
	plan    *rows.Plan
	print   uint64 // fingerprint of the plan's schema
	invalid int64  // values without a canonical form that were counted
}

// plan binds a table map that was not seen before.
func (s *stream) plan(ctx context.Context, ev, body []byte) (*planned, error) {
	name := tableMapName(body)
	if !s.tables.wanted(name) {
		return &planned{}, nil
	}
	t := s.tables.byName[name]
	if t == nil {
		if ok, err := s.discover(ctx, name); err != nil || !ok {
			return &planned{}, err
		}
		t = s.tables.byName[name]
	}
	if t.parked != "" {
		return &planned{table: t}, nil
	}
	if t.catalogue == nil {
		if err := s.refresh(ctx, t); err != nil {
			return nil, err
		}
	}
	p, err := s.bind(ev, t)
	if err == nil && p.Stale() {
		if err := s.refresh(ctx, t); err != nil {
			return nil, err
		}
		p, err = s.bind(ev, t)
	}
	if err != nil {
		s.park(name, s.config.tableProblem(name, err))
		return &planned{table: t}, nil
	}
	return &planned{table: t, plan: p, print: p.Schema().Fingerprint()}, nil
}

func (s *stream) bind(ev []byte, t *table) (*rows.Plan, error) {
	parsed, err := s.parse(ev)
	if err != nil {
		return nil, &rows.MalformedError{Table: t.name, Reason: "the table map does not parse"}
	}
	return rows.NewPlan(parsed.(*replication.TableMapEvent), t.catalogue)
}

// target is where a plan puts the rows of the event at hand.
type target struct {
	out ingest.Emitter
	id  ingest.TableID
}

func (t *target) Partitions() int               { return t.out.Partitions(t.id) }
func (t *target) Builder(p int) *ingest.Builder { return t.out.Builder(t.id, p) }

// touching is a target that also notes the keys for the chunks of the table that are being loaded.
type touching struct {
	target
	log *touchLog
}

func (t *touching) Touched(key []byte) { t.log.touch(xxh3.Hash128(key)) }

var (
	_ rows.Target  = (*target)(nil)
	_ rows.Toucher = (*touching)(nil)
)

// rows decodes the rows of an event into the emitter's builders.
func (s *stream) rows(ctx context.Context, ev rowsEvent) error {
	t := ev.to.table
	if t.parked != "" || ev.to.plan == nil {
		return nil
	}
	if t.schema == nil || t.print != ev.to.print {
		if err := s.declare(ctx, t, ev.to.plan.Schema()); err != nil || t.parked != "" {
			return err
		}
	}
	e, ok, err := rows.Split(ev.typ, ev.data)
	switch {
	case err != nil:
		s.park(t.name, s.config.tableProblem(t.name, err))
		return nil
	case !ok:
		s.park(t.name, "the server logs rows in the format of MySQL 5.0, which is not read; run: "+s.config.resyncCommand(t.name))
		return nil
	}
	t.fresh = false
	n, err := s.decode(t, ev.to.plan, e)
	s.pos.rows += n
	s.meters.byteCount += int64(len(ev.data))
	if err != nil { // of one table only, and only from this row on
		s.park(t.name, s.config.tableProblem(t.name, err))
	}
	if s.unflushed += len(ev.data); s.unflushed >= progressBytes {
		s.unflushed = 0
		return s.out.Progress(ctx, s.pos.text())
	}
	return nil
}

func (s *stream) decode(t *table, p *rows.Plan, e rows.Event) (int, error) {
	if t.touched == nil {
		s.target.id = t.id
		return p.Rows(e.Kind, e.Body, &s.target)
	}
	t.touched.in(groupRef{start: s.began, gtid: s.next})
	s.touching.target.id, s.touching.log = t.id, t.touched
	return p.Rows(e.Kind, e.Body, &s.touching)
}

// declare tells the emitter the schema of the rows to come, or parks the table when the log cannot go on with it.
func (s *stream) declare(ctx context.Context, t *table, schema *ingest.Schema) error {
	print := schema.Fingerprint()
	if t.schema != nil && t.print == print {
		return nil
	}
	if t.schema != nil && !t.ahead {
		if why := changeable(t.schema, schema); why != "" {
			s.park(t.name, why+"; run: "+s.config.resyncCommand(t.name))
			return nil
		}
	}
	id, err := s.out.Table(ctx, schema)
	if err != nil {
		return err
	}
	t.schema, t.id, t.print, t.ahead = schema, id, print, false
	return nil
}

// discover registers a table of a captured database that the stream has not met before. What is no table (a sequence) is
// not captured.
func (s *stream) discover(ctx context.Context, name ingest.TableName) (bool, error) {
	types, err := s.server.tableTypes(ctx, name.Schema)
	if err != nil {
		return false, err
	}
	switch types[name.Name] {
	case "BASE TABLE", "SYSTEM VERSIONED", "": // none: it is gone by now
	default:
		return false, nil
	}
	parents, err := s.server.parents(ctx, name)
	if err != nil {
		return false, err
	}
	t := s.tables.add(name)
	t.defined, t.parents = s.began, parents
	s.loader.enqueue(name)
	return true, nil
}

// appear registers a table that was created or renamed into a captured name: it is declared now and loaded later.
func (s *stream) appear(ctx context.Context, name ingest.TableName) error {
	if s.tables.byName[name] != nil {
		return nil // parked: only a resync brings it back
	}
	catalogue, ok, err := readCatalogue(ctx, s.db, s.flavor, name, s.tables.dropped(name))
	if err != nil {
		return s.config.failure("reading the catalogue of "+name.String(), err)
	}
	if !ok {
		return nil // gone again; should it come back, its table map tells
	}
	if ok, err := s.discover(ctx, name); err != nil || !ok {
		return err
	}
	t := s.tables.byName[name]
	t.catalogue = catalogue
	schema, err := rows.SchemaFrom(name, *catalogue)
	if err != nil {
		s.park(name, s.config.tableProblem(name, err))
		return nil
	}
	if err := s.declare(ctx, t, schema); err != nil {
		return err
	}
	t.ahead = true // the catalogue may be newer than the log
	return nil
}

// define takes note of a statement that may have changed a table's definition: plans made with the old catalogue are dropped,
// chunks that were read by it are read again, and the table is loaded again when its rows may have changed without
// being logged, as ALTER does it.
func (s *stream) define(ctx context.Context, t *table, alter alteration) error {
	t.defined = s.began
	for hash, p := range s.plans {
		if p.table == t {
			delete(s.plans, hash)
		}
	}
	before := t.catalogue
	err := s.refresh(ctx, t)
	if err != nil {
		return err
	}
	if t.parents, err = s.server.parents(ctx, t.name); err != nil {
		return err
	}
	t.orphan = alter.cascades
	rewritten, added := compareCatalogues(before, t.catalogue)
	back := func(name string) bool {
		return slices.ContainsFunc(append(alter.added, added...), func(a string) bool { return strings.EqualFold(a, name) })
	}
	rewritten = rewritten || alter.rewrites || slices.ContainsFunc(alter.dropped, hasColumn(t.catalogue)) || slices.ContainsFunc(t.gone, back)
	t.gone = append(append(t.gone, alter.dropped...), lost(before, t.catalogue)...)
	if !rewritten && len(added) > 0 {
		if rewritten, err = s.server.filled(ctx, t.name, added); err != nil {
			return err
		}
	}
	if rewritten {
		s.reloads = append(s.reloads, t.name)
	}
	return nil
}

// reload starts the loads of tables over. It comes before the position moves past the statement that made it necessary,
// so that a checkpoint holds both or neither.
func (s *stream) reload(ctx context.Context) error {
	for _, name := range s.reloads {
		t := s.tables.byName[name]
		if t.parked != "" {
			continue
		}
		if err := s.out.Reload(ctx, name); err != nil {
			return err
		}
		s.status.load(name, ingest.Load{})
		if t.again = t.loading; !t.loading {
			s.loader.enqueue(name)
		}
	}
	s.reloads = s.reloads[:0]
	return nil
}

// refresh reads the table's catalogue. A table that is gone keeps what was known.
func (s *stream) refresh(ctx context.Context, t *table) error {
	c, ok, err := readCatalogue(ctx, s.db, s.flavor, t.name, t.drop)
	if err != nil {
		return s.config.failure("reading the catalogue of "+t.name.String(), err)
	}
	if ok {
		t.catalogue = c
	}
	return nil
}

// park stops a table from here on. The emitter hears of it at the group's end, or at once between groups.
func (s *stream) park(name ingest.TableName, why string) {
	t := s.tables.byName[name]
	if t == nil || t.parked != "" {
		return
	}
	t.parked, t.touched = why, nil
	s.parks = append(s.parks, name)
}

// exchange parks a table until its new content is loaded: this run ends then, and the next one finds it not loaded.
func (s *stream) exchange(name ingest.TableName) {
	if t := s.tables.byName[name]; t.parked == "" {
		t.exchanged = true
		s.park(name, s.config.parkReason(reasonExchanged, name))
	}
}

// parkNow tells the emitter of the tables that are parked: inside the group that did it, so that a checkpoint holds both or
// neither.
func (s *stream) parkNow(ctx context.Context) error {
	for _, name := range s.parks {
		t := s.tables.byName[name]
		s.status.park(name, t.parked)
		tell := s.out.Park
		if t.exchanged {
			tell = s.out.Anew
		}
		if err := tell(ctx, name, t.parked); err != nil {
			return err
		}
	}
	s.parks = s.parks[:0]
	return nil
}

// refused turns an effect of the machine into the error that stops the stream.
func (s *stream) refused(r reason) error {
	remedy := "run: " + s.config.resyncSource()
	if first := reasons[r].remedy; first != "" {
		remedy = first + ", then " + remedy
	}
	return &Error{Cause: Lost, Server: s.config.Address, What: reasons[r].what, Remedy: remedy}
}
