package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/window"
)

// project writes a project folder and loads it.
func project(t *testing.T, files map[string]string) *config.Project {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := config.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func registry(source string, names ...string) *ingest.Registry {
	r := &ingest.Registry{Source: source, Version: 1}
	for _, n := range names {
		schema, name, _ := strings.Cut(n, ".")
		t := ingest.TableName{Schema: schema, Name: name}
		r.Tables = append(r.Tables, ingest.RegistryTable{Schema: ingest.Schema{Table: t}, Topic: ingest.Topic(source, t), Partitions: 1})
	}
	return r
}

func TestReplicasOfAPipeline(t *testing.T) {
	p := project(t, map[string]string{
		"tidemill.yaml":        "project: clinic\n",
		"sources/consult.yaml": "kind: source\nname: consult\ntype: mysql\n",
		"pipelines/care.yaml": `kind: pipeline
name: care
tables:
  - {replicate: consult.clinic.*, into: raw}
  - {replicate: consult.clinic.patients, into: raw}
  - {replicate: "consult.arch*.pat*", into: old}
  - {replicate: consult.clinic.patint, into: raw2}
  - {replicate: consult.archive.patients, into: raw}
`,
	})
	got, problems := replicas(&p.Pipelines[0], map[string]*ingest.Registry{
		"consult": registry("consult", "clinic.patients", "clinic.doctors", "archive.patients", "archive.doctors"),
	}, nil)
	var all []string
	for _, r := range got {
		all = append(all, r.Topic+" "+r.Table.String())
	}
	want := "tm.consult.clinic.patients raw.patients,tm.consult.clinic.doctors raw.doctors,tm.consult.archive.patients old.patients"
	if strings.Join(all, ",") != want {
		t.Errorf("got %v", all)
	}
	if text := problems.Error(); len(problems) != 2 ||
		!strings.Contains(text, `care.yaml:7:6: tables[3].replicate: source consult captures no table clinic.patint (did you mean "clinic.patients"?)`) ||
		!strings.Contains(text, "tables[4].replicate: two tables meet in raw.patients") {
		t.Errorf("problems: %s", text)
	}
}

func TestLowest(t *testing.T) {
	got := lowest([]map[string][]int64{{"a": {5, 9}, "b": {1}}, {"a": {7, 3}}})
	if got["a"][0] != 5 || got["a"][1] != 3 || got["b"][0] != 1 {
		t.Errorf("%v", got)
	}
	if n := moved(map[string][]int64{"a": {5, 1}}, got); n != 3 { // 2 of a, 1 of b
		t.Errorf("moved %d", n)
	}
}

// What a source's next owner has to read is kept, and so is a topic that has no checkpoint yet.
func TestTrimStopsAtTheCheckpoint(t *testing.T) {
	got := both(map[string][]int64{"a": {5, 9}, "b": {4}, "c": {7}}, map[string][]int64{"a": {6, 2}, "c": {1, 1}})
	if want := (map[string][]int64{"a": {5, 2}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Who has been overtaken trims nothing: the next owner may restore from an older snapshot than his newest.
func TestTrimIsTheOwners(t *testing.T) {
	for _, c := range []struct {
		claims map[string]kafka.ClaimRecord
		want   bool
	}{
		{map[string]kafka.ClaimRecord{"pipeline/care": {Epoch: 7}, "source/consult": {Epoch: 9}}, false},
		{map[string]kafka.ClaimRecord{"pipeline/care": {Epoch: 8}}, true},
	} {
		if got := overtaken(map[string]int64{"pipeline/care": 7}, c.claims); got != c.want {
			t.Errorf("with the claims %v: overtaken is %v", c.claims, got)
		}
	}
}

// Which layout a warehouse table has: a view by its name, replicas by their schema and pattern.
func TestLayout(t *testing.T) {
	p := &config.Project{Pipelines: []config.Pipeline{{Name: "care", Tables: []config.Table{
		{Name: "mart.visits", DistKey: "patient_id", SortKey: []string{"scheduled_at"}}, {Replicate: "consult.clinic.appointments", Into: "raw", DistKey: "patient_id"},
		{Replicate: "consult.clinic.*", Into: "raw", DistKey: "id"}, {Replicate: "pharmacy.shop.*", Into: "raw_shop"},
	}}}}
	for table, want := range map[string]window.Layout{
		"mart.visits": {Dist: "patient_id", Sort: []string{"scheduled_at"}}, "raw.appointments": {Dist: "patient_id"}, "raw.doctors": {Dist: "id", Optional: true}, "raw_shop.orders": {}, "mart.other": {},
	} {
		schema, name, _ := strings.Cut(table, ".")
		if got := layout(p, window.WarehouseTable{Schema: schema, Name: name}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", table, got, want)
		}
	}
}
