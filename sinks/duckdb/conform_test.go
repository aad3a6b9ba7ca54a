package duckdb_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/sinks/duckdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, address string) *duckdb.Sink {
	t.Helper()
	s, err := duckdb.New(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run executes statements on the file with the sink closed, as somebody with DuckDB's own shell would.
func run(ctx context.Context, path string, statements ...string) error {
	db, err := duck.Open(ctx, duck.Options{Path: path})
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, q := range statements {
		if _, err := c.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func TestConformance(t *testing.T) {
	conform.Sink(t, func(t *testing.T) conform.SinkConfig {
		path := filepath.Join(t.TempDir(), "sub", "warehouse.db")
		s := open(t, "duckdb:"+path+"?memory_limit=200MB&threads=2")
		return conform.SinkConfig{
			Client: func() conform.Warehouse { return s }, // one process holds the file
			Exec: func(sql string) error {
				if err := s.Close(); err != nil { // it opens again at its next use
					return err
				}
				return run(t.Context(), path, sql)
			},
		}
	})
}

func TestJobs(t *testing.T) { jobs(t, "") }

// TestJobsParquet is the same with the rows of jobs going out to Parquet and in again.
func TestJobsParquet(t *testing.T) { jobs(t, "parquet") }

func jobs(t *testing.T, via string) {
	conform.Jobs(t, func(t *testing.T) conform.JobsConfig {
		path := filepath.Join(t.TempDir(), "warehouse.db")
		s := open(t, "duckdb:"+path+"?memory_limit=200MB&threads=2")
		return conform.JobsConfig{
			Via:    via,
			Client: func() conform.JobWarehouse { return s }, // one process holds the file
			Exec: func(sql string) error {
				if err := s.Close(); err != nil { // it opens again at its next use
					return err
				}
				return run(t.Context(), path, sql)
			},
		}
	})
}
