package mysql

import (
	"context"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/tidemill/tidemill/ingest"
)

// call is a question of the loader to the stream, answered between two groups.
type call struct {
	fn   func() error
	done chan error
}

func (c call) answer() { c.done <- c.fn() }

// loader reads the first loads of tables, one table after another, chunk by chunk, on a connection of its own. It runs
// beside the stream and reaches it only by calls and chunks.
type loader struct {
	config *Config
	flavor flavor
	stream *stream
	loads  map[ingest.TableName]ingest.Load // as resumed
	mu     sync.Mutex
	queue  []ingest.TableName
	wake   chan struct{}
	shown  bool // MariaDB: a snapshot has shown all that was delivered before this run
}

// enqueue asks for a table to be loaded. It is called by the stream.
func (l *loader) enqueue(name ingest.TableName) {
	l.mu.Lock()
	if !slices.Contains(l.queue, name) {
		l.queue = append(l.queue, name)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loader) dequeue() (name ingest.TableName, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return name, false
	}
	name, l.queue = l.queue[0], l.queue[1:]
	return name, true
}

// run loads what is queued until ctx ends.
func (l *loader) run(ctx context.Context) error {
	for {
		name, ok := l.dequeue()
		if !ok {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err := l.table(ctx, name); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// ask runs fn in the stream's goroutine between two groups.
func (l *loader) ask(ctx context.Context, fn func() error) error {
	c := call{fn, make(chan error, 1)}
	select {
	case l.stream.calls <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-c.done // taken is answered: fn writes what we read, so its end must be awaited even when ctx has ended
}

// chunk is a run of rows of one table as of one snapshot.
type chunk struct {
	table    *table
	schema   *ingest.Schema
	builders []*ingest.Builder
	keys     [][]xxh3.Uint128 // of the rows, by partition and row
	state    ingest.Load      // after this chunk
	high     coord            // the stream must have passed this place
	visible  func(groupRef) bool
	mark     *mark
	held     bool // the mark serves chunks to come, too
	verdict  chan verdict
}

// verdict is what the stream did with a chunk.
type verdict uint8

const (
	accepted  verdict = iota + 1
	stale             // the table's definition has changed: read it again
	outdated          // rows that were accepted before have changed without being logged: read all of them again
	abandoned         // the table is parked
)

// load hands a chunk to the emitter, without the rows that the stream has changed since they were read. It runs in the
// stream's goroutine, between groups, when everything that the chunk may show has been emitted.
func (s *stream) load(ctx context.Context, c *chunk) error {
	t := c.table
	v, err := s.judge(ctx, c)
	if !c.held {
		t.release(c.mark)
	}
	c.verdict <- v
	return err
}

// release ends the notes of a chunk. Parking the table has ended them all.
func (t *table) release(m *mark) {
	if t.touched != nil && t.touched.release(m) {
		t.touched = nil
	}
}

func (s *stream) judge(ctx context.Context, c *chunk) (verdict, error) {
	t := c.table
	if t.parked != "" {
		return abandoned, nil
	}
	if t.again {
		t.again = false
		return outdated, nil
	}
	if !t.defined.less(c.high) {
		return stale, nil
	}
	if err := s.flush(ctx); err != nil {
		return abandoned, err
	}
	if err := s.declare(ctx, t, c.schema); err != nil || t.parked != "" {
		return abandoned, err
	}
	t.ahead = false // the log has come to where the rows were read, so what changes from here on is a change
	if changed := t.touched.changed(c.mark, c.visible); changed != nil {
		c.drop(changed)
	}
	t.fresh = false
	if err := s.out.Load(ctx, t.id, c.present(), c.state); err != nil {
		return abandoned, err
	}
	s.status.load(t.name, c.state)
	t.loading = !c.state.Done
	return accepted, nil
}

// drop takes out the rows with the keys.
func (c *chunk) drop(changed map[xxh3.Uint128]struct{}) {
	for p, keys := range c.keys {
		var gone []int
		for i, k := range keys {
			if _, ok := changed[k]; ok {
				gone = append(gone, i)
			}
		}
		c.builders[p].Remove(gone)
	}
}

// present is the builders with nil for partitions without rows.
func (c *chunk) present() []*ingest.Builder {
	out := make([]*ingest.Builder, len(c.builders))
	for i, b := range c.builders {
		if b.Rows() > 0 {
			out[i] = b
		}
	}
	return out
}

// reset empties a chunk for the next rows of the same schema.
func (c *chunk) reset() {
	for i := range c.builders {
		c.builders[i].Reset()
		c.keys[i] = c.keys[i][:0]
	}
}
