package daemon

import (
	"testing"

	"github.com/tidemill/tidemill/window"
)

// Only a cut of another log may be forgotten. One that names no log says nothing about it.
func TestOfAnotherLog(t *testing.T) {
	for name, c := range map[string]struct {
		cut  window.Cut
		want bool
	}{
		"nothing published":     {nil, false},
		"this log":              {window.Cut{"consult": {Log: "here"}}, false},
		"a log without a name":  {window.Cut{"consult": {}}, false},
		"another log":           {window.Cut{"consult": {Log: "gone"}}, true},
		"one source of another": {window.Cut{"consult": {Log: "here"}, "pharmacy": {Log: "gone"}}, true},
	} {
		if got := ofAnotherLog(c.cut, "here"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
