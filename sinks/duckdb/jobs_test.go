package duckdb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tidemill/tidemill/internal/conform"
)

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	address := "duckdb:" + filepath.Join(t.TempDir(), "warehouse.db") + "?memory_limit=200MB&threads=2"
	s := open(t, address)
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return s }}
	release := func() {
		if err := s.Close(); err != nil { // it opens again at its next use
			t.Fatal(err)
		}
	}
	conform.JobsKilled(t, c, release, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestJobsChild$")
		cmd.Env = []string{"DUCKDB_TEST_JOBS=" + address, "TMPDIR=" + t.TempDir()}
		return cmd
	})
}

func TestJobsChild(t *testing.T) {
	conform.JobsKilledChild(t, func() conform.JobWarehouse { return open(t, os.Getenv("DUCKDB_TEST_JOBS")) })
}
