package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
	"github.com/tidemill/tidemill/sinks/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var databases atomic.Int32

// database makes an empty database on the server and returns its address.
func database(t testing.TB, s *servers.Server) string {
	t.Helper()
	name := fmt.Sprintf("warehouse%d", databases.Add(1))
	exec(t, s.DSN(""), "CREATE DATABASE "+name)
	return s.DSN(name)
}

func exec(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	if err := run(t.Context(), dsn, statements...); err != nil {
		t.Fatal(err)
	}
}

func run(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, q := range statements {
		if _, err := conn.Exec(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func open(t testing.TB, address string) *postgres.Sink {
	t.Helper()
	s, err := postgres.New(address)
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

// as is the address with another user.
func as(t testing.TB, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

func TestConformance(t *testing.T) {
	s := realtest.Postgres(t, "max_connections=200")
	exec(t, s.DSN(""), "CREATE ROLE daemon LOGIN PASSWORD 'daemon'")
	conform.Sink(t, func(t *testing.T) conform.SinkConfig {
		admin := database(t, s)
		// The rights that doc.go asks for, and no others.
		exec(t, admin, fmt.Sprintf("GRANT CREATE, TEMPORARY ON DATABASE %s TO daemon", pgx.Identifier{mustDatabase(t, admin)}.Sanitize()))
		address := as(t, admin, "daemon", "daemon")
		return conform.SinkConfig{
			Client: func() conform.Warehouse { return open(t, address) },
			Exec:   func(sql string) error { return run(t.Context(), address, sql) },
		}
	})
}

func mustDatabase(t testing.TB, address string) string {
	t.Helper()
	c, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

func TestJobs(t *testing.T) { jobs(t, "") }

// TestJobsParquet is the same with the rows of jobs going out to Parquet and in again.
func TestJobsParquet(t *testing.T) { jobs(t, "parquet") }

func jobs(t *testing.T, via string) {
	s := realtest.Postgres(t, "max_connections=200")
	exec(t, s.DSN(""), "CREATE ROLE daemon LOGIN PASSWORD 'daemon'")
	conform.Jobs(t, func(t *testing.T) conform.JobsConfig {
		admin := database(t, s)
		exec(t, admin, fmt.Sprintf("GRANT CREATE, TEMPORARY ON DATABASE %s TO daemon", pgx.Identifier{mustDatabase(t, admin)}.Sanitize()))
		address := as(t, admin, "daemon", "daemon")
		return conform.JobsConfig{
			Via:    via,
			Client: func() conform.JobWarehouse { return open(t, address) },
			Exec:   func(sql string) error { return run(t.Context(), address, sql) },
		}
	})
}
