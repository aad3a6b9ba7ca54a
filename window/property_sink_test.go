package window

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/oracle/cases"
)

// caseSink is a warehouse that reads the parts with a library that did not write them, and judges every commit by the case.
type caseSink struct {
	mu      sync.Mutex
	c       *cases.Case
	sources []*caseSource
	fence   *Fence
	tables  map[string]*caseTable
	steps   []Step
	checked int // rows of views and replicas that were compared
	wrong   error
	after   func(published int) // told of every commit
}

type caseTable struct {
	columns, key []string
	rows         map[string][]oracle.Val
}

func (s *caseSink) Acquire(_ context.Context, pipeline string, epoch int64) (Fence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fence == nil {
		s.fence = &Fence{Pipeline: pipeline, Lineage: "lineage-1", Cut: Cut{}}
	}
	if s.fence.Epoch > epoch {
		return Fence{}, ErrFenced
	}
	s.fence.Epoch = epoch
	return s.now(), nil
}

func (s *caseSink) now() Fence {
	out := *s.fence
	out.Cut = out.Cut.clone()
	return out
}

func (s *caseSink) Fence(context.Context, string) (Fence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fence == nil {
		return Fence{}, ErrNoFence
	}
	return s.now(), nil
}

func (s *caseSink) Quarantined(context.Context, string) ([]Quarantined, error) { return nil, nil }

func (s *caseSink) Close() error { return nil }

func (s *caseSink) Publish(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fence
	if f.Lineage != p.Lineage || f.Epoch != p.Epoch || !f.Step.same(p.Prev) {
		return ErrFenced
	}
	err := s.judge(ctx, p, local)
	if err != nil {
		s.wrong = errors.Join(s.wrong, fmt.Errorf("step %s, cut %v: %w", p.Step, positions(p.Cut), err))
		return &RefusedError{What: "the oracle says no", Err: err}
	}
	f.Step, f.Cut, f.Manifest = p.Step, p.Cut.clone(), p.Hash
	s.steps = append(s.steps, p.Step)
	if s.after != nil {
		s.after(len(s.steps))
	}
	return nil
}

func (s *caseSink) judge(ctx context.Context, p *Publication, local func(context.Context, Part) (string, error)) error {
	if n := len(s.steps); n > 0 && !follows(s.steps[n-1], p.Step) {
		return fmt.Errorf("it is published after %s", s.steps[n-1])
	}
	moved := map[string]bool{}
	for _, t := range p.Manifest.Tables {
		moved[t.Table.String()] = true
		if err := s.load(ctx, t, local); err != nil {
			return fmt.Errorf("%s: %w", t.Table, err)
		}
	}
	now := s.c.Start()
	held := map[int]bool{}
	for _, src := range s.sources {
		n, err := src.prefix(p.Cut)
		if err != nil {
			return err
		}
		cut := p.Cut[src.name]
		for _, i := range src.tables() {
			topic := ingest.Topic(src.name, src.schema(i, 0).Table)
			now[i] = src.states[n][i]
			if _, h := cut.Held[topic]; h || cut.Topics[topic] == nil {
				held[i] = true
			}
		}
	}
	return s.compare(now, held, moved)
}

// prefix is how many groups of the source a cut holds: a cut is never inside of one.
func (s *caseSource) prefix(cut Cut) (n int, err error) {
	pos := string(cut[s.name].Position)
	if _, err = fmt.Sscanf(pos, "g%d", &n); err != nil || strings.Contains(pos, "+") {
		return 0, fmt.Errorf("the cut of %s is %q", s.name, pos)
	}
	return n, nil
}

