package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// cursor is how far the first load has come, in ingest.Load.
type cursor struct {
	Segments []segment `json:"segments,omitempty"`
	Pieces   []piece   `json:"pieces,omitempty"` // by exports
	// End is when the last page was read, by the service's clock, in seconds since 1970: the load is done when the stream has
	// come there.
	End int64 `json:"end"`
}

// segment is one part of the table.
type segment struct {
	Done bool            `json:"done,omitempty"`
	Last json.RawMessage `json:"last,omitempty"` // key to go on after
}

// loader reads the table beside the stream.
type loader struct {
	stream *stream
	load   ingest.Load
	cursor cursor
	total  int             // segments
	mark   atomic.Uint64   // what the stream has emitted
	begin  chan struct{}   // closed when the stream reads every shard
	ready  bool            // begin is closed
	gated  bool            // the stream waits: what exports bring is older than what it brings
	marks  []atomic.Uint64 // by segment: the mark of the page under way
	kept   int             // keys that were left when touched was thinned out last
}

// chunk is one page of a segment.
type chunk struct {
	segment int
	last    []byte
	changes []change
	// Of an export: which piece, and the place behind the chunk.
	exported bool
	piece    int
	place    piece
	mark     uint64 // what had been emitted before it was asked for
	at       time.Time
	taken    chan struct{}
}

func (s *stream) newLoader(load ingest.Load) (*loader, error) {
	l := &loader{stream: s, load: load, begin: make(chan struct{})}
	if len(load.Cursor) > 0 {
		if err := json.Unmarshal(load.Cursor, &l.cursor); err != nil {
			return nil, fmt.Errorf("reading the cursor of the first load: %w", err)
		}
	}
	if len(l.cursor.Segments) == 0 && len(l.cursor.Pieces) == 0 {
		if r := s.st.Repair; r != nil {
			l.cursor.Pieces, l.cursor.End = increments(s.src.name, time.Unix(r.From, 0), time.Unix(r.To, 0)), r.Until
		} else if s.src.config.Export.Bucket != "" {
			at := s.clock().Unix()
			l.cursor.Pieces, l.cursor.End = []piece{{Token: token(s.src.name, 0, at)}}, at+int64(2*slack/time.Second)
		} else {
			l.cursor.Segments = make([]segment, s.src.config.Segments)
		}
	}
	l.gated = slices.ContainsFunc(l.cursor.Pieces, func(p piece) bool { return !p.Done })
	l.total = len(l.cursor.Segments)
	l.marks = make([]atomic.Uint64, l.total)
	l.load.Estimate = max(s.src.table.rows, load.Rows)
	s.touched = map[xxh3.Uint128]uint64{}
	return l, nil
}

