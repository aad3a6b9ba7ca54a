package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// tableLoad is the first load of one table under way.
type tableLoad struct {
	*loader
	table      *table
	definition string // SHOW CREATE TABLE that plan belongs to; empty: read everything anew
	plan       *rows.TextPlan
	keyset     keyset
	partitions int
	// transactional: the engine keeps old versions, so that a snapshot shows one point of the log.
	transactional bool
	state         ingest.Load // after the last accepted chunk
	rows          int64       // after the last chunk that was read
	after         [][]byte    // key that the next chunk starts behind
	snapshot      *snapshot
	mark          *mark  // of the chunk being read
	waiting       *chunk // handed over, not judged yet
	free          *chunk // judged, to be used again
	rowBytes      int    // of an average row of the last chunk
}

// errAbandon ends a table's load without an error: the table is parked, or unknown to the stream.
var errAbandon = errors.New("load abandoned")

// errAgain says that the snapshot cannot be used: take another.
var errAgain = errors.New("snapshot not usable")

const (
	// retryWait is how long the loader waits before it takes another snapshot.
	retryWait = 20 * time.Millisecond
	// chunkBytes is how much of a table one chunk may hold, whatever chunk_rows says.
	chunkBytes = 32 << 20
)

func (l *loader) table(ctx context.Context, name ingest.TableName) error {
	tl := &tableLoad{loader: l}
	err := l.ask(ctx, func() error {
		tl.table = l.stream.tables.byName[name]
		if tl.table == nil || tl.table.parked != "" {
			return errAbandon
		}
		tl.table.loading, tl.table.again = true, false
		return nil
	})
	if err == nil {
		tl.state = l.loads[name]
		delete(l.loads, name) // of the run before: should the table be loaded once more, then from its beginning
		tl.state.Done = false
		err = tl.run(ctx)
	}
	tl.closeSnapshot()
	switch {
	case !errors.Is(err, errAbandon):
		return err
	case tl.table == nil:
		return nil
	}
	return l.ask(ctx, func() error {
		if tl.table.loading, tl.table.again = false, false; tl.table.parked == "" { // it is to be loaded all the same
			l.enqueue(name)
		}
		return nil
	})
}

// run reads chunks until the table ends. One chunk is read while the one before waits for the stream.
func (tl *tableLoad) run(ctx context.Context) error {
	for {
		c, err := tl.next(ctx)
		if err != nil {
			return err
		}
		ok, err := tl.settle(ctx)
		switch {
		case err != nil:
			return err
		case !ok: // the chunk before must be read again, and so must this one
			if err := tl.ask(ctx, func() error { tl.table.release(c.mark); return nil }); err != nil {
				return err
			}
			continue
		}
		select {
		case tl.stream.chunks <- c:
			tl.waiting = c
		case <-ctx.Done():
			return ctx.Err()
		}
		if !c.state.Done {
			continue
		}
		if ok, err := tl.settle(ctx); err != nil || ok {
			return err
		}
	}
}

