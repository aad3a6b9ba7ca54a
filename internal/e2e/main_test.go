package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the daemon under test, built once: -race, so that a data race anywhere in it fails the test that runs it, and
// with failpoints.
var binary string

var prebuilt = flag.String("daemon", "", "a tidemill that is built already, with the tag failpoint; else one is built with -race")

func TestMain(m *testing.M) {
	parallel := "4" // lines that are broken and mended wait more than they work
	flag.Parse()
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			parallel = f.Value.String()
		}
	})
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if binary = *prebuilt; binary != "" {
		os.Exit(m.Run())
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidemill-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tidemill")
	cmd := exec.Command("go", "build", "-race", "-tags", "duckdb_arrow failpoint", "-o", binary, "../../cmd/tidemill")
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the daemon: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
