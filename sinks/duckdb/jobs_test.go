package duckdb_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/conform"
)

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	for _, via := range []string{"insert", "parquet"} {
		t.Run(via, func(t *testing.T) { killed(t, via) })
	}
}

func killed(t *testing.T, via string) {
	address := "duckdb:" + filepath.Join(t.TempDir(), "warehouse.db") + "?memory_limit=200MB&threads=2"
	s := open(t, address)
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return s }, Via: via}
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

// TestStagedBothWays: a result is the same rows and types whether it stays in the database or goes through Parquet, and
// nothing of it is left on the disk.
func TestStagedBothWays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.db")
	s := open(t, "duckdb:"+path)
	const query = `SELECT 1 AS id, 'it''s 50% é' AS text, CAST(12.50 AS DECIMAL(10,2)) AS amount, sum(CAST(9223372036854775807 AS HUGEINT)) AS large, TIMESTAMPTZ '2026-01-05 09:30:00.000001+00' AS at,
 DATE '1999-12-31' AS day, TIME '10:00:00.5' AS clock, CAST(NULL AS BIGINT) AS none, true AS yes, INTERVAL '1 month 2 days 3.000004 seconds' AS span, CAST('\xAB' AS BLOB) AS raw, CAST('{"a": [1]}' AS JSON) AS doc,
 CAST(200 AS UTINYINT) AS small, 0.1::DOUBLE AS d, 'NaN'::FLOAT AS f, TIMESTAMP_NS '2026-01-05 09:30:00.000000001' AS ns
 FROM range(3) UNION ALL SELECT NULL, '', NULL, -170141183460469231731687303715884105727, NULL, NULL, NULL, 1, NULL, NULL, '', NULL, NULL, -0.0, NULL, NULL`
	got := map[string][]string{}
	for _, via := range []string{"insert", "parquet"} {
		err := s.JobSession(t.Context(), func(js elt.Session) error {
			return js.Transact(t.Context(), elt.Snapshot, func() error {
				n, err := js.(elt.Stager).Stage(t.Context(), "staged", query, via)
				if err != nil || n != 2 {
					return fmt.Errorf("%d rows are staged: %w", n, err)
				}
				cols, err := js.Columns(t.Context(), "staged")
				got[via] = append(got[via], fmt.Sprint(cols))
				return errors.Join(err, js.Query(t.Context(), "SELECT CAST(s AS VARCHAR) FROM staged s ORDER BY id NULLS LAST", func(row []any) error { got[via] = append(got[via], fmt.Sprint(row...)); return nil }))
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", via, err)
		}
	}
	if len(got["insert"]) != 3 || !slices.Equal(got["insert"], got["parquet"]) {
		t.Errorf("insert\n%s\nparquet\n%s", strings.Join(got["insert"], "\n"), strings.Join(got["parquet"], "\n"))
	}
	if left, err := os.ReadDir(path + ".jobs"); err != nil || len(left) > 0 {
		t.Errorf("rows are left on the disk: %s, %v", left, err)
	}
	err := s.JobSession(t.Context(), func(js elt.Session) error {
		_, err := js.(elt.Stager).Stage(t.Context(), "staged", "SELECT [1, 2] AS list", "parquet")
		return err
	})
	var e *elt.Error
	if !errors.As(err, &e) || e.Class != elt.BadSQL || !strings.Contains(err.Error(), "the column list is INTEGER[]") {
		t.Errorf("a list: %v", err)
	}
	// What a killed process has left goes when the file is opened, and nobody's SQL gets to the folder.
	if err := errors.Join(s.Close(), os.WriteFile(path+".jobs/x.parquet", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	err = s.Query(t.Context(), "SELECT * FROM glob('"+path+".jobs/*')", func(arrow.RecordBatch) error { return nil })
	if err == nil {
		t.Error("a user's query lists the folder of jobs")
	}
	if _, err := os.Stat(path + ".jobs/x.parquet"); !os.IsNotExist(err) {
		t.Errorf("what was left is still there: %v", err)
	}
	// Somebody who cannot open the file, because another holds it, leaves what is there alone.
	if err := os.WriteFile(path+".jobs/y.parquet", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestJobsChild$")
	cmd.Env = []string{"DUCKDB_TEST_JOBS=duckdb:" + path, "TMPDIR=" + t.TempDir(), "TIDEMILL_TEST_KILL_AT=1", "TIDEMILL_TEST_BEHIND=0", "TIDEMILL_TEST_EPOCH=1"}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "lock") {
		t.Errorf("a second process: %v\n%s", err, out)
	}
	if _, err := os.Stat(path + ".jobs/y.parquet"); err != nil {
		t.Errorf("a second process has removed rows that are on their way: %v", err)
	}
}
