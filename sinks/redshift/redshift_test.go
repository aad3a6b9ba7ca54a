package redshift_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/internal/servers"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/sinks/s3"
	"github.com/tidemill/tidemill/window"
)

// lab is what stands for Redshift here: the double's PostgreSQL and an S3 server, shared by the tests of a run.
type lab struct {
	postgres *servers.Server
	bucket   realtest.Bucket
}

var databases atomic.Int32

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{postgres: realtest.Postgres(t, "max_connections=200"), bucket: realtest.S3(t)}
	for name, v := range map[string]string{"AWS_ACCESS_KEY_ID": l.bucket.AccessKey, "AWS_SECRET_ACCESS_KEY": l.bucket.SecretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, v)
	}
	return l
}

// start makes a warehouse of the test's own.
func (l *lab) start(t testing.TB, c redshiftdouble.Config) *redshiftdouble.Server {
	t.Helper()
	name := fmt.Sprintf("redshift%d", databases.Add(1))
	run(t, l.postgres.DSN(""), "CREATE DATABASE "+name)
	c.Postgres = l.postgres.DSN(name)
	c.S3 = redshiftdouble.S3{Endpoint: l.bucket.Endpoint, Region: l.bucket.Region, AccessKey: l.bucket.AccessKey, SecretKey: l.bucket.SecretKey}
	d, err := redshiftdouble.Start(context.WithoutCancel(t.Context()), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func run(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	if err := try(t.Context(), dsn, statements...); err != nil {
		t.Fatal(err)
	}
}

func try(ctx context.Context, dsn string, statements ...string) error {
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

// address is the double's, as a user of tidemill writes it.
func address(dsn string, options ...string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	q := url.Values{"sslmode": {"disable"}}
	for i := 0; i < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	u.Scheme, u.RawQuery = "redshift", q.Encode()
	return u.String()
}

// store is a prefix of the bucket.
func (l *lab) store(t testing.TB, prefix string) *s3.Store {
	t.Helper()
	s, err := s3.New(l.storeURL(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *lab) storeURL(prefix string) string {
	return "s3://" + l.bucket.Name + "/" + prefix + "?" + url.Values{"region": {l.bucket.Region}, "endpoint": {l.bucket.Endpoint}, "path_style": {"true"}}.Encode()
}

// warehouse uploads the parts of a publish, as the window stage does, and publishes it.
type warehouse struct {
	*redshift.Sink
	store window.Store
	sent  *statements
}

func (w *warehouse) Publish(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) error {
	return w.Sink.Publish(ctx, p, func(ctx context.Context, part window.Part) (string, error) {
		file, err := local(ctx, part)
		if err == nil {
			err = w.store.Put(context.WithoutCancel(ctx), part.Key, file)
		}
		return file, err
	})
}

func (l *lab) client(t testing.TB, d *redshiftdouble.Server, store window.Store, options ...string) *warehouse {
	t.Helper()
	s, err := redshift.New(address(d.DSN(), options...))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LoadFrom(store); err != nil {
		t.Fatal(err)
	}
	w := &warehouse{Sink: s, store: store, sent: &statements{t: t}}
	s.Trace(w.sent)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// statements is every statement that was sent, each judged by rslint on its way.
type statements struct {
	t   testing.TB
	mu  sync.Mutex
	all []string
}

func (s *statements) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	for _, f := range rslint.Check(q.SQL, rslint.Options{InTransaction: conn.PgConn().TxStatus() == 'T'}) {
		if !f.Warning { // users' queries may have some
			s.t.Errorf("sent: %s\n%s", f, q.SQL)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, q.SQL)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// count is how many statements had the text in them.
func (s *statements) count(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.all {
		if strings.Contains(q, text) {
			n++
		}
	}
	return n
}

func TestConformance(t *testing.T) { conformance(t, redshiftdouble.Config{}) }

// A cluster from before May 2024, or one that somebody has set so.
func TestConformanceSerializable(t *testing.T) {
	conformance(t, redshiftdouble.Config{Isolation: redshiftdouble.Serializable, Serverless: true, CaseSensitive: true})
}

func conformance(t *testing.T, c redshiftdouble.Config) {
	t.Helper()
	l := newLab(t)
	conform.Sink(t, func(t *testing.T) conform.SinkConfig {
		d := l.start(t, c)
		store := l.store(t, uuid.NewString())
		return conform.SinkConfig{
			Client:  func() conform.Warehouse { return l.client(t, d, store) },
			Exec:    func(sql string) error { return try(t.Context(), d.DSN(), sql) },
			MaxText: 65535, MaxBytes: 64000, AnyDocument: true,
			Lacks: []string{"VALUES (1)", "EXPLAIN ANALYZE", "TABLE mart", "generate_series"},
		}
	})
}
