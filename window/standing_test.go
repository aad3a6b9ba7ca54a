package window

import (
	"fmt"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window/view"
)

// What a held table makes stand still is told, and nothing else: dashboards go by it.
func TestStanding(t *testing.T) {
	patients := ingest.Schema{Table: ingest.TableName{Schema: "clinic", Name: "patients"}}
	plan := &Plan{
		Replicas: []Replica{{Topic: "p", Table: WarehouseTable{"raw", "patients"}}, {Topic: "o", Table: WarehouseTable{"raw", "orders"}}, {Topic: "l", Table: WarehouseTable{"raw", "later"}}},
		Views: []JoinedView{
			{Table: WarehouseTable{"mart", "visits"}, View: &view.View{Relations: []view.Relation{{Input: "o"}, {Input: "p", Schema: &patients}}}},
			{Table: WarehouseTable{"mart", "totals"}, View: &view.View{Relations: []view.Relation{{Input: "o"}}}},
		},
	}
	sources := map[string]string{"p": "consult", "l": "consult", "o": "pharmacy"}
	st := &plannedStep{cut: Cut{"consult": {Held: map[string]Hold{"p": {Parked: "truncated"}, "l": {}}}, "pharmacy": {}}}
	got := fmt.Sprint(standing(st, plan, []mode{stands, moves}, sources))
	want := "[{raw.patients truncated} {raw.later it is being loaded} {mart.visits its input consult.clinic.patients stands still: truncated}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
