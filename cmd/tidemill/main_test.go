package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
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
