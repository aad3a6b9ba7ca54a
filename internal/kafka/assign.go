package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"
)

// The assign topic carries no records: membership of a consumer group over its partitions decides who should try a unit.
const (
	AssignTopic      = "tm.assign"
	assignPartitions = 64
)

// Assigner runs the units that the consumer group gives to this process. With one member all units run at once.
type Assigner struct {
	Kafka       Config
	Group       string // consumer group, the same in every daemon of a project
	Replication int
	Units       map[string]func(context.Context) error // by name; they return when their context ends
	// Failed is told of a unit that returned an error; the unit is started again after wait. May be nil.
	Failed func(unit string, err error, wait time.Duration)
	// FirstWait and LongestWait bound the wait before a failed unit is started again. Defaults 1 s and 30 s.
	FirstWait, LongestWait time.Duration
	// Session is how long a member may be silent before its units are given away. Default 10 s: a paused process is
	// fenced by its epoch in any case, so this only decides how long a dead one's units stand still.
	Session time.Duration
}

// PartitionOfUnit is the partition of the assign topic that stands for a unit.
func PartitionOfUnit(unit string) int32 { return int32(xxh3.HashString(unit) % assignPartitions) }

// Run joins the group and runs what it is given until ctx ends. It owns every unit's goroutine.
func (a Assigner) Run(ctx context.Context) error {
	if a.FirstWait == 0 {
		a.FirstWait = time.Second
	}
	if a.LongestWait == 0 {
		a.LongestWait = 30 * time.Second
	}
	if a.Session == 0 {
		a.Session = 10 * time.Second
	}
	if err := a.ensure(ctx); err != nil {
		return err
	}
	h := &holding{assigner: a, base: context.WithoutCancel(ctx), units: map[string]*running{}}
	cl, err := New(a.Kafka,
		kgo.ConsumerGroup(a.Kafka.Prefix+a.Group),
		kgo.ConsumeTopics(a.Kafka.Prefix+AssignTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(a.Session),
		kgo.HeartbeatInterval(a.Session/10),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { h.start(got) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { h.stop(gone) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { h.stop(gone) }),
	)
	if err != nil {
		return err
	}
	defer h.stopAll()
	defer cl.CloseAllowingRebalance()
	for {
		err := fetchError(ctx, cl.PollFetches(ctx))
		var session *kgo.ErrGroupSession
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &session):
			// The broker is away: the client has given the units up and joins again by itself, with its own backoff.
			continue
		case err != nil:
			return fmt.Errorf("holding units: %w", err)
		}
	}
}

func (a Assigner) ensure(ctx context.Context) error {
	cl, err := New(a.Kafka)
	if err != nil {
		return err
	}
	defer cl.Close()
	return EnsureTopics(ctx, cl, Topic{Name: AssignTopic, Partitions: assignPartitions, Replication: a.Replication})
}

// holding is the set of units that run here.
type holding struct {
	assigner Assigner
	base     context.Context // values of Run's context; each unit has a cancellation of its own
	mu       sync.Mutex
	units    map[string]*running
}

type running struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (h *holding) start(got map[string][]int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range h.named(got) {
		if h.units[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(h.base)
		r := &running{cancel, make(chan struct{})}
		h.units[name] = r
		go func() {
			defer close(r.done)
			h.assigner.keep(ctx, name)
		}()
	}
}

// stop cancels the units and waits for them, so that the group gives nothing away that still runs (invariant 2).
func (h *holding) stop(gone map[string][]int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(h.named(gone))
}

func (h *holding) stopAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(slices.Collect(maps.Keys(h.units)))
}

func (h *holding) end(names []string) {
	for _, n := range names {
		if r := h.units[n]; r != nil {
			r.cancel()
		}
	}
	for _, n := range names {
		if r := h.units[n]; r != nil {
			<-r.done
			delete(h.units, n)
		}
	}
}

// named returns the units that stand behind partitions of the assign topic.
func (h *holding) named(partitions map[string][]int32) []string {
	var out []string
	for name := range h.assigner.Units {
		if slices.Contains(partitions[h.assigner.Kafka.Prefix+AssignTopic], PartitionOfUnit(name)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// keep runs a unit and starts it again when it fails. A unit that returns nil before its context ends has nothing to do.
func (a Assigner) keep(ctx context.Context, name string) {
	wait := &backoff.ExponentialBackOff{InitialInterval: a.FirstWait, RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: a.LongestWait}
	for {
		began := time.Now()
		err := a.Units[name](ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if time.Since(began) > a.LongestWait {
			wait.Reset()
		}
		d := wait.NextBackOff()
		if a.Failed != nil {
			a.Failed(name, err, d)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(d):
		}
	}
}
