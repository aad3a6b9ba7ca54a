package ingest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/internal/kafka"
)

// own takes the source over (DESIGN §3): it claims an epoch, reads the newest checkpoint, makes itself known in every
// partition, and reads what is durable behind the checkpoint. The Writer it returns is between groups, at the checkpoint.
func own(ctx context.Context, cfg Config, e env, tables []Schema) (*Writer, error) {
	err := e.ensure(ctx,
		kafka.Topic{Name: ClaimsTopic, Partitions: 1, Replication: cfg.Replication},
		kafka.Topic{Name: PositionsTopic, Partitions: 1, Replication: cfg.Replication, Compacted: true},
		kafka.Topic{Name: RegistryTopic, Partitions: 1, Replication: cfg.Replication, Compacted: true},
		kafka.Topic{Name: RequestsTopic, Partitions: 1, Replication: cfg.Replication})
	if err != nil {
		return nil, err
	}
	w, err := newWriter(cfg, e)
	if err != nil {
		return nil, err
	}
	if w.epoch, err = e.claim(ctx, cfg.unit(), cfg.Owner); err != nil {
		return nil, err
	}
	point, err := w.adopt(ctx)
	if err != nil {
		return nil, err
	}
	records, err := e.keyed(ctx, RegistryTopic)
	if err != nil {
		return nil, err
	}
	if w.reg, err = parseRegistry(cfg.Source, w.epoch, records); err != nil {
		return nil, err
	}
	for i := range tables {
		w.captured[tables[i].Table] = true
	}
	if err := w.requests(ctx, point); err != nil {
		return nil, err
	}
	if err := w.restore(ctx, point); err != nil {
		return nil, err
	}
	schemas := make([]*Schema, 0, len(tables))
	for i := range tables { // only what is missing: the stream itself tells of changes, in their place
		if w.reg.find(tables[i].Table) == nil {
			schemas = append(schemas, &tables[i])
		}
	}
	if err := w.register(ctx, schemas...); err != nil {
		return nil, err
	}
	for _, t := range w.reg.current.Tables {
		w.declare(&t.Schema)
	}
	return w, nil
}

func newWriter(cfg Config, e env) (*Writer, error) {
	m, err := newMetrics(cfg)
	if err != nil {
		return nil, err
	}
	return &Writer{
		cfg: cfg, env: e, m: m,
		s:      stamper{grid: cfg.Grid, skew: cfg.MaxSkew, grace: cfg.Grace},
		topics: map[TableName]*topic{}, loads: map[string]Load{}, loadCounts: map[string]int{}, parked: map[string]string{}, done: map[string]string{}, exchanged: map[string]bool{}, captured: map[TableName]bool{}, missing: map[string]string{},
		jobs: make(chan job, 16), marks: make(chan *mark, 4), poke: make(chan struct{}, 1), failed: make(chan struct{}),
	}, nil
}

// adopt reads the newest checkpoint and writes it again under the own epoch. From then on no checkpoint of an earlier owner
// counts. That must be before the own markers: an earlier owner that still runs gets its records acknowledged after them
// too, and its checkpoint would cover records that are void.
func (w *Writer) adopt(ctx context.Context) (*Checkpoint, error) {
	records, err := w.env.keyed(ctx, PositionsTopic)
	if err != nil {
		return nil, err
	}
	point, old, err := newestCheckpoint(w.cfg.Source, records)
	if err != nil || point == nil {
		return nil, err
	}
	if point.Epoch > w.epoch {
		return nil, fmt.Errorf("%w: there is a checkpoint of epoch %d, own epoch is %d", ErrSuperseded, point.Epoch, w.epoch)
	}
	old = append(old, checkpointKey(point.Source, point.Epoch))
	point.Epoch, point.Number = w.epoch, 1
	if err := w.env.writeCheckpoint(ctx, point); err != nil {
		return nil, err
	}
	var gone []entry
	for _, k := range old {
		gone = append(gone, entry{topic: PositionsTopic, key: []byte(k)})
	}
	if _, err := w.env.appendAll(ctx, gone...); err != nil {
		return nil, fmt.Errorf("deleting checkpoints of earlier owners: %w", err)
	}
	return point, nil
}