// run reads all segments side by side.
func (l *loader) run(ctx context.Context) error {
	select {
	case <-l.begin:
	case <-ctx.Done():
		return nil
	}
	if len(l.cursor.Pieces) > 0 {
		return l.imports(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, seg := range slices.Clone(l.cursor.Segments) { // the stream notes in it what it has taken, from the first page on
		if !seg.Done {
			g.Go(func() error { return l.segment(ctx, i, seg.Last) })
		}
	}
	return g.Wait()
}

func (l *loader) segment(ctx context.Context, n int, last []byte) error {
	for {
		c, err := l.page(ctx, n, last)
		if err != nil || c == nil {
			return err
		}
		select {
		case l.stream.chunks <- c:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-c.taken:
		case <-ctx.Done():
			return nil
		}
		if last = c.last; last == nil {
			return nil
		}
	}
}

// page reads the next page of a segment, as long as it takes.
func (l *loader) page(ctx context.Context, n int, last []byte) (*chunk, error) {
	var after map[string]types.AttributeValue
	if last != nil {
		var err error
		if after, err = item.KeyOf(last); err != nil {
			return nil, fmt.Errorf("reading the cursor of the first load: %w", err)
		}
	}
	var c *chunk
	err := l.stream.src.patiently(ctx, func() error {
		c = &chunk{segment: n, mark: l.mark.Load(), taken: make(chan struct{})}
		l.marks[n].Store(c.mark)
		items, last, at, err := l.stream.client.scan(ctx, n, l.total, after, 0)
		for _, i := range items {
			c.changes = append(c.changes, change{image: i})
		}
		c.last, c.at = last, at
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return c, nil
}

// ready is where chunks come from, once the stream reads every shard that was there in the beginning: what is written from then
// on is in the stream.
func (s *stream) ready() <-chan *chunk {
	if s.loader == nil {
		return nil
	}
	if !s.loader.ready {
		for _, r := range s.readers {
			if r.fresh && !r.opened && !s.loader.gated {
				return nil
			}
		}
		s.loader.ready = true
		close(s.loader.begin)
	}
	return s.chunks
}

// touch notes a key that the stream has brought.
func (s *stream) touch(key xxh3.Uint128) {
	s.emitted++
	if s.loader != nil && s.loader.total > 0 { // an export is older than the stream as a whole
		s.touched[key] = s.emitted
		s.loader.mark.Store(s.emitted)
	}
}

// thin forgets keys that were brought before every page that is under way was asked for: no chunk asks for them any more. It looks
// when their number has doubled.
func (s *stream) thin() {
	l := s.loader
	if len(s.touched) < max(2*l.kept, 10_000) {
		return
	}
	oldest := l.mark.Load()
	for n, seg := range l.cursor.Segments {
		if !seg.Done {
			oldest = min(oldest, l.marks[n].Load())
		}
	}
	maps.DeleteFunc(s.touched, func(_ xxh3.Uint128, at uint64) bool { return at <= oldest })
	l.kept = len(s.touched)
}

// load emits a chunk without the keys that the stream has brought since it was asked for (invariant 4).
func (s *stream) load(ctx context.Context, c *chunk) error {
	defer close(c.taken)
	if s.parked != "" {
		return nil
	}
	l := s.loader
	seen := item.Profile{}
	var attributes []item.Attribute
	for _, i := range c.changes {
		if i.image == nil {
			continue
		}
		var err error
		if attributes, err = item.Parse(i.image, attributes); err != nil {
			return &Error{Cause: Failed, Table: s.src.config.Table, What: "reading items of the table", Err: err}
		}
		seen.Note(attributes)
	}
	if s.grow(seen) {
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
	if err := s.declare(ctx); err != nil {
		return err
	}
	builders, rows, err := s.chunkRows(c)
	if err != nil {
		s.parked, s.told = "an item of the table cannot become a row: "+err.Error()+"; mend columns in the source's file, then run: "+ingest.ResyncCommand(s.src.name+"."+s.name.String()), true
		return s.out.Park(ctx, s.name, s.parked)
	}
	if c.exported {
		l.cursor.Pieces[c.piece] = c.place
	} else {
		l.cursor.Segments[c.segment] = segment{Done: c.last == nil, Last: c.last}
		l.cursor.End = max(l.cursor.End, c.at.Unix()+1)
	}
	s.thin()
	l.load.Rows += int64(rows)
	l.load.Estimate = max(l.load.Estimate, l.load.Rows)
	if l.load.Cursor, err = json.Marshal(&l.cursor); err != nil {
		return fmt.Errorf("writing the cursor of the first load: %w", err)
	}
	if err := s.out.Load(ctx, s.id, builders, l.load); err != nil || s.st.Begun {
		return err
	}
	s.st.Begun = true
	return s.settle(ctx)
}

// chunkRows decodes a chunk. Keys that the stream has brought meanwhile have a younger row in the log already.
func (s *stream) chunkRows(c *chunk) ([]*ingest.Builder, int, error) {
	builders := make([]*ingest.Builder, s.out.Partitions(s.id))
	for _, x := range c.changes {
		text := x.image
		if text == nil {
			text = x.key
		}
		key, err := s.decoder.Item(text)
		if err != nil {
			return nil, 0, err
		}
		if !c.exported && s.touched[key] > c.mark {
			continue
		}
		p := ingest.PartitionOf(key.Lo, len(builders))
		if builders[p] == nil {
			builders[p] = ingest.NewBuilder(s.schema)
		}
		if x.image == nil {
			err = s.decoder.Delete(builders[p])
		} else {
			err = s.decoder.Row(builders[p])
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return builders, len(c.changes), nil
}

// loaded ends the load when the stream has come to where its last page was read: what the pages showed may be younger than
// what the stream had brought, and older records that came after them are followed by all younger ones.
func (s *stream) loaded(ctx context.Context) error {
	l := s.loader
	if l == nil || s.parked != "" {
		return nil
	}
	for _, seg := range l.cursor.Segments {
		if !seg.Done {
			return nil
		}
	}
	for _, p := range l.cursor.Pieces {
		if !p.Done {
			return nil
		}
	}
	l.gated = false
	if !s.proven(time.Unix(l.cursor.End, 0)) {
		return nil
	}
	if s.st.Repair != nil {
		s.src.log.Info("what the stream had lost is mended", "from", time.Unix(s.st.Repair.From, 0).UTC(), "to", time.Unix(s.st.Repair.To, 0).UTC())
	}
	if err := s.declare(ctx); err != nil {
		return err
	}
	l.load.Done, l.load.Cursor, l.load.Estimate = true, nil, l.load.Rows
	s.loader, s.touched = nil, nil
	if err := s.out.Load(ctx, s.id, make([]*ingest.Builder, s.out.Partitions(s.id)), l.load); err != nil || s.st.Repair == nil {
		return err
	}
	s.whole, s.st.Repair = time.Unix(s.st.Repair.To, 0).Add(-2*slack), nil
	return s.settle(ctx)
}
