package realtest

import (
	"context"
	"database/sql"
	"os"
	"testing"

	_ "github.com/go-sql-driver/mysql" // drivers for Open
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/tidemill/tidemill/internal/servers"
)

// MariaDB starts a MariaDB 10.11 with our recommended binlog settings. Flags come without dashes and win:
// realtest.MariaDB(t, "binlog_format=STATEMENT").
func MariaDB(t testing.TB, flags ...string) *servers.Server {
	t.Helper()
	return start(t, servers.NewMariaDB(servers.Options{Config: flags}))
}

// MySQL starts a MySQL 9.7 with our recommended binlog settings; flags as for MariaDB ("gtid-mode=OFF").
func MySQL(t testing.TB, flags ...string) *servers.Server {
	t.Helper()
	return start(t, servers.NewMySQL(servers.Options{Config: flags}))
}

// Postgres starts a PostgreSQL; settings as in postgresql.conf ("max_connections=10").
func Postgres(t testing.TB, settings ...string) *servers.Server {
	t.Helper()
	return start(t, servers.NewPostgres(servers.Options{Config: settings}))
}

// Kafka starts a broker of the test's own: for tests that restart or kill it, or that use tidemill's fixed topic names.
func Kafka(t testing.TB, properties ...string) *servers.Server {
	t.Helper()
	return start(t, servers.NewKafka(servers.Options{Config: properties}))
}

// SecureKafka starts a broker with a second listener that wants TLS and a login.
func SecureKafka(t testing.TB, d servers.Door) *servers.Server {
	t.Helper()
	return start(t, servers.NewSecureKafka(servers.Options{}, d))
}

// KafkaCluster starts n brokers, every topic on min(n, 3) of them.
func KafkaCluster(t testing.TB, n int, properties ...string) *servers.Cluster {
	t.Helper()
	c := servers.NewKafkaCluster(n, servers.Options{Config: properties})
	t.Cleanup(func() {
		for _, b := range c.Brokers {
			showLog(t, b)
		}
		if err := c.Remove(); err != nil {
			t.Errorf("removing the Kafka cluster: %v", err)
		}
	})
	Need(t, "kafka")
	if err := c.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return c
}

// Moto starts a stand-in for AWS that shares no code with ours; its DSN is the endpoint. It takes any credentials.
func Moto(t testing.TB) *servers.Server {
	t.Helper()
	return start(t, servers.NewMoto(servers.Options{}))
}

// Bucket is an empty S3 bucket and how to reach it. Use path-style addressing.
type Bucket struct {
	Server    *servers.Server
	Endpoint  string
	Name      string
	Region    string
	AccessKey string
	SecretKey string
}

// S3 starts an S3 gateway with one bucket.
func S3(t testing.TB, flags ...string) Bucket {
	t.Helper()
	s := start(t, servers.NewS3(servers.Options{Config: flags}))
	b := Bucket{Server: s, Endpoint: s.DSN(""), Name: "lake", Region: "us-east-1", AccessKey: s.User, SecretKey: s.Password}
	if err := s.MakeBucket(b.Name); err != nil {
		t.Fatal(err)
	}
	return b
}

// start brings a server up for the length of a test. At the end it is killed rather than stopped: its folder goes
// with it, so there is nothing to flush.
func start(t testing.TB, s *servers.Server) *servers.Server {
	t.Helper()
	t.Cleanup(func() {
		showLog(t, s)
		if err := s.Remove(); err != nil {
			t.Errorf("removing %s: %v", s.Name, err)
		}
	})
	if err := s.Start(context.WithoutCancel(t.Context())); err != nil {
		giveUp(t, err)
	}
	return s
}

// Open connects to a server of the MySQL family or to PostgreSQL as its administrator.
func Open(t testing.TB, s *servers.Server, database string) *sql.DB {
	t.Helper()
	driver := "mysql"
	if s.User == "postgres" {
		driver = "pgx"
	}
	db, err := sql.Open(driver, s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs statements in order and fails the test at the first that does not work.
func Exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// Need skips (or fails, see TIDEMILL_REQUIRE) a test whose component is missing: for tests that do more before they start it.
func Need(t testing.TB, component string) {
	t.Helper()
	c, err := servers.ComponentByName(component)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		giveUp(t, err)
	}
}

func showLog(t testing.TB, s *servers.Server) {
	t.Helper()
	if t.Failed() && s.Dir != "" {
		t.Logf("the log of %s ends:\n%s", s.Name, s.LogTail(20))
	}
}

// requireAll is set in CI: there nothing may be skipped.
func requireAll() bool { return os.Getenv("TIDEMILL_REQUIRE") == "all" }
