package e2e_test

import (
	"context"
	"net/url"
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
