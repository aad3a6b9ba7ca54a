package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemill/tidemill/internal/kafka"
)

// Table implements Emitter.
func (w *Writer) Table(ctx context.Context, s *Schema) (TableID, error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	w.settle()
	delete(w.missing, s.Table.String())
	t := w.topics[s.Table]
	if t != nil && t.current != nil && (t.current.schema == s || t.current.fingerprint == s.Fingerprint()) {
		return t.current.id, nil
	}
	if t != nil && t.current != nil {
		if err := w.changeSchema(ctx, t); err != nil {
			return 0, err
		}
	}
	if err := w.register(ctx, s); err != nil {
		return 0, err
	}
	return w.declare(s), nil
}

// changeSchema ends what was written under a topic's old schema: its rows, and the slice when that is still possible
// without splitting a group (invariant 2).
func (w *Writer) changeSchema(ctx context.Context, t *topic) error {
	whole := !w.inGroup || w.ordinal == w.groupFrom
	if whole && w.started && !w.replay.running() && !w.sliceEmpty() {
		return w.seal(ctx, w.s.cut())
	}
	return w.flush(ctx, "schema", w.holding(t)...)
}

// declare makes a table id for a schema of a registered table.
func (w *Writer) declare(s *Schema) TableID {
	topic := w.topics[s.Table]
	for _, t := range w.tables { // a schema that comes back keeps its id
		if t.topic == topic && t.fingerprint == s.Fingerprint() {
			topic.current = t
			return t.id
		}
	}
	t := &table{id: TableID(len(w.tables)), schema: s, fingerprint: s.Fingerprint(), topic: topic, free: make(chan *Builder, 2*len(topic.parts))}
	for _, p := range topic.parts {
		t.holders = append(t.holders, &holder{b: NewBuilder(s), table: t, part: p})
	}
	w.tables = append(w.tables, t)
	topic.current = t
	return t.id
}

// register brings tables with these schemas into the registry, writing a new version when no earlier owner has written the
// same one, and makes their topics. The version is durable, and known to any later owner, before anything depends on it.
func (w *Writer) register(ctx context.Context, schemas ...*Schema) error {
	want, changed := w.reg.current, false
	try := *w.reg
	for _, s := range schemas {
		v, differs, err := try.with(s, Topic(w.cfg.Source, s.Table), w.cfg.Partitions)
		if err != nil {
			return err
		}
		try.current, want, changed = v, v, changed || differs
	}
	if !changed {
		return nil
	}
	if len(want.Tables) > len(w.reg.current.Tables) && w.appended {
		// A partition holds the seals of its slices in order. Those of a topic that is new in this version begin with the
		// open slice: the seals before it must be durable elsewhere, or a later owner might find that one and none before.
		if err := w.flush(ctx, "schema", w.dirty...); err != nil {
			return err
		}
		if err := w.durable(ctx); err != nil {
			return err
		}
	}
	if v, ok := w.reg.adopt(want); ok {
		w.reg.set(v)
		return w.addTopics(ctx, v)
	}
	want = w.reg.number(want, w.epoch)
	if err := w.writeVersion(ctx, want); err != nil {
		return err
	}
	if err := w.addTopics(ctx, want); err != nil {
		return err
	}
	w.reg.set(want)
	return nil
}

// writeVersion makes a registry version durable, known to every later owner.
func (w *Writer) writeVersion(ctx context.Context, v Registry) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing registry version %d: %w", v.Version, err)
	}
	if _, err := w.env.appendAll(ctx, entry{topic: RegistryTopic, key: []byte(registryKey(w.cfg.Source, v.Version)), value: text}); err != nil {
		return fmt.Errorf("writing registry version %d: %w", v.Version, err)
	}
	return w.stillOwner(ctx)
}

// stillOwner checks that nobody has claimed the source since. What is durable before the check is then seen by every later
// owner, which reads after its claim; what came too late is never built upon.
func (w *Writer) stillOwner(ctx context.Context) error {
	epoch, err := w.env.owner(ctx, w.cfg.unit())
	if err != nil {
		return err
	}
	if epoch > w.epoch {
		return fmt.Errorf("%w: the source is claimed with epoch %d, own epoch is %d", ErrSuperseded, epoch, w.epoch)
	}
	return nil
}