// restore puts the Writer where the checkpoint stands, with what is durable behind it still ahead.
func (w *Writer) restore(ctx context.Context, point *Checkpoint) error {
	var marks map[string][]PartMark
	if point != nil {
		marks, w.log = point.Partitions, point.Log
		current, ok := w.reg.known[point.Registry]
		if !ok && point.Registry != 0 {
			return integrity("the checkpoint of source %s names registry version %d, which is not in topic %s", w.cfg.Source, point.Registry, RegistryTopic)
		}
		if ok {
			w.reg.set(current)
		}
		w.s.open, w.s.slice, w.s.stamp, w.s.late, w.s.maxLate = w.cfg.Grid.At(point.Window), point.Slice, point.Stamp, point.Late, point.MaxLate
		if !w.s.open.Start.Equal(point.Window) {
			return integrity("window %s of the checkpoint is not on the grid of %s windows: the window length of a project can't change", point.Window, w.cfg.Grid.Length())
		}
		w.open = openSlice{w.s.open, w.s.slice}
		w.ordinal, w.end, w.progress, w.asOf, w.number, w.started = point.Ordinal, point.Position, point.Position, point.AsOf, point.Number, true
		w.state = point.State
		w.loads, w.loadCounts, w.parked = orEmpty(point.Loads), orEmpty(point.LoadCounts), orEmpty(point.Parked)
		for _, t := range point.Exchanged {
			w.exchanged[t] = true
		}
		w.missTables()
	}
	scans, err := w.takeTopics(ctx, w.reg.topics(), marks)
	if err != nil {
		return err
	}
	for i, s := range scans {
		p := w.parts[i]
		if point == nil && (s.mark.Seq > 0 || len(s.seals) > 0) {
			return integrity("topic %s holds rows of source %s but topic %s has no checkpoint of it: restore that topic, or give the source a new name", p.topic, w.cfg.Source, PositionsTopic)
		}
		p.skip, p.ends = s.rows, s.ends
		w.beyond = w.beyond || s.found
		if p.skip > 0 {
			w.replay.behind++
		}
		w.sliceRows += p.rows
		w.m.found(ctx, s)
	}
	if w.replay.seals, err = gather(w.parts, scans); err != nil {
		return err
	}
	w.resume = w.resumeAt()
	return nil
}

func (w *Writer) resumeAt() Resume {
	if w.anew {
		return Resume{}
	}
	r := Resume{Position: w.end, State: w.state, Schemas: map[TableName]*Schema{}, Gone: w.reg.gone(), Loads: map[TableName]Load{}, Parked: map[TableName]string{}}
	for i := range w.reg.current.Tables {
		s := w.reg.current.Tables[i].Schema
		r.Schemas[s.Table] = &s
	}
	for _, t := range w.reg.topics() {
		if l, ok := w.loads[t.Schema.Table.String()]; ok {
			r.Loads[t.Schema.Table] = l
		}
	}
	for name, why := range w.parked { // a table may be parked before it has a topic
		schema, table, _ := strings.Cut(name, ".")
		r.Parked[TableName{schema, table}] = why
	}
	return r
}

// stop writes a last checkpoint, if the source has stopped between groups.
func (w *Writer) stop(ctx context.Context) error {
	if w.ready() != nil || w.broken || !w.started || w.inGroup || w.replay.running() {
		return nil
	}
	if !w.changed && len(w.dirty) == 0 && !w.markBusy.Load() {
		return nil
	}
	return w.checkpointNow(ctx)
}

// find returns the current version's entry of a table, or nil.
func (r *registry) find(t TableName) *RegistryTable {
	i := slices.IndexFunc(r.current.Tables, func(x RegistryTable) bool { return x.Schema.Table == t })
	if i < 0 {
		return nil
	}
	return &r.current.Tables[i]
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}
