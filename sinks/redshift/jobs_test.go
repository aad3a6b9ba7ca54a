package redshift_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/sinks/s3"
)

// TestJobs is what users of other schedulers suffer from, on the double, in both isolation levels.
func TestJobs(t *testing.T) {
	jobs(t, "", map[string]redshiftdouble.Isolation{"snapshot": redshiftdouble.Snapshot, "serializable": redshiftdouble.Serializable})
}

// TestJobsUnload is the same with the rows of jobs going through the store.
func TestJobsUnload(t *testing.T) {
	jobs(t, "unload_copy", map[string]redshiftdouble.Isolation{"snapshot": redshiftdouble.Snapshot})
}

func jobs(t *testing.T, via string, levels map[string]redshiftdouble.Isolation) {
	l := newLab(t)
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			conform.Jobs(t, func(t *testing.T) conform.JobsConfig {
				d := l.start(t, redshiftdouble.Config{Isolation: level})
				store := l.store(t, uuid.NewString())
				return conform.JobsConfig{
					Via:    via,
					Client: func() conform.JobWarehouse { return l.client(t, d, store) },
					Exec:   func(sql string) error { return try(t.Context(), d.DSN(), sql) },
				}
			})
		})
	}
}

// 8. Killed after any statement, a run leaves the old interval or the new one.
func TestPain08KilledBetweenStatements(t *testing.T) {
	for _, via := range []string{"insert", "unload_copy"} {
		t.Run(via, func(t *testing.T) { killed(t, via) })
	}
}

// killed kills a child that knows the store too, before and after UNLOAD and COPY as well.
func killed(t *testing.T, via string) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{})
	prefix := uuid.NewString()
	w := l.client(t, d, l.store(t, prefix))
	c := conform.JobsConfig{Client: func() conform.JobWarehouse { return w }, Via: via}
	conform.JobsKilled(t, c, func() {}, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestJobsChild$")
		cmd.Env = []string{"REDSHIFT_TEST_JOBS=" + address(d.DSN()), "REDSHIFT_TEST_STORE=" + l.storeURL(prefix), "TMPDIR=" + t.TempDir()}
		return cmd
	})
}

func TestJobsChild(t *testing.T) {
	conform.JobsKilledChild(t, func() conform.JobWarehouse {
		s, err := redshift.New(os.Getenv("REDSHIFT_TEST_JOBS"))
		if err != nil {
			t.Fatal(err)
		}
		store, err := s3.New(os.Getenv("REDSHIFT_TEST_STORE"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.LoadFrom(store); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		w := &stepping{Sink: s}
		s.Trace(w)
		return w
	})
}

// stepping tells of UNLOAD and COPY, before they are sent and when they are done.
type stepping struct {
	*redshift.Sink
	step func()
}

var _ conform.Stepper = (*stepping)(nil)

// OnStep implements conform.Stepper.
func (w *stepping) OnStep(fn func()) { w.step = fn }

type stepped struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (w *stepping) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if w.step == nil || !strings.HasPrefix(q.SQL, "UNLOAD ") && !strings.HasPrefix(q.SQL, "COPY ") {
		return ctx
	}
	w.step()
	return context.WithValue(ctx, stepped{}, true)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (w *stepping) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(stepped{}) != nil {
		w.step()
	}
}

// TestUnloadOfNothing: a result without rows leaves no file and no manifest for COPY to find. It is published all the same.
func TestUnloadOfNothing(t *testing.T) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{})
	w := l.client(t, d, l.store(t, uuid.NewString()))
	if n, err := stage(t, w, "SELECT 1 AS id WHERE 1 = 0"); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
	if w.sent.count("UNLOAD (") != 1 || w.sent.count("COPY ") != 0 {
		t.Error("COPY was sent for nothing, or UNLOAD was not sent")
	}
}

// stage stages a result through the store.
func stage(t *testing.T, w *warehouse, query string) (n int64, err error) {
	err = w.JobSession(t.Context(), func(s elt.Session) error {
		return s.Transact(t.Context(), elt.Snapshot, func() error {
			n, err = s.(elt.Stager).Stage(t.Context(), "staged", query, elt.ViaUnload)
			return err
		})
	})
	return n, err
}

// TestUnloadMeetsBadStore: what the store or the cluster does in the middle is an error that is tried again, the session's
// rows are gone with it, and the next try has all of them.
func TestUnloadMeetsBadStore(t *testing.T) {
	l := newLab(t)
	const query = "SELECT 1 AS id UNION ALL SELECT 2"
	for name, fault := range map[string]func(*redshiftdouble.Faults){
		"UNLOAD cannot write":       func(f *redshiftdouble.Faults) { f.FailS3("_part_00", 503, 9) },
		"UNLOAD writes no manifest": func(f *redshiftdouble.Faults) { f.FailS3("manifest", 500, 9) },
		"COPY is cut":               func(f *redshiftdouble.Faults) { f.Kill(redshiftdouble.AfterCopy, 1) },
		"COPY is cut in the middle": func(f *redshiftdouble.Faults) { f.Kill(redshiftdouble.DuringCopy, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			d := l.start(t, redshiftdouble.Config{Slices: 2})
			w := l.client(t, d, l.store(t, uuid.NewString()))
			fault(d.Faults())
			_, err := stage(t, w, query)
			var e *elt.Error
			if !errors.As(err, &e) || e.Class != elt.Transient {
				t.Fatalf("%v, want a transient error", err)
			}
			d.Faults().Clear()
			if n, err := stage(t, w, query); err != nil || n != 2 {
				t.Errorf("again: %d rows, %v", n, err)
			}
			if err := w.store.List(t.Context(), "jobs/", func(key string, _ int64, _ time.Time) error { return fmt.Errorf("%s is left", key) }); err != nil {
				t.Error(err)
			}
		})
	}
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
	for _, via := range []string{"insert", "unload_copy", "parquet"} {
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
	if len(rows["insert"]) != 2 || !slices.Equal(rows["insert"], rows["unload_copy"]) || !slices.Equal(rows["insert"], rows["parquet"]) {
		t.Errorf("%q", rows)
	}
	if w.sent.count("UNLOAD (") != 2 || w.sent.count("COPY ") != 2 {
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