// load applies a table's parts as a list: a key that comes twice is a fault, and views have nothing superfluous.
func (s *caseSink) load(ctx context.Context, t TableLoad, local func(context.Context, Part) (string, error)) error {
	name := t.Table.String()
	old := s.tables[name]
	now := &caseTable{key: t.Key, rows: map[string][]oracle.Val{}}
	for _, c := range t.Columns {
		now.columns = append(now.columns, c.Name)
	}
	if old != nil && !t.Replace {
		for k, row := range old.rows {
			now.rows[k] = byName(now.columns, old.columns, row)
		}
	}
	var ops []oracle.Op
	for _, part := range t.Parts {
		path, err := local(ctx, part)
		if err != nil {
			return err
		}
		_, more, err := oracle.ReadPart(path)
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	deletes := int64(0)
	for _, o := range ops {
		if o.Delete {
			deletes++
		}
	}
	if deletes != t.Deletes || int64(len(ops)) != t.Upserts+t.Deletes {
		return fmt.Errorf("%d upserts and %d deletes, the manifest says %d and %d", int64(len(ops))-deletes, deletes, t.Upserts, t.Deletes)
	}
	var key []int
	for _, k := range t.Key {
		key = append(key, slices.Index(now.columns, k))
	}
	s.tables[name] = now
	return oracle.Fold(now.rows, key, ops, t.Table.Schema == "mart")
}

// byName brings a row to other columns; what it does not have is NULL.
func byName(to, from []string, row []oracle.Val) []oracle.Val {
	out := make([]oracle.Val, len(to))
	for i, c := range to {
		out[i].Null = true
		if at := slices.Index(from, c); at >= 0 {
			out[i] = row[at]
		}
	}
	return out
}

// compare is the oracle's word on every table after a step.
func (s *caseSink) compare(now []*cases.Content, held map[int]bool, moved map[string]bool) error {
	for i, t := range s.c.Tables {
		name := "raw_" + cases.Sources[t.Source] + "." + t.Name
		if held[i] {
			if moved[name] {
				return fmt.Errorf("%s moves and is held", name)
			}
			continue
		}
		var columns []string
		for _, c := range now[i].Columns {
			columns = append(columns, c.Name)
		}
		if err := s.equal(name, columns, now[i].Values()); err != nil {
			return err
		}
	}
	for i := range s.c.Views {
		v, name := &s.c.Views[i], fmt.Sprint("mart.v", i)
		if slices.ContainsFunc(v.Rels, func(r cases.Rel) bool { return held[r.Table] }) {
			if moved[name] {
				return fmt.Errorf("%s moves and an input is held", name)
			}
			continue
		}
		want, err := v.Evaluate(s.c, now)
		if err != nil {
			return err
		}
		if err := s.equal(name, v.Columns(s.c), want); err != nil {
			return err
		}
	}
	return nil
}

func (s *caseSink) equal(name string, columns []string, want map[string][]cases.Val) error {
	t := s.tables[name]
	if t == nil {
		t = &caseTable{rows: map[string][]oracle.Val{}}
	}
	got, all := map[string][]oracle.Val{}, map[string][]oracle.Val{}
	for k, row := range t.rows {
		got[k] = byName(columns, t.columns, row)
	}
	for k, row := range want {
		for _, v := range row {
			all[k] = append(all[k], oracle.Val{Text: v.Text, Null: v.Null})
		}
	}
	s.checked += len(all)
	return oracle.Diff(name, columns, all, got)
}

// ReadTable gives back a replica, for the state of a view that has lost it.
func (s *caseSink) ReadTable(_ context.Context, t WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.tables[t.String()]
	schema := &ingest.Schema{Columns: columns, Key: have.key}
	var names []string
	for _, c := range columns {
		if !slices.Contains(have.columns, c.Name) {
			return &NoColumnError{t, c.Name}
		}
		names = append(names, c.Name)
	}
	b := ingest.NewBuilder(schema)
	for _, row := range have.rows {
		for i, v := range byName(names, have.columns, row) {
			if v.Null {
				b.Cols[i].Null()
			} else {
				fillValue(&b.Cols[i], v.Text)
			}
		}
		b.End(ingest.Upsert)
	}
	rec := b.Record()
	defer rec.Release()
	return fn(rec)
}
