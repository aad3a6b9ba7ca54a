package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(inFolder(m)) }

// folder is where the daemon is built; it goes with the process.
var folder string

func inFolder(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "tidemill-bench"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	return m.Run()
}

var build = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(folder, "tidemill")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/tidemill").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	return path, nil
})

// binary is the daemon as users build it.
func binary(b *testing.B) string {
	b.Helper()
	path, err := build()
	if err != nil {
		b.Fatal(err)
	}
	return path
}
