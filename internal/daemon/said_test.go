package daemon

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// What is wrong with a unit is said when the text changes, and not at every retry (invariant 5).
func TestUnitsSayWhatIsWrongOnce(t *testing.T) {
	var said []string
	d := New(Options{Event: func(e Event) { said = append(said, e.What) }})
	gone, full := errors.New("the server is gone"), errors.New("the disk is full")
	for _, s := range []unitState{
		{State: console.Running}, {State: console.Retrying, Err: gone}, {State: console.Retrying, Err: gone}, {State: console.Stopped},
		{State: console.Retrying, Err: gone}, {State: console.Failed, Err: full}, {State: console.Running}, {State: console.Running},
	} {
		d.unitChanged("source/a", s)
	}
	want := []string{"source a tries again", "source a stands still", "source a runs again"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// The broker stops last, after the API, after the units (invariant 2): who is asked to stop may still append and be asked how it is.
func TestPartsStopInReverse(t *testing.T) {
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Stop(context.WithoutCancel(t.Context()))
	d := New(Options{})
	d.project = &config.Project{}
	r := &runtime{daemon: d, assembly: &Assembly{Project: d.project}, log: &logHandle{embedded: &kafka.Embedded{}}, telemetry: tel}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stage := map[string]int{}
	for _, u := range d.group(r, l, "").Units {
		stage[u.Name] = u.Stage
	}
	if !(0 < stage["broker"] && stage["broker"] < stage["api"] && stage["api"] < stage["units"] && stage["units"] < stage["trim"]) {
		t.Errorf("the stages are %v", stage)
	}
}
