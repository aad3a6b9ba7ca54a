package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"
)

// Appender appends records so that no partition ever has a hole: it keeps one record of a partition in flight and sends the
// next when that one is durable; after a record has failed, none of its partition follows (invariant 6). A kgo client alone
// does not promise that: when a broker refuses one batch for good, it goes on with the ones behind it. Partitions go side by
// side, and a record is a whole batch of rows, so one in flight is enough to keep a broker busy.
type Appender struct {
	cl    *Client
	room  *semaphore.Weighted
	bytes int64

	mu    sync.Mutex
	lanes map[lane]*line
}

type lane struct {
	topic     string
	partition int32
}

// line is what waits behind the record in flight.
type line struct {
	busy  bool
	err   error
	queue []flight
}

type flight struct {
	ctx    context.Context //nolint:containedctx // of the call to Append, which this is the rest of
	record *kgo.Record
	weight int64
	done   func(offset int64, err error)
}

// NewAppender makes an Appender over cl that lets maxBytes wait or be in flight.
func NewAppender(cl *Client, maxBytes int) *Appender {
	return &Appender{cl: cl, room: semaphore.NewWeighted(int64(maxBytes)), bytes: int64(maxBytes), lanes: map[lane]*line{}}
}

// Append appends r, whose topic has its plain name, after everything appended to its partition before. It waits until there is
// room and returns; done is called, perhaps before that, with the record's offset once it is durable, or with an error.
func (a *Appender) Append(ctx context.Context, r *kgo.Record, done func(offset int64, err error)) {
	f := flight{ctx, r, min(int64(len(r.Key)+len(r.Value)), a.bytes), done}
	if err := a.room.Acquire(ctx, f.weight); err != nil {
		done(0, err)
		return
	}
	at := lane{r.Topic, r.Partition}
	r.Topic = a.cl.Name(r.Topic)
	a.mu.Lock()
	l := a.lanes[at]
	if l == nil {
		l = &line{}
		a.lanes[at] = l
	}
	failed, busy := l.err, l.busy
	switch {
	case failed != nil:
	case busy:
		l.queue = append(l.queue, f)
	default:
		l.busy = true
	}
	a.mu.Unlock()
	switch {
	case failed != nil:
		a.finish(f, 0, failed)
	case !busy:
		a.send(l, f)
	}
}

// send never blocks: it also runs in the client's own callbacks.
func (a *Appender) send(l *line, f flight) {
	a.cl.TryProduce(f.ctx, f.record, func(r *kgo.Record, err error) {
		a.mu.Lock()
		var (
			next  flight
			more  bool
			after []flight
		)
		switch {
		case err != nil:
			l.err = fmt.Errorf("a record before it was refused: %w", err)
			after, l.queue = l.queue, nil
		case len(l.queue) > 0:
			next, more = l.queue[0], true
			l.queue[0] = flight{}
			l.queue = l.queue[1:]
		default:
			l.busy, l.queue = false, nil
		}
		a.mu.Unlock()
		if more {
			a.send(l, next)
		}
		a.finish(f, r.Offset, err)
		for _, x := range after {
			a.finish(x, 0, l.err)
		}
	})
}

func (a *Appender) finish(f flight, offset int64, err error) {
	a.room.Release(f.weight)
	f.done(offset, err)
}
