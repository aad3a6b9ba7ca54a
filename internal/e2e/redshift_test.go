package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
)

// openRedshift puts the double in front of the warehouse's database. It loads Parquet from the line's bucket.
func (e *env) openRedshift(t *testing.T) (address string) {
	t.Helper()
	var err error
	e.redshift, err = redshiftdouble.Start(context.WithoutCancel(t.Context()), redshiftdouble.Config{
		Postgres: e.pg.DSN("warehouse"), Isolation: e.isolation,
		S3: redshiftdouble.S3{Endpoint: e.bucket.Endpoint, Region: e.bucket.Region, AccessKey: e.bucket.AccessKey, SecretKey: e.bucket.SecretKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.redshift.Close(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(e.redshift.DSN())
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme, u.RawQuery = "redshift", url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}

// redshiftPoints are the points of a publish that the sink passes.
var redshiftPoints = []string{failpoint.MidCopy, failpoint.BeforeLock, failpoint.BeforeCommit, failpoint.AfterCommit}

// TestRedshift is the line into Redshift, as far as the double goes: the same project with another address. The daemon is
// killed while it copies, before and after its commit, and the warehouse is the oracle's in the end.
func TestRedshift(t *testing.T) {
	for _, level := range []redshiftdouble.Isolation{redshiftdouble.Snapshot, redshiftdouble.Serializable} {
		c := combo{"embedded", "redshift", "s3", "mariadb", "mysql", ""}
		if level == redshiftdouble.Serializable {
			c = combo{"kafka", "redshift", "s3", "mariadb", "mariadb", ""}
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c, withChats(t), func(e *env) { e.isolation = level })
			e.counted(t)
			d := e.run(t)
			e.underLoad(t, 3)
			for _, point := range redshiftPoints {
				d.stop(t)
				e.steps(t, 20)
				e.killedAt(t, point)
				d = e.run(t)
				e.underLoad(t, 2)
			}
			e.settled(t, 3*time.Minute)
			e.warehouseEquals(t)
			realtest.NoCanary(t, "metrics", e.metrics(t))
			d.stop(t)
			if want := len(redshiftPoints); e.toll.kills < want {
				t.Errorf("%d kills, want %d", e.toll.kills, want)
			}
			t.Logf("%s: %d windows, %d rows compared", c, e.checker.Windows, e.checker.Rows)
		})
	}
}

// TestRedshiftOverflow: a text that no VARCHAR holds. By default the line halts and names column, length and what to choose; with
// overflow=quarantine the row is in quarantine and not in the tables that give its text, until it is mended. Every window is proved.
func TestRedshiftOverflow(t *testing.T) {
	t.Parallel()
	e := newEnv(t, combo{"embedded", "redshift", "s3", "mariadb", "mariadb", ""})
	e.forms(t)
	realtest.Exec(t, e.db[0], "alter table clinic.forms modify note longtext")
	d := e.run(t)
	e.underLoad(t, 2)
	realtest.Exec(t, e.db[0], "insert into clinic.forms values (20, concat('"+realtest.Canary+"', repeat('ü', 40000)), '{}')")
	var problem string
	eventually(t, time.Minute, "the pipeline stands still", func() bool {
		s, err := e.status(t)
		if err == nil && len(s.Pipelines) == 1 {
			problem = s.Pipelines[0].Error
		}
		return strings.Contains(problem, "overflow=quarantine")
	})
	realtest.NoCanary(t, "the reason", problem)
	for _, word := range []string{"column note", "raw_consult.forms"} {
		if !strings.Contains(problem, word) {
			t.Errorf("the reason does not say %q: %s", word, problem)
		}
	}
	e.judge(t)
	d.stop(t)
	settings, err := os.ReadFile(filepath.Join(e.dir, "tidemill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, e.dir, "tidemill.yaml", strings.Replace(string(settings), "sslmode=disable", "sslmode=disable&overflow=quarantine", 1))
	write(t, e.dir, "pipelines/care.yaml", fmt.Sprintf(formsPipeline, "max_quarantine: 5\n"))
	d = e.run(t)
	e.settled(t, 2*time.Minute)
	e.inQuarantine(t, "mart.notes [20]", "raw_consult.forms [20]")
	d.kill()
	d = e.run(t)
	realtest.Exec(t, e.db[0], "update clinic.forms set note = 'mended' where form_id = 20")
	e.underLoad(t, 1)
	e.settled(t, time.Minute)
	e.inQuarantine(t)
	e.warehouseEquals(t)
	d.stop(t)
}
