package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidemill": main})
}

// Each script of testdata/script is a terminal session.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until, "told": told},
	})
}

// exits CODE command... runs a command that must end with the exit code. testscript itself knows only success and failure.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = err.Error()
	}
	if want := map[string]string{"0": "0", "1": "exit status 1", "2": "exit status 2", "3": "exit status 3"}[args[0]]; code != want {
		ts.Fatalf("ends with %q, want %q", code, want)
	}
}

// The schemas for editors are those of the configuration as it is now.
func TestSchemasAreUpToDate(t *testing.T) {
	files, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		at := filepath.Join("schema", name)
		if *update {
			if err := os.MkdirAll("schema", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(at)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is out of date (go test ./cmd/tidemill -update): %v", at, err)
		}
	}
}

// until FILE [TEXT] waits until a file is there and holds the text.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: until FILE [TEXT]")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && (len(args) == 1 || strings.Contains(string(b), args[1])) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("waiting for %s: %v\n%s", strings.Join(args, " "), err, b)
		}
	}
}

// told DIR waits until the daemon of a project has seen that its folder cannot run.
func told(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: told DIR")
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if err := ts.Exec("tidemill", "status", "--config", args[0]); err == nil && strings.Contains(ts.ReadFile("stdout"), "cannot run") {
			return
		}
		<-tick.C
	}
	ts.Fatalf("the daemon of %s does not see the change", args[0])
}
