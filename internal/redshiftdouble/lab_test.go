package redshiftdouble_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/realtest"
	double "github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/internal/servers"
)

// shared are the two servers of the test binary; every test has a database and a prefix of its own in them.
var shared struct {
	sync.Mutex
	postgres, s3 *servers.Server
	databases    atomic.Int32
}

const bucket = "lake"

type runner struct{ m *testing.M }

func (r runner) Run() int {
	code := r.m.Run()
	for _, s := range []*servers.Server{shared.postgres, shared.s3} {
		if s != nil && s.Remove() != nil && code == 0 {
			code = 1
		}
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(runner{m}) }

// start brings the shared servers up, or skips the test.
func start(t testing.TB) (postgres, store *servers.Server) {
	t.Helper()
	realtest.Need(t, "postgres")
	realtest.Need(t, "s3")
	shared.Lock()
	defer shared.Unlock()
	if shared.postgres == nil {
		p, s := servers.NewPostgres(servers.Options{Config: []string{"max_connections=300", "fsync=off", "autovacuum=off"}}), servers.NewS3(servers.Options{})
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(p.Start(ctx), s.Start(ctx), s.MakeBucket(bucket)); err != nil {
			t.Fatal(err)
		}
		shared.postgres, shared.s3 = p, s
	}
	return shared.postgres, shared.s3
}

// lab is a double with a database and an S3 prefix of its own; or a real cluster, with a schema of its own and no Server.
type lab struct {
	testing.TB
	*double.Server
	dsn    string // of PostgreSQL
	bucket string
	prefix string
	store  *s3.Client
	dial0  func() (*pgx.Conn, error)
}

// newLab starts a double; change edits its configuration.
func newLab(t testing.TB, change ...func(*double.Config)) *lab {
	t.Helper()
	p, s := start(t)
	name := fmt.Sprintf("rs%d", shared.databases.Add(1))
	admin, err := pgx.Connect(t.Context(), p.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, dsn: p.DSN(name), bucket: bucket, prefix: name + "/"}
	c := double.Config{Postgres: l.dsn, S3: double.S3{Endpoint: s.DSN(""), AccessKey: s.User, SecretKey: s.Password}}
	for _, f := range change {
		f(&c)
	}
	l.store = s3.New(s3.Options{BaseEndpoint: aws.String(s.DSN("")), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.User, s.Password, "")})
	if l.Server, err = double.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l.dial0 = func() (*pgx.Conn, error) { return pgx.Connect(t.Context(), l.DSN()) }
	t.Cleanup(func() {
		if err := l.Server.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// connect is a client, closed at the end of the test.
func (l *lab) connect() *pgx.Conn {
	l.Helper()
	c, err := l.dial0()
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// must runs statements.
func (l *lab) must(c *pgx.Conn, statements ...string) {
	l.Helper()
	for _, q := range statements {
		if _, err := c.Exec(l.Context(), q); err != nil {
			l.Fatalf("%s: %v%s", q, err, detail(err))
		}
	}
}

func detail(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return " " + pg.Detail
	}
	return ""
}

// fails runs a statement and returns its error.
func (l *lab) fails(c *pgx.Conn, q string) *pgconn.PgError {
	l.Helper()
	_, err := c.Exec(l.Context(), q)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		l.Fatalf("%s: %v, want an error of the server", q, err)
	}
	return pg
}

// one is a query's only value, by the extended protocol.
func one[T any](l *lab, c *pgx.Conn, q string, args ...any) T {
	l.Helper()
	var v T
	if err := c.QueryRow(l.Context(), q, args...).Scan(&v); err != nil {
		l.Fatalf("%s: %v", q, err)
	}
	return v
}

// put uploads a file and returns its manifest entry.
func (l *lab) put(name, file string) entry {
	l.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		l.Fatal(err)
	}
	l.putBytes(name, b)
	return entry{URL: "s3://" + l.bucket + "/" + l.prefix + name, Mandatory: true, Meta: &meta{int64(len(b))}}
}

func (l *lab) putBytes(name string, b []byte) {
	l.Helper()
	f := filepath.Join(l.TempDir(), "object")
	if err := os.WriteFile(f, b, 0o600); err != nil {
		l.Fatal(err)
	}
	r, err := os.Open(f)
	if err != nil {
		l.Fatal(err)
	}
	defer r.Close()
	if _, err := l.store.PutObject(l.Context(), &s3.PutObjectInput{Bucket: aws.String(l.bucket), Key: aws.String(l.prefix + name), Body: r}); err != nil {
		l.Fatal(err)
	}
}

type entry struct {
	URL       string `json:"url"`
	Mandatory bool   `json:"mandatory"`
	Meta      *meta  `json:"meta,omitempty"`
}

type meta struct {
	ContentLength int64 `json:"content_length"`
}

// manifest uploads a manifest and returns its address.
func (l *lab) manifest(name string, entries ...entry) string {
	l.Helper()
	b, err := json.Marshal(map[string]any{"entries": entries})
	if err != nil {
		l.Fatal(err)
	}
	l.putBytes(name, b)
	return "s3://" + l.bucket + "/" + l.prefix + name
}

// copySQL is the COPY of a manifest.
func copySQL(table, manifest string, options ...string) string {
	sql := fmt.Sprintf("COPY %s FROM '%s' IAM_ROLE default FORMAT AS PARQUET MANIFEST", table, manifest)
	for _, o := range options {
		sql += " " + o
	}
	return sql
}
