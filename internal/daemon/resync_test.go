package daemon

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
)

func asked(t *testing.T, names ...string) (*targets, error) {
	t.Helper()
	registry := func(source string, tables ...string) *ingest.Registry {
		r := &ingest.Registry{Source: source}
		for _, n := range tables {
			r.Tables = append(r.Tables, ingest.RegistryTable{Topic: "tm." + source + ".s." + n, Schema: ingest.Schema{Table: ingest.TableName{Schema: "s", Name: n}}})
		}
		return r
	}
	reads := func(source, table string) input {
		return input{source: source, Want: sources.Want{Schema: "s", Table: table}}
	}
	out := &targets{
		sources:    []string{"consult", "pharmacy", "both"},
		pipelines:  map[string]inputs{"care": {reads("consult", "patients"), reads("pharmacy", "*")}, "both": {reads("consult", "doctors")}, "idle": {reads("consult", "later")}},
		registries: map[string]*ingest.Registry{"consult": registry("consult", "patients", "doctors", "odd.name"), "pharmacy": registry("pharmacy", "orders", "items")},
		points: map[string]ingest.Checkpoint{"consult": {Parked: map[string]string{"s.keyless": "it has no primary key"},
			Loads: map[string]ingest.Load{"s.patients": {Done: true, Rows: 7, Estimate: 5}}}},
		asked: map[string]map[string]bool{},
	}
	for _, n := range names {
		if err := out.add(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// The targets of the command line are tables, sources and pipelines; a whole source makes its tables superfluous.
func TestResyncTargets(t *testing.T) {
	for _, c := range []struct {
		names string
		want  map[string][]string
	}{
		{"consult.s.patients", map[string][]string{"consult": {"s.patients"}}},
		{"consult.s.odd.name", map[string][]string{"consult": {"s.odd.name"}}},
		{"consult.s.keyless", map[string][]string{"consult": {"s.keyless"}}}, // parked before it had a topic
		{"pharmacy", map[string][]string{"pharmacy": {""}}},
		{"source/both", map[string][]string{"both": {""}}},
		{"pipeline/both", map[string][]string{"consult": {"s.doctors"}}},
		{"care", map[string][]string{"consult": {"s.patients"}, "pharmacy": {"s.items", "s.orders"}}},
		{"care pharmacy consult.s.doctors", map[string][]string{"consult": {"s.doctors", "s.patients"}, "pharmacy": {""}}},
	} {
		x, err := asked(t, strings.Fields(c.names)...)
		if err != nil {
			t.Errorf("%s: %v", c.names, err)
			continue
		}
		got := map[string][]string{}
		for source := range x.asked {
			got[source] = x.about(source)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.names, got, c.want)
		}
	}
	for names, want := range map[string]string{
		"both": "say source/both or pipeline/both", "consul": `did you mean "consult"`, "consult.s.patient": `did you mean "s.patients"`,
		"nobody.s.x": "there is no source, pipeline or table", "idle": "reads no table", "source/care": "there is no source",
	} {
		if _, err := asked(t, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", names, err, want)
		}
	}
	x, err := asked(t, "care")
	if err != nil {
		t.Fatal(err)
	}
	a := x.answer()
	if len(a.Sources) != 2 || a.Sources[0].Tables[0].Rows != 7 || a.Sources[0].Whole || a.Sources[0].Tables[0].Pipelines[0] != "care" {
		t.Errorf("the answer is %+v", a)
	}
	whole, err := asked(t, "consult")
	if err != nil {
		t.Fatal(err)
	}
	if a := whole.answer(); !a.Sources[0].Whole || len(a.Sources[0].Tables) != 3 {
		t.Errorf("the answer for a source is %+v", a)
	}
}
