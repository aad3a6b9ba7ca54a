package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
	os.Exit(built(m))
}

// folder is where daemons are built; it goes with the process.
var folder string

func built(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "tidemill-e2e"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if binary, err = build("race", "-race"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// plain is the daemon without -race, for tests that start so many that most of their time would be the detector's.
var plain = sync.OnceValues(func() (string, error) { return build("plain") })

func build(name string, flags ...string) (path string, err error) {
	if *prebuilt != "" {
		return *prebuilt, nil
	}
	path = filepath.Join(folder, name, "tidemill") // its hints name it
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-tags", "duckdb_arrow failpoint", "-o", path, "../../cmd/tidemill")...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	return path, nil
}
