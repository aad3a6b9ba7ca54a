package postgres_test

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
)

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	for _, via := range []string{"insert", "parquet"} {
		t.Run(via, func(t *testing.T) { killed(t, via) })
	}
}

func killed(t *testing.T, via string) {
	address := database(t, realtest.Postgres(t))
	s := open(t, address)
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return s }, Via: via}
	conform.JobsKilled(t, c, func() {}, func() *osexec.Cmd {
		cmd := osexec.Command(os.Args[0], "-test.run=^TestJobsChild$")
		cmd.Env = []string{"POSTGRES_TEST_JOBS=" + address, "TMPDIR=" + t.TempDir()}
		return cmd
	})
}

func TestJobsChild(t *testing.T) {
	conform.JobsKilledChild(t, func() conform.JobWarehouse { return open(t, os.Getenv("POSTGRES_TEST_JOBS")) })
}

// TestStagedBothWays: a result is the same rows and types whether it stays in the server or goes through Parquet, and nothing
// of it is left on the disk.
func TestStagedBothWays(t *testing.T) {
	s := open(t, database(t, realtest.Postgres(t)))
	t.Setenv("TMPDIR", t.TempDir())
	const query = `SELECT 1 AS id, 'it''s \ 50% é' AS text, 12.50::numeric(10,2) AS amount, sum(9223372036854775807) AS large, timestamptz '2026-01-05 09:30:00.000001+00' AS at, date '1999-12-31' AS day,
 time '10:00:00.5' AS clock, NULL::bigint AS none, true AS yes, interval '1 month 2 days 3.000004 seconds' AS span, '\xab00'::bytea AS raw, '{"a": [1]}'::jsonb AS doc, ARRAY[1, 2] AS list, 'x'::char(3) AS pad,
 'ab'::varchar(5) AS short, '10.0.0.1'::inet AS net, 0.1::float8 AS d, 'NaN'::float4 AS f, 'NaN'::numeric AS nan
 FROM generate_series(1, 3) UNION ALL SELECT NULL, '', NULL, -1e-30, NULL, NULL, NULL, 1, NULL, NULL, '', NULL, '{}', NULL, '', NULL, -0.0, NULL, NULL`
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
				return errors.Join(err, js.Query(t.Context(), "SELECT CAST(s AS text) FROM staged s ORDER BY id NULLS LAST", func(row []any) error { got[via] = append(got[via], fmt.Sprint(row...)); return nil }))
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", via, err)
		}
	}
	if len(got["insert"]) != 3 || !slices.Equal(got["insert"], got["parquet"]) {
		t.Errorf("insert\n%s\nparquet\n%s", strings.Join(got["insert"], "\n"), strings.Join(got["parquet"], "\n"))
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "tidemill-job-*")); err != nil || len(left) > 0 {
		t.Errorf("%s are left, %v", left, err)
	}
}