// settle waits for the verdict on the chunk that was handed over. ok is false when reading went back to the last accepted state.
func (tl *tableLoad) settle(ctx context.Context) (ok bool, err error) {
	c := tl.waiting
	if c == nil {
		return true, nil
	}
	tl.waiting = nil
	select {
	case v := <-c.verdict:
		switch v {
		case accepted:
			tl.state, tl.free = c.state, c
			return true, nil
		case stale:
			tl.rewind()
			return false, nil
		case outdated:
			tl.state = ingest.Load{Estimate: tl.state.Estimate}
			tl.rewind()
			return false, nil
		}
		return false, errAbandon
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// rewind goes back to the last accepted state and forgets the table's definition.
func (tl *tableLoad) rewind() {
	tl.closeSnapshot()
	tl.definition = ""
	tl.mark = nil // the stream has released it, or will when it is asked
}

func (tl *tableLoad) closeSnapshot() {
	if tl.snapshot != nil {
		tl.snapshot.close()
		tl.snapshot = nil
	}
}

// next reads the next chunk, with as many snapshots as it takes to get a usable one.
func (tl *tableLoad) next(ctx context.Context) (*chunk, error) {
	for {
		c, err := tl.try(ctx)
		if err == nil {
			return c, nil
		}
		if m := tl.mark; m != nil {
			tl.mark = nil
			if err := tl.ask(ctx, func() error { tl.table.release(m); return nil }); err != nil {
				return nil, err
			}
		}
		if !errors.Is(err, errAgain) {
			return nil, tl.parkFor(ctx, err)
		}
		if tl.snapshot != nil {
			if err := tl.snapshot.end(); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// parkFor parks the table when the error is its own; any other error ends the source's run.
func (tl *tableLoad) parkFor(ctx context.Context, err error) error {
	var (
		unsupported *rows.UnsupportedError
		value       *rows.ValueError
		malformed   *rows.MalformedError
	)
	problem := ""
	var statement *statementError
	switch own := (*Error)(nil); {
	case errors.As(err, &unsupported), errors.As(err, &value), errors.As(err, &malformed):
		problem = tl.config.tableProblem(tl.table.name, err)
	case errors.As(err, &statement) && errors.As(err, &own) && (own.Cause == Refused || own.Cause == Failed): // of this SELECT; others may do better
		problem = fmt.Sprintf("%s: %v; when the server can read the whole table, run: %s", own.What, statement, tl.config.resyncCommand(tl.table.name))
	default:
		return err
	}
	return tl.ask(ctx, func() error {
		tl.stream.park(tl.table.name, problem)
		return errAbandon
	})
}

// try reads one chunk. The order matters: notes of what the stream changes begin before the snapshot is taken.
func (tl *tableLoad) try(ctx context.Context) (*chunk, error) {
	if tl.mark == nil { // a table that is read in one go keeps its snapshot, and the mark
		if err := tl.open(ctx); err != nil {
			return nil, err
		}
	}
	c := tl.newChunk()
	more, err := tl.read(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.high, err = tl.snapshot.high(ctx); err != nil {
		return nil, err
	}
	if c.high.less(tl.stream.floor) { // what is in our log already must have been emitted again before
		c.high = tl.stream.floor
	}
	c.visible, c.mark, c.held = tl.snapshot.visible, tl.mark, len(tl.keyset.columns) == 0 && more
	c.state = ingest.Load{Done: !more, Rows: tl.rows, Estimate: max(tl.state.Estimate, tl.rows)}
	if more {
		if c.state.Cursor, err = tl.keyset.encode(tl.after); err != nil {
			return nil, fmt.Errorf("encoding the cursor of %s: %w", tl.table.name, err)
		}
	}
	if len(tl.keyset.columns) > 0 || !more {
		tl.mark = nil // now the chunk's
		return c, tl.snapshot.end()
	}
	return c, nil
}

// open takes a snapshot that shows everything the stream has delivered, and makes sure that the plan fits the table in it.
func (tl *tableLoad) open(ctx context.Context) error {
	var delivered delivered
	err := tl.ask(ctx, func() error {
		t := tl.table
		if t.parked != "" {
			return errAbandon
		}
		if t.touched == nil {
			t.touched = &touchLog{}
		}
		tl.mark = t.touched.mark()
		delivered = tl.stream.delivered()
		return nil
	})
	if err != nil {
		return err
	}
	if tl.snapshot == nil {
		if tl.snapshot, err = tl.openSnapshot(ctx); err != nil {
			return err
		}
	}
	if err := tl.snapshot.begin(ctx, delivered); err != nil {
		return err
	}
	return tl.define(ctx)
}

// define reads the table's definition inside the snapshot's transaction. Touching the table first locks its definition
// until the transaction ends: what is read then is what the rows have.
func (tl *tableLoad) define(ctx context.Context) error {
	definition, err := tl.snapshot.definition(tl.table.name)
	if err != nil {
		return err
	}
	if definition == tl.definition {
		return nil
	}
	catalogue, ok, err := readCatalogue(ctx, tl.stream.db, tl.flavor, tl.table.name, tl.table.drop)
	if err != nil {
		return tl.config.failure("reading the catalogue of "+tl.table.name.String(), err)
	}
	if !ok {
		return errAgain
	}
	if tl.plan, err = rows.NewTextPlan(tl.table.name, *catalogue); err != nil {
		return err
	}
	tl.keyset = newKeyset(tl.plan.Schema(), catalogue, tl.plan.SelectList())
	tl.definition, tl.free = definition, nil
	tl.after, tl.rows = tl.keyset.decode(tl.state.Cursor), tl.state.Rows
	if tl.after == nil {
		tl.rows = 0
	}
	if err := tl.describe(ctx); err != nil {
		return err
	}
	return tl.ask(ctx, func() error {
		if err := tl.stream.foresee(ctx, tl.table, tl.plan.Schema()); err != nil {
			return err
		}
		tl.partitions = tl.stream.out.Partitions(tl.table.id)
		return nil
	})
}

// describe reads the server's guess of the table's rows and whether its engine has transactions.
func (tl *tableLoad) describe(ctx context.Context) error {
	const q = "SELECT COALESCE(t.table_rows, 0), e.transactions = 'YES' FROM information_schema.tables t" +
		" JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = ? AND t.table_name = ?"
	var n int64
	if err := tl.stream.db.QueryRowContext(ctx, q, tl.table.name.Schema, tl.table.name.Name).Scan(&n, &tl.transactional); err != nil {
		return tl.config.failure("estimating the rows of "+tl.table.name.String(), err)
	}
	if tl.state.Estimate == 0 {
		tl.state.Estimate = n
	}
	return nil
}

// limit is how many rows the next chunk may have, by the size of the ones before.
func (tl *tableLoad) limit() int {
	n := tl.config.ChunkRows
	if tl.rowBytes == 0 {
		return min(n, 2000) // a first look
	}
	return max(1, min(n, chunkBytes/tl.rowBytes))
}

// newChunk takes a used chunk or makes one.
func (tl *tableLoad) newChunk() *chunk {
	c := tl.free
	tl.free = nil
	if c == nil || c.schema != tl.plan.Schema() {
		c = &chunk{table: tl.table, schema: tl.plan.Schema(), verdict: make(chan verdict, 1)}
		for range tl.partitions {
			c.builders = append(c.builders, ingest.NewBuilder(c.schema))
			c.keys = append(c.keys, nil)
		}
	}
	for i := range c.builders {
		c.builders[i].Reset()
		c.keys[i] = c.keys[i][:0]
	}
	return c
}

// read fills the chunk. more is false when the table ended.
func (tl *tableLoad) read(ctx context.Context, c *chunk) (more bool, err error) {
	limit := tl.limit()
	if !tl.snapshot.reading {
		if err := tl.snapshot.query(tl.keyset.query(tl.after, limit)); err != nil {
			return false, err
		}
	}
	var last []byte
	n, size := 0, 0
	for n < limit || len(tl.keyset.columns) > 0 { // with a key the server keeps the limit
		packet, err := tl.snapshot.row()
		if err != nil {
			return false, err
		}
		if packet == nil {
			more = len(tl.keyset.columns) > 0 && n == limit
			break
		}
		if err := tl.append(c, packet); err != nil {
			return false, err
		}
		n, size, more, last = n+1, size+len(packet), true, packet
		if size > 2*chunkBytes && len(tl.keyset.columns) > 0 {
			tl.snapshot.broken = true // rows far above the average: leave the rest to the next chunk, on a new connection
			break
		}
	}
	if n > 0 {
		tl.rowBytes = max(1, size/n)
		if tl.after, err = tl.keyset.last(last, tl.after); err != nil {
			return false, err
		}
	}
	tl.rows += int64(n)
	return more, ctx.Err()
}

func (tl *tableLoad) append(c *chunk, packet []byte) error {
	key, err := tl.plan.TextKey(packet)
	if err != nil {
		return err
	}
	p := 0
	if tl.partitions > 1 {
		p = ingest.PartitionOf(rows.Hash(key), tl.partitions)
	}
	c.keys[p] = append(c.keys[p], xxh3.Hash128(key))
	return tl.plan.TextRow(packet, c.builders[p])
}

// foresee declares a table by its catalogue when the log has not shown its rows yet.
func (s *stream) foresee(ctx context.Context, t *table, schema *ingest.Schema) error {
	if t.schema != nil {
		return nil
	}
	if err := s.declare(ctx, t, schema); err != nil {
		return err
	}
	t.ahead = true
	return nil
}

// delivered is what the emitter has been given at a point between groups.
type delivered struct {
	last coord   // start of the last group; zero when this run has delivered none
	set  gtidSet // all groups
}

func (s *stream) delivered() delivered {
	return delivered{s.ended, s.pos.done.clone()}
}

// before reports whether a coordinate at a group's end lies behind the last group delivered.
func (d delivered) before(end coord) bool { return d.last == coord{} || d.last.less(end) }
