package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/telemetry"
)

type partitionName struct {
	topic     string
	partition int
}

// keeper is one run of a pipeline: its fence, its state and what it keeps in the store.
type keeper struct {
	cfg   *Config
	meter meter
	attrs metric.MeasurementOption
	board *board
	state engine
	log   string     // which one is read: see identify
	fence Fence      // as of the last publish of this run
	snaps []snapshot // newest first

	registries map[string]map[int64]*ingest.Registry // by source and version, as last read
	plan       *Plan                                 // of versions
	quarantine quarantined                           // as of the last publish of this run
	prepared   quarantined                           // after the step in work
	versions   map[string]int64

	partMu  sync.Mutex      // guards checked
	checked map[string]bool // local parts whose hash is known to be right
}

// session reads the log from one cut on, and decides and does step after step.
type session struct {
	*keeper
	client follower
	signal chan struct{}               // reader to stepper: something new
	turns  map[partitionName]bucketKey // of the last batch of each partition; the reader's alone

	mu     sync.Mutex // guards all below, which reader and stepper share
	order  *order
	buffer *buffer
	topics map[string]string     // topic -> source
	began  map[sliceID]time.Time // first row of a slice
	paused bool
	news   bool // a seal or a registry version since the order was last asked

	finals int // final steps since the last snapshot
}

// fetchWait is how long a broker holds a fetch that finds nothing. A partition that is added or resumed waits for the
// fetch in flight to end: longer delays a window, shorter costs an idle cluster requests.
const fetchWait = 500 * time.Millisecond

