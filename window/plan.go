package window

import (
	"context"
	"fmt"
	"maps"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

// Plan is what a pipeline publishes, worked out from its configuration and the tables of its sources.
type Plan struct {
	Replicas []Replica
	Views    []JoinedView
}

// Replica is a source table published as it is.
type Replica struct {
	Topic string
	Table WarehouseTable
}

// JoinedView is a SELECT over source tables; its relations' inputs are topics.
type JoinedView struct {
	Table WarehouseTable
	View  *view.View
}

// Planner works out the plan for the given registry version of each source. It does no I/O that can fail for a passing
// reason: an error halts the pipeline and says what to mend.
type Planner func(ctx context.Context, registries map[string]*ingest.Registry) (*Plan, error)

// upsertReplica is the fingerprint of a replica that mirrors its table.
const upsertReplica = "replica"

// stateful reports whether the plan needs the images of its inputs.
func (p *Plan) stateful() bool { return len(p.Views) > 0 }

// stateTopics are the topics whose images the views need.
func (p *Plan) stateTopics() map[string]*ingest.Schema {
	out := map[string]*ingest.Schema{}
	for _, v := range p.Views {
		for _, r := range v.View.Relations {
			out[r.Input] = r.Schema
		}
	}
	return out
}

// replicas are the replica outputs by topic.
func (p *Plan) replicas() map[string][]WarehouseTable {
	out := map[string][]WarehouseTable{}
	for _, r := range p.Replicas {
		out[r.Topic] = append(out[r.Topic], r.Table)
	}
	return out
}

// mode is what a step does with a view.
type mode int

const (
	stands   mode = iota // an input is held: the view stays as it is
	moves                // exact delta
	replaces             // full evaluation: its base, or the base of one of its inputs
)

// viewMode decides it from the fates of the view's inputs in a step and from the cut after it.
func viewMode(v JoinedView, sources map[string]string, st *plannedStep) mode {
	anchor := sources[v.View.Relations[0].Input]
	out := moves
	if st.cut[anchor].Outputs[v.Table.String()] != v.View.Hash() {
		out = replaces
	}
	for _, r := range v.View.Relations {
		c, begun := st.cut[sources[r.Input]]
		if _, held := c.Held[r.Input]; held || !begun || c.Topics[r.Input] == nil {
			return stands
		}
		if ts, in := st.topics[r.Input]; in && ts.fate == bases {
			out = replaces
		}
	}
	return out
}

// rebase holds the topics whose replica has no base yet although the topic itself is live: a table that was added to the
// configuration later, or renamed. They are read again from the beginning of their generation and get a base of their own.
func rebase(cut Cut, plan *Plan, sources map[string]string, newest func(source, topic string) (ingest.RegistryTable, bool)) {
	for _, r := range plan.Replicas {
		c, begun := cut[sources[r.Topic]]
		_, known := c.Topics[r.Topic]
		_, held := c.Held[r.Topic]
		if begun && known && !held && c.Outputs[r.Table.String()] != upsertReplica {
			t, _ := newest(sources[r.Topic], r.Topic)
			c.holdAnew(t)
		}
	}
}

// outputs writes into the cut which tables have their base after the step, and forgets those that the plan does not have.
// modes are the plan's views' in this step.
func outputs(st *plannedStep, plan *Plan, modes []mode, sources map[string]string) {
	before := map[string]string{}
	for _, c := range st.cut {
		maps.Copy(before, c.Outputs)
		clear(c.Outputs)
	}
	note := func(topic string, t WarehouseTable, print string, now bool) {
		c, begun := st.cut[sources[topic]]
		if begun && (now || before[t.String()] == print) {
			c.Outputs[t.String()] = print
		}
	}
	for _, r := range plan.Replicas {
		note(r.Topic, r.Table, upsertReplica, st.topics[r.Topic].fate == bases)
	}
	for i, v := range plan.Views {
		note(v.View.Relations[0].Input, v.Table, v.View.Hash(), modes[i] == replaces)
	}
}

// standing lists the outputs that do not move, because a table that they are made of is held.
func standing(st *plannedStep, plan *Plan, modes []mode, sources map[string]string) []Standing {
	why := func(topic string) (string, bool) {
		c := st.cut[sources[topic]]
		h, held := c.Held[topic]
		switch {
		case !held:
			return "", false
		case h.Parked == "":
			return "it is being loaded", true
		}
		return h.Parked, true
	}
	var out []Standing
	for _, r := range plan.Replicas {
		if text, held := why(r.Topic); held {
			out = append(out, Standing{r.Table, text})
		}
	}
	for i, v := range plan.Views {
		if modes[i] != stands {
			continue
		}
		for _, r := range v.View.Relations {
			if text, held := why(r.Input); held {
				out = append(out, Standing{v.Table, fmt.Sprintf("its input %s stands still: %s", inputName(r, sources), text)})
				break
			}
		}
	}
	return out
}

func inputName(r view.Relation, sources map[string]string) string {
	if r.Schema == nil {
		return r.Input
	}
	return sources[r.Input] + "." + r.Schema.Table.String()
}
