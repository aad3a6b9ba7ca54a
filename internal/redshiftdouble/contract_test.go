package redshiftdouble_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// contract is what tidemill relies on and no source proves, or only a manual does. The double answers as we believe that Redshift does, and a
// cluster (TestContractOnACluster) says whether we are right: what fails there is wrong here. Statements alone are in corpus.txt.
var contract = []struct {
	name string
	run  func(*testing.T, *lab)
}{
	{"01-03 types, encodings and codecs of files", copyTypes},
	{"04-05 manifests: files twice, gone, of another length", manifests},
	{"06 columns by position", columnLists},
	{"07 texts of conflicts", conflictTexts},
	{"08 the client is gone after COMMIT", goneAfterCommit},
	{"09 all types by pgx in exec mode", extendedProtocol},
	{"09 fields of a failed COPY", failedCopy},
	{"10 ALTER TYPE inside a transaction", alterInside},
	{"11 what MERGE says and counts", merges},
	{"12 parameters that a server tells", parameterStatus},
	{"13 UNLOAD of no rows with a manifest", unloadNothing},
	{"14 the manifest of an UNLOAD loads", unloadAndCopyBack},
	{"15 a staging table LIKE one with SUPER and VARBYTE", stagingLikeATable},
	{"16 the isolation level is visible to everybody", isolationVisible},
	{"18 trailing blanks in DELETE USING", trailingBlanks},
}

// TestContract is the contract on the double.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, k := range contract {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			k.run(t, newLab(t, func(c *double.Config) { c.Slices = 2 }))
		})
	}
}

// TestContractOnACluster is the contract on a real one: TIDEMILL_REDSHIFT_DSN, and TIDEMILL_REDSHIFT_S3 for the bucket and prefix
// (s3://bucket/prefix?region=...) that its default role may read and write, and this process by the SDK's chain of credentials.
// 17, the password of IAM, is what is in the DSN.
func TestContractOnACluster(t *testing.T) {
	dsn, place := os.Getenv("TIDEMILL_REDSHIFT_DSN"), os.Getenv("TIDEMILL_REDSHIFT_S3")
	if dsn == "" || place == "" {
		t.Skip("SKIPPED: no real cluster; set TIDEMILL_REDSHIFT_DSN to the address of one, of a user who may create schemas, and TIDEMILL_REDSHIFT_S3 to s3://bucket/prefix?region=... for its default role")
	}
	for _, k := range contract {
		t.Run(k.name, func(t *testing.T) { k.run(t, cluster(t, dsn, place)) })
	}
}

// cluster is a schema and a prefix of a real one.
func cluster(t *testing.T, dsn, place string) *lab {
	t.Helper()
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		t.Fatalf("TIDEMILL_REDSHIFT_S3 is %q, want s3://bucket/prefix?region=...", place)
	}
	aws, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRegion(u.Query().Get("region")))
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("tidemill_contract_%d", time.Now().UnixNano())
	l := &lab{TB: t, bucket: u.Host, prefix: strings.Trim(u.Path, "/") + "/" + schema + "/", store: s3.NewFromConfig(aws)}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	l.dial0 = func() (*pgx.Conn, error) {
		c, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			_, err = c.Exec(t.Context(), "SET search_path TO "+schema)
		}
		return c, err
	}
	c := l.connect()
	l.must(c, "CREATE SCHEMA "+schema)
	t.Cleanup(func() {
		if _, err := c.Exec(context.WithoutCancel(t.Context()), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return l
}

// conflictTexts: what a transaction is told whose rows another has changed since its snapshot, in the words of the isolation level.
func conflictTexts(t *testing.T, l *lab) {
	t.Helper()
	a, b := l.connect(), l.connect()
	l.must(a, "CREATE TABLE t (id BIGINT, v BIGINT)", "INSERT INTO t VALUES (1, 0)")
	l.must(b, "BEGIN", "SELECT count(*) FROM t")
	l.must(a, "UPDATE t SET v = 1")
	_, err := b.Exec(t.Context(), "UPDATE t SET v = 2")
	if err == nil {
		_, err = b.Exec(t.Context(), "COMMIT")
	}
	want := "could not complete because of conflict with concurrent transaction"
	if one[string](l, a, "SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = current_database()") == "Serializable" {
		want = "1023"
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "XX000" || !strings.Contains(e.Message, want) {
		t.Errorf("%v, want XX000 %s", err, want)
	}
}

// goneAfterCommit: a client that is gone before the answer finds out by looking, and nothing stays locked.
func goneAfterCommit(t *testing.T, l *lab) {
	t.Helper()
	a, b := l.connect(), l.connect()
	l.must(a, "CREATE TABLE t (id BIGINT)")
	l.must(b, "BEGIN", "LOCK t", "INSERT INTO t VALUES (1)")
	f := b.PgConn().Frontend()
	f.SendQuery(&pgproto3.Query{String: "COMMIT"})
	if err := errors.Join(f.Flush(), b.PgConn().Conn().Close()); err != nil {
		t.Fatal(err)
	}
	l.must(a, "BEGIN", "LOCK t") // waits until that session is decided
	n := one[int](l, a, "SELECT count(*) FROM t")
	l.must(a, "INSERT INTO t VALUES (2)", "COMMIT")
	if after := one[int](l, a, "SELECT count(*) FROM t"); n > 1 || after != n+1 {
		t.Errorf("%d rows behind the lock, then %d", n, after)
	}
}

// alterInside: widening is refused in a transaction, which is why tidemill widens before it.
func alterInside(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, b VARCHAR(10))", "BEGIN")
	if e := l.fails(c, "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(20)"); e.Code != "25001" && e.Code != "0A000" && e.Code != "XX000" {
		t.Errorf("%s %s", e.Code, e.Message)
	}
	l.must(c, "ROLLBACK", "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(20)")
	if e := l.fails(c, "ALTER TABLE t ALTER COLUMN b TYPE VARCHAR(20)"); e.Code != "0A000" || !strings.Contains(e.Message, "target column size should be different") {
		t.Errorf("%s %s", e.Code, e.Message)
	}
}

// unloadNothing: no rows make no object, not even the manifest; a job that unloads must know.
func unloadNothing(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT)", l.unload("none/", "SELECT id FROM t", "MANIFEST"))
	if got := l.keys("none/"); len(got) != 0 {
		t.Errorf("no rows wrote %v", got)
	}
	if n := one[int](l, c, "SELECT pg_last_unload_count()"); n != 0 {
		t.Errorf("pg_last_unload_count: %d", n)
	}
}

func isolationVisible(t *testing.T, l *lab) {
	t.Helper()
	got := one[string](l, l.connect(), "SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = current_database()")
	if got != "Snapshot Isolation" && got != "Serializable" {
		t.Errorf("the isolation level is %q", got)
	}
}

// trailingBlanks: 'a' and 'a ' are one key to Redshift, so that a delta would delete both; tidemill refuses such keys in Go. The double cannot
// (it is PostgreSQL that compares), which is among its divergences.
func trailingBlanks(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (id VARCHAR(5))", "CREATE TABLE s (id VARCHAR(5))", "INSERT INTO t VALUES ('a'), ('a '), ('b')", "INSERT INTO s VALUES ('a')",
		"DELETE FROM t USING s WHERE t.id = s.id")
	want := 1
	if l.Server != nil {
		want = 2
	}
	if n := one[int](l, c, "SELECT count(*) FROM t"); n != want {
		t.Errorf("%d rows are left, want %d", n, want)
	}
}
