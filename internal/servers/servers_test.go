package servers_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// need skips a test whose component is not here, or fails it where everything is required (CI).
func need(t *testing.T, name string) {
	t.Helper()
	c, err := servers.ComponentByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		if os.Getenv("TIDEMILL_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
}

// life is what each kind must survive: start, crash, restart on the same folder and port, polite stop.
func life(t *testing.T, s *servers.Server, write func(t *testing.T), read func(t *testing.T)) {
	t.Helper()
	ctx := t.Context()
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	begin := time.Now()
	step := func(what string, f func(context.Context) error) {
		t.Helper()
		from := time.Now()
		if err := f(ctx); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%-8s %6d ms", what, time.Since(from).Milliseconds())
	}
	step("start", s.Start)
	port := s.Port
	write(t)
	step("kill", func(context.Context) error { s.Kill(); return nil })
	if s.Running() {
		t.Fatal("still running after Kill")
	}
	step("start", s.Start)
	read(t)
	step("restart", s.Restart)
	read(t)
	step("stop", s.Stop)
	if s.Port != port {
		t.Errorf("port moved from %d to %d", port, s.Port)
	}
	t.Logf("whole life of %s: %s", s.Name, time.Since(begin).Round(time.Millisecond))
}

func sqlLife(t *testing.T, driver string, s *servers.Server, database string) {
	t.Helper()
	exec := func(t *testing.T, statements ...string) {
		t.Helper()
		db, err := sql.Open(driver, s.DSN(database))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, q := range statements {
			if _, err := db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	life(t, s,
		func(t *testing.T) {
			t.Helper()
			exec(t, "create schema tm", "create table tm.t (id int primary key)", "insert into tm.t values (1)")
		},
		func(t *testing.T) {
			t.Helper()
			exec(t, "insert into tm.t select max(id) + 1 from tm.t")
		})
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	need(t, "mariadb")
	sqlLife(t, "mysql", servers.NewMariaDB(servers.Options{Config: []string{"max_connections=20"}}), "")
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	need(t, "mysql")
	sqlLife(t, "mysql", servers.NewMySQL(servers.Options{Config: []string{"max-connections=20"}}), "")
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	need(t, "postgres")
	sqlLife(t, "pgx", servers.NewPostgres(servers.Options{Config: []string{"max_connections=20"}}), "postgres")
}

func TestKafka(t *testing.T) {
	t.Parallel()
	need(t, "kafka")
	s := servers.NewKafka(servers.Options{Config: []string{"message.max.bytes=2000000"}})
	client := func(t *testing.T) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.Addr()), kgo.DefaultProduceTopic("t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	life(t, s,
		func(t *testing.T) {
			t.Helper()
			cl := client(t)
			if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
				t.Fatal(err)
			}
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			cl.Close()
		},
		func(t *testing.T) {
			t.Helper()
			cl := client(t)
			ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "t")
			if err != nil {
				t.Fatal(err)
			}
			if end, ok := ends.Lookup("t", 0); !ok || end.Offset != 1 {
				t.Fatalf("end offset %+v, want 1", end)
			}
			cl.Close()
		})
}

func TestS3(t *testing.T) {
	t.Parallel()
	need(t, "s3")
	s := servers.NewS3(servers.Options{})
	life(t, s,
		func(t *testing.T) {
			t.Helper()
			if err := s.MakeBucket("lake"); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T) { t.Helper() })
}

func TestMoto(t *testing.T) {
	t.Parallel()
	need(t, "moto")
	life(t, servers.NewMoto(servers.Options{}), func(t *testing.T) { t.Helper() }, func(t *testing.T) { t.Helper() }) // it remembers nothing
}

func TestBadOptionIsToldWithTheServersOwnWords(t *testing.T) {
	t.Parallel()
	need(t, "mariadb")
	s := servers.NewMariaDB(servers.Options{Config: []string{"no_such_setting=1"}})
	t.Cleanup(func() { _ = s.Remove() })
	err := s.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Fatalf("want an error that quotes the server's log, got: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	need(t, "s3")
	first := servers.NewS3(servers.Options{})
	t.Cleanup(func() { _ = first.Remove() })
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := servers.NewS3(servers.Options{Port: first.Port})
	t.Cleanup(func() { _ = second.Remove() })
	err := second.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Fatalf("want a clear refusal of the fixed port, got: %v", err)
	}
}

func TestMissingComponentNamesItsCommand(t *testing.T) {
	t.Setenv("TIDEMILL_CACHE", t.TempDir())
	err := servers.NewMySQL(servers.Options{}).Start(t.Context())
	var missing *servers.MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("want a MissingError, got: %v", err)
	}
	if !strings.Contains(err.Error(), missing.Component.Bring) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("want one line with the command, got: %v", err)
	}
}
