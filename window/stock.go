package window

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

// stock is what the log still holds, by topic and partition.
type stock map[string][]kafka.Bounds

// holds reports whether a topic can be read from there on.
func (s stock) holds(topic string, at []PartCut) bool {
	if len(s[topic]) != len(at) {
		return false
	}
	for i, b := range s[topic] {
		if at[i].Offset < b.Start || at[i].Offset > b.End {
			return false
		}
	}
	return true
}

// stock asks the log what it holds of topics.
func (k *keeper) stock(ctx context.Context, topics ...string) (stock, error) {
	if len(topics) == 0 {
		return stock{}, nil
	}
	have, err := k.cfg.env.bounds(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking what the log holds: %w", err)
	}
	return have, nil
}

// wanted are the topics of a cut that the pipeline still reads.
func (k *keeper) wanted(cut Cut) (topics []string) {
	for source, c := range cut {
		for topic := range c.Topics {
			if _, wanted := k.newest(source, topic); wanted {
				topics = append(topics, topic)
			}
		}
	}
	return topics
}

// generations is the stock of the topics that have begun one: the others can only be read from their beginning.
func (k *keeper) generations(ctx context.Context, versions []*ingest.Registry) (stock, error) {
	begun := map[string]bool{}
	for _, v := range versions {
		for _, t := range v.Tables {
			if t.Base != nil && k.cfg.Wants(v.Source, t.Schema.Table) {
				begun[t.Topic] = true
			}
		}
	}
	return k.stock(ctx, slices.Collect(maps.Keys(begun))...)
}

// newest is the table of a topic in the newest registry version, if the pipeline reads it.
func (k *keeper) newest(source, topic string) (t ingest.RegistryTable, wanted bool) {
	known := k.registries[source]
	for _, v := range slices.Sorted(maps.Keys(known)) {
		for _, x := range known[v].Tables {
			if x.Topic == topic && k.cfg.Wants(source, x.Schema.Table) {
				t, wanted = x, true
			}
		}
	}
	return t, wanted
}

// ground makes a cut one that can be read on from: a topic whose log was trimmed past it is held until the base of a newer
// generation, which begins in what the log holds. Where no generation does, somebody must ask for one.
func (k *keeper) ground(ctx context.Context, cut Cut) error {
	have, err := k.stock(ctx, k.wanted(cut)...)
	if err != nil {
		return err
	}
	for source, c := range cut {
		for topic, parts := range c.Topics {
			t, wanted := k.newest(source, topic)
			switch {
			case !wanted || have.holds(topic, parts):
			case t.Base != nil && have.holds(topic, begin(t)):
				c.holdAnew(t)
			default:
				return k.trimmed(fmt.Sprintf("the log of table %s of source %s no longer holds, or does not yet hold, the rows that pipeline %s needs next", t.Schema.Table, source, k.cfg.Name), nil)
			}
		}
	}
	return nil
}

func (k *keeper) trimmed(what string, err error) error {
	return &RefusedError{What: what, Hint: "it was trimmed or the topic was made anew; run: " + ingest.ResyncCommand(k.cfg.Name), Err: err}
}

// holdAnew holds a table until its newest generation has its base.
func (c SourceCut) holdAnew(t ingest.RegistryTable) {
	c.Held[t.Topic], c.Topics[t.Topic] = Hold{Generation: t.Generation()}, begin(t)
}

// replayable reports whether the log holds everything from a cut, or from the beginning of what it does not know, to the
// fence's.
func (k *keeper) replayable(ctx context.Context, at Cut) (bool, error) {
	have, err := k.stock(ctx, k.wanted(k.fence.Cut)...)
	if err != nil {
		return false, err
	}
	for source, c := range k.fence.Cut {
		for topic, parts := range c.Topics {
			from, known := at[source].Topics[topic]
			if !known {
				from = start(len(parts))
			}
			if _, wanted := k.newest(source, topic); wanted && !have.holds(topic, from) {
				return false, nil
			}
		}
	}
	return true, nil
}
