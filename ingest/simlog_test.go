package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tidemill/tidemill/internal/kafka"
)

var errCrash = errors.New("crashed")

// simLog is a log in memory that owners can crash on. What an owner appends waits in a queue per partition of that owner;
// it becomes durable in the order of the partition, and partition by partition at random times: a crash leaves any prefix
// of each.
type simLog struct {
	mu     sync.Mutex
	topics map[string][][]simRecord
	claims []string
	claim  chan struct{} // closed and replaced at a claim
	asked  chan struct{} // closed and replaced at a request
}

type simRecord struct {
	key   string
	value []byte
}

func newSimLog() *simLog {
	return &simLog{topics: map[string][][]simRecord{}, claim: make(chan struct{}), asked: make(chan struct{})}
}

// ask appends a request, as a daemon does that owns nothing.
func (l *simLog) ask(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.ID = fmt.Sprint("request-", len(l.topics[RequestsTopic][0]))
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	l.topics[RequestsTopic][0] = append(l.topics[RequestsTopic][0], simRecord{"", text})
	close(l.asked)
	l.asked = make(chan struct{})
}

// simOwner is one owner's connection to the log.
type simOwner struct {
	log     *simLog
	rng     *rand.Rand // guarded by log.mu
	crashAt int        // records that become durable before the crash; negative: never
	deaf    bool       // does not notice that it is superseded
	crashed bool
	waiting map[place][]pending
	order   []place
	stop    chan struct{}
	stopped sync.WaitGroup
}

type place struct {
	topic     string
	partition int
}

type pending struct {
	record simRecord
	done   func(int64, error)
}

func (l *simLog) owner(rng *rand.Rand, crashAt int, deaf bool) *simOwner {
	o := &simOwner{log: l, rng: rng, crashAt: crashAt, deaf: deaf, waiting: map[place][]pending{}, stop: make(chan struct{})}
	o.stopped.Go(o.pump)
	return o
}

// pump makes sure that what waits becomes durable at last.
func (o *simOwner) pump() {
	tick := time.NewTicker(50 * time.Microsecond)
	defer tick.Stop()
	for {
		select {
		case <-o.stop:
			return
		case <-tick.C:
			o.log.mu.Lock()
			acks := o.settle(2)
			o.log.mu.Unlock()
			acks()
		}
	}
}

// settle makes some of what waits durable and returns what tells the producers. Callers hold the lock.
func (o *simOwner) settle(most int) func() {
	var acks []func()
	for range o.rng.IntN(most + 1) {
		if len(o.order) == 0 {
			break
		}
		i := o.rng.IntN(len(o.order))
		at := o.order[i]
		n := 1 + o.rng.IntN(len(o.waiting[at]))
		for _, p := range o.waiting[at][:n] {
			if o.crashed || o.crashAt == 0 {
				o.crashed = true
				acks = append(acks, func() { p.done(0, errCrash) })
				continue
			}
			o.crashAt--
			parts := o.log.topics[at.topic]
			parts[at.partition] = append(parts[at.partition], p.record)
			if o.rng.IntN(20) == 0 && at.partition >= 0 && len(p.record.value) > 0 && p.record.key == "" {
				parts[at.partition] = append(parts[at.partition], p.record) // the broker's idempotence failed
			}
			offset := int64(len(parts[at.partition]) - 1)
			acks = append(acks, func() { p.done(offset, nil) })
		}
		if o.waiting[at] = o.waiting[at][n:]; len(o.waiting[at]) == 0 {
			o.order = slices.Delete(o.order, i, i+1)
		}
	}
	return func() {
		for _, a := range acks {
			a()
		}
	}
}

func (o *simOwner) env() env {
	return env{
		claim: func(_ context.Context, unit, _ string) (int64, error) {
			o.log.mu.Lock()
			defer o.log.mu.Unlock()
			o.log.claims = append(o.log.claims, unit)
			close(o.log.claim)
			o.log.claim = make(chan struct{})
			return int64(len(o.log.claims)), nil
		},
		owner: func(context.Context, string) (int64, error) {
			o.log.mu.Lock()
			defer o.log.mu.Unlock()
			return int64(len(o.log.claims)), nil
		},
		superseded: o.superseded,
		requested:  o.requested,
		ensure: func(_ context.Context, topics ...kafka.Topic) error {
			o.log.mu.Lock()
			defer o.log.mu.Unlock()
			for _, t := range topics {
				if o.log.topics[t.Name] == nil {
					o.log.topics[t.Name] = make([][]simRecord, t.Partitions)
				}
			}
			return nil
		},
		identify: func(context.Context, ...string) (kafka.Identity, error) { return kafka.Identity{}, nil },
		bounds: func(_ context.Context, topics ...string) (map[string][]kafka.Bounds, error) {
			o.log.mu.Lock()
			defer o.log.mu.Unlock()
			out := map[string][]kafka.Bounds{}
			for _, t := range topics {
				for _, p := range o.log.topics[t] {
					out[t] = append(out[t], kafka.Bounds{End: int64(len(p))})
				}
			}
			return out, nil
		},
		read: func(_ context.Context, ranges []kafka.Range, fn func(int, int64, []byte) error) error {
			for i, r := range ranges {
				o.log.mu.Lock()
				records := slices.Clone(o.log.topics[r.Topic][r.Partition][r.From:r.To])
				o.log.mu.Unlock()
				for n, rec := range records {
					if err := fn(i, r.From+int64(n), rec.value); err != nil {
						return err
					}
				}
			}
			return nil
		},
		keyed: func(_ context.Context, topic string) ([]keyed, error) {
			o.log.mu.Lock()
			defer o.log.mu.Unlock()
			var out []keyed
			for n, r := range o.log.topics[topic][0] {
				out = append(out, keyed{int64(n), r.key, r.value})
			}
			return out, nil
		},
		append: func(_ context.Context, e entry, done func(int64, error)) {
			o.log.mu.Lock()
			at := place{e.topic, e.partition}
			if len(o.waiting[at]) == 0 {
				o.order = append(o.order, at)
			}
			o.waiting[at] = append(o.waiting[at], pending{simRecord{string(e.key), slices.Clone(e.value)}, done})
			acks := o.settle(3)
			o.log.mu.Unlock()
			acks()
		},
		close: func() {
			close(o.stop)
			o.stopped.Wait()
		},
	}
}

func (o *simOwner) superseded(ctx context.Context, unit string, epoch int64) error {
	for {
		o.log.mu.Lock()
		next, later := o.log.claim, slices.Contains(o.log.claims[epoch:], unit)
		o.log.mu.Unlock()
		if later && !o.deaf {
			return fmt.Errorf("%w: test", ErrSuperseded)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

func (o *simOwner) requested(ctx context.Context, source string, from int64) (int64, error) {
	for {
		o.log.mu.Lock()
		next, records := o.log.asked, o.log.topics[RequestsTopic][0]
		o.log.mu.Unlock()
		for n := from; n < int64(len(records)); n++ {
			if _, ours := parseRequest(source, records[n].value); ours {
				return n + 1, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-next:
		}
	}
}
