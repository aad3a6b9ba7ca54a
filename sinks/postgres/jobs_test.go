package postgres_test

import (
	"os"
	osexec "os/exec"
	"testing"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
)

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	address := database(t, realtest.Postgres(t))
	s := open(t, address)
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return s }}
	conform.JobsKilled(t, c, func() {}, func() *osexec.Cmd {
		cmd := osexec.Command(os.Args[0], "-test.run=^TestJobsChild$")
		cmd.Env = []string{"POSTGRES_TEST_JOBS=" + address, "TMPDIR=" + t.TempDir()}
		return cmd
	})
}

func TestJobsChild(t *testing.T) {
	conform.JobsKilledChild(t, func() conform.JobWarehouse { return open(t, os.Getenv("POSTGRES_TEST_JOBS")) })
}
