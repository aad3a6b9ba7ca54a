package ingest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// versionsPerEpoch keeps the registry versions of two owners apart (see Registry).
const versionsPerEpoch = 10000

// registry is what is known of a source's registry versions, and the one that new decisions go by. It is pure.
type registry struct {
	known   map[int64]Registry
	current Registry
	next    int64 // version of the next new one
}

// parseRegistry collects the versions of a source from the registry topic's records.
func parseRegistry(source string, epoch int64, records []keyed) (*registry, error) {
	r := &registry{known: map[int64]Registry{}, next: epoch*versionsPerEpoch + 1, current: Registry{Source: source}}
	for _, rec := range records {
		if !strings.HasPrefix(rec.key, source+"/") || rec.value == nil {
			continue
		}
		var v Registry
		if err := json.Unmarshal(rec.value, &v); err != nil {
			return nil, fmt.Errorf("reading registry record %s: %w", rec.key, err)
		}
		if v.Source == source {
			r.known[v.Version] = v
		}
	}
	return r, nil
}

// with returns the registry that also has the given table, or has it with the given schema, and whether that differs
// from the current one in anything that matters for rows.
func (r *registry) with(s *Schema, topic string, partitions int) (Registry, bool, error) {
	want := r.current
	i := slices.IndexFunc(want.Tables, func(t RegistryTable) bool { return t.Schema.Table == s.Table })
	if i >= 0 && want.Tables[i].Schema.Fingerprint() == s.Fingerprint() {
		return want, false, nil
	}
	want.Tables = slices.Clone(want.Tables)
	if i >= 0 {
		want.Tables[i].Schema = *s
		return want, true, nil
	}
	if j := slices.IndexFunc(want.Tables, func(t RegistryTable) bool { return t.Topic == topic }); j >= 0 {
		return want, false, fmt.Errorf("tables %s and %s of source %s meet in topic %s; leave one of them out or rename it", want.Tables[j].Schema.Table, s.Table, r.current.Source, topic)
	}
	want.Tables = append(want.Tables, RegistryTable{Schema: *s, Topic: topic, Partitions: partitions})
	return want, true, nil
}

// adopt looks for a version that an earlier owner has written after the current one and that says the same as want: a
// replay meets the same changes again and must not write them again.
func (r *registry) adopt(want Registry) (Registry, bool) {
	best, found := Registry{}, false
	for _, v := range r.known {
		if v.Version > r.current.Version && v.History == want.History && sameTables(v.Tables, want.Tables) && (!found || v.Version < best.Version) {
			best, found = v, true
		}
	}
	return best, found
}

// number gives want the next new version.
func (r *registry) number(want Registry, epoch int64) Registry {
	want.Version, want.Epoch = r.next, epoch
	r.next++
	return want
}

// set makes v current. A version never goes back.
func (r *registry) set(v Registry) {
	r.known[v.Version] = v
	if v.Version >= r.current.Version {
		r.current = v
	}
}

// newest is the highest version that is known, whether a seal names it or not.
func (r *registry) newest() Registry {
	out := r.current
	for _, v := range r.known {
		if v.Version > out.Version {
			out = v
		}
	}
	return out
}

// hasTopic reports whether the current version has the topic.
func (r *registry) hasTopic(name string) bool {
	return slices.ContainsFunc(r.current.Tables, func(t RegistryTable) bool { return t.Topic == name })
}

// topics lists every topic of any known version: the ones that an earlier owner may have written to.
func (r *registry) topics() []RegistryTable {
	var out []RegistryTable
	for _, v := range r.known {
		for _, t := range v.Tables {
			if !slices.ContainsFunc(out, func(o RegistryTable) bool { return o.Topic == t.Topic }) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b RegistryTable) int { return strings.Compare(a.Topic, b.Topic) })
	return out
}

func sameTables(a, b []RegistryTable) bool {
	return slices.EqualFunc(a, b, func(x, y RegistryTable) bool {
		return x.Topic == y.Topic && x.Partitions == y.Partitions && x.Schema.Table == y.Schema.Table && x.Schema.Fingerprint() == y.Schema.Fingerprint() && x.Base.same(y.Base)
	})
}

func registryKey(source string, version int64) string { return fmt.Sprintf("%s/%d", source, version) }

// gone lists the columns that tables had in some version of their generation and have not in the current one.
func (r *registry) gone() map[TableName][]string {
	now, out := map[TableName]*RegistryTable{}, map[TableName][]string{}
	for i := range r.current.Tables {
		now[r.current.Tables[i].Schema.Table] = &r.current.Tables[i]
	}
	for _, v := range r.known {
		for i := range v.Tables {
			was := &v.Tables[i].Schema
			for _, c := range was.Columns {
				if is := now[was.Table]; is != nil && is.Generation() == v.Tables[i].Generation() && is.Schema.Column(c.Name) < 0 && !slices.Contains(out[was.Table], c.Name) {
					out[was.Table] = append(out[was.Table], c.Name)
				}
			}
		}
	}
	return out
}
