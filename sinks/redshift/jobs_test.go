package redshift_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/sinks/redshift"
)

// TestJobs is what users of other schedulers suffer from, on the double, in both isolation levels.
func TestJobs(t *testing.T) {
	l := newLab(t)
	for name, level := range map[string]redshiftdouble.Isolation{"snapshot": redshiftdouble.Snapshot, "serializable": redshiftdouble.Serializable} {
		t.Run(name, func(t *testing.T) {
			conform.Jobs(t, func(t *testing.T) conform.JobsConfig {
				d := l.start(t, redshiftdouble.Config{Isolation: level})
				store := l.store(t, uuid.NewString())
				return conform.JobsConfig{
					Client: func() conform.JobWarehouse { return l.client(t, d, store) },
					Exec:   func(sql string) error { return try(t.Context(), d.DSN(), sql) },
				}
			})
		})
	}
}

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{})
	prefix := uuid.NewString()
	w := l.client(t, d, l.store(t, prefix))
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return w }}
	conform.JobsKilled(t, c, func() {}, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestJobsChild$")
		cmd.Env = []string{"REDSHIFT_TEST_JOBS=" + address(d.DSN()), "TMPDIR=" + t.TempDir()}
		return cmd
	})
}

func TestJobsChild(t *testing.T) {
	conform.JobsKilledChild(t, func() conform.JobWarehouse {
		s, err := redshift.New(os.Getenv("REDSHIFT_TEST_JOBS"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

// TestStagedBothWays: a result is the same rows whether it stays in the cluster or goes through the store.
func TestStagedBothWays(t *testing.T) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{})
	store := l.store(t, uuid.NewString())
	w := l.client(t, d, store)
	const query = `SELECT 1 AS id, CAST('it''s \\ 50%' AS VARCHAR(40)) AS text, CAST(12.50 AS NUMERIC(10,2)) AS amount, TIMESTAMP '2026-01-05 09:30:00' AS at, CAST(NULL AS BIGINT) AS none, true AS yes
UNION ALL SELECT 2, CAST('é' AS VARCHAR(40)), CAST(-0.01 AS NUMERIC(10,2)), TIMESTAMP '1999-12-31 23:59:59.000001', 9223372036854775807, false`
	rows := map[string][]string{}
	for _, via := range []string{"insert", "unload_copy"} {
		err := w.JobSession(t.Context(), func(s elt.Session) error {
			return s.Transact(t.Context(), elt.Snapshot, func() error {
				n, err := s.(elt.Stager).Stage(t.Context(), "staged", query, via)
				if err != nil || n != 2 {
					return fmt.Errorf("%d rows are staged: %w", n, err)
				}
				return s.Query(t.Context(), "SELECT * FROM staged ORDER BY id", func(row []any) error { rows[via] = append(rows[via], fmt.Sprint(row...)); return nil })
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", via, err)
		}
	}
	if len(rows["insert"]) != 2 || !slices.Equal(rows["insert"], rows["unload_copy"]) {
		t.Errorf("%q", rows)
	}
	if w.sent.count("UNLOAD (") != 1 || w.sent.count("COPY ") != 1 {
		t.Error("unload_copy does not go through the store")
	}
	if err := store.List(t.Context(), "", func(key string, _ int64, _ time.Time) error { return fmt.Errorf("%s is left", key) }); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"SELECT 1; DELETE FROM tidemill.job_ledger", "DELETE FROM tidemill.job_ledger", "SELECT pg_terminate_backend(1)", "SELECT 1 FROM generate_series(1, 2)", ""} {
		err := w.JobSession(t.Context(), func(s elt.Session) error {
			_, err := s.(elt.Stager).Stage(t.Context(), "staged", bad, "insert")
			return err
		})
		var e *elt.Error
		if !errors.As(err, &e) || e.Class != elt.BadSQL {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if n := w.sent.count("DELETE"); n > 0 {
		t.Errorf("%d statements of a user were sent past the check", n)
	}
}