// session begins to read where the order stands. The caller calls stop.
func (k *keeper) session(ctx context.Context, o *order) (*session, error) {
	cl, err := k.cfg.env.follow()
	if err != nil {
		return nil, err
	}
	s := &session{
		keeper: k, client: cl, signal: make(chan struct{}, 1), order: o, buffer: newBuffer(),
		topics: map[string]string{}, began: map[sliceID]time.Time{}, turns: map[partitionName]bucketKey{},
	}
	if err := s.learn(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// stop frees the session. What it had accumulated is read again by the next one: an open window is never flushed early.
func (s *session) stop() {
	// Closing a client that is just finding its partitions races with its first fetch (kgo 1.22): it forgets them before.
	names := make([]string, 0, len(s.topics))
	for topic := range s.topics {
		names = append(names, s.client.Name(topic))
	}
	s.client.PurgeTopicsFromClient(names...)
	s.client.Close()
	for _, f := range s.buffer.done(s.buffer.all()) {
		_ = os.Remove(f) // the next start clears the folder
	}
}

func (s *session) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// await returns the next step once all its seals have been read (invariant 1: there is no other trigger).
func (s *session) await(ctx context.Context) (*plannedStep, error) {
	var missing []Missing
	unregistered := time.NewTicker(registryWait)
	defer unregistered.Stop()
	s.mu.Lock()
	s.news = true // the step before may have made the next one possible
	s.mu.Unlock()
	for {
		s.mu.Lock()
		if s.news {
			st, m, need, err := s.decide()
			if err != nil || st != nil {
				s.mu.Unlock()
				return st, err
			}
			if missing = m; len(need) > 0 {
				s.mu.Unlock()
				if err := s.learnNeeded(ctx, need); err != nil {
					return nil, err
				}
				continue
			}
		}
		held, spilled, loads := s.buffer.bytes, s.buffer.spilled, s.loads()
		s.mu.Unlock()
		s.waiting(missing, held, spilled, loads)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.signal:
		case <-unregistered.C:
			if err := s.learnNew(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// registryWait is how often the registry is read again for a source that is not in it yet: no seal is read that would
// name its first version.
const registryWait = time.Second

// learnNew reads the registry again as long as a source is not in it.
func (s *session) learnNew(ctx context.Context) error {
	s.mu.Lock()
	known := !slices.ContainsFunc(s.order.sources, func(src *source) bool { return len(src.registries) == 0 })
	s.mu.Unlock()
	if known {
		return nil
	}
	return s.learn(ctx)
}

// decide asks the order for the next step. The lock is held.
func (s *session) decide() (*plannedStep, []Missing, map[string]int64, error) {
	s.news = false
	st, missing, need, err := s.order.next()
	if st != nil {
		st.cut.in(s.log)
	}
	s.shed(s.order.dropped)
	s.order.dropped = nil
	return st, missing, need, err
}

func (s *session) waiting(missing []Missing, held, spilled int64, loads []LoadStatus) {
	phase := "waiting"
	if s.fence.Step.Start.IsZero() {
		phase = "loading"
	}
	s.board.waiting(missing, phase)
	s.board.set(func(st *Status) { st.Memory, st.Spilled, st.Loads = held, spilled, loads })
}

// loads are the tables whose first load is still being gathered. The lock is held.
func (s *session) loads() []LoadStatus {
	var out []LoadStatus
	for _, src := range s.order.sources {
		c := s.order.cut[src.name]
		for topic := range src.parts {
			if h := s.order.heldIn(c, topic); h == nil || h.Parked != "" {
				continue
			}
			l := LoadStatus{Source: src.name, Table: topic}
			for key, b := range s.buffer.held {
				if key.topic == topic {
					l.Rows += b.rows
					l.Table = b.schema.Table.String()
				}
			}
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b LoadStatus) int {
		if a.Source+a.Table < b.Source+b.Table {
			return -1
		}
		return 1
	})
	return out
}

// learnNeeded reads the registry because a seal names a version that is not known. The version was written before its
// seal, so it must be there.
func (s *session) learnNeeded(ctx context.Context, need map[string]int64) error {
	if err := s.learn(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range need {
		if s.order.source(name).registries[v] == nil {
			return integrity("source %s: a seal names registry %d, which %s does not hold", name, v, ingest.RegistryTopic)
		}
	}
	return nil
}

// shed drops the rows of slices that no base needs any more. The lock is held.
func (s *session) shed(dropped []topicSlice) {
	for _, d := range dropped {
		for _, f := range s.buffer.done(s.buffer.take(d.topic, d.id)) {
			_ = os.Remove(f)
		}
	}
}

// claim takes the rows of a step out of the buffer, by topic.
func (s *session) claim(st *plannedStep) map[string][]*bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]*bucket{}
	for topic, ts := range st.topics {
		if ts.dropped != nil {
			s.shed([]topicSlice{{topic, *ts.dropped}})
		}
		if ts.fate == applies || ts.fate == bases {
			out[topic] = s.buffer.take(topic, ts.upTo)
		}
	}
	return out
}

// finish moves the order past a step and gives back what it held.
func (s *session) finish(st *plannedStep, taken map[string][]*bucket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order.done(st)
	for id := range s.began {
		if st.step.Final && !id.end.After(st.step.End) {
			delete(s.began, id)
		}
	}
	var err error
	for _, buckets := range taken {
		for _, f := range s.buffer.done(buckets) {
			err = errors.Join(err, os.Remove(f))
		}
	}
	s.resume()
	if err != nil {
		return fmt.Errorf("removing local runs: %w", err)
	}
	return nil
}

// since is when the first row of a step was read, or now when it has none.
func (s *session) since(st *plannedStep) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := time.Now()
	for id, at := range s.began {
		if !id.start.After(st.step.Start) && at.Before(out) {
			out = at
		}
	}
	return out
}

// readRegistry reads the registry topic to its end and returns the versions of the pipeline's sources, in order.
func (k *keeper) readRegistry(ctx context.Context) ([]*ingest.Registry, error) {
	records, err := k.cfg.env.readAll(ctx, ingest.RegistryTopic)
	if err != nil {
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	var out []*ingest.Registry
	for _, r := range records {
		var reg ingest.Registry
		if len(r.Value) == 0 {
			continue
		}
		if err := json.Unmarshal(r.Value, &reg); err != nil {
			return nil, fmt.Errorf("reading the registry: offset %d is not JSON: %w", r.Offset, err)
		}
		if slices.Contains(k.cfg.Sources, reg.Source) {
			out = append(out, &reg)
		}
	}
	k.registries = map[string]map[int64]*ingest.Registry{}
	for _, r := range out {
		if k.registries[r.Source] == nil {
			k.registries[r.Source] = map[int64]*ingest.Registry{}
		}
		k.registries[r.Source][r.Version] = r
	}
	return out, nil
}

// planFor is the plan for the registry versions of a cut; a source that the cut does not have counts with its newest.
func (k *keeper) planFor(ctx context.Context, cut Cut) (*Plan, error) {
	registries, versions := map[string]*ingest.Registry{}, map[string]int64{}
	for name, known := range k.registries {
		v := cut[name].Registry
		if _, begun := cut[name]; !begun {
			v = slices.Max(slices.Collect(maps.Keys(known)))
		}
		if known[v] != nil {
			registries[name], versions[name] = known[v], v
		}
	}
	if k.plan != nil && maps.Equal(versions, k.versions) {
		return k.plan, nil
	}
	plan, err := k.cfg.Plan(ctx, registries)
	if err != nil {
		return nil, fmt.Errorf("planning: %w", err)
	}
	k.plan, k.versions = plan, versions
	return plan, nil
}

// sourceOf maps the topics of all known registries to their sources.
func (k *keeper) sourceOf() map[string]string {
	out := map[string]string{}
	for name, known := range k.registries {
		for _, r := range known {
			for _, t := range r.Tables {
				out[t.Topic] = name
			}
		}
	}
	return out
}

// publishNeeded tells how far back the log is still needed: to the fence's cut, and with state to the oldest snapshot's.
func (s *session) publishNeeded(stateful bool) {
	need := map[string][]int64{}
	s.mu.Lock()
	defer s.mu.Unlock()
	cuts := []Cut{s.order.cut}
	if s.fence.Step.Start.IsZero() {
		cuts[0] = nil // a restart begins at the beginning
	}
	if stateful && len(s.snaps) == 0 {
		cuts = append(cuts, Cut{}) // a lost state file could only be made again from the beginning
	}
	if stateful {
		for _, snap := range s.snaps {
			cuts = append(cuts, snap.Cut)
		}
	}
	for _, src := range s.order.sources {
		for topic, parts := range src.parts {
			low := make([]int64, len(parts))
			for i := range low {
				low[i] = int64(1<<63 - 1)
				for _, c := range cuts {
					at := int64(0)
					if p := c[src.name].Topics[topic]; i < len(p) {
						at = p[i].Offset
					}
					low[i] = min(low[i], at)
				}
			}
			need[topic] = low
		}
	}
	s.board.needed(need)
}

func newAttempt() string { return uuid.NewString() }

func pipelineAttr(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(telemetry.KeyPipeline, name))
}