// addTopics makes the topics of a registry version that this owner has not taken over yet, and puts its marker into them.
func (w *Writer) addTopics(ctx context.Context, v Registry) error {
	var fresh []RegistryTable
	for _, t := range v.Tables {
		if w.topics[t.Schema.Table] == nil {
			fresh = append(fresh, t)
		}
	}
	scans, err := w.takeTopics(ctx, fresh, nil)
	if err != nil {
		return err
	}
	for i, s := range scans {
		if s.mark.Seq > 0 || len(s.seals) > 0 {
			p := w.parts[len(w.parts)-len(scans)+i]
			return integrity("partition %d of topic %s holds rows that no registry version of source %s knows of: delete the topic, or set log.prefix to keep two projects apart", p.n, p.topic, w.cfg.Source)
		}
	}
	return nil
}

// takeTopics makes this owner the one of all partitions of the topics: it puts its marker into each and reads what lies
// between the marks and the markers. Offsets and counts of the new parts are then those of the durable log.
func (w *Writer) takeTopics(ctx context.Context, tables []RegistryTable, marks map[string][]PartMark) ([]*partScan, error) {
	if len(tables) == 0 {
		return nil, nil
	}
	var (
		topics  []kafka.Topic
		names   []string
		fresh   []*part
		markers []entry
	)
	marker := AppendRecord(nil, &Header{Kind: EpochRecord, Epoch: w.epoch}, nil)
	for _, rt := range tables {
		topics = append(topics, kafka.Topic{Name: rt.Topic, Partitions: rt.Partitions, Replication: w.cfg.Replication})
		names = append(names, rt.Topic)
		t := &topic{name: rt.Topic, table: rt.Schema.Table}
		for n := range rt.Partitions {
			p := &part{topic: rt.Topic, n: n, last: &sent{}}
			t.parts, fresh = append(t.parts, p), append(fresh, p)
			markers = append(markers, entry{topic: rt.Topic, partition: n, value: marker})
		}
		w.topics[t.table] = t
	}
	if err := w.env.ensure(ctx, topics...); err != nil {
		return nil, err
	}
	if err := w.identify(ctx, names...); err != nil {
		return nil, err
	}
	bounds, err := w.env.bounds(ctx, names...)
	if err != nil {
		return nil, err
	}
	offsets, err := w.env.appendAll(ctx, markers...)
	if err != nil {
		return nil, fmt.Errorf("writing epoch markers: %w", err)
	}
	scans, err := w.scan(ctx, fresh, bounds, marks, offsets)
	if err != nil {
		return nil, err
	}
	for i, p := range fresh {
		p.seq, p.rows = scans[i].mark.Seq, scans[i].mark.Rows
		p.last.next.Store(offsets[i] + 1)
	}
	// A mark in flight holds the old slice: this one must not grow into it.
	w.parts = append(w.parts[:len(w.parts):len(w.parts)], fresh...)
	return scans, nil
}

// scan reads the partitions from their marks, or from their start, to this owner's markers.
func (w *Writer) scan(ctx context.Context, parts []*part, bounds map[string][]kafka.Bounds, marks map[string][]PartMark, markers []int64) ([]*partScan, error) {
	scans := make([]*partScan, len(parts))
	ranges := make([]kafka.Range, len(parts))
	for i, p := range parts {
		s, from := &partScan{}, bounds[p.topic][p.n].Start
		if m := marks[p.topic]; p.n < len(m) {
			s.mark, from = m[p.n], m[p.n].Offset
			if w.reg.hasTopic(p.topic) { // others join the seals later
				s.open = sliceName{w.s.open.Start, w.s.slice}
			}
		}
		switch {
		case from > markers[i] && w.anew: // nothing of it is left: it goes on behind our marker
			s.mark.Rows, from = 0, markers[i]
		case from > markers[i]:
			return nil, integrity("partition %d of topic %s ends at offset %d, the checkpoint has read it up to %d: the topic was made anew; run: %s", p.n, p.topic, markers[i], from, ResyncCommand(w.cfg.Source))
		}
		scans[i], ranges[i] = s, kafka.Range{Topic: p.topic, Partition: p.n, From: from, To: markers[i] + 1}
	}
	err := w.env.read(ctx, ranges, func(i int, offset int64, value []byte) error {
		done, err := scans[i].take(offset, value, w.epoch)
		if err == nil && offset == markers[i] && !done {
			// Somebody with a higher epoch was here first, so our marker is void.
			err = fmt.Errorf("%w: own marker of epoch %d follows one of epoch %d", ErrSuperseded, w.epoch, scans[i].mark.Epoch)
		}
		if err != nil {
			return fmt.Errorf("reading partition %d of topic %s: %w", parts[i].n, parts[i].topic, err)
		}
		return nil
	})
	return scans, err
}
