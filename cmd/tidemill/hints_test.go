package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/config"
)

func TestCalledAs(t *testing.T) {
	for arg0, want := range map[string]program{"tidemill": "tidemill", "bin/tidemill": "bin/tidemill", "./tm": "./tm", "/a b/tidemill": "'/a b/tidemill'"} {
		if got := calledAs(arg0); got != want {
			t.Errorf("%s: got %s, want %s", arg0, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		dir  string
		want string
	}{
		{".", "bin/tidemill status --watch"},
		{"demo", "bin/tidemill status --config demo --watch"},
		{"my demo's", `bin/tidemill status --config 'my demo'\''s' --watch`},
	} {
		if got := (&cli{program: "bin/tidemill", dir: c.dir}).command("status", "--watch"); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// Only commands are rewritten, and each once.
func TestAsCalled(t *testing.T) {
	text := "rebuild it: tidemill resync; tidemill runs; bin/tidemill run; see tidemill --help (tidemill new source)\ntidemill check"
	want := "rebuild it: bin/tidemill resync; tidemill runs; bin/tidemill run; see bin/tidemill --help (bin/tidemill new source)\nbin/tidemill check"
	if got := program("bin/tidemill").asCalled(text); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := program("tidemill").asCalled(text); got != text {
		t.Errorf("got %s", got)
	}
}

// Hints that other packages make are written as called wherever they are shown.
func TestHintsAsCalled(t *testing.T) {
	self, hint := program("bin/tidemill"), "it stands still: tidemill resync care"
	var b bytes.Buffer
	self.report(&b, errors.New(hint))
	self.report(&b, config.Problems{{File: "a.yaml", Message: hint}})
	s := console.Status{Sources: []console.SourceStatus{{Name: "consult", Tables: []console.SourceTable{{Name: "clinic.a", Parked: hint}}}}}
	b.WriteString(strings.Join(renderStatus(s, 0, time.Time{}, self), "\n"))
	if n := strings.Count(b.String(), "bin/tidemill resync care"); n != 3 {
		t.Errorf("%d of 3 hints are as called:\n%s", n, b.String())
	}
}
