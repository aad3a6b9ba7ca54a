package mysql

import (
	"context"
	"database/sql"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/tidemill/tidemill/ingest"
)

// tick is how often the emitter may flush what waits when the log is quiet.
const tick = 250 * time.Millisecond

// progressBytes is how much of the log is decoded into an open group before the emitter may flush. Less would render a
// position for every small event.
const progressBytes = 32 << 10

// stream turns the log into calls of the emitter. One goroutine owns it; the loader and the prober reach it by
// channels that it reads between groups only.
type stream struct {
	config *Config
	flavor flavor
	db     *sql.DB
	server *server
	out    ingest.Emitter
	meters *meters
	status *board
	tables *tables
	plans  map[uint64]*planned // by hash of the table map
	group  group

	target   target
	touching touching

	pos     position
	at      coord // end of what was read
	began   coord // start of the open group
	ended   coord // start of the last group that is closed
	floor   coord // end of the server's log when this run began
	next    gtid  // of the open group
	commit  time.Time
	passed  bool               // groups without captured rows were read since the last call of End
	parks   []ingest.TableName // to be told to the emitter
	reloads []ingest.TableName

	mapped    []mapping // tables of the statement under way
	unflushed int       // bytes decoded since the last call of Progress

	calls   chan call   // questions of the loader
	chunks  chan *chunk // chunks of first loads
	pending *chunk      // waits until the stream has passed its snapshot
	proofs  chan proof
	proof   *proof // waits until the stream has passed it
	loader  *loader

	gtidEvent   replication.GTIDEvent
	taggedEvent replication.GtidTaggedLogEvent
	mariaEvent  replication.MariadbGTIDEvent
	queryEvent  replication.QueryEvent
	ev          event
	parser      *replication.BinlogParser // knows the format description; for table maps and payloads
}

type mapping struct {
	id uint64
	to *planned
}

// maxPlans bounds the cache; past it everything is planned anew, which takes milliseconds.
const maxPlans = 8192

// loop runs until the blocks end or ctx does.
func (s *stream) loop(ctx context.Context, d *dump) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		var calls chan call
		var chunks chan *chunk
		var proofs chan proof
		var ticks <-chan time.Time
		if !s.group.open() {
			calls, ticks = s.calls, ticker.C
			if s.pending == nil {
				chunks = s.chunks
			}
			if s.proof == nil {
				proofs = s.proofs
			}
		}
		var err error
		select {
		case b, ok := <-d.blocks:
			if !ok {
				return nil // the dump's own error says why
			}
			err = s.block(ctx, b)
			d.recycle(b)
		case c := <-calls:
			c.answer()
		case s.pending = <-chunks:
			err = s.between(ctx)
		case p := <-proofs:
			s.proof = &p
			err = s.between(ctx)
		case <-ticks:
			err = s.idle(ctx)
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) block(ctx context.Context, b block) error {
	for _, e := range b.events {
		if err := s.event(ctx, b.data[e.from:e.to]); err != nil {
			return err
		}
	}
	s.status.read(s.pos.text(), s.commit)
	return nil
}

// between runs what is allowed between groups and was waiting for the stream to come this far.
func (s *stream) between(ctx context.Context) error {
	if s.group.open() {
		return nil
	}
	if s.pending != nil && !s.at.less(s.pending.high) {
		if err := s.load(ctx, s.pending); err != nil {
			return err
		}
		s.pending = nil
	}
	if s.proof != nil && !s.at.less(s.proof.at) {
		if err := s.flush(ctx); err != nil {
			return err
		}
		if err := s.out.Idle(ctx, s.proof.time); err != nil {
			return err
		}
		s.status.proven(s.proof.time)
		s.proof = nil
	}
	select {
	case c := <-s.calls:
		c.answer()
	default:
	}
	return nil
}

// flush hands the emitter the position behind groups of which nothing was captured, with the tables that they have parked.
func (s *stream) flush(ctx context.Context) error {
	if s.passed {
		s.passed = false
		if err := s.out.Begin(ctx, s.commit); err != nil {
			return err
		}
		if err := s.parkNow(ctx); err != nil {
			return err
		}
		return s.out.End(ctx, s.pos.text())
	}
	return s.parkNow(ctx)
}

func (s *stream) idle(ctx context.Context) error {
	if err := s.reload(ctx); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.meters.hand(ctx, s)
	return s.out.Tick(ctx)
}

// apply does what the machine says. ev is the event that caused it, for its rows.
func (s *stream) apply(ctx context.Context, effects []effect, ev rowsEvent) error {
	for _, e := range effects {
		var err error
		switch e.do {
		case doBegin:
			s.passed = false
			err = s.out.Begin(ctx, s.commit)
		case doRows:
			err = s.rows(ctx, ev)
		case doEnd:
			err = s.end(ctx)
		case doPass:
			s.pos.done.add(s.next)
			s.pos.rows, s.passed = 0, true
			s.meters.group(s.commit)
			err = s.closed(ctx)
		case doPark:
			s.park(e.table, s.config.parkReason(e.reason, e.table))
		case doAnew:
			s.exchange(e.table)
		case doDefine:
			err = s.define(ctx, s.tables.byName[e.table], e.alter)
		case doAppear:
			err = s.appear(ctx, e.table)
		case doTrigger:
			s.tables.triggers[e.table] = true
		case doView:
			s.tables.views[e.table] = true
		case doRefuse:
			err = s.refused(e.reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) end(ctx context.Context) error {
	s.pos.done.add(s.next)
	s.pos.rows, s.unflushed = 0, 0
	s.meters.group(s.commit)
	if err := s.parkNow(ctx); err != nil {
		return err
	}
	if err := s.out.End(ctx, s.pos.text()); err != nil {
		return err
	}
	return s.closed(ctx)
}

// closed runs after each group.
func (s *stream) closed(ctx context.Context) error {
	s.mapped, s.ended = s.mapped[:0], s.began
	if len(s.reloads) > 0 {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	if len(s.parks) > 0 {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return s.between(ctx)
}
